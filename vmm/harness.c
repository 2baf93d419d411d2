// SPDX-License-Identifier: GPL-2.0-only
/*
 * The harness on the host: a test's attributes become a machine, what the test says becomes TAP
 * diagnostics, and how the run ended becomes how the test ends.
 */
#include <ktstr/scenario.h>

#include "arch/arch.h"
#include "evidence.h"
#include "harness.h"
#include "harness_disks.h"
#include "harness_extract.h"
#include "harness_files.h"
#include "host_use.h"
#include "performance.h"
#include "profraw.h"
#include "record.h"
#include "run_metrics.h"
#include "sandbox.h"
#include "text.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* kselftest's exit codes (tools/testing/selftests/kselftest.h) */
#define EXIT_PASS 0
#define EXIT_FAIL 1
#define EXIT_XFAIL 2
#define EXIT_XPASS 3
#define EXIT_SKIP 4

/* Beyond the limits of the run itself: preparing it, reading the evidence, clean-up. */
#define LIMIT_MARGIN_S 60u

static bool is_declared(const struct ktstr_topology *t)
{
	const struct ktstr_caches *c = &t->caches;

	return t->numa_nodes || t->llcs || t->cores_per_llc || t->threads_per_core || t->packages ||
	       t->nodes || t->distances || t->capacities || c->l1d_kb || c->l1i_kb || c->l2_kb ||
	       c->l3_kb;
}

void ktstr_test_attrs__merge(struct ktstr_test_attrs *attrs, const struct ktstr_test_attrs *over)
{
#define MERGE(field)                                \
	do {                                        \
		if (over->field)                    \
			attrs->field = over->field; \
	} while (0)
	if (is_declared(&over->topology))
		attrs->topology = over->topology;
	MERGE(memory_mb);
	MERGE(cpu_vendor);
	MERGE(root);
	MERGE(performance_mode);
	if (over->max_steal_pct > 0)
		attrs->max_steal_pct = over->max_steal_pct;
	MERGE(kernel);
	MERGE(kernel_args);
	MERGE(scheduler);
	MERGE(scheduler_args);
	MERGE(scheduler_ops);
	MERGE(stats_interval_ms);
	MERGE(boot_timeout_s);
	MERGE(attach_timeout_s);
	MERGE(timeout_s);
	MERGE(expect_verdict);
	MERGE(expect_cause);
	MERGE(expect_sched_exit);
	MERGE(files);
	MERGE(nics);
	MERGE(disks);
	MERGE(extractor);
	MERGE(gauntlet);
	MERGE(profiles);
#undef MERGE
}

static void apply(const struct ktstr_test_attrs *attrs, struct ktstr_vm_config *config)
{
	if (is_declared(&attrs->topology))
		config->topology = attrs->topology;
	if (attrs->memory_mb)
		config->memory_mb = attrs->memory_mb;
	config->boot_timeout_s = attrs->boot_timeout_s
					 ? attrs->boot_timeout_s
					 : ktstr_vm__boot_allowance_s(&config->topology);
	if (attrs->attach_timeout_s)
		config->attach_timeout_s = attrs->attach_timeout_s;
	if (attrs->timeout_s)
		config->timeout_s = attrs->timeout_s;
	config->cpu_vendor = attrs->cpu_vendor;
	config->root = attrs->root;
	config->performance_mode = attrs->performance_mode;
	config->max_steal_pct = attrs->max_steal_pct;
	config->kernel = attrs->kernel;
	config->append = attrs->kernel_args;
	config->scheduler_args = attrs->scheduler_args;
	config->scheduler_ops = attrs->scheduler_ops;
	config->stats_interval_ms = attrs->stats_interval_ms;
	if (attrs->nics) {
		config->nics = attrs->nics->nics;
		config->nr_nics = attrs->nics->nr;
	}
}

uint32_t ktstr_test_attrs__limit_s(const struct ktstr_test_attrs *attrs)
{
	struct ktstr_vm_config config;
	uint32_t limit_s;

	ktstr_vm_config__defaults(&config);
	apply(attrs, &config);
	/* kselftest counts milliseconds in an int */
	if (__builtin_add_overflow(config.boot_timeout_s, config.timeout_s, &limit_s) ||
	    __builtin_add_overflow(limit_s, config.attach_timeout_s, &limit_s) ||
	    __builtin_add_overflow(limit_s, LIMIT_MARGIN_S, &limit_s) ||
	    __builtin_add_overflow(
		    limit_s, attrs->extractor ? HARNESS_EXTRACT_TIMEOUT_MS / 1000u : 0, &limit_s) ||
	    limit_s > INT_MAX / 1000)
		limit_s = INT_MAX / 1000;
	return limit_s;
}

