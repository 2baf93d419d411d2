// SPDX-License-Identifier: GPL-2.0-only
/* Decides the verdict of a run from what was seen of the guest. */
#include "outcome.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics.h"
#include "text.h"

/* Exit codes of a kselftest (tools/testing/selftests/kselftest.h). */
#define KSFT_PASS 0
#define KSFT_XFAIL 2
#define KSFT_SKIP 4

const char *ktstr_verdict__name(enum ktstr_verdict verdict)
{
	static const char *const names[] = {
		[KTSTR_VERDICT_NONE] = "NONE",
		[KTSTR_VERDICT_HOST_ERROR] = "HOST_ERROR",
		[KTSTR_VERDICT_NO_BOOT] = "NO_BOOT",
		[KTSTR_VERDICT_INIT_DIED] = "INIT_DIED",
		[KTSTR_VERDICT_KERNEL_PANIC] = "KERNEL_PANIC",
		[KTSTR_VERDICT_KERNEL_OOPS] = "KERNEL_OOPS",
		[KTSTR_VERDICT_GUEST_OOM] = "GUEST_OOM",
		[KTSTR_VERDICT_GUEST_STALL] = "GUEST_STALL",
		[KTSTR_VERDICT_GUEST_REBOOT] = "GUEST_REBOOT",
		[KTSTR_VERDICT_SCHED_NOT_ATTACHED] = "SCHED_NOT_ATTACHED",
		[KTSTR_VERDICT_SCHED_EXITED] = "SCHED_EXITED",
		[KTSTR_VERDICT_CHANNEL_BROKEN] = "CHANNEL_BROKEN",
		[KTSTR_VERDICT_TIMEOUT] = "TIMEOUT",
		[KTSTR_VERDICT_FAIL] = "FAIL",
		[KTSTR_VERDICT_INCONCLUSIVE] = "INCONCLUSIVE",
		[KTSTR_VERDICT_XFAIL] = "XFAIL",
		[KTSTR_VERDICT_SKIP] = "SKIP",
		[KTSTR_VERDICT_PASS] = "PASS",
		[KTSTR_VERDICT_INTERRUPTED] = "INTERRUPTED",
	};

	if ((size_t)verdict >= sizeof(names) / sizeof(names[0]))
		return "UNKNOWN";
	return names[verdict];
}

const char *ktstr_scx_exit__name(enum ktstr_scx_exit kind)
{
	switch (kind) {
	case KTSTR_SCX_EXIT_NONE:
		return "NONE";
	case KTSTR_SCX_EXIT_UNREG:
		return "UNREG";
	case KTSTR_SCX_EXIT_UNREG_BPF:
		return "UNREG_BPF";
	case KTSTR_SCX_EXIT_UNREG_KERN:
		return "UNREG_KERN";
	case KTSTR_SCX_EXIT_SYSRQ:
		return "SYSRQ";
	case KTSTR_SCX_EXIT_PARENT:
		return "PARENT";
	case KTSTR_SCX_EXIT_PARENT_KILL:
		return "PARENT_KILL";
	case KTSTR_SCX_EXIT_ERROR:
		return "ERROR";
	case KTSTR_SCX_EXIT_ERROR_BPF:
		return "ERROR_BPF";
	case KTSTR_SCX_EXIT_ERROR_STALL:
		return "ERROR_STALL";
	case KTSTR_SCX_EXIT_ERROR_REENQ:
		return "ERROR_REENQ";
	case KTSTR_SCX_EXIT_ERROR_RESCUE:
		return "ERROR_RESCUE";
	}
	return "UNKNOWN";
}

void outcome_text__add(struct outcome_text *text, const void *data, size_t length)
{
	if (length > OUTCOME_TEXT_MAX) {
		text->dropped += length - OUTCOME_TEXT_MAX;
		data = (const char *)data + (length - OUTCOME_TEXT_MAX);
		length = OUTCOME_TEXT_MAX;
	}
	if (text->length + length > OUTCOME_TEXT_MAX) {
		/* Half goes at once, so that a flood costs linear time. */
		size_t keep = OUTCOME_TEXT_MAX - length;

		if (keep > OUTCOME_TEXT_MAX / 2)
			keep = OUTCOME_TEXT_MAX / 2;
		if (keep > text->length)
			keep = text->length;
		text->dropped += text->length - keep;
		memmove(text->data, text->data + text->length - keep, keep);
		text->length = keep;
	}
	if (text->length + length + 1 > text->capacity) {
		size_t capacity = text->capacity ? text->capacity : 4096;
		char *grown;

		while (capacity < text->length + length + 1)
			capacity *= 2;
		grown = realloc(text->data, capacity);
		if (!grown) {
			text->dropped += length;
			return;
		}
		text->data = grown;
		text->capacity = capacity;
	}
	memcpy(text->data + text->length, data, length);
	/* A NUL from the guest would hide all that comes after it. */
	for (char *p = text->data + text->length, *end = p + length; p < end; p++)
		if (!*p)
			*p = ' ';
	text->length += length;
	text->data[text->length] = '\0';
}

