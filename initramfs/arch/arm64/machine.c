// SPDX-License-Identifier: GPL-2.0-only
/* Programs of arm64. */
#include "../../machine.h"

#include <elf.h>
#include <stddef.h>

#define TRIPLET "aarch64-linux-gnu"

static const char *const library_dirs[] = {
	"/lib/" TRIPLET, "/usr/lib/" TRIPLET, "/lib64", "/usr/lib64", "/lib", "/usr/lib", NULL,
};

static const char *const lib_tokens[] = {"lib/" TRIPLET, "lib64", "lib", NULL};

const struct machine machine__this = {
	.elf_machine = EM_AARCH64,
	.library_dirs = library_dirs,
	.lib_tokens = lib_tokens,
};
