/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the client, the supervisor and the agent of an emulated KVM host say to each other: frames
 * over a Unix socket (client to supervisor) and a virtio-serial port (supervisor to agent). One
 * command runs at a time; every command is EXEC ... EXIT.
 */
#ifndef KTSTR_EMULATED_WIRE_H
#define KTSTR_EMULATED_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WIRE_MAGIC 0x4855454bu /* "KEUH" */
#define WIRE_MAX_PAYLOAD (8u << 20)
#define WIRE_CHUNK (32u << 10)	      /* bytes of a stream in one frame, at most */
#define WIRE_STDIN_WINDOW (64u << 10) /* bytes of stdin that may be under way without CREDIT */
#define WIRE_PORT_NAME "ktstr.agent"

struct wire_header {
	uint32_t magic;
	uint32_t type;
	uint32_t length;
};

enum wire_type {
	/* client to agent */
	WIRE_EXEC = 1,	/* struct wire_exec, then strings: cwd, argv..., env... */
	WIRE_STDIN,	/* bytes */
	WIRE_STDIN_EOF, /* empty */
	WIRE_SIGNAL,	/* uint32_t */
	WIRE_WINSIZE,	/* struct wire_winsize */
	WIRE_ABORT,	/* from the supervisor: kill everything, answer EXIT */
	/* agent to client */
	WIRE_READY = 64, /* once, when the agent is up */
	WIRE_STDOUT,
	WIRE_STDERR,
	WIRE_TTY,
	WIRE_CREDIT, /* uint32_t: bytes of stdin that were taken */
	WIRE_EXIT,   /* uint32_t: exit status as a shell would give it; the last frame */
	WIRE_FAILED, /* agent: text, set-up failed; instead of READY */
	/* supervisor to client */
	WIRE_ACCEPTED = 128, /* a host is yours */
	WIRE_LOST,	     /* text: the host could not be started or died */
};

enum { WIRE_TTY_STDIN = 1, WIRE_TTY_STDOUT = 2, WIRE_TTY_STDERR = 4 };

struct wire_winsize {
	uint16_t rows, cols;
};

struct wire_exec {
	uint32_t argc, envc;
	uint32_t uid, gid;
	uint32_t umask;
	uint32_t tty; /* WIRE_TTY_*: which of the three are the terminal */
	struct wire_winsize winsize;
	uint64_t realtime_ns; /* the clock of this host */
};

/* Bytes that wait to be parsed or written. Zeroed is empty. */
struct wire_buf {
	uint8_t *data;
	size_t start, end, size;
};

struct wire_frame {
	uint32_t type;
	uint32_t length;
	const uint8_t *payload; /* inside the buffer: valid until wire__drop() or wire__fill() */
};

void wire_buf__free(struct wire_buf *buf);
static inline size_t wire_buf__used(const struct wire_buf *buf)
{
	return buf->end - buf->start;
}
/* -ENOMEM */
int wire__append(struct wire_buf *buf, const void *data, size_t length);
int wire__put(struct wire_buf *buf, uint32_t type, const void *payload, size_t length);
/* 1: *frame is the first frame; 0: not all of it is here; -EPROTO: this is no frame. */
int wire__peek(const struct wire_buf *buf, struct wire_frame *frame);
/* Drops the first frame, which wire__peek() has shown. */
void wire__drop(struct wire_buf *buf, const struct wire_frame *frame);
/* Reads what there is: > 0 bytes, 0 end of file, -errno (-EAGAIN: nothing now). */
ssize_t wire__fill(struct wire_buf *buf, int fd);
/* Writes what goes: 0 (see wire_buf__used() for what is left) or -errno. */
int wire__flush(struct wire_buf *buf, int fd);

#endif /* KTSTR_EMULATED_WIRE_H */
