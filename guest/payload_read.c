// SPDX-License-Identifier: GPL-2.0-only
/* From a payload's output to its metrics. */
#include "payload.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_KEY 256u /* bytes of one key of a path */

/* ---- Description ---- */

static bool is_name(const char *text)
{
	size_t length = text ? strlen(text) : 0;

	if (!length || length > KTSTR_PAYLOAD_MAX_NAME)
		return false;
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return false;
	return true;
}

static bool is_unit(const char *text)
{
	return !text || !*text || is_name(text);
}

static bool is_path(const char *path)
{
	size_t length = 0;

	for (; *path; path++) {
		if (*path == '.') {
			if (!length)
				return false;
			length = 0;
			continue;
		}
		if (*path == '\\' && !*++path)
			return false;
		if (++length >= MAX_KEY)
			return false;
	}
	return length;
}

static bool is_limit(const struct ktstr_limit *limit)
{
	return !limit->is_set || isfinite(limit->value);
}

static int compile(struct payload_reader *reader, const struct ktstr_metric *metric, char *why,
		   size_t why_size)
{
	regex_t *regex = &reader->regexes[reader->nr_regexes];
	char text[128];
	int err = regcomp(regex, metric->source, REG_EXTENDED);

	if (err) {
		regerror(err, regex, text, sizeof(text));
		snprintf(why, why_size, "the pattern of %s, '%s', is wrong: %s", metric->name,
			 metric->source, text);
		return -EINVAL;
	}
	reader->nr_regexes++;
	if (regex->re_nsub == 1)
		return 0;
	snprintf(why, why_size, "the pattern of %s, '%s', has %zu groups instead of one",
		 metric->name, metric->source, regex->re_nsub);
	return -EINVAL;
}

static int check_metric(struct payload_reader *reader, const struct ktstr_metric *metric, char *why,
			size_t why_size)
{
	const char *wrong = NULL;

	if (reader->nr_metrics == KTSTR_PAYLOAD_MAX_METRICS)
		wrong = "is one too many";
	else if (!is_name(metric->name))
		wrong = "has a name that is too long or has white space";
	else if (!is_unit(metric->unit))
		wrong = "has a unit that is too long or has white space";
	else if (!metric->source)
		wrong = "has no source";
	else if (!isfinite(metric->scale) || !is_limit(&metric->minimum) ||
		 !is_limit(&metric->maximum))
		wrong = "has a scale or a limit that is not finite";
	else if (reader->payload->output == KTSTR_OUTPUT_JSON && !is_path(metric->source))
		wrong = "has a path with a key that is empty or too long";
	if (wrong) {
		snprintf(why, why_size, "metric %.*s %s", (int)KTSTR_PAYLOAD_MAX_NAME, metric->name,
			 wrong);
		return -EINVAL;
	}
	return reader->payload->output == KTSTR_OUTPUT_PATTERN
		       ? compile(reader, metric, why, why_size)
		       : 0;
}

int payload_reader__init(struct payload_reader *reader, const struct ktstr_payload *payload,
			 char *why, size_t why_size)
{
	const struct ktstr_metric *metric = payload->metrics;
	bool read = payload->output == KTSTR_OUTPUT_JSON || payload->output == KTSTR_OUTPUT_PATTERN;
	int err = 0;

	memset(reader, 0, sizeof(*reader));
	reader->payload = payload;
	if (!is_name(payload->name)) {
		snprintf(why, why_size, "its name is missing, too long or has white space");
		return -EINVAL;
	}
	if (!payload->argv || !payload->argv[0]) {
		snprintf(why, why_size, "it has no argv");
		return -EINVAL;
	}
	if (metric && metric->name && !read) {
		snprintf(why, why_size, "its metrics need .output to be JSON or PATTERN");
		return -EINVAL;
	}
	for (; !err && metric && metric->name; metric++) {
		err = check_metric(reader, metric, why, why_size);
		reader->nr_metrics += !err;
	}
	if (err)
		payload_reader__free(reader);
	return err;
}

void payload_reader__free(struct payload_reader *reader)
{
	while (reader->nr_regexes)
		regfree(&reader->regexes[--reader->nr_regexes]);
}

/* ---- Values ---- */

static void add_value(struct payload_values *values, double value)
{
	if (!isfinite(value)) {
		values->not_number = true;
		return;
	}
	if (!values->count || value < values->least)
		values->least = value;
	if (!values->count || value > values->greatest)
		values->greatest = value;
	if (!values->count)
		values->first = value;
	values->last = value;
	values->sum += value;
	values->count++;
}

static double pick_value(const struct payload_values *values, enum ktstr_metric_pick pick)
{
	switch (pick) {
	case KTSTR_PICK_FIRST:
		return values->first;
	case KTSTR_PICK_LEAST:
		return values->least;
	case KTSTR_PICK_GREATEST:
		return values->greatest;
	case KTSTR_PICK_SUM:
		return values->sum;
	case KTSTR_PICK_MEAN:
		return values->sum / (double)values->count;
	default:
		return values->last;
	}
}

