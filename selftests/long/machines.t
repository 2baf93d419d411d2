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

ktstr run --topology 2n4l4c2t --memory 2048 -- nproc
ok thirty_two_cpus_are_up grep -qx 32 "$tmp/out"
plan
