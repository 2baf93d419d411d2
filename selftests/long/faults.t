#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Every fault of scx_ktstr against what is to see it; the quick ones are in selftests/sched_ext/faults.c.
: "${KTSTR:=$(dirname "$0")/../../build/ktstr}"
exec "$(dirname "$KTSTR")/selftests/sched_ext/faults_long"
