// SPDX-License-Identifier: GPL-2.0-only
/* Network namespaces by setns(2), interfaces by netdevice(7) and rtnetlink(7). */
#include "netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS_NAMESPACE "/proc/thread-self/ns/net"

int netns__enter(int ns)
{
	return setns(ns, CLONE_NEWNET) ? -errno : 0;
}

int netns_pair__create(struct netns_pair *pair)
{
	int err, back;

	pair->near = open(THREADS_NAMESPACE, O_RDONLY | O_CLOEXEC);
	if (pair->near < 0 || unshare(CLONE_NEWNET))
		return -errno;
	pair->far = open(THREADS_NAMESPACE, O_RDONLY | O_CLOEXEC);
	err = pair->far < 0 ? -errno : interface__set_up("lo", NULL);
	back = netns__enter(pair->near);
	return err ? err : back;
}

/* Moves @name of this namespace to @ns. */
static int move_interface(const char *name, int ns)
{
	struct {
		struct nlmsghdr nh;
		struct ifinfomsg info;
		struct rtattr attribute;
		int fd;
	} request = {
		.nh = {.nlmsg_len = sizeof(request),
		       .nlmsg_type = RTM_NEWLINK,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.info = {.ifi_family = AF_UNSPEC, .ifi_index = (int)if_nametoindex(name)},
		.attribute = {.rta_len = RTA_LENGTH(sizeof(int)), .rta_type = IFLA_NET_NS_FD},
		.fd = ns,
	};
	struct {
		struct nlmsghdr nh;
		struct nlmsgerr error;
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), err = 0;

	if (fd < 0 || send(fd, &request, sizeof(request), 0) != sizeof(request) ||
	    recv(fd, &answer, sizeof(answer), 0) < (ssize_t)sizeof(answer))
		err = -errno;
	else
		err = answer.error.error;
	if (fd >= 0)
		close(fd);
	return err;
}

int interface__set_up(const char *name, const char *address)
{
	struct ifreq ifr = {.ifr_flags = 0};
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)&ifr.ifr_addr;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

	if (fd < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	in->sin_family = AF_INET;
	if (address) {
		inet_pton(AF_INET, address, &in->sin_addr);
		err = ioctl(fd, SIOCSIFADDR, &ifr);
		inet_pton(AF_INET, "255.255.255.0", &in->sin_addr);
		err = err ? err : ioctl(fd, SIOCSIFNETMASK, &ifr);
	}
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	err = err ? err : ioctl(fd, SIOCSIFFLAGS, &ifr);
	err = err ? -errno : 0;
	close(fd);
	return err;
}

int netns_pair__connect(const struct netns_pair *pair, const char *near, const char *near_address,
			const char *far, const char *far_address)
{
	int err = interface__set_up(near, near_address), back;

	err = err ? err : move_interface(far, pair->far);
	err = err ? err : netns__enter(pair->far);
	if (err)
		return err;
	err = interface__set_up(far, far_address);
	back = netns__enter(pair->near);
	return err ? err : back;
}