/* ---- Patterns ---- */

static void add_match(struct payload_values *values, const char *text, size_t length)
{
	char number[64], *end;
	double value;

	if (!length || length >= sizeof(number)) {
		values->not_number = true;
		return;
	}
	memcpy(number, text, length);
	number[length] = '\0';
	value = strtod(number, &end);
	add_value(values, *end ? (double)NAN : value);
}

static void take_line(struct payload_reader *reader, struct payload_lines *lines)
{
	size_t i, length = lines->length;

	if (length > PAYLOAD_LINE_MAX)
		length = PAYLOAD_LINE_MAX;
	if (length && lines->text[length - 1] == '\r')
		length--;
	lines->text[length] = '\0';
	lines->length = 0;
	for (i = 0; i < length; i++)
		if (!lines->text[i])
			lines->text[i] = ' ';
	for (i = 0; i < reader->nr_regexes; i++) {
		regmatch_t at[2];

		if (!regexec(&reader->regexes[i], lines->text, 2, at, 0) && at[1].rm_so >= 0)
			add_match(&reader->values[i], lines->text + at[1].rm_so,
				  (size_t)(at[1].rm_eo - at[1].rm_so));
	}
}

void payload_reader__feed(struct payload_reader *reader, struct payload_lines *lines,
			  const char *data, size_t length)
{
	while (length) {
		const char *newline = memchr(data, '\n', length);
		size_t n = newline ? (size_t)(newline - data) : length;
		size_t room =
			lines->length < PAYLOAD_LINE_MAX ? PAYLOAD_LINE_MAX - lines->length : 0;

		memcpy(lines->text + lines->length, data, n < room ? n : room);
		lines->length += n < room ? n : room;
		if (newline)
			take_line(reader, lines);
		data += n + (newline ? 1 : 0);
		length -= n + (newline ? 1 : 0);
	}
}

void payload_reader__end(struct payload_reader *reader, struct payload_lines *lines)
{
	if (lines->length)
		take_line(reader, lines);
}

/* ---- JSON ---- */

/* The first key of @path without its backslashes; returns what follows, NULL at the end. */
static const char *next_key(const char *path, char *key, bool *every)
{
	size_t n = 0;

	*every = path[0] == '*' && (!path[1] || path[1] == '.');
	for (; *path && *path != '.'; path++) {
		if (*path == '\\')
			path++;
		key[n++] = *path; /* is_path() has measured it */
	}
	key[n] = '\0';
	return *path ? path + 1 : NULL;
}

static const json_t *element(const json_t *array, const char *key)
{
	size_t index = 0;

	if (!*key || (key[0] == '0' && key[1]))
		return NULL;
	for (; *key; key++) {
		if (*key < '0' || *key > '9' || __builtin_mul_overflow(index, 10u, &index) ||
		    __builtin_add_overflow(index, (size_t)(*key - '0'), &index))
			return NULL;
	}
	return json_array_get(array, index);
}

/* As deep as the path is long. */
// NOLINTNEXTLINE(misc-no-recursion)
static void follow(struct payload_values *values, const json_t *at, const char *path)
{
	char key[MAX_KEY];
	bool every;

	if (!at)
		return;
	if (!path) {
		add_value(values, json_is_number(at) ? json_number_value(at) : (double)NAN);
		return;
	}
	path = next_key(path, key, &every);
	if (json_is_array(at) && every) {
		for (size_t i = 0; i < json_array_size(at); i++)
			follow(values, json_array_get(at, i), path);
	} else if (json_is_array(at)) {
		follow(values, element(at, key), path);
	} else if (json_is_object(at) && every) {
		json_t *object = (json_t *)(uintptr_t)at;

		for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i))
			follow(values, json_object_iter_value(i), path);
	} else if (json_is_object(at)) {
		follow(values, json_object_get(at, key), path);
	}
}

int payload_reader__json(struct payload_reader *reader, const char *text, size_t length, char *why,
			 size_t why_size)
{
	json_error_t error;
	json_t *root = json_loadb(text, length, JSON_DECODE_ANY, &error);

	if (!root) {
		snprintf(why, why_size, "the output is not JSON: line %d, column %d: %s",
			 error.line, error.column, error.text);
		return -EBADMSG;
	}
	for (size_t i = 0; i < reader->nr_metrics; i++)
		follow(&reader->values[i], root, reader->payload->metrics[i].source);
	json_decref(root);
	return 0;
}

/* ---- Result ---- */

static void set_metric(const struct ktstr_metric *metric, const struct payload_values *values,
		       struct ktstr_metric_value *to)
{
	*to = (struct ktstr_metric_value){.value = (double)NAN, .flags = KTSTR_METRIC_MISSING};
	/* One value that cannot be read makes a sum or a mean of the others wrong. */
	if (!values->count || values->not_number)
		return;
	to->value = pick_value(values, metric->pick) * (metric->scale != 0 ? metric->scale : 1);
	if (!isfinite(to->value)) {
		to->value = (double)NAN;
		return;
	}
	to->flags = 0;
	if (metric->minimum.is_set && to->value < metric->minimum.value)
		to->flags |= KTSTR_METRIC_TOO_LOW;
	if (metric->maximum.is_set && to->value > metric->maximum.value)
		to->flags |= KTSTR_METRIC_TOO_HIGH;
}

