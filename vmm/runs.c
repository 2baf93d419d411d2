// SPDX-License-Identifier: GPL-2.0-only
/* One line of JSON a run, read with jansson. */
#include "runs.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "run_metrics.h"

#define OPERATION "read"
#define TEXT_MAX 65536u /* bytes of a topology; names are shorter */

static int no_memory(struct ktstr_error *error)
{
	return ktstr_error__set(error, ENOMEM, OPERATION, "runs", NULL);
}

/* ---- One line ---- */

/* A copy without control characters; missing or null is "". NULL: no memory, or no text. */
static char *text_of(const json_t *object, const char *key, bool *wrong)
{
	const json_t *at = json_object_get(object, key);
	size_t length = json_string_length(at), size = 3 * length + 1;
	char *text;

	if (at && !json_is_null(at) && (!json_is_string(at) || length > TEXT_MAX)) {
		*wrong = true;
		return NULL;
	}
	text = malloc(size);
	if (text)
		metrics__clean(text, size, length ? json_string_value(at) : "", length);
	return text;
}

static void free_value(struct run_value *value)
{
	free(value->source);
	free(value->name);
	free(value->unit);
}

static void free_run(struct run *run)
{
	for (size_t i = 0; i < run->nr_values; i++)
		free_value(&run->values[i]);
	free(run->values);
	free(run->id);
	free(run->time);
	free(run->program);
	free(run->test);
	free(run->topology);
	free(run->kernel);
	free(run->verdict);
	free(run->where);
	free(run->text);
}

static int bad_form(struct ktstr_error *error, const char *where, const char *what)
{
	return ktstr_error__set(error, EBADMSG, NULL, where, "%s", what);
}

/* 1: it has no value, which is no error. */
static int read_value(const json_t *object, struct run_value *value, const char *where,
		      struct ktstr_error *error)
{
	const json_t *number = json_object_get(object, "value");
	bool wrong = false;

	*value = (struct run_value){.source = text_of(object, "source", &wrong),
				    .name = text_of(object, "name", &wrong),
				    .unit = text_of(object, "unit", &wrong)};
	value->better = metric__better(json_string_value(json_object_get(object, "better")));
	if (wrong || !json_is_object(object))
		return bad_form(error, where, "a metric's source, name or unit is no text");
	if (!value->source || !value->name || !value->unit)
		return no_memory(error);
	if (!*value->name)
		return bad_form(error, where, "a metric has no name");
	if (json_is_null(number))
		return 1;
	if (!json_is_number(number))
		return bad_form(error, where, "a metric's value is no number");
	value->value = json_number_value(number);
	return isfinite(value->value) ? 0 : bad_form(error, where, "a metric's value is no number");
}

static int read_values(const json_t *list, struct run *run, struct ktstr_error *error)
{
	size_t nr = json_array_size(list);

	if (!json_is_array(list))
		return bad_form(error, run->where, "there is no list \"metrics\"");
	run->values = calloc(nr ? nr : 1, sizeof(*run->values));
	if (!run->values)
		return no_memory(error);
	for (size_t i = 0; i < nr; i++) {
		struct run_value *value = &run->values[run->nr_values];
		int ret = read_value(json_array_get(list, i), value, run->where, error);

		if (ret)
			free_value(value);
		if (ret < 0)
			return ret;
		run->nr_values += !ret;
	}
	return 0;
}

static bool read_end(const char *judged, struct run *run)
{
	static const struct {
		const char *name;
		enum run_end end;
	} ends[] = {{"pass", RUN_PASS},
		    {"fail", RUN_FAIL},
		    {"skip", RUN_SKIP},
		    {"xfail", RUN_XFAIL},
		    {"xpass", RUN_XPASS}};

	for (size_t i = 0; judged && i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (strcmp(judged, ends[i].name) != 0)
			continue;
		run->end = ends[i].end;
		/* To kselftest they are failures. */
		if (run->end == RUN_FAIL && !strcmp(run->verdict, "INCONCLUSIVE"))
			run->end = RUN_INCONCLUSIVE;
		if (run->end == RUN_FAIL && !strcmp(run->verdict, "INTERRUPTED"))
			run->end = RUN_INTERRUPTED;
		return true;
	}
	return false;
}

static bool read_u32(const json_t *object, const char *key, uint32_t *value)
{
	const json_t *at = json_object_get(object, key);
	json_int_t n = json_integer_value(at);

	if (!json_is_integer(at) || n < 1 || n > INT_MAX)
		return false;
	*value = (uint32_t)n;
	return true;
}

