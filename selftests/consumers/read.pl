#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
# Reads kselftest output by the rules of one of its consumers: read.pl CONSUMER <OUTPUT. Prints a line
# NAME VERDICT (pass, fail, skip) for each test, in the words of that consumer, and of the whole
# "= binary VERDICT", "= log WHAT" or "= problem TEXT". Written from what each consumer does; none of it is
# theirs.
use strict;
use warnings;
use TAP::Parser;

# TAP as the binary prints it, by Perl's own parser, which is behind prove(1).
sub read_tap
{
	my ($text) = @_;
	my $parser = TAP::Parser->new({tap => $text});

	while (my $result = $parser->next) {
		print "= problem $1\n" if $result->is_unknown && $result->as_string =~ /(\S.*)/;
		print "= bail-out\n" if $result->is_bailout;
		next unless $result->is_test;
		# TAP has no XFAIL: the directive is left in the name.
		my $name = $result->description =~ s/^- | # .*//gr;
		print "$name ", !$result->is_ok ? 'fail' : $result->has_skip ? 'skip' : 'pass', "\n";
	}
	print "= problem $_\n" for $parser->parse_errors;
	print '= binary ', $parser->has_problems ? 'fail' : 'pass', "\n";
}

# The kernel's runner.sh: the binary's lines behind one "# ", its end as a line of TAP of the runner's.
sub read_runner
{
	my ($text) = @_;
	my $inner = join '', map { s/^# // ? $_ : '' } grep { !/^# (timeout set to|selftests:) / }
	    $text =~ /^.*\n/mg;
	my @ends = $text =~ /^((?:not )?ok \d+ selftests: .*)$/mg;

	print "= problem the runner has @{[scalar @ends]} results\n" if @ends != 1;
	for (@ends) {
		print '= binary ', /^not/ ? 'fail' : / # SKIP/ ? 'skip' : 'pass', "\n";
	}
	read_tap($inner) if $inner =~ s/.*?(?=^TAP version)//ms;
}

# What `kunit.py parse` prints: its own words are [PASSED], [FAILED], [SKIPPED], [CRASHED], [ERROR].
sub read_kunit
{
	my ($text) = @_;
	my %word = (PASSED => 'pass', FAILED => 'fail', SKIPPED => 'skip', CRASHED => 'crash');

	for (split /\n/, $text) {
		s/\e\[[\d;]*m//g;
		if (/^\[[\d:]+\] \[(PASSED|FAILED|SKIPPED|CRASHED)\] (\S+)/) {
			print "$2 $word{$1}\n";
		} elsif (/\[(ERROR|NO TESTS RUN)\]/) {
			print "= problem $_\n";
		}
	}
}

# LKFT, test-definitions, automated/linux/kselftest/parse-output.py: a line of TAP is one by the rules of
# tap.py (a result is what begins with "ok" or "not ok", all else is optional). The comments before a
# result, less one "#" and white space, are read again: they are its subtests, to any depth.
sub lkft_slug
{
	my ($name) = @_;

	$name =~ s/\[\d{1,5}\]//g;
	$name =~ s/[^A-Za-z0-9_-]+/_/g;
	$name =~ s/^_|_$//g;
	$name =~ s/_-/__/g;
	return $name;
}

sub lkft_results
{
	my ($prefix, @lines) = @_;
	my (@comments, @results);

	for (@lines) {
		if (/^#\s*(.*?)\s*$/) {
			push @comments, $1;
		} elsif (/^(not )?ok\s*\d*\s*([^#]*)#?\s*(.*)$/) {
			my ($bad, $name, $directive) = ($1, $2, $3);
			my $skip = $directive =~ /^skip/i;

			$name =~ s/^\s+|\s+$//g;
			$name =~ s/^selftests://;
			$name .= ' ' . substr($directive, 4) if $skip && !$bad;
			$name = $prefix . lkft_slug($name =~ s/^\s+|\s+$//gr || '<unknown>');
			push @results, lkft_results("${name}_", @comments),
			    "$name " . ($bad ? 'fail' : $skip ? 'skip' : 'pass');
			@comments = ();
		}
	}
	return @results;
}

sub read_lkft
{
	my ($text) = @_;
	my @results = lkft_results('', split /\n/, $text);
	# The last is the runner's own, and its name stands before all others.
	my ($binary, $verdict) = split / /, pop(@results) // 'none none';

	print "= binary $verdict\n";
	print s/^\Q$binary\E_// ? "$_\n" : "= problem $_\n" for @results;
	read_squad($text);
}

# LKFT, SQUAD, squad/plugins/linux_log_parser.py: searches the whole log for what a kernel says that is in
# trouble; each find is a failed check of its own.
sub read_squad
{
	my ($text) = @_;
	my %searched = (
		'panic' => qr/Kernel panic - not syncing/,
		'exception' => qr/-+\[? ?cut here ?\]?-+/,
		'trace' => qr/-+\[? ?end trace \w* ?\]?-+/,
		'oops' => qr/^.+Oops(?: -|:)/m,
		'fault' => qr/^.+Unhandled fault/m,
		'warning' => qr/^.+WARNING:/m,
		'bug' => qr/^.+(?: kernel BUG at|BUG:)/m,
		'opcode' => qr/^.+invalid opcode:/m,
	);

	print "= log $_\n" for grep { $text =~ $searched{$_} } sort keys %searched;
}

# NIPA, contest/remote/vmksft-p.py _parse_nested_tests(): subtests are the lines behind one "# " from
# "# TAP version" on, until a line without it. lib/vm.py guess_indicators() and the runner's status decide on
# the binary, lib/crash.py has_crash() on the kernel that runs it.
sub read_nipa
{
	my ($text) = @_;
	my $nested = 0;

	$text =~ s/[\x00-\x09\x0b-\x1f\x7f]//g;
	for (split /\n/, $text, -1) {
		my $line = $_;

		if (!$nested) {
			$nested = 1 if $line =~ /^# TAP version /;
			next;
		}
		$nested = 0, next unless $line =~ s/^# //;
		next unless $line =~ /^(not )?ok /;
		if ($line !~ /^(not )?ok (\d+)( -)? ([^#]*[^ ])( +# +)?([^ ].*)?$/) {
			print "= problem it dies of: $line\n";
			next;
		}
		my ($bad, $name, $directive) = ($1, $4, $5 && $6);

		$name =~ s/[^0-9a-zA-Z]+/-/g;
		$name =~ s/-$//;
		print "$name ", ($directive // '') =~ /^skip/i ? 'skip' : $bad ? 'fail' : 'pass', "\n";
	}
	my $status = $text =~ /^not ok 1 selftests: /m;
	my $fail = $text =~ /\[FAIL\]|\[fail\]| FAIL:|\nnot ok 1 selftests: |\n# not ok 1/;
	my $skip = $text =~ /\[SKIP\]|\[skip\]| # SKIP|SKIP:/;
	my $pass = $text =~ /\[OKAY\]|\[PASS\]|\[ OK \]|\[OK\]|\[ ok \]|\[pass\]|PASSED all |\nok 1 selftests: /;

	print '= binary ', $status || $fail ? 'fail' : $skip || !$pass ? 'skip' : 'pass', "\n";
	print "= log crash\n"
	    if $text =~ /\] RIP: |\] Call Trace:|\] ref_tracker: |unreferenced object 0x/;
}

my %read = (
	prove => \&read_tap, runner => \&read_runner, kunit => \&read_kunit, lkft => \&read_lkft,
	nipa => \&read_nipa,
);
my $read = @ARGV == 1 && $read{$ARGV[0]};

$read or die 'usage: read.pl ' . join('|', sort keys %read) . " <OUTPUT\n";
local $/;
$read->(<STDIN> // '');
