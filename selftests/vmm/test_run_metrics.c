// SPDX-License-Identifier: GPL-2.0-only
/* The file of all runs: what a line says, many writers at once, and files that cannot be written.
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ktstr/proto.h>
#include <ktstr/test.h>

#include "vmm/run_metrics.h"

FIXTURE(file)
{
	char dir[48], path[96];
	struct run_metrics metrics;
	struct ktstr_vm_config config;
	struct ktstr_result result;
	struct run_about about;
	struct ktstr_error error;
};

FIXTURE_SETUP(file)
{
	strcpy(self->dir, "/tmp/ktstr-runs-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->path, sizeof(self->path), "%s/metrics.jsonl", self->dir);
	ktstr_vm_config__defaults(&self->config);
	self->result = (struct ktstr_result){.verdict = KTSTR_VERDICT_PASS,
					     .kernel_release = "7.3.0",
					     .scheduler_ops = "simple"};
	self->about = (struct run_about){.program = "/bin/dir/topology",
					 .test = "fix.var.\"name\"",
					 .judged = "pass",
					 .started = {.tv_sec = 86400, .tv_nsec = 5000}};
	setenv(RUN_ID_VARIABLE, "one", 1);
	setenv(RUN_HOST_VARIABLE, "box", 1);
	unsetenv("KTSTR_INSIDE_EMULATED_HOST");
}

FIXTURE_TEARDOWN(file)
{
	run_metrics__free(&self->metrics);
	unlink(self->path);
	EXPECT_EQ(0, rmdir(self->dir));
}

static int append(FIXTURE_DATA(file) * self)
{
	self->error = (struct ktstr_error){.err = 0};
	return run_metrics__append(&self->metrics, self->path, &self->config, &self->result,
				   &self->about, &self->error);
}

static void add(FIXTURE_DATA(file) * self, const char *source, const char *name, double value)
{
	struct metric metric = {.value = value, .unit = "us", .better = KTSTR_HIGHER_IS_BETTER};

	snprintf(metric.name, sizeof(metric.name), "%s", name);
	run_metrics__add(&self->metrics, source, &metric);
}

/* The lines that are there, each as JSON or NULL; at most @max. */
static size_t read_lines(const char *path, json_t **lines, size_t *lengths, size_t max)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t size, nr = 0;
	ssize_t n;

	while (f && nr < max && (n = getline(&line, &size, f)) > 0) {
		lines[nr] = json_loadb(line, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
		if (lengths)
			lengths[nr] = (size_t)n;
		nr++;
	}
	free(line);
	if (f)
		fclose(f);
	return nr;
}

static const char *text_of(const json_t *json, const char *name)
{
	const char *text = json_string_value(json_object_get(json, name));

	return text ? text : "(none)";
}

