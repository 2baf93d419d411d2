// SPDX-License-Identifier: GPL-2.0-only
/* The canned scenarios under scx_ktstr. */
#include <ktstr/harness.h>

#include <ktstr/canned.h>

KTSTR_CANNED_TESTS(.scheduler = "scx_ktstr", .scheduler_ops = "ktstr", .timeout_s = 120)

KTSTR_HARNESS_MAIN
