// SPDX-License-Identifier: GPL-2.0-only
/* A test's .disks: what its machine gets of them, and what happens when one cannot be made. */
#include "kselftest_harness.h"

#include <ktstr/test.h>

#include "vmm/harness.h"
#include "vmm/harness_disks.h"

static int resolve(const struct ktstr_disk *list, const char *path, struct harness_disks *disks)
{
	return harness_disks__resolve(disks, list, "/beside", path, NULL);
}

TEST(no_list_is_no_disk)
{
	struct harness_disks disks;

	EXPECT_EQ(0, resolve(NULL, NULL, &disks));
	EXPECT_EQ(0, disks.nr);
	harness_disks__free(&disks);
}

TEST(relative_paths_begin_at_the_tests_directory)
{
	struct harness_disks disks;

	ASSERT_EQ(0, resolve(KTSTR_DISKS(DISK(.path = "image", .iops = 5), DISK(.fs = "none"),
					 DISK(.path = "/image", .read_only = true)),
			     NULL, &disks));
	ASSERT_EQ(3, disks.nr);
	EXPECT_STREQ("/beside/image", disks.disks[0].path);
	EXPECT_EQ(5, disks.disks[0].iops);
	EXPECT_EQ(NULL, disks.disks[1].path);
	EXPECT_STREQ("none", disks.disks[1].fs);
	EXPECT_STREQ("/image", disks.disks[2].path);
	EXPECT_TRUE(disks.disks[2].read_only);
	EXPECT_EQ(0, disks.missing.err);
	harness_disks__free(&disks);
}

TEST(disk_that_cannot_be_is_an_error)
{
	struct harness_disks disks;

	EXPECT_EQ(-EINVAL, resolve(KTSTR_DISKS(DISK(.fs = "vfat")), NULL, &disks));
	harness_disks__free(&disks);
}

/* ---- The machine that gets them ---- */

static struct {
	size_t nr, runs;
	const char *mount;
} seen;

static int fake_create(const struct ktstr_vm_config *config, struct ktstr_vm **vm,
		       struct ktstr_error *error)
{
	(void)error;
	*vm = (struct ktstr_vm *)(uintptr_t)1;
	seen.nr = config->nr_disks;
	seen.mount = config->nr_disks ? config->disks[0].mount : NULL;
	return 0;
}

static int fake_run(struct ktstr_vm *vm, struct ktstr_result *result, struct ktstr_error *error)
{
	(void)vm;
	(void)error;
	seen.runs++;
	*result = (struct ktstr_result){
		.verdict = KTSTR_VERDICT_PASS, .have_status = true, .skip_reason = ""};
	return 0;
}

static void fake_destroy(struct ktstr_vm *vm)
{
	(void)vm;
}

static void run_test(const struct ktstr_test_attrs *attrs, char *text, size_t size,
		     struct ktstr_test_outcome *outcome)
{
	static const struct harness_vm_ops fake = {
		.create = fake_create, .run = fake_run, .destroy = fake_destroy};
	static const struct ktstr_test_id id = {
		.fixture = "fix", .variant = "", .test = "name", .termsig = -1};
	FILE *out = fmemopen(text, size, "w");

	memset(&seen, 0, sizeof(seen));
	memset(text, 0, size);
	harness__run_test(&fake, &id, attrs, "/beside", NULL, -1, out, outcome);
	fclose(out);
}

TEST(machine_gets_them)
{
	const struct ktstr_test_attrs attrs = {
		.disks = KTSTR_DISKS(DISK(.fs = "ext4", .size_mb = 64, .mount = "/mnt"),
				     DISK(.fs = "none"))};
	struct ktstr_test_outcome outcome;
	char text[1024];

	run_test(&attrs, text, sizeof(text), &outcome);
	EXPECT_EQ(KSFT_PASS, outcome.exit_code);
	EXPECT_EQ(2, seen.nr);
	EXPECT_STREQ("/mnt", seen.mount);
}

TEST(missing_mkfs_skips_with_a_constant_reason_whatever_is_expected)
{
	const struct ktstr_test_attrs attrs = {
		.disks = KTSTR_DISKS(DISK(.fs = "none"), DISK(.fs = "btrfs")),
		.expect_verdict = KTSTR_VERDICT_FAIL};
	struct ktstr_test_outcome outcome;
	char text[1024];

	setenv("PATH", "/nowhere", 1);
	run_test(&attrs, text, sizeof(text), &outcome);
	EXPECT_EQ(KSFT_SKIP, outcome.exit_code);
	EXPECT_STREQ("mkfs program not installed", outcome.reason);
	EXPECT_STREQ("# btrfs: make disk: mkfs.btrfs is not in PATH; install the package "
		     "btrfs-progs\n",
		     text);
	EXPECT_EQ(0, seen.runs);
}

TEST(disk_that_cannot_be_fails_the_test)
{
	const struct ktstr_test_attrs attrs = {.disks = KTSTR_DISKS(DISK(.fs = "vfat"))};
	struct ktstr_test_outcome outcome;
	char text[1024];

	run_test(&attrs, text, sizeof(text), &outcome);
	EXPECT_EQ(KSFT_FAIL, outcome.exit_code);
	EXPECT_EQ(0, strncmp("# HOST_ERROR: vfat: disk: ", text, 26));
	EXPECT_EQ(0, seen.runs);
}

TEST(disks_of_a_variant_replace_those_of_a_test)
{
	struct ktstr_test_attrs attrs = {.disks = KTSTR_DISKS(DISK(.fs = "xfs"))};
	const struct ktstr_test_attrs over = {.disks = KTSTR_DISKS(DISK(.fs = "ext4"))},
				      none = {.timeout_s = 1};

	ktstr_test_attrs__merge(&attrs, &none);
	EXPECT_STREQ("xfs", attrs.disks[0].fs);
	ktstr_test_attrs__merge(&attrs, &over);
	EXPECT_STREQ("ext4", attrs.disks[0].fs);
}

TEST_HARNESS_MAIN
