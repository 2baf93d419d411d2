#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# `ktstr compare`. compare/before.jsonl is what three runs of two tests have left; what came after is
# made of it, with changes that are known.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

echo "TAP version 13"
case $0 in
/*) before=$(dirname "$0")/compare/before.jsonl ;;
*) before=$PWD/$(dirname "$0")/compare/before.jsonl ;;
esac
cd "$tmp" || exit

# after EDIT...: the same runs at another time, with sed's edits.
after() {
	sed -e 's/"run": "/&later-/' "$@" "$before" >after.jsonl
}
# has STATUS NAME: a line of the table.
has() {
	grep -Eq "^$1 .* $2( |\$)" "$tmp/out"
}
ended() { [ "$status" -eq "$1" ] && [ ! -s "$tmp/err" ]; }

after
ktstr compare "$before" after.jsonl
ok runs_that_are_alike_have_status_0 ended 0
ok what_is_the_same_is_counted_and_not_shown test "$(wc -l <out)" -eq 3
ok of_what_is_the_same_the_counts_are_told grep -q '^2 tests, 2 same; [0-9]* metrics, [0-9]* same$' out
ktstr compare --all "$before" after.jsonl
ok all_shows_what_is_the_same has same 'hackbench/time \(s\)'
ok all_shows_tests_that_are_the_same grep -q '^same .*pass 3 *pass 3$' out

# A regression: exits are alike in all runs, so that twice as many are none by chance.
after -E -e 's/("name": "total_exits", "value": )/\19/'
ktstr compare --html page.html --json all.json "$before" after.jsonl
ok what_got_worse_has_status_1 ended 1
ok what_got_worse_is_shown has regression ktstr/total_exits
ok the_worst_is_first grep -Eq '^regression' out
ok the_runs_of_each_side_are_counted grep -Eq '^regression .* 3\+3$' out
ok the_method_is_told grep -q "Welch's 95% interval" out
ktstr compare --gate total_exits=1e6 "$before" after.jsonl
ok a_gate_of_its_own_holds ended 0
ktstr compare --gate 'ktstr/*=off' "$before" after.jsonl
ok a_metric_can_be_off ended 0
ktstr compare --gate total_exits=higher "$before" after.jsonl
ok a_direction_can_be_given has improved ktstr/total_exits
ktstr compare --relative 10000% "$before" after.jsonl
ok a_wide_gate_holds_for_all ended 0
ktstr compare --metric fio/reads "$before" after.jsonl
ok other_metrics_can_be_left_out ended 0
ktstr compare --test '*fio*' "$before" after.jsonl
ok other_tests_can_be_left_out test "$(grep -c '^regression' out)" -eq 1

# Its page and its JSON.
if command -v xmllint >/dev/null; then
	ok page_is_well_formed xmllint --noout page.html
else
	echo "# xmllint is not installed"
fi
ok page_has_a_plot_for_each_metric test "$(grep -c '<svg ' page.html)" -eq \
	"$(grep -c '"unit_a"' all.json)"
ok page_has_a_dot_for_each_run test "$(grep -o '<circle ' page.html | wc -l)" -eq \
	$((6 * $(grep -c '<svg ' page.html)))
ok page_has_light_and_dark grep -q 'prefers-color-scheme:dark' page.html
no_network() {
	! grep -Ei '<script|<link|<img|@import|url\(|src=|href=' page.html &&
		! grep -o 'http[s]*:[^"]*' page.html | grep -v '^http://www.w3.org/2000/svg$'
}
ok page_loads_nothing no_network
json_is() {
	perl -MJSON::PP -e 'local $/; my $j = decode_json(<STDIN>);
		my @bad = grep { $_->{status} eq "regression" } @{$j->{metrics}};
		exit !($j->{regressed} && @bad == 2 && @{$bad[0]{a}} == 3 && $bad[0]{low} > 0)' <all.json
}
ok json_has_the_regression_with_its_runs json_is

# Names are text, whatever they are.
hostile='<script>alert(1)<\/script><\/td>\&\&amp;'"\\\\u001b[31m'"
sed -e "s/\"test\": \"global.fio/\"test\": \"$hostile/" \
	-e "s/\"name\": \"read_iops\"/\"name\": \"$hostile]]>\"/" \
	-e "s/\"kernel\": \"/&$hostile/" "$before" >hostile.jsonl
sed -e 's/"run": "/&later-/' -e 's/"total_exits", "value": /&9/' hostile.jsonl >hostile-after.jsonl
ktstr compare --by-kernel --all --html page.html "$PWD/hostile.jsonl" hostile-after.jsonl
ok hostile_names_are_compared test "$status" -eq 1
ok hostile_names_are_there grep -q '&lt;script&gt;alert(1)' page.html
no_markup() { ! grep -q '<script' page.html && ! grep -q "$(printf '\033')" page.html out; }
ok page_and_table_have_no_markup_of_theirs no_markup
if command -v xmllint >/dev/null; then
	ok page_with_hostile_names_is_well_formed xmllint --noout page.html
fi

# Verdicts
after -e '1s/"judged": "pass"/"judged": "fail"/' -e '1s/"verdict": "PASS"/"verdict": "TIMEOUT"/'
ktstr compare "$before" after.jsonl
ok a_test_that_fails_now_has_status_1 ended 1
ok a_test_that_fails_now_is_shown grep -Eq '^regression .* pass 3 +pass 2, fail 1 \(TIMEOUT\)$' out
after -e '1s/"judged": "pass"/"judged": "fail"/' -e '1s/"verdict": "PASS"/"verdict": "INCONCLUSIVE"/'
ktstr compare "$before" after.jsonl
ok inconclusive_is_shown_and_no_failure grep -Eq '^changed .* pass 2, inconclusive 1$' out
ok inconclusive_has_status_0 ended 0
after -e '/fio_reports/d'
ktstr compare "$before" after.jsonl
ok a_missing_test_is_shown grep -Eq '^different .*fio_reports_its_metrics .* pass 3 +-$' out
ok a_missing_test_has_status_0 ended 0
ktstr compare --missing-fails "$before" after.jsonl
ok a_missing_test_has_status_1_when_asked ended 1

# One run a side, in directories
mkdir a b a/1 b/1
sed -n 1p "$before" >a/1/metrics.jsonl
after -e 's/"total_exits", "value": /&9/'
sed -n 1p after.jsonl >b/1/metrics.jsonl
ktstr compare a b
ok one_run_a_side_is_undecided has undecided ktstr/total_exits
ok what_is_undecided_has_status_0 ended 0
ok what_is_undecided_says_why grep -q '^Undecided: .*there is no interval' out
ktstr compare --gates-alone a b
ok gates_alone_decide_when_asked ended 1
ok gates_alone_are_marked grep -Eq '^regression\* .*total_exits' out
sed -n 3p "$before" >>a/1/metrics.jsonl
cp a/1/metrics.jsonl a/copy.jsonl
ktstr compare a b
ok copies_of_a_run_count_once grep -Eq '^undecided .* 2\+1$' out
ok copies_of_a_run_are_told grep -q '^ktstr: compare: a: 2 lines are there twice' err

# Bad input
after
echo '{"version": 1, "part' >>after.jsonl
ktstr compare "$before" after.jsonl
ok a_line_that_was_cut_off_is_refused refused 'after.jsonl:7: not JSON: .*cut off'
after -e '2s/"version": 1/"version": 7/'
ktstr compare "$before" after.jsonl
ok another_version_is_refused refused 'after.jsonl:2: version 7 is not known'
echo '{"payload": "fio", "name": "x", "value": 1}' >other.jsonl
ktstr compare "$before" other.jsonl
ok another_file_is_refused refused 'other.jsonl:1: no "version"'
after -e 's/"test": "/&x/'
ktstr compare "$before" after.jsonl
ok nothing_in_common_is_refused refused 'no metric in common'
ktstr compare "$before" nowhere
ok a_missing_file_is_refused refused 'nowhere: open: No such file'
mkdir empty
ktstr compare empty "$before"
ok an_empty_directory_is_refused refused 'empty: has no file metrics.jsonl'
: >nothing
ktstr compare nothing "$before"
ok an_empty_file_is_refused refused 'nothing: has no run'
ktstr compare "$before"
ok one_side_alone_is_refused refused 'takes two files'
ktstr compare --gate 'x=fast' "$before" "$before"
ok a_bad_gate_is_refused refused "'fast' is no share"
ktstr compare --relative 5 "$before" "$before"
ok a_share_without_its_sign_is_refused refused 'relative: is no share'
ktstr compare --confidence 100% "$before" "$before"
ok a_certain_interval_is_refused refused 'confidence: is no share'
ktstr compare --html /proc/none "$before" "$before"
ok a_page_that_cannot_be_written_has_status_2 test "$status" -eq 2
ktstr compare --json /dev/full "$before" "$before"
ok a_full_disk_has_status_2 test "$status" -eq 2
ktstr compare --help
ok help_has_status_0 test "$status" -eq 0
plan
