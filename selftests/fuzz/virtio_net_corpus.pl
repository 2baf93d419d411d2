#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
# Writes the seeds of fuzz_virtio_net.c into a directory: virtio_net_corpus.pl DIR. They are in the
# tree; this is where they come from, but for found_*, which a run has found.
use strict;
use warnings;

my ($NEXT, $WRITE, $INDIRECT) = (1, 2, 4);
my ($ALONE, $LINK, $NO_RINGS, $PLAIN, $PLAIN_PEER, $AGAIN, $RESET, $HEARS) = (1, 2, 4, 8, 16, 32, 64, 128);
my ($CSUM, $TCP4, $TCP6, $ECN) = (1, 1, 4, 0x80);
my $IMAGE = 0x1000;
my $DATA = $IMAGE + 0x300; # behind the rings
my $ROOM = $IMAGE + 0x4000;

sub desc { my ($address, $length, $flags, $next) = @_;
	return pack('Q<Vvv', $address, $length, $flags, $next // 0) }
# flags, type, header's length, segment's, start and place of the checksum
sub header { return pack('CCvvvvv', map { $_ // 0 } @_[0 .. 5], 0) }
sub ring { my ($descs, $heads) = @_;
	return pack('a128a24a104', join('', @$descs), pack('vv', 0, scalar @$heads) . pack('v*', @$heads), '') }
sub image { my ($flags, $rx, $tx, $control, $rest) = @_;
	return pack('C', $flags) . join('', map { ring(@{$_ // [[], []]}) } $rx, $tx, $control) . ($rest // '') }

my $all = "\xff" x 6 . "\x02\0\0\0\0\0";
my $frame = $all . "\x88\xb5" . 'x' x 100;
my $tcp4 = $all . "\x08\0" . pack('CCnnnCCna4a4', 0x45, 0, 1040, 1, 0, 64, 6, 0, "\x0a\0\0\1", "\x0a\0\0\2") .
	pack('nnNNCCnnn', 1, 2, 3, 4, 0x50, 0x19, 1000, 0, 0) . 'y' x 1000;
my $tcp6 = $all . "\x86\xdd" . pack('NnCCa16a16', 0x60000000, 1020, 6, 64, 'a' x 16, 'b' x 16) .
	pack('nnNNCCnnn', 1, 2, 3, 4, 0x50, 0x19, 1000, 0, 0) . 'y' x 1000;
my @buffers = map { desc($ROOM + $_ * 1024, 1024, $WRITE) } 0 .. 7;
my $rx = [\@buffers, [0 .. 7]];
# One frame in one buffer; one in three; and a table of these.
sub one { return [[desc($DATA, 12 + length($_[0]), 0)], [0]] }
my $cut = [[desc($DATA, 7, $NEXT, 1), desc($DATA + 7, 9, $NEXT, 2), desc($DATA + 16, 100, 0)], [0]];
my $indirect = [[desc($DATA + 0x200, 48, $INDIRECT)], [0]];
my $table = join('', desc($DATA, 7, $NEXT, 1), desc($DATA + 7, 9, $NEXT, 2), desc($DATA + 16, 100, 0));
my $plain = header() . $frame;
my $gso4 = header($CSUM, $TCP4, 54, 300, 34, 16) . $tcp4;
my $gso6 = header($CSUM, $TCP6 | $ECN, 74, 300, 54, 16) . $tcp6;
sub command { return [[desc($DATA, length($_[0]), $NEXT, 1), desc($ROOM, 1, $WRITE)], [0]] }

my %seed = (
	frame => image(0, $rx, one($frame), undef, $plain),
	alone => image($ALONE, $rx, one($frame), undef, $plain),
	alone_segment => image($ALONE, $rx, one($tcp4), undef, $gso4),
	alone_no_buffers => image($ALONE, undef, one($frame), undef, $plain),
	alone_over_itself => image($ALONE, [[desc($DATA, 200, $WRITE)], [0]], one($frame), undef, $plain),
	alone_over_rings => image($ALONE, [[desc($IMAGE, 0x300, $WRITE)], [0]], one($frame), undef, $plain),
	link => image($LINK, $rx, one($frame), undef, $plain),
	link_reset => image($LINK | $RESET, $rx, one($tcp4), undef, $gso4),
	link_alone => image($LINK | $ALONE | $AGAIN, $rx, one($tcp4), undef, $gso4),
	segment4 => image(0, $rx, one($tcp4), undef, $gso4),
	segment4_plain => image($PLAIN_PEER, $rx, one($tcp4), undef, $gso4),
	segment6 => image(0, $rx, one($tcp6), undef, $gso6),
	segment6_plain => image($PLAIN_PEER | $AGAIN, $rx, one($tcp6), undef, $gso6),
	segment_not_negotiated => image($PLAIN, $rx, one($tcp4), undef, $gso4),
	checksum => image($PLAIN_PEER, $rx, one($frame), undef, header($CSUM, 0, 0, 0, 14, 2) . $frame),
	checksum_outside => image(0, $rx, one($frame), undef, header($CSUM, 0, 0, 0, 100, 99) . $frame),
	cut => image($NO_RINGS, $rx, $cut, undef, $plain),
	indirect => image(0, $rx, $indirect, undef, $plain . "\0" x (0x200 - length $plain) . $table),
	indirect_refused => image($NO_RINGS, $rx, $indirect, undef, $plain . "\0" x (0x200 - length $plain) . $table),
	hears => image($HEARS, $rx, one($frame), undef, $plain),
	hears_plain => image($HEARS | $PLAIN, $rx, one($frame), undef, $plain),
	hears_small => image($HEARS, [[map { desc($ROOM + $_ * 16, 12, $WRITE) } 0 .. 7], [0 .. 7]], undef, undef),
	hears_smaller => image($HEARS, [[desc($ROOM, 11, $WRITE)], [0]], undef, undef),
	hears_readable => image($HEARS, [[desc($ROOM, 1024, 0)], [0]], undef, undef),
	hears_no_buffers => image($HEARS | $AGAIN, undef, undef, undef),
	hears_loop => image($HEARS, [[desc($ROOM, 12, $WRITE | $NEXT, 0)], [0]], undef, undef),
	hears_breaks => image($HEARS, [[desc($ROOM, 1024, $WRITE), desc(-1, 1024, $WRITE)], [0, 1]], undef, undef),
	pairs => image(0, undef, undef, command('abcd'), pack('CCv', 4, 0, 1)),
	pairs_cut => image(0, undef, undef, command('abc'), pack('CCv', 4, 0, 1)),
	pairs_none => image(0, undef, undef, command('abcd'), pack('CCv', 4, 0, 0)),
	command_unknown => image(0, undef, undef, command('abc'), pack('CCC', 0, 0, 1)),
	command_no_end => image(0, undef, undef, [[desc($DATA, 4, 0)], [0]], pack('CCv', 4, 0, 1)),
	no_header => image(0, $rx, [[desc($DATA, 11, 0)], [0]], undef, $plain),
	too_short => image(0, $rx, [[desc($DATA, 25, 0)], [0]], undef, $plain),
	too_long => image(0, $rx, [[desc($DATA, 65567, 0)], [0]], undef, $plain),
	longest => image(0, $rx, [[desc($DATA, 65566, 0)], [0]], undef, $plain),
	writable => image(0, $rx, [[desc($DATA, 200, $WRITE)], [0]], undef, $plain),
	loop => image(0, $rx, [[desc($DATA, 50, $NEXT, 0)], [0]], undef, $plain),
	not_ram => image(0, $rx, [[desc(-100, 100, 0)], [0]], undef, $plain),
	reset => image($RESET, $rx, one($frame), undef, $plain),
	again => image($AGAIN | $HEARS, $rx, one($frame), command('abcd'), $plain),
);

my $dir = $ARGV[0] // die "usage: virtio_net_corpus.pl DIR\n";
for my $name (sort keys %seed) {
	open(my $file, '>:raw', "$dir/$name") or die "$dir/$name: $!\n";
	print $file $seed{$name};
	close($file) or die "$dir/$name: $!\n";
}
