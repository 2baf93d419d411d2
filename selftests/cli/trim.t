#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# File systems that the guest makes on disks of its own: data is there for the next machine, and what
# fstrim gives back is a hole in the host's file.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

mib=1048576
gone_mib=8

# In the guest, which expands it: FS DISK of each. nodiscard: fstrim alone gives back.
# shellcheck disable=SC2016
each='set -e; while read -r fs disk; do { mkdir -p "/on/$fs"; cd "/on/$fs" || exit
	%s; } >&2; done <<END
btrfs /dev/vda
ext4 /dev/vdb
xfs /dev/vdc
END
'
# shellcheck disable=SC2016
make='"mkfs.$fs" -q "$disk"; mount -t "$fs" -o nodiscard "$disk" .; cd .
	cd "/on/$fs"; for n in 1 '$gone_mib'; do dd if=/dev/urandom of="$n" bs=1M count="$n" 2>/dev/null; done
	md5sum 1 '$gone_mib' >sums; cd /; umount "/on/$fs"; echo "made $fs"'
# shellcheck disable=SC2016
trim='mount -t "$fs" -o nodiscard "$disk" .; cd "/on/$fs"; md5sum -c sums >/dev/null; echo "kept $fs"
	rm '$gone_mib'; sync; fstrim -v "/on/$fs"; echo 3 >/proc/sys/vm/drop_caches
	grep " 1\$" sums | md5sum -c >/dev/null; echo "still $fs"; cd /; umount "/on/$fs"'

# A machine with the images, and with fresh disks that bring the modules of the file systems.
run() {
	# shellcheck disable=SC2059 # "each" is a format
	"$KTSTR" run --timeout 300 --disk "$dir/btrfs" --disk "$dir/ext4" --disk "$dir/xfs" \
		--disk fs=btrfs,size=128M,mount=/fresh/btrfs --disk fs=ext4,size=32M,mount=/fresh/ext4 \
		--disk fs=xfs,mount=/fresh/xfs --include mkfs.btrfs --include mkfs.ext4 --include mkfs.xfs \
		--include mount --include umount --include fstrim --include sync --include md5sum --include grep \
		-- sh -c "$(printf "$each" "$1")" 2>&1
}

allocated() {
	for fs in btrfs ext4 xfs; do
		echo "$1 $fs $(($(stat -c '%b * %B' "$dir/$fs") / mib)) MiB"
	done
}

# On the machine's own host: an emulated one shares its working tree by 9p, which has no holes.
inside() {
	dir=$(mktemp -d "${KTSTR_SCRATCH:-$tmp}/trim.XXXXXX") || exit
	trap 'rm -r "$dir"; rm -rf "$tmp"' EXIT
	truncate -s 256M "$dir/btrfs"
	truncate -s 64M "$dir/ext4"
	truncate -s 320M "$dir/xfs"
	run "$make" || exit
	allocated before
	run "$trim" || exit
	allocated after
}

if [ "${1-}" = inside ]; then
	inside
	exit
fi

where_kvm_is() {
	if "$KTSTR" probe | grep -q '^native'; then
		"$@"
	else
		"$KTSTR" emulated-host run -- "$@"
	fi
}

# By what the deleted file had, but for what the file system itself has written.
gave_back() {
	awk -v fs="$1" -v least=$((gone_mib * 7 / 8)) '$2 == fs { mib[$1] = $3 }
		END { print "# " fs ": " mib["before"] " MiB, then " mib["after"]
		exit !(mib["after"] && mib["before"] - mib["after"] >= least) }' "$tmp/out"
}

echo "TAP version 13"
self=$PWD/$0
case $0 in /*) self=$0 ;; esac
where_kvm_is env KTSTR="$KTSTR" "$self" inside >"$tmp/out" 2>"$tmp/err"
for fs in btrfs ext4 xfs; do
	ok "${fs}_is_made_in_the_guest" grep -qx "made $fs" "$tmp/out"
	ok "${fs}_has_its_data_in_the_next_machine" grep -qx "kept $fs" "$tmp/out"
	ok "${fs}_can_be_trimmed" grep -qE "^/on/$fs: .*\([1-9][0-9]* bytes\) trimmed" "$tmp/out"
	ok "${fs}_has_what_was_not_deleted" grep -qx "still $fs" "$tmp/out"
	ok "${fs}_gives_blocks_back_to_the_host" gave_back "$fs"
done
plan
