// SPDX-License-Identifier: GPL-2.0-only
/* A test's .files: where each is taken from and put, and what happens when one is not there. */
#include "kselftest_harness.h"

#include <ktstr/test.h>

#include <sys/stat.h>

#include "vmm/harness.h"
#include "vmm/harness_files.h"

/* Directories bin and beside, with a program, a file and a directory. */
FIXTURE(files)
{
	char dir[64], path[256], beside[128];
	struct harness_files files;
	struct ktstr_error error;
};

static void make_file(const char *dir, const char *name, mode_t mode)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	if (f)
		fclose(f);
	chmod(path, mode);
}

FIXTURE_SETUP(files)
{
	char bin[128];

	strcpy(self->dir, "/tmp/ktstr-files.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(bin, sizeof(bin), "%s/bin", self->dir);
	snprintf(self->beside, sizeof(self->beside), "%s/beside", self->dir);
	ASSERT_EQ(0, mkdir(bin, 0755));
	ASSERT_EQ(0, mkdir(self->beside, 0755));
	make_file(bin, "prog", 0755);
	make_file(bin, "no-prog", 0644);
	make_file(self->beside, "data.json", 0644);
	make_file(self->beside, "prog2", 0755);
	snprintf(self->path, sizeof(self->path), "relative:%s:/usr/bin:/bin", bin);
}

FIXTURE_TEARDOWN(files)
{
	char command[128];

	harness_files__free(&self->files);
	snprintf(command, sizeof(command), "rm -rf '%s'", self->dir);
	EXPECT_EQ(0, system(command));
}

static int resolve(FIXTURE_DATA(files) * self, const char *const *names)
{
	harness_files__free(&self->files);
	self->error = (struct ktstr_error){.err = 0};
	return harness_files__resolve(&self->files, names, self->beside, self->path, &self->error);
}

TEST_F(files, no_list_is_no_file)
{
	EXPECT_EQ(0, resolve(self, NULL));
	EXPECT_EQ(0, self->files.nr);
	EXPECT_EQ(NULL, self->files.missing);
}

TEST_F(files, programs_are_found_in_path_and_by_the_guest)
{
	char host[256];

	snprintf(host, sizeof(host), "%s/bin/prog", self->dir);
	EXPECT_EQ(0, resolve(self, KTSTR_FILES("prog", "true")));
	ASSERT_EQ(2, self->files.nr);
	EXPECT_STREQ(host, self->files.files[0].host_path);
	/* The guest's PATH does not have the directory. */
	EXPECT_STREQ("/usr/local/bin/prog", self->files.files[0].guest_path);
	EXPECT_STREQ("/usr/bin/true", self->files.files[1].host_path);
	EXPECT_EQ(NULL, self->files.files[1].guest_path);
}

TEST_F(files, program_that_is_not_installed_is_told_apart_from_an_error)
{
	static const char *const names[] = {"no-such-program", "no-prog", "data.json", "prog2"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		EXPECT_EQ(0, resolve(self, KTSTR_FILES("prog", names[i], "true")));
		EXPECT_STREQ(names[i], self->files.missing);
	}
}

TEST_F(files, paths_are_the_same_and_relative_ones_begin_at_the_tests_directory)
{
	static const char *const names[] = {"./data.json", ".//./data.json"};
	char host[256];

	snprintf(host, sizeof(host), "%s/data.json", self->beside);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		EXPECT_EQ(0, resolve(self, KTSTR_FILES(names[i], "/etc/passwd")));
		ASSERT_EQ(2, self->files.nr);
		EXPECT_STREQ(host, self->files.files[0].host_path);
		EXPECT_STREQ("/data.json", self->files.files[0].guest_path);
		EXPECT_STREQ("/etc/passwd", self->files.files[1].host_path);
		EXPECT_EQ(NULL, self->files.files[1].guest_path);
	}
}

TEST_F(files, paths_that_are_not_there_or_lead_out_are_errors)
{
	static const char *const names[] = {"../bin/prog", "./../bin/prog", "a/../../x", "./", ""};

	EXPECT_EQ(-ENOENT, resolve(self, KTSTR_FILES("./other.json")));
	EXPECT_EQ(ENOENT, self->error.err);
	EXPECT_NE(NULL, strstr(self->error.object, "/beside/other.json"));
	EXPECT_EQ(-ENOENT, resolve(self, KTSTR_FILES("/no/such/file")));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		EXPECT_EQ(-EINVAL, resolve(self, KTSTR_FILES(names[i])));
	/* Names that only look like it. */
	make_file(self->beside, "..x", 0644);
	EXPECT_EQ(0, resolve(self, KTSTR_FILES("./..x")));
}

