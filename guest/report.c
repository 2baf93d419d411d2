// SPDX-License-Identifier: GPL-2.0-only
/* Frames from the test's processes to PID 1: SOCK_SEQPACKET messages and sealed memfds. */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ktstr/proto.h>

#include "tlv.h"

/* What PID 1 maps must not change or shrink under it. */
#define REPORT_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int))];
};

int report__open(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -errno;
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	return 0;
}

/* Those that a test may send: it cannot speak for PID 1. */
static bool is_allowed(uint32_t type)
{
	switch (type) {
	case KTSTR_FRAME_SCENARIO_START:
	case KTSTR_FRAME_SCENARIO_END:
	case KTSTR_FRAME_STIMULUS:
	case KTSTR_FRAME_PROFRAW:
	case KTSTR_FRAME_PAYLOAD_METRICS:
	case KTSTR_FRAME_RAW_OUTPUT:
		return true;
	default:
		return false;
	}
}

static int send_message(int fd, const struct msghdr *message)
{
	ssize_t n;

	do {
		n = sendmsg(fd, message, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	/* PID 1 has ended the test already, or the test has closed the descriptor */
	return errno == EPIPE || errno == EBADF || errno == ENOTSOCK ? -ENOTCONN : -errno;
}

static int make_memfd(const void *head, size_t head_length, const void *body, size_t body_length)
{
	int fd = memfd_create("ktstr-frame", MFD_CLOEXEC | MFD_ALLOW_SEALING), ret;

	if (fd < 0)
		return -errno;
	ret = tlv__write_all(fd, head, head_length);
	if (!ret)
		ret = tlv__write_all(fd, body, body_length);
	if (!ret && fcntl(fd, F_ADD_SEALS, REPORT_SEALS))
		ret = -errno;
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

/* The header alone, and @memfd beside it. */
static int send_memfd(int fd, struct iovec *header, int memfd)
{
	union control control = {.header = {.cmsg_level = SOL_SOCKET,
					    .cmsg_type = SCM_RIGHTS,
					    .cmsg_len = CMSG_LEN(sizeof(int))}};
	const struct msghdr message = {.msg_iov = header,
				       .msg_iovlen = 1,
				       .msg_control = &control,
				       .msg_controllen = sizeof(control.space)};

	memcpy(CMSG_DATA(&control.header), &memfd, sizeof(memfd));
	return send_message(fd, &message);
}

int report__send(int fd, uint32_t type, const void *head, size_t head_length, const void *body,
		 size_t body_length)
{
	struct report_header header = {.type = type};
	struct iovec iov[3] = {
		{&header, sizeof(header)},
		{(void *)(uintptr_t)head, head_length},
		{(void *)(uintptr_t)body, body_length},
	};
	const struct msghdr message = {.msg_iov = iov, .msg_iovlen = 3};
	size_t total;
	int memfd, ret;

	if (__builtin_add_overflow(head_length, body_length, &total) ||
	    total > KTSTR_FRAME_MAX_PAYLOAD || !is_allowed(type))
		return -EINVAL;
	header.length = (uint32_t)total;
	if (total <= REPORT_INLINE_MAX)
		return send_message(fd, &message);
	memfd = make_memfd(head, head_length, body, body_length);
	if (memfd < 0)
		return memfd;
	ret = send_memfd(fd, iov, memfd);
	close(memfd);
	return ret;
}

/* The descriptor that came along; -1: none, or more than one, which are closed. */
static int take_fd(struct msghdr *message, bool *too_many)
{
	int fd = -1, other;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		size_t nr = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		if (nr == 1 && fd < 0) {
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
			continue;
		}
		*too_many = true;
		/* the padding of one holds a second, and the kernel makes use of it */
		for (size_t i = 0; i < nr; i++) {
			memcpy(&other, CMSG_DATA(c) + i * sizeof(int), sizeof(other));
			close(other);
		}
	}
	return fd;
}

static int map_memfd(int fd, struct report *report)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & REPORT_SEALS) != REPORT_SEALS || fstat(fd, &st) ||
	    st.st_size != (off_t)report->length)
		return -EPROTO;
	report->mapped = mmap(NULL, report->length, PROT_READ, MAP_PRIVATE, fd, 0);
	if (report->mapped == MAP_FAILED) {
		report->mapped = NULL;
		return -errno;
	}
	report->data = report->mapped;
	return 0;
}

/* recvmsg() says 0 for an empty message, too. */
static bool is_end(int fd)
{
	struct pollfd pfd = {.fd = fd};
	int waiting = 0;

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLHUP) &&
	       (ioctl(fd, FIONREAD, &waiting) || !waiting);
}

int report__receive(int fd, struct report *report)
{
	struct iovec iov = {report->inline_data, sizeof(report->inline_data)};
	union control control = {.space = {0}};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control.space)};
	struct report_header header;
	int memfd, ret = -EPROTO;
	bool too_many = false;
	ssize_t n;

	report->mapped = NULL;
	do {
		n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	memfd = take_fd(&message, &too_many);
	if (!n && memfd < 0 && is_end(fd))
		return 0;
	if ((size_t)n < sizeof(header) || too_many)
		goto out;
	memcpy(&header, report->inline_data, sizeof(header));
	report->type = header.type;
	report->length = header.length;
	report->data = report->inline_data + sizeof(header);
	if (!is_allowed(header.type) || header.length > KTSTR_FRAME_MAX_PAYLOAD ||
	    (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		goto out;
	if (memfd < 0)
		ret = (size_t)n == sizeof(header) + header.length ? 1 : -EPROTO;
	else if ((size_t)n == sizeof(header) && header.length)
		ret = map_memfd(memfd, report) ?: 1;
out:
	if (memfd >= 0)
		close(memfd);
	return ret;
}

void report__release(struct report *report)
{
	if (report->mapped)
		munmap(report->mapped, report->length);
	report->mapped = NULL;
}
