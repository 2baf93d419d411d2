// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each canned scenario against the fault of scx_ktstr that it is there to see (ktstr/canned.h): it
 * passes without the fault (canned_scx.c), so what is seen here comes of that. Long: run by
 * make check-long.
 */
#include <ktstr/harness.h>

#include <ktstr/canned.h>

#include "fault_scenarios.h"

FIXTURE(canned_fault){};

FIXTURE_VARIANT(canned_fault)
{
	const struct ktstr_canned *canned;
	uint32_t seen_by; /* checks, a bit each; 0: the scheduler ends */
};

/* How the scheduler ends, and the check that fails. */
#define EXIT_STARVATION KTSTR_SCX_EXIT_NONE
#define EXIT_ISOLATION KTSTR_SCX_EXIT_NONE
#define EXIT_FAIRNESS KTSTR_SCX_EXIT_NONE
#define EXIT_WAKE_P99 KTSTR_SCX_EXIT_NONE
#define EXIT_MIGRATIONS KTSTR_SCX_EXIT_NONE
#define EXIT_IMBALANCE KTSTR_SCX_EXIT_NONE
#define EXIT_LOCALITY KTSTR_SCX_EXIT_NONE
#define EXIT_UNREG_BPF KTSTR_SCX_EXIT_UNREG_BPF
#define EXIT_ERROR KTSTR_SCX_EXIT_ERROR
#define EXIT_ERROR_BPF KTSTR_SCX_EXIT_ERROR_BPF
#define EXIT_ERROR_STALL KTSTR_SCX_EXIT_ERROR_STALL

/* What the kernel says of it. */
#define CAUSE_STARVATION NULL
#define CAUSE_ISOLATION NULL
#define CAUSE_FAIRNESS NULL
#define CAUSE_WAKE_P99 NULL
#define CAUSE_MIGRATIONS NULL
#define CAUSE_IMBALANCE NULL
#define CAUSE_LOCALITY NULL
#define CAUSE_UNREG_BPF "told to exit"
#define CAUSE_ERROR "not allowed for "
#define CAUSE_ERROR_BPF "told to crash in "
#define CAUSE_ERROR_STALL "runnable task stall ("

#define CHECKS_STARVATION KTSTR_CHECK(STARVATION)
#define CHECKS_ISOLATION KTSTR_CHECK(ISOLATION)
#define CHECKS_FAIRNESS KTSTR_CHECK(FAIRNESS)
#define CHECKS_WAKE_P99 KTSTR_CHECK(WAKE_P99)
#define CHECKS_MIGRATIONS KTSTR_CHECK(MIGRATIONS)
#define CHECKS_IMBALANCE KTSTR_CHECK(IMBALANCE)
#define CHECKS_LOCALITY KTSTR_CHECK(LOCALITY)
#define CHECKS_UNREG_BPF 0
#define CHECKS_ERROR 0
#define CHECKS_ERROR_BPF 0
#define CHECKS_ERROR_STALL 0

#define FAULTY(id, topo, by, fault, comm)                                                        \
	KTSTR_FIXTURE_VARIANT_ADD(canned_fault, id, .topology = topo,                            \
				  .expect_sched_exit = EXIT_##by, .expect_cause = CAUSE_##by,    \
				  .scheduler_args = KTSTR_ARGS("--fault", fault, "--fault-comm", \
							       comm, "--fault-on-signal")){      \
		.canned = &ktstr_canned_##id,                                                    \
		.seen_by = CHECKS_##by,                                                          \
	};
KTSTR_CANNED(FAULTY)

FIXTURE_SETUP(canned_fault)
{
	ASSERT_EQ(0, fault__begin(NULL));
}

FIXTURE_TEARDOWN(canned_fault)
{
}

KTSTR_TEST_F(canned_fault, is_seen, .scheduler = "scx_ktstr", .scheduler_ops = "ktstr",
	     .timeout_s = 180)
{
	EXPECT_TRUE(fault_scenario__sees(&variant->canned->scenario, variant->seen_by));
	/* A scheduler that ends takes the test with it: by the kernel's watchdog, after 30 s. */
	if (!variant->seen_by)
		pause();
}

KTSTR_HARNESS_MAIN
