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

# Discard and zeros in a disk of x. On another, a queue of 32, with a batch of requests at a time.
head -c $((4 * mib)) /dev/zero | tr '\0' x >data
# shellcheck disable=SC2016
printf '%s\n' 'cat /sys/block/vda/queue/discard_max_bytes' "blkdiscard -o $mib -l $mib /dev/vda || exit" \
	"blkdiscard -z -o $((2 * mib)) -l 65536 /dev/vda || exit" \
	"dd if=/dev/vda bs=64k skip=32 count=1 2>/dev/null | tr -d '\\0' | wc -c" \
	'fio --name=deep --filename=/dev/vdb --rw=randread --bs=4k --direct=1 --ioengine=libaio \
		--iodepth=32 --iodepth_batch_submit=16 --iodepth_batch_complete_min=16 \
		--number_ios=3000 >/dev/null || exit' \
	'read -r reads rest </sys/block/vdb/stat; echo "$reads"; ls /sys/block/vdb/mq' >script
truncate -s 64M fast
ktstr run --disk data --disk fast,queues=2 --topology 1n1l2c1t --include blkdiscard --include fio \
	--report report -- sh script
ok discard_is_offered test "$(head -n 1 out)" -gt 0
ok guest_reads_zeros_where_it_wrote_them test "$status" -eq 0 -a "$(sed -n 2p out)" -eq 0
ok zeros_are_in_the_file test "$(tail -c +$((2 * mib + 1)) data | head -c 65536 | tr -d '\0' | wc -c)" -eq 0
# What was discarded may be anything that it was, or zeros.
ok nothing_else_was_discarded sh -c \
	"{ head -c $mib data; tail -c +$((2 * mib + 65536 + 1)) data; } | tr -d x | wc -c | grep -qx 0"

# Of the second disk, boot and partition scan among them.
exits=$(sed -n 's/.*"address": 3489669120, "count": \([0-9]*\).*/\1/p' report) # 0xd0002000
reads=$(sed -n 3p out)
ok deep_queue_costs_a_fifth_of_an_exit_a_request test "$reads" -ge 3000 -a $((exits * 5)) -le "$reads"
ok guest_has_two_queues test "$(tail -n +4 out | tr '\n' ' ')" = '0 1 '

# By the guest's clock, in the middle of long reads, four at a time: a guest that is slow now and then
# has the next one waiting. The clock is read before and after, again if there was a pause between.
# shellcheck disable=SC2016
printf '%s\n' 'moment() { while :; do read -r before rest </proc/uptime
		read -r reads rest </sys/block/$1/stat; read -r after rest </proc/uptime
		[ $((${after%.*}${after#*.} - ${before%.*}${before#*.})) -gt 2 ] || break; done
	echo "$1 $reads $after"; }' \
	'for at in 0 1 2 3; do dd if=/dev/vda of=/dev/null bs=4k skip=${at}k iflag=direct 2>/dev/null &
	pids="$pids $!"' 'dd if=/dev/vdb of=/dev/null bs=16k skip=${at}k iflag=direct 2>/dev/null & pids="$pids $!"; done' \
	'for part in 0 1 2 3; do sleep 5; moment vda; moment vdb; done' \
	'kill $pids' >script
truncate -s 64M slow slower
ktstr run --disk slow,iops=20 --disk slower,bps=327680 -- sh script
# Too many are too many in the mean; too few are the throttle's fault only if there are too few in each
# part, also in one in which the host had time for the guest.
rate_is() { # rate_is DISK N: reads a second, to 2 %
	awk -v disk="$1" -v rate="$2" '$1 == disk && n++ {
			mean = ($2 - first) / ($3 - begin)
			part = ($2 - reads) / ($3 - at)
			best = part > best ? part : best
		}
		$1 == disk { reads = $2; at = $3 }
		$1 == disk && n == 1 { first = $2; begin = $3 }
		END {
			print "# " disk ": " mean " a second, " best " in the best part"
			exit !(n == 4 && best > rate * 0.98 && mean < rate * 1.02)
		}' out
}
ok operations_are_throttled_to_2_percent rate_is vda 20
ok bytes_are_throttled_to_2_percent rate_is vdb 20

# As many as there may be: interrupts of all of them arrive.
for n in 1 2 3 4 5 6 7 8; do
	truncate -s 1M "disk$n"
done
# shellcheck disable=SC2016
ktstr run --disk disk1 --disk disk2 --disk disk3 --disk disk4 --disk disk5 --disk disk6 --disk disk7 \
	--disk disk8,ro,serial=last -- sh -c 'for d in a b c d e f g; do echo "on $d" |
	dd of=/dev/vd$d conv=sync,fsync 2>/dev/null; done; cat /sys/block/vdh/serial'
ok eighth_disk_is_there grep -q '^last' out
# shellcheck disable=SC2016
ok all_disks_work sh -c 'for n in 1 2 3 4 5 6 7; do grep -q "^on [a-g]" "disk$n" || exit; done'

# shellcheck disable=SC2016
ktstr run --artifacts record --disk data,ro,serial=again -- sh -c 'echo "$(cat /sys/block/vda/serial)"'
ktstr rerun record
ok rerun_has_the_disks grep -qx again out
ok rerun_has_the_same_status test "$status" -eq 0
plan
