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

# Of the first machine and of the last one that ends, KVM has the kernel patch its scheduler while all
# CPUs run it, which kernels on several emulated CPUs do not always survive. One that stays is enough.
cat >machine.py <<'END'
import fcntl, os, time
fcntl.ioctl(os.open("/dev/kvm", os.O_RDWR), 0xae01, 0)  # KVM_CREATE_VM
open("/tmp/made", "w").close()
time.sleep(10000)
END

# shellcheck disable=SC2059
ktstr emulated-host -t 2n4l2c1t -- sh -c "
	echo 64 >$(printf "$pages" 0) && echo 64 >$(printf "$pages" 1) &&
	cat /sys/devices/system/cpu/cpu*/cache/index3/shared_cpu_list | sort -u &&
	echo nodes \$(cat /sys/devices/system/node/online) || exit
	python3 $tmp/machine.py & until [ -e /tmp/made ]; do sleep 0.1; done
	exec $test"
ok host_has_4_llcs test "$(grep -xcE '0-1|2-3|4-5|6-7' out)" -eq 4
ok host_has_2_nodes grep -qx 'nodes 0-1' out
ok all_is_applied_and_read_back test "$status" -eq 0
ok nothing_is_skipped grep -qE '^# Totals: pass:[1-9][0-9]* fail:0 xfail:0 xpass:0 skip:0 error:0$' out
ok memory_is_in_hugepages grep -q 'met: memory: node 1: .* bound to host node 1, 33 hugepages' err

plan
