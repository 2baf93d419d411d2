#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
# Writes the seeds of fuzz_channel.c into a directory: channel_corpus.pl DIR. They are in the tree; this
# is where they come from.
use strict;
use warnings;

my ($RAW, $FRAME, $DAMAGED, $CUT, $HEADER, $AGAIN, $ZEROS) = 0 .. 6;
my ($SCST, $SCEN, $TEST, $EXIT, $STIM, $SCDX, $PRAW, $PMET, $RAWO, $LIFE, $OUTP, $WHAT) = 0 .. 11;

sub frame { my ($op, $type, $step, $payload, @more) = @_;
	return pack('CCcC/a*C*', $op, $type, $step, $payload, @more) }
sub life { return frame($FRAME, $LIFE, 0, pack('VVQ<a*', $_[0], 0, 1000, $_[1] // '')) }
sub raw { return pack('CC/a*', $RAW, $_[0]) }

my $output = frame($FRAME, $OUTP, 0, pack('Va*', 1, "text\n"));
my $end = life(5) . frame($FRAME, $TEST, 0, pack('VV', 0, 0)) . life(6);
my $exit = frame($FRAME, $EXIT, 0, pack('V', 0));
my $run = life(1) . life(4, 'test') . $output . $end . $exit;
my $sched = pack('VVVVQ<a*', 2, 0, 1, 0, 5, 'EXIT: runnable task stall');
my $lie = pack('CVVVV', $HEADER, 0x5054554f, 1, 16 << 20, 0);

my %seed = (
	pass => "\0\5$run",
	skip => "\0\6" . life(1) . frame($FRAME, $TEST, 0, pack('VVa*', 0, 4, 'no hardware')) . $exit,
	signal => "\0\1" . life(1) . frame($FRAME, $TEST, 0, pack('VV', 11, 0)) . $exit,
	bad_signal => "\0\1" . life(1) . frame($FRAME, $TEST, 0, pack('VV', 65, 0)) . $exit,
	bad_status => "\0\1" . life(1) . frame($FRAME, $TEST, 0, pack('VV', 0, 256)) . $exit,
	long_ops => "\0\1" . life(1) . life(3, 'o' x 200) . $end . $exit,
	no_status => "\0\1" . life(1) . $exit,
	scheduler => "\0\3" . life(1) . life(2, '/s') . life(3, "ops\n") .
	    frame($FRAME, $OUTP, 0, pack('Va*', 3, "a\0b")) . frame($FRAME, $SCDX, 0, $sched) . $exit,
	damaged => "\0\2" . life(1) . frame($DAMAGED, $OUTP, 0, pack('Va*', 1, 'lost'), 30, 1) . $end . $exit,
	false_length => "\0\7" . life(1) . frame($DAMAGED, $OUTP, 0, 'lost', 14, 0x55) . $run,
	over_limit => "\0\4" . life(1) . frame($DAMAGED, $OUTP, 0, 'lost', 15, 0xff) . $end,
	cut => "\0\11" . life(1) . frame($CUT, $RAWO, 0, 'x' x 60, 33) . $end . $exit,
	garbage => "\0\12" . raw('KTKTLKTLV no frame KTLV') . $run . raw("\xff" x 40),
	gap_repeat_wrap => "\0\13" . life(1) . frame($FRAME, $STIM, 3, 'x') . frame($FRAME, $PMET, -2, 'y') .
	    frame($FRAME, $SCST, -128, '') . $exit,
	again => "\0\14" . life(1) . $output . pack('CC', $AGAIN, 3) . $end,
	forged_headers => "\1\15" . $lie . pack('CC', $AGAIN, 255) . pack('CC', $ZEROS, 200) . $run,
	forged_small => "\1\16" . pack('CVVVV', $HEADER, 0, 0, 900, 0) . pack('CC', $AGAIN, 255) .
	    pack('CC', $AGAIN, 255) . $run,
	bad_forms => "\0\17" . frame($FRAME, $EXIT, 0, 'abc') . frame($FRAME, $TEST, 0, 'a') .
	    frame($FRAME, $LIFE, 0, '') . frame($FRAME, $SCDX, 0, '') . frame($FRAME, $OUTP, 0, 'abc') .
	    frame($FRAME, $WHAT, 0, 'x') . frame($FRAME, $SCEN, 0, '') . frame($FRAME, $PRAW, 0, ''),
);

my $dir = $ARGV[0] // die "usage: channel_corpus.pl DIR\n";
for my $name (sort keys %seed) {
	open(my $file, '>:raw', "$dir/$name") or die "$dir/$name: $!\n";
	print $file $seed{$name};
	close($file) or die "$dir/$name: $!\n";
}
