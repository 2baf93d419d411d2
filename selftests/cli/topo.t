#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# `ktstr topo`: the picture, the leaves and the tables of a topology, and the host's own. Boots no
# kernel and needs no KVM.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

echo "TAP version 13"
cd "$tmp" || exit

# shows NAME: stdout is what was given on stdin, and nothing went wrong.
shows() {
	cat >expected
	ok "$1" shown
}
shown() {
	[ "$status" -eq 0 ] && [ ! -s err ] || return 1
	diff expected out >difference && return
	cat difference >>err
	return 1
}

# refuses NAME PATTERN ARGS...
refuses() {
	name=$1
	pattern=$2
	shift 2
	ktstr topo "$@"
	ok "$name" refused "$pattern"
}

# ---- pictures ----

ktstr topo --vendor intel --topology 2n4l2c2t --memory 4096
shows packages_nodes_llcs_and_siblings <<'END'
16 CPUs: 2 packages, 2 NUMA nodes, 4 LLCs, 8 cores, 4096 MiB
a core: L1d 48 KiB, L1i 32 KiB, L2 2 MiB; an LLC: L3 32 MiB

package 0, node 0      CPUs 0-7
  LLC 0                CPUs 0-3            [0-1] [2-3]
  LLC 1                CPUs 4-7            [4-5] [6-7]

package 1, node 1      CPUs 8-15
  LLC 2                CPUs 8-11           [8-9] [10-11]
  LLC 3                CPUs 12-15          [12-13] [14-15]

node       memory    latency     bandwidth      cache  CPUs  distance to   0   1
   0     2048 MiB     100 ns    25600 MB/s          -  0-7                10  20
   1     2048 MiB     100 ns    25600 MB/s          -  8-15               20  10
END

ktstr topo --vendor amd --topology 1p2c --cache l2=1280,l3=4000 --distance 0,2=14 \
	--node llcs=2,memory=1024,latency=80 --node llcs=1,memory=512 \
	--node llcs=0,memory=256,cache=64,bandwidth=9000
shows unequal_nodes_in_a_package_and_memory_without_cpus <<'END'
6 CPUs: 1 package, 3 NUMA nodes, 3 LLCs, 6 cores, 1792 MiB
a core: L1d 32 KiB, L1i 32 KiB, L2 1280 KiB; an LLC: L3 4000 KiB

package 0              CPUs 0-5
  node 0               CPUs 0-3
    LLC 0              CPUs 0-1            [0] [1]
    LLC 1              CPUs 2-3            [2] [3]
  node 1               CPUs 4-5
    LLC 2              CPUs 4-5            [4] [5]

node       memory    latency     bandwidth      cache  CPUs  distance to   0   1   2
   0     1024 MiB      80 ns    25600 MB/s          -  0-3                10  20  14
   1      512 MiB     100 ns    25600 MB/s          -  4-5                20  10  20
   2      256 MiB     250 ns     9000 MB/s     64 MiB  -                  14  20  10
END

ktstr topo --topology 1n2p64l2c2t --vendor amd
shows many_llcs_that_are_alike_take_four_lines <<'END'
256 CPUs: 2 packages, 1 NUMA node, 64 LLCs, 128 cores, 512 MiB
a core: L1d 32 KiB, L1i 32 KiB, L2 1 MiB; an LLC: L3 32 MiB

package 0, node 0      CPUs 0-127
  LLC 0                CPUs 0-3            [0-1] [2-3]
  LLC 1                CPUs 4-7            [4-5] [6-7]
  LLC 2                CPUs 8-11           [8-9] [10-11]
  LLCs 3-30            CPUs 12-123, each 4 CPUs of 2 cores
  LLC 31               CPUs 124-127        [124-125] [126-127]

package 1, node 0      CPUs 128-255
  LLC 32               CPUs 128-131        [128-129] [130-131]
  LLC 33               CPUs 132-135        [132-133] [134-135]
  LLC 34               CPUs 136-139        [136-137] [138-139]
  LLCs 35-62           CPUs 140-251, each 4 CPUs of 2 cores
  LLC 63               CPUs 252-255        [252-253] [254-255]

