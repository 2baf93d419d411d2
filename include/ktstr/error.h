/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one way in which library code says why it failed: a function returns -errno and fills a
 * struct ktstr_error once, at the place that knows; only main() and the harness print it.
 */
#ifndef KTSTR_ERROR_H
#define KTSTR_ERROR_H

#include <stddef.h>

struct ktstr_error {
	int err;	    /* positive errno, 0 while nothing has failed */
	char operation[64]; /* what was tried: "open", "KVM_CREATE_VM", "parse" */
	char object[256];   /* on what: a path, a device, an option with its value */
	char reason[512];   /* why it failed; empty: strerror(err) says it */
	char hint[512];	    /* what the person can do; may be empty */
};

/*
 * Records a failure and returns -err. @error may be NULL. A failure that is already recorded stays
 * (the first cause wins). @operation, @object: copied, shortened when too long; NULL is "".
 * @reason_fmt may be NULL (strerror(err) is shown).
 */
int ktstr_error__set(struct ktstr_error *error, int err, const char *operation, const char *object,
		     const char *reason_fmt, ...) __attribute__((format(printf, 5, 6)));

/* Adds the remedy to a recorded failure that has none yet. @error may be NULL. */
void ktstr_error__hint(struct ktstr_error *error, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Writes "OBJECT: OPERATION: REASON; HINT" on one line (parts that are empty are left out), control
 * characters as '?'. Returns the length as snprintf does.
 */
int ktstr_error__format(const struct ktstr_error *error, char *buf, size_t size);

#endif /* KTSTR_ERROR_H */
