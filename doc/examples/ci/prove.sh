#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# An installed suite under prove: prove.sh DIR, DIR as of `make -C selftests install INSTALL_PATH=DIR`.
# Each test binary is a TAP source; several run at once, and the machines of all of them stay within what
# the host has (ktstr-harness(7), BUDGET).
set -e
cd "${1:?the directory of the installed suite}"
cd sched_ext
sed -n 's|^sched_ext:|./|p' ../kselftest-list.txt | prove -j "$(nproc)" --timer --exec '' -
