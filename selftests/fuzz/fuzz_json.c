// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: JSON of a guest's scheduler, of an extractor, and of a file of runs. Our own
 * reader says of each text what jansson says, and finds the same in it; what passes the relay of
 * statistics is a line of JSON that a terminal can show; and any bytes are written as JSON.
 *
 * The first byte seeds the pieces in which it comes; then the text.
 */
#include "fuzz.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include <ktstr/json.h>

#include "vmm/extract.h"
#include "vmm/json_out.h"
#include "vmm/runs.h"
#include "vmm/stats.h"

#define MAX_VALUES 200u /* of one text, that are looked up */
#define MAX_POINTER 4096u

static bool is_shown(const char *text, size_t length)
{
	unsigned char before = 0;

	for (const char *end = text + length; text < end; before = (unsigned char)*text++) {
		unsigned char c = (unsigned char)*text;

		if ((c < ' ' && c != '\t') || c == 0x7f ||
		    (before == 0xc2 && c >= 0x80 && c < 0xa0))
			return false;
	}
	return true;
}

/* ---- Ours and jansson ---- */

static size_t count_opened(const char *text, size_t length)
{
	size_t nr = 0;

	for (size_t i = 0; i < length; i++)
		nr += text[i] == '[' || text[i] == '{';
	return nr;
}

