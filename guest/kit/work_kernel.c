// SPDX-License-Identifier: GPL-2.0-only
/* Work that the kernel has a part in: files, processes, memory, and how it is scheduled itself. */
#include "works.h"

const struct work_ops work_io = {.name = "io"};
const struct work_ops work_fork = {.name = "fork"};
const struct work_ops work_fault = {.name = "fault"};
const struct work_ops work_nice = {.name = "nice"};
const struct work_ops work_affinity = {.name = "affinity"};
const struct work_ops work_policy = {.name = "policy"};
