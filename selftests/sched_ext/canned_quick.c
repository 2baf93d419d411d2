// SPDX-License-Identifier: GPL-2.0-only
/* Some canned scenarios of each area under scx_ktstr; all of them are canned_scx's, a long test. */
#include <ktstr/harness.h>

#include <ktstr/canned.h>

KTSTR_CANNED_QUICK_TESTS(.scheduler = "scx_ktstr", .scheduler_ops = "ktstr", .timeout_s = 120)

KTSTR_HARNESS_MAIN
