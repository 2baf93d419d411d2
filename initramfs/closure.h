/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Adds programs to a tree with everything that they need to start: interpreters of scripts, the
 * dynamic linker, and libraries found as ld.so(8) finds them.
 */
#ifndef KTSTR_INITRAMFS_CLOSURE_H
#define KTSTR_INITRAMFS_CLOSURE_H

#include <ktstr/error.h>

#include "tree.h"

struct closure {
	struct tree *tree;
	const char *library_path; /* LD_LIBRARY_PATH; may be NULL */
	const char *search_path;  /* PATH, for "#!/usr/bin/env NAME"; may be NULL */
	char *ldcache;		  /* content of /etc/ld.so.cache; may be NULL */
	size_t ldcache_length;
};

/* The strings stay the caller's. */
void closure__init(struct closure *closure, struct tree *tree, const char *library_path,
		   const char *search_path);
void closure__free(struct closure *closure);

enum closure_role {
	CLOSURE_INIT,  /* PID 1: starts without /proc; gets libgcc_s.so.1, which backtrace(3) opens
			*/
	CLOSURE_FILE,  /* a program or any other file */
	CLOSURE_FOUND, /* found in a directory: what is missing for it is no error */
};

/*
 * Adds the absolute host path @host as @guest (NULL: at the same path, with the links that lead
 * there). -ENOENT: a library or interpreter is missing; -ENOEXEC: of another machine or damaged.
 */
int closure__add(struct closure *closure, const char *host, const char *guest,
		 enum closure_role role, struct ktstr_error *error);

#endif /* KTSTR_INITRAMFS_CLOSURE_H */
