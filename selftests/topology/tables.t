#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The ACPI tables of every golden shape as iasl reads them: no error, no warning.
# shellcheck source-path=SCRIPTDIR/../cli source=tap.sh
. "$(dirname "$0")/../cli/tap.sh"

here=$(cd "$(dirname "$0")" && pwd)

# Every file of $tmp/tables is a table that iasl takes without a complaint; there are $1 at least.
disassembled() {
	[ "$status" -eq 0 ] && [ "$(find tables -name '*.dat' | wc -l)" -ge "$1" ] || return
	(cd tables && iasl -d ./*.dat) >out 2>&1 &&
		! grep -wiE 'errors?|warnings?|invalid|unknown' out tables/*.dsl |
		grep -vE 'Error Source|Compilation .* 0 Errors'
}

echo "TAP version 13"
cd "$tmp" || exit
command -v iasl >/dev/null || {
	echo "Bail out! iasl is not in PATH; run scripts/setup"
	exit 1
}
for shape in "$here"/golden/*.shape; do
	name=$(basename "$shape" .shape)
	options=$(grep -v '^#' "$shape")
	rm -rf tables
	# shellcheck disable=SC2086 # words
	ktstr topo $options --dump-acpi tables
	ok "${name}_tables_are_read_by_iasl" disassembled 6
done
plan
