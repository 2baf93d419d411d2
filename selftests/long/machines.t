#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Machines that take long to boot in emulation: the split interrupt chip, an unpacked kernel, many CPUs.
# shellcheck source-path=SCRIPTDIR/../cli source=tap.sh
. "$(dirname "$0")/../cli/tap.sh"

echo "TAP version 13"
ktstr run --irqchip split --topology 1n1l2c1t -- cat /proc/interrupts
ok split_chip_delivers_interrupts grep -qE 'IO-APIC +16-edge +virtio0' "$tmp/out"

image=$("$KTSTR" kernel path)
release=$(basename "$(dirname "$image")")
vmlinux=$(dirname "$image")/vmlinux
if [ -e "$vmlinux" ]; then
	ktstr run -v --report "$tmp/report" --kernel "$vmlinux" -- uname -r
	ok vmlinux_boots grep -qxF "$release" "$tmp/out"
	ok vmlinux_is_said_to_have_no_relocations grep -q '^ktstr: KASLR: off: .* relocations' "$tmp/err"
	ok record_says_it_too grep -q '"kaslr": "NO_RELOCATIONS"' "$tmp/report"
fi

# number SIZE OFFSET: of the image, SIZE bytes at OFFSET.
number() {
	od -An "-tu$1" -j "$2" -N "$1" "$image" | tr -d ' '
}

# In 32 bits, little-endian.
le32() {
	for shift in 0 8 16 24; do
		# shellcheck disable=SC2059 # a byte
		printf "\\$(printf %03o $(($1 >> shift & 255)))"
	done
}

# The same kernel, packed with lz4. Its own start-up code is left out: only the host can unpack it.
# Documentation/arch/x86/boot.rst: setup_sects, payload_offset and payload_length.
pack_by_lz4() {
	start=$((($(number 1 497) + 1) * 512 + $(number 4 584)))
	length=$(number 4 588)
	tail -c "+$((start + 1))" "$image" | head -c "$length" >"$tmp/payload"
	case $(od -An -tx4 -N4 "$tmp/payload" | tr -d ' ') in
	fd2fb528) head -c $((length - 4)) "$tmp/payload" | zstd -dcq ;;
	587a37fd) head -c $((length - 4)) "$tmp/payload" | xz -dc ;;
	*) gzip -dc "$tmp/payload" ;;
	esac >"$tmp/unpacked"
	lz4 -l -q -c "$tmp/unpacked" >"$tmp/payload"
	le32 "$(wc -c <"$tmp/unpacked")" >>"$tmp/payload"
	{
		head -c 588 "$image"
		le32 "$(wc -c <"$tmp/payload")"
		head -c "$start" "$image" | tail -c +593
		cat "$tmp/payload"
	} >"$tmp/bzImage"
	rm "$tmp/payload" "$tmp/unpacked"
}

if command -v lz4 >/dev/null; then
	pack_by_lz4
	ktstr run -v --kernel "$tmp/bzImage" -- uname -r
	ok kernel_packed_with_lz4_boots grep -qxF "$release" "$tmp/out"
	ok kernel_packed_with_lz4_has_a_random_address grep -q '^ktstr: KASLR: on' "$tmp/err"
	rm "$tmp/bzImage"
else
	tests=$((tests + 1))
	echo "ok $tests kernel_packed_with_lz4_boots # SKIP lz4 is not installed"
fi

# The kernel's virtual address: random (one time in 500 it is the one that it was linked for).
ktstr run -- grep -w _text /proc/kallsyms
ok kernel_lies_at_a_random_address grep -qE '^ffffffff[89a-f][0-9a-f]+ T _text' "$tmp/out"
ok kernel_lies_not_where_it_was_linked sh -c "! grep -q ^ffffffff81000000 '$tmp/out'"
ktstr run -v --append nokaslr -- grep -w _text /proc/kallsyms
ok nokaslr_is_said_to_be_why grep -q '^ktstr: KASLR: off, as nokaslr asks$' "$tmp/err"
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
