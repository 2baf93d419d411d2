/* SPDX-License-Identifier: GPL-2.0-only */
/* Network namespaces and interfaces of a test's machine, without tools. All return 0 or -errno. */
#ifndef NETNS_H
#define NETNS_H

/* The calling thread's own namespace and one more, as descriptors; both last as long as they do. */
struct netns_pair {
	int near, far;
};

/* The loopback device is up in the new one. The thread stays where it is. */
int netns_pair__create(struct netns_pair *pair);
/* The calling thread goes to one of the two; what it opens and forks from now on is there. */
int netns__enter(int ns);

/*
 * Sets up @near in this namespace and @far in the other, at @near_address and @far_address, which
 * are of one network of 24 bits. The thread is in the near namespace before and after.
 */
int netns_pair__connect(const struct netns_pair *pair, const char *near, const char *near_address,
			const char *far, const char *far_address);
/* Interface @name of the thread's namespace is up; @address NULL: without one. */
int interface__set_up(const char *name, const char *address);

#endif /* NETNS_H */
