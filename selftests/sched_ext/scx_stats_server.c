// SPDX-License-Identifier: GPL-2.0-only
/* Clients of the statistics socket, each with one response at a time; see scx_stats_server.h. */
#include "scx_stats_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <ktstr/json.h>

static void watch(struct stats_server *server, int op, int fd, uint32_t events, void *tag)
{
	struct epoll_event event = {.events = events, .data.ptr = tag};

	/* Fails only for want of memory: then this descriptor is not served. */
	(void)epoll_ctl(server->events, op, fd, &event);
}

/* ---- Life ---- */

static int make_directories(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)NULL)->sun_path)];

	strcpy(dir, path);
	for (char *slash = strchr(dir + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(dir, 0755) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

static int listen_at(struct stats_server *server)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int flags = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, probe;

	strcpy(addr.sun_path, server->path);
	/* One that was killed left its socket behind; one that lives is not to lose it. */
	probe = socket(AF_UNIX, flags, 0);
	if (probe >= 0 &&
	    (!connect(probe, (struct sockaddr *)&addr, sizeof(addr)) || errno == EAGAIN)) {
		close(probe);
		return -EADDRINUSE;
	}
	if (probe >= 0)
		close(probe);
	unlink(server->path);
	server->listener = socket(AF_UNIX, flags, 0);
	if (server->listener < 0)
		return -errno;
	if (bind(server->listener, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(server->listener, SOMAXCONN)) {
		int err = -errno;

		close(server->listener);
		server->listener = -1;
		return err;
	}
	watch(server, EPOLL_CTL_ADD, server->listener, EPOLLIN, server);
	return 0;
}

int stats_server__open(struct stats_server *server, const char *path, stats_answer_fn answer,
		       void *opaque)
{
	int i, ret;

	*server = (struct stats_server){
		.events = -1, .listener = -1, .path = path, .answer = answer, .opaque = opaque};
	for (i = 0; i < STATS_SERVER_CLIENTS; i++)
		server->clients[i].fd = -1;
	if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return -ENAMETOOLONG;
	ret = make_directories(path);
	if (ret)
		return ret;
	server->events = epoll_create1(EPOLL_CLOEXEC);
	if (server->events < 0)
		return -errno;
	ret = listen_at(server);
	if (ret)
		stats_server__close(server);
	return ret;
}

static void drop(struct stats_server *server, struct stats_client *client)
{
	close(client->fd);
	free(client->out);
	*client = (struct stats_client){.fd = -1};
	if (server->full)
		watch(server, EPOLL_CTL_MOD, server->listener, EPOLLIN, server);
	server->full = false;
}

void stats_server__close(struct stats_server *server)
{
	int i;

	for (i = 0; i < STATS_SERVER_CLIENTS; i++)
		if (server->clients[i].fd >= 0)
			drop(server, &server->clients[i]);
	if (server->listener >= 0) {
		unlink(server->path);
		close(server->listener);
	}
	if (server->events >= 0)
		close(server->events);
	server->listener = server->events = -1;
}

/* ---- Requests ---- */

static int answer(struct stats_server *server, const char *line, FILE *out)
{
	char req[32], target[64];
	int ret = ktstr_json__string(line, "/req", req, sizeof(req));

	if (ret)
		return EINVAL;
	ret = ktstr_json__string(line, "/args/target", target, sizeof(target));
	if (ret == -ENOENT)
		strcpy(target, "top");
	else if (ret)
		return EINVAL;
	return server->answer(server->opaque, req, target, out);
}

/* False: out of memory. */
static bool respond(struct stats_server *server, struct stats_client *client, const char *line)
{
	char *resp = NULL;
	size_t length;
	FILE *out = open_memstream(&resp, &length);
	int err, n;

	if (!out)
		return false;
	err = line ? answer(server, line, out) : EMSGSIZE;
	if (fclose(out)) {
		free(resp);
		return false;
	}
	if (err)
		n = asprintf(&client->out, "{\"errno\":%d,\"args\":{\"resp\":\"%s\"}}\n", err,
			     strerror(err));
	else
		n = asprintf(&client->out, "{\"errno\":0,\"args\":{\"resp\":%s}}\n", resp);
	free(resp);
	if (n < 0) {
		client->out = NULL;
		return false;
	}
	client->out_length = (size_t)n;
	client->out_sent = 0;
	return true;
}

/* Takes the first line that is there and makes its response. False: the client is to go. */
static bool next_request(struct stats_server *server, struct stats_client *client)
{
	char *end = memchr(client->in, '\n', client->in_length);
	size_t length;
	bool ok;

	if (!end) {
		if (client->in_length < sizeof(client->in))
			return true;
		client->last = true;
		return respond(server, client, NULL);
	}
	*end = '\0';
	length = (size_t)(end + 1 - client->in);
	/* A NUL within it hides the rest, and what is before is no JSON then. */
	ok = respond(server, client, strlen(client->in) + 1 == length ? client->in : "");
	client->in_length -= length;
	memmove(client->in, end + 1, client->in_length);
	return ok;
}

/* False: nobody reads any more. */
static bool send_some(struct stats_client *client)
{
	ssize_t n = send(client->fd, client->out + client->out_sent,
			 client->out_length - client->out_sent, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	client->out_sent += (size_t)n;
	if (client->out_sent < client->out_length)
		return true;
	free(client->out);
	client->out = NULL;
	return !client->last;
}

/* Answers what is there, one after the other, until the client has to read first. */
static bool serve(struct stats_server *server, struct stats_client *client)
{
	for (;;) {
		if (client->out && !send_some(client))
			return false;
		if (client->out)
			return true;
		if (!next_request(server, client))
			return false;
		if (!client->out)
			return true;
	}
}

static void on_client(struct stats_server *server, struct stats_client *client)
{
	bool open = true;
	uint32_t events;

	if (!client->out) {
		ssize_t n = recv(client->fd, client->in + client->in_length,
				 sizeof(client->in) - client->in_length, 0);

		if (n > 0)
			client->in_length += (size_t)n;
		else
			open = n < 0 && (errno == EAGAIN || errno == EINTR);
	}
	if (!open || !serve(server, client)) {
		drop(server, client);
		return;
	}
	/* While a response waits for its reader, no more requests are read. */
	events = client->out ? EPOLLOUT : EPOLLIN;
	if (events != client->events)
		watch(server, EPOLL_CTL_MOD, client->fd, events, client);
	client->events = events;
}

static void on_listener(struct stats_server *server)
{
	int fd, i;

	for (i = 0; i < STATS_SERVER_CLIENTS && server->clients[i].fd >= 0; i++)
		;
	if (i == STATS_SERVER_CLIENTS) {
		server->full = true;
		watch(server, EPOLL_CTL_MOD, server->listener, 0, server);
		return;
	}
	fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	server->clients[i].fd = fd;
	server->clients[i].events = EPOLLIN;
	watch(server, EPOLL_CTL_ADD, fd, EPOLLIN, &server->clients[i]);
}

void stats_server__run(struct stats_server *server)
{
	struct epoll_event events[STATS_SERVER_CLIENTS + 1];
	int n = epoll_wait(server->events, events, STATS_SERVER_CLIENTS + 1, 0), i;

	for (i = 0; i < n; i++) {
		if (events[i].data.ptr == server)
			on_listener(server);
		else
			on_client(server, events[i].data.ptr);
	}
}
