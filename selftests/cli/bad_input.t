#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Bad input is told in one line, with the remedy and exit status 2, before any machine is started.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

# refuses NAME PATTERN ARGS...
refuses() {
	name=$1
	pattern=$2
	shift 2
	ktstr "$@"
	ok "$name" refused "$pattern"
}

echo "TAP version 13"
mkdir "$tmp/kernel" "$tmp/empty"
echo 'not a kernel' >"$tmp/text"
printf '#!/bin/sh\n' >"$tmp/script"
chmod +x "$tmp/script"

refuses unknown_command 'nonsense: unknown command; see' nonsense
refuses unknown_option 'run: --bogus: unknown.*; see' run --bogus true
refuses unknown_short_option 'run: -Z: unknown.*; see' run -vZ true
refuses option_without_its_value 'run: --kernel: needs a value; see' run --kernel
refuses value_of_an_option_that_takes_none 'run: --verbose: .*; see' run --verbose=3 true
refuses no_command 'run: CMD: missing; see' run --memory 512
refuses disk_that_is_not_there 'run: .*/nowhere: open disk: .*; make it: truncate' \
	run --disk "$tmp/nowhere" true
refuses disk_that_is_no_file 'run: .*/empty: open disk: ' run --disk "$tmp/empty" true
refuses disk_smaller_than_a_sector 'run: .*/text: disk: smaller than a sector' run --disk "$tmp/text" true
refuses disk_without_a_path 'run: --disk: has no path' run --disk ,ro true
refuses disk_option_of_another_form 'run: --disk: takes PATH and then ro, ' \
	run --disk "$tmp/text,rw" true
refuses disk_with_a_rate_of_nothing 'run: --disk: takes numbers from 1' \
	run --disk "$tmp/text,iops=0" true
refuses disk_with_a_burst_alone 'run: --disk: burst-ops=N needs iops=N' \
	run --disk "$tmp/text,burst-ops=5" true
refuses nic_option_that_is_none 'run: --nic: takes network=NAME, ' run --nic speed=1 true
refuses nic_with_a_network_without_a_name 'run: --nic: network=NAME takes ' run --nic network= true
refuses nic_with_a_rate_of_nothing 'run: --nic: rate=N.KMG. takes bits a second' run --nic rate=0 true
refuses nic_with_the_address_of_a_group 'run: --nic: mac=M takes ' run --nic mac=01:00:00:00:00:01 true
refuses nics_of_one_address 'run: number 1: NIC: the address is that of another' \
	run --nic network=a,mac=02:00:00:00:00:01 --nic network=a,mac=02:00:00:00:00:01 true
refuses too_many_nics 'run: --nic: more than 6' run --nic '' --nic '' --nic '' --nic '' --nic '' --nic '' --nic '' true
refuses fresh_disk_of_no_file_system 'run: --disk: fs=F takes btrfs, ext4, xfs or none' \
	run --disk fs=vfat true
refuses fresh_disk_with_a_size_without_a_unit 'run: --disk: size=S takes a number with M, G or T' \
	run --disk fs=ext4,size=512 true
refuses image_that_is_to_be_mounted 'run: --disk: size=S and mount=DIR need fs=F' \
	run --disk "$tmp/text,mount=/mnt" true
refuses disk_mounted_at_no_directory 'run: ext4: disk: mount takes an absolute path' \
	run --disk fs=ext4,mount=mnt true
refuses mounted_disk_that_cannot_be_told_from_another 'run: ext4: disk: .* the serial of another disk' \
	run --disk fs=ext4,mount=/mnt,serial=s --disk fs=none,serial=s true
# The kernel that lies beside an installed suite comes before that of the cache.
mkdir "$tmp/suite" "$tmp/suite/sched_ext" "$tmp/suite/ktstr-kernel"
cp "$KTSTR" "$tmp/suite/sched_ext/ktstr"
status=0
env -u KTSTR_KERNEL "$tmp/suite/sched_ext/ktstr" run /bin/true >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
ok kernel_beside_the_suite_that_is_none refused \
	'run: .*/suite/ktstr-kernel: find kernel: no kernel image in this directory'
status=0
PATH=/nowhere "$KTSTR" run --disk fs=xfs /bin/true >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
ok disk_that_no_program_here_makes refused \
	'run: xfs: make disk: mkfs.xfs is not in PATH; install the package xfsprogs'
refuses too_many_disks 'run: --disk: more than 8' run --disk 1 --disk 2 --disk 3 --disk 4 --disk 5 \
	--disk 6 --disk 7 --disk 8 --disk 9 true
refuses topology_that_is_none 'run: foo: topology: .*write' run --topology foo true
refuses topology_without_nodes 'run: 0n1l1c1t: topology: .*at least one' \
	run --topology 0n1l1c1t true
refuses topology_with_too_many_cpus 'run: 1n300l8c2t: topology: too many CPUs' \
	run --topology 1n300l8c2t true