static bool check_valid(const char *text, size_t length)
{
	bool ours = ktstr_json__valid(text, length);
	json_error_t why;
	json_t *root;

	/* To jansson a NUL may be the end. */
	if (memchr(text, '\0', length)) {
		FUZZ_CHECK(!ours);
		return false;
	}
	root = json_loadb(text, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
	/* It has no bound of ours, and ours reads no numbers. */
	if (root)
		FUZZ_CHECK(ours || count_opened(text, length) > KTSTR_JSON_DEPTH);
	else
		FUZZ_CHECK(!ours || json_error_code(&why) == json_error_numeric_overflow ||
			   json_error_code(&why) == json_error_null_byte_in_key);
	json_decref(root);
	return ours;
}

/* What ours has at @pointer is @value. */
static void check_value(const char *text, const char *pointer, const json_t *value)
{
	char buf[MAX_POINTER];
	uint64_t number;
	int err = ktstr_json__u64(text, pointer, &number);

	if (json_is_integer(value)) {
		json_int_t n = json_integer_value(value);

		/* "-0" is none from 0 on. */
		FUZZ_CHECK(n < 0 || (!n && err) ? err == -ERANGE : !err && number == (uint64_t)n);
	} else if (json_is_real(value)) {
		FUZZ_CHECK(err == -ERANGE);
	} else {
		FUZZ_CHECK(err == -EINVAL);
	}
	err = ktstr_json__string(text, pointer, buf, sizeof(buf));
	if (!json_is_string(value))
		FUZZ_CHECK(err == -EINVAL);
	else if (strlen(json_string_value(value)) != json_string_length(value))
		FUZZ_CHECK(err == -EINVAL || err == -ENOSPC);
	else if (json_string_length(value) < sizeof(buf))
		FUZZ_CHECK(!err && !strcmp(buf, json_string_value(value)));
	else
		FUZZ_CHECK(err == -ENOSPC);
}

/* "/" and @name, escaped (RFC 6901). False: there is no room. */
static bool add_token(char pointer[MAX_POINTER], size_t at, const char *name)
{
	pointer[at++] = '/';
	for (; *name; name++) {
		if (at + 3 > MAX_POINTER)
			return false;
		if (*name == '~' || *name == '/') {
			pointer[at++] = '~';
			pointer[at++] = *name == '~' ? '0' : '1';
		} else {
			pointer[at++] = *name;
		}
	}
	pointer[at] = '\0';
	return true;
}

static void check_below(const char *text, char pointer[MAX_POINTER], json_t *value, uint32_t *left)
{
	size_t at = strlen(pointer), index;
	const char *name;
	json_t *inner;

	if (!*left)
		return;
	--*left;
	check_value(text, pointer, value);
	if (at + 30 > MAX_POINTER)
		return;
	json_object_foreach(value, name, inner) if (add_token(pointer, at, name))
		check_below(text, pointer, inner, left);
	json_array_foreach(value, index, inner)
	{
		sprintf(pointer + at, "/%zu", index);
		check_below(text, pointer, inner, left);
	}
	pointer[at] = '\0';
}

/* Where each name is there once: jansson takes the last of several, ours the first. */
static void check_pointers(const char *text, const char *first_pointer)
{
	json_t *root =
		json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
	char pointer[MAX_POINTER] = "", small[3];
	uint32_t left = MAX_VALUES;
	uint64_t number;

	if (root)
		check_below(text, pointer, root, &left);
	json_decref(root);
	/* And a pointer that leads anywhere. */
	(void)ktstr_json__u64(text, first_pointer, &number);
	(void)ktstr_json__string(text, first_pointer, small, sizeof(small));
}

/* ---- Writers ---- */

/* Any bytes are written as one string, and text as itself. */
static void check_string(const char *data, size_t length)
{
	char *written;
	size_t size;
	FILE *f = open_memstream(&written, &size);
	json_t *string;

	FUZZ_CHECK(f);
	json__string(f, data, length);
	fclose(f);
	FUZZ_CHECK(ktstr_json__valid(written, size) && is_shown(written, size));
	string = json_loadb(written, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	FUZZ_CHECK(json_is_string(string));
	if (!strstr(written, "\\ufffd"))
		FUZZ_CHECK(json_string_length(string) == length &&
			   !memcmp(json_string_value(string), data, length));
	json_decref(string);
	free(written);
}

/* ---- Statistics ---- */

struct relay {
	struct stats stats;
	uint64_t responses, hash;
};

static size_t take_request(void *opaque, const char *data, size_t length)
{
	(void)opaque;
	FUZZ_CHECK(length && data[length - 1] == '\n');
	return length;
}

static void take_response(void *opaque, uint64_t at_ms, const char *json, size_t length)
{
	struct relay *r = opaque;

	(void)at_ms;
	FUZZ_CHECK(length <= STATS_RESPONSE_MAX && json[0] == '{');
	FUZZ_CHECK(ktstr_json__valid(json, length) && is_shown(json, length));
	for (size_t i = 0; i < length; i++)
		r->hash = (r->hash ^ (uint8_t)json[i]) * UINT64_C(0x100000001b3);
	r->responses++;
}

/* The text line by line, a request before each, in pieces of up to @piece % 37 + 1 bytes. */
static void feed_stats(struct relay *r, const char *text, size_t length, uint32_t piece)
{
	const struct stats_ops ops = {
		.opaque = r, .send = take_request, .response = take_response, .response_opaque = r};
	char report[600];

	*r = (struct relay){.hash = 0};
	stats__init(&r->stats, &ops);
	for (const char *end = text + length; text < end;) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t n = newline ? (size_t)(newline + 1 - text) : (size_t)(end - text);

		stats__tick(&r->stats);
		while (n) {
			size_t now = 1 + piece % 37;

			now = now < n ? now : n;
			stats__feed(&r->stats, text, now);
			text += now;
			n -= now;
			piece = piece * 1103515245u + 12345u;
		}
	}
	FUZZ_CHECK(r->responses == r->stats.responses && !r->stats.unasked);
	FUZZ_CHECK(stats__report(&r->stats, report, sizeof(report)) < (int)sizeof(report));
	stats__destroy(&r->stats);
}

/* ---- Metrics ---- */

static void check_metrics(const char *text, size_t length)
{
	struct ktstr_error error = {.err = 0};
	struct extracted out;
	char line[1500];
	size_t bad = 0;

	if (extract__parse("command", text, length, &out, &error)) {
		ktstr_error__format(&error, line, sizeof(line));
		FUZZ_CHECK(error.err && is_shown(line, strlen(line)) && !out.metrics);
		return;
	}
	FUZZ_CHECK(out.nr && out.nr <= EXTRACT_MAX_METRICS);
	for (size_t i = 0; i < out.nr; i++) {
		const struct metric *m = &out.metrics[i];

		FUZZ_CHECK(isfinite(m->value) && !isinf(m->minimum) && !isinf(m->maximum));
		FUZZ_CHECK(is_shown(m->name, strlen(m->name)) &&
			   is_shown(m->unit, strlen(m->unit)));
		metric__describe(m, line, sizeof(line));
		FUZZ_CHECK(is_shown(line, strlen(line)));
		bad += m->flags != 0;
	}
	FUZZ_CHECK(bad == out.nr_bad);
	extracted__free(&out);
}

static void check_run(const struct run *run)
{
	const char *const texts[] = {run->id,	    run->time,	 run->program, run->test,
				     run->topology, run->kernel, run->verdict};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		FUZZ_CHECK(texts[i] && is_shown(texts[i], strlen(texts[i])));
	FUZZ_CHECK(run->test[0] && run->nr_seen && run->nr_seen <= run->nr_parts);
	for (size_t i = 0; i < run->nr_values; i++) {
		const struct run_value *v = &run->values[i];

		FUZZ_CHECK(isfinite(v->value) && v->name[0]);
		FUZZ_CHECK(is_shown(v->name, strlen(v->name)) &&
			   is_shown(v->unit, strlen(v->unit)) &&
			   is_shown(v->source, strlen(v->source)));
	}
}

/* Each line of the text is one of a file of runs. */
static void check_runs(const char *text, size_t length)
{
	struct ktstr_error error = {.err = 0};
	struct runs runs = {.nr = 0};
	char line[1500];
	int err = 0;

	for (const char *end = text + length; text < end && !err;) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t n = newline ? (size_t)(newline - text) : (size_t)(end - text);

		err = runs__add_line(&runs, "file:1", text, n, &error);
		text += n + 1;
	}
	if (!err)
		err = runs__finish(&runs, &error);
	if (err) {
		ktstr_error__format(&error, line, sizeof(line));
		FUZZ_CHECK(error.err && is_shown(line, strlen(line)));
	} else {
		for (size_t i = 0; i < runs.nr; i++)
			check_run(&runs.list[i]);
	}
	runs__free(&runs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct relay whole, pieces;
	char *text, *newline;
	size_t length;

	if (!size)
		return 0;
	length = size - 1;
	text = calloc(1, size);
	FUZZ_CHECK(text);
	memcpy(text, data + 1, length);
	/* Without its NUL: a sanitizer sees what is read beyond the end. */
	if (check_valid((const char *)data + 1, length)) {
		newline = strchr(text, '\n');
		check_pointers(text, newline ? newline + 1 : "/0");
	}
	check_string(text, length);
	feed_stats(&whole, text, length, 36);
	feed_stats(&pieces, text, length, data[0]);
	FUZZ_CHECK(whole.responses == pieces.responses && whole.hash == pieces.hash);
	check_metrics((const char *)data + 1, length);
	check_runs((const char *)data + 1, length);
	free(text);
	return 0;
}
