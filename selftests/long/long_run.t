#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# 1,000 machines one after the other and 16 at once for ten minutes, of guests of some instructions, in
# one process each: nothing grows and nothing is left. Then 100 machines with a real kernel, each by a
# command of its own.
#   KTSTR_BOOTS, KTSTR_SECONDS, KTSTR_KERNEL_BOOTS   other numbers
# shellcheck source-path=SCRIPTDIR/../cli source=tap.sh
. "$(dirname "$0")/../cli/tap.sh"

: "${KTSTR_BOOTS:=1000}" "${KTSTR_SECONDS:=600}" "${KTSTR_KERNEL_BOOTS:=100}"
export KTSTR_BOOTS KTSTR_SECONDS
self=$PWD/$0
case $0 in /*) self=$0 ;; esac

# What a run could leave, as lines: semaphores, shared memory, processes, temporary and cached files.
leftovers() {
	awk 'NR > 1 { print "semaphore", $2 }' /proc/sysvipc/sem
	ls /dev/shm /tmp "${XDG_RUNTIME_DIR:-/tmp}"
	pgrep -x 'ktstr|loop|vcpu.*|disk|network' | grep -vx "$$"
	find "${KTSTR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ktstr}/initramfs" -type f 2>/dev/null
}

# Where KVM is: many commands, one after the other. The first fills the cache.
many_boots() {
	"$KTSTR" run -t 1n1l2c1t -- true || exit
	leftovers >"$1.before"
	n=0
	while [ "$n" -lt "$2" ]; do
		n=$((n + 1))
		"$KTSTR" run -t 1n1l2c1t -- sh -c "echo boot $n" || {
			echo "boot $n: exit status $?"
			exit
		}
	done
	leftovers >"$1.after"
	diff "$1.before" "$1.after" && echo "nothing is left"
}

if [ "${1-}" = boots ]; then
	many_boots "$2" "$3"
	exit
fi

echo "TAP version 13"
"$(dirname "$KTSTR")/selftests/vmm/test_long_run" >"$tmp/log" 2>&1 </dev/null
status=$?
grep -E ' boots: | Expected |test_long_run' "$tmp/log" | sed 's/^#* */# /'
ok one_after_the_other grep -qE '^ok .* machines\.one_after_the_other$' "$tmp/log"
ok sixteen_at_once grep -qE '^ok .* machines\.sixteen_at_once$' "$tmp/log"
ok all_of_it_ran test "$status" -eq 0

if "$KTSTR" probe | grep -q '^native'; then
	"$self" boots "$tmp/left" "$KTSTR_KERNEL_BOOTS" >"$tmp/out" 2>&1
else
	"$KTSTR" emulated-host run -- env KTSTR="$KTSTR" "$self" boots /tmp/left "$KTSTR_KERNEL_BOOTS" >"$tmp/out" 2>&1
fi
ok kernels_boot_each_time sh -c "[ \"\$(grep -cxE 'boot [0-9]+' '$tmp/out')\" -eq $KTSTR_KERNEL_BOOTS ]"
ok and_nothing_is_left grep -qx 'nothing is left' "$tmp/out"
plan
