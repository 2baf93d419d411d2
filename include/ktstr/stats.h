/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Statistics of the scheduler under test, for a test's body in the guest. The scheduler serves them
 * on a socket as those of the sched-ext/scx project do: a line of JSON is a request,
 * {"req":"stats","args":{"target":"top"}}, and one is its response,
 * {"errno":0,"args":{"resp":...}}. Numbers are read from it by ktstr/json.h.
 */
#ifndef KTSTR_STATS_H
#define KTSTR_STATS_H

#include <ktstr/json.h>

#include <stddef.h>
#include <stdint.h>

#define KTSTR_STATS_SOCKET "/var/run/scx/root/stats"
/* The request for all that a scheduler counts. */
#define KTSTR_STATS_REQUEST "{\"req\":\"stats\",\"args\":{\"target\":\"top\"}}"

/*
 * Sends KTSTR_STATS_REQUEST and puts the response into @buf, NUL-terminated, without its newline.
 * It has come whole after @timeout_ms of the guest's time; a socket that is not there yet is waited
 * for. Returns the response's length, or: -ENOENT, -ECONNREFUSED: nobody serves statistics,
 * -ETIMEDOUT: no whole response in time, -ECONNRESET: closed before the response was whole,
 * -ENOSPC: longer than @size - 1, -EBADMSG: not JSON, or without a number "errno" in it; the
 * "errno" of the response, negative: then @buf has it.
 */
int ktstr_stats__read(char *buf, size_t size, uint32_t timeout_ms);

/* The same with a @request of the caller's, without its newline, on any socket. */
int ktstr_stats__request(const char *path, const char *request, char *buf, size_t size,
			 uint32_t timeout_ms);

#endif /* KTSTR_STATS_H */
