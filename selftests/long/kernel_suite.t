#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# All of the kernel's own tests of sched_ext, each in a machine of its own.
: "${KTSTR:=$(dirname "$0")/../../build/ktstr}"
unset KTSTR_QUICK
exec "$(dirname "$KTSTR")/selftests/sched_ext/kernel_suite"
