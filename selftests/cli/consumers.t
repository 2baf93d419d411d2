#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# What reads kselftest output agrees on each verdict of selftests/consumers/mixed.c: prove, the kernel's
# runner.sh and `kunit.py parse` (as they are, from KSRC), LKFT and NIPA (by their rules, see
# selftests/consumers/read.pl). The binary runs once: runner.sh runs a program that replays it.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

: "${KSRC:=${KTSTR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ktstr}/source/default}"
top=$(cd "$(dirname "$0")/../.." && pwd)
read_pl=$top/selftests/consumers/read.pl
mixed=$(dirname "$KTSTR")/selftests/consumers/mixed
kselftest=$KSRC/tools/testing/selftests/kselftest
consumers='prove runner kunit kunit_log lkft nipa'

# Every test of the binary, and the whole: what each consumer is to say of it.
cat >"$tmp/expected.clean" <<END
clean.passes pass
clean.passes_with_nasty_output pass
clean.fails_as_expected pass
clean.panics_as_expected pass
known.fault.fails pass
END
cat >"$tmp/expected.troubled" <<END
troubled.fails_with_nasty_output fail
troubled.fails_after_a_reason fail
troubled.times_out fail
troubled.crashes fail
troubled.panics fail
troubled.skips skip
troubled.passes pass
END

# The name that a consumer gives to a test; LKFT makes the reason of a skip part of it.
name_by() { # name_by CONSUMER NAME
	case $1 in
	lkft)
		case $2 in
		troubled.skips) echo troubled_skips_no_such_hardware ;;
		*) echo "$2" | tr . _ ;;
		esac
		;;
	nipa) echo "$2" | tr ._ -- ;;
	*) echo "$2" ;;
	esac
}

# By runner.sh, with the binary's output and status replayed: one log, and one for each binary.
run_by_runner() { # run_by_runner WHAT STATUS
	mkdir -p "$tmp/$1/consumers" "$tmp/$1/log"
	ln -s "$kselftest" "$tmp/$1/kselftest"
	# What the program expands is quoted.
# shellcheck disable=SC2016
printf '#!/bin/sh\ncat "%s"\nexit %s\n' "$tmp/$1.tap" "$2" >"$tmp/$1/consumers/mixed"
	chmod +x "$tmp/$1/consumers/mixed"
	# What the inner shell expands is quoted.
	# shellcheck disable=SC2016
	BASE_DIR=$tmp/$1 sh -c 'cd "$BASE_DIR/consumers" && . "$BASE_DIR/kselftest/runner.sh" &&
		ktap_print_header && ktap_set_plan 1 &&
		{ [ -z "$1" ] || { per_test_logging=1 per_test_log_dir=$1; }; } && run_many mixed' \
		sh "$3" 2>"$tmp/err" | cat >"$tmp/$4" # it opens /dev/stdout anew: a file would not do
}

read_by_all() { # read_by_all WHAT
	run_by_runner "$1" "$(cat "$tmp/$1.status")" '' "$1.runner"
	rm -r "${tmp:?}/$1"
	run_by_runner "$1" "$(cat "$tmp/$1.status")" "$tmp/$1/log" "$1.logged"
	for consumer in runner lkft nipa; do
		"$read_pl" "$consumer" <"$tmp/$1.runner" >"$tmp/$1.by.$consumer"
	done
	"$read_pl" prove <"$tmp/$1.tap" >"$tmp/$1.by.prove"
	# kunit.py does not read what is behind "# " in the log of all; in that of one binary it does.
	python3 -B "$KSRC/tools/testing/kunit/kunit.py" parse "$tmp/$1.tap" >"$tmp/$1.kunit"
	echo $? >"$tmp/$1.kunit.status"
	"$read_pl" kunit <"$tmp/$1.kunit" >"$tmp/$1.by.kunit"
	python3 -B "$KSRC/tools/testing/kunit/kunit.py" parse "$tmp/$1/log/mixed" 2>&1 |
		"$read_pl" kunit >"$tmp/$1.by.kunit_log"
}

# Binary and log as a whole, by those who say something of them.
said_of_all() { # said_of_all WHAT CONSUMER
	sed -n 's/^= //p' "$tmp/$1.by.$2" | tr '\n' ';'
}

# One verdict, once; both are shown where they differ.
agrees() { # agrees WHAT CONSUMER NAME VERDICT
	called=$(name_by "$2" "$3")
	said=$(sed -n "s/^$called //p" "$tmp/$1.by.$2" | tr '\n' ' ')
	[ "$said" = "$4 " ] && return
	{
		echo "expected: $called $4"
		echo "by $2: $called ${said:-(nothing)}"
	} >"$tmp/out"
	return 1
}

