// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: what a hostile guest has printed, on its way to a test's TAP: as the test's
 * own output, in pieces of any length, and as evidence of a verdict. Whatever it is, each line that
 * comes out is a comment: no result, no plan, no bail-out, nothing that a terminal obeys.
 *
 * The first byte seeds the pieces, the second is the verdict; then the text.
 */
#include "fuzz.h"

#include <string.h>

#include "vmm/harness.h"

/* Readers of logs lose what follows these (vmm/harness.c). */
static const char *const never[] = {
	"Kernel panic - not syncing: VFS:",
	"List of all partitions:",
	"reboot: System halted",
};

/* Some consumers take off what marks a diagnostic, as often as it is there, and read the rest. */
static bool is_tap(const char *line, const char *end)
{
	static const char *const starts[] = {"ok",	     "not ok",	  "1..",     "TAP version",
					     "KTAP version", "Bail out!", "Subtest:"};

	while (line < end && strchr("# \t", *line))
		line++;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		size_t n = strlen(starts[i]);

		if ((size_t)(end - line) >= n && !memcmp(line, starts[i], n))
			return true;
	}
	return false;
}

static void check_shown(const char *line, const char *end)
{
	for (const char *c = line; c < end; c++)
		FUZZ_CHECK(((unsigned char)*c >= 0x20 && *c != 0x7f &&
			    ((unsigned char)c[-(c > line)] != 0xc2 || (unsigned char)*c < 0x80 ||
			     (unsigned char)*c >= 0xa0)) ||
			   *c == '\t');
}

/* It is on the line of the test, behind "#": of one that failed, no word that turns its result. */
static void check_reason(const struct ktstr_test_outcome *outcome)
{
	static const char *const words[] = {"skip", "todo", "xfail", "xpass"};
	const char *reason = outcome->reason;

	check_shown(reason, reason + strlen(reason));
	if (outcome->exit_code != 1)
		return;
	reason += strspn(reason, " \t#");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		FUZZ_CHECK(strncasecmp(reason, words[i], strlen(words[i])) != 0);
}

static void check_lines(const char *text, size_t length)
{
	const char *line = text;

	FUZZ_CHECK(!length || text[length - 1] == '\n');
	while (line < text + length) {
		const char *end = memchr(line, '\n', (size_t)(text + length - line));

		FUZZ_CHECK(line[0] == '#' && !is_tap(line, end));
		check_shown(line, end);
		line = end + 1;
	}
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		FUZZ_CHECK(!memmem(text, length, never[i], strlen(never[i])));
}

/* All of @data through a relay, in pieces of up to @piece bytes, as text that the caller frees. */
static char *relay(const char *data, size_t size, uint32_t piece, size_t *length)
{
	struct harness_relay r;
	char *text;
	FILE *out = open_memstream(&text, length);

	FUZZ_CHECK(out);
	harness_relay__init(&r, out, "ok 1");
	while (size) {
		size_t n = 1 + piece % 37;

		n = n < size ? n : size;
		harness_relay__feed(&r, data, n);
		data += n;
		size -= n;
		piece = piece * 1103515245u + 12345u;
	}
	harness_relay__finish(&r);
	fclose(out);
	return text;
}

static void judge(enum ktstr_verdict verdict, const char *text)
{
	const struct ktstr_test_id id = {.fixture = "global", .variant = "", .test = "fuzz"};
	const struct ktstr_test_attrs attrs = {.expect_verdict = KTSTR_VERDICT_NONE};
	const struct ktstr_result result = {
		.verdict = verdict,
		.cause = text,
		.skip_reason = text,
		.have_status = true,
		.exit_code = 1,
		.scheduler_ops = text,
		.kernel_release = text,
		.scheduler_output = text,
		.console = text,
		.console_trouble = strchr(text, '\n'),
		.com2 = text,
		.backtrace = text,
		.vcpus = text,
		.scheduler_end = {.kind = KTSTR_SCX_EXIT_ERROR,
				  .reason = text,
				  .message = text,
				  .dump = text,
				  .events = text},
	};
	struct ktstr_test_outcome outcome = {0};
	size_t length;
	char *printed;
	FILE *out = open_memstream(&printed, &length);

	FUZZ_CHECK(out);
	harness__judge(&id, &attrs, &result, false, out, &outcome);
	fclose(out);
	check_lines(printed, length);
	check_reason(&outcome);
	free(printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t length, again;
	char *text, *a, *b;

	if (size < 2)
		return 0;
	a = relay((const char *)data + 2, size - 2, data[0], &length);
	b = relay((const char *)data + 2, size - 2, 36, &again);
	check_lines(a, length);
	FUZZ_CHECK(length == again && !memcmp(a, b, length));
	free(a);
	free(b);
	text = calloc(1, size - 1);
	FUZZ_CHECK(text);
	memcpy(text, data + 2, size - 2);
	judge((enum ktstr_verdict)(data[1] % (KTSTR_VERDICT_PASS + 1)), text);
	free(text);
	return 0;
}
