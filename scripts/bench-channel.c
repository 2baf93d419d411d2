// SPDX-License-Identifier: GPL-2.0-only
/*
 * What scripts/bench measures the way out of a machine with. As a program it boots one machine with
 * itself as /init; in the guest it is the test, which writes. Prints KEY VALUE lines.
 *
 *   bench-channel stream port|com2 BYTES   BYTES of text on stdout, by the frames' port or, in a
 * machine without virtio, by COM2: bytes, ns bench-channel frames N                 N frames of 32
 * bytes, each with its number: frames, lost, ns bench-channel tap                      a test that
 * passes: result_at, when its result came out of the guest, and tap_at, when its line of TAP was
 * written
 *
 * Times are CLOCK_MONOTONIC, ns; those of stream and frames are from the first piece that the host
 * got to the last.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ktstr/guest.h>
#include <ktstr/vm.h>

#include "vmm/harness.h"
#include "vmm/vm.h"

#define MEMORY_MB 512u
#define TIME_LIMIT_S 300u
#define LINE "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n"
#define RECORD_SIZE 32u
/* A module in some kernels, built in in others. */
#define NO_VIRTIO "module_blacklist=virtio_mmio initcall_blacklist=virtio_mmio_init"

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "bench-channel: %s: %s\n", what, why);
	return 2;
}

/* ---- Guest ---- */

static int write_all(const char *data, size_t length)
{
	while (length) {
		ssize_t n = write(STDOUT_FILENO, data, length);

		if (n < 0 && errno != EINTR)
			return 1;
		if (n > 0) {
			data += n;
			length -= (size_t)n;
		}
	}
	return 0;
}

static int guest_stream(size_t bytes)
{
	static char lines[1u << 20];

	for (size_t i = 0; i < sizeof(lines); i += sizeof(LINE) - 1)
		memcpy(lines + i, LINE, sizeof(LINE) - 1);
	for (size_t n; bytes; bytes -= n) {
		n = bytes < sizeof(lines) ? bytes : sizeof(lines);
		if (write_all(lines, n))
			return 1;
	}
	return 0;
}

/* Packets (pipe(2), O_DIRECT): PID 1 reads each on its own, and sends a frame for each. */
static int guest_frames(size_t frames)
{
	char record[RECORD_SIZE + 1];

	if (fcntl(STDOUT_FILENO, F_SETFL, O_DIRECT))
		return 1;
	for (size_t i = 0; i < frames; i++) {
		snprintf(record, sizeof(record), "%31zu\n", i);
		if (write(STDOUT_FILENO, record, RECORD_SIZE) != RECORD_SIZE)
			return 1;
	}
	return 0;
}

static int guest_main(void)
{
	int argc;
	char **argv = ktstr_guest__argv(&argc);

	if (argc == 3 && !strcmp(argv[1], "stream"))
		return guest_stream(strtoul(argv[2], NULL, 10));
	if (argc == 3 && !strcmp(argv[1], "frames"))
		return guest_frames(strtoul(argv[2], NULL, 10));
	return 0;
}

/* ---- Host ---- */

struct received {
	uint64_t bytes, first_bytes, pieces, wrong, first_at, last_at;
};

static void on_output(void *opaque, enum ktstr_stream stream, const char *data, size_t length)
{
	struct received *r = opaque;
	char number[RECORD_SIZE + 1];

	if (stream != KTSTR_OUT)
		return;
	r->last_at = vm__now_ns();
	if (!r->pieces) {
		r->first_at = r->last_at;
		r->first_bytes = length;
	}
	if (length == RECORD_SIZE) {
		memcpy(number, data, RECORD_SIZE);
		number[RECORD_SIZE] = '\0';
		r->wrong += strtoul(number, NULL, 10) != r->pieces;
	} else {
		r->wrong++;
	}
	r->pieces++;
	r->bytes += length;
}

