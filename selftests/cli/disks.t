#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# `ktstr run --disk`: what the guest sees of its disks, and what of them is in the files.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

echo "TAP version 13"
cd "$tmp" || exit

mib=1048576
head -c $mib /dev/urandom >pattern
head -c $((4 * mib)) /dev/zero | tr '\0' x >data
cp pattern expected
# The guest's second disk: a MiB of the pattern at its second MiB, then 100 numbered lines at the last.
# What is quoted is expanded in the guest.
# shellcheck disable=SC2016
printf '%s\n' 'set -e' 'cat /dev/vda' \
	'for disk in a b; do echo "serial $(cat /sys/block/vd$disk/serial) ro $(cat /sys/block/vd$disk/ro)" >&2; done' \
	'echo "sectors $(cat /sys/block/vda/size) $(cat /sys/block/vdb/size)" >&2' \
	'if dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync 2>/dev/null; then echo written >&2; fi' \
	'dd if=/dev/vda of=/dev/vdb bs=64k seek=16 conv=fsync 2>/dev/null' \
	'echo 3 >/proc/sys/vm/drop_caches' \
	'dd if=/dev/vdb bs=64k skip=16 count=16 2>/dev/null | cmp - /dev/vda && echo "read back" >&2' >script
ktstr run --disk pattern,ro --disk data,serial=my-data --include cmp -- sh script
ok guest_reads_what_is_in_the_file cmp -s out pattern
ok guest_sees_serial_and_mode grep -qx 'serial my-data ro 0' err
ok guest_sees_the_default_serial_and_read_only grep -qx 'serial disk0 ro 1' err
ok guest_sees_sizes grep -qx 'sectors 2048 8192' err
ok read_only_disk_refuses_writes test "$status" -eq 0 -a -z "$(grep -x written err)"
ok read_only_file_is_as_it_was cmp -s pattern expected
ok guest_reads_back_what_it_wrote grep -qx 'read back' err
ok what_the_guest_flushed_is_in_the_file sh -c "tail -c +$((mib + 1)) data | cmp -s -n $mib - pattern"
ok the_rest_of_the_file_is_as_it_was sh -c \
	"[ \"\$(tr -d x <data | wc -c)\" -eq \"\$(tr -d x <pattern | wc -c)\" ] && [ \"\$(wc -c <data)\" -eq $((4 * mib)) ]"

# Discard and zeros in a disk of x.
head -c $((4 * mib)) /dev/zero | tr '\0' x >data
printf '%s\n' 'cat /sys/block/vda/queue/discard_max_bytes' "blkdiscard -o $mib -l $mib /dev/vda || exit" \
	"blkdiscard -z -o $((2 * mib)) -l 65536 /dev/vda || exit" \
	"dd if=/dev/vda bs=64k skip=32 count=1 2>/dev/null | tr -d '\\0' | wc -c" >script
ktstr run --disk data --include blkdiscard -- sh script
ok discard_is_offered test "$(head -n 1 out)" -gt 0
ok guest_reads_zeros_where_it_wrote_them test "$status" -eq 0 -a "$(sed -n 2p out)" -eq 0
ok zeros_are_in_the_file test "$(tail -c +$((2 * mib + 1)) data | head -c 65536 | tr -d '\0' | wc -c)" -eq 0
# What was discarded may be anything that it was, or zeros.
ok nothing_else_was_discarded sh -c \
	"{ head -c $mib data; tail -c +$((2 * mib + 65536 + 1)) data; } | tr -d x | wc -c | grep -qx 0"

# By the guest's clock, in the middle of a long read: reads and their time from one moment to another.
# shellcheck disable=SC2016
printf '%s\n' 'moment() { read -r now rest </proc/uptime; read -r reads rest </sys/block/$1/stat
	eval "${1}_$2=\"$reads $now\""; }' \
	'dd if=/dev/vda of=/dev/null bs=4k iflag=direct 2>/dev/null & one=$!' \
	'dd if=/dev/vdb of=/dev/null bs=16k iflag=direct 2>/dev/null & two=$!' \
	'sleep 2; moment vda from; moment vdb from; sleep 10; moment vda to; moment vdb to' \
	'kill $one $two; echo "vda $vda_from $vda_to"; echo "vdb $vdb_from $vdb_to"' >script
truncate -s 64M slow slower
ktstr run --topology 1n1l2c1t --disk slow,iops=60 --disk slower,bps=819200 -- sh script
rate_is() { # rate_is DISK N: reads a second, to 2 %
	awk -v disk="$1" -v rate="$2" '$1 == disk { found = 1; r = ($4 - $2) / ($5 - $3) }
		END { print "# " disk ": " r " a second"; exit !(found && r > rate * 0.98 && r < rate * 1.02) }' out
}
ok operations_are_throttled_to_2_percent rate_is vda 60
ok bytes_are_throttled_to_2_percent rate_is vdb 50

# A queue of 32: exits of the device (boot and partition scan among them), by requests that it had.
truncate -s 64M fast
# shellcheck disable=SC2016
ktstr run --disk fast,queues=2 --include fio --report report -- sh -c 'fio --name=deep --filename=/dev/vda \
	--rw=randread --bs=4k --direct=1 --ioengine=libaio --iodepth=32 --iodepth_batch_submit=16 \
	--iodepth_batch_complete_min=16 --number_ios=3000 >/dev/null; read -r reads rest </sys/block/vda/stat
	echo "$reads $(ls /sys/block/vda/mq | wc -l)"'
exits=$(sed -n 's/.*"address": 3489665024, "count": \([0-9]*\).*/\1/p' report) # 0xd0001000
ok deep_queue_costs_a_fifth_of_an_exit_a_request test "$(cut -d' ' -f1 out)" -ge 3000 -a \
	$((exits * 5)) -le "$(cut -d' ' -f1 out)"
ok guest_has_as_many_queues_as_cpus_at_most test "$(cut -d' ' -f2 out)" -eq 1

# As many as there may be: interrupts of all of them arrive.
for n in 1 2 3 4 5 6 7 8; do
	truncate -s 1M "disk$n"
done
ktstr run --disk disk1 --disk disk2 --disk disk3 --disk disk4 --disk disk5 --disk disk6 --disk disk7 \
	--disk disk8,ro,serial=last -- sh -c 'for d in a b c d e f g; do echo "on $d" |
	dd of=/dev/vd$d conv=sync,fsync 2>/dev/null; done; cat /sys/block/vdh/serial'
ok eighth_disk_is_there grep -q '^last' out
ok all_disks_work sh -c 'for n in 1 2 3 4 5 6 7; do grep -q "^on [a-g]" "disk$n" || exit; done'

ktstr run --artifacts record --disk data,ro,serial=again -- sh -c 'cat /sys/block/vda/serial'
ktstr rerun record
ok rerun_has_the_disks sh -c 'grep -q again out && [ "$1" -eq 0 ]' sh "$status"
plan
