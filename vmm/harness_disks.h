/* SPDX-License-Identifier: GPL-2.0-only */
/* From a test's .disks to the machine's. */
#ifndef KTSTR_VMM_HARNESS_DISKS_H
#define KTSTR_VMM_HARNESS_DISKS_H

#include <ktstr/error.h>
#include <ktstr/vm.h>

struct harness_disks {
	struct ktstr_disk *disks; /* whose paths are malloc'ed */
	size_t nr;
	struct ktstr_error missing; /* a program that makes one; .err 0: none is missing */
};

/*
 * @list ends with a disk that has neither path nor file system, as KTSTR_DISKS() makes it; may be
 * NULL. Relative paths start at @dir, mkfs programs are searched in @path (PATH). 0, also with
 * @missing set; -EINVAL: a machine cannot have these; -ENOMEM. Needs harness_disks__free() in all
 * cases.
 */
int harness_disks__resolve(struct harness_disks *disks, const struct ktstr_disk *list,
			   const char *dir, const char *path, struct ktstr_error *error);
void harness_disks__free(struct harness_disks *disks);

#endif /* KTSTR_VMM_HARNESS_DISKS_H */