node       memory    latency     bandwidth      cache  CPUs
   0      512 MiB     100 ns    25600 MB/s          -  0-255
END

# lines OF COLUMNS: no more, and no wider.
fits() {
	[ "$status" -eq 0 ] && [ "$(wc -l <out)" -le "$1" ] &&
		[ "$(awk '{ if (length > n) n = length } END { print n }' out)" -le "$2" ]
}
ktstr topo --topology 1n14l18c1t
ok cpus_252_fit_on_a_screen fits 24 100
ok llc_of_18_cores_says_so grep -q '^  LLC 13  *CPUs 234-251  *\[234\] .* \[251\] 18 cores$' out
ktstr topo --topology 1n1l1024c4t
ok cpus_4096_of_an_llc_fit_on_a_screen fits 10 100
ktstr topo --topology 64n64l1c1t --memory 2048 --distance 3,5=11
ok nodes_64_have_distances_as_ranges grep -q '^   3  10 to 3; 11 to 5; 20 to 0-2,4,6-63$' out
ok nodes_64_are_not_wide fits 400 100

# ---- CPUID ----

ktstr topo --topology 2n4l3c2t --vendor amd --cpuid
grep -v '^ktstr: topo: /dev/kvm: .*features are left out' err >rest
ok cpuid_has_each_cpu test "$status" -eq 0 -a ! -s rest -a "$(grep -c '^CPU ' out)" -eq 24
ok cpuid_has_the_ids test "$(grep -c ' 0x8000001e 0x00: eax=0x0000000b ' out)" -eq 1
ok cpuid_is_of_the_vendor test "$(grep -c 'ebx=0x68747541 ecx=0x444d4163 edx=0x69746e65' out)" -eq 48
ktstr topo --topology 2n4l3c2t --vendor intel --cpuid
ok cpuid_of_the_other_vendor_is_its_own test \
	"$(grep -c '0x00000000 .* ebx=0x756e6547 ecx=0x6c65746e edx=0x49656e69' out)" -eq 24
ok no_leaf_of_the_first_is_left test "$(grep -c 0x8000001e out)" -eq 0

# ---- tables ----

ktstr topo --topology 2n14l9c2t --dump-acpi tables
ok dump_is_silent test "$status" -eq 0 -a ! -s out -a ! -s err
ok each_table_is_a_file test "$(echo tables/*)" = "$(printf 'tables/%s.dat ' \
	apic dsdt facp facs hmat slit srat xsdt | sed 's/ $//')"
