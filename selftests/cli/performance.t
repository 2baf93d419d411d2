#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Performance mode with a real kernel, on a host that cannot give all of it: what is required is an
# error before anything boots, and of the best that can be had each downgrade is told.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

told() { # told STATE NAME: a condition, on stderr
	grep -qE "^ktstr: performance mode: $1: $2: .* \\(.*\\)$" err
}

echo "TAP version 13"
cd "$tmp" || exit

ktstr run --performance=some -- true
ok other_modes_are_refused refused '--performance: takes required or best-effort'

# More vCPUs than an LLC of any host has CPUs.
ktstr run --topology 1n1l1024c1t --performance -- true
ok without_enough_cpus_it_is_an_error test "$status" -eq 2
ok the_error_has_a_remedy grep -qE 'ktstr: .*1024 vCPUs and service threads need 1025 CPUs.*; declare a smaller' err

# It has one CPU, or more: both are fine for two vCPUs and best effort.
ktstr run --topology 1n1l2c1t --performance=best-effort --report result.json -- sh -c '
	nproc; cat /sys/devices/system/clocksource/clocksource0/current_clocksource'
ok a_kernel_boots_in_best_effort test "$status" -eq 0
ok it_has_its_cpus grep -qx 2 out
if [ "$(nproc)" -lt 3 ] || grep -q 'using the emulated KVM host' err; then
	ok too_few_cpus_are_told told downgraded 'cpus'
	ok idle_cpus_that_leave_the_guest_are_told told downgraded exits
	ok the_record_has_it_too grep -q '"name": "cpus", "state": "downgraded"' result.json
	ok the_record_says_it_is_not_met grep -q '"performance": {"mode": "best-effort", "met": false' \
		result.json
fi
ok all_memory_is_present grep -qE '"name": "memory", "state": "met", "text": "node 0: [0-9]+ MiB present' \
	result.json

# Two vCPUs that want one CPU have half of it each.
ktstr run --max-steal-pct 0 -- true
ok limits_that_are_none_are_refused refused '--max-steal-pct: takes a percentage above 0'
ktstr run --topology 1n1l2c1t --max-steal-pct 5 -- sh -c '
	timeout 3 sh -c "while :; do :; done" & timeout 3 sh -c "while :; do :; done"; wait; echo done'
if grep -q 'using the emulated KVM host' err; then
	ok cpus_that_were_not_there_are_a_failure test "$status" -eq 1
	ok the_failure_says_how_much grep -qE \
		'^ktstr: FAIL: vCPU [01] waited for a CPU of the host for .* % of .* s; max_steal_pct is 5$' err
fi
ok the_command_did_its_work grep -qx 'done' out

ktstr run --report result.json -- true
ok without_it_the_record_says_so grep -q '"performance": null' result.json

plan
