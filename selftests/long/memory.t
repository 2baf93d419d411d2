#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# RAM around the 32-bit hole is all there; what is called too little is, and what is called enough is, too.
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

# A directory of that many MiB in all, of files of 1 MiB, that are no programs.
mkdir "$tmp/large"
for i in $(seq 200); do
	head -c 1048576 /dev/zero | tr '\0' x >"$tmp/large/$i"
done

# The error names what is needed; with that the guest boots and has every file.
boots_with_what_is_named() { # boots_with_what_is_named CPUS OPTIONS...
	cpus=$1
	shift
	ktstr run --topology "1n1l${cpus}c1t" --memory 90 "$@" -- sh -c true
	need=$(sed -n 's/.*are too little: kernel and initramfs need \([0-9]*\) MiB.*/\1/p' "$tmp/err")
	[ -n "$need" ] || return 1
	ktstr run --topology "1n1l${cpus}c1t" --memory "$need" "$@" -- \
		sh -c "[ ! -d $tmp/large ] || [ \$(cat $tmp/large/* | wc -c) = 209715200 ]"
	echo "# $need MiB named" >>"$tmp/err"
	[ "$status" -eq 0 ]
}
ok "one_cpu_boots_with_the_memory_that_is_named" boots_with_what_is_named 1
ok "16_cpus_boot_with_the_memory_that_is_named" boots_with_what_is_named 16
ok "200_mib_of_files_fit_into_the_memory_that_is_named" boots_with_what_is_named 1 --include "$tmp/large"
plan