# signature and length of a table's header
whole() {
	for file in tables/*.dat; do
		signature=$(basename "$file" .dat | tr '[:lower:]' '[:upper:]')
		[ "$(head -c 4 "$file")" = "$signature" ] || return 1
		[ "$(od -An -j4 -N4 -tu4 "$file" | tr -d ' ')" -eq "$(wc -c <"$file")" ] || return 1
	done
}
ok tables_are_whole whole
ktstr topo --topology 1n2l --dump-acpi tables
ok tables_of_an_earlier_machine_are_gone test "$status" -eq 0 \
	-a ! -e tables/slit.dat -a ! -e tables/hmat.dat
ok shorter_tables_replace_longer_ones whole
disassembled() {
	(cd tables && iasl -d ./*.dat) >iasl.log 2>&1 && ! grep -iE 'error|warning|invalid' iasl.log
}
if command -v iasl >/dev/null; then
	ok iasl_reads_them disassembled
else
	ok 'iasl_reads_them # SKIP iasl is not installed' true
fi
ktstr topo --topology 1n2l2c --dump-mptable mp --dump-acpi tables
ok mp_table_begins_with_its_pointer test "$status" -eq 0 -a "$(head -c 4 mp)" = _MP_

# ---- presets ----

# Each is a machine that --topology takes by its name.
presets_are_machines() {
	while read -r name cpus _; do
		"$KTSTR" topo --topology "$name" 2>>err | grep -q "^$cpus CPUs: " || return
	done <presets
}

ktstr topo --presets
cp out presets
ok presets_are_listed test "$status" -eq 0 -a "$(wc -l <presets)" -ge 24
ok list_says_what_they_are grep -qE '^snc2-2pkg +16 CPUs +4n2p8l2c1t +two nodes in ' presets
ok each_preset_is_a_topology presets_are_machines
refuses presets_with_a_topology 'topo: --presets: takes no option beside it' --presets --topology 1n
refuses preset_with_nodes 'topo: cxl: topology: its nodes .* are its own; leave out' \
	--topology cxl --node llcs=2

# ---- the host's ----

ktstr topo --host
ok host_has_its_cpus grep -q "^$(getconf _NPROCESSORS_ONLN) CPUs\{0,1\}: " out

# cpu N PACKAGE SIBLINGS LLC, node N CPUS KB DISTANCES: of a /sys with siblings far from each other.
cpu() {
	dir=sys/devices/system/cpu/cpu$1
	mkdir -p "$dir/topology" "$dir/cache/index0" "$dir/cache/index1" "$dir/cache/index2"
	echo "$2" >"$dir/topology/physical_package_id"
	echo "$3" >"$dir/topology/core_cpus_list"
	for index in 0 1 2; do
		echo "$4" >"$dir/cache/index$index/shared_cpu_list"
	done
	echo "$3" >"$dir/cache/index0/shared_cpu_list"
	echo 1 | tee "$dir/cache/index0/level" >"$dir/cache/index1/level"
	echo 3 >"$dir/cache/index2/level"
	echo Data >"$dir/cache/index0/type"
	echo Instruction >"$dir/cache/index1/type"
	echo Unified >"$dir/cache/index2/type"
	echo 48K >"$dir/cache/index0/size"
	echo 32K >"$dir/cache/index1/size"
	echo 16384K >"$dir/cache/index2/size"
}
node() {
	dir=sys/devices/system/node/node$1
	mkdir -p "$dir/access0/initiators" "$dir/memory_side_cache/index1"
	echo "$2" >"$dir/cpulist"
	echo "Node $1 MemTotal:       $3 kB" >"$dir/meminfo"
	echo "$4" >"$dir/distance"
}
for i in 0 8; do
	cpu $i 0 0,8 0-1,8-9
	cpu $((i + 1)) 0 1,9 0-1,8-9
	cpu $((i + 2)) 3 2,10 2-3,10-11
	cpu $((i + 3)) 3 3,11 2-3,10-11
done
echo 0-3,8-11 >sys/devices/system/cpu/online
node 0 0-1,8-9 2048512 '10 21 17'
node 1 2-3,10-11 1048576 '21 10 28'
node 4 '' 4194304 '17 28 10'
echo 0-1,4 >sys/devices/system/node/online
echo 120 >sys/devices/system/node/node4/access0/initiators/read_latency
echo 9000 >sys/devices/system/node/node4/access0/initiators/read_bandwidth
echo 67108864 >sys/devices/system/node/node4/memory_side_cache/index1/size
ktstr topo --host=sys
shows host_is_shown_in_the_same_form <<'END'
8 CPUs: 2 packages, 3 NUMA nodes, 2 LLCs, 4 cores, 7120 MiB
a core: L1d 48 KiB, L1i 32 KiB, L2 -; an LLC: L3 16 MiB

package 0, node 0      CPUs 0-1,8-9
  LLC 0                CPUs 0-1,8-9        [0,8] [1,9]

package 3, node 1      CPUs 2-3,10-11
  LLC 1                CPUs 2-3,10-11      [2,10] [3,11]

node       memory    latency     bandwidth      cache  CPUs       distance to   0   1   4
   0     2000 MiB          -             -          -  0-1,8-9                 10  21  17
   1     1024 MiB          -             -          -  2-3,10-11               21  10  28
   4     4096 MiB     120 ns     9000 MB/s     64 MiB  -                       17  28  10
END

# ---- where performance mode puts a machine ----

# On the host above: two packages with two cores of two threads each.
hugepages() {
	dir=sys/devices/system/node/node$1/hugepages/hugepages-2048kB
	mkdir -p "$dir"
	echo "$2" | tee "$dir/nr_hugepages" >"$dir/free_hugepages"
}
# plans STATUS: stdout is what was given on stdin.
plans() {
	name=$2
	[ "$status" -eq "$1" ] && [ ! -s err ] && cat >expected && diff expected out >difference
	same=$?
	cat difference >>err
	ok "$name" test "$same" -eq 0
}

hugepages 0 128
hugepages 1 512
hugepages 4 0
ktstr topo --placement --host=sys --topology 1n1l1c2t --memory 1024
plans 0 plan_on_the_node_with_hugepages <<'END'
2 vCPUs on a host of 8 CPUs, 8 allowed: performance mode can be had

vCPU threads           pinned, SCHED_FIFO 1
service threads        CPU 3
LLC 0                  vCPUs 0-1 on CPUs 2,10, of the LLC of CPUs 2-3,10-11
node 0                 1024 MiB of host node 1, 512 hugepages
END

echo powersave >governor
for i in 1 2; do
	mkdir -p sys/devices/system/cpu/cpu$i/cpufreq
	cp governor sys/devices/system/cpu/cpu$i/cpufreq/scaling_governor
done
ktstr topo --placement=best-effort --host=sys --topology 2n2l1c2t --memory 768
plans 0 plan_with_what_disturbs <<'END'
4 vCPUs on a host of 8 CPUs, 8 allowed: performance mode can be had

vCPU threads           pinned, SCHED_FIFO 1
service threads        CPU 0
LLC 0                  vCPUs 0-1 on CPUs 2,10, of the LLC of CPUs 2-3,10-11
LLC 1                  vCPUs 2-3 on CPUs 1,9, of the LLC of CPUs 0-1,8-9
node 0                 384 MiB of host node 1, 192 hugepages
node 1                 384 MiB of host node 0, small pages

downgrade: hugepages: RAM on host node 0 needs 192 hugepages of 2 MiB, and 128 are free
  instead: RAM of 1 node is in small pages
  remedy: echo 192 >/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages

warning: governor: the frequency of 2 CPUs of the plan is scaled, as by powersave on CPU 1
  remedy: cpupower frequency-set -g performance
END

ktstr topo --placement --host=sys --topology 1n3l1c2t --memory 256
plans 1 no_plan_where_the_mode_is_required <<'END'
6 vCPUs on a host of 8 CPUs, 8 allowed: performance mode cannot be had

error: llcs: each LLC (3) needs a host LLC with 2 CPUs that this process may use, and there are 2
  remedy: declare fewer or smaller LLCs, or give the process CPUs of more host LLCs

warning: governor: the frequency of 2 CPUs of the plan is scaled, as by powersave on CPU 1
  remedy: cpupower frequency-set -g performance
END
ktstr topo --placement=best-effort --host=sys --topology 1n3l1c2t --memory 256
ok plan_of_best_effort_says_what_is_not_met grep -qx \
	'  instead: LLCs share host LLCs or lie on several, as the plan shows' out
ok plan_of_best_effort_shows_it grep -qx \
	'LLC 2  *vCPUs 4-5 on CPUs 0,8, of the LLC of CPUs 0-1,8-9' out
ok status_says_that_required_would_not_run test "$status" -eq 1
ktstr topo --placement=best-effort --host=sys --topology 1n4l8c2t
ok plan_without_cpus_enough_pins_nothing test "$status" -eq 1 -a \
	"$(grep -c '^vCPU threads  *not pinned, not real-time$' out)" -eq 1 -a \
	"$(grep -c '^service threads  *any of CPUs 0-3,8-11$' out)" -eq 1 -a "$(grep -c ^LLC out)" -eq 0

# This host: what it says is so.
ktstr topo --placement=best-effort --topology 1n1l1c1t
ok plan_for_this_host grep -q "^1 vCPU on a host of $(getconf _NPROCESSORS_ONLN) CPUs*, \
$(nproc) allowed: " out
"$KTSTR" topo --placement --topology 1n1l4096c1t >out 2>err
ok more_vcpus_than_any_host_cannot_be test "$?" -eq 1 -a ! -s err
one_cpu() {
	status=0
	taskset -c "$(taskset -cp $$ | sed 's/.*[ ,-]//')" "$KTSTR" topo --placement \
		--topology 1n1l1c1t >out 2>err || status=$?
	[ "$status" -eq 1 ] && grep -q '^error: service-cpu: .*may use (1),' out
}
ok affinity_counts one_cpu

for i in 0 1 2 3 8 9 10 11; do
	echo $((i % 8 == 3 ? 446 : 1024)) >sys/devices/system/cpu/cpu$i/cpu_capacity
done
ktstr topo --host=sys
sed -i '1,/^   4 /d' out
shows capacities_of_a_host_whose_cores_differ <<'END'

capacity  CPUs
    1024  0-2,8-10
     446  3,11
END

# ---- bad input ----

echo text >file
mkdir full
ln -s /dev/full full/apic.dat
refuses unknown_option 'topo: --bogus: unknown.*; see ktstr topo --help' --bogus
refuses argument 'topo: lscpu: not an option; see' lscpu
refuses option_without_its_value 'topo: --dump-acpi: needs a value; see' --dump-acpi
refuses impossible_topology 'topo: 2n3l1c1t: topology: .*evenly' --topology 2n3l
refuses topology_that_is_none 'topo: foo: ' --topology foo
refuses capacities 'topo: topology: x86-64 machines have no capacities of cores; leave out' \
	--topology 4c --capacity 2-3=446
refuses node_that_is_none 'topo: cpus=2: ' --node cpus=2
refuses memory_that_is_no_number 'topo: --memory: takes a number of MiB' --memory much
refuses memory_that_is_too_little 'topo: 8n8l1c1t: .*memory.*; ' --topology 8n --memory 64
refuses unknown_vendor 'topo: --vendor: takes intel or amd' --vendor via
refuses folder_below_a_file 'topo: file/x: make folder: Not a directory; give' --dump-acpi file/x
refuses folder_that_is_a_file 'topo: file/.*.dat: write: Not a directory; give' --dump-acpi file
refuses full_disk 'topo: full/apic.dat: write: No space left on device; give' --dump-acpi full
refuses mp_table_in_no_folder 'topo: no/mp: write: No such file or directory; give' \
	--dump-mptable no/mp
refuses mp_table_past_its_limits 'topo: MP table: .*254.*; declare fewer' --topology 256c \
	--dump-mptable mp
refuses host_with_a_topology 'topo: --host: takes no option beside it' --host --topology 1n
refuses placement_of_another_kind 'topo: --placement: takes best-effort, or nothing; see' \
	--placement=maybe
refuses placement_with_tables 'topo: --placement: is not with --cpuid and --dump-\*; see' \
	--placement --dump-acpi tables
refuses placement_with_presets 'topo: --presets: takes no option beside it' --presets --placement
refuses placement_on_no_host 'topo: nothing/devices/system/cpu/online: read: .*; give' \
	--placement --host=nothing
refuses host_without_sys 'topo: nothing/devices/system/cpu/online: read: .*; give' --host=nothing
status=0
"$KTSTR" topo >/dev/full 2>err || status=$?
: >out
ok full_standard_output refused 'topo: standard output: write: No space left on device'
ktstr topo --help
ok help_goes_to_stdout test "$status" -eq 0 -a -s out -a ! -s err
plan
