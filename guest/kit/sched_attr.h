/* SPDX-License-Identifier: GPL-2.0-only */
/* sched_setattr(2) and sched_getattr(2), which glibc has since 2.41 alone. */
#ifndef KTSTR_KIT_SCHED_ATTR_H
#define KTSTR_KIT_SCHED_ATTR_H

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* include/uapi/linux/sched.h; glibc before 2.41 has no name for it. */
#define KIT_SCHED_EXT 7u

/* include/uapi/linux/sched/types.h */
struct kernel_sched_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

/* Of thread @tid, 0: the caller. 0 or -errno. */
static inline int sched_attr__set(pid_t tid, struct kernel_sched_attr *attr)
{
	attr->size = sizeof(*attr);
	return syscall(SYS_sched_setattr, tid, attr, 0) ? -errno : 0;
}

static inline int sched_attr__get(pid_t tid, struct kernel_sched_attr *attr)
{
	return syscall(SYS_sched_getattr, tid, attr, sizeof(*attr), 0) ? -errno : 0;
}

#endif /* KTSTR_KIT_SCHED_ATTR_H */
