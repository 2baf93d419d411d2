// SPDX-License-Identifier: GPL-2.0-only
/* A test's .extractor: which runs it is for, what it gets, and what its failures make of a pass. */
#include "kselftest_harness.h"

#include <ktstr/payload.h>
#include <ktstr/test.h>

#include <stdio.h>

#include "vmm/harness.h"
#include "vmm/harness_extract.h"

/* What the machine sends, and how it ends. */
static struct {
	const char *output; /* of each payload; NULL: none is sent */
	unsigned int nr_outputs;
	enum ktstr_verdict verdict;
	ktstr_frame_fn frame;
	void *opaque;
} machine;

static void send(const char *name, const char *output)
{
	char payload[1024];
	struct ktstr_raw_output_payload head = {.name_length = (uint32_t)strlen(name)};

	memcpy(payload, &head, sizeof(head));
	strcpy(payload + sizeof(head), name);
	strcpy(payload + sizeof(head) + strlen(name), output);
	machine.frame(machine.opaque, KTSTR_FRAME_RAW_OUTPUT, 0, payload,
		      (uint32_t)(sizeof(head) + strlen(name) + strlen(output)));
}

static int fake_create(const struct ktstr_vm_config *config, struct ktstr_vm **vm,
		       struct ktstr_error *error)
{
	(void)error;
	*vm = NULL;
	machine.frame = config->frame;
	machine.opaque = config->frame_opaque;
	return 0;
}

static int fake_run(struct ktstr_vm *vm, struct ktstr_result *result, struct ktstr_error *error)
{
	char name[32];

	(void)vm;
	(void)error;
	for (unsigned int i = 0; i < machine.nr_outputs; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		send(name, machine.output);
	}
	*result = (struct ktstr_result){
		.verdict = machine.verdict,
		.have_status = true,
		.exit_code = machine.verdict == KTSTR_VERDICT_PASS ? KSFT_PASS : KSFT_FAIL};
	return 0;
}

static void fake_destroy(struct ktstr_vm *vm)
{
	(void)vm;
}

FIXTURE(extractor)
{
	char text[4096];
	struct ktstr_test_attrs attrs;
	struct ktstr_test_outcome outcome;
	int cancel_fd;
};

FIXTURE_SETUP(extractor)
{
	machine.output = "1";
	machine.nr_outputs = 1;
	machine.verdict = KTSTR_VERDICT_PASS;
	self->cancel_fd = -1;
}

FIXTURE_TEARDOWN(extractor)
{
}

static void run(FIXTURE_DATA(extractor) * self, const char *command)
{
	static const struct harness_vm_ops fake = {
		.create = fake_create, .run = fake_run, .destroy = fake_destroy};
	static const struct ktstr_test_id id = {
		.fixture = "fix", .variant = "", .test = "name", .termsig = -1};
	FILE *out = fmemopen(self->text, sizeof(self->text), "w");

	self->attrs.extractor = KTSTR_EXTRACTOR(command);
	harness__run_test(&fake, &id, &self->attrs, "/", NULL, self->cancel_fd, out,
			  &self->outcome);
	fclose(out);
}

#define ECHO_VALUE                                                                          \
	"echo \"{\\\"metrics\\\": [{\\\"name\\\": \\\"$KTSTR_PAYLOAD.m\\\", \\\"unit\\\": " \
	"\\\"us\\\","                                                                       \
	" \\\"value\\\": $(cat), \\\"maximum\\\": 5}]}\""

TEST_F(extractor, metrics_of_each_payload_are_printed)
{
	machine.nr_outputs = 2;
	run(self, ECHO_VALUE);
	EXPECT_EQ(KSFT_PASS, self->outcome.exit_code);
	EXPECT_STREQ("# p0: p0.m 1 us (at most 5)\n# p1: p1.m 1 us (at most 5)\n", self->text);
}

