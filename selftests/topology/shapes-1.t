#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
SHARD=1/4 exec "$(dirname "$0")/shapes.sh" "$@"
