#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# selftests/sched_ext/kernel_suite with a runner that is none: what comes out as TAP. How a runner's
# words are taken is in selftests/vmm/test_kernel_runner.c.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"
unset KTSTR_QUICK

suite() { # with kernel/ of $tmp
	status=0
	"$tmp/kernel_suite" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
}

# With what the test printed before it.
says() { # says LINE-OF-TAP PATTERN
	sed -n "/RUN .*${1##* }/,/^$1\$/p" "$tmp/out" | grep -q "$2"
}

echo "TAP version 13"
cp "$(dirname "$KTSTR")/selftests/sched_ext/kernel_suite" "$tmp/"
mkdir "$tmp/kernel"

cat >"$tmp/kernel/runner" <<'END'
#!/bin/sh
case "$1 $2" in
"-l ") printf '%s\n' passes fails dies other_name ;;
"-t passes") echo 'ok 1 passes # '; echo 'TEST: passes_too'; while :; do :; done ;;
"-t fails") echo 'not ok 1 fails # ' ;;
"-t dies") echo 'TEST: dies'; kill -s SEGV $$ ;;
"-t other_name") echo 'ok 1 other_name_too # ' ;;
esac
END
chmod +x "$tmp/kernel/runner"
suite
ok every_test_has_its_line test "$(grep -cE '^(not )?ok [0-9]+ global' "$tmp/out")" -eq 4
ok test_that_passes grep -qx 'ok 1 global.passes' "$tmp/out"
ok test_that_fails_though_its_runner_ends_with_0 \
	says 'not ok 2 global.fails' 'the runner says: not ok fails'
ok test_whose_runner_dies says 'not ok 3 global.dies' 'no result of dies: the runner was killed'
ok test_that_only_another_name_has \
	says 'not ok 4 global.other_name' 'no result of other_name: the runner exited with code 0'
ok suite_that_failed_says_so test "$status" -eq 1

rm "$tmp/kernel/runner"
echo 'numa.c:7: error: no such function' >"$tmp/kernel/runner.log"
suite
ok suite_that_was_not_built_fails says 'not ok 1 global.runner' 'numa.c:7: error: no such function'
ok suite_that_was_not_built_is_not_skipped test "$status" -eq 1
plan