TEST_F(file, line_says_what_ran_and_how_it_ended)
{
	json_t *line, *metrics, *metric;

	self->config.topology = TOPO(1, 2, 1, 1);
	self->about.scheduler = "scx_x";
	self->about.scheduler_args = KTSTR_ARGS("-f", "5");
	self->result.total_exits = 77;
	self->result.attach_ns = 5000;
	self->result.times = (struct ktstr_times){
		.create_at_ns = 1000, .first_run_at_ns = 3000, .init_at_ns = 10000};
	add(self, "fio", "iops", 12.5);
	ASSERT_EQ(0, append(self));
	ASSERT_EQ(1, read_lines(self->path, &line, NULL, 2));
	ASSERT_NE(NULL, line);
	EXPECT_EQ(RUN_METRICS_VERSION, json_integer_value(json_object_get(line, "version")));
	EXPECT_EQ(1, json_integer_value(json_object_get(line, "parts")));
	EXPECT_STREQ("one", text_of(line, "run"));
	EXPECT_STREQ("box", text_of(line, "host"));
	EXPECT_STREQ("1970-01-02T00:00:00.000005Z", text_of(line, "time"));
	EXPECT_STREQ("topology", text_of(line, "program"));
	EXPECT_STREQ("fix.var.\"name\"", text_of(line, "test"));
	EXPECT_STREQ("--topology 1n2l1c1t", text_of(line, "topology"));
	EXPECT_STREQ("7.3.0", text_of(line, "kernel"));
	EXPECT_STREQ("scx_x", text_of(line, "scheduler"));
	EXPECT_EQ(2, json_array_size(json_object_get(line, "scheduler_args")));
	EXPECT_STREQ("PASS", text_of(line, "verdict"));
	EXPECT_STREQ("pass", text_of(line, "judged"));
	metrics = json_object_get(line, "metrics");
	/* Two times were not reached. */
	ASSERT_EQ(5, json_array_size(metrics));
	metric = json_array_get(metrics, 1);
	EXPECT_STREQ("first_run_to_init", text_of(metric, "name"));
	EXPECT_EQ(7.0, json_number_value(json_object_get(metric, "value")));
	EXPECT_STREQ("lower", text_of(metric, "better"));
	metric = json_array_get(metrics, 3);
	EXPECT_STREQ("total_exits", text_of(metric, "name"));
	EXPECT_EQ(77, json_number_value(json_object_get(metric, "value")));
	metric = json_array_get(metrics, 4);
	EXPECT_STREQ("fio", text_of(metric, "source"));
	EXPECT_STREQ("iops", text_of(metric, "name"));
	EXPECT_STREQ("us", text_of(metric, "unit"));
	EXPECT_STREQ("higher", text_of(metric, "better"));
	EXPECT_EQ(12.5, json_number_value(json_object_get(metric, "value")));
	json_decref(line);
}

TEST_F(file, payloads_frames_are_metrics_with_their_direction)
{
	struct {
		struct ktstr_metrics_payload head;
		char name[3];
		struct ktstr_metric_record metric;
		char metric_name[3], unit[2];
	} __attribute__((packed)) frame = {
		.head = {.nr_metrics = 1, .name_length = 3},
		.name = "fio",
		.metric = {.value = 1.5,
			   .minimum = __builtin_nan(""),
			   .maximum = __builtin_nan(""),
			   .flags = KTSTR_METRIC_LOWER_IS_BETTER,
			   .name_length = 3,
			   .unit_length = 2},
		.metric_name = "p99",
		.unit = "us",
	};

	run_metrics__frame(&self->metrics, KTSTR_FRAME_PAYLOAD_METRICS, &frame, sizeof(frame));
	run_metrics__frame(&self->metrics, KTSTR_FRAME_PAYLOAD_METRICS, &frame, sizeof(frame) - 1);
	run_metrics__frame(&self->metrics, KTSTR_FRAME_RAW_OUTPUT, &frame, sizeof(frame));
	ASSERT_EQ(1, self->metrics.nr);
	EXPECT_STREQ("fio", self->metrics.list[0].source);
	EXPECT_STREQ("p99", self->metrics.list[0].metric.name);
	EXPECT_EQ(1.5, self->metrics.list[0].metric.value);
	EXPECT_EQ(KTSTR_LOWER_IS_BETTER, self->metrics.list[0].metric.better);
}

#define WRITERS 8
#define LINES 60

/* Runs of up to 60 lines, of processes that start at once. */
TEST_F(file, lines_of_many_writers_are_whole_and_none_is_lost)
{
	static json_t *lines[WRITERS * LINES * 64];
	json_int_t expected = 0;
	int start[2], seen[WRITERS] = {0};
	char name[METRIC_NAME_SIZE], test[32], byte;
	size_t nr;

	ASSERT_EQ(0, pipe(start));
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (int w = 0; w < WRITERS; w++) {
		if (fork())
			continue;
		close(start[1]);
		snprintf(test, sizeof(test), "%d", w);
		self->about.test = test;
		if (read(start[0], &byte, 1))
			_exit(1);
		for (int i = 0; i < LINES; i++) {
			self->metrics.nr = 0;
			for (int j = 0; j < (w + i) % 8 * 80; j++)
				add(self, "source", name, i);
			if (append(self))
				_exit(1);
		}
		_exit(0);
	}
	close(start[1]);
	close(start[0]);
	for (int w = 0, status; w < WRITERS; w++) {
		wait(&status);
		EXPECT_EQ(0, status);
	}
	nr = read_lines(self->path, lines, NULL, WRITERS * LINES * 64);
	for (size_t i = 0; i < nr; i++) {
		ASSERT_NE(NULL, lines[i]) TH_LOG("line %zu is damaged", i + 1);
		if (json_integer_value(json_object_get(lines[i], "part")) == 1) {
			expected += json_integer_value(json_object_get(lines[i], "parts"));
			seen[atoi(text_of(lines[i], "test"))]++;
		}
		json_decref(lines[i]);
	}
	for (int w = 0; w < WRITERS; w++)
		EXPECT_EQ(LINES, seen[w]);
	EXPECT_EQ(expected, nr);
}

