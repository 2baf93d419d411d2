#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# All schedulers of the kernel tree, each in a machine of its own, under load.
: "${KTSTR:=$(dirname "$0")/../../build/ktstr}"
unset KTSTR_QUICK
exec "$(dirname "$KTSTR")/selftests/sched_ext/kernel_schedulers"
