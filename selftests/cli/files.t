#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Files of the host in a guest are what they are on the host, after the kernel has unpacked or mounted
# them: names, contents of every size, modes, links.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

echo "TAP version 13"
cd "$tmp" || exit

newline='
'
long=$(printf 'n%.0s' $(seq 255))
mkdir tree tree/empty "tree/a b" "tree/a b/c${newline}d" "tree/$long"
for size in 0 1 3 4 5 511 4095 4096 4097 65535 65536 65537 1048577; do
	head -c "$size" /dev/urandom >"tree/size-$size"
done
echo spaces >"tree/a b/ leading and trailing "
echo newline >"tree/a b/c${newline}d/e${newline}"
echo quote >"tree/\"'\\\$(x)"
echo long >"tree/$long/$long"
: >"tree/-n"
ln tree/size-65537 tree/hard-link
ln -s size-4097 tree/link
ln -s "a b/c${newline}d" tree/link-to-directory
ln -s nowhere tree/dangling
ln -s loop tree/loop
chmod 755 tree/size-1
chmod 4711 tree/size-3
chmod 1777 tree/empty
mkdir tree/many # a directory of several blocks
for i in $(seq 300); do
	echo "$i" >"tree/many/$i-of-the-many-names-of-a-directory"
done

# Each path with kind, mode, size, target and content.
cat >describe <<'END'
cd "$1" || exit
find . -mindepth 1 ! -type d -printf '%y %m %s %l %p\0' | sort -z | tr '\0\n' '\n?'
find . -mindepth 1 -type d -printf '%y %m %p\0' | sort -z | tr '\0\n' '\n?'
find . -type f -print0 | sort -z | xargs -0 cksum
END
sh describe tree >expected

same() {
	[ "$status" -eq 0 ] || return 1
	diff "$tmp/out" expected >difference && return
	head -n 20 difference >>"$tmp/err"
	return 1
}
for root in cpio erofs; do
	ktstr run --root "$root" --include tree --include "$(command -v find)" \
		--include "$(command -v xargs)" --include "$(command -v cksum)" \
		--include "$(command -v sort)" -- sh describe "$tmp/tree"
	ok "in_a_root_by_${root}_files_are_what_they_are_on_the_host" same
done
plan
