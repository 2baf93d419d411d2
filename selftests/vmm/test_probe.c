// SPDX-License-Identifier: GPL-2.0-only
/* What the probe says of this machine's KVM, whichever kind that is. */
#include <ktstr/vm.h>

#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"

static int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count;
}

TEST(kind_rate_and_detail_agree)
{
	struct ktstr_probe probe;

	ktstr_probe__run(&probe);
	TH_LOG("kind %d, %.1f Minsn/s: %s", probe.kind, probe.minsn_per_s, probe.detail);
	EXPECT_NE('\0', probe.detail[0]);
	EXPECT_EQ(NULL, strchr(probe.detail, '\n'));
	switch (probe.kind) {
	case KTSTR_KVM_NATIVE:
		EXPECT_LT(0.0, probe.minsn_per_s);
		EXPECT_NE(NULL, strstr(probe.detail, "runs kernels"));
		break;
	case KTSTR_KVM_EMULATED:
		EXPECT_NE(NULL, strstr(probe.detail, "cannot run a kernel"));
		/* Nothing is run where something is missing. */
		EXPECT_EQ(!strstr(probe.detail, "this KVM has no"), 0.0 < probe.minsn_per_s);
		break;
	case KTSTR_KVM_ABSENT:
		EXPECT_EQ(0.0, probe.minsn_per_s);
		break;
	default:
		EXPECT_EQ(KTSTR_KVM_ABSENT, probe.kind);
	}
}

TEST(absent_exactly_when_the_device_cannot_be_opened)
{
	bool usable = !access("/dev/kvm", R_OK | W_OK);
	struct ktstr_probe probe;

	ktstr_probe__run(&probe);
	EXPECT_EQ(!usable, probe.kind == KTSTR_KVM_ABSENT);
}

TEST(emulated_host_is_native)
{
	struct ktstr_probe probe;

	if (!getenv("KTSTR_INSIDE_EMULATED_HOST"))
		SKIP(return, "only inside an emulated KVM host");
	ktstr_probe__run(&probe);
	EXPECT_EQ(KTSTR_KVM_NATIVE, probe.kind);
}

TEST(leaves_no_file_signal_or_mask_behind)
{
	int files = open_files();
	sigset_t before, after, pending;
	struct ktstr_probe probe;

	sigprocmask(SIG_BLOCK, NULL, &before);
	for (int i = 0; i < 3; i++)
		ktstr_probe__run(&probe);
	sigprocmask(SIG_BLOCK, NULL, &after);
	EXPECT_EQ(files, open_files());
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		EXPECT_EQ(sigismember(&before, sig), sigismember(&after, sig));
	sigpending(&pending);
	EXPECT_EQ(0, sigismember(&pending, SIGRTMAX - 1));
}

TEST_HARNESS_MAIN
