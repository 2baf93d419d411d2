// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: what a hostile guest writes to its serial ports, through the readers of COM2's
 * lines and of the kernel's console. The first byte seeds the sizes of pieces: into whatever pieces
 * the bytes fall, what is read of them is the same, and what is kept of them is bounded.
 */
#include "fuzz.h"

#include <string.h>

#include "vmm/com2.h"
#include "vmm/console_scan.h"

/* What the test printed, as far as it is compared. */
struct output {
	uint64_t length;
	uint64_t hash; /* FNV-1a */
};

static void add(void *opaque, const char *data, size_t length)
{
	struct output *o = opaque;

	for (size_t i = 0; i < length; i++)
		o->hash = (o->hash ^ (uint8_t)data[i]) * UINT64_C(0x100000001b3);
	o->length += length;
}

struct readers {
	struct com2 com2;
	struct console_scan scan;
	struct output output;
};

static void begin(struct readers *r)
{
	r->output = (struct output){.hash = UINT64_C(0xcbf29ce484222325)};
	if (com2__init(&r->com2, add, &r->output))
		abort();
	console_scan__init(&r->scan);
}

static void feed(struct readers *r, const uint8_t *data, size_t length)
{
	com2__feed(&r->com2, data, length);
	console_scan__feed(&r->scan, data, length);
	FUZZ_CHECK(r->com2.log_length <= COM2_LOG);
	FUZZ_CHECK(r->com2.panic_length <= COM2_PANIC);
	FUZZ_CHECK(r->com2.line_length <= COM2_LINE);
}

static void end(struct readers *r)
{
	com2__end(&r->com2);
	console_scan__end(&r->scan);
}

static void compare(const struct readers *a, const struct readers *b)
{
	const struct com2 *c = &a->com2, *d = &b->com2;

	FUZZ_CHECK(a->output.length == b->output.length && a->output.hash == b->output.hash);
	FUZZ_CHECK(c->spoke == d->spoke && c->result_started == d->result_started);
	FUZZ_CHECK(c->result_ended == d->result_ended && c->panicked == d->panicked);
	FUZZ_CHECK(c->have_exit == d->have_exit && c->exit_code == d->exit_code);
	FUZZ_CHECK(c->sched_kind == d->sched_kind && !strcmp(c->sched_text, d->sched_text));
	FUZZ_CHECK(!strcmp(c->skip_reason, d->skip_reason));
	FUZZ_CHECK(c->mount_failed == d->mount_failed && !strcmp(c->mount_text, d->mount_text));
	FUZZ_CHECK(!strcmp(c->panic, d->panic) && !strcmp(c->log, d->log));
	FUZZ_CHECK(a->scan.first.verdict == b->scan.first.verdict);
	FUZZ_CHECK(!strcmp(a->scan.first.cause, b->scan.first.cause));
	FUZZ_CHECK(a->scan.first.position == b->scan.first.position);
	FUZZ_CHECK(a->scan.panicked == b->scan.panicked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct readers whole, pieces;
	uint32_t seed = size ? data[0] : 0;

	begin(&whole);
	begin(&pieces);
	if (size) {
		feed(&whole, data + 1, size - 1);
		for (size_t at = 1, length; at < size; at += length) {
			seed = seed * 1103515245u + 12345u;
			length = 1 + (seed >> 16) % 17;
			if (length > size - at)
				length = size - at;
			feed(&pieces, data + at, length);
		}
	}
	end(&whole);
	end(&pieces);
	compare(&whole, &pieces);
	com2__destroy(&whole.com2);
	com2__destroy(&pieces.com2);
	return 0;
}