TEST_F(file, run_with_many_metrics_has_parts_that_are_short_enough)
{
	json_t *lines[64], *metrics;
	char name[METRIC_NAME_SIZE];
	size_t lengths[64], nr, all = 0;
	bool seen[400] = {false};

	for (int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "%d-%0200d", i, 0);
		add(self, "source", name, i);
	}
	ASSERT_EQ(0, append(self));
	nr = read_lines(self->path, lines, lengths, 64);
	EXPECT_LT(3, nr);
	EXPECT_GT(64, nr);
	for (size_t i = 0; i < nr; i++) {
		ASSERT_NE(NULL, lines[i]);
		EXPECT_GE(RUN_METRICS_LINE_MAX, lengths[i]);
		EXPECT_EQ(i + 1, json_integer_value(json_object_get(lines[i], "part")));
		EXPECT_EQ(nr, json_integer_value(json_object_get(lines[i], "parts")));
		metrics = json_object_get(lines[i], "metrics");
		for (size_t j = 0; j < json_array_size(metrics); j++, all++)
			seen[atoi(text_of(json_array_get(metrics, j), "name"))] = true;
		json_decref(lines[i]);
	}
	EXPECT_EQ(400, all);
	for (size_t i = 0; i < 400; i++) {
		EXPECT_TRUE(seen[i]) TH_LOG("metric %zu", i);
	}
}

TEST_F(file, metrics_beyond_the_limit_are_said_and_the_line_is_there)
{
	json_t *lines[64];

	for (uint32_t i = 0; i < RUN_METRICS_MAX + 3; i++)
		add(self, "s", "n", i);
	EXPECT_EQ(-ENOBUFS, append(self));
	EXPECT_EQ(0, strncmp(self->error.reason, "3 metrics", 9)) TH_LOG("%s", self->error.reason);
	EXPECT_LT(0, read_lines(self->path, lines, NULL, 64));
}

/* A value that JSON has not is missing, and stays a name. */
TEST_F(file, value_that_is_missing_is_null)
{
	json_t *line;

	add(self, "fio", "iops", __builtin_nan(""));
	ASSERT_EQ(0, append(self));
	ASSERT_EQ(1, read_lines(self->path, &line, NULL, 1));
	ASSERT_NE(NULL, line);
	EXPECT_TRUE(json_is_null(
		json_object_get(json_array_get(json_object_get(line, "metrics"), 0), "value")));
	json_decref(line);
}

/* ---- what cannot be written ---- */

TEST_F(file, line_after_one_that_was_cut_off_is_whole)
{
	int fd = open(self->path, O_CREAT | O_WRONLY, 0600);
	json_t *lines[3] = {NULL};

	ASSERT_EQ(5, write(fd, "{\"ver", 5));
	close(fd);
	ASSERT_EQ(0, append(self));
	ASSERT_EQ(0, append(self));
	ASSERT_EQ(3, read_lines(self->path, lines, NULL, 3));
	EXPECT_EQ(NULL, lines[0]);
	EXPECT_NE(NULL, lines[1]);
	EXPECT_NE(NULL, lines[2]);
	json_decref(lines[1]);
	json_decref(lines[2]);
}

TEST_F(file, full_disk_is_an_error)
{
	EXPECT_EQ(-ENOSPC, run_metrics__append(&self->metrics, "/dev/full", &self->config,
					       &self->result, &self->about, &self->error));
	EXPECT_STREQ("/dev/full", self->error.object);
}

