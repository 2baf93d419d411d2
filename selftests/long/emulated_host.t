#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# An emulated KVM host that stays for many commands, while the host's files change.
# shellcheck source-path=SCRIPTDIR/../cli source=tap.sh
. "$(dirname "$0")/../cli/tap.sh"

echo "TAP version 13"
# One of this test's own: it is stopped at the end.
XDG_RUNTIME_DIR=$tmp/runtime
export XDG_RUNTIME_DIR
mkdir -m 700 "$XDG_RUNTIME_DIR"
elsewhere=$(mktemp -d /tmp/ktstr-emulated.XXXXXX) || exit
trap '"$KTSTR" emulated-host stop >/dev/null 2>&1; rm -rf "$tmp" "$elsewhere"' EXIT

inside() {
	status=0
	"$KTSTR" emulated-host run -- "$@" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
}
shows() { [ "$status" -eq 0 ] && [ "$(cat "$tmp/out")" = "$1" ]; }

# sees NAME DIR: of a file of DIR, every command sees what is there when it starts.
sees() {
	echo first >"$2/file"
	inside cat "$2/file"
	ok "$1_a_file_is_there" shows first
	echo "another one" >"$2/new" && mv "$2/new" "$2/file"
	inside cat "$2/file"
	ok "$1_another_file_in_its_place_is_seen" shows "another one"
	echo rebuilt >"$2/file"
	inside cat "$2/file"
	ok "$1_a_file_that_is_written_anew_is_seen" shows rebuilt
}

# The one of this host: $tmp is a tree that it shares.
qemu() { pgrep -f "^qemu-system-x86_64 .*path=$tmp,"; }
another() { new=$(qemu) && [ "$new" != "$pid" ]; }
held() { grep -q '^State:.*tracing stop' "/proc/$(qemu)"/task/*/status; }

case $("$KTSTR" probe) in
native*) ;;
*)
	"$KTSTR" emulated-host start -w "$tmp" >"$tmp/out" 2>"$tmp/err"
	ok "a_host_starts" [ $? -eq 0 ]
	sees in_a_writable_tree "$tmp"
	sees below_tmp "$elsewhere"
	ok qemus_rcu_thread_is_stopped until_true held
	pid=$(qemu)
	kill -KILL "$pid"
	ok a_qemu_that_died_is_replaced until_true another
	inside echo again
	ok the_new_one_runs_commands shows again
	ok in_it_that_thread_is_stopped_too until_true held
	;;
esac
plan
