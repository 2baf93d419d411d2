/* SPDX-License-Identifier: GPL-2.0-only */
/* From a test's .files to what goes into the initramfs. */
#ifndef KTSTR_VMM_HARNESS_FILES_H
#define KTSTR_VMM_HARNESS_FILES_H

#include <ktstr/vm.h>

struct harness_files {
	struct ktstr_file *files; /* strings are malloc'ed */
	size_t nr;
	const char *missing; /* a program that @path does not have: the test cannot run here */
};

/*
 * @names: NULL-terminated, as KTSTR_FILES() makes it; may be NULL. Programs are searched in
 * @path (PATH), relative paths start at @dir. 0, also with @missing set; -ENOENT: a path is not
 * there; -EINVAL: a name is empty or leads out of @dir; -ENOMEM. Needs harness_files__free() in all
 * cases.
 */
int harness_files__resolve(struct harness_files *files, const char *const *names, const char *dir,
			   const char *path, struct ktstr_error *error);
void harness_files__free(struct harness_files *files);

#endif /* KTSTR_VMM_HARNESS_FILES_H */