/* ---- as the harness uses it ---- */

static struct {
	unsigned int runs;
	size_t nr_files;
	char guest_path[64];
} seen;

static int fake_create(const struct ktstr_vm_config *config, struct ktstr_vm **vm,
		       struct ktstr_error *error)
{
	(void)error;
	*vm = NULL;
	seen.nr_files = config->nr_files;
	if (config->nr_files)
		snprintf(seen.guest_path, sizeof(seen.guest_path), "%s",
			 config->files[0].guest_path);
	return 0;
}

static int fake_run(struct ktstr_vm *vm, struct ktstr_result *result, struct ktstr_error *error)
{
	(void)vm;
	(void)error;
	seen.runs++;
	*result = (struct ktstr_result){.verdict = KTSTR_VERDICT_PASS, .have_status = true};
	return 0;
}

static void fake_destroy(struct ktstr_vm *vm)
{
	(void)vm;
}

static const char *run_test(FIXTURE_DATA(files) * self, const struct ktstr_test_attrs *attrs,
			    struct ktstr_test_outcome *outcome)
{
	static const struct harness_vm_ops fake = {
		.create = fake_create, .run = fake_run, .destroy = fake_destroy};
	static const struct ktstr_test_id id = {
		.fixture = "fix", .variant = "", .test = "name", .termsig = -1};
	static char text[1024];
	FILE *out = fmemopen(text, sizeof(text), "w");

	memset(&seen, 0, sizeof(seen));
	harness__run_test(&fake, &id, attrs, self->beside, NULL, -1, out, outcome);
	fclose(out);
	return text;
}

TEST_F(files, machine_gets_them)
{
	const struct ktstr_test_attrs attrs = {.files = KTSTR_FILES("./data.json")};
	struct ktstr_test_outcome outcome;

	run_test(self, &attrs, &outcome);
	EXPECT_EQ(KSFT_PASS, outcome.exit_code);
	EXPECT_EQ(1, seen.nr_files);
	EXPECT_STREQ("/data.json", seen.guest_path);
}

TEST_F(files, missing_program_skips_with_a_constant_reason_whatever_is_expected)
{
	const struct ktstr_test_attrs attrs = {.files = KTSTR_FILES("no-such-program"),
					       .expect_verdict = KTSTR_VERDICT_FAIL};
	struct ktstr_test_outcome outcome;
	const char *text = run_test(self, &attrs, &outcome);

	EXPECT_EQ(KSFT_SKIP, outcome.exit_code);
	EXPECT_STREQ("payload program not installed", outcome.reason);
	EXPECT_STREQ("# no-such-program: not in PATH; install it to run this test\n", text);
	EXPECT_EQ(0, seen.runs);
}

TEST_F(files, missing_path_fails)
{
	const struct ktstr_test_attrs attrs = {.files = KTSTR_FILES("./other.json")};
	struct ktstr_test_outcome outcome;
	const char *text = run_test(self, &attrs, &outcome);

	EXPECT_EQ(KSFT_FAIL, outcome.exit_code);
	EXPECT_EQ(0, strncmp("# HOST_ERROR: ", text, 14));
	EXPECT_EQ(0, seen.runs);
}

TEST(files_of_a_test_replace_those_of_its_variant)
{
	struct ktstr_test_attrs attrs = {.files = KTSTR_FILES("a")};
	const struct ktstr_test_attrs over = {.files = KTSTR_FILES("b")}, none = {.timeout_s = 1};

	ktstr_test_attrs__merge(&attrs, &none);
	EXPECT_STREQ("a", attrs.files[0]);
	ktstr_test_attrs__merge(&attrs, &over);
	EXPECT_STREQ("b", attrs.files[0]);
}

TEST(nics_of_a_test_replace_those_of_its_variant)
{
	struct ktstr_test_attrs attrs = {.nics = KTSTR_NICS(NIC(.network = "a"))};
	const struct ktstr_test_attrs over = {.nics = KTSTR_NICS(NIC(.network = "b"), NIC())};
	const struct ktstr_test_attrs none = {.timeout_s = 1};

	ktstr_test_attrs__merge(&attrs, &none);
	EXPECT_EQ(1, attrs.nics->nr);
	ktstr_test_attrs__merge(&attrs, &over);
	ASSERT_EQ(2, attrs.nics->nr);
	EXPECT_STREQ("b", attrs.nics->nics[0].network);
	EXPECT_EQ(NULL, attrs.nics->nics[1].network);
}

TEST_HARNESS_MAIN
