// SPDX-License-Identifier: GPL-2.0-only
/* The canned scenarios under the kernel's own scheduler. */
#include <ktstr/harness.h>

#include <ktstr/canned.h>

KTSTR_CANNED_TESTS(.timeout_s = 120)

KTSTR_HARNESS_MAIN
