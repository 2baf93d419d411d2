// SPDX-License-Identifier: GPL-2.0-only
/* Extractors: what they are given, what of their output counts, and every way to fail. */
#include "kselftest_harness.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/extract.h"

FIXTURE(extract)
{
	struct extracted out;
	struct ktstr_error error;
};

FIXTURE_SETUP(extract)
{
}

FIXTURE_TEARDOWN(extract)
{
	extracted__free(&self->out);
}

static int run_on(FIXTURE_DATA(extract) * self, const char *command, const void *raw, size_t length,
		  uint32_t timeout_ms)
{
	extracted__free(&self->out);
	self->error = (struct ktstr_error){.err = 0};
	return extract__run(command, "prog", raw, length, timeout_ms, -1, &self->out, &self->error);
}

static int run(FIXTURE_DATA(extract) * self, const char *command)
{
	return run_on(self, command, "", 0, 60000);
}

static int parse(FIXTURE_DATA(extract) * self, const char *text)
{
	extracted__free(&self->out);
	self->error = (struct ktstr_error){.err = 0};
	return extract__parse("cmd", text, strlen(text), &self->out, &self->error);
}

TEST_F(extract, command_gets_the_output_and_the_name)
{
	EXPECT_EQ(0,
		  run_on(self,
			 "read -r n; printf '{\"metrics\": [{\"name\": \"%s\", \"value\": %s}]}' "
			 "\"$KTSTR_PAYLOAD\" \"$n\"",
			 "42\nrest", 7, 60000));
	ASSERT_EQ(1, self->out.nr);
	EXPECT_STREQ("prog", self->out.metrics[0].name);
	EXPECT_EQ(42, self->out.metrics[0].value);
	EXPECT_EQ(0, self->out.nr_bad);
}

TEST_F(extract, name_replaces_the_one_in_the_environment)
{
	setenv("KTSTR_PAYLOAD", "other", 1);
	EXPECT_EQ(0, run(self, "[ $(env | grep -c ^KTSTR_PAYLOAD=) = 1 ] && "
			       "echo \"{\\\"metrics\\\": [{\\\"name\\\": \\\"$KTSTR_PAYLOAD\\\", "
			       "\\\"value\\\": 1}]}\""));
	ASSERT_EQ(1, self->out.nr);
	EXPECT_STREQ("prog", self->out.metrics[0].name);
}

/* Neither side waits for the other, whoever is slower. */
TEST_F(extract, large_output_that_is_not_read_is_no_hindrance)
{
	size_t length = 16u << 20;
	char *raw = calloc(1, length);

	ASSERT_NE(NULL, raw);
	EXPECT_EQ(0, run_on(self, "echo '{\"metrics\": [{\"name\": \"a\", \"value\": 1}]}'", raw,
			    length, 60000));
	EXPECT_EQ(0, run_on(self,
			    "echo \"{\\\"metrics\\\": [{\\\"name\\\": \\\"a\\\", \\\"value\\\": "
			    "$(wc -c)}]}\"",
			    raw, length, 60000));
	ASSERT_EQ(1, self->out.nr);
	EXPECT_EQ(16 << 20, self->out.metrics[0].value);
	free(raw);
}

TEST_F(extract, every_end_but_success_is_an_error)
{
	static const char text[] = "echo '{\"metrics\": [{\"name\": \"a\", \"value\": 1}]}'; ";
	static const struct {
		const char *command;
		int err;
		const char *reason;
	} ends[] = {
		{"exit 3", -ECHILD, "it exited with code 3"},
		{"kill -s KILL $$", -ECHILD, "signal 9 ended it"},
		{"exec /no/such/extractor 2>/dev/null", -ECHILD, "it exited with code 127"},
		{"head -c 2000000 /dev/zero", -EFBIG, "it printed more than 1048576 bytes"},
	};
	char command[256];

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		/* What it had printed before does not count. */
		snprintf(command, sizeof(command), "%s%s", text, ends[i].command);
		EXPECT_EQ(ends[i].err, run(self, command));
		EXPECT_STREQ(ends[i].reason, self->error.reason);
		EXPECT_EQ(0, self->out.nr);
	}
}