void outcome_text__free(struct outcome_text *text)
{
	free(text->data);
	*text = (struct outcome_text){0};
}

void outcome__init(struct outcome *o)
{
	memset(o, 0, sizeof(*o));
	o->sched.cpu = -1;
	o->sched.enable_seq = o->sched.hotplug_seq = o->sched.nr_rejected = -1;
}

void outcome__free(struct outcome *o)
{
	outcome_text__free(&o->console);
	outcome_text__free(&o->com2);
	outcome_text__free(&o->scheduler);
	outcome_text__free(&o->sched.events);
	outcome_text__free(&o->sched.dump);
}

/* A cause stands behind a TAP "# ". */
static void make_one_line(char *text)
{
	text__show(text, strlen(text), ' ', false);
}

void outcome__fail(struct outcome *o, enum ktstr_verdict verdict, const char *fmt, ...)
{
	va_list ap;

	if (o->verdict != KTSTR_VERDICT_NONE)
		return;
	o->verdict = verdict;
	va_start(ap, fmt);
	vsnprintf(o->cause, sizeof(o->cause), fmt, ap);
	va_end(ap);
	make_one_line(o->cause);
}

void outcome__amend(struct outcome *o, const char *cause)
{
	snprintf(o->cause, sizeof(o->cause), "%s", cause);
	make_one_line(o->cause);
}

const char *outcome__step_name(uint32_t step)
{
	switch (step) {
	case 0:
		return "boot";
	case KTSTR_LIFE_INIT:
		return "set-up by init";
	case KTSTR_LIFE_SCHED_STARTED:
		return "start of the scheduler";
	case KTSTR_LIFE_SCHED_ATTACHED:
		return "start of the test";
	case KTSTR_LIFE_TEST_STARTED:
		return "the test";
	case KTSTR_LIFE_TEST_ENDED:
		return "clean-up after the test";
	default:
		return "reboot";
	}
}

static void copy_text(char *to, size_t size, const uint8_t *from, size_t length)
{
	if (length > size - 1)
		length = size - 1;
	memcpy(to, from, length);
	to[length] = '\0';
	text__show(to, length, ' ', true);
}

static int outcome__life(struct outcome *o, const uint8_t *payload, uint32_t length)
{
	struct ktstr_life_payload life;

	if (length < sizeof(life))
		return -EPROTO;
	memcpy(&life, payload, sizeof(life));
	o->last_step = life.step;
	if (life.step <= KTSTR_LIFE_REBOOT)
		o->step_ns[life.step] = life.boot_ns;
	if (life.step == KTSTR_LIFE_INIT)
		copy_text(o->kernel_release, sizeof(o->kernel_release), payload + sizeof(life),
			  length - sizeof(life));
	if (life.step == KTSTR_LIFE_SCHED_STARTED)
		o->sched_started_ns = life.boot_ns;
	if (life.step != KTSTR_LIFE_SCHED_ATTACHED)
		return 0;
	if (o->sched_started_ns && life.boot_ns > o->sched_started_ns)
		o->attach_ns = life.boot_ns - o->sched_started_ns;
	copy_text(o->scheduler_ops, sizeof(o->scheduler_ops), payload + sizeof(life),
		  length - sizeof(life));
	return 0;
}

static int outcome__test(struct outcome *o, const uint8_t *payload, uint32_t length)
{
	struct ktstr_test_payload test;

	if (length < sizeof(test) || o->have_status)
		return -EPROTO;
	memcpy(&test, payload, sizeof(test));
	if (test.signal > 64 || test.exit_code > 255)
		return -EPROTO;
	o->have_status = true;
	o->signal = (int)test.signal;
	o->exit_code = test.signal ? -1 : (int)test.exit_code;
	copy_text(o->skip_reason, sizeof(o->skip_reason), payload + sizeof(test),
		  length - sizeof(test));
	return 0;
}

/* Takes the data of the one SCDX frame of a run. -EPROTO: there was one, or its lengths are wrong.
 */
