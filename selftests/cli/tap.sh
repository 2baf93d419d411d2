# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
# TAP for shell scripts. Sourced; KTSTR is the program under test, $tmp a directory of the script.

: "${KTSTR:=$(dirname "$0")/../../build/ktstr}"
case $KTSTR in
/*) ;;
*) KTSTR=$PWD/$KTSTR ;;
esac
tests=0
# In the working directory: inside an emulated KVM host that is writable, /tmp is not.
tmp=$(mktemp -d "$PWD/ktstr-cli.XXXXXX") || exit
chmod 755 "$tmp" # for a test as another user
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

# ok NAME CMD...: the test holds when CMD succeeds.
ok() {
	name=$1
	shift
	tests=$((tests + 1))
	if "$@"; then
		echo "ok $tests $name"
	else
		echo "not ok $tests $name"
		echo "# failed: $*"
		for file in "$tmp/out" "$tmp/err"; do
			[ ! -s "$file" ] || tail -n 40 "$file" | cut -c1-300 | sed 's/^/# | /'
		done
	fi
}

# ktstr ARGS...: what came back is in $status, $tmp/out and $tmp/err. A machine that hangs says where
# after 10 minutes rather than after the hour that is the default.
ktstr() {
	status=0
	if [ "$1" = run ]; then
		shift
		set -- run --timeout 600 "$@"
	fi
	"$KTSTR" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
}

# Lines of ktstr itself, without those that announce the emulated KVM host or that it waits.
said() {
	grep '^ktstr: ' "$tmp/err" | grep -vE 'using the emulated KVM host|ktstr: waiting for '
}

# refused PATTERN: bad input was told in one line that has PATTERN, with exit status 2.
refused() {
	[ "$status" -eq 2 ] && [ "$(wc -l <"$tmp/err")" -eq 1 ] && [ ! -s "$tmp/out" ] &&
		grep -q "^ktstr: .*$1" "$tmp/err"
}

# lost VERDICT: the machine gave no status, and the first line of ktstr says why.
lost() {
	[ "$status" -eq 125 ] && said | head -n 1 | grep -q "^ktstr: $1: "
}

# Waits until CMD succeeds, a minute and a half at most.
until_true() {
	tries=900
	while ! "$@"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 0.1
	done
}

plan() {
	echo "1..$tests"
}
