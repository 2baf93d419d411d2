/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads JSON (RFC 8259) without building a tree: is a text JSON, and what is at one place of it.
 * The text may come from anybody: memory and stack are bounded, nothing is allocated.
 */
#ifndef KTSTR_JSON_H
#define KTSTR_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Arrays and objects within each other; what is deeper is not accepted. */
#define KTSTR_JSON_DEPTH 64u

/*
 * True when @text is one JSON value, white space around it allowed: UTF-8 throughout, no unpaired
 * surrogates, no NUL bytes.
 */
bool ktstr_json__valid(const char *text, size_t length);

/*
 * What @text (NUL-terminated) has at @pointer, a JSON Pointer (RFC 6901): "/args/resp/dsqs/0"; "~1"
 * in it stands for "/", "~0" for "~"; of equal member names the first counts. All return 0 or:
 * -EBADMSG @text is not JSON, -ENOENT there is nothing at @pointer, -EINVAL @pointer is none or the
 * value is of another type.
 */
/* An integer from 0 on. -ERANGE: no uint64_t (negative, a fraction, or too large). */
int ktstr_json__u64(const char *text, const char *pointer, uint64_t *value);
/* A string as UTF-8. -ENOSPC: @size is too small, its NUL included; -EINVAL also for one with NULs.
 */
int ktstr_json__string(const char *text, const char *pointer, char *buf, size_t size);

#endif /* KTSTR_JSON_H */
