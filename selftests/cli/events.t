#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# What a command did before its end comes back whole, however it ends, and the first line of ktstr
# about it is the first cause. Each "ktstr run" below boots a kernel.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

# first LINE: of ktstr's own lines, there is this one alone.
first() {
	[ "$(said)" = "ktstr: $1" ]
}

# out TEXT: standard output is this, to the byte.
out() {
	printf '%s' "$1" | cmp -s - out
}

echo "TAP version 13"
cd "$tmp" || exit

# 100 MiB of noise, the end without a newline, while a process that has left the command's session
# keeps both streams open and takes no hint. Then no program to execute.
head -c 1048573 /dev/urandom >data # a prime: no piece of the way out is as long
# What the guest expands is quoted.
# shellcheck disable=SC2016
printf '%s\n' '#!/bin/sh' \
	'(setsid sh -c "trap : HUP TERM; while :; do sleep 1000; done" &)' \
	'data=$1' \
	'while [ "$#" -lt 100 ]; do set -- "$@" "$data"; done' \
	'cat "$@"' \
	'printf .' \
	'exec /no/such/program' >flood
chmod +x flood
# The reader stops early for a while: all on the way has to wait.
{
	"$KTSTR" run -- ./flood data 2>err </dev/null
	echo $? >status
} | { dd bs=1 count=1 2>dd.err; sleep 2; cat; } | cksum >sum
ok hundred_mib_are_whole test "$(cat sum)" = \
	"$({ for _ in $(seq 100); do cat data; done; printf .; } | cksum)"
ok failed_exec_is_127 test "$(cat status)" -eq 127
ok failed_exec_is_told grep -q '/no/such/program' err
ok a_process_left_behind_holds_up_nothing test -z "$(said)"

# shellcheck disable=SC2016
ktstr run -- sh -c 'printf "no newline"; kill -KILL $$'
ok killed_command_is_137 test "$status" -eq 137
ok output_before_a_kill_is_kept out 'no newline'

ktstr run -- sh -c 'echo out; echo err >&2; echo c >/proc/sysrq-trigger'
ok panic_is_the_first_cause first \
	'KERNEL_PANIC: Kernel panic - not syncing: sysrq triggered crash'
ok panic_gives_no_status test "$status" -eq 125
ok output_before_a_panic_is_kept out "out
"
ok error_output_before_a_panic_is_kept grep -qx err err

ktstr run -- sh -c 'echo out; echo "<4>a warning" >/dev/kmsg; reboot -f; sleep 1000'
ok reboot_is_the_first_cause first \
	'GUEST_REBOOT: the guest ended during the test (reset by the ACPI reset register)'
ok reboot_gives_no_status test "$status" -eq 125
ok output_before_a_reboot_is_kept out "out
"
ok warnings_of_the_kernel_are_shown grep -q '^# | .*a warning' err
plan