static int read_run(const json_t *root, struct run *run, struct ktstr_error *error)
{
	bool wrong = false;

	run->id = text_of(root, "run", &wrong);
	run->time = text_of(root, "time", &wrong);
	run->program = text_of(root, "program", &wrong);
	run->test = text_of(root, "test", &wrong);
	run->topology = text_of(root, "topology", &wrong);
	run->kernel = text_of(root, "kernel", &wrong);
	run->verdict = text_of(root, "verdict", &wrong);
	if (wrong)
		return bad_form(error, run->where, "a member that is to be a text is none");
	if (!run->id || !run->time || !run->program || !run->test || !run->topology ||
	    !run->kernel || !run->verdict)
		return no_memory(error);
	if (!*run->test)
		return bad_form(error, run->where, "there is no \"test\"");
	if (!read_end(json_string_value(json_object_get(root, "judged")), run))
		return bad_form(error, run->where,
				"\"judged\" is not pass, fail, skip, xfail or xpass");
	if (!read_u32(root, "part", &run->part) || !read_u32(root, "parts", &run->nr_parts) ||
	    run->part > run->nr_parts)
		return bad_form(error, run->where, "\"part\" of \"parts\" is impossible");
	run->nr_seen = 1;
	return read_values(json_object_get(root, "metrics"), run, error);
}

static int check_version(const json_t *root, const char *where, struct ktstr_error *error)
{
	const json_t *version = json_object_get(root, "version");

	if (!json_is_object(root) || !json_is_integer(version))
		return bad_form(error, where,
				"no \"version\": this is not a line of ktstr's "
				"metrics");
	if (json_integer_value(version) == RUN_METRICS_VERSION)
		return 0;
	return ktstr_error__set(error, EPROTO, NULL, where,
				"version %" JSON_INTEGER_FORMAT " is not known here, only %d",
				json_integer_value(version), RUN_METRICS_VERSION);
}

int runs__add_line(struct runs *runs, const char *where, const char *text, size_t length,
		   struct ktstr_error *error)
{
	struct run run = {.where = strdup(where), .text = strndup(text, length)}, *list;
	json_error_t why;
	json_t *root;
	int err;

	if (!run.where || !run.text) {
		free_run(&run);
		return no_memory(error);
	}
	root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &why);
	if (!root) {
		char clean[2 * sizeof(why.text)];

		/* It quotes what it has read. */
		metrics__clean(clean, sizeof(clean), why.text, strlen(why.text));
		free_run(&run);
		ktstr_error__set(error, EBADMSG, NULL, where, "not JSON: column %d: %s", why.column,
				 clean);
		ktstr_error__hint(error, "a line that was cut off can be taken out");
		return -EBADMSG;
	}
	err = check_version(root, where, error);
	if (!err)
		err = read_run(root, &run, error);
	json_decref(root);
	if (!err && runs->nr == runs->size) {
		list = reallocarray(runs->list, runs->size ? 2 * runs->size : 64, sizeof(*list));
		if (list) {
			runs->list = list;
			runs->size = runs->size ? 2 * runs->size : 64;
		} else {
			err = no_memory(error);
		}
	}
	if (err)
		free_run(&run);
	else
		runs->list[runs->nr++] = run;
	return err;
}

/* ---- Files ---- */

static bool is_blank(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r' && text[i] != '\n')
			return false;
	return true;
}

static int load_file(struct runs *runs, const char *path, struct ktstr_error *error)
{
	FILE *f = fopen(path, "re");
	char *line = NULL, *where;
	size_t size, number = 0;
	ssize_t length;
	int err = 0;

	if (!f)
		return ktstr_error__set(error, errno, "open", path, NULL);
	runs->nr_files++;
	while (!err && (errno = 0, length = getline(&line, &size, f)) >= 0) {
		number++;
		while (length && (line[length - 1] == '\n' || line[length - 1] == '\r'))
			length--;
		if (is_blank(line, (size_t)length))
			continue;
		if (asprintf(&where, "%s:%zu", path, number) < 0) {
			err = no_memory(error);
			break;
		}
		err = runs__add_line(runs, where, line, (size_t)length, error);
		free(where);
	}
	if (!err && (ferror(f) || errno))
		err = ktstr_error__set(error, errno ? errno : EIO, OPERATION, path, NULL);
	free(line);
	fclose(f);
	return err;
}