TEST_F(extract, time_limit_ends_it_and_all_of_its_group)
{
	char dir[] = "/tmp/ktstr-extract.XXXXXX", path[64], command[128], text[32] = "";
	FILE *f;

	ASSERT_NE(NULL, mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pid", dir);
	snprintf(command, sizeof(command), "sleep 1000 & echo $! >%s; wait", path);
	EXPECT_EQ(-ETIMEDOUT, run_on(self, command, "", 0, 1000));
	EXPECT_STREQ("it did not end within 1000 ms", self->error.reason);
	f = fopen(path, "r");
	ASSERT_NE(NULL, f);
	EXPECT_NE(NULL, fgets(text, sizeof(text), f));
	fclose(f);
	/* It is killed with its parent, and init reaps it in its own time. */
	while (!kill((pid_t)strtol(text, NULL, 10), 0))
		poll(NULL, 0, 10);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	EXPECT_EQ(0, system(command));
}

/* The end is the command's own: not that of what it left behind with the pipe. */
TEST_F(extract, background_process_does_not_hold_it_up)
{
	EXPECT_EQ(0, run(self, "sleep 1000 & "
			       "echo '{\"metrics\": [{\"name\": \"a\", \"value\": 1}]}'"));
	EXPECT_EQ(1, self->out.nr);
}

TEST_F(extract, metrics_have_units_and_limits)
{
	ASSERT_EQ(0,
		  parse(self, "{\"other\": 1, \"metrics\": ["
			      "{\"name\": \"a\", \"value\": 5, \"unit\": \"us\", \"minimum\": 6, "
			      "\"more\": []},"
			      "{\"name\": \"b\\n\", \"value\": -2.5e3, \"unit\": null, "
			      "\"minimum\": null, \"maximum\": -3000}]}"));
	ASSERT_EQ(2, self->out.nr);
	EXPECT_EQ(2, self->out.nr_bad);
	EXPECT_STREQ("us", self->out.metrics[0].unit);
	EXPECT_EQ(6, self->out.metrics[0].minimum);
	EXPECT_TRUE(isnan(self->out.metrics[0].maximum));
	EXPECT_EQ(KTSTR_METRIC_TOO_LOW, self->out.metrics[0].flags);
	EXPECT_STREQ("b?", self->out.metrics[1].name);
	EXPECT_STREQ("", self->out.metrics[1].unit);
	EXPECT_EQ(-2500, self->out.metrics[1].value);
	EXPECT_EQ(KTSTR_METRIC_TOO_HIGH, self->out.metrics[1].flags);
}

TEST_F(extract, other_forms_are_refused)
{
	static const struct {
		const char *text;
		int err;
		const char *reason;
	} bad[] = {
		{"", -EBADMSG, "what it printed is not JSON: line 1, column 0: "},
		{"{\"metrics\": [}", -EBADMSG, "what it printed is not JSON: line 1"},
		{"{\"metrics\": []} x", -EBADMSG, "what it printed is not JSON: line 1"},
		{"[]", -EBADMSG, "what it printed has no list \"metrics\""},
		{"{\"metrics\": {}}", -EBADMSG, "what it printed has no list \"metrics\""},
		{"{\"metrics\": []}", -ENODATA, "it found no metric"},
		{"{\"metrics\": [1]}", -EBADMSG, "metric 0 that it printed has no name"},
		{"{\"metrics\": [{\"name\": \"\", \"value\": 1}]}", -EBADMSG,
		 "metric 0 that it printed has no name"},
		{"{\"metrics\": [{\"name\": \"a\", \"value\": 1}, {\"name\": \"b\"}]}", -EBADMSG,
		 "metric 1 that it printed has a value that is no number"},
		{"{\"metrics\": [{\"name\": \"a\", \"value\": null}]}", -EBADMSG,
		 "metric 0 that it printed has a value that is no number"},
		{"{\"metrics\": [{\"name\": \"a\", \"value\": \"1\"}]}", -EBADMSG,
		 "metric 0 that it printed has a value that is no number"},
		{"{\"metrics\": [{\"name\": \"a\", \"value\": 1, \"unit\": 5}]}", -EBADMSG,
		 "metric 0 that it printed has a unit that is no text"},
		{"{\"metrics\": [{\"name\": \"a\", \"value\": 1, \"minimum\": \"1\"}]}", -EBADMSG,
		 "metric 0 that it printed has a limit that is no number"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(bad[i].err, parse(self, bad[i].text));
		EXPECT_EQ(0, strncmp(bad[i].reason, self->error.reason, strlen(bad[i].reason)))
		{
			TH_LOG("'%s' instead of '%s'", self->error.reason, bad[i].reason);
		}
		EXPECT_EQ(NULL, self->out.metrics);
	}
}

TEST_F(extract, number_of_metrics_has_a_bound)
{
	static const char one[] = "{\"name\": \"a\", \"value\": 1},";
	size_t room = sizeof(one) * (EXTRACT_MAX_METRICS + 2) + 64;
	char *text = malloc(room), *at = text;

	ASSERT_NE(NULL, text);
	at += sprintf(at, "{\"metrics\": [");
	for (size_t i = 0; i < EXTRACT_MAX_METRICS; i++)
		at += sprintf(at, "%s", one);
	strcpy(at - 1, "]}");
	EXPECT_EQ(0, parse(self, text));
	EXPECT_EQ(EXTRACT_MAX_METRICS, self->out.nr);
	sprintf(at - 1, ",%.*s]}", (int)sizeof(one) - 2, one);
	EXPECT_EQ(-EFBIG, parse(self, text));
	free(text);
}

TEST_HARNESS_MAIN
