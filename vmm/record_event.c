// SPDX-License-Identifier: GPL-2.0-only
/* One writer a type of frame. */
#include "record_event.h"

#include <inttypes.h>
#include <string.h>

#include <ktstr/proto.h>

#include "json_out.h"
#include "outcome.h"

/* The text behind the fixed part of a payload. */
static void put_rest(FILE *f, const char *name, const void *payload, uint32_t length, size_t fixed)
{
	fprintf(f, ", \"%s\": ", name);
	json__string(f, (const char *)payload + fixed, length - fixed);
}

static void put_life(FILE *f, const void *payload, uint32_t length)
{
	struct ktstr_life_payload life;

	memcpy(&life, payload, sizeof(life));
	fprintf(f, ", \"boot_ns\": %" PRIu64 ", \"step\": %u, \"now\": ", life.boot_ns, life.step);
	json__text(f, outcome__step_name(life.step));
	put_rest(f, "detail", payload, length, sizeof(life));
}

static void put_test(FILE *f, const void *payload, uint32_t length)
{
	struct ktstr_test_payload test;

	memcpy(&test, payload, sizeof(test));
	fprintf(f, ", \"signal\": %u, \"exit_code\": %u", test.signal, test.exit_code);
	put_rest(f, "skip_reason", payload, length, sizeof(test));
}

static void put_sched_exit(FILE *f, const void *payload, uint32_t length)
{
	struct ktstr_sched_exit_payload exit;

	memcpy(&exit, payload, sizeof(exit));
	fprintf(f,
		", \"boot_ns\": %" PRIu64 ", \"kind\": %u, \"signal\": %u, \"exit_code\": %u, "
		"\"still_alive\": %s",
		exit.boot_ns, exit.kind, exit.signal, exit.exit_code,
		exit.still_alive ? "true" : "false");
	put_rest(f, "text", payload, length, sizeof(exit));
}

static void put_scenario(FILE *f, const void *payload, uint32_t length)
{
	struct ktstr_scenario_payload scenario;

	memcpy(&scenario, payload, sizeof(scenario));
	fprintf(f, ", \"boot_ns\": %" PRIu64 ", \"exit_code\": %u", scenario.boot_ns,
		scenario.exit_code);
	put_rest(f, "name", payload, length, sizeof(scenario));
}

static void put_stimulus(FILE *f, const void *payload, uint32_t length)
{
	struct ktstr_stimulus_payload stimulus;

	memcpy(&stimulus, payload, sizeof(stimulus));
	fprintf(f, ", \"boot_ns\": %" PRIu64 ", \"step\": %u", stimulus.boot_ns, stimulus.step);
	put_rest(f, "text", payload, length, sizeof(stimulus));
}

static void put_raw_output(FILE *f, const void *payload, uint32_t length)
{
	struct ktstr_raw_output_payload raw;

	memcpy(&raw, payload, sizeof(raw));
	fputs(", \"name\": ", f);
	json__string(f, (const char *)payload + sizeof(raw), raw.name_length);
	fprintf(f, ", \"bytes\": %zu", length - sizeof(raw) - raw.name_length);
}

static void put_exit(FILE *f, const void *payload, uint32_t length)
{
	struct ktstr_exit_payload exit;

	(void)length;
	memcpy(&exit, payload, sizeof(exit));
	fprintf(f, ", \"code\": %u", exit.code);
}

void record_event__write(FILE *f, uint32_t type, uint32_t sequence, const void *payload,
			 uint32_t length)
{
	static const struct {
		uint32_t type;
		void (*put)(FILE *f, const void *payload, uint32_t length);
	} writers[] = {
		{KTSTR_FRAME_LIFECYCLE, put_life},
		{KTSTR_FRAME_TEST_RESULT, put_test},
		{KTSTR_FRAME_SCHED_EXIT, put_sched_exit},
		{KTSTR_FRAME_SCENARIO_START, put_scenario},
		{KTSTR_FRAME_SCENARIO_END, put_scenario},
		{KTSTR_FRAME_STIMULUS, put_stimulus},
		{KTSTR_FRAME_RAW_OUTPUT, put_raw_output},
		{KTSTR_FRAME_EXIT, put_exit},
	};

	fprintf(f, "{\"sequence\": %u, \"type\": ", sequence);
	json__string(f, (const char *)&type, sizeof(type));
	fprintf(f, ", \"length\": %u", length);
	for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++)
		if (writers[i].type == type)
			writers[i].put(f, payload, length);
	fputs("}\n", f);
}
