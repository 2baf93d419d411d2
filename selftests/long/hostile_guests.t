#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Guests that mean harm, with every width and value and for longer, and a host whose every call fails
# once. No kernel is booted: the guests are some hundred instructions.
cd "$(dirname "$0")/../.." || exit
bin=$(dirname "$KTSTR")/selftests/vmm
echo "TAP version 13"
for test in "KTSTR_LONG=1 $bin/test_hostile_access" "KTSTR_LONG=1 $bin/test_hostile_queues" \
	"$bin/test_hostile_cpus" "KTSTR_FAULTS=each $bin/test_host_faults" \
	"KTSTR_STEPS=1000000 $bin/test_virtio_queue_model" "KTSTR_SEED=$(date +%s) $bin/test_virtio_queue_model"; do
	echo "# env $test"
	# shellcheck disable=SC2086 # VARIABLE=VALUE PROGRAM
	env $test 2>&1 </dev/null
	echo "exit status $?"
done | awk '
	match($0, /^(not )?ok [0-9]+/) {
		sub(/ [0-9]+/, " " ++n)
		print
		next
	}
	/^exit status / { if ($3 > 1) print "not ok " ++n " tests_ran_to_their_end" }
	/^TAP version|^1\.\./ { next }
	{ print "# " $0 }
	END { print "1.." n }'
