// SPDX-License-Identifier: GPL-2.0-only
/* Bytes of a generator, and their CRC-32 behind them. */
#include "byte_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#define PORT 4001
#define CHUNK 65536u

/* Marsaglia's xorshift64. */
static void fill(uint64_t *words, size_t nr, uint64_t *state)
{
	uint64_t x = *state;

	for (size_t i = 0; i < nr; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		words[i] = x;
	}
	*state = x;
}

static int send_all(int fd, const void *data, size_t length)
{
	ssize_t n = send(fd, data, length, MSG_NOSIGNAL);

	/* It blocks until all of it is in the socket's buffer. */
	return n == (ssize_t)length ? 0 : n < 0 ? -errno : -EPIPE;
}

/* Sends to whoever connects, once. */
static int serve(int listener, uint64_t bytes)
{
	static uint64_t words[CHUNK / sizeof(uint64_t)];
	uint64_t state = 1;
	uint32_t crc = 0;
	int fd = accept(listener, NULL, NULL), err = fd < 0 ? -errno : 0;

	while (bytes && !err) {
		uint32_t n = bytes < CHUNK ? (uint32_t)bytes : CHUNK;

		fill(words, CHUNK / sizeof(words[0]), &state);
		crc = (uint32_t)crc32(crc, (const uint8_t *)words, n);
		err = send_all(fd, words, n);
		bytes -= n;
	}
	err = err ? err : send_all(fd, &crc, sizeof(crc));
	return err;
}

/* The last bytes that came are held back: they are the checksum when no more come. */
static int read_all(int connected, struct byte_stream *stream)
{
	static uint8_t buf[sizeof(uint32_t) + CHUNK];
	uint32_t crc = 0, wanted;
	size_t held = 0;
	ssize_t n;

	*stream = (struct byte_stream){.bytes = 0};
	while ((n = recv(connected, buf + held, CHUNK, 0)) > 0) {
		size_t have = held + (size_t)n;

		held = have < sizeof(wanted) ? have : sizeof(wanted);
		crc = (uint32_t)crc32(crc, buf, (uint32_t)(have - held));
		stream->bytes += have - held;
		memmove(buf, buf + have - held, held);
	}
	if (n < 0)
		return -errno;
	memcpy(&wanted, buf, sizeof(wanted));
	stream->is_right = held == sizeof(wanted) && crc == wanted;
	return 0;
}

static struct sockaddr_in address_of(const char *text)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	inet_pton(AF_INET, text, &in.sin_addr);
	return in;
}

/* In the far namespace, and back. */
static int listen_there(const struct netns_pair *pair, const char *address, int *listener)
{
	struct sockaddr_in in = address_of(address);
	int err = netns__enter(pair->far), one = 1, back;

	if (err)
		return err;
	*listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*listener < 0 || setsockopt(*listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(*listener, (struct sockaddr *)&in, sizeof(in)) || listen(*listener, 1))
		err = -errno;
	back = netns__enter(pair->near);
	return err ? err : back;
}

int byte_stream__pass(const struct netns_pair *pair, const char *address, uint64_t bytes,
		      struct byte_stream *stream)
{
	struct sockaddr_in in = address_of(address);
	int listener = -1, fd = -1, status = 0, err;
	pid_t pid = -1;

	*stream = (struct byte_stream){.bytes = 0};
	err = listen_there(pair, address, &listener);
	if (err)
		goto out;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(serve(listener, bytes) ? 1 : 0);
	}
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (pid < 0 || fd < 0 || connect(fd, (struct sockaddr *)&in, sizeof(in)))
		err = -errno;
	else
		err = read_all(fd, stream);
out:
	if (fd >= 0)
		close(fd);
	if (listener >= 0)
		close(listener);
	if (pid > 0 && err)
		kill(pid, SIGKILL);
	if (pid > 0 && waitpid(pid, &status, 0) != pid)
		status = -1;
	stream->is_right = stream->is_right && !status;
	return err;
}
