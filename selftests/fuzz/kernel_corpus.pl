#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
# The seeds of fuzz_kernel: kernel_corpus.pl DIR. A vmlinux with a segment and lists of relocations, one
# with symbols, bzImages, a System.map and a kernel's own table; each behind the byte that chooses the shift. What a
# run has found is found_*.
use strict;
use warnings;
use IO::Compress::Gzip qw(gzip);

my $dir = shift // die "usage: $0 DIR\n";
# Without "no warnings" a number of 64 bits is said to be unportable.
no warnings "portable";
my ($virtual, $physical) = (0xffffffff81000000, 0x1000000);

sub seed
{
	my ($name, $data) = @_;

	open(my $f, '>:raw', "$dir/$name") or die "$dir/$name: $!\n";
	print $f "\3", $data;
	close($f) or die "$dir/$name: $!\n";
}

# One PT_LOAD of 64 bytes at 0x78, and what is given as section headers.
sub vmlinux
{
	my ($sections, $shnum, $shstrndx) = @_;
	my $header = pack('a4C5x7 S2LQ3LS6', "\x7fELF", 2, 1, 1, 0, 0, 2, 62, 1, $physical, 64,
			  $shnum ? 0xb8 : 0, 0, 64, 56, 1, 64, $shnum, $shstrndx);
	my $segment = pack('L2Q6', 1, 7, 0x78, $virtual, $physical, 64, 128, 0x200000);

	return $header . $segment . pack('Q8', map { $virtual + $_ * 8 } 0 .. 7) . $sections;
}

# handle_relocations() reads them from the end: 32-bit places, 0, 64-bit places, 0.
my $relocations = pack('L*', 0, map({ ($virtual + $_ * 8) & 0xffffffff } 0 .. 3), 0,
		       map({ ($virtual + $_ * 8) & 0xffffffff } 4 .. 7));

# .symtab with _text and start, .strtab
my $strings = "\0_text\0start_kernel\0\0\0\0\0";
my $symbols = pack('x24') . pack('LCCSQQ', 1, 0x12, 0, 1, $virtual, 8) .
    pack('LCCSQQ', 7, 0x12, 0, 1, $virtual + 16, 8);
my $at = 0xb8 + 3 * 64;
my $sections = pack('x64') . pack('L2Q4L2Q2', 0, 2, 0, 0, $at, length $symbols, 2, 1, 8, 24) .
    pack('L2Q4L2Q2', 0, 3, 0, 0, $at + length $symbols, length $strings, 0, 0, 1, 0);

seed('vmlinux', vmlinux('', 0, 0));
seed('relocations', vmlinux('', 0, 0) . $relocations);
seed('symbols', vmlinux($sections . $symbols . $strings, 3, 0));
# Behind a sector of setup and 0x200 bytes, a payload with its size at its end.
sub bzimage
{
	my ($payload) = @_;

	return "\0" x 0x1f1 . pack('CSLSSSS', 1, 0, 8, 0, 0, 0, 0xaa55) . "\xeb\x6aHdrS" . pack('S', 0x020f) . "\0" x 0x40 .
	    pack('LL', 0, length $payload) . "\0" x 0x1b0 . $payload;
}
gzip(\(vmlinux($sections . $symbols . $strings, 3, 0) . $relocations), \my $packed, -Minimal => 1);
seed('bzimage', bzimage($packed));
seed('bzimage_bad', bzimage("\x1f\x8b\x08" . "\0" x 60 . "\1"));
seed('system_map', "ffffffff81000000 T _text\nffffffff81000010 t here\nffffffff81000020 D data\n");

# A kernel's own table, as in 7.3: number, names, marker, tokens of a byte each and their index, and 32-bit
# distances to the addresses from the places of these.
my @names = ('T_text', 'Tstart_kernel', 'tlong_' . 'x' x 130, 'D_end');
my $names = join('', map { (length > 127 ? pack('CC', length() & 127 | 128, length() >> 7) : pack('C', length)) . $_ } @names);
my $tokens = join('', map { ($_ ? chr : 'u') . "\0" } 0 .. 255);
my $kallsyms = pack('L', scalar @names) . $names . "\0" x (-length($names) % 4) . pack('L', 0) . $tokens .
    pack('S*', map { 2 * $_ } 0 .. 255);
my $place = $virtual + length $kallsyms;
$kallsyms .= pack('l*', map { $virtual + 16 * $_ - $place - 4 * $_ } 0 .. 3);
seed('kallsyms', $kallsyms);
