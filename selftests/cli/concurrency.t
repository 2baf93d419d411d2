#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Machines of one host share a budget of vCPUs, and the tests of one binary can run at once. All of
# it on one host: an emulated one has a budget of its own. Four machines, and those of two tests
# twice.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

forms=$(dirname "$KTSTR")/selftests/sched_ext/harness_forms

# Where KVM runs kernels.
where_kvm_is() {
	if "$KTSTR" probe | grep -q '^native'; then
		"$@"
	else
		"$KTSTR" emulated-host run -- "$@"
	fi
}

echo "TAP version 13"
cd "$tmp" || exit

# In the log, a line for each machine's command that started and for each `ktstr run` that ended.
cat >machines <<'END'
ktstr=$1
until_true() {
	tries=900
	while ! "$@"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || exit 1
		sleep 0.1
	done
}
run() { # run NAME: until it is stopped; its process is $!
	"$ktstr" run -- sh -c "echo started $1; exec sleep 1000" >>log 2>"err.$1" </dev/null &
}
stop() { # stop NAME PID
	kill -s TERM "$2"
	status=0
	wait "$2" || status=$?
	echo "ended $1 $status" >>log
}
: >log
export KTSTR_MAX_VCPUS=1
run first
first=$!
until_true grep -qx 'started first' log
run second
second=$!
until_true grep -q waiting err.second
run third
third=$!
until_true grep -q waiting err.third
stop third "$third"
stop first "$first"
until_true grep -qx 'started second' log
KTSTR_MAX_VCPUS=8
run fourth
fourth=$!
until_true grep -qx 'started fourth' log
stop second "$second"
stop fourth "$fourth"
END
where_kvm_is sh machines "$KTSTR" >out 2>err </dev/null
# A wait ends at once by a signal; beyond the budget one waits for the other; within, both run.
printf '%s\n' 'started first' 'ended third 143' 'ended first 143' 'started second' \
	'started fourth' 'ended second 143' 'ended fourth 143' >expected
cp log out
ok machines_wait_for_the_budget_and_no_longer cmp -s log expected
cp err.second err
ok waiting_is_told_once test "$(grep -c '^ktstr: waiting for 1 vCPU and 512 MiB: machines have 1 of 1 vCPUs and ' err)" \
	-eq 1
cp err.third err
ok interrupted_wait_is_an_interrupted_run grep -q '^ktstr: INTERRUPTED: .*while it waited' err
cp err.fourth err
ok who_has_room_is_told_nothing test "$(grep -c waiting err)" -eq 0

# Lines of the kernel have its time.
tap() {
	grep -vE '^# \|' "$1"
}
set -- -t test_ends_by_the_signal_that_it_names -r fixture.bad.set_up_body_and_variant_meet
where_kvm_is env KTSTR_MAX_VCPUS=8 "$forms" "$@" >serial 2>err </dev/null
where_kvm_is env KTSTR_MAX_VCPUS=8 "$forms" --jobs 2 "$@" >parallel 2>>err </dev/null
tap serial >serial.tap
tap parallel >out
ok tests_ran_one_after_the_other test "$(grep -c '^ok ' serial)" -eq 2
ok tests_at_once_print_the_same cmp -s serial.tap out
plan
