#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# `ktstr shell` on a terminal of script(1): prompt, commands, size, exit, and the terminal as it was.
# Boots one kernel.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

echo "TAP version 13"
cd "$tmp" || exit
mkfifo keys
: >out

cat >session <<END
stty rows 33 cols 101
stty -g >before
$KTSTR shell
echo "\$?" >status
stty -g >after
END
TERM=vt100 script -qfc 'sh ./session' out <keys >/dev/null 2>err &
pid=$!
exec 3>keys

ok prompt_comes until_true grep -q 'ktstr# ' out
# The guest's shell computes it: the echo of the terminal has no 42.
# shellcheck disable=SC2016
printf 'echo answer=$((6 * 7)) size=$(stty size)\r' >&3
ok command_runs until_true grep -q 'answer=42' out
ok size_is_that_of_the_terminal grep -q 'size=33 101' out
# shellcheck disable=SC2016
printf '%s\r' "sh -c 'echo ready=\$((40 + 3)); exec sleep 1000'" >&3
until_true grep -q 'ready=43' out
printf '\003' >&3
# What is typed before the prompt is back is thrown away with the command.
prompt_is_back() {
	tail -n 1 out | grep -q 'ktstr# '
}
until_true prompt_is_back
# shellcheck disable=SC2016
printf 'echo interrupted=$?\r' >&3
ok interrupt_key_reaches_the_command until_true grep -q 'interrupted=130' out
printf 'exit 7\r' >&3
ok exit_ends_the_machine until_true test -s after
exec 3>&-
test -s after || kill "$pid"
wait "$pid"
ok status_of_the_shell_comes_back test "$(cat status)" = 7
ok terminal_is_as_it_was cmp -s before after
plan
