#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Another kernel: Linux 6.12 of Debian's source, built with ./config (once: 10 minutes on 2 CPUs), and
# the sched_ext tests and schedulers that came with it. No test is skipped there.
# shellcheck source-path=SCRIPTDIR/../cli source=tap.sh
. "$(dirname "$0")/../cli/tap.sh"
unset KTSTR_QUICK

top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(dirname "$KTSTR")
dir=$build/linux-6.12

# Everything that the tree has for this kernel, and our programs beside it.
build_tree() {
	ksrc=$("$KTSTR" kernel ksrc 6.12) &&
		env -u MAKEFLAGS -u MAKELEVEL make -C "$top/selftests/sched_ext" OUTPUT="$dir" \
			KTSTR_O="$build" KSRC="$ksrc" KERNEL=6.12 kernel-tree &&
		cp "$build"/selftests/sched_ext/kernel_s* "$dir/"
} >"$tmp/out" 2>"$tmp/err"

# The tests of a program become tests of this script; one that fails without saying so is one more.
run() { # run PROGRAM OPTIONS...
	program=$1
	shift
	status=0
	KTSTR_KERNEL=6.12 "$dir/$program" "$@" >"$tmp/tap" || status=$?
	nr=$(grep -cE '^(not )?ok [0-9]+' "$tmp/tap")
	awk -v n="$tests" -v program="$program" '/^TAP version|^1\.\./ { next }
		/^(not )?ok [0-9]+/ { sub(/ok [0-9]+/, "ok " (++n) " " program) }
		{ print }' "$tmp/tap"
	tests=$((tests + nr))
	: >"$tmp/out"
	ok "${program}_passes" test "$status" -eq 0
	ok "${program}_skips_nothing" test "$(grep -c '^ok .*# SKIP' "$tmp/tap")" -eq 0
}

echo "TAP version 13"
: >"$tmp/out"
"$KTSTR" kernel build 6.12 2>"$tmp/err" || status=$?
ok kernel_is_built test "${status:-0}" -eq 0
ok tests_and_schedulers_are_built build_tree
run kernel_suite
ok every_test_of_the_source_has_run test "$nr" -eq \
	"$(cat "$ksrc"/tools/testing/selftests/sched_ext/*.c | grep -c '^REGISTER_SCX_TEST(&')"

# The scx_central of this tree starts only when it is enabled on its central CPU, but its kernel has a
# thread for that, on any CPU: it is tried on one CPU.
run kernel_schedulers -T scx_central
ktstr run --kernel 6.12 --topology 1n1l1c1t --scheduler "$dir/kernel/scx_central" -- \
	cat /sys/kernel/sched_ext/root/ops
ok scx_central_attaches_on_one_cpu grep -qx central "$tmp/out"
ok every_scheduler_of_the_source_has_run test $((nr + 1)) -eq \
	"$(find "$ksrc/tools/sched_ext" -name 'scx_*.bpf.c' | wc -l)"
plan
