#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The scheduler tests of the gauntlet on more machines than `make check` has time for.
export KTSTR_BUDGET_S="${KTSTR_BUDGET_S-900}"
exec "$(dirname "$KTSTR")/selftests/sched_ext/gauntlet"
