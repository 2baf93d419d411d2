#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# `ktstr locks` and who is shown there; machines with --cpu-cap; threads in cgroups. All of it on one
# host: an emulated one has locks of its own. Two machines.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

unit=$(dirname "$KTSTR")/selftests/vmm

# Where KVM runs kernels.
where_kvm_is() {
	if "$KTSTR" probe | grep -q '^native'; then
		"$@"
	else
		"$KTSTR" emulated-host run -- "$@"
	fi
}

echo "TAP version 13"
cd "$tmp" || exit

# Byte 0 of an LLC's file is its lock (vmm/lock_file.h).
cat >alone.py <<'END'
import fcntl, sys, time
f = open(sys.argv[1], "r+")
fcntl.lockf(f, fcntl.LOCK_EX, 1, 0)
open("alone", "w").close()
time.sleep(1000)
END
cat >machines <<'END'
ktstr=$1
until_true() {
	tries=900
	while ! "$@"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || exit 1
		sleep 0.1
	done
}
# Not where other machines are: theirs would be shown. Not in $tmp: 9p may have no locks.
KTSTR_LOCK_DIR=$(mktemp -d /run/lock/ktstr-locks.XXXXXX) || exit
export KTSTR_LOCK_DIR
trap 'rm -rf "$KTSTR_LOCK_DIR"' EXIT
is_free() { "$ktstr" locks | grep -q '^LLC.*: free$\|^CPUs.*: free$'; }
"$ktstr" locks >free
"$ktstr" run --cpu-cap 1 -- sh -c 'echo started; exec sleep 1000' >log 2>err.first </dev/null &
first=$!
until_true grep -qx started log
"$ktstr" locks >one
echo "$first" >pid
kill -s KILL "$first"
wait "$first"
until_true is_free
"$ktstr" locks >killed
for file in "$KTSTR_LOCK_DIR"/llc-*; do
	rm -f alone
	python3 alone.py "$file" &
	holders="$holders $!"
	until_true test -e alone
done
"$ktstr" locks >held
status=0
KTSTR_LOCK_TIMEOUT_S=1 "$ktstr" run -- true >out.timeout 2>err.timeout </dev/null || status=$?
echo "$status" >status.timeout
kill $holders
"$ktstr" run --cpu-cap 1 --report report -- true >out.report 2>err.report </dev/null
status=0
"$ktstr" run --cpu-cap 8000 -- true >out.many 2>err.many </dev/null || status=$?
echo "$status" >status.many
END
where_kvm_is sh machines "$KTSTR" >out 2>err </dev/null

cp free out
ok nobody_has_anything grep -Eq '^LLC of CPUs [0-9,-]+: free$|^CPUs .* not known: free$' free
ok nor_of_the_budget grep -Eq '^budget: machines have 0 of [0-9]+ vCPUs and 0( of [0-9]+)? MiB; 0 wait$' free
cp one out
ok a_machine_is_shown_with_its_command \
	grep -Eq "^    pid $(cat pid) \\(ktstr run sh\\) shared since [0-9:]{8}" one
ok its_llc_is_shared grep -Eq ': shared by 1$' one
ok its_budget_is_shown grep -Eq '^budget: machines have 1 of [0-9]+ vCPUs and 512 of [0-9]+ MiB' one
cp killed out
ok a_killed_one_is_not_shown cmp -s free killed
cp held out
ok one_without_a_record_is_shown_by_its_pid grep -Eq '^    pid [0-9]+, which left no record$' held
ok it_has_the_llc_alone grep -q ': taken alone$' held
cp err.timeout err
# shellcheck disable=SC2016
ok a_wait_without_end_is_an_error_and_no_skip sh -c '[ "$(cat status.timeout)" -eq 125 ] &&
	grep -q "^ktstr: run: host CPUs .*: lock: not free within 1 s: .*KTSTR_LOCK_TIMEOUT_S" err.timeout'
ok waiting_is_told_once test "$(grep -c '^ktstr: waiting for host CPUs ' err.timeout)" -eq 1
cp err.report err
cp report out
# A host of one CPU has nothing to confine.
ok the_report_says_what_was_applied grep -Eq '"host_cpus": "(CPUs [0-9]+, by .*)?",' report
cp err.many err
# shellcheck disable=SC2016
ok more_than_there_are_is_bad_input sh -c '[ "$(cat status.many)" -eq 2 ] &&
	grep -q "^ktstr: run: host CPUs: cap: 8000 are more than the [0-9]* that this process may use" err.many'

# An emulated host has a cgroup v2 of its own with all controllers, and this is root there.
where_kvm_is "$unit/test_cpu_confine" >out 2>err </dev/null
ok threads_are_kept_where_they_belong grep -q '^# Totals: pass:[0-9]* fail:0 ' out

ktstr locks --all
ok locks_takes_no_argument refused 'locks: --all: takes no argument; see ktstr locks --help'
ktstr locks --help
ok locks_has_help grep -q '^Usage: ktstr locks$' "$tmp/out"
mkdir open
chmod 777 open
KTSTR_LOCK_DIR=$tmp/open
export KTSTR_LOCK_DIR
ktstr locks
ok directory_that_others_could_exchange_is_refused refused 'locks: .*/open: open: .*mode 1777); machines'
plan
