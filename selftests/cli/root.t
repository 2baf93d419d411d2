#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# `ktstr run --root`: a guest whose files are on a disk is for its command as one that has them in
# RAM, is taken where there are many, runs again from its record, and says why it does not start.
# Each run and rerun boots a kernel.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

echo "TAP version 13"
cd "$tmp" || exit
mkdir tree tree/full tree/empty
echo old >tree/full/file
ln -s full tree/link
head -c 40000000 /dev/urandom >big

# What a command can do to its files, and what it sees of them; the same lines of either root.
cat >script <<'END'
set -e
cd "$1"
cat link/file
echo new >full/file
echo more >full/another
cat link/file full/another
mv full moved
test ! -e full
ls moved
rm -r moved
mkdir full
ls full
rmdir empty
chmod 700 full
stat -c %a full
ls -A
test "$(stat -c %d .)" = "$(stat -c %d "$0")" && echo one file system
find / -xdev -name script | grep -c .
stat -c '%t %T %a' /dev/null
stat -c %a /tmp / /dev
echo >/tmp/x
cat /proc/1/comm
readlink /proc/1/exe
test -z "$(cat /proc/1/environ | tr '\0' '\n' | grep -v '^HOME=/$\|^TERM=linux$')" && echo environment
ls -A /ktstr
exit 3
END

for root in cpio erofs; do
	ktstr run --root $root -i tree -i cat -i mv -i ls -i rm -i mkdir -i rmdir -i chmod -i stat \
		-i find -i grep -i readlink -i tr -- sh -e "$tmp/script" "$tmp/tree"
	ok "${root}_has_the_status_of_the_command" test "$status" -eq 3
	mv out $root.out
done
ok a_command_does_the_same_on_both cmp -s cpio.out erofs.out
ok files_of_the_guest_can_be_changed grep -qx more erofs.out
ok all_files_have_one_device_number grep -qx 'one file system' erofs.out

type_of_root() { # what the guest said
	grep '^[^ ]* / ' "$tmp/out" | cut -d' ' -f3
}
ktstr run -i cat -- cat /proc/mounts
ok few_files_are_in_ram test "$(type_of_root)" = rootfs
# shellcheck disable=SC2016 # the guest expands it
ktstr run --artifacts record -i cat -i big -- sh -c 'cat /proc/mounts; cat "$1" >/dev/null' - "$tmp/big"
ok many_files_are_on_a_disk test "$(type_of_root)" = overlay
ok their_command_has_its_status test "$status" -eq 0
ktstr run --root cpio -i cat -i big -- cat /proc/mounts
ok many_files_are_in_ram_when_that_is_asked_for test "$(type_of_root)" = rootfs

ok a_record_has_the_disk test -s record/base.erofs
ktstr rerun record
ok rerun_has_its_files_on_the_disk test "$(type_of_root)" = overlay
ok rerun_ends_alike test "$(said)" = 'ktstr: rerun: PASS, as recorded'
head -c 8192 /dev/zero >zero
dd if=zero of=record/base.erofs conv=notrunc 2>dd.err
ktstr rerun record
ok a_disk_that_cannot_be_mounted_is_no_boot lost NO_BOOT
ok and_the_cause_is_what_the_first_program_said grep -q \
	'NO_BOOT: ktstr-stage1: mount erofs of the disk: EINVAL (errno 22)$' err
rm record/base.erofs
ktstr rerun record
ok without_the_disk_the_cause_names_it grep -q \
	'NO_BOOT: ktstr-stage1: find the disk with serial ktstr-base: ENODEV (errno 19)$' err

head -c 1048576 /dev/zero >disk
ktstr run --root erofs --disk disk,serial=mine -i ls -i cat -- \
	sh -c 'cd /sys/block; cat vda/serial; echo; cat vdb/serial; echo'
ok the_disk_is_behind_those_of_the_test test "$(tr '\n' ' ' <out)" = 'mine ktstr-base '
plan