int payload_reader__finish(const struct payload_reader *reader, struct ktstr_payload_result *result,
			   char *why, size_t why_size)
{
	const struct ktstr_metric *metrics = reader->payload->metrics;
	char text[256];
	size_t i;

	result->nr_metrics = reader->nr_metrics;
	for (i = 0; i < reader->nr_metrics; i++)
		set_metric(&metrics[i], &reader->values[i], &result->metrics[i]);
	for (i = 0; i < reader->nr_metrics; i++) {
		if (!(result->metrics[i].flags & KTSTR_METRIC_MISSING))
			continue;
		snprintf(why, why_size, "metric %s (%s) is %s", metrics[i].name, metrics[i].source,
			 reader->values[i].count || reader->values[i].not_number
				 ? "not a finite number"
				 : "not in the output");
		return -ENODATA;
	}
	for (i = 0; i < reader->nr_metrics; i++) {
		if (!result->metrics[i].flags)
			continue;
		payload__describe(result, i, text, sizeof(text));
		snprintf(why, why_size, "%s is %s", metrics[i].name, text);
		return -ERANGE;
	}
	return 0;
}

void payload__describe(const struct ktstr_payload_result *result, size_t index, char *text,
		       size_t size)
{
	const struct ktstr_metric *metric = &result->payload->metrics[index];
	const struct ktstr_limit *low = &metric->minimum, *high = &metric->maximum;
	const struct ktstr_metric_value *value = &result->metrics[index];
	char limits[80] = "";
	const char *wrong = "";

	if (low->is_set && high->is_set)
		snprintf(limits, sizeof(limits), " (at least %.10g, at most %.10g)", low->value,
			 high->value);
	else if (low->is_set)
		snprintf(limits, sizeof(limits), " (at least %.10g)", low->value);
	else if (high->is_set)
		snprintf(limits, sizeof(limits), " (at most %.10g)", high->value);
	if (value->flags & KTSTR_METRIC_MISSING) {
		snprintf(text, size, "missing%s", limits);
		return;
	}
	if (value->flags & KTSTR_METRIC_TOO_LOW)
		wrong = ": too low";
	else if (value->flags & KTSTR_METRIC_TOO_HIGH)
		wrong = ": too high";
	snprintf(text, size, "%.10g%s%s%s%s", value->value,
		 metric->unit && *metric->unit ? " " : "", metric->unit ? metric->unit : "", limits,
		 wrong);
}

static size_t put(char *buf, size_t at, const void *data, size_t length)
{
	memcpy(buf + at, data, length);
	return at + length;
}

static uint32_t better_flag(enum ktstr_better better)
{
	return better == KTSTR_LOWER_IS_BETTER	  ? KTSTR_METRIC_LOWER_IS_BETTER
	       : better == KTSTR_HIGHER_IS_BETTER ? KTSTR_METRIC_HIGHER_IS_BETTER
						  : 0;
}

void *payload__encode(const struct ktstr_payload_result *result, uint64_t boot_ns, size_t *length)
{
	const struct ktstr_payload *payload = result->payload;
	struct ktstr_metrics_payload head = {
		.boot_ns = boot_ns,
		.run_ns = result->run_ns,
		.signal = (uint32_t)result->signal,
		.exit_code = result->signal ? 0 : (uint32_t)result->exit_code,
		.nr_metrics = (uint32_t)result->nr_metrics,
		.name_length = (uint32_t)strlen(payload->name),
	};
	size_t at = 0, room = sizeof(head) + head.name_length +
			      result->nr_metrics * (sizeof(struct ktstr_metric_record) +
						    2 * (size_t)KTSTR_PAYLOAD_MAX_NAME);
	char *buf = malloc(room);

	if (!buf)
		return NULL;
	at = put(buf, at, &head, sizeof(head));
	at = put(buf, at, payload->name, head.name_length);
	for (size_t i = 0; i < result->nr_metrics; i++) {
		const struct ktstr_metric *metric = &payload->metrics[i];
		const char *unit = metric->unit ? metric->unit : "";
		struct ktstr_metric_record record = {
			.value = result->metrics[i].value,
			.minimum = metric->minimum.is_set ? metric->minimum.value : (double)NAN,
			.maximum = metric->maximum.is_set ? metric->maximum.value : (double)NAN,
			.flags = result->metrics[i].flags | better_flag(metric->better),
			.name_length = (uint16_t)strlen(metric->name),
			.unit_length = (uint16_t)strlen(unit),
		};

		at = put(buf, at, &record, sizeof(record));
		at = put(buf, at, metric->name, record.name_length);
		at = put(buf, at, unit, record.unit_length);
	}
	*length = at;
	return buf;
}