static int run(const char *const *argv, bool virtio, struct received *r)
{
	struct ktstr_error error = {0};
	struct ktstr_vm_config config;
	struct ktstr_result result;
	struct ktstr_vm *vm;
	char line[1200];

	memset(r, 0, sizeof(*r));
	ktstr_vm_config__defaults(&config);
	config.memory_mb = MEMORY_MB;
	config.timeout_s = TIME_LIMIT_S;
	config.role = KTSTR_ROLE_TEST;
	config.argv = argv;
	config.append = virtio ? NULL : NO_VIRTIO;
	config.output = on_output;
	config.output_opaque = r;
	if (ktstr_vm__create(&config, &vm, &error) || ktstr_vm__run(vm, &result, &error)) {
		ktstr_error__format(&error, line, sizeof(line));
		return fail("VM", line);
	}
	if (result.verdict != KTSTR_VERDICT_PASS)
		return fail(ktstr_verdict__name(result.verdict), result.cause);
	if (result.by_com2 == virtio)
		return fail("VM", virtio ? "the frames' port did not open" : "it has virtio");
	ktstr_vm__destroy(vm);
	return 0;
}

static int cmd_stream(const char *way, const char *bytes)
{
	const char *const argv[] = {"bench-channel", "stream", bytes, NULL};
	struct received r;
	int status;

	if (strcmp(way, "port") && strcmp(way, "com2"))
		return fail(way, "neither port nor com2");
	status = run(argv, !strcmp(way, "port"), &r);
	if (status)
		return status;
	if (r.bytes != strtoul(bytes, NULL, 10))
		return fail("stream", "not all of it came");
	printf("bytes %llu\nns %llu\n", (unsigned long long)(r.bytes - r.first_bytes),
	       (unsigned long long)(r.last_at - r.first_at));
	return 0;
}

static int cmd_frames(const char *frames)
{
	const char *const argv[] = {"bench-channel", "frames", frames, NULL};
	unsigned long sent = strtoul(frames, NULL, 10);
	struct received r;
	int status = run(argv, true, &r);

	if (status)
		return status;
	printf("frames %llu\nlost %llu\nns %llu\n", (unsigned long long)r.pieces,
	       (unsigned long long)(r.wrong || r.pieces > sent ? sent : sent - r.pieces),
	       (unsigned long long)(r.last_at - r.first_at));
	return 0;
}

/* ---- From a test's end to its line ---- */

/* The process that stands for a test, as the harness has it; returns when the result came, or 0. */
static uint64_t stand_for_test(void)
{
	static const char *const argv[] = {"bench-channel", NULL};
	const struct ktstr_test_id id = {
		.fixture = "bench", .variant = "", .test = "passes", .termsig = -1};
	const struct ktstr_test_attrs attrs = {.memory_mb = MEMORY_MB};
	struct ktstr_test_outcome outcome;
	struct ktstr_error error = {0};
	struct ktstr_vm_config config;
	struct ktstr_result result;
	uint64_t result_at = 0;
	struct ktstr_vm *vm;

	ktstr_vm_config__defaults(&config);
	config.memory_mb = MEMORY_MB;
	config.role = KTSTR_ROLE_TEST;
	config.argv = argv;
	if (ktstr_vm__create(&config, &vm, &error))
		return 0;
	if (!ktstr_vm__run(vm, &result, &error)) {
		harness__judge(&id, &attrs, &result, false, stderr, &outcome);
		if (!outcome.exit_code && !outcome.signal)
			result_at = result.times.result_at_ns;
	}
	ktstr_vm__destroy(vm);
	return result_at;
}

static int cmd_tap(void)
{
	uint64_t *result_at = mmap(NULL, sizeof(*result_at), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), status;
	uint64_t tap_at;
	pid_t pid;

	if (result_at == MAP_FAILED || null < 0)
		return fail("mmap, /dev/null", strerror(errno));
	pid = fork();
	if (!pid) {
		*result_at = stand_for_test();
		_exit(*result_at ? 0 : 1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return fail("fork", strerror(errno));
	if (status || !*result_at)
		return fail("tap", "the test did not pass");
	dprintf(null, "ok 1 bench.passes\n");
	tap_at = vm__now_ns();
	printf("result_at %llu\ntap_at %llu\n", (unsigned long long)*result_at,
	       (unsigned long long)tap_at);
	return 0;
}

int main(int argc, char **argv)
{
	if (ktstr_guest__is_guest())
		return guest_main();
	if (argc == 4 && !strcmp(argv[1], "stream"))
		return cmd_stream(argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[1], "frames"))
		return cmd_frames(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "tap"))
		return cmd_tap();
	return fail("usage", "bench-channel stream port|com2 BYTES | frames N | tap");
}
