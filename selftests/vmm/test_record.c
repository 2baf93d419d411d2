// SPDX-License-Identifier: GPL-2.0-only
/* Records of runs: their files, their bounds, and text of a guest that wants to break them. */
#include "kselftest_harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ktstr/proto.h>

#include "vmm/channel.h"
#include "vmm/json_out.h"
#include "vmm/record.h"

FIXTURE(record)
{
	char dir[48];
	struct record *record;
	struct ktstr_vm_config config;
	struct ktstr_error error;
	struct ktstr_result result;
};

FIXTURE_SETUP(record)
{
	strcpy(self->dir, "/tmp/ktstr-record-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	ktstr_vm_config__defaults(&self->config);
	self->result = (struct ktstr_result){.verdict = KTSTR_VERDICT_FAIL,
					     .cause = "exit code 1",
					     .skip_reason = "",
					     .scheduler_ops = "",
					     .kernel_release = "",
					     .console = "",
					     .com2 = ""};
}

FIXTURE_TEARDOWN(record)
{
	record__destroy(self->record);
	record__remove(self->dir);
	EXPECT_NE(0, access(self->dir, F_OK)) TH_LOG("%s is not empty", self->dir);
}

static int no_save(struct ktstr_vm *vm, const char *dir, struct ktstr_error *error)
{
	(void)vm;
	(void)dir;
	(void)error;
	return 0;
}

static int create(FIXTURE_DATA(record) * self, bool keep)
{
	int err = record__create(self->dir, keep, &self->record, &self->error);

	if (!err)
		record__attach(self->record, &self->config);
	return err;
}

static int write_record(FIXTURE_DATA(record) * self)
{
	const struct record_about about = {.name = "fix.\"name\"\n", .judged = "fail"};

	return record__write(self->record, NULL, no_save, &self->result, &about, &self->error);
}

/* A whole file, terminated; the caller frees it. */
static char *read_file(const char *dir, const char *name, size_t *length)
{
	char path[128], *text;
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &st))
		return NULL;
	text = calloc(1, (size_t)st.st_size + 1);
	*length = (size_t)read(fd, text, (size_t)st.st_size);
	close(fd);
	return text;
}

static void send_frame(const struct ktstr_vm_config *config, uint32_t type, uint32_t sequence,
		       const void *payload, size_t length)
{
	config->frame(config->frame_opaque, type, sequence, payload, (uint32_t)length);
}

/* Line @n of events.jsonl, by a parser that is not ours. */
static json_t *event(const char *dir, int n)
{
	size_t length;
	char *text = read_file(dir, "events.jsonl", &length), *line = text, *save;
	json_t *json = NULL;

	for (line = text ? strtok_r(text, "\n", &save) : NULL; line && n;
	     line = strtok_r(NULL, "\n", &save))
		n--;
	if (line)
		json = json_loads(line, JSON_ALLOW_NUL, NULL);
	free(text);
	return json;
}

static const char *string_of(json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? text : "(none)";
}

TEST_F(record, events_are_json_whatever_the_guest_sends)
{
	static const char hostile[] =
		"\"},{\\\n\t\x01\xff\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80z\xc3";
	struct {
		struct ktstr_stimulus_payload head;
		char text[sizeof(hostile) - 1];
	} __attribute__((packed)) stimulus = {.head = {.boot_ns = 7, .step = 3}};
	struct ktstr_exit_payload end = {.code = 9};
	json_t *json;

	memcpy(stimulus.text, hostile, sizeof(stimulus.text));
	ASSERT_EQ(0, create(self, true));
	send_frame(&self->config, KTSTR_FRAME_STIMULUS, 5, &stimulus, sizeof(stimulus));
	send_frame(&self->config, KTSTR_FOURCC('"', '\\', '\0', 0xff), 6, NULL, 0);
	send_frame(&self->config, KTSTR_FRAME_EXIT, 7, &end, sizeof(end));
	ASSERT_EQ(0, write_record(self));

	json = event(self->dir, 0);
	ASSERT_NE(NULL, json);
	EXPECT_STREQ("STIM", string_of(json, "type"));
	EXPECT_EQ(5, json_integer_value(json_object_get(json, "sequence")));
	EXPECT_EQ(3, json_integer_value(json_object_get(json, "step")));
	/* one U+FFFD for each byte that is no UTF-8 */
#define BAD "\xef\xbf\xbd"
	EXPECT_STREQ("\"},{\\\n\t\x01" BAD BAD BAD BAD BAD BAD BAD BAD BAD BAD "z" BAD,
		     string_of(json, "text"));
	json_decref(json);
	json = event(self->dir, 1);
	EXPECT_NE(NULL, json);
	json_decref(json);
	json = event(self->dir, 2);
	EXPECT_EQ(9, json_integer_value(json_object_get(json, "code")));
	json_decref(json);
}

