#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# `ktstr cache`, and starts with a cache that is new, used, damaged, or cannot be written.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

echo "TAP version 13"
cd "$tmp" || exit

# Where machines run, with a cache of this test's own. In an emulated host that is on a file system
# without locks.
here() {
	status=0
	set -- env KTSTR_SCRATCH="$tmp/cache" "$@"
	if [ "$("$KTSTR" probe | cut -d: -f1)" = native ]; then
		"$@" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
	else
		"$KTSTR" emulated-host run -w "$tmp" -- "$@" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
	fi
}
boots() {
	here "$KTSTR" run --disk fs=ext4,size=32M,mount=/mnt -- echo started
}
started() { [ "$status" -eq 0 ] && [ "$(cat "$tmp/out")" = started ]; }
quiet() { started && ! grep -q 'ktstr: cache' "$tmp/err"; }
says() { started && grep -q "^ktstr: cache: .*$1" "$tmp/err"; }
entries() { find cache/initramfs -maxdepth 1 -name 'base-*' | wc -l; }
parts() { find cache/initramfs/parts -type f | wc -l; }

# Both in one host: another one would check the parts by itself, and note that in the entry. Pages are
# mapped where KVM is native, and copied in an emulated host, unless it does not know.
run="'$KTSTR' run --disk fs=ext4,size=32M,mount=/mnt -- echo started"
here sh -c "$run && ls -i cache/initramfs/base-* >first && env -u KTSTR_INSIDE_EMULATED_HOST $run &&
	ls -i cache/initramfs/base-* >second"
filled_and_used() {
	[ "$status" -eq 0 ] && [ "$(cat "$tmp/out")" = "$(printf 'started\nstarted')" ] &&
		! grep -q 'ktstr: cache' "$tmp/err"
}
ok "a_new_cache_is_filled_and_its_pages_are_shared" filled_and_used
ok "entry_and_parts_are_there" [ "$(entries)" -eq 1 -a "$(parts)" -gt 5 ]
ok "the_entry_was_used" cmp first second

here "$KTSTR" cache list
cp "$tmp/out" list
ok "list_names_program_and_kernel" grep -Eq '^initramfs +[0-9.]+M +[0-9.]+M +2.* ktstr, 1 file, [0-9]' list
ok "list_has_the_unpacked_kernel" grep -Eq '^kernel +[0-9.]+M .*unpacked' list
ok "list_has_the_template_of_the_disk" grep -Eq '^disk +[0-9.]+[KM] .*template, ext4-32M-0-' list
ok "list_ends_with_the_total" grep -q '^total' list

# One byte of the largest part, another one than it was, its times as they were.
part=$(find cache/initramfs/parts -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
touch -r "$part" stamp
was=$(dd if="$part" bs=1 skip=70000 count=1 status=none | od -An -tu1)
# shellcheck disable=SC2059
printf "\\$(printf %o $((was ^ 1)))" | dd of="$part" bs=1 seek=70000 conv=notrunc status=none
touch -r stamp "$part"
boots
ok "a_damaged_part_is_said_and_made_anew" says 'damaged, and is made anew'
boots
ok "and_said_once" quiet

here "$KTSTR" cache clean --keep 1
ok "clean_keeps_what_was_used_last" [ "$status" -eq 0 -a "$(entries)" -eq 1 ]
ok "and_not_the_kernel_before_it" [ "$(find cache/unpacked-kernels -type f | wc -l)" -eq 0 ]
here "$KTSTR" cache clean --size 1M
ok "clean_takes_templates_too" [ -z "$(ls cache/disk-templates)" ]
ok "clean_goes_by_size" [ "$(entries)" -eq 0 -a "$(parts)" -eq 0 ]

rm -rf cache
echo >cache
boots
ok "without_a_cache_it_starts_and_says_so" says 'no cache of initramfs: Not a directory'

# ---- bad input ----

refuses() { # refuses NAME PATTERN ARGS...
	name=$1
	pattern=$2
	shift 2
	ktstr cache "$@"
	ok "$name" refused "$pattern"
}
refuses no_verb 'command missing: not list or clean'
refuses unknown_verb 'prune: not list or clean' prune
refuses list_takes_nothing 'cache list: now: takes no argument' list now
refuses bad_keep '--keep: not a number' clean --keep -1
refuses bad_size '--size: not a size' clean --size 10X
refuses too_large_a_size '--size: not a size' clean --size 99999999999G
refuses unknown_option '--all' clean --all
refuses option_without_its_number '--keep: needs a value' clean --keep
ktstr cache clean --help
ok "clean_has_help" [ "$status" -eq 0 -a -s "$tmp/out" ]

# Entries of no version, as files alone: what is removed is by the options.
export KTSTR_CACHE="$tmp/mine"
kernels() {
	mkdir -p mine/unpacked-kernels
	rm -f mine/unpacked-kernels/*
	for name in a b; do echo x >mine/unpacked-kernels/$name; done
}
left() { [ "$status" -eq 0 ] && [ "$(find mine/unpacked-kernels -type f | wc -l)" -eq "$1" ]; }
kernels
ktstr cache clean --keep 0 --size 1G
ok "none_are_kept_whatever_their_size" left 0
kernels
ktstr cache clean --size 0 --keep 5
ok "no_bytes_are_kept_whatever_their_number" left 0
kernels
ktstr cache clean --size 1G --keep 1
ok "both_limits_hold" left 1
kernels
flock -s mine/initramfs/parts "$KTSTR" cache clean 2>"$tmp/err"
status=$?
ok "what_is_in_use_is_said" grep -q 'cache clean: .*machines are being started' "$tmp/err"
ok "and_the_rest_goes" left 0
export KTSTR_CACHE="$tmp/stamp/x"
refuses a_cache_that_is_none_is_named 'cache list: .*/stamp/x.*: Not a directory' list
unset KTSTR_CACHE
ktstr cache --help
ok "help_goes_to_stdout" [ "$status" -eq 0 -a -s "$tmp/out" -a ! -s "$tmp/err" ]
plan
