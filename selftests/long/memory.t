#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# RAM around the 32-bit hole is all there.
# shellcheck source-path=SCRIPTDIR/../cli source=tap.sh
. "$(dirname "$0")/../cli/tap.sh"

# The kernel keeps some of its RAM for itself: at most 1/32 and 64 MiB.
has_memory() { # has_memory MB
	awk -v mb="$1" '/^MemTotal:/ { kb = $2 }
		END { exit !(kb <= mb * 1024 && kb >= mb * 1024 * 31 / 32 - 65536) }' "$tmp/out"
}

echo "TAP version 13"
for mb in 512 2048 3072 3584 4096 5120 8192 16384; do
	ktstr run --memory "$mb" -- cat /proc/meminfo
	ok "memory_of_${mb}_mib_is_all_there" has_memory "$mb"
done
plan