refuses llcs_that_cannot_be_spread 'run: 2n3l1c1t: topology: .*evenly.*; .*multiple of 2' \
	run --topology 2n3l true
refuses packages_that_cut_nodes 'run: 2n3p6l1c1t: topology: node 0 .*; let a package' \
	run --topology 2n3p6l true
refuses node_of_another_form 'run: llc=2: node: not of .*; write llcs=N' run --node llc=2 true
refuses node_without_memory 'run: memory=0: node: memory cannot be 0; leave' run --node memory=0 true
refuses node_with_too_little_memory 'run: .*: 8 MiB are too little for node 0; .*16 MiB' \
	run --node memory=8 true
refuses nodes_without_cpus 'run: .*: no node has CPUs; give' run --node llcs=0 true
refuses node_without_cpus_in_front 'run: .*: node 0 has no CPUs, .*; .*last' \
	run --node llcs=0 --node llcs=1 true
refuses other_number_of_nodes 'run: 3n: topology: 3 NUMA nodes, but .* 2 times; give' \
	run --topology 3n --node llcs=1 --node llcs=1 true
refuses other_number_of_llcs 'run: .*: the nodes have 2 LLCs, but the machine 4; .*sum' \
	run --topology 4l --node llcs=1 --node llcs=1 true
refuses distance_of_another_form 'run: 0-1=17: distance: not a distance; write' \
	run --topology 2n --distance 0-1=17 true
refuses distance_of_no_node 'run: 0,2=17: distance: there is no node 2; .*0 to 1' \
	run --topology 2n --distance 0,2=17 true
refuses distance_too_short 'run: .*: the distance of node 0 to node 1 is 10; .*above 10' \
	run --topology 2n --distance 0,1=10 true
refuses distance_to_itself 'run: .*: the distance of node 1 to itself is 12; .*must be 10' \
	run --topology 2n --distance 1,1=12 true
refuses two_distances_of_two_nodes 'run: 1,0=18: distance: .*17; .*both ways' \
	run --topology 2n --distance 0,1=17 --distance 1,0=18 true
refuses cache_of_no_level 'run: l4=1: cache: not of .*; write l1d=KIB' run --cache l4=1 true
refuses cache_too_large 'run: .*: the L1 data cache of 300 KiB is too large; .*255' \
	run --cache l1d=300 true
refuses capacity_of_another_form 'run: 2-3: capacity: not a capacity; write' \
	run --topology 4c --capacity 2-3 true
refuses capacity_too_large 'run: 2=1025: capacity: not from 1 to 1024; 1024 is' \
	run --topology 4c --capacity 2=1025 true
refuses capacity_of_no_core 'run: capacity: there is no core 4; the cores are 0 to 3' \
	run --topology 4c --capacity 2-4=446 true
refuses nodes_in_a_shell_too 'shell: llcs: node: not of .*; write' shell --node llcs
refuses memory_that_contradicts_the_nodes 'run: .*: the nodes have 300 MiB .*machine 200; give' \
	run --memory 200 --node memory=300 true
refuses memory_too_little_for_the_nodes 'run: .*: 63 MiB .* too little for 4 NUMA nodes; .*64' \
	run --memory 63 --topology 4n true
refuses memory_that_is_no_number 'run: --memory: takes a number of MiB' run --memory much true
refuses negative_timeout 'run: --timeout: takes a number of seconds' run --timeout -5 true
KTSTR_MAX_VCPUS=0
export KTSTR_MAX_VCPUS
refuses budget_of_no_vcpus "run: KTSTR_MAX_VCPUS: '0' is not a number above 0; correct" run true
unset KTSTR_MAX_VCPUS
KTSTR_MAX_MEMORY_MB=much
export KTSTR_MAX_MEMORY_MB
refuses budget_of_memory_that_is_no_number "run: KTSTR_MAX_MEMORY_MB: 'much' is not a number" run true
unset KTSTR_MAX_MEMORY_MB
KTSTR_LOCK_TIMEOUT_S=0
export KTSTR_LOCK_TIMEOUT_S
refuses lock_timeout_of_nothing "run: KTSTR_LOCK_TIMEOUT_S: '0' is not a number from 1 to .*; correct" run true
unset KTSTR_LOCK_TIMEOUT_S
KTSTR_CPU_CAP=half
export KTSTR_CPU_CAP
refuses cap_of_the_environment "run: KTSTR_CPU_CAP: 'half' is not a number from 1 to" run true
unset KTSTR_CPU_CAP
refuses cap_of_no_cpu 'run: --cpu-cap: takes a number of CPUs, from 1; see' run --cpu-cap 0 true
refuses cap_that_is_no_number 'run: --cpu-cap: takes a number of CPUs' run --cpu-cap all true
refuses unknown_irqchip 'run: --irqchip: takes auto or split' run --irqchip kernel true
refuses unknown_root 'run: --root: takes auto, cpio or erofs' run --root ext4 true
refuses unknown_vendor 'run: --vendor: takes intel or amd' run --vendor via true
refuses scheduler_args_without_scheduler 'run: --scheduler-args: needs --scheduler' \
	run --scheduler-args -v true
