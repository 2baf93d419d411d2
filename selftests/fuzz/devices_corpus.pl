#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
# Writes the seeds of fuzz_devices.c into a directory: devices_corpus.pl DIR. They are in the tree;
# this is where they come from, but for found_*, which a run has found.
use strict;
use warnings;

my ($CONSOLE, $DISK, $NIC, $FAR, $COM1, $COM2, $NOBODY) = (0 .. 6);
my ($NEXT, $WRITE, $INDIRECT) = (1, 2, 4);
my ($ADD, $READY, $PORT_READY, $CONSOLE_PORT, $RESIZE, $OPEN, $NAME) = (1, 0, 3, 4, 5, 6, 7);
my $ALL = "\xff" x 8;
my $DATA = 0x80000;

sub ring { my ($device, $queue) = @_; return 0x10000 * ($device + 1) + 0x1000 * $queue }
sub ram { my ($gpa, $bytes) = @_;
	my $out = '';
	for (my $at = 0; $at < length $bytes; $at += 255) {
		my $part = substr($bytes, $at, 255);
		$out .= pack('C', 2) . substr(pack('V', $gpa + $at), 0, 3) . pack('C', length $part) . $part;
	}
	return $out }
sub desc { my ($address, $length, $flags, $next) = @_;
	return pack('Q<Vvv', $address, $length, $flags // 0, $next // 0) }
# Descriptors of a queue, and what is available in it: $index of them are, in all.
sub queue { my ($device, $queue, $index, @descs) = @_;
	my $heads = pack('v*', 0 .. 7);
	return ram(ring($device, $queue), join('', @descs)) .
		ram(ring($device, $queue) + 0x400, pack('vv', 0, $index) . $heads) }
sub up { return pack('CC', 3, $_[0]) . ($_[1] // $ALL) }
sub notify { return pack('CC', 4, $_[0]) }
# The port is what the whole byte leaves; of a serial port, its lowest bit.
sub host { my ($what, $port, $value) = @_;
	return pack('CCv', 5, $what << 4 | ($what == 6 ? $port : ($port - 16 * $what) % 3), $value) }
sub reset_of { return pack('CC', 6, $_[0]) }
sub save { my ($device, $damage) = @_; return pack('CCv', 7, $device | ($damage ? 0x80 : 0), $damage // 0) }
sub run { return "\x08" }
sub threads { return "\x09" }
sub wait_some { return "\x0a" }
sub out { my ($place, $offset, $width, $value) = @_;
	return pack('CCvC', 0, $place, $offset + 8, $width) . substr(pack('Q<', $value), 0, 1 << $width) }
sub in { my ($place, $offset, $width) = @_; return pack('CCvC', 1, $place, $offset + 8, $width) }
sub control { return pack('Vvv', @_) }

# What Linux says first: the device is ready, and so is each port, which it opens.
my @said = (control(0, $READY, 1), map { control($_, $PORT_READY, 1), control($_, $OPEN, 1) } 0 .. 2);
my $said = join('', @said);
my $hello = ram($DATA, $said) .
	queue($CONSOLE, 3, 7, map { desc($DATA + 8 * $_, 8) } 0 .. 6);
my $answers = queue($CONSOLE, 2, 8, map { desc($DATA + 0x1000 + 64 * $_, 64, $WRITE) } 0 .. 7);
my $linux = $answers . $hello . up($CONSOLE) . notify($CONSOLE);
sub text { my ($port) = @_; return ram($DATA + 0x2000, 'x' x 200) .
	queue($CONSOLE, $port ? 2 * $port + 3 : 1, 2, desc($DATA + 0x2000, 100), desc($DATA + 0x2064, 50, $NEXT, 2),
		desc($DATA + 0x2000, 7)) }
sub buffers { my ($port, $length) = @_;
	return queue($CONSOLE, $port ? 2 * $port + 2 : 0, 4, map { desc($DATA + 0x4000 + 0x800 * $_, $length, $WRITE) } 0 .. 3) }
my $one_port = "\xfd" . "\xff" x 7;
my $no_rings = "\xff\xff\xff\x0f\xff\xff\xff\xff";
my $table = join('', desc($DATA + 0x2000, 10, $NEXT, 1), desc($DATA + 0x2010, 10));

# A register of a device's queue.
sub queue_register { my ($device, $queue, $offset, $value) = @_;
	return out($device, 0x30, 2, $queue) . out($device, $offset, 2, $value) }
my ($NUM, $READY_REGISTER, $DESC, $AVAIL, $USED_HIGH) = (0x38, 0x44, 0x80, 0x90, 0xa4);
# The queue is stopped and set up once more, otherwise.
sub anew { my ($queue, $offset, $value) = @_;
	return up($CONSOLE) . queue_register($CONSOLE, $queue, $READY_REGISTER, 0) . queue_register($CONSOLE, $queue, $offset, $value) .
		queue_register($CONSOLE, $queue, $READY_REGISTER, 1) }

# A read of the disk's second sector, eight times, which is more than it does at once.
my $read = ram($DATA, pack('VVQ<', 0, 0, 1)) . queue($DISK, 0, 8, desc($DATA, 16, $NEXT, 1),
	desc($DATA + 0x1000, 512, $WRITE | $NEXT, 2), desc($DATA + 0x2000, 1, $WRITE)) .
	ram(ring($DISK, 0) + 0x404, "\0" x 16);

# Frames in queue $queue of the NIC, each in a slot of its own; and what the far one receives into.
sub frames { my ($queue, @frames) = @_;
	my ($out, @descs) = ('');
	for my $i (0 .. $#frames) {
		my $at = $DATA + 0x4000 * $queue + 0x800 * $i;
		$out .= ram($at, "\0" x 12 . $frames[$i]);
		push @descs, desc($at, 12 + (length $frames[$i] == 19 ? 1700 : length $frames[$i]));
	}
	return $out . queue($NIC, $queue, scalar @frames, @descs) }
sub received { my ($queue) = @_;
	return queue($FAR, $queue, 8, map { desc($DATA + 0x20000 * ($queue + 1) + 0x1000 * $_, 2048, $WRITE) } 0 .. 7) }
my $group = "\xff" x 6 . "\x02\0\0\0\0\0";
sub ipv4 { my ($protocol, $fragment, $port) = @_;
	return pack('CCnnnCCna4a4', 0x45, 0, 40, 1, $fragment, 64, $protocol, 0, "\x0a\0\0\1", "\x0a\0\0\2") . pack('nn', $port, 80) . 'y' x 16 }
sub ipv6 { return pack('NnCCa16a16', 0x60000000, 20, 17, 64, 'a' x 16, 'b' x 16) . pack('nn', $_[0], 80) . 'y' x 16 }
my $two_pairs = ram($DATA + 0x10000, pack('CCv', 4, 0, 2)) . join('', map {
	queue($_, 4, 1, desc($DATA + 0x10000, 4, $NEXT, 1), desc($DATA + 0x10100, 1, $WRITE)) . up($_) . notify($_) } $NIC, $FAR);
# Frames of 65,550 bytes, eight at a time, onto the link: more than its memory holds in all.
my $flood = queue($FAR, 1, 0, map { desc($DATA, 65562) } 0 .. 7) . up($FAR) . join('', map {
	ram(ring($FAR, 1) + 0x402, pack('v', 8 * $_)) . notify($FAR) . run() } 1 .. 36);

my %seed = (
	hello => $linux . run(),
	output => $linux . text(0) . text(1) . text(2) . notify($CONSOLE) . notify($CONSOLE),
	output_slow => $linux . host(2, 1, 30) . text(1) . notify($CONSOLE) . notify($CONSOLE) . host(2, 1, 500) .
		host(3, 1, 0) . run() . notify($CONSOLE),
	output_slow_reset => $linux . host(2, 1, 0) . text(1) . notify($CONSOLE) . reset_of($CONSOLE) . host(2, 1, 9) .
		host(3, 1, 0) . host(2, 1, 999) . host(3, 1, 0) . $linux . run(),
	output_closed => $linux . host(4, 1, 0) . text(1) . notify($CONSOLE) . host(4, 1, 1) . notify($CONSOLE),
	output_indirect => $linux . ram($DATA + 0x3000, $table) .
		queue($CONSOLE, 5, 1, desc($DATA + 0x3000, 32, $INDIRECT)) . notify($CONSOLE),
	output_no_rings => $answers . $hello . up($CONSOLE, $no_rings) . notify($CONSOLE) . text(1) . notify($CONSOLE),
	output_written => $linux . queue($CONSOLE, 1, 1, desc($DATA, 64, $WRITE)) . notify($CONSOLE),
	input => $linux . buffers(0, 100) . buffers(2, 2000) . host(0, 0, 300) . host(0, 2, 4000) . notify($CONSOLE) .
		host(0, 2, 4096) . run() . notify($CONSOLE),
	input_first => host(0, 1, 4096) x 5 . $linux . buffers(1, 2048) . notify($CONSOLE) . buffers(1, 1000) . notify($CONSOLE),
	input_close => $linux . host(0, 1, 50) . host(4, 1, 0) . buffers(1, 20) . notify($CONSOLE) . notify($CONSOLE) . run(),
	input_readable => $linux . queue($CONSOLE, 4, 1, desc($DATA, 64)) . host(0, 1, 10) . notify($CONSOLE),
	close_by_guest => $linux . ram($DATA, control(1, $OPEN, 0)) . text(1) . queue($CONSOLE, 3, 8) . notify($CONSOLE),
	strange => ram($DATA, join('', map { control($_, $_, $_) } 0 .. 6) . control(99, $OPEN, 1)) .
		queue($CONSOLE, 3, 8, map { desc($DATA + 8 * $_, $_ == 3 ? 5 : 8) } 0 .. 7) . $answers . up($CONSOLE) . notify($CONSOLE),
	small_answer => queue($CONSOLE, 2, 1, desc($DATA, 4, $WRITE)) . $hello . up($CONSOLE) . notify($CONSOLE),
	one_port => up($CONSOLE, $one_port) . text(0) . buffers(0, 50) . host(0, 0, 100) . notify($CONSOLE) . host(5, 0, 80),
	resize => $linux . host(5, 0, 80) . $answers . notify($CONSOLE) . in($CONSOLE, 0x100, 2) . in($CONSOLE, 0x102, 1),
	saved => $linux . save($CONSOLE) . text(0) . notify($CONSOLE) . save($CONSOLE) . save($CONSOLE, 0x130) . run(),
	saved_bad => join('', map { $linux . save($CONSOLE, $_) . run() } 0x1008, 0xff20, 0x0148, 0x8090),
	registers => join('', map { in($CONSOLE, 4 * $_, 2) . out($CONSOLE, 4 * $_, 2, 0x12345678) } 0 .. 64),
	widths => join('', map { in($_, 0, 3) . in($_, 5, 0) . in($_, 6, 1) . out($_, 0x70, 3, 0) . out($_, 0x100, 0, 1) .
		out($_, 0x1fe, 2, 1) . in($_, 0x1f8, 3) } $CONSOLE, $DISK, $NIC),
	nobody => in($NOBODY, 1, 3) . in($NOBODY, 2, 2) . out($NOBODY, 1, 3, 0),
	serial => join('', map { out($COM1, $_, 0, 0xff) . in($COM1, $_, 0) . in($COM2, $_, 1) } 0 .. 7) . host(6, 0, 20) .
		join('', map { in($COM1, 0, 0) } 1 .. 20) . out($COM1, 3, 0, 0x80) . out($COM1, 0, 1, 12),
	disk => ram($DATA, pack('VVQ<', 0, 0, 1)) . queue($DISK, 0, 1, desc($DATA, 16, $NEXT, 1),
		desc($DATA + 0x1000, 512, $WRITE | $NEXT, 2), desc($DATA + 0x2000, 1, $WRITE)) . up($DISK) . notify($DISK) .
		run() . save($DISK) . in($DISK, 0x100, 2),
	nic => ram($DATA, "\0" x 12 . "\xff" x 6 . "\x02\0\0\0\0\0\x88\xb5" . 'z' x 50) .
		queue($NIC, 1, 1, desc($DATA, 76)) . queue($NIC, 0, 2, map { desc($DATA + 0x1000 * $_, 2048, $WRITE) } 1, 2) .
		up($NIC) . notify($NIC) . run() . save($NIC),
	nic_pairs => $two_pairs . received(0) . received(2) .
		frames(1, $group . "\x08\0" . ipv4(6, 0, 7), $group . "\x08\0" . ipv4(17, 0x2000, 7)) .
		frames(3, $group . "\x86\xdd" . ipv6(9), $group . "\x88\xb5" . 'z' x 50) . notify($NIC) . notify($NIC),
	nic_vlan => $two_pairs . received(0) . received(2) .
		frames(1, $group . "\x81\0\0\1\x08\0" . ipv4(6, 0, 8), $group . "\x81\0\0\1\x86\xdd" . ipv6(3)) . notify($NIC),
	nic_mtu => $two_pairs . received(0) . received(2) .
		frames(1, $group . "\x81\0\0\1\x08\0" . 'x', $group . "\x08\0" . ipv4(17, 0, 1)) . notify($NIC),
	nic_threads => threads() . $two_pairs . received(0) . received(2) .
		frames(3, $group . "\x08\0" . ipv4(6, 0, 7)) . notify($NIC) . save($NIC) . notify($NIC) . reset_of($NIC),
	link_flood => $flood . wait_some() . notify($FAR),
	link_small => frames(1) . queue($FAR, 1, 2, desc($DATA, 76), desc($DATA + 0x400, 1512)) . up($NIC) . received(0) .
		queue($NIC, 0, 8, map { desc($DATA + 0x1000 * $_, 2048, $WRITE) } 1 .. 8) . up($FAR) . notify($FAR) .
		wait_some() x 3 . save($FAR),
	disk_many => $read . up($DISK) . notify($DISK) . wait_some() x 4 . notify($DISK) . wait_some(),
	disk_save => $read . up($DISK) . notify($DISK) . save($DISK) . wait_some(),
	disk_reset => $read . up($DISK) . notify($DISK) . reset_of($DISK) . run(),
	disk_stop => $read . up($DISK) . notify($DISK) . queue_register($DISK, 1, $READY_REGISTER, 0) .
		queue_register($DISK, 0, $READY_REGISTER, 0) . run(),
	disk_threads => threads() . $read . up($DISK) . notify($DISK) . queue_register($DISK, 0, $READY_REGISTER, 0) .
		$read . up($DISK) . notify($DISK) . save($DISK) . reset_of($DISK) . up($DISK) . notify($DISK),
	geometry => anew(0, $NUM, 7) . anew(1, $NUM, 0x10000) . anew(2, $DESC, 8) . anew(3, $AVAIL, 0x100001) . anew(4, $USED_HIGH, 1) .
		anew(5, $NUM, 4),
	chains => join('', map { up($CONSOLE) . $_ . notify($CONSOLE) } queue($CONSOLE, 1, 1, desc($DATA, 8, $NEXT, 8)),
		ram($DATA + 0x3000, desc($DATA, 16, $INDIRECT)) . queue($CONSOLE, 1, 1, desc($DATA + 0x3000, 16, $INDIRECT)),
		queue($CONSOLE, 1, 1, desc($DATA, 16, $INDIRECT | $NEXT, 1)), queue($CONSOLE, 1, 1, desc(0x150000, 16, $INDIRECT)),
		queue($CONSOLE, 1, 9)),
	all => $linux . up($DISK) . up($NIC) . notify($CONSOLE) . notify($DISK) . notify($NIC) . reset_of($DISK) . reset_of($NIC),
);

my $dir = shift // die "usage: devices_corpus.pl DIR\n";
for my $name (sort keys %seed) {
	open my $f, '>:raw', "$dir/$name" or die "$dir/$name: $!\n";
	print $f ($name =~ /^link/ ? "\1" : "\0") . $seed{$name};
	close $f or die "$dir/$name: $!\n";
}