/* ---- Output ---- */

void harness_relay__init(struct harness_relay *relay, FILE *out, const char *watch_for)
{
	*relay = (struct harness_relay){.out = out, .watch_for = watch_for};
}

/*
 * Consumers of kselftest logs search every line for some texts. Where one is not the verdict, a
 * space is put into it, before its character @split.
 */
static const struct searched {
	const char *text;
	size_t split;
	bool always; /* it makes a reader lose what follows: never left as it is */
} searched[] = {
	/* NIPA, contest/remote/lib/vm.py guess_indicators(): the verdict of the binary */
	{"[FAIL]", 5, false},
	{"[fail]", 5, false},
	{"FAIL:", 4, false}, /* behind a space, which can be that of "# " */
	{"[SKIP]", 5, false},
	{"[skip]", 5, false},
	{"# SKIP", 2, false}, /* likewise */
	{"SKIP:", 4, false},
	/* NIPA, lib/crash.py has_crash(): a crash of the machine under test */
	{"] RIP: ", 5, false},
	{"] Call Trace:", 12, false},
	{"] ref_tracker: ", 13, false},
	{"unreferenced object 0x", 12, false},
	/* LKFT, SQUAD's linux_log_parser: likewise */
	{"Kernel panic", 6, false},
	{"[ cut here ]", 5, false},
	{"[ end trace", 5, false},
	{"Oops:", 4, false},
	{"Oops -", 4, false},
	{"BUG:", 3, false},
	{"kernel BUG at", 10, false},
	{"WARNING:", 7, false},
	{"invalid opcode:", 14, false},
	{"Unhandled fault", 9, false},
	/* kunit_parser.py, KTAP_END: it reads no further */
	{"Kernel panic - not syncing: VFS:", 27, true},
	{"List of all partitions:", 22, true},
	{"reboot: System halted", 7, true},
};

static bool is_searched(bool as_it_is, const char *line, size_t length)
{
	for (size_t i = 0; i < sizeof(searched) / sizeof(searched[0]); i++)
		if ((!as_it_is || searched[i].always) &&
		    memmem(line, length, searched[i].text, strlen(searched[i].text)))
			return true;
	return false;
}

/* True when some searched text is to be split before @at. */
static bool is_split(bool as_it_is, const char *line, size_t length, size_t at)
{
	for (size_t i = 0; i < sizeof(searched) / sizeof(searched[0]); i++) {
		size_t split = searched[i].split, size = strlen(searched[i].text);

		if ((!as_it_is || searched[i].always) && at >= split &&
		    at - split + size <= length &&
		    !memcmp(line + at - split, searched[i].text, size))
			return true;
	}
	return false;
}

/* Text of one line; @as_it_is: what it says of the kernel is the verdict. */
static void put_text(FILE *out, bool as_it_is, const char *line, size_t length)
{
	bool look = is_searched(as_it_is, line, length);

	for (size_t at = 0, n; at < length; at += n == 2 ? 2 : 1) {
		if (look && is_split(as_it_is, line, length, at))
			fputc(' ', out);
		n = text__control(line + at, line + length);
		if (line[at] == '\n')
			fputc(' ', out);
		else if (!n || line[at] == '\t')
			fputc(line[at], out);
		else
			fputs(n == 1 ? "?" : "??", out);
	}
}

/*
 * Some consumers take the "# " off lines, as often as there is one, and read them again; kunit.py
 * reads "# Subtest:" as it stands, NIPA "# SKIP". True when what a test printed would then be a
 * line of TAP (to the parser of LKFT, "okay" is a result, too).
 */
static bool looks_like_tap(const char *line, size_t length)
{
	static const char *const starts[] = {"ok",	     "not ok",	  "1..",     "TAP version",
					     "KTAP version", "Bail out!", "Subtest:"};

	if (length >= 4 && !memcmp(line, "SKIP", 4))
		return true;
	while (length && (*line == '#' || *line == ' ' || *line == '\t')) {
		line++;
		length--;
	}
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (length >= strlen(starts[i]) && !memcmp(line, starts[i], strlen(starts[i])))
			return true;
	return false;
}

