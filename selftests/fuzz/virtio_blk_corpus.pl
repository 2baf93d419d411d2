#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
# Writes the seeds of fuzz_virtio_blk.c into a directory: virtio_blk_corpus.pl DIR. They are in the
# tree; this is where they come from.
use strict;
use warnings;

my ($NEXT, $WRITE, $INDIRECT) = (1, 2, 4);
my ($IN, $OUT, $FLUSH, $ID, $DISCARD, $ZEROES) = (0, 1, 4, 8, 11, 13);
my $IMAGE = 0x1000;
my $HEADERS = $IMAGE + 128 + 24 + 72; # behind the rings
my $DATA = $IMAGE + 0x1000;

sub desc { my ($address, $length, $flags, $next) = @_;
	return pack('Q<Vvv', $address, $length, $flags, $next // 0) }
sub header { return pack('VVQ<', $_[0], 0, $_[1]) }

# FLAGS, descriptors, heads, what follows the rings.
sub image { my ($flags, $descs, $heads, $rest) = @_;
	my $table = join('', @$descs);
	my $avail = pack('vv', 0, scalar @$heads) . pack('v*', @$heads);
	return pack('C', $flags) . pack('a128a24a72', $table, $avail, '') . ($rest // '') }

# A request of three descriptors, beginning with number N.
sub request { my ($n, $header, $data, $length, $write) = @_;
	return (desc($header, 16, $NEXT, $n + 1), desc($data, $length, $NEXT | ($write ? $WRITE : 0), $n + 2),
		desc($DATA + 0x4000 + $n, 1, $WRITE)) }

my $status = $DATA + 0x4000;
my @read = request(0, $HEADERS, $DATA, 1024, 1);
my @write = request(0, $HEADERS, $DATA, 1024, 0);
my @two = (request(0, $HEADERS, $DATA, 512, 1), request(3, $HEADERS + 16, $DATA + 512, 512, 0));
my @ranges = request(0, $HEADERS, $HEADERS + 16, 32, 0);
my $ranges = pack('Q<VVQ<VV', 0, 8, 0, 16, 16, 0);
my @flush = (desc($HEADERS, 16, $NEXT, 1), desc($status, 1, $WRITE));
my @table = (desc($HEADERS + 16, 48, $INDIRECT));
my $table = join('', desc($HEADERS, 16, $NEXT, 1), desc($DATA, 512, $NEXT | $WRITE, 2), desc($status, 1, $WRITE));

my %seed = (
	read => image(0, \@read, [0], header($IN, 1)),
	write => image(0, \@write, [0], header($OUT, 30)),
	write_stable => image(8, \@write, [0], header($OUT, 3)),
	write_read_only => image(1, \@write, [0], header($OUT, 3)),
	two => image(4, \@two, [0, 3], header($IN, 1) . header($OUT, 2)),
	throttled => image(128, \@two, [0, 3, 0, 3], header($IN, 1) . header($OUT, 2)),
	throttled_reset => image(128 + 64, \@two, [0, 3, 0, 3], header($IN, 1) . header($OUT, 2)),
	again => image(32, \@two, [0, 3], header($IN, 1) . header($OUT, 2)),
	reset => image(64, \@two, [0, 3], header($IN, 1) . header($OUT, 2)),
	flush => image(0, \@flush, [0], header($FLUSH, 0)),
	id => image(0, [request(0, $HEADERS, $DATA, 20, 1)], [0], header($ID, 0)),
	discard => image(0, \@ranges, [0], header($DISCARD, 0) . $ranges),
	zeroes => image(8, \@ranges, [0], header($ZEROES, 0) . pack('Q<VVQ<VV', 0, 8, 1, 16, 16, 0)),
	zeroes_outside => image(0, \@ranges, [0], header($ZEROES, 0) . pack('Q<VVQ<VV', 0, 8, 1, 31, 2, 0)),
	indirect => image(0, \@table, [0], header($IN, 2) . $table),
	indirect_refused => image(2, \@table, [0], header($IN, 2) . $table),
	unknown => image(0, \@read, [0], header(99, 0)),
	outside => image(0, \@read, [0], header($IN, 31)),
	over_the_end => image(0, \@read, [0], header($IN, -1)),
	loop => image(0, [desc($HEADERS, 16, $NEXT, 1), desc($DATA, 512, $NEXT, 0)], [0], header($OUT, 0)),
	no_status => image(0, [desc($HEADERS, 16, $NEXT, 1), desc($DATA, 512, 0)], [0], header($OUT, 0)),
	no_header => image(0, [desc($HEADERS, 15, $NEXT, 1), desc($status, 1, $WRITE)], [0], header($IN, 0)),
	no_length => image(0, [desc($HEADERS, 16, $NEXT, 1), desc($DATA, 0, $WRITE)], [0], header($IN, 0)),
	not_ram => image(0, [desc($HEADERS, 16, $NEXT, 1), desc(-1, 512, $WRITE)], [0], header($IN, 0)),
	over_rings => image(0, [request(0, $HEADERS, $IMAGE, 512, 1)], [0], header($IN, 0)),
	direction => image(0, \@write, [0], header($IN, 0)),
);

my $dir = $ARGV[0] // die "usage: virtio_blk_corpus.pl DIR\n";
for my $name (sort keys %seed) {
	open(my $file, '>:raw', "$dir/$name") or die "$dir/$name: $!\n";
	print $file $seed{$name};
	close($file) or die "$dir/$name: $!\n";
}
