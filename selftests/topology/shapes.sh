#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# What a machine's Linux shows of its topology is what golden/NAME.expect says, for each
# golden/NAME.shape. Each machine is booted once and has a TAP line for each section.
#   SHARD=I/N           every Nth shape from the Ith on, for runs side by side (1/1)
#   KTSTR_MIN_CPUS=N    shapes of fewer CPUs are left out (1)
#   KTSTR_MAX_CPUS=N    shapes of more CPUs are left out (16)
#   KTSTR_VENDORS="V.." CPU vendors to boot each with: intel, amd, or host, as the host is (host)
# Arguments are names of shapes: these alone.
# shellcheck source-path=SCRIPTDIR/../cli source=tap.sh
. "$(dirname "$0")/../cli/tap.sh"

here=$(cd "$(dirname "$0")" && pwd)
: "${SHARD:=1/1}" "${KTSTR_MIN_CPUS:=1}" "${KTSTR_MAX_CPUS:=16}" "${KTSTR_VENDORS:=host}"

# The lines of section $1 of file $2, with single spaces: widths of columns are not compared. On arm64,
# Linux numbers caches by the least CPU register of those that share one, so it is who shares which, and
# it takes L1 caches for those of the CPU's node in the device tree, which is a thread.
section() {
	awk -v name="$1" -v machine="$(uname -m)" '
		function sharing(ids,   n, i, id, text) {
			n = split(ids, id, ":")
			for (i = 3; i <= n; i++) {
				if (!((i, id[i]) in number))
					number[i, id[i]] = count[i]++
				text = text ":" number[i, id[i]] + 0
			}
			return text
		}
		/^== / { inside = $2 == name; next }
		inside && NF {
			if (machine == "aarch64" && name == "cpus_and_caches" && $5 ~ /^[0-9:]+$/)
				$5 = sharing($5)
			$1 = $1
			print
		}' "$2"
}

# The machine ran, and printed section $1: one that is empty is still there.
printed() {
	[ "$status" -eq 0 ] || return
	if ! grep -qx "== $1" "$tmp/observed"; then
		echo "the machine printed no section $1" >"$tmp/out"
		return 1
	fi
}

# as_expected SECTION: what Linux shows is what is in $golden.
as_expected() {
	printed "$1" || return
	section "$1" "$golden" >"$tmp/expected.lines"
	section "$1" "$tmp/observed" >"$tmp/observed.lines"
	diff -U 1 --label expected --label observed "$tmp/expected.lines" "$tmp/observed.lines" \
		>"$tmp/out"
}

# Each node has the RAM that was asked for, but for what PCs lack below 1 MiB. For use it is less
# by what the kernel keeps: 1/32 (it describes each page), 64 MiB (its image, which may lie in any
# node) and 1/2 MiB a CPU; on the whole this holds once.
memory_as_expected() {
	printed memory_size || return
	section memory_size "$golden" >"$tmp/expected.lines"
	section memory_size "$tmp/observed" | awk -v cpus="$cpus" '
		function check(what, mb, kb, usable) {
			if (kb > mb * 1024 || kb < mb * 1024 - 1024)
				print what " has " kb " kB, of " mb " MB"
			if (usable > kb || usable < mb * 1024 * 31 / 32 - 65536 - cpus * 512)
				print what " has " usable " kB for use, of " mb " MB"
		}
		NR == FNR { mb[$2] = $3; all += $3; next }
		!($2 in mb) { print "unexpected: " $0; next }
		{
			check("node " $2, mb[$2], $3, $5)
			delete mb[$2]
			nodes_kb += $3
			nodes_usable += $5
		}
		END {
			for (node in mb)
				print "node " node " is missing"
			if (nodes_kb)
				check("all nodes:", all, nodes_kb, nodes_usable)
		}' "$tmp/expected.lines" - >"$tmp/out"
	[ ! -s "$tmp/out" ]
}

# check_machine NAME VENDOR
check_machine() {
	machine=$1
	[ "$2" = host ] || machine=$1_$2
	options=$(grep -v '^#' "$here/golden/$1.shape")
	[ "$2" = host ] || options="$options --vendor $2"
	# shellcheck disable=SC2086 # words
	ktstr run $options --timeout 300 -- "$here/observe"
	mv "$tmp/out" "$tmp/observed"
	[ "$status" -ne 0 ] || : >"$tmp/err"
	sections=$(sed -n 's/^== //p' "$golden")
	# That is HMAT's, which is ACPI's.
	[ "$(uname -m)" != aarch64 ] || sections=$(echo "$sections" | grep -vx memory_attributes)
	for statement in $sections; do
		: >"$tmp/out"
		check=as_expected
		[ "$statement" != memory_size ] || check=memory_as_expected
		ok "${machine}_$statement" "$check" "$statement"
		: >"$tmp/err" # once, of a machine that failed
	done
}

# all_shapes NAME...: these, or all that there are.
all_shapes() {
	if [ $# -gt 0 ]; then
		printf '%s\n' "$@"
		return
	fi
	for shape in "$here"/golden/*.shape; do
		basename "$shape" .shape
	done
}

refuse() {
	echo "Bail out! $1"
	exit 1
}

echo "TAP version 13"
for vendor in $KTSTR_VENDORS; do
	case $vendor in
	host | intel | amd) ;;
	*) refuse "KTSTR_VENDORS: $vendor: give intel, amd or host" ;;
	esac
done
shard=${SHARD%/*}
shards=${SHARD#*/}
if ! [ "$shard" -ge 1 ] || [ "$shard" -gt "$shards" ]; then
	refuse "SHARD: $SHARD: give I/N, as in 1/4"
fi
cd "$tmp" || exit

turn=0
for shape in $(all_shapes "$@"); do
	golden=$here/golden/$shape.expect
	cpus=$(sed -n 's/^# \([0-9]*\) CPUs$/\1/p' "$golden")
	[ -n "$cpus" ] || refuse "$golden: does not say how many CPUs; run selftests/topology/expect"
	if [ "$cpus" -lt "$KTSTR_MIN_CPUS" ] || [ "$cpus" -gt "$KTSTR_MAX_CPUS" ]; then
		continue
	fi
	turn=$((turn % shards + 1))
	[ "$turn" -eq "$shard" ] || continue
	for vendor in $KTSTR_VENDORS; do
		check_machine "$shape" "$vendor"
	done
done
[ "$tests" -gt 0 ] || refuse "no shape has $KTSTR_MIN_CPUS to $KTSTR_MAX_CPUS CPUs in shard $SHARD"
plan
