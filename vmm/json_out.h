/* SPDX-License-Identifier: GPL-2.0-only */
/* Writing JSON (RFC 8259) to a stream; what comes from a guest becomes valid text whatever it is.
 */
#ifndef KTSTR_VMM_JSON_OUT_H
#define KTSTR_VMM_JSON_OUT_H

#include <stddef.h>
#include <stdio.h>

/* @length bytes as a string with its quotes; bytes that are no UTF-8 become U+FFFD. */
void json__string(FILE *f, const char *text, size_t length);
/* The same of a terminated string; NULL is null. */
void json__text(FILE *f, const char *text);
/* A number, or null where it is not finite. */
void json__number(FILE *f, double value);

#endif /* KTSTR_VMM_JSON_OUT_H */
