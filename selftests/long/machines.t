#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Machines that take long to boot in emulation: the split interrupt chip, an unpacked kernel, many CPUs.
# shellcheck source-path=SCRIPTDIR/../cli source=tap.sh
. "$(dirname "$0")/../cli/tap.sh"

echo "TAP version 13"
ktstr run --irqchip split --topology 1n1l2c1t -- cat /proc/interrupts
ok split_chip_delivers_interrupts grep -qE 'IO-APIC +16-edge +virtio0' "$tmp/out"

image=$("$KTSTR" kernel path)
vmlinux=$(dirname "$image")/vmlinux
if [ -e "$vmlinux" ]; then
	ktstr run --kernel "$vmlinux" -- uname -r
	ok vmlinux_boots grep -qxF "$(basename "$(dirname "$image")")" "$tmp/out"
fi

# The kernel's virtual address: random (one time in 500 it is the one that it was linked for).
ktstr run -- grep -w _text /proc/kallsyms
ok kernel_lies_at_a_random_address grep -qE '^ffffffff[89a-f][0-9a-f]+ T _text' "$tmp/out"
ok kernel_lies_not_where_it_was_linked sh -c "! grep -q ^ffffffff81000000 '$tmp/out'"
ktstr run --append nokaslr -- grep -w _text /proc/kallsyms
ok nokaslr_leaves_it_where_it_was_linked grep -q '^ffffffff81000000 T _text' "$tmp/out"

# Without ACPI the MP table tells of the CPUs; what has no place there are the virtio devices.
ktstr run --topology 1n2l2c1t --append acpi=off -- nproc
ok mp_table_starts_all_cpus grep -qx 4 "$tmp/out"

# Ids above 254, where an interrupt needs the extended destination: 0 to 16, then 32, 64, ... 256.
# shellcheck disable=SC2016 # expanded in the guest
ktstr run --topology 1c1t --memory 1024 --node llcs=17 --node llcs=1 --node llcs=1 --node llcs=1 \
	--node llcs=1 --node llcs=1 --node llcs=1 --node llcs=1 --node llcs=1 -- \
	sh -c 'cat /proc/cpuinfo; for cpu in 0 24; do taskset -c $cpu sleep 0.1 && echo "slept on $cpu"; done'
ok cpus_with_ids_above_254_are_up test "$(grep -cE '^apicid[[:space:]]*: (256|224|0)$' "$tmp/out")" -eq 3
ok timers_and_wake_ups_reach_id_256 grep -qx 'slept on 24' "$tmp/out"

ktstr run --topology 2n4l4c2t --memory 2048 -- nproc
ok thirty_two_cpus_are_up grep -qx 32 "$tmp/out"
plan
