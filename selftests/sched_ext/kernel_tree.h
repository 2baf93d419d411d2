/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tests of what the Makefile builds of the kernel tree, in kernel/ beside the program: one for each
 * name there. A name that could not be built has its log instead, and its test fails with that.
 */
#ifndef KERNEL_TREE_H
#define KERNEL_TREE_H

#include <ktstr/harness.h>

#include <libgen.h>
#include <limits.h>

#include "workload.h"

#define KERNEL_TREE "kernel"

typedef void kernel_tree__body(struct __test_metadata *_metadata,
			       struct __fixture_variant_metadata *variant);

/* Attributes of one name, over those of all. */
struct kernel_tree__need {
	const char *name;
	struct ktstr_test_attrs attrs;
};

/* On the host: the path of kernel/NAME. 0 or -errno. */
static inline int kernel_tree__path(const char *name, char path[PATH_MAX])
{
	char program[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);

	if (length < 0)
		return -errno;
	program[length] = '\0';
	length = snprintf(path, PATH_MAX, "%s/" KERNEL_TREE "/%s", dirname(program), name);
	return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* With KTSTR_QUICK=1, only the names of @quick, a list with NULL behind it, are wanted. */
static inline bool kernel_tree__wants(const char *name, const char *const *quick)
{
	const char *asked = getenv("KTSTR_QUICK");

	if (!asked || strcmp(asked, "1"))
		return true;
	while (*quick && strcmp(*quick, name))
		quick++;
	return *quick;
}

static inline void kernel_tree__out_of_memory(void)
{
	printf("Bail out! out of memory\n");
	exit(KSFT_FAIL);
}

static inline char *kernel_tree__text(const char *format, const char *name)
{
	char *text;

	if (asprintf(&text, format, name) < 0)
		kernel_tree__out_of_memory();
	return text;
}

/* @attrs, and @file as the file of the test that it needs (NULL: none). */
static inline void kernel_tree__add(const char *name, kernel_tree__body *body,
				    const struct ktstr_test_attrs *attrs, const char *file)
{
	struct {
		struct ktstr_added_test test;
		const char *files[2];
	} *added = calloc(1, sizeof(*added));
	struct ktstr_test_attrs all = *attrs;

	if (!added)
		kernel_tree__out_of_memory();
	added->files[0] = file;
	if (file)
		all.files = added->files;
	ktstr_harness__add(&added->test, kernel_tree__text("%s", name), body, &all);
}

/* In the guest: shows what there is of kernel/NAME.log, and fails. */
static inline void kernel_tree__fail(struct __test_metadata *_metadata,
				     struct __fixture_variant_metadata __attribute__((unused)) *
					     variant)
{
	char *path = kernel_tree__text("/" KERNEL_TREE "/%s.log", _metadata->name), log[16384];

	if (!file__read(path, log, sizeof(log)))
		printf("%s\n", log);
	ASSERT_TRUE(false)
	{
		TH_LOG("%s could not be built of KSRC, or has no tests", _metadata->name);
	}
}

/* The test of a name that cannot be run. */
static inline void kernel_tree__add_failure(const char *name)
{
	static const struct ktstr_test_attrs small = {.topology = TOPO(1, 1, 1, 1)};
	char *log = kernel_tree__text("%s.log", name), path[PATH_MAX];
	bool told = !kernel_tree__path(log, path) && !access(path, R_OK);

	kernel_tree__add(name, kernel_tree__fail, &small,
			 told ? kernel_tree__text("./" KERNEL_TREE "/%s", log) : NULL);
}

#endif /* KERNEL_TREE_H */
