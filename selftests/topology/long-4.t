#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Both vendors, up to 64 CPUs.
export KTSTR_VENDORS="intel amd" KTSTR_MAX_CPUS="${KTSTR_MAX_CPUS:-64}"
SHARD=4/4 exec "$(dirname "$0")/shapes.sh" "$@"
