#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The tools of this directory themselves, without a machine: golden files are what expect computes,
# observe reads a tree as it should and sees each complaint, shapes.sh fails on each difference.
# shellcheck source-path=SCRIPTDIR/../cli source=tap.sh
. "$(dirname "$0")/../cli/tap.sh"

here=$(cd "$(dirname "$0")" && pwd)

program() { # program NAME: an executable of its standard input, first in PATH
	cat >"$tmp/bin/$1"
	chmod +x "$tmp/bin/$1"
}

# observe in a tree below $tmp/root, where programs print what files named for them say.
observe() {
	PATH=$tmp/bin:$PATH OBSERVE_ROOT=$tmp/root "$here/observe" >"$tmp/out" 2>"$tmp/err" || return
	awk -v name="$1" '/^== / { inside = $2 == name; next } inside' "$tmp/out" >"$tmp/section"
}

reads() { # reads SECTION: with the lines of standard input
	cat >"$tmp/wanted"
	observe "$1" && diff -u "$tmp/wanted" "$tmp/section" >"$tmp/out"
}

put() { # put FILE TEXT: in the tree
	mkdir -p "$tmp/root/$(dirname "$1")"
	echo "$2" >"$tmp/root/$1"
}

# Each line of $tmp/complaints is found, and the first line of the log is none.
sees_each_complaint() {
	sed 's/^/[    1.000000] /' "$tmp/complaints" >"$tmp/stamped"
	{
		echo '[    0.000000] Linux version 7.3.4'
		cat "$tmp/stamped"
	} >"$tmp/dmesg"
	reads kernel_log_is_clean <"$tmp/stamped"
}

log_is() { # log_is TEXT: is what is made of $tmp/dmesg
	observe kernel_log_is_clean && [ "$(cat "$tmp/section")" = "$1" ]
}

# A machine that shows what golden/$1.expect says, changed by sed script $2.
pretend() {
	awk '/^node [0-9]+: [0-9]+ MB$/ {
			$0 = $1 " " $2 " " $3 * 1024 - 300 " kB, " $3 * 1000 - 12000 " kB for use"
		} 1' "$here/golden/$1.expect" | sed "$2" >"$tmp/machine"
	echo 0 >"$tmp/machine.status"
}

shapes() { # shapes ARGS...: shapes.sh with that machine
	KTSTR=$tmp/bin/ktstr SHARD=${SHARD:-1/1} "$here/shapes.sh" "$@" >"$tmp/out" 2>"$tmp/err"
}

# All hold, and the machine was asked for by the options of the shape.
agrees() {
	pretend "$1" ''
	shapes "$1" && ! grep -q '^not ok' "$tmp/out" && grep -qx "1..$2" "$tmp/out" &&
		grep -qF -- "$(grep -v '^#' "$here/golden/$1.shape") " "$tmp/asked"
}

# differs SHAPE SECTION SED: that section fails, and no other.
differs() {
	pretend "$1" "$3"
	shapes "$1"
	[ "$(grep '^not ok' "$tmp/out" | sed 's/^not ok [0-9]* //')" = "$1_$2" ]
}

# all_fail SHAPE N
all_fail() {
	shapes "$1"
	[ "$(grep -c '^not ok' "$tmp/out")" -eq "$2" ] && ! grep -q '^ok' "$tmp/out"
}

# Shards of all shapes have each machine once.
shards_are_a_partition() {
	for i in 1 2 3; do
		SHARD=$i/3 shapes
		sed -n 's/^[a-z ]*ok [0-9]* \(.*\)_numa_nodes$/\1/p' "$tmp/out"
	done | sort >"$tmp/booted"
	SHARD=1/1 shapes
	sed -n 's/^[a-z ]*ok [0-9]* \(.*\)_numa_nodes$/\1/p' "$tmp/out" | sort >"$tmp/wanted"
	[ "$(wc -l <"$tmp/wanted")" -ge 16 ] && diff "$tmp/booted" "$tmp/wanted" >"$tmp/out"
}

both_vendors() {
	pretend one_cpu ''
	KTSTR_VENDORS="intel amd" shapes one_cpu && grep -q ' one_cpu_amd_sched_domains$' "$tmp/out" &&
		grep -q -- '--vendor amd' "$tmp/asked"
}

bails_out() { # bails_out ARGS...
	! shapes "$@" && grep -q '^Bail out! ' "$tmp/out"
}

golden_is_current() {
	"$here/expect" --check >"$tmp/out"
}

echo "TAP version 13"
mkdir "$tmp/bin"
# What they expand is theirs.
# shellcheck disable=SC2016
{
	program dmesg <<-END
		#!/bin/sh
		cat "$tmp/dmesg"
	END
	program lscpu <<-END
		#!/bin/sh
		echo "lscpu \$*"
	END
	program numactl <<-END
		#!/bin/sh
		printf '%s\n' 'node 0 cpus: 0' 'node 0 size: 1 MB' 'node 0 free: 1 MB' 'node distances:'
	END
	program ktstr <<-END
		#!/bin/sh
		echo "\$* " >"$tmp/asked"
		cat "$tmp/machine"
		exit "\$(cat "$tmp/machine.status")"
	END
}
cd "$tmp" || exit

