#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Machines that are killed while their guest writes: every block that the guest saw written, and told
# of, is in the file. What is killed 100 times is in selftests/vmm/test_virtio_blk_kill.c.
# shellcheck source-path=SCRIPTDIR/../cli source=tap.sh
. "$(dirname "$0")/../cli/tap.sh"

# In the guest, which expands it.
# shellcheck disable=SC2016
writer='n=0; while :; do n=$((n + 1))
	printf "%4096d" "$n" | dd of=/dev/vda bs=4k seek="$n" conv=fdatasync 2>/dev/null || exit
	echo "wrote $n"; done'

# Inside the emulated KVM host, where that is needed: a process there is the machine itself.
inside() {
	dir=$(mktemp -d) && mkfifo "$dir/pipe" || exit
	"$KTSTR" run --disk "$1" -- sh -c "$writer" >"$dir/pipe" 2>/dev/null &
	pid=$!
	exec 3<"$dir/pipe"
	rm -r "$dir"
	while read -r line <&3; do
		echo "$line"
		[ "$line" = "wrote $2" ] && kill -s KILL "$pid"
	done
}

if [ "${1-}" = inside ]; then
	inside "$2" "$3"
	exit
fi

where_kvm_is() {
	if "$KTSTR" probe | grep -q '^native'; then
		"$@"
	else
		"$KTSTR" emulated-host run -- "$@"
	fi
}

# Block N holds the number N, 4096 characters wide.
survived() {
	[ -s "$tmp/told" ] || return
	while read -r word number; do
		block=$(dd if="$tmp/image" bs=4k skip="$number" count=1 2>/dev/null | tr -d ' ')
		[ "$word" = wrote ] && [ "$block" = "$number" ] || return
	done <"$tmp/told"
}

echo "TAP version 13"
self=$PWD/$0
case $0 in /*) self=$0 ;; esac
for after in 1 7 23; do
	rm -f "$tmp/image"
	truncate -s 64M "$tmp/image"
	where_kvm_is env KTSTR="$KTSTR" "$self" inside "$tmp/image" "$after" >"$tmp/told" 2>"$tmp/err"
	ok "guest_got_to_block_$after" grep -qx "wrote $after" "$tmp/told"
	ok "blocks_survive_a_kill_after_$after" survived
done
plan
