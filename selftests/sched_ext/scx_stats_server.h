/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Serves statistics of a scheduler on a unix socket, as those of the sched-ext/scx project do: each
 * line of a client's is a request, {"req":"stats","args":{"target":"top"}}, and gets one line,
 * {"errno":0,"args":{"resp":...}}. For a main loop that waits by poll(): nothing here blocks.
 */
#ifndef SCX_STATS_SERVER_H
#define SCX_STATS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define STATS_SERVER_CLIENTS 8
#define STATS_SERVER_REQUEST 4096

/* Writes what stands for "resp" to @out. 0, or an errno that the client gets instead. */
typedef int (*stats_answer_fn)(void *opaque, const char *req, const char *target, FILE *out);

struct stats_client {
	int fd; /* -1: free */
	uint32_t events;
	bool last; /* closed after what is to be sent */
	char in[STATS_SERVER_REQUEST];
	size_t in_length;
	char *out; /* malloc'ed; NULL: nothing to send */
	size_t out_length, out_sent;
};

struct stats_server {
	int events; /* readable (epoll): call stats_server__run(); -1: not open */
	int listener;
	bool full; /* more clients wait until one leaves */
	const char *path;
	stats_answer_fn answer;
	void *opaque;
	struct stats_client clients[STATS_SERVER_CLIENTS];
};

/* Listens at @path, whose directories it makes. -EADDRINUSE: somebody serves there, or -errno. */
int stats_server__open(struct stats_server *server, const char *path, stats_answer_fn answer,
		       void *opaque);
void stats_server__run(struct stats_server *server);
/* Also of one that could not be opened. The socket is removed. */
void stats_server__close(struct stats_server *server);

#endif /* SCX_STATS_SERVER_H */