if command -v python3 >/dev/null; then
	ok golden_files_are_as_computed golden_is_current
else
	tests=$((tests + 1))
	echo "ok $tests golden_files_are_as_computed # SKIP no python3"
fi

# A tree of two CPUs, of which one has no sched domain, and of two nodes.
echo 'Linux version 7.3.4' >dmesg
for cpu in 0 10; do
	i=0
	for cache in "1 Data 32K" "1 Instruction 16K" "2 Unified 512K" "3 Unified 4096K"; do
		# shellcheck disable=SC2086
		set -- $cache
		put "sys/devices/system/cpu/cpu$cpu/cache/index$i/level" "$1"
		put "sys/devices/system/cpu/cpu$cpu/cache/index$i/type" "$2"
		put "sys/devices/system/cpu/cpu$cpu/cache/index$i/size" "$3"
		i=$((i + 1))
	done
done
put sys/kernel/debug/sched/verbose N
put sys/kernel/debug/sched/domains/cpu0/domain0/name SMT
put sys/kernel/debug/sched/domains/cpu0/domain1/name NUMA
mkdir root/sys/kernel/debug/sched/domains/cpu10
for file in read_latency write_latency read_bandwidth write_bandwidth; do
	put "sys/devices/system/node/node1/access0/initiators/$file" "$file"
done
mkdir root/sys/devices/system/node/node1/access0/initiators/node0
mkdir root/sys/devices/system/node/node0
put sys/devices/system/node/node1/memory_side_cache/index1/size 64
put proc/zoneinfo 'Node 0, zone DMA
        present  25
        managed  20
Node 0, zone   DMA32
        present  75
        managed  70
Node 1, zone   Normal
        present  50
        managed  50'

ok observe_asks_lscpu reads cpus_and_caches <<END
lscpu -e=CPU,NODE,SOCKET,CORE,CACHE
END
ok observe_reads_caches_of_each_cpu reads cache_sizes <<END
cpu0: L1d 32K, L1i 16K, L2 512K, L3 4096K
cpu10: L1d 32K, L1i 16K, L2 512K, L3 4096K
END
ok observe_leaves_out_sizes_of_nodes reads numa_nodes <<END
node 0 cpus: 0
node distances:
END
ok observe_reads_sched_domains reads sched_domains <<END
cpu0: SMT NUMA
cpu10:
END
ok observe_makes_domains_visible grep -qx Y root/sys/kernel/debug/sched/verbose
ok observe_reads_memory_attributes reads memory_attributes <<END
node 1 access0: initiators 0, read read_latency ns read_bandwidth MB/s, write write_latency ns write_bandwidth MB/s
node 1 memory_side_cache: index1 64 bytes
END
ok observe_adds_up_memory reads memory_size <<END
node 0: 400 kB, 360 kB for use
node 1: 200 kB, 200 kB for use
END
rm -r root/sys/kernel/debug/sched/domains/cpu10
ok observe_says_what_is_missing reads sched_domains <<END
cpu0: SMT NUMA
cpu10: $tmp/root/sys/kernel/debug/sched/domains/cpu10: is not there
END

# As the kernel's source has them, and what older kernels said.
cat >complaints <<'END'
sched: CPU #1's smt-sibling CPU #0 is not on the same node! [node: 1 != 0]. Ignoring dependency.
WARNING: arch/x86/kernel/smpboot.c:329 at topology_sane.isra.0+0x6f/0x80, CPU#1: swapper/1/0
WARNING: CPU: 1 PID: 0 at arch/x86/kernel/smpboot.c:416 set_cpu_sibling_map+0x123/0x456
WARNING: kernel/sched/topology.c:3142 at build_sched_domains+0x12/0x34, CPU#0: swapper/0/1
[Firmware Bug]: CPUID leaf 0xb subleaf 1 APIC ID mismatch 2 != 3
[Firmware Bug]: CPU   1: APIC ID mismatch. CPUID: 0x0001 APIC: 0x0002
[Firmware Bug]: CPU1: Topology domain 1 shift 3 != 2
[Firmware Warn]: something
CPU topo: [Firmware Bug]: APIC enumeration order not specification compliant
CPU topo: Boot CPU APIC ID not the first enumerated APIC ID: 1 != 0
CPU topo: APIC ID 8000 exceeds kernel limit of: 7fff
CPU topo: CPU limit of 8 reached. Ignoring further CPUs
CPU topo: Enumerated BSP APIC 0 is not marked in APICBASE MSR
Topology: leaf 0x80000026:3 Unknown domain type 5
ACPI BIOS Error (bug): Incorrect checksum in table [HMAT] (20260101/tbprint-174)
ACPI BIOS Warning (bug): 32/64X length mismatch in FADT/Gpe0Block: 128/32
ACPI Error: No handler for Region [EC__]
ACPI Warning: SystemIO range conflicts
ACPI Exception: AE_NOT_FOUND, While resolving a named reference
ACPI: [SLIT:0x01] Invalid zero length
ACPI: SRAT: too short
SLIT table looks invalid. Not used.
ACPI: SLIT: can't be used: invalid
SRAT: SRAT not used.
SRAT: Too many proximity domains.
SRAT: Unexpected header length: 12
SRAT: PXM 1 -> APIC 0x0100 -> Node 1 skipped apicid that is too big
SRAT: PXM 1 -> X2APIC 0x0100 ignored
ACPI: SRAT: Found unsupported x2apic [0x00000100] SRAT entry
acpi/hmat: Ignoring: Invalid table
acpi/hmat: Unexpected locality header length: 12
acpi/hmat: failed to reserve 0x0 - 0x1000 in pxm: 1
NUMA: Warning: invalid distance parameter, from=0 to=1 distance=300
NUMA: Warning: node ids are out of bound, from=0 to=3 distance=20
NUMA: node 0 [mem 0x00000000-0x0fffffff] overlaps with node 1 [mem 0x00000000-0x1fffffff]
NUMA: Node alignment 2MB < min 128MB, rejecting NUMA config
No NUMA configuration found
ACPI: Duplicate LLC ID 3
BUG: arch topology borken
     the MC domain not a subset of the PKG domain