static void put_line(struct harness_relay *relay, bool ended)
{
	size_t length = relay->length;
	const char *prefix = "# ";

	if (length && ended && relay->line[length - 1] == '\r')
		length--;
	text__show(relay->line, length, '?', true);
	relay->line[length] = '\0';
	if (relay->watch_for && strstr(relay->line, relay->watch_for))
		relay->seen = true;
	if (looks_like_tap(relay->line, length))
		prefix = "# | ";
	else if (!relay->in_line && (!strcmp(relay->line, "#") || !strncmp(relay->line, "# ", 2)))
		prefix = "";
	fputs(prefix, relay->out);
	put_text(relay->out, false, relay->line, length);
	fputc('\n', relay->out);
	relay->length = 0;
	relay->in_line = !ended;
}

void harness_relay__feed(struct harness_relay *relay, const char *data, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++) {
		if (data[i] == '\n') {
			put_line(relay, true);
			continue;
		}
		if (relay->length == sizeof(relay->line) - 1)
			put_line(relay, false);
		relay->line[relay->length++] = data[i];
	}
}

void harness_relay__finish(struct harness_relay *relay)
{
	if (relay->length)
		put_line(relay, true);
	relay->in_line = false;
	fflush(relay->out);
}

/* True when the verdict itself is about what the kernel printed. */
static bool verdict_is_kernel_trouble(enum ktstr_verdict verdict)
{
	return verdict >= KTSTR_VERDICT_NO_BOOT && verdict <= KTSTR_VERDICT_GUEST_STALL;
}

/* Prints one line of ours. */
static void put_ours(FILE *out, bool as_it_is, const char *prefix, const char *line, size_t length)
{
	fputs(prefix, out);
	put_text(out, as_it_is, line, length);
	fputc('\n', out);
}

/* All lines of @text, which may be NULL: they explain the line before them. */
static void put_whole(FILE *out, bool as_it_is, const char *text)
{
	while (text && *text) {
		size_t length = strcspn(text, "\n");

		put_ours(out, as_it_is, "# | ", text, length);
		text += length + (text[length] == '\n');
	}
}

/* What evidence__start() says of @text, which may be NULL. */
static void put_evidence(FILE *out, bool as_it_is, const char *title, const char *text,
			 const char *trouble)
{
	size_t length = text ? strlen(text) : 0, start, end;

	while (length && (text[length - 1] == '\n' || text[length - 1] == '\r'))
		length--;
	if (!length)
		return;
	start = (size_t)(evidence__start(text, trouble) - text);
	fprintf(out, "# %s%s:\n", start ? "end of " : "", title);
	for (; start < length; start = end + 1) {
		size_t size;

		for (end = start; end < length && text[end] != '\n'; end++)
			;
		for (size = end - start; size && text[start + size - 1] == '\r'; size--)
			;
		put_ours(out, as_it_is, "# | ", text + start, size);
	}
}

static void put_all_evidence(FILE *out, const struct ktstr_result *result)
{
	bool as_it_is = verdict_is_kernel_trouble(result->verdict);

	put_whole(out, as_it_is, result->backtrace);
	put_whole(out, as_it_is, result->vcpus);
	/* Nobody asked for it, and it changes what the kernel does. */
	if (result->kaslr == KTSTR_KASLR_NO_RELOCATIONS)
		harness__say(out, false, "KASLR: %s", ktstr_kaslr__text(result->kaslr));
	put_evidence(out, as_it_is, "scheduler output", result->scheduler_output, NULL);
	put_evidence(out, as_it_is, "kernel console", result->console, result->console_trouble);
	/* It holds the test's output, too, when that came this way. */
	if (!result->by_com2)
		put_evidence(out, as_it_is, "PID 1's console", result->com2, NULL);
}

/* What of performance mode is not as it should be. */
static void say_performance(const struct ktstr_performance *p, FILE *out)
{
	char line[PERFORMANCE_LINE_MAX];

	for (uint32_t i = 0; p && i < p->nr_conditions; i++) {
		if (p->conditions[i].state == KTSTR_CONDITION_MET)
			continue;
		performance__describe(&p->conditions[i], line, sizeof(line));
		harness__say(out, false, "performance mode: %s: %s",
			     ktstr_condition_state__name(p->conditions[i].state), line);
	}
}