static int take_sched_exit(struct outcome *o, const uint8_t *payload, uint32_t length,
			   struct ktstr_sched_exit_payload *exit)
{
	struct outcome_sched *s = &o->sched;
	const uint8_t *at = payload + sizeof(*exit);
	uint64_t texts;

	if (length < sizeof(*exit) || o->sched_ended)
		return -EPROTO;
	memcpy(exit, payload, sizeof(*exit));
	texts = (uint64_t)exit->text_length + exit->reason_length + exit->message_length +
		exit->events_length + exit->dump_length;
	if (texts != length - sizeof(*exit) || exit->kind < KTSTR_SCHED_NOT_ATTACHED ||
	    exit->kind > KTSTR_SCHED_STOPPED)
		return -EPROTO;
	o->sched_ended = true;
	s->kind = exit->scx_kind;
	s->cpu = exit->scx_cpu < 0 ? -1 : exit->scx_cpu;
	s->enable_seq = exit->enable_seq;
	s->hotplug_seq = exit->hotplug_seq;
	s->nr_rejected = exit->nr_rejected;
	at += exit->text_length;
	copy_text(s->reason, sizeof(s->reason), at, exit->reason_length);
	at += exit->reason_length;
	copy_text(s->message, sizeof(s->message), at, exit->message_length);
	at += exit->message_length;
	outcome_text__add(&s->events, at, exit->events_length);
	at += exit->events_length;
	outcome_text__add(&s->dump, at, exit->dump_length);
	return 0;
}

static int outcome__sched_exit(struct outcome *o, const uint8_t *payload, uint32_t length)
{
	struct ktstr_sched_exit_payload exit;
	char text[384], how[48];
	int err = take_sched_exit(o, payload, length, &exit);

	if (err)
		return err;
	copy_text(text, sizeof(text), payload + sizeof(exit), exit.text_length);
	if (exit.still_alive)
		snprintf(how, sizeof(how), "its process lives");
	else if (exit.signal)
		snprintf(how, sizeof(how), "ended by signal %u", exit.signal);
	else
		snprintf(how, sizeof(how), "exited with code %u", exit.exit_code);
	switch (exit.kind) {
	case KTSTR_SCHED_NOT_ATTACHED:
		outcome__fail(o, KTSTR_VERDICT_SCHED_NOT_ATTACHED,
			      "the scheduler did not attach (%s)%s%s", how, text[0] ? ": " : "",
			      text);
		return 0;
	case KTSTR_SCHED_EXITED:
		outcome__fail(o, KTSTR_VERDICT_SCHED_EXITED,
			      "the scheduler ended during %s (%s)%s%s",
			      outcome__step_name(o->last_step), how, text[0] ? ": " : "", text);
		return 0;
	default: /* KTSTR_SCHED_STOPPED */
		return 0;
	}
}

static int outcome__exit(struct outcome *o, const uint8_t *payload, uint32_t length)
{
	struct ktstr_exit_payload exit;

	if (length != sizeof(exit))
		return -EPROTO;
	memcpy(&exit, payload, sizeof(exit));
	o->run_code = exit.code;
	o->complete = true;
	return 0;
}

/* SCST and SCEN: the scenario that a failure happened in. */
static int outcome__scenario(struct outcome *o, uint32_t type, const uint8_t *payload,
			     uint32_t length)
{
	struct ktstr_scenario_payload scenario;

	if (length < sizeof(scenario))
		return -EPROTO;
	memcpy(&scenario, payload, sizeof(scenario));
	if (scenario.exit_code > 255)
		return -EPROTO;
	copy_text(o->scenario, sizeof(o->scenario), payload + sizeof(scenario),
		  type == KTSTR_FRAME_SCENARIO_START ? length - sizeof(scenario) : 0);
	return 0;
}

static int outcome__raw_output(const uint8_t *payload, uint32_t length)
{
	struct ktstr_raw_output_payload raw;

	if (length < sizeof(raw))
		return -EPROTO;
	memcpy(&raw, payload, sizeof(raw));
	return raw.name_length > length - sizeof(raw) ? -EPROTO : 0;
}

