// SPDX-License-Identifier: GPL-2.0-only
/* Work that waits for other workers: over pipes and futexes. */
#include "works.h"

const struct work_ops work_pipe = {.name = "pipe", .multiple = 2};
const struct work_ops work_futex = {.name = "futex", .multiple = 2};
const struct work_ops work_fanout = {.name = "fanout", .least = 2};
const struct work_ops work_mutex = {.name = "mutex"};