TEST_F(record, result_is_json_and_has_what_was_asked_for)
{
	const char *const argv[] = {"t", "a \"b\"\\", NULL};
	size_t length;
	json_t *json;
	char *text;

	self->config.topology = TOPO(2, 4, 1, 2);
	self->config.argv = argv;
	self->result.cause = "said \"no\"\n\x80";
	self->result.kaslr = KTSTR_KASLR_NO_RELOCATIONS;
	self->result.cache_problem = "x was damaged";
	self->result.host_cpus = "CPUs 0, by affinity";
	self->result.sandbox = "off";
	self->result.times.first_run_at_ns = 1000;
	self->result.times.init_at_ns = 501000;
	ASSERT_EQ(0, create(self, false));
	ASSERT_EQ(0, write_record(self));
	text = read_file(self->dir, "result.json", &length);
	ASSERT_NE(NULL, text);
	json = json_loads(text, 0, NULL);
	ASSERT_NE(NULL, json);
	EXPECT_STREQ("FAIL", string_of(json, "verdict"));
	EXPECT_STREQ("said \"no\"\n" BAD, string_of(json, "cause"));
	EXPECT_STREQ("fix.\"name\"\n", string_of(json, "name"));
	EXPECT_STREQ("NO_RELOCATIONS", string_of(json, "kaslr"));
	EXPECT_STREQ("x was damaged", string_of(json, "cache_problem"));
	EXPECT_STREQ("CPUs 0, by affinity", string_of(json, "host_cpus"));
	EXPECT_STREQ("off", string_of(json, "sandbox"));
	EXPECT_STREQ("--topology 2n4l1c2t", string_of(json_object_get(json, "config"), "topology"));
	EXPECT_STREQ("a \"b\"\\",
		     json_string_value(json_array_get(
			     json_object_get(json_object_get(json, "config"), "argv"), 1)));
	EXPECT_EQ(500, json_number_value(
			       json_object_get(json_object_get(json, "us"), "first_run_to_init")));
	json_decref(json);
	free(text);
}

struct frames {
	uint32_t count, bad;
	uint64_t bytes;
};

static void count_frame(void *opaque, uint32_t type, uint32_t sequence, const uint8_t *payload,
			uint32_t length)
{
	struct frames *seen = opaque;

	(void)type;
	(void)sequence;
	seen->count++;
	seen->bytes += length;
	for (uint32_t i = 4; i < length; i++)
		seen->bad += payload[i] != 'x';
}

TEST_F(record, frames_can_be_decoded_again)
{
	struct frames seen = {0};
	struct channel channel;
	char payload[100] = {1};
	size_t length;
	char *text;

	memset(payload + 4, 'x', sizeof(payload) - 4);
	ASSERT_EQ(0, create(self, false));
	for (uint32_t i = 0; i < 50; i++)
		send_frame(&self->config, KTSTR_FRAME_OUTPUT, i, payload, sizeof(payload));
	ASSERT_EQ(0, write_record(self));
	text = read_file(self->dir, "frames.bin", &length);
	ASSERT_NE(NULL, text);
	channel__init(&channel, count_frame, &seen);
	channel__feed(&channel, text, length);
	channel__end(&channel);
	EXPECT_FALSE(channel__broken(&channel));
	EXPECT_EQ(50, seen.count);
	EXPECT_EQ(0, seen.bad);
	channel__destroy(&channel);
	free(text);
}

static uint64_t resident_kb(void)
{
	unsigned long size, resident;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return resident * 4;
}

/* KiB of memory that the memfds of this process hold. */
static uint64_t memfd_kb(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	uint64_t kb = 0;

	while (dir && (entry = readdir(dir))) {
		char link[256] = "";
		struct stat st;

		if (readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1) > 0 &&
		    !strncmp(link, "/memfd:", 7) && !fstat(atoi(entry->d_name), &st))
			kb += (uint64_t)st.st_blocks / 2;
	}
	closedir(dir);
	return kb;
}

