// SPDX-License-Identifier: GPL-2.0-only
/* Records the first cause of a failure and writes it on one line. */
#include <ktstr/error.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

int ktstr_error__set(struct ktstr_error *error, int err, const char *operation, const char *object,
		     const char *reason_fmt, ...)
{
	va_list ap;

	if (!error || error->err)
		return -err;
	*error = (struct ktstr_error){.err = err};
	snprintf(error->operation, sizeof(error->operation), "%s", operation ? operation : "");
	snprintf(error->object, sizeof(error->object), "%s", object ? object : "");
	if (reason_fmt) {
		va_start(ap, reason_fmt);
		vsnprintf(error->reason, sizeof(error->reason), reason_fmt, ap);
		va_end(ap);
	}
	return -err;
}

void ktstr_error__hint(struct ktstr_error *error, const char *fmt, ...)
{
	va_list ap;

	if (!error || !error->err || error->hint[0])
		return;
	va_start(ap, fmt);
	vsnprintf(error->hint, sizeof(error->hint), fmt, ap);
	va_end(ap);
}

int ktstr_error__format(const struct ktstr_error *error, char *buf, size_t size)
{
	const char *reason = error->reason[0] ? error->reason : strerror(error->err);
	int n = snprintf(buf, size, "%s%s%s%s%s%s%s", error->object, error->object[0] ? ": " : "",
			 error->operation, error->operation[0] ? ": " : "", reason,
			 error->hint[0] ? "; " : "", error->hint);

	/* Names and lines of files that others made are part of errors. */
	if (n >= 0 && size)
		text__show(buf, strlen(buf), '?', false);
	return n;
}