/* As when a disk gets full within a line. */
TEST_F(file, line_that_was_not_written_whole_is_an_error_and_harms_no_other)
{
	struct rlimit limit = {.rlim_cur = 100, .rlim_max = RLIM_INFINITY};
	json_t *lines[3] = {NULL};

	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	EXPECT_EQ(-EFBIG, append(self));
	limit.rlim_cur = RLIM_INFINITY;
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	ASSERT_EQ(0, append(self));
	ASSERT_EQ(2, read_lines(self->path, lines, NULL, 3));
	EXPECT_EQ(NULL, lines[0]);
	EXPECT_NE(NULL, lines[1]);
	json_decref(lines[1]);
}

TEST_F(file, directories_are_made_and_what_cannot_be_made_is_an_error)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/a/b/runs", self->dir);
	EXPECT_EQ(0, run_metrics__append(&self->metrics, path, &self->config, &self->result,
					 &self->about, &self->error));
	EXPECT_EQ(0, unlink(path));
	snprintf(path, sizeof(path), "%s/a/b", self->dir);
	EXPECT_EQ(-EISDIR, run_metrics__append(&self->metrics, path, &self->config, &self->result,
					       &self->about, &self->error));
	EXPECT_EQ(0, rmdir(path));
	snprintf(path, sizeof(path), "%s/a", self->dir);
	EXPECT_EQ(0, rmdir(path));
	self->error = (struct ktstr_error){.err = 0};
	EXPECT_NE(0, run_metrics__append(&self->metrics, "/proc/none/runs", &self->config,
					 &self->result, &self->about, &self->error));
	EXPECT_STREQ("/proc/none/runs", self->error.object);
}

TEST_F(file, pipe_that_nobody_reads_holds_no_test_up)
{
	for (int i = 0; i < 60; i++)
		add(self, "s", "n", i);
	ASSERT_EQ(0, mkfifo(self->path, 0600));
	/* Open in this process, so that it fills. */
	int fd = open(self->path, O_RDWR | O_NONBLOCK), err = 0;

	for (int i = 0; i < 100 && !err; i++)
		err = append(self);
	EXPECT_NE(0, err);
	close(fd);
}

/* What an emulated host has of its own ends with it. */
TEST_F(file, file_that_would_be_lost_with_an_emulated_host_is_an_error)
{
	setenv("KTSTR_INSIDE_EMULATED_HOST", "1", 1);
	EXPECT_EQ(-EXDEV, append(self));
	unsetenv("KTSTR_INSIDE_EMULATED_HOST");
}

/* ---- the run's name ---- */

TEST(run_is_named_once)
{
	char first[64];

	unsetenv(RUN_ID_VARIABLE);
	run_metrics__name_run();
	ASSERT_NE(NULL, getenv(RUN_ID_VARIABLE));
	snprintf(first, sizeof(first), "%s", getenv(RUN_ID_VARIABLE));
	EXPECT_EQ(25, strlen(first));
	run_metrics__name_run();
	EXPECT_STREQ(first, getenv(RUN_ID_VARIABLE));
	unsetenv(RUN_ID_VARIABLE);
	run_metrics__name_run();
	EXPECT_STRNE(first, getenv(RUN_ID_VARIABLE));
	setenv(RUN_ID_VARIABLE, "mine", 1);
	run_metrics__name_run();
	EXPECT_STREQ("mine", getenv(RUN_ID_VARIABLE));
}

/* Inside of an emulated host, whose name says nothing, it is that of who started it. */
TEST(name_of_the_starting_host_stays)
{
	setenv(RUN_HOST_VARIABLE, "outside", 1);
	setenv("KTSTR_INSIDE_EMULATED_HOST", "1", 1);
	run_metrics__name_run();
	EXPECT_STREQ("outside", getenv(RUN_HOST_VARIABLE));
	unsetenv("KTSTR_INSIDE_EMULATED_HOST");
	run_metrics__name_run();
	EXPECT_STRNE("outside", getenv(RUN_HOST_VARIABLE));
}

TEST_HARNESS_MAIN
