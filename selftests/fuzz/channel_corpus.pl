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
# kind, signal, code, alive, what PID 1 saw, reason, message, events, dump
sub scdx { my ($kind, $signal, $code, $alive, @texts) = @_;
	return frame($FRAME, $SCDX, 0, pack('VVVVQ<Vl<V6q<3a*', $kind, $signal, $code, $alive, 5, 1026, 1,
		map({ length } @texts), 0, 1, -1, -1, join('', @texts))) }
my @texts = ("EXIT: stall\n", 'runnable task stall', "watchdog\e[1m", "EV 1\n", "dump\0x");
sub metric { my ($name, $unit, $flags, @numbers) = @_;
	return pack('d<3Vvva*', @numbers, $flags, length $name, length $unit, $name . $unit) }
sub pmet { my ($name, @metrics) = @_;
	return frame($FRAME, $PMET, 0, pack('Q<Q<VVVVa*', 9, 8, 0, 0, scalar @metrics, length $name, $name) . join('', @metrics)) }
my $nan = 9**9**9 / 9**9**9;
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
	    frame($FRAME, $OUTP, 0, pack('Va*', 3, "a\0b")) . scdx(2, 0, 1, 0, @texts) . scdx(2, 0, 1, 0, @texts) . $exit,
	scheduler_killed => "\0\3" . life(1) . life(2, '/s') . scdx(1, 9, 0, 0, ('') x 5) . $end . $exit,
	scheduler_lives => "\0\3" . life(1) . scdx(1, 0, 0, 1, 'waits', ('') x 4) . scdx(9, 0, 0, 0, ('') x 5) . $exit,
	scheduler_stopped => "\0\3" . life(1) . life(3, 'o') . $output . $end . scdx(3, 0, 0, 0, 'end', ('') x 4) . $exit,
	metrics => "\0\5" . life(1) . pmet("pay\xc2\x9bload", metric("p\xff", 'us', 8, 1.5, 1, 10), metric('m', '', 20, $nan, $nan, 3),
		metric("\xe2\x82\xac", "\e[", 16, 7, 8, 9)) . $end . $exit,
	metrics_bad => "\0\5" . pmet('x', 'cut') . pmet('y') . $exit,
	raw_output => "\0\5" . frame($FRAME, $RAWO, 0, pack('VVa*', 3, 0, "n\x7f\"and more")) . frame($FRAME, $RAWO, 0, pack('VV', 1, 0)) . $exit,
	scenario => "\0\5" . life(1) . frame($FRAME, $SCST, 0, pack('Q<VVa*', 1, 0, 0, "s\n")) .
	    frame($FRAME, $STIM, 0, pack('Q<VVa*', 1, 2, 0, 'moved')) . frame($FRAME, $SCEN, 0, pack('Q<VV', 1, 1, 0)) .
	    frame($FRAME, $TEST, 0, pack('VV', 9, 0)) . $exit,
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
