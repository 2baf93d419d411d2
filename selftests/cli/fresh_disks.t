#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# `ktstr run --disk fs=...`: disks with a file system of their own, mounted before the command runs.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

echo "TAP version 13"
cd "$tmp" || exit

# Two alike are two file systems. What is quoted is expanded in the guest.
# shellcheck disable=SC2016
printf '%s\n' 'set -e' 'grep ^/dev/vd /proc/mounts | cut -d" " -f1-3 >&2' \
	'for dir in /mnt /mnt/in /new/dir /xfs; do ls $dir | grep -v lost+found >&2 || :' \
	'	dd if=/dev/urandom of=$dir/file bs=64k count=16 conv=fsync 2>/dev/null; done' \
	'for dir in /mnt /new/dir /xfs; do fstrim $dir; echo "trimmed $dir" >&2; done' \
	'echo 3 >/proc/sys/vm/drop_caches' \
	'cmp /mnt/file /mnt/in/file >/dev/null || echo "files differ" >&2' \
	'echo "zeros $(tr -d "\0" </dev/vde | wc -c) of $(cat /sys/block/vde/size)" >&2' >script
disks='--disk fs=btrfs,size=128M,mount=/mnt --disk fs=btrfs,size=128M,mount=/mnt/in,serial=second
	--disk fs=ext4,size=32M,mount=/new/dir,iops=500 --disk fs=xfs,mount=/xfs --disk fs=none,size=3M'
# shellcheck disable=SC2086 # words
ktstr run --artifacts record $disks --include fstrim --include cmp --include grep --include tr \
	--include cut -- sh script
ok command_ends_well test "$status" -eq 0
printf '%s\n' '/dev/vda /mnt btrfs' '/dev/vdb /mnt/in btrfs' '/dev/vdc /new/dir ext4' \
	'/dev/vdd /xfs xfs' >wanted
grep ^/dev/ err >mounts
ok each_is_mounted_where_it_was_asked_for cmp -s wanted mounts
ok two_alike_have_data_of_their_own grep -qx 'files differ' err
ok file_systems_can_be_trimmed test "$(grep -c '^trimmed /' err)" -eq 3
ok disk_without_a_file_system_is_zeros grep -qx 'zeros 0 of 6144' err
ok nothing_was_on_them test "$(grep -c '^file$' err)" -eq 0
ok record_has_what_makes_them_again grep -qx \
	'disk_options=fs=ext4,size=32M,mount=/new/dir,iops=500' record/machine
mv err first
ktstr rerun record
ok rerun_has_the_same_status test "$status" -eq 0
ok rerun_says_the_same sh -c 'grep -v "^ktstr: " first >a; grep -v "^ktstr: " err >b; cmp -s a b'

# A program that makes no file system.
mkdir bin
printf '#!/bin/sh\n' >bin/mkfs.ext4
chmod 755 bin/mkfs.ext4
PATH=$PWD/bin:$PATH
ktstr run --disk fs=ext4,size=33M,mount=/mnt -- echo ran
ok disk_that_cannot_be_mounted_is_no_boot lost NO_BOOT
ok what_could_not_be_mounted_is_said grep -q \
	'^ktstr: NO_BOOT: a disk could not be mounted: /mnt: mount of /dev/vda (disk0), ext4: Invalid argument' err
ok command_did_not_run test ! -s out
plan
