#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# make check-arm64 TESTS=long as one file of TAP: what of it is no test's line is a comment.
cd "$(dirname "$0")/../.." || exit
echo "TAP version 13"
make check-arm64 TESTS=long 2>&1 </dev/null | awk '
	match($0, /^(not )?ok [0-9]+/) {
		sub(/ [0-9]+/, " " ++n)
		print
		next
	}
	/^Result: / { result = $2 }
	{ print "# " $0 }
	END {
		if (result != "PASS")
			print "not ok " ++n " arm64_tests_ran_to_their_end"
		print "1.." n
	}'
