#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
SHARD=2/4 exec "$(dirname "$0")/shapes.sh" "$@"
