// SPDX-License-Identifier: GPL-2.0-only
/* JSON strings and numbers. */
#include "json_out.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "text.h"

/* Length of the UTF-8 sequence at @p (RFC 3629), 0 when it is none. */
static size_t utf8_length(const uint8_t *p, size_t left)
{
	size_t n = *p < 0x80 ? 1 : *p >= 0xc2 && *p < 0xe0 ? 2 : *p >= 0xe0 && *p < 0xf0 ? 3 : 4;

	if ((*p >= 0x80 && *p < 0xc2) || *p > 0xf4 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* too long for what it says, a surrogate, above U+10FFFF */
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
	    (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

void json__string(FILE *f, const char *text, size_t length)
{
	const uint8_t *p = (const uint8_t *)text, *end = p + length;

	fputc('"', f);
	while (p < end) {
		size_t n = utf8_length(p, (size_t)(end - p));

		if (*p == '"' || *p == '\\')
			fprintf(f, "\\%c", *p);
		else if (*p == '\n')
			fputs("\\n", f);
		else if (*p == '\t')
			fputs("\\t", f);
		else if (*p < ' ' || *p == 0x7f)
			fprintf(f, "\\u%04x", *p);
		else if (text__control((const char *)p, (const char *)end) == 2)
			fprintf(f, "\\u%04x", p[1]); /* U+0080 to U+009F: as their second byte */
		else if (n)
			fwrite(p, 1, n, f);
		else
			fputs("\\ufffd", f);
		p += n ? n : 1;
	}
	fputc('"', f);
}

void json__text(FILE *f, const char *text)
{
	if (text)
		json__string(f, text, strlen(text));
	else
		fputs("null", f);
}

void json__number(FILE *f, double value)
{
	if (isfinite(value))
		fprintf(f, "%.17g", value);
	else
		fputs("null", f);
}