static int is_wanted(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return n > 6 && entry->d_name[0] != '.' && !strcmp(entry->d_name + n - 6, ".jsonl");
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* What @choose takes of the directory, with @below behind it where that is a file. */
static int load_entries(struct runs *runs, const char *dir, const char *below,
			int (*choose)(const struct dirent *), struct ktstr_error *error)
{
	struct dirent **entries;
	int nr = scandir(dir, &entries, choose, alphasort), err = 0;

	if (nr < 0)
		return ktstr_error__set(error, errno, "open", dir, NULL);
	for (int i = 0; i < nr; i++) {
		char *path = NULL;
		struct stat st;

		if (!err && asprintf(&path, "%s/%s%s", dir, entries[i]->d_name, below) < 0)
			err = no_memory(error);
		else if (!err && !stat(path, &st) && S_ISREG(st.st_mode))
			err = load_file(runs, path, error);
		free(path);
		free(entries[i]);
	}
	free(entries);
	return err;
}

int runs__load(struct runs *runs, const char *path, struct ktstr_error *error)
{
	size_t before = runs->nr_files;
	struct stat st;
	int err;

	if (stat(path, &st))
		return ktstr_error__set(error, errno, "open", path, NULL);
	if (!S_ISDIR(st.st_mode))
		return load_file(runs, path, error);
	err = load_entries(runs, path, "", is_wanted, error);
	if (!err)
		err = load_entries(runs, path, "/" RUN_METRICS_FILE, is_visible, error);
	if (!err && runs->nr_files == before)
		err = ktstr_error__set(error, ENOENT, NULL, path,
				       "has no file " RUN_METRICS_FILE ", and none of its "
				       "directories has");
	return err;
}

/* ---- All lines ---- */

static int compare_runs(const struct run *a, const struct run *b)
{
	int order = strcmp(a->program, b->program);

	if (!order)
		order = strcmp(a->test, b->test);
	if (!order)
		order = strcmp(a->topology, b->topology);
	if (!order)
		order = strcmp(a->id, b->id);
	return order ? order : strcmp(a->time, b->time);
}

static int compare_lines(const void *a, const void *b)
{
	const struct run *x = a, *y = b;
	int order = compare_runs(x, y);

	return order ? order : (x->part > y->part) - (x->part < y->part);
}

/* Puts the values of @from behind those of @to. */
static int join(struct run *to, struct run *from, struct ktstr_error *error)
{
	size_t nr = to->nr_values + from->nr_values;
	struct run_value *values = reallocarray(to->values, nr ? nr : 1, sizeof(*values));

	if (!values)
		return no_memory(error);
	to->values = values;
	memcpy(values + to->nr_values, from->values, from->nr_values * sizeof(*values));
	to->nr_values = nr;
	to->nr_seen++;
	from->nr_values = 0;
	return 0;
}

int runs__finish(struct runs *runs, struct ktstr_error *error)
{
	size_t to = 0, at;
	int err = 0;

	if (runs->nr)
		qsort(runs->list, runs->nr, sizeof(*runs->list), compare_lines);
	for (at = 0; at < runs->nr && !err; at++) {
		struct run *run = &runs->list[at], *last = to ? &runs->list[to - 1] : NULL;

		if (!last || compare_runs(last, run) != 0) {
			runs->list[to++] = *run;
			if (to - 1 != at)
				*run = (struct run){.nr_values = 0};
			continue;
		}
		if (run->part == last->part && !strcmp(run->text, last->text))
			runs->nr_repeated++;
		else if (run->part == last->part || run->nr_parts != last->nr_parts)
			err = ktstr_error__set(error, EBADMSG, NULL, run->where,
					       "another line has the same run, time and test, and "
					       "is different: %s",
					       last->where);
		else
			err = join(last, run, error);
		/* Of the part that came last, to know it when it comes again. */
		last->part = run->part;
		free(last->text);
		last->text = run->text;
		run->text = NULL;
		free_run(run);
		*run = (struct run){.nr_values = 0};
	}
	if (!err)
		runs->nr = to;
	for (size_t i = 0; i < runs->nr && !err; i++)
		runs->nr_incomplete += runs->list[i].nr_seen != runs->list[i].nr_parts;
	return err;
}

void runs__free(struct runs *runs)
{
	for (size_t i = 0; i < runs->nr; i++)
		free_run(&runs->list[i]);
	free(runs->list);
	*runs = (struct runs){.nr = 0};
}
