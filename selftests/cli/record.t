#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Records: what `ktstr run --artifacts` leaves, and `ktstr rerun` of it; --watch. Each run and rerun
# boots a kernel.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

echo "TAP version 13"
cd "$tmp" || exit

ktstr run --watch --artifacts record --topology 1n2l1c1t -- \
	sh -c 'echo to stdout; echo to stderr >&2; nproc; exit 7'
ok recorded_run_has_its_status test "$status" -eq 7
ok recorded_run_has_its_output grep -qx 'to stdout' out
ok watch_shows_exits_and_cpu_time grep -qE '^ktstr: [0-9.]+ s, boot: exits [0-9]+ .* vCPUs ran ' err

json_has() { # json_has FILE PATTERN
	grep -qE "$2" "record/$1"
}
ok result_has_the_verdict json_has result.json '"verdict": "FAIL", "cause": "exit code 7"'
ok result_has_the_topology json_has result.json '"topology": "--topology 1n2l1c1t"'
ok result_names_the_guests_kernel json_has result.json '"kernel_release": "[0-9]+\.[0-9]'
ok result_has_what_the_host_did json_has result.json \
	'"host_use": ."of": "test", "host_ns": [1-9][0-9]*, "guest_ns": [1-9][0-9]*, "steal_percent": [0-9]'
ok result_has_kvms_counters json_has result.json '"kvm": .*"halt_exits": [1-9]'
ok stdout_is_there grep -qx 'to stdout' record/stdout.txt
ok stderr_is_there grep -qx 'to stderr' record/stderr.txt
ok kernels_log_begins_with_its_version grep -q 'Linux version' record/kernel.txt
ok kernels_log_goes_to_the_end grep -q 'Run /init as init process' record/kernel.txt
ok events_are_there json_has events.jsonl '"type": "TEST", .*"exit_code": 7'
ok samples_have_both_vcpus test "$(tail -n 1 record/monitor.jsonl | grep -o run_ns | wc -l)" -eq 2
ok frames_begin_with_their_magic test "$(head -c 4 record/frames.bin)" = KTLV

# Nothing is taken from where it was found: not the kernel, not the command.
ktstr run --kernel "$tmp/nowhere" -- true
ok a_kernel_that_is_not_there_is_refused refused nowhere
KTSTR_KERNEL=$tmp/nowhere
export KTSTR_KERNEL
mv record moved
ktstr rerun moved
ok rerun_has_the_same_status test "$status" -eq 7
ok rerun_has_the_same_output grep -qx 'to stdout' out
ok rerun_has_the_same_topology grep -qx 2 out
ok rerun_says_that_it_ended_alike test "$(said)" = 'ktstr: rerun: FAIL, as recorded'

sed -i 's/"verdict": "FAIL"/"verdict": "KERNEL_PANIC"/' moved/result.json
ktstr rerun moved
ok rerun_that_ended_otherwise_has_its_own_status test "$status" -eq 7
ok rerun_says_when_it_ended_otherwise test "$(said)" = \
	'ktstr: rerun: FAIL, but KERNEL_PANIC was recorded'
unset KTSTR_KERNEL

ktstr rerun --artifacts moved moved
ok a_record_is_not_overwritten_by_its_rerun refused 'is the record that is run again'
ok a_record_that_was_not_overwritten_is_whole test -s moved/kernel
ktstr run --artifacts record --extract cat -- true
ok an_extractor_cannot_go_with_a_record refused 'cannot go with --artifacts'
ktstr rerun nothing
ok rerun_of_nothing_is_refused refused 'nothing/machine: open: No such file'
sed -i 's/^memory_mb=.*/memory_mb=lots/' moved/machine
ktstr rerun moved
ok damaged_settings_are_named refused '"memory_mb=lots" is not understood'
ktstr rerun
ok rerun_needs_a_directory refused 'DIR: missing'
ktstr run --artifacts /proc/nothing -- true
ok a_place_that_cannot_be_written_has_status_2 test "$status" -eq 2
ok a_place_that_cannot_be_written_is_refused grep -q '^ktstr: run: /proc/nothing: ' err
plan
