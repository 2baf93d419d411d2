#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# What performance mode does on a host of 8 CPUs in 4 LLCs and 2 nodes with hugepages, an emulated
# one: selftests/vmm/test_performance reads all of it back, and skips nothing there.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

pages=/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/nr_hugepages
test=$(dirname "$KTSTR")/selftests/vmm/test_performance

echo "TAP version 13"
cd "$tmp" || exit

# shellcheck disable=SC2059
ktstr emulated-host -t 2n4l2c1t -- sh -c "
	echo 64 >$(printf "$pages" 0) && echo 64 >$(printf "$pages" 1) &&
	cat /sys/devices/system/cpu/cpu*/cache/index3/shared_cpu_list | sort -u &&
	echo nodes \$(cat /sys/devices/system/node/online) && exec $test"
ok host_has_4_llcs test "$(grep -xcE '0-1|2-3|4-5|6-7' out)" -eq 4
ok host_has_2_nodes grep -qx 'nodes 0-1' out
ok all_is_applied_and_read_back test "$status" -eq 0
ok nothing_is_skipped grep -qE '^# Totals: pass:[1-9][0-9]* fail:0 xfail:0 xpass:0 skip:0 error:0$' out
ok memory_is_in_hugepages grep -q 'met: memory: node 1: .* bound to host node 1, 33 hugepages' err

plan