int outcome__frame(struct outcome *o, uint32_t type, const uint8_t *payload, uint32_t length)
{
	struct ktstr_output_payload out;
	struct metrics metrics;
	int err = 0;

	o->init_seen = true;
	o->port_opened = true;
	switch (type) {
	case KTSTR_FRAME_LIFECYCLE:
		err = outcome__life(o, payload, length);
		break;
	case KTSTR_FRAME_TEST_RESULT:
		err = outcome__test(o, payload, length);
		break;
	case KTSTR_FRAME_SCHED_EXIT:
		err = outcome__sched_exit(o, payload, length);
		break;
	case KTSTR_FRAME_EXIT:
		err = outcome__exit(o, payload, length);
		break;
	case KTSTR_FRAME_OUTPUT:
		if (length < sizeof(out)) {
			err = -EPROTO;
			break;
		}
		memcpy(&out, payload, sizeof(out));
		if (out.stream == KTSTR_STREAM_SCHEDULER)
			outcome_text__add(&o->scheduler, payload + sizeof(out),
					  length - sizeof(out));
		break;
	case KTSTR_FRAME_SCENARIO_START:
	case KTSTR_FRAME_SCENARIO_END:
		err = outcome__scenario(o, type, payload, length);
		break;
	case KTSTR_FRAME_STIMULUS:
		err = length < sizeof(struct ktstr_stimulus_payload) ? -EPROTO : 0;
		break;
	case KTSTR_FRAME_RAW_OUTPUT:
		err = outcome__raw_output(payload, length);
		break;
	case KTSTR_FRAME_PAYLOAD_METRICS:
		err = metrics__open(&metrics, payload, length);
		break;
	default: /* types of later versions, and PRAW, which only the record keeps */
		break;
	}
	if (err)
		outcome__fail(o, KTSTR_VERDICT_CHANNEL_BROKEN,
			      "frame '%c%c%c%c' of %u bytes is not of its type's form",
			      (int)(type & 0x7f), (int)(type >> 8 & 0x7f), (int)(type >> 16 & 0x7f),
			      (int)(type >> 24 & 0x7f), length);
	return err;
}

void outcome__com2_sched_exit(struct outcome *o, uint32_t kind, const char *text)
{
	if (o->port_opened)
		return;
	if (kind == KTSTR_SCHED_NOT_ATTACHED)
		outcome__fail(o, KTSTR_VERDICT_SCHED_NOT_ATTACHED,
			      "the scheduler did not attach: %s", text);
	else if (kind == KTSTR_SCHED_EXITED)
		outcome__fail(o, KTSTR_VERDICT_SCHED_EXITED, "the scheduler ended: %s", text);
}

void outcome__com2_exit(struct outcome *o, int code, const char *skip_reason)
{
	if (o->port_opened || o->have_status)
		return;
	snprintf(o->skip_reason, sizeof(o->skip_reason), "%s", skip_reason);
	o->init_seen = true;
	o->by_com2 = true;
	o->have_status = true;
	o->complete = true;
	o->run_code = (uint32_t)code;
	o->signal = code > 128 && code <= 128 + 64 ? code - 128 : 0;
	o->exit_code = o->signal ? -1 : code;
}

enum ktstr_verdict outcome__status_verdict(const struct outcome *o)
{
	if (o->signal)
		return KTSTR_VERDICT_FAIL;
	switch (o->exit_code) {
	case KSFT_PASS:
		return KTSTR_VERDICT_PASS;
	case KSFT_XFAIL:
		return KTSTR_VERDICT_XFAIL;
	case KSFT_SKIP:
		return strcmp(o->skip_reason, KTSTR_SKIP_INCONCLUSIVE) ? KTSTR_VERDICT_SKIP
								       : KTSTR_VERDICT_INCONCLUSIVE;
	default:
		return KTSTR_VERDICT_FAIL;
	}
}

void outcome__finish(struct outcome *o, bool ended_by_guest, const char *how)
{
	enum ktstr_verdict verdict;

	if (o->verdict != KTSTR_VERDICT_NONE)
		return;
	if (!o->complete) {
		if (!o->init_seen)
			outcome__fail(o, KTSTR_VERDICT_NO_BOOT,
				      "the kernel never reached init (%s)", how);
		else if (ended_by_guest)
			outcome__fail(o, KTSTR_VERDICT_GUEST_REBOOT,
				      "the guest ended during %s (%s)",
				      outcome__step_name(o->last_step), how);
		else
			outcome__fail(o, KTSTR_VERDICT_CHANNEL_BROKEN,
				      "the stream ended during %s (%s)",
				      outcome__step_name(o->last_step), how);
		return;
	}
	if (!o->have_status) {
		outcome__fail(o, KTSTR_VERDICT_CHANNEL_BROKEN, "EXIT came without a test result");
		return;
	}
	verdict = outcome__status_verdict(o);
	if (verdict == KTSTR_VERDICT_FAIL && o->signal)
		outcome__fail(o, verdict, "ended by signal %d", o->signal);
	else if (verdict == KTSTR_VERDICT_FAIL)
		outcome__fail(o, verdict, "exit code %d", o->exit_code);
	o->verdict = verdict;
}
