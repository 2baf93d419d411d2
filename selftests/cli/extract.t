#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# `ktstr run --extract`: the command's output passes through whole, and is turned into metrics.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

echo "TAP version 13"
cd "$tmp" || exit

# A metric of what comes in: its size, at most as declared.
# shellcheck disable=SC2016
printf '%s\n' '#!/bin/sh' 'size=$(wc -c)' \
	'echo "{\"metrics\": [{\"name\": \"size\", \"unit\": \"B\", \"value\": $size, \"maximum\": $1}]}"' \
	>size
chmod +x size
head -c 1048576 /dev/urandom >data

ktstr run --extract './size 1048576' -- cat data
ok status_is_the_commands test "$status" -eq 0
ok binary_output_is_whole cmp -s out data
ok metric_is_told grep -qx 'ktstr: cat: size 1048576 B (at most 1048576)' err

ktstr run --extract='./size 3' -- sh -c 'echo here; echo there >&2'
ok metric_beyond_its_limit_is_status_1 test "$status" -eq 1
ok metric_beyond_its_limit_is_told grep -qx 'ktstr: sh: size 5 B (at most 3): too high' err

# shellcheck disable=SC2016
ktstr run --extract 'echo "$KTSTR_PAYLOAD"; exit 3' -- echo here
ok failing_extractor_is_status_125 test "$status" -eq 125
ok failing_extractor_is_told grep -q '^ktstr: run: .*: extract: it exited with code 3$' err

ktstr run --extract 'touch extracted' -- sh -c 'exit 7'
ok failing_command_keeps_its_status test "$status" -eq 7
ok failing_command_is_not_extracted test ! -e extracted

ktstr shell --extract true
ok shell_has_no_extractor refused '--extract: is for run'
ktstr run --extract
ok extractor_needs_a_value refused '--extract: needs a value'

plan