TEST_F(extractor, limit_makes_a_pass_a_failure_with_its_cause)
{
	machine.output = "6";
	run(self, ECHO_VALUE);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	EXPECT_STREQ("# p0: p0.m 6 us (at most 5): too high\n"
		     "# p0: p0.m is 6 us (at most 5): too high\n",
		     self->text);
	self->attrs.expect_verdict = KTSTR_VERDICT_FAIL;
	self->attrs.expect_cause = "p0.m is 6 us";
	run(self, ECHO_VALUE);
	EXPECT_EQ(KSFT_PASS, self->outcome.exit_code);
}

TEST_F(extractor, failure_of_the_command_is_no_pass)
{
	run(self, "exit 3");
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	EXPECT_STREQ("# HOST_ERROR: p0: exit 3: extract: it exited with code 3\n", self->text);
}

TEST_F(extractor, failure_of_the_command_is_not_the_failure_that_is_expected)
{
	self->attrs.expect_verdict = KTSTR_VERDICT_FAIL;
	run(self, "exit 3");
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
}

TEST_F(extractor, no_raw_output_is_no_pass)
{
	machine.nr_outputs = 0;
	run(self, ECHO_VALUE);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	EXPECT_STREQ("# HOST_ERROR: extract: no payload has sent raw output\n", self->text);
}

TEST_F(extractor, more_output_than_is_kept_is_no_pass)
{
	machine.nr_outputs = HARNESS_EXTRACT_MAX_OUTPUTS;
	run(self, ECHO_VALUE);
	EXPECT_EQ(KSFT_PASS, self->outcome.exit_code);
	machine.nr_outputs++;
	run(self, ECHO_VALUE);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	EXPECT_NE(NULL, strstr(self->text,
			       "# HOST_ERROR: extract: the test has sent too many raw outputs\n"));
}

TEST_F(extractor, run_that_failed_keeps_its_own_cause)
{
	machine.verdict = KTSTR_VERDICT_FAIL;
	run(self, "touch /tmp/ktstr-must-not-run; exit 3");
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	EXPECT_STREQ("", self->text);
	EXPECT_NE(0, access("/tmp/ktstr-must-not-run", F_OK));
}

TEST_F(extractor, interruption_ends_it_and_is_no_failure_of_the_test)
{
	int ends[2];

	ASSERT_EQ(0, pipe(ends));
	ASSERT_EQ(1, write(ends[1], "x", 1));
	self->cancel_fd = ends[0];
	run(self, "sleep 1000");
	EXPECT_EQ(SIGTERM, self->outcome.signal);
	EXPECT_EQ(0, strncmp("# INTERRUPTED: p0: sleep 1000: extract: stopped\n", self->text, 48));
}

TEST_F(extractor, other_frames_and_malformed_ones_are_left_alone)
{
	const struct ktstr_raw_output_payload head = {.name_length = 1};
	const struct ktstr_extractor extractor = {"true", ktstr_extractor__run};
	struct harness_extract *extract = malloc(sizeof(*extract));

	ASSERT_NE(NULL, extract);
	harness_extract__init(extract, &extractor);
	harness_extract__frame(extract, KTSTR_FRAME_PROFRAW, 0, &head, sizeof(head));
	harness_extract__frame(extract, KTSTR_FRAME_RAW_OUTPUT, 0, &head, sizeof(head));
	harness_extract__frame(extract, KTSTR_FRAME_RAW_OUTPUT, 0, &head, sizeof(head) - 1);
	EXPECT_EQ(0, extract->nr);
	harness_extract__init(extract, NULL);
	machine.frame = harness_extract__frame;
	machine.opaque = extract;
	send("name", "text");
	EXPECT_EQ(0, extract->nr);
	harness_extract__free(extract);
	free(extract);
}

TEST(limit_of_the_test_has_room_for_it)
{
	struct ktstr_test_attrs attrs = {.timeout_s = 10};
	uint32_t without = ktstr_test_attrs__limit_s(&attrs);

	attrs.extractor = KTSTR_EXTRACTOR("true");
	EXPECT_EQ(without + HARNESS_EXTRACT_TIMEOUT_MS / 1000, ktstr_test_attrs__limit_s(&attrs));
}

TEST_HARNESS_MAIN