ERROR: groups don't span domain->span
ERROR: Node-distance not symmetric
MP-BIOS bug: 8254 timer not connected to IO-APIC
[Firmware Bug]: SLIT table doesn't have the expected form for SNC -- fixup disabled!
cacheinfo: Unable to detect cache hierarchy for CPU 3
node node1: attempt to add duplicate cache level:1
node node1: failed to add cache level:1
smpboot: do_boot_cpu failed(-1) to wakeup CPU#5
Please enable it if your BIOS has the CPPC option.
END
put sys/devices/system/node/node1/x x
ok observe_sees_each_complaint sees_each_complaint

cat >dmesg <<'END'
[    0.000000] Linux version 7.3.4+deb13-amd64
[    0.000000] BIOS-provided physical RAM map:
[    0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff]  System RAM
[    0.000000] DMI not present or invalid.
[    0.000000] ACPI: SRAT: Node 0 PXM 0 [mem 0x00000000-0x0fffffff]
[    0.000000] NUMA: Node 0 [mem 0x00000000-0x0fffffff]
[    0.000000] CPU topo: Max. logical packages:   2
[    0.000000] CPU topo: Num. nodes per package:  1
[    0.000000] ACPI: Using ACPI (MADT) for SMP configuration information
[    0.100000] acpi/hmat: Memory Flags:0001 Processor Domain:0 Memory Domain:0
[    0.100000] Fallback order for Node 0: 0 1
END
ok observe_lets_a_common_log_pass log_is "no complaint"
rm -r root/sys/devices/system/node/node1
echo '[    0.000000] No NUMA configuration found' >>dmesg
ok observe_lets_one_node_be_made_up log_is "no complaint"
sed -i 1d dmesg
ok observe_wants_the_log_whole log_is "the beginning of the log is lost, or cannot be read"

ok agreement_is_a_pass agrees cxl_between_two 6
ok agreement_on_cache_sizes_is_a_pass agrees set_caches 7
shape=uneven_nodes_smt
ok wrong_sibling_fails differs $shape cpus_and_caches 's/ 4 8:8:8:8$/ 4 9:8:8:8/'
ok wrong_distance_fails differs $shape numa_nodes 's/^  2:  20/  2:  21/'
ok lost_domain_fails differs $shape sched_domains 's/^cpu5: SMT PKG/cpu5: SMT/'
ok wrong_initiator_fails differs $shape memory_attributes 's/access1: initiators 2/access1: initiators 1/'
ok complaint_fails differs $shape kernel_log_is_clean 's/^no complaint/SRAT: SRAT not used./'
ok wrong_cache_size_fails differs set_caches cache_sizes 's/^cpu3: L1d 64K/cpu3: L1d 32K/'
ok node_that_is_short_of_memory_fails differs $shape memory_size 's/^node 1: [0-9]*/node 1: 260044/'
ok node_with_too_much_memory_fails differs $shape memory_size 's/^node 2: [0-9]*/node 2: 131572/'
ok lost_memory_fails differs $shape memory_size 's/^\(node 2: .*,\) [0-9]*/\1 50000/'
ok memory_lost_in_each_node_fails differs $shape memory_size \
	's/^\(node 2: .*,\) [0-9]*/\1 70000/; s/^\(node [01]: .*,\) [0-9]*/\1 200000/'
ok lost_node_fails differs $shape memory_size '/^node 2: [0-9]* kB/d'
ok lost_node_is_named grep -q 'node 2: is missing' out
ok lost_section_fails differs one_cpu memory_attributes '/^== memory_attributes/d'
pretend one_cpu ''
echo 125 >machine.status
ok machine_that_ends_badly_fails all_fail one_cpu 6
echo 0 >machine.status
ok each_shape_is_in_one_shard shards_are_a_partition
ok vendors_are_options both_vendors
ok no_shape_is_no_pass bails_out cpus_252
ok unknown_shape_is_no_pass bails_out no_such_shape
plan
