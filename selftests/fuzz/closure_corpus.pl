#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
# Writes the seeds of fuzz_closure.c into a directory: closure_corpus.pl DIR. They are in the tree;
# this is where they come from, but for found_*, which a run has found. ELF files are of x86-64.
use strict;
use warnings;

my ($LOAD, $DYNAMIC, $INTERP) = (1, 2, 3);
my %tag = (needed => 1, strtab => 5, soname => 14, rpath => 15, runpath => 29, flags_1 => 0x6ffffffb);

# An ELF file of one segment: [name => value, ...] become its dynamic section.
sub elf { my ($interpreter, @dynamic) = @_;
	my ($strings, $entries) = ("\0", '');
	while (my ($name, $value) = splice @dynamic, 0, 2) {
		if ($value !~ /^\d+$/) {
			my $text = $value;
			$value = length $strings;
			$strings .= "$text\0";
		}
		$entries .= pack('Q<Q<', $tag{$name}, $value);
	}
	my $nr = defined $interpreter ? 3 : 2;
	my $at = 64 + 56 * $nr;
	my $interp = defined $interpreter ? "$interpreter\0" : '';
	my $strings_at = $at + length $interp;
	my $dynamic_at = $strings_at + length $strings;
	$entries .= pack('Q<Q<Q<Q<', $tag{strtab}, $strings_at, 0, 0);
	my $end = $dynamic_at + length $entries;
	my $ph = sub { my ($type, $offset, $size) = @_;
		return pack('VVQ<6', $type, 4, $offset, $offset, $offset, $size, $size, 1) };
	return "\x7fELF\2\1\1" . "\0" x 9 . pack('vvVQ<Q<Q<Vvvvvvv', 3, 62, 1, 0, 64, 0, 0, 64, 56, $nr, 64, 0, 0) .
		$ph->($LOAD, 0, $end) . $ph->($DYNAMIC, $dynamic_at, length $entries) .
		(defined $interpreter ? $ph->($INTERP, $at, length $interp) : '') . $interp . $strings . $entries }

# Entries of [name, path, hwcap].
sub cache { my @entries = @_;
	my ($table, $strings) = ('', '');
	my $base = 48 + 24 * @entries;
	for (@entries) {
		my ($name, $path, $hwcap) = @$_;
		$table .= pack('VVVVQ<', 3, $base + length $strings, $base + length($strings) + length($name) + 1, 0, $hwcap // 0);
		$strings .= "$name\0$path\0";
	}
	return 'glibc-ld.so.cache1.1' . pack('VVCx3VVVV', scalar @entries, length $strings, 2, 0, 0, 0, 0) . $table . $strings }
sub input { my ($program, $library, $cache) = @_;
	return join('', map { pack('v', length $_) . $_ } $program, $library // '') . ($cache // '') }

my $library = elf(undef, soname => 'libx.so');
my $found = cache(['libx.so', '/tmp/libx.so'], ['libx.so', '/nowhere/libx.so', 2], ['liby.so', '/nowhere']);
my $old = 'ld.so-1.7.0' . "\0" . pack('V', 1) . "\0" x 12 . "\0" x 4;

my %seed = (
	static => input(elf(undef)),
	needed => input(elf(undef, needed => 'libx.so'), $library),
	both => input(elf('/bin/sh', needed => 'libx.so', needed => 'libx.so', soname => 'me'), elf(undef, needed => 'libx.so')),
	missing => input(elf(undef, needed => 'liby.so'), '', $found),
	nowhere => input(elf(undef, needed => 'a/../b', needed => '')),
	rpath => input(elf(undef, rpath => '$ORIGIN:${LIB}/x:$PLATFORM:', needed => 'libx.so'), $library),
	runpath => input(elf(undef, runpath => '$ORIGIN/../$ORIGIN::/..', rpath => '/a', flags_1 => 0x800, needed => 'libx.so'), $library),
	foreign_library => input(elf(undef, needed => 'libx.so'), "\x7fELF\1\1\1" . "\0" x 60),
	interpreter_missing => input(elf('relative/ld.so')),
	cut => input(substr(elf('/bin/sh', needed => 'libx.so'), 0, 150), $library),
	script => input("#!/bin/sh -e\necho"),
	script_env => input("#!/usr/bin/env -S A=b program x\n"),
	script_itself => input("#!program\n"),
	script_odd => input("#! \t/bin/sh\r\n") . '#!',
	data => input('just text', '', $old . $found),
	cache_old => input(elf(undef, needed => 'libx.so'), '', $old . $found),
	cache_bad => input(elf(undef, needed => 'libx.so'), '', substr($found, 0, 70)),
);

my $dir = shift // die "usage: closure_corpus.pl DIR\n";
for my $name (sort keys %seed) {
	open my $f, '>:raw', "$dir/$name" or die "$dir/$name: $!\n";
	print $f $seed{$name};
	close $f or die "$dir/$name: $!\n";
}
