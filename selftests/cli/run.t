#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# `ktstr run`: what a command shows and how it ends come back whole, and every other end of the
# machine has its verdict. Each "ktstr run" below boots a kernel.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

lines() { # lines N PATTERN: of stdout
	[ "$(grep -cE "$2" "$tmp/out")" -eq "$1" ]
}

echo "TAP version 13"
cd "$tmp" || exit

ktstr run --topology 1n2l2c2t -- lscpu -p=CPU,CORE,CACHE
ok status_of_success_is_0 test "$status" -eq 0
ok topology_has_8_cpus lines 8 '^[0-9]'
ok topology_has_2_llcs test \
	"$(grep -v '^#' out | sed 's/.*,//' | sort -u | wc -l)" -eq 2
ok topology_has_smt_pairs test \
	"$(grep -v '^#' out | cut -d, -f2 | sort | uniq -c | awk '$1 == 2' | wc -l)" -eq 4

# On more than one CPU, QEMU loses interrupts of nested guests.
one_cpu_each() {
	pids=$(pgrep -f -- '-name ktstr-emulated-host') || "$KTSTR" probe | grep -q '^native' || return 1
	for pid in $pids; do
		grep -qE '^Cpus_allowed_list:[[:space:]]*[0-9]+$' "/proc/$pid/status" || return 1
	done
}
ok emulated_hosts_stay_on_one_cpu_each one_cpu_each

head -c 1048576 /dev/urandom >data
# What the guest expands is quoted.
# shellcheck disable=SC2016
printf '%s\n' '#!/bin/sh' 'cat "$2"' 'echo "arg=$1" >&2' 'echo "cwd=$PWD" >&2' \
	'echo "stdin=$(wc -c)" >&2' 'echo "user=$(id -un)" >&2' \
	'echo fd >/dev/stderr' 'exit 3' >script
chmod +x script
ktstr run --include id -- ./script 'two  words' data
ok status_of_the_command_comes_back test "$status" -eq 3
ok binary_output_is_whole cmp -s out data
ok arguments_stay_whole grep -qx 'arg=two  words' err
ok working_directory_is_the_same grep -qx "cwd=$tmp" err
ok standard_input_is_empty grep -qx 'stdin=0' err
ok root_has_a_name grep -qx 'user=root' err
ok dev_stderr_is_there grep -qx fd err

# shellcheck disable=SC2016
ktstr run -- sh -c 'kill -s TERM $$'
ok signal_of_the_command_is_128_and_its_number test "$status" -eq 143

ktstr run -- sh -c 'echo c >/proc/sysrq-trigger'
ok panic_has_its_verdict lost KERNEL_PANIC
ok panic_shows_the_console grep -q '^# | .*sysrq' err

ktstr run --timeout 1 -- sleep 1000
ok timeout_has_its_verdict lost TIMEOUT
ok timeout_says_where_the_cpu_was grep -qE \
	'^ktstr: TIMEOUT: .*; vCPU 0 (halted )?at [a-z_][a-z0-9_.]*\+0x[0-9a-f]+$' err
ok timeout_shows_each_cpu grep -qE '^# \| vCPU 0 (halted )?at [a-z_][a-z0-9_.]*\+0x[0-9a-f]+$' err
ok timeout_shows_what_called_what grep -qE '^# \|   \? do_idle\+0x[0-9a-f]+$' err
ok timeout_makes_the_kernel_print_a_backtrace grep -q '^# | .*exc_nmi+0x' err

ktstr run -- sh -c 'kill -s SEGV 1; sleep 1000'
ok crash_of_init_has_its_verdict lost INIT_DIED
ok crash_of_init_has_functions_and_lines grep -qE '^# \| #[0-9]+ be_pid1 \(dispatch\.c:[0-9]+\)$' err

printf '%s\n' '#!/bin/sh' 'echo no rights >&2' \
	'printf "\033[1mloud\302\2332m\n" >&2' 'exit 9' >scheduler
chmod +x scheduler
ktstr run --scheduler ./scheduler -- true
ok scheduler_that_fails_has_its_verdict lost SCHED_NOT_ATTACHED
ok scheduler_that_fails_shows_its_output grep -qx '# | no rights' err
ok output_that_is_shown_does_not_command_the_terminal grep -qx '# | ?\[1mloud??2m' err

# As many as come while the guest sleeps; who has more to say is selftests/sched_ext/stats.c.
schedulers=$(dirname "$KTSTR")/selftests/sched_ext
ktstr run --scheduler "$schedulers/scx_ktstr" --stats 0.2:stats -- sleep 3
ok statistics_leave_the_status_alone test "$status" -eq 0 -a ! -s out
ok statistics_are_lines_of_json test "$(grep -c '' stats)" -ge 2 -a "$(grep -cvE \
	'^\{"at_ms":[0-9]+,"stats":\{"errno":0,"args":\{"resp":\{.*\}\}\}\}$' stats)" -eq 0
ok statistics_are_in_order sort -c -n -t: -k2 stats

ktstr run --scheduler "$schedulers/scx_simple" --stats 0.5 -- sh -c 'sleep 1; exit 3'
ok scheduler_without_statistics_leaves_the_status_alone test "$status" -eq 3
ok scheduler_without_statistics_is_told grep -q '^{"at_ms":.*"errno":2,.*no statistics' err

# Without ACPI the guest finds no virtio device: all comes by COM2.
ktstr run --append acpi=off --scheduler "$schedulers/scx_simple" --stats 1 -- true
ok statistics_that_cannot_be_asked_for_are_told \
	grep -q '^ktstr: statistics: not asked for: .*virtio console' err

"$KTSTR" run -- sh -c 'echo started; exec sleep 1000' >out 2>err </dev/null &
pid=$!
if until_true grep -qs started out; then
	kill -s TERM "$pid"
fi
status=0
wait "$pid" || status=$?
ok termination_ends_the_machine test "$status" -eq 143

# Where KVM runs kernels: by another process in between, a pipe would have two readers.
where_kvm_is() {
	if "$KTSTR" probe | grep -q '^native'; then
		"$@"
	else
		"$KTSTR" emulated-host run -- "$@"
	fi
}
# The pipe has a reader that does not read. What the shell expands is quoted.
# shellcheck disable=SC2016
where_kvm_is sh -c 'dir=$(mktemp -d) && mkfifo "$dir/pipe" && exec 3<>"$dir/pipe" || exit
	"$1" run -- sh -c "while :; do echo started; done" >"$dir/pipe" 2>/dev/null &
	pid=$!
	read -r line <&3
	sleep 2
	kill -s TERM "$pid"
	(exec 3>&-; sleep 30; kill -s KILL "$pid") &
	wait "$pid"
	echo "$line $?" >&2
	kill "$!"
	rm -r "$dir"' sh "$KTSTR" >out 2>err </dev/null
ok termination_ends_the_machine_whose_output_nobody_reads grep -qx 'started 143' err
plan
