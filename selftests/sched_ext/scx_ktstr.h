/* SPDX-License-Identifier: GPL-2.0-only */
/* What scx_ktstr's two halves share: bounds, and the faults that it can be told to have. */
#ifndef SCX_KTSTR_H
#define SCX_KTSTR_H

#define KTSTR_SCX_MAX_CPUS 4096
#define KTSTR_SCX_MAX_LLCS 256

/* A task of this name is never dispatched when the fault is a stall. */
#define KTSTR_SCX_STALL_COMM "ktstr_stall"
/* Exit code given to scx_bpf_exit() by the fault "exit". */
#define KTSTR_SCX_EXIT_CODE 42

#endif /* SCX_KTSTR_H */
