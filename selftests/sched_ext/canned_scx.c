// SPDX-License-Identifier: GPL-2.0-only
/* All canned scenarios under scx_ktstr; long: run by make check-long. */
#include <ktstr/harness.h>

#include <ktstr/canned.h>

KTSTR_CANNED_TESTS(.scheduler = "scx_ktstr", .scheduler_ops = "ktstr", .timeout_s = 120)

KTSTR_HARNESS_MAIN
