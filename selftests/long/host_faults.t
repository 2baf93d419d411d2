#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# A host that fails in the middle of a run: signals to a command and to a test, the death of their
# processes and of an emulated KVM host, a process that is stopped for longer than its limit, a clock
# that jumps. Each ends with a status that fits, leaves nothing behind, and the next run works.
# shellcheck source-path=SCRIPTDIR/../cli source=tap.sh
. "$(dirname "$0")/../cli/tap.sh"

self=$PWD/$0
case $0 in /*) self=$0 ;; esac

# ---- Where KVM is: a line for each fault, told to the other side ----

leftovers() {
	awk 'NR > 1 { print "semaphore", $2 }' /proc/sysvipc/sem
	ls /dev/shm
	pgrep -w -l -x 'vcpu[0-9]+|loop|disk|network|harness_forms'
	pgrep -fl "^$KTSTR run"
}

nothing_is_left() {
	for _ in $(seq 50); do
		[ -n "$(leftovers)" ] || return 0
		sleep 0.2
	done
	leftovers | sed 's/^/left: /'
	return 1
}

# Starts a run in the background that says "up" when its guest is; $pid is the command, the pipe is
# number 3.
start() {
	rm -f pipe && mkfifo pipe || exit
	"$KTSTR" run -t 1n1l2c1t "$@" >pipe 2>err </dev/null &
	pid=$!
	exec 3<pipe
	read -r line <&3
	[ "$line" = up ] || cat err
}

# The rest of what it says, and its status.
finish() {
	while read -r line <&3; do
		said=$line
	done
	exec 3<&-
	status=0
	wait "$pid" || status=$?
}

tell() {
	nothing_is_left && echo "$1: status $status, nothing left" || echo "$1: status $status"
}

faults_inside() {
	cd "$(mktemp -d)" || exit
	for signal in HUP INT TERM KILL; do
		start -- sh -c 'echo up; exec sleep 1000'
		kill -s "$signal" "$pid"
		finish
		tell "$signal"
	done

	# Longer than the limit of the run, and of the guest's own watchdogs.
	start --timeout 15 -- sh -c 'echo up; sleep 3; echo end'
	kill -s STOP "$pid"
	sleep 30
	kill -s CONT "$pid"
	finish
	tell "stopped, $said"

	start --timeout 60 -- sh -c 'echo up; sleep 4; echo end'
	now=$(date +%s)
	date -s "@$((now + 36000))" >/dev/null
	sleep 1
	date -s "@$((now - 36000))" >/dev/null
	finish
	date -s "@$((now + 5))" >/dev/null
	tell "clock, $said"

	# A test: its own process, and the one that has the machine.
	for victim in parent child; do
		"$1" -t "$2" >out 2>&1 </dev/null &
		pid=$!
		until pgrep -w -x vcpu0 >/dev/null || ! kill -0 "$pid" 2>/dev/null; do
			sleep 0.1
		done
		case $victim in
		parent) kill -s KILL "$pid" ;;
		child) kill -s KILL "$(pgrep -P "$pid" | head -n 1)" ;;
		esac
		status=0
		wait "$pid" || status=$?
		tell "$victim of a test"
		grep '^not ok' out
	done
	"$KTSTR" run -t 1n1l2c1t -- echo "the next one works"
}

if [ "${1-}" = inside ]; then
	faults_inside "$2" "$3"
	exit
fi

# ---- Here ----

where_kvm_is() {
	if "$KTSTR" probe | grep -q '^native'; then
		"$@"
	else
		"$KTSTR" emulated-host run -- "$@"
	fi
}

says() { grep -qxE "$1" "$tmp/out"; }

echo "TAP version 13"
where_kvm_is env KTSTR="$KTSTR" "$self" inside "$(dirname "$KTSTR")/selftests/sched_ext/harness_forms" \
	plain_test_runs_in_a_guest >"$tmp/out" 2>"$tmp/err"
for fault in 'HUP: status 129' 'INT: status 130' 'TERM: status 143' 'KILL: status 137'; do
	ok "signal_${fault%%:*}" says "$fault, nothing left"
done
ok stopped_for_longer_than_the_limit says 'stopped, end: status 0, nothing left'
ok clock_that_jumps says 'clock, end: status 0, nothing left'
ok killed_test says 'parent of a test: status 137, nothing left'
ok killed_machine_of_a_test says 'child of a test: status 1, nothing left'
ok killed_machine_is_a_failed_test says 'not ok 1 .*'
ok the_next_run_works says 'the next one works'
plan