/* Where KVM is emulated, times mean nothing in any case, and that is said elsewhere. */
static void say_disturbed(const struct ktstr_host_use *use, FILE *out)
{
	char why[200];

	if (!arch__this->host_disturbed() &&
	    host_use__exceeds(use, KTSTR_DISTURBED_STEAL_PERCENT, why, sizeof(why)))
		harness__say(out, false, "the host was busy: %s", why);
}

/* ---- Verdict ---- */

void harness__say(FILE *out, bool as_it_is, const char *format, ...)
{
	char line[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	put_ours(out, as_it_is, "# ", line, strlen(line));
}

/* KTSTR_VERDICT_NONE: the test itself decides. */
static enum ktstr_verdict expected_verdict(const struct ktstr_test_attrs *attrs)
{
	if (!attrs->expect_verdict && attrs->expect_sched_exit)
		return KTSTR_VERDICT_SCHED_EXITED;
	return attrs->expect_verdict;
}

/* What it needs to fail as expected is not there. */
static bool skips_itself(const struct ktstr_test_attrs *attrs, const struct ktstr_result *result)
{
	return (result->verdict == KTSTR_VERDICT_SKIP ||
		result->verdict == KTSTR_VERDICT_INCONCLUSIVE) &&
	       result->verdict != expected_verdict(attrs);
}

static bool is_expected(const struct ktstr_test_attrs *attrs, const struct ktstr_result *result,
			bool cause_printed)
{
	if (result->verdict != expected_verdict(attrs))
		return false;
	if (attrs->expect_sched_exit && (result->verdict != KTSTR_VERDICT_SCHED_EXITED ||
					 result->scheduler_end.kind != attrs->expect_sched_exit))
		return false;
	/*
	 * After a scheduler's end the run goes on, to its clean-up: what else went wrong there is
	 * not what the test expects.
	 */
	if ((result->verdict == KTSTR_VERDICT_SCHED_EXITED ||
	     result->verdict == KTSTR_VERDICT_SCHED_NOT_ATTACHED) &&
	    (!result->complete || result->kernel_trouble))
		return false;
	return !attrs->expect_cause ||
	       (result->cause && strstr(result->cause, attrs->expect_cause)) ||
	       (result->verdict == KTSTR_VERDICT_FAIL && cause_printed);
}

/* "SCHED_EXITED by ERROR_STALL", "TIMEOUT" */
static void describe_end(char *text, size_t size, enum ktstr_verdict verdict,
			 enum ktstr_scx_exit kind)
{
	const char *name = ktstr_verdict__name(verdict);

	if (kind)
		snprintf(text, size, "%s by %s", name, ktstr_scx_exit__name(kind));
	else
		snprintf(text, size, "%s", name);
}

static void judge_expected(const struct ktstr_test_attrs *attrs, const struct ktstr_result *result,
			   bool cause_printed, FILE *out, struct ktstr_test_outcome *outcome)
{
	const char *cause = result->cause ? result->cause : "";
	char expected[80], was[80];

	describe_end(expected, sizeof(expected), expected_verdict(attrs), attrs->expect_sched_exit);
	describe_end(was, sizeof(was), result->verdict,
		     attrs->expect_sched_exit ? result->scheduler_end.kind : KTSTR_SCX_EXIT_NONE);
	if (is_expected(attrs, result, cause_printed)) {
		harness__say(out, false, "as expected, %s (%s)", was, cause);
		outcome->exit_code = EXIT_PASS;
		return;
	}
	harness__say(out, verdict_is_kernel_trouble(result->verdict),
		     "%s%s%s was expected, but the run ended with %s (%s)", expected,
		     attrs->expect_cause ? " because of " : "",
		     attrs->expect_cause ? attrs->expect_cause : "", was, cause);
	put_all_evidence(out, result);
}

/*
 * A reason that the test gave is kselftest's diagnostic, behind a "#" on the test's line, whatever
 * the end. There a word could still turn the result: "not ok 1 name #  TODO" counts as a pass.
 */
static void copy_reason(const char *reason, struct ktstr_test_outcome *outcome)
{
	static const char *const directives[] = {"skip", "todo", "xfail", "xpass"};
	const bool failed = outcome->signal || outcome->exit_code == EXIT_PASS ||
			    outcome->exit_code == EXIT_FAIL || outcome->exit_code > EXIT_SKIP;
	FILE *out;

	/* Without memory the reason is lost, not the result. */
	out = *reason ? fmemopen(outcome->reason, sizeof(outcome->reason), "w") : NULL;
	if (!out)
		return;
	reason += strspn(reason, " \t\n#");
	for (size_t i = 0; failed && i < sizeof(directives) / sizeof(directives[0]); i++)
		if (!strncasecmp(reason, directives[i], strlen(directives[i])))
			fputs("reason: ", out);
	put_text(out, false, reason, strlen(reason));
	fclose(out);
	outcome->reason[sizeof(outcome->reason) - 1] = '\0';
}

/* What the child in the guest did, when the run's end agrees with it. */
static bool replay(const struct ktstr_result *result, struct ktstr_test_outcome *outcome)
{
	bool passed = !result->signal && result->exit_code == EXIT_PASS;

	if (!result->have_status || result->verdict < KTSTR_VERDICT_FAIL ||
	    result->verdict > KTSTR_VERDICT_PASS ||
	    passed != (result->verdict == KTSTR_VERDICT_PASS))
		return false;
	outcome->signal = result->signal;
	outcome->exit_code = result->exit_code;
	copy_reason(result->skip_reason ? result->skip_reason : "", outcome);
	return true;
}

void harness__judge(const struct ktstr_test_id *id, const struct ktstr_test_attrs *attrs,
		    const struct ktstr_result *result, bool cause_printed, FILE *out,
		    struct ktstr_test_outcome *outcome)
{
	bool as_it_is = verdict_is_kernel_trouble(result->verdict);

	*outcome = (struct ktstr_test_outcome){.exit_code = EXIT_FAIL};
	if (result->verdict == KTSTR_VERDICT_INTERRUPTED) {
		harness__say(out, false, "INTERRUPTED: %s",
			     result->cause ? result->cause : "stopped");
		/* Never the signal that the test is to end by: that would be its pass. */
		outcome->signal = id->termsig == SIGTERM ? SIGKILL : SIGTERM;
	} else if (expected_verdict(attrs) && !skips_itself(attrs, result)) {
		judge_expected(attrs, result, cause_printed, out, outcome);
	} else if (replay(result, outcome)) {
		/* The test has said itself why it failed; what the kernel said then may help. */
		if (outcome->signal
			    ? outcome->signal != id->termsig
			    : outcome->exit_code == EXIT_FAIL || outcome->exit_code > EXIT_SKIP)
			put_all_evidence(out, result);
	} else {
		harness__say(out, as_it_is, "%s: %s", ktstr_verdict__name(result->verdict),
			     result->cause ? result->cause
					   : "the run ended without the test's status");
		put_all_evidence(out, result);
	}
	fflush(out);
}

/* ---- Run ---- */

struct streams {
	struct harness_relay out, err;
	struct harness_extract extract;
	struct profraw profraw;
	struct run_metrics metrics;
	bool measures;	 /* it sent something that was measured */
	char lost[1500]; /* of profiles; "": nothing */
};

static void take_frame(void *opaque, uint32_t type, uint32_t sequence, const void *payload,
		       uint32_t length)
{
	struct streams *streams = opaque;

	streams->measures |=
		type == KTSTR_FRAME_SCENARIO_START || type == KTSTR_FRAME_PAYLOAD_METRICS;
	harness_extract__frame(&streams->extract, type, sequence, payload, length);
	profraw__frame(&streams->profraw, type, sequence, payload, length);
	run_metrics__frame(&streams->metrics, type, payload, length);
}

static void relay_output(void *opaque, enum ktstr_stream stream, const char *data, size_t length)
{
	struct streams *streams = opaque;

	if (stream == KTSTR_OUT)
		harness_relay__feed(&streams->out, data, length);
	else if (stream == KTSTR_ERR)
		harness_relay__feed(&streams->err, data, length);
	fflush(streams->out.out);
}

/* Whole, unless it is longer than any line here. */
static void show_stats(void *opaque, uint64_t at_ms, const char *json, size_t length)
{
	struct streams *streams = opaque;
	char prefix[64];

	snprintf(prefix, sizeof(prefix), "# statistics at %llu ms: ", (unsigned long long)at_ms);
	put_ours(streams->out.out, false, prefix, json,
		 length < HARNESS_LINE_MAX ? length : HARNESS_LINE_MAX);
	fflush(streams->out.out);
}

/* A run that could not be prepared or went wrong in the monitor. @cause: room for the text of
 * *result. */
static void judge_host_error(const struct ktstr_test_id *id, const struct ktstr_test_attrs *attrs,
			     const struct ktstr_error *error, FILE *out, char cause[1400],
			     struct ktstr_result *result, struct ktstr_test_outcome *outcome)
{
	*result = (struct ktstr_result){.verdict = KTSTR_VERDICT_HOST_ERROR, .cause = cause};
	ktstr_error__format(error, cause, 1400);
	harness__judge(id, attrs, result, false, out, outcome);
}

/* It was stopped before it had a machine. */
static void judge_queued(const struct ktstr_test_id *id, const struct ktstr_test_attrs *attrs,
			 FILE *out, struct ktstr_result *result, struct ktstr_test_outcome *outcome)
{
	*result = (struct ktstr_result){
		.verdict = KTSTR_VERDICT_INTERRUPTED,
		.cause = "stopped by the caller while it waited for other machines"};
	harness__judge(id, attrs, result, false, out, outcome);
}

/* What the process that stands for the test will end with, in a word. */
static const char *judged(const struct ktstr_test_id *id, const struct ktstr_test_outcome *outcome)
{
	if (outcome->signal)
		return outcome->signal == id->termsig ? "pass" : "fail";
	switch (outcome->exit_code) {
	case EXIT_PASS:
		return "pass";
	case EXIT_XFAIL:
		return "xfail";
	case EXIT_XPASS:
		return "xpass";
	case EXIT_SKIP:
		return "skip";
	default:
		return "fail";
	}
}

/* A test that fails leaves its record, and says where; the one that passes takes an old one away.
 */
static void finish_record(const struct harness_vm_ops *ops, struct record *record,
			  const struct harness_record *where, const char *name,
			  const struct ktstr_test_id *id, const struct ktstr_test_attrs *attrs,
			  struct ktstr_vm *vm, const struct ktstr_result *result, FILE *out,
			  const struct ktstr_test_outcome *outcome)
{
	struct record_about about = {
		.name = name,
		.program = where->program,
		.expect = expected_verdict(attrs),
		.extractor = attrs->extractor,
		.judged = judged(id, outcome),
	};
	struct ktstr_error error = {.err = 0};
	bool failed = !strcmp(about.judged, "fail");
	char line[1400];

	if (!failed && !where->keep) {
		if (strcmp(about.judged, "skip") != 0)
			record__remove(where->dir);
		return;
	}
	if (!record__write(record, vm, ops->save, result, &about, &error)) {
		if (failed)
			harness__say(out, false, "record: %s (run it again: ktstr rerun)",
				     where->dir);
		return;
	}
	ktstr_error__format(&error, line, sizeof(line));
	harness__say(out, false, "no record: %s", line);
}

/* NULL, after saying why, when there can be none: the test goes on without. */
static struct record *start_record(const struct harness_record *where,
				   struct ktstr_vm_config *config, FILE *out)
{
	struct ktstr_error error = {.err = 0};
	struct record *record = NULL;
	char line[1400];

	if (!where || !where->dir)
		return NULL;
	if (record__create(where->dir, where->keep, &record, &error)) {
		ktstr_error__format(&error, line, sizeof(line));
		harness__say(out, false, "no record: %s", line);
		return NULL;
	}
	record__attach(record, config);
	return record;
}

/* Every test has its line in the file of all runs, whatever became of it. */
static void append_metrics(const char *path, struct streams *streams,
			   const struct ktstr_vm_config *config, const struct ktstr_result *result,
			   const struct run_about *about, FILE *out)
{
	struct ktstr_error error = {.err = 0};
	char line[1400];

	if (!path)
		return;
	for (size_t i = 0; i < streams->extract.nr; i++) {
		const struct harness_raw_output *raw = &streams->extract.outputs[i];

		for (size_t j = 0; j < raw->extracted.nr; j++)
			run_metrics__add(&streams->metrics, raw->name, &raw->extracted.metrics[j]);
	}
	if (!run_metrics__append(&streams->metrics, path, config, result, about, &error))
		return;
	ktstr_error__format(&error, line, sizeof(line));
	harness__say(out, false, "no metrics: %s", line);
}

/* The program that is to be the scheduler, beside the test's binary unless its path is whole. */
static int find_scheduler(const char *name, const char *binary_dir, char path[PATH_MAX],
			  struct ktstr_error *error)
{
	int length = name[0] == '/' ? snprintf(path, PATH_MAX, "%s", name)
				    : snprintf(path, PATH_MAX, "%s/%s", binary_dir, name);

	return length < 0 || length >= PATH_MAX
		       ? ktstr_error__set(error, ENAMETOOLONG, "scheduler", name, NULL)
		       : 0;
}

/* @reason is constant, as what is printed for a person need not be. */
static int __attribute__((format(printf, 4, 5)))
skip(const char *reason, FILE *out, struct ktstr_test_outcome *outcome, const char *format, ...)
{
	char line[1500];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	harness__say(out, false, "%s", line);
	outcome->exit_code = EXIT_SKIP;
	snprintf(outcome->reason, sizeof(outcome->reason), "%s", reason);
	return 1;
}

/*
 * What the test declares, with the paths that it means. 0; -errno; 1: it is skipped, which *outcome
 * says then.
 */
static int describe_machine(const struct ktstr_test_attrs *attrs, const char *binary_dir,
			    char scheduler[PATH_MAX], struct harness_files *files,
			    struct harness_disks *disks, struct ktstr_vm_config *config, FILE *out,
			    struct ktstr_test_outcome *outcome, struct ktstr_error *error)
{
	const char *mode = getenv(PERFORMANCE_VARIABLE);
	char line[1400];
	int err;

	ktstr_vm_config__defaults(config);
	apply(attrs, config);
	if (!config->performance_mode && mode && *mode &&
	    !performance__parse(mode, &config->performance_mode))
		return ktstr_error__set(error, EINVAL, NULL, PERFORMANCE_VARIABLE,
					"'%s' is neither required nor best-effort", mode);
	err = attrs->scheduler ? find_scheduler(attrs->scheduler, binary_dir, scheduler, error) : 0;
	if (!err)
		err = harness_files__resolve(files, attrs->files, binary_dir, getenv("PATH"),
					     error);
	if (!err)
		err = harness_disks__resolve(disks, attrs->disks, binary_dir, getenv("PATH"),
					     error);
	if (err)
		return err;
	config->scheduler = attrs->scheduler ? scheduler : NULL;
	config->files = files->files;
	config->nr_files = files->nr;
	config->disks = disks->disks;
	config->nr_disks = disks->nr;
	if (files->missing)
		return skip(KTSTR_SKIP_NO_PROGRAM, out, outcome,
			    "%s: not in PATH; install it to run this test", files->missing);
	if (!disks->missing.err)
		return 0;
	ktstr_error__format(&disks->missing, line, sizeof(line));
	return skip(KTSTR_SKIP_NO_MKFS, out, outcome, "%s", line);
}

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

void harness__run_test(const struct harness_vm_ops *ops, const struct ktstr_test_id *id,
		       const struct ktstr_test_attrs *attrs, const char *binary_dir,
		       const struct harness_record *where, int cancel_fd, FILE *out,
		       struct ktstr_test_outcome *outcome)
{
	char name[512], what[800], scheduler[PATH_MAX], cause[1400];
	/* The guest finds its test by kselftest's own options. */
	const char *const argv[] = {id->test, "-r", name, id->debug ? "-d" : NULL, NULL};
	struct ktstr_vm_config config;
	struct ktstr_result result = {.verdict = KTSTR_VERDICT_NONE};
	struct ktstr_error error = {.err = 0};
	struct ktstr_vm *vm = NULL;
	struct harness_files files = {.nr = 0};
	struct harness_disks disks = {.nr = 0};
	struct streams *streams = calloc(1, sizeof(*streams));
	struct record *record = NULL;
	struct harness_admission admission = {.armed = false};
	const struct harness_admit admit = {
		.key = BUDGET_KEY,
		.config = &config,
		.what = what,
		.id = id,
		.limit_ms = 1000ull * ktstr_test_attrs__limit_s(attrs),
	};
	struct run_about about = {
		.program = where ? where->program : NULL,
		.test = name,
		.scheduler = attrs->scheduler,
		.scheduler_args = attrs->scheduler_args,
	};
	int err;

	clock_gettime(CLOCK_REALTIME, &about.started);
	*outcome = (struct ktstr_test_outcome){.exit_code = EXIT_FAIL};
	if (!streams) {
		ktstr_error__set(&error, ENOMEM, "allocate", "output lines", NULL);
		judge_host_error(id, attrs, &error, out, cause, &result, outcome);
		return;
	}
	harness_relay__init(&streams->out, out, attrs->expect_cause);
	harness_relay__init(&streams->err, out, attrs->expect_cause);
	harness_extract__init(&streams->extract, attrs->extractor);
	profraw__init(&streams->profraw, getenv(PROFRAW_DIRECTORY_VARIABLE));

	snprintf(name, sizeof(name), "%s%s%s.%s", id->fixture, id->variant[0] ? "." : "",
		 id->variant, id->test);
	err = describe_machine(attrs, binary_dir, scheduler, &files, &disks, &config, out, outcome,
			       &error);
	if (err > 0) {
		result = (struct ktstr_result){.verdict = KTSTR_VERDICT_SKIP,
					       .cause = outcome->reason};
		goto out;
	}
	if (err)
		goto failed;
	config.role = KTSTR_ROLE_TEST;
	config.argv = argv;
	config.cancel_fd = cancel_fd;
	config.output = relay_output;
	config.stats = show_stats;
	config.output_opaque = config.stats_opaque = streams;
	config.frame = take_frame;
	config.frame_opaque = streams;
	config.no_sandbox = sandbox__is_unwanted();
	snprintf(what, sizeof(what), "%s %s",
		 where && where->program ? file_name(where->program) : "a test", name);
	if (ops->admit)
		err = ops->admit(&admit, out, &admission, &error);
	config.cpu_share = host_share__cpus(&admission.share);
	if (err == -ECANCELED) {
		judge_queued(id, attrs, out, &result, outcome);
		goto out;
	}
	if (err)
		goto failed;
	record = start_record(where, &config, out);

	sandbox__explain();
	err = ops->create(&config, &vm, &error);
	if (!err)
		err = ops->run(vm, &result, &error);
	harness_relay__finish(&streams->out);
	harness_relay__finish(&streams->err);
	if (profraw__report(&streams->profraw, streams->lost, sizeof(streams->lost)))
		harness__say(out, false, "%s", streams->lost);
	if (err) {
		ktstr_error__set(&error, -err, "run", "virtual machine", NULL);
		goto failed;
	}
	harness_extract__finish(&streams->extract, &result, cancel_fd, out);
	harness__judge(id, attrs, &result, streams->out.seen || streams->err.seen, out, outcome);
	if (result.stats_problem)
		harness__say(out, false, "statistics: %s", result.stats_problem);
	say_performance(result.performance, out);
	if (streams->measures || result.performance)
		say_disturbed(&result.host_use, out);
	if (result.cache_problem)
		harness__say(out, false, "cache: %s", result.cache_problem);
	for (size_t i = 0; record && i < streams->extract.nr; i++) {
		const struct harness_raw_output *raw = &streams->extract.outputs[i];

		record__metrics(record, raw->name, raw->extracted.metrics, raw->extracted.nr);
	}
	if (record)
		finish_record(ops, record, where, name, id, attrs, vm, &result, out, outcome);
	goto out;
failed:
	/* There is no machine to record; what an earlier run left is not of this failure. */
	if (record && !where->keep)
		record__remove(where->dir);
	judge_host_error(id, attrs, &error, out, cause, &result, outcome);
out:
	about.judged = judged(id, outcome);
	append_metrics(where ? where->metrics : NULL, streams, &config, &result, &about, out);
	record__destroy(record);
	ops->destroy(vm);
	harness_admit__end(&admission);
	harness_extract__free(&streams->extract);
	run_metrics__free(&streams->metrics);
	harness_files__free(&files);
	harness_disks__free(&disks);
	free(streams);
}
