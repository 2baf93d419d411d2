#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Machines that take long to boot in emulation: RAM around the 32-bit hole, the split interrupt chip,
# an unpacked kernel, many CPUs.
# shellcheck source-path=SCRIPTDIR/../cli source=tap.sh
. "$(dirname "$0")/../cli/tap.sh"

# The kernel keeps some of its RAM for itself: at most 1/32 and 64 MiB.
has_memory() { # has_memory MB
	awk -v mb="$1" '/^MemTotal:/ { kb = $2 }
		END { exit !(kb <= mb * 1024 && kb >= mb * 1024 * 31 / 32 - 65536) }' "$tmp/out"
}

echo "TAP version 13"
for mb in 512 2048 3072 3584 4096 5120 8192; do
	ktstr run --memory "$mb" -- cat /proc/meminfo
	ok "memory_of_${mb}_mib_is_all_there" has_memory "$mb"
done

ktstr run --irqchip split --topology 1n1l2c1t -- cat /proc/interrupts
ok split_chip_delivers_interrupts grep -qE 'IO-APIC +16-edge +virtio0' "$tmp/out"

image=$("$KTSTR" kernel path)
vmlinux=$(dirname "$image")/vmlinux
if [ -e "$vmlinux" ]; then
	ktstr run --kernel "$vmlinux" -- uname -r
	ok vmlinux_boots grep -qxF "$(basename "$(dirname "$image")")" "$tmp/out"
fi

ktstr run --topology 2n4l4c2t --memory 2048 -- nproc
ok thirty_two_cpus_are_up grep -qx 32 "$tmp/out"
plan