TEST_F(record, what_may_be_thrown_away_is_bounded_and_the_newest_is_kept)
{
	static char piece[100000];
	uint64_t before_kb = resident_kb();
	size_t length;
	char *text;

	memset(piece, 'o', sizeof(piece));
	ASSERT_EQ(0, create(self, false));
	for (int i = 0; i < 500; i++)
		self->config.output(self->config.output_opaque, KTSTR_OUT, piece, sizeof(piece));
	self->config.output(self->config.output_opaque, KTSTR_OUT, "end", 3);
	EXPECT_GT(16 << 10, memfd_kb());
	EXPECT_GT(16 << 10, resident_kb() - before_kb);
	EXPECT_LT(0, memfd_kb());
	ASSERT_EQ(0, write_record(self));
	text = read_file(self->dir, "stdout.txt", &length);
	ASSERT_NE(NULL, text);
	EXPECT_LE(8 << 20, length);
	EXPECT_GT(10 << 20, length);
	EXPECT_EQ('o', text[0]);
	EXPECT_STREQ("oend", text + length - 4);
	free(text);
}

TEST_F(record, one_that_is_wanted_has_all_and_its_raw_output_and_profiles)
{
	static char piece[1 << 20];
	struct {
		struct ktstr_raw_output_payload head;
		char text[9];
	} __attribute__((packed)) raw = {{.name_length = 5}, "../fioabc"};
	size_t length;
	char *text;

	ASSERT_EQ(0, create(self, true));
	for (int i = 0; i < 20; i++)
		self->config.output(self->config.output_opaque, KTSTR_OUT, piece, sizeof(piece));
	send_frame(&self->config, KTSTR_FRAME_RAW_OUTPUT, 3, &raw, sizeof(raw));
	send_frame(&self->config, KTSTR_FRAME_PROFRAW, 4, "profile", 7);
	ASSERT_EQ(0, write_record(self));
	text = read_file(self->dir, "stdout.txt", &length);
	EXPECT_EQ(20 << 20, length);
	free(text);
	text = read_file(self->dir, "raw-3.txt", &length);
	ASSERT_NE(NULL, text);
	EXPECT_STREQ("oabc", text);
	free(text);
	text = read_file(self->dir, "profile-4.profraw", &length);
	ASSERT_NE(NULL, text);
	EXPECT_STREQ("profile", text);
	free(text);
}

static void count_call(void *opaque, enum ktstr_stream stream, const char *data, size_t length)
{
	(void)stream;
	(void)data;
	*(size_t *)opaque += length;
}

TEST_F(record, metrics_are_numbers_or_null)
{
	struct {
		struct ktstr_metrics_payload head;
		char name[3];
		struct ktstr_metric_record metric;
		char metric_name[4], unit[2];
	} __attribute__((packed)) frame = {
		.head = {.run_ns = 9, .nr_metrics = 1, .name_length = 3},
		.name = "fio",
		.metric = {.value = 1.5,
			   .minimum = 2,
			   .maximum = __builtin_nan(""),
			   .name_length = 4,
			   .unit_length = 2},
		.metric_name = "la\"t",
		.unit = "us",
	};
	size_t length;
	json_t *json;
	char *text;

	ASSERT_EQ(0, create(self, true));
	send_frame(&self->config, KTSTR_FRAME_PAYLOAD_METRICS, 1, &frame, sizeof(frame));
	ASSERT_EQ(0, write_record(self));
	text = read_file(self->dir, "payload-metrics.jsonl", &length);
	ASSERT_NE(NULL, text);
	EXPECT_STREQ(
		"{\"payload\": \"fio\", \"name\": \"la\\\"t\", \"value\": 1.5, \"unit\": \"us\", "
		"\"minimum\": 2, \"maximum\": null, \"within\": false}\n",
		text);
	free(text);
	json = event(self->dir, 0);
	ASSERT_NE(NULL, json);
	EXPECT_STREQ("fio", string_of(json, "payload"));
	EXPECT_EQ(1, json_array_size(json_object_get(json, "metrics")));
	json_decref(json);
}

TEST_F(record, statistics_have_their_time)
{
	size_t length;
	char *text;

	ASSERT_EQ(0, create(self, true));
	self->config.stats(self->config.stats_opaque, 17, "{\"a\":1}, no more", 7);
	self->config.stats(self->config.stats_opaque, 18, "{}", 2);
	ASSERT_EQ(0, write_record(self));
	text = read_file(self->dir, "stats.jsonl", &length);
	ASSERT_NE(NULL, text);
	EXPECT_STREQ("{\"at_ms\": 17, \"stats\": {\"a\":1}}\n"
		     "{\"at_ms\": 18, \"stats\": {}}\n",
		     text);
	free(text);
}

static void count_frame_call(void *opaque, uint32_t type, uint32_t sequence, const void *payload,
			     uint32_t length)
{
	(void)type;
	(void)sequence;
	(void)payload;
	*(size_t *)opaque += length;
}

static void count_sample(void *opaque, const struct ktstr_sample *sample)
{
	*(size_t *)opaque += sample->at_ns;
}

