#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Outside of the tree: ktstr is installed, doc/examples/scheduler is built against it by pkg-config, and
# its test passes under prove; an installed suite carries its kernel along.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/tap.sh"

: "${KSRC:=${KTSTR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ktstr}/source/default}"
top=$(cd "$(dirname "$0")/../.." && pwd)
built=$(dirname "$KTSTR")

run() {
	env -u MAKEFLAGS -u MAKELEVEL "$@" >"$tmp/out" 2>"$tmp/err"
}

echo "TAP version 13"
# DESTDIR alone would leave the paths in ktstr.pc as those of /usr/local.
ok install run make -C "$top" O="$built" KSRC="$KSRC" PREFIX="$tmp/usr" install
for file in bin/ktstr lib/libktstr.a lib/pkgconfig/ktstr.pc include/ktstr/harness.h \
	include/ktstr/scenario.h share/man/man7/ktstr-harness.7; do
	ok "installed_$(basename "$file")" test -s "$tmp/usr/$file"
done
cp -r "$top/doc/examples/scheduler" "$tmp/example"
export PKG_CONFIG_PATH="$tmp/usr/lib/pkgconfig"
ok build run make -C "$tmp/example" KSRC="$KSRC"
ok no_headers_of_the_tree sh -c "! grep -q '$top/include' '$tmp/out'"
ok passes run make -C "$tmp/example" KSRC="$KSRC" check
ok by_prove grep -q '^Result: PASS' "$tmp/out"
plan