refuses stats_without_scheduler 'run: --stats: needs --scheduler' run --stats 1 true
refuses stats_never 'run: --stats: takes SECONDS or SECONDS:FILE' run -s "$tmp/script" --stats 0 true
refuses stats_in_microseconds 'run: --stats: takes SECONDS' run -s "$tmp/script" --stats 1.0001 true
refuses stats_into_no_file 'run: --stats: takes SECONDS' run -s "$tmp/script" --stats 1: true
refuses stats_on_the_terminal_of_a_shell 'shell: --stats: needs a file' \
	shell -s "$tmp/script" --stats 1
refuses missing_program 'run: no-such-program: no such program in PATH; give' run no-such-program
refuses missing_program_with_a_path 'run: ./no-such: no such file; check' run ./no-such
refuses missing_include 'run: --include no-such-file: .*; give' run --include no-such-file true
refuses missing_kernel 'run: /no/kernel: open kernel: .*; give' run --kernel /no/kernel true
refuses text_as_kernel 'run: .*/text: .*not a kernel.*; give' run --kernel "$tmp/text" true
refuses directory_without_kernel 'run: .*/empty: .*no kernel image.*;' \
	run --kernel "$tmp/empty" true
refuses version_that_is_not_here 'run: 0.99: find kernel: .*;' run --kernel 0.99 true

# Each build has one machine's kernels, and what that machine has.
for image in bzImage Image; do
	head -c 2048 /dev/zero >"$tmp/$image"
done
put() { # put IMAGE OFFSET BYTES
	# shellcheck disable=SC2059 # escapes
	printf "$3" | dd of="$tmp/$1" bs=1 seek="$2" conv=notrunc status=none
}
put bzImage 510 'U\252'
put bzImage 514 HdrS
put Image 56 'ARM\144'
if [ "$(uname -m)" = aarch64 ]; then
	refuses kernel_of_x86 'run: .*/bzImage: .*for x86-64, and .* for arm64; give .* an Image' \
		run --kernel "$tmp/bzImage" true
	refuses vendor_of_x86 'run: vendor: is .*x86-64 machines alone; leave it out' \
		run --vendor amd true
	refuses irqchip_of_x86 'run: irqchip: is .*x86-64 machines alone; leave it out' \
		run --irqchip split true
else
	refuses kernel_of_arm64 'run: .*/Image: .*for arm64, and .* for x86-64; give .* a bzImage' \
		run --kernel "$tmp/Image" true
	refuses capacities_of_arm64 'run: topology: x86-64 .* no capacities of cores; leave out' \
		run --topology 4c --capacity 2-3=446 true
fi

kernel=$("$KTSTR" kernel path 2>/dev/null) && cp "$kernel" "$tmp/kernel/vmlinuz"
echo '# CONFIG_SCHED_CLASS_EXT is not set' >"$tmp/kernel/config"
refuses kernel_without_sched_ext_for_a_scheduler 'run: .*/vmlinuz: .*no sched_ext.*; give' \
	run --kernel "$tmp/kernel/vmlinuz" --scheduler "$tmp/script" true
refuses missing_scheduler 'run: --scheduler /no/scx: no such file; give' run --scheduler /no/scx true
refuses scheduler_that_is_not_executable 'run: --scheduler .*/text: not executable; give' \
	run --scheduler "$tmp/text" true
refuses shell_with_a_command 'shell: ls: not an option; see' shell ls
refuses probe_with_an_argument 'probe: x: takes no argument; see' probe x
refuses unknown_kernel_command 'kernel: nonsense: not list.*; see' kernel nonsense
refuses kernel_source_without_a_version 'kernel: source: a version is missing; see' kernel source
refuses kernel_build_of_two_versions 'kernel: build: 7.3: there is one version' kernel build 6.12 7.3
refuses kernel_list_of_a_version 'kernel: list: 7.3: takes no arguments' kernel list 7.3

ktstr run --help
ok help_goes_to_stdout test "$status" -eq 0 -a -s "$tmp/out" -a ! -s "$tmp/err"
ktstr kernel list
ok kernel_list_names_the_default grep -q '(default)$' "$tmp/out"
ktstr probe
ok probe_says_one_of_three grep -qE '^(native|emulated|absent): .' "$tmp/out"

# With rights on nothing but what everyone may read.
if [ "$(id -u)" -eq 0 ] && [ -e /dev/kvm ] && [ "$(stat -c %A /dev/kvm | cut -c8-9)" != rw ] &&
	setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$KTSTR"; then
	status=0
	env -u KTSTR_EMULATED_HOST setpriv --reuid 65534 --regid 65534 --clear-groups \
		env KTSTR_KERNEL="$tmp/kernel/vmlinuz" "$KTSTR" run true \
		>"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
	ok no_rights_on_kvm refused '/dev/kvm: .*become a member of its group'
else
	ok 'no_rights_on_kvm # SKIP another user cannot be tried here' true
fi
plan