static void count_stats(void *opaque, uint64_t at_ms, const char *json, size_t length)
{
	(void)json;
	*(size_t *)opaque += length + at_ms;
}

TEST_F(record, the_callers_own_callbacks_are_still_called)
{
	const struct ktstr_sample sample = {.at_ns = 7, .step = "boot"};
	size_t output = 0, frames = 0, samples = 0, stats = 0;

	self->config.output = count_call;
	self->config.output_opaque = &output;
	self->config.frame = count_frame_call;
	self->config.frame_opaque = &frames;
	self->config.sample = count_sample;
	self->config.sample_opaque = &samples;
	self->config.stats = count_stats;
	self->config.stats_opaque = &stats;
	ASSERT_EQ(0, create(self, false));
	self->config.output(self->config.output_opaque, KTSTR_ERR, "abc", 3);
	send_frame(&self->config, KTSTR_FOURCC('N', 'E', 'W', '!'), 0, "12345", 5);
	self->config.sample(self->config.sample_opaque, &sample);
	self->config.stats(self->config.stats_opaque, 10, "{}", 2);
	EXPECT_EQ(3, output);
	EXPECT_EQ(5, frames);
	EXPECT_EQ(7, samples);
	EXPECT_EQ(12, stats);
}

TEST_F(record, an_old_one_goes_and_foreign_files_stay)
{
	char path[96];
	size_t length;
	char *text;
	int fd;

	ASSERT_EQ(0, create(self, true));
	self->config.output(self->config.output_opaque, KTSTR_OUT, "old", 3);
	ASSERT_EQ(0, write_record(self));
	record__destroy(self->record);
	snprintf(path, sizeof(path), "%s/notes", self->dir);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	ASSERT_GE(fd, 0);
	close(fd);

	self->record = NULL;
	ktstr_vm_config__defaults(&self->config);
	ASSERT_EQ(0, create(self, true));
	text = read_file(self->dir, "stdout.txt", &length);
	EXPECT_EQ(NULL, text);
	EXPECT_EQ(0, access(path, F_OK));
	unlink(path);
}

TEST_F(record, a_file_that_cannot_be_made_is_an_error_with_the_directory)
{
	ASSERT_EQ(0, create(self, true));
	/* A directory where the file should be: nothing can be written there. */
	char path[96];

	snprintf(path, sizeof(path), "%s/stdout.txt", self->dir);
	ASSERT_EQ(0, mkdir(path, 0700));
	self->config.output(self->config.output_opaque, KTSTR_OUT, "x", 1);
	EXPECT_NE(0, write_record(self));
	EXPECT_STREQ(self->dir, self->error.object);
	rmdir(path);
}

TEST_F(record, a_write_that_fails_is_an_error)
{
	static char piece[1 << 20];
	struct rlimit limit = {.rlim_cur = 64 << 10, .rlim_max = RLIM_INFINITY};

	signal(SIGXFSZ, SIG_IGN);
	ASSERT_EQ(0, create(self, true));
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	self->config.output(self->config.output_opaque, KTSTR_OUT, piece, sizeof(piece));
	EXPECT_EQ(-EFBIG, write_record(self));
	limit.rlim_cur = RLIM_INFINITY;
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
}

TEST_F(record, files_that_only_look_like_ours_stay)
{
	static const char *const names[] = {"raw-data.txt", "raw-1.csv", "profile-.profraw"};
	char path[96];

	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", self->dir, names[i]);
		close(open(path, O_CREAT | O_WRONLY, 0600));
	}
	ASSERT_EQ(0, create(self, true));
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", self->dir, names[i]);
		EXPECT_EQ(0, unlink(path)) TH_LOG("%s", names[i]);
	}
}

TEST(numbers_that_json_has_not_are_null)
{
	char text[128] = "";
	FILE *f = fmemopen(text, sizeof(text), "w");

	json__number(f, 1.5);
	fputc(' ', f);
	json__number(f, 1.0 / 0.0);
	fputc(' ', f);
	json__text(f, NULL);
	fclose(f);
	EXPECT_STREQ("1.5 null null", text);
}

TEST(a_string_of_json_has_nothing_that_a_terminal_obeys)
{
	static const char from[] = "\x1b[1m\x7f\xc2\x80\xc2\x9f\xc2\xa0\n";
	char text[128] = "";
	FILE *f = fmemopen(text, sizeof(text), "w");

	json__text(f, from);
	fclose(f);
	EXPECT_STREQ("\"\\u001b[1m\\u007f\\u0080\\u009f\xc2\xa0\\n\"", text);
}

TEST_HARNESS_MAIN