# Nothing beyond what is expected: no result that was never one.
nothing_invented() { # nothing_invented WHAT CONSUMER
	grep -v '^= ' "$tmp/$1.by.$2" >"$tmp/out"
	[ "$(wc -l <"$tmp/out")" -eq "$(wc -l <"$tmp/expected.$1")" ]
}

of_all_is() { # of_all_is WHAT CONSUMER TEXT
	said=$(said_of_all "$1" "$2")
	[ "$said" = "$3" ] && return
	printf 'expected: %s\nby %s: %s\n' "$3" "$2" "$said" >"$tmp/out"
	return 1
}

compare() { # compare WHAT
	while read -r test verdict; do
		for consumer in $consumers; do
			ok "${test}_by_$consumer" agrees "$1" "$consumer" "$test" "$verdict"
		done
	done <"$tmp/expected.$1"
	for consumer in $consumers; do
		ok "${1}_nothing_invented_by_$consumer" nothing_invented "$1" "$consumer"
	done
}

echo "TAP version 13"
: >"$tmp/err"

for what in clean troubled bailed; do
	case $what in
	clean) set -- -f clean -f known ;;
	troubled) set -- -f troubled ;;
	bailed) set -- -t no_such_test ;;
	esac
	status=0
	"$mixed" "$@" >"$tmp/$what.tap" 2>"$tmp/err" </dev/null || status=$?
	echo "$status" >"$tmp/$what.status"
	read_by_all "$what"
done

compare clean
ok line_without_newline_at_the_end_of_a_body_is_shown \
	grep -qx '# | not ok 6 without an end' "$tmp/clean.tap"
# An expected failure is one to kselftest, too: it says so by its status, and the directive is TAP's.
ok clean_as_a_whole_by_prove of_all_is clean prove 'binary pass;'
ok clean_as_a_whole_by_runner of_all_is clean runner 'binary pass;binary pass;'
ok clean_as_a_whole_by_lkft of_all_is clean lkft 'binary pass;'
ok clean_as_a_whole_by_nipa of_all_is clean nipa 'binary pass;'
ok clean_without_complaint_by_kunit of_all_is clean kunit ''
ok clean_without_complaint_by_kunit_log of_all_is clean kunit_log ''
ok clean_as_a_whole_by_kunit test "$(cat "$tmp/clean.kunit.status")" -eq 0

# A kernel that panicked is a finding to those who search logs; nothing else is.
compare troubled
ok troubled_as_a_whole_by_prove of_all_is troubled prove 'binary fail;'
ok troubled_as_a_whole_by_runner of_all_is troubled runner 'binary fail;binary fail;'
ok troubled_as_a_whole_by_lkft of_all_is troubled lkft 'binary fail;log panic;'
ok troubled_as_a_whole_by_nipa of_all_is troubled nipa 'binary fail;log crash;'
ok troubled_without_complaint_by_kunit of_all_is troubled kunit ''
ok troubled_without_complaint_by_kunit_log of_all_is troubled kunit_log ''
ok troubled_as_a_whole_by_kunit test "$(cat "$tmp/troubled.kunit.status")" -ne 0

# No test at all is a failure of the whole.
ok bail_out_by_prove grep -qx '= binary fail' "$tmp/bailed.by.prove"
ok bail_out_by_runner grep -qx '= binary fail' "$tmp/bailed.by.runner"
ok bail_out_by_lkft grep -qx '= binary fail' "$tmp/bailed.by.lkft"
ok bail_out_by_nipa grep -qx '= binary fail' "$tmp/bailed.by.nipa"
ok bail_out_by_kunit test "$(cat "$tmp/bailed.kunit.status")" -ne 0

# prove itself, which looks at the status of the program, too.
# What the program expands is quoted.
# shellcheck disable=SC2016
printf '#!/bin/sh\ncat "%s"\nexit "$(cat "%s")"\n' "$tmp/\$1.tap" "$tmp/\$1.status" >"$tmp/replay"
chmod +x "$tmp/replay"
for what in clean troubled bailed; do
	status=0
	prove -Q --exec "$tmp/replay" "$what" >"$tmp/out" 2>"$tmp/err" || status=$?
	case $what in
	clean) ok prove_itself_of_clean test "$status" -eq 0 ;;
	*) ok "prove_itself_of_$what" test "$status" -ne 0 ;;
	esac
done
plan
