#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# `ktstr run --nic`: what the guest sees of its network interfaces, and that two network namespaces
# reach each other over them. Streams, rates and a loopback are in selftests/sched_ext/network.c.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

echo "TAP version 13"
cd "$tmp" || exit

# What is quoted is expanded in the guest.
# shellcheck disable=SC2016
printf '%s\n' 'set -e' 'echo interfaces $(ls /sys/class/net)' \
	'for i in /sys/class/net/eth*; do echo "$(cat "$i/address") $(cat "$i/operstate")"; done' \
	'mkfifo ready' 'unshare -n sh -c "echo >ready; exec sleep 1000" &' 'there=$!' 'read -r line <ready' \
	'busybox ip link set eth1 netns $there' \
	'busybox ip addr add 10.0.0.1/24 dev eth0' 'busybox ip link set eth0 up' \
	'nsenter -t $there -n busybox ip addr add 10.0.0.2/24 dev eth1' \
	'nsenter -t $there -n busybox ip link set eth1 up' \
	'busybox ping -c 5 -i 0.2 10.0.0.2' 'busybox ping -c 1 127.0.0.1 >/dev/null && echo lo is up' \
	'if busybox ping -c 1 -W 1 10.0.0.3 >/dev/null; then echo somebody else; fi' \
	'kill $there' >script
ktstr run --nic network=net,delay=100000 --nic network=net,queues=2,mac=02:00:00:00:00:99 --nic rate=1M \
	--report report --include busybox --include unshare --include nsenter --include mkfifo -- sh script
ok guest_has_the_interfaces_and_no_other grep -qx 'interfaces eth0 eth1 eth2 lo' out
ok first_has_the_address_of_its_place grep -q '^02:6b:74:73:74:00 ' out
ok second_has_the_address_that_was_given grep -q '^02:00:00:00:00:99 ' out
ok third_has_the_address_of_its_place grep -q '^02:6b:74:73:74:02 ' out
ok namespaces_reach_each_other grep -q '^5 packets transmitted, 5 packets received' out
# min/avg/max: one of the two directions has the delay.
# shellcheck disable=SC2016
ok delay_is_in_the_round_trip_once sh -c 'min=$(sed -n "s|^round-trip min/avg/max = \([0-9]*\)\..*|\1|p" out)
	[ "$min" -ge 100 ] && [ "$min" -lt 200 ]'
ok loopback_device_is_up grep -qx 'lo is up' out
ok nobody_else_is_there sh -c '! grep -q "somebody else" out'
ok command_ends_well test "$status" -eq 0

# Frames of the third: none but its own neighbour discovery could be, and it was not set up.
ok report_counts_what_each_sent_and_got sh -c 'grep -oE "\"nics\": \[.*\]" report | grep -qE \
	"^.{8} *\[\{\"tx_frames\": ([6-9]|[1-9][0-9]), .*\}, \{.*\}, \{\"tx_frames\": 0, \"tx_bytes\": 0, \"rx_frames\": 0,"'
# What is for all is lost to an interface that is not up yet.
# shellcheck disable=SC2016
ok report_says_that_no_link_lost_any sh -c '[ "$(grep -oE "(link_dropped|tx_bad)\": 0" report | wc -l)" -eq 6 ]'
plan
