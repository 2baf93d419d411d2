// SPDX-License-Identifier: GPL-2.0-only
/*
 * Network interfaces of a machine: two network namespaces talk over the monitor's switch, links
 * have their rate and delay, and an interface alone gets back what it sends. No tools are needed.
 */
#include <ktstr/harness.h>

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/param.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "byte_stream.h"
#include "netns.h"
#include "workload.h"

#define MIB (1u << 20)
#define PORT 4000
#define NEAR "10.0.0.1"
#define FAR "10.0.0.2"
#define STREAM_BYTES (16 * MIB)

/* So slow that no host is slower: a datagram takes 12 ms. */
#define RATE_BPS UINT64_C(1000000)
#define DELAY_US UINT64_C(50000)
#define DATAGRAM 1472u
#define DATAGRAM_FRAME (DATAGRAM + 42u)
#define DATAGRAMS 401u /* from the first to the last four parts */
#define PART 100u

#define MTU 9000u
#define CPUS 4u
#define ROUND_TRIPS 100u

#define ETHERTYPE_TEST 0x88b5 /* IEEE 802: local experiments */

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static bool has_mac(const char *name, const char *mac)
{
	char path[128], text[64];

	snprintf(path, sizeof(path), "/sys/class/net/%s/address", name);
	return !file__read(path, text, sizeof(text)) && !strcmp(text, mac);
}

static struct sockaddr_in address_of(const char *text)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	inet_pton(AF_INET, text, &in.sin_addr);
	return in;
}

/* ---- The other namespace: children that serve there ---- */

/*
 * Answers each datagram; one of a single byte by large ones, as fast as they go: more than
 * DATAGRAMS, as a queueing discipline of the guest may drop some of what waits for long.
 */
static int serve_datagrams(int fd)
{
	for (;;) {
		struct sockaddr_in from;
		socklen_t length = sizeof(from);
		uint8_t buf[MTU];
		ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &length);

		uint32_t nr = n == 1 ? 2 * DATAGRAMS : 1;

		n = n == 1 ? DATAGRAM : n;
		while (n > 0 && nr--)
			if (sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&from, length) != n)
				return -1;
	}
}

/* Starts a child that answers datagrams until the test ends. */
static bool answer_datagrams(const struct netns_pair *pair)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int fd = netns__enter(pair->far) ? -1 : socket(AF_INET, SOCK_DGRAM, 0);
	pid_t pid = -1;

	if (fd >= 0 && !netns__enter(pair->near) && !bind(fd, (struct sockaddr *)&in, sizeof(in)))
		pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(serve_datagrams(fd) ? 1 : 0);
	}
	close(fd);
	return pid > 0;
}

/* Shortest of @nr round trips of a datagram, us; 0: one was lost. */
static uint64_t round_trip_us(const char *address, uint32_t nr)
{
	struct sockaddr_in in = address_of(address);
	struct timeval limit = {.tv_sec = 10};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	uint64_t shortest = UINT64_MAX;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)))
		shortest = 0;
	while (nr-- && shortest) {
		uint64_t start = now_us(), us;
		uint32_t got = 0;

		if (send(fd, &nr, sizeof(nr), 0) != sizeof(nr) ||
		    recv(fd, &got, sizeof(got), 0) != sizeof(got) || got != nr)
			break;
		us = now_us() - start;
		shortest = us < shortest ? us : shortest;
	}
	close(fd);
	return nr == UINT32_MAX ? shortest : 0;
}

/* Bits a second on a link. */
struct link_rate {
	double mean_bps; /* from the first of DATAGRAMS that come to the last */
	double best_bps; /* of parts of PART datagrams: one of them was not disturbed by the host */
};

static double bps(uint32_t datagrams, uint64_t us)
{
	return datagrams * (DATAGRAM_FRAME * 8e6) / (double)us;
}

/* Returns 0, or -ENODATA when there are fewer than DATAGRAMS. */
static int datagram_rate(const char *address, struct link_rate *rate)
{
	struct sockaddr_in in = address_of(address);
	struct timeval limit = {.tv_sec = 20};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	uint64_t start_us = 0, part_us = 0;
	uint32_t nr = 0;
	uint8_t buf[2048] = {0};

	*rate = (struct link_rate){0};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (!connect(fd, (struct sockaddr *)&in, sizeof(in)) && send(fd, buf, 1, 0) == 1) {
		while (nr < DATAGRAMS && recv(fd, buf, sizeof(buf), 0) == DATAGRAM) {
			uint64_t us = now_us();

			if (!nr)
				start_us = us;
			if (nr && !(nr % PART))
				rate->best_bps = MAX(rate->best_bps, bps(PART, us - part_us));
			if (!(nr % PART))
				part_us = us;
			if (++nr == DATAGRAMS)
				rate->mean_bps = bps(DATAGRAMS - 1, us - start_us);
		}
	}
	close(fd);
	return nr < DATAGRAMS ? -ENODATA : 0;
}

/* ---- Tests ---- */

KTSTR_TEST(namespaces_talk_over_a_switch, .timeout_s = 120,
	   .nics = KTSTR_NICS(NIC(.network = "a", .queues = 2), NIC(.network = "a"),
			      NIC(.network = "b", .mac = {0x02, 0, 0, 0, 0, 0x42})))
{
	struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE_TEST)};
	uint8_t frame[1200], back[2048];
	struct netns_pair pair;
	struct byte_stream stream;
	int fd;

	EXPECT_TRUE(has_mac("eth0", "02:6b:74:73:74:00"));
	EXPECT_TRUE(has_mac("eth1", "02:6b:74:73:74:01"));
	EXPECT_TRUE(has_mac("eth2", "02:00:00:00:00:42"));

	ASSERT_EQ(0, netns_pair__create(&pair));
	ASSERT_EQ(0, netns_pair__connect(&pair, "eth0", NEAR, "eth1", FAR));
	ASSERT_TRUE(answer_datagrams(&pair));
	EXPECT_NE(0, round_trip_us(FAR, 10));
	ASSERT_EQ(0, byte_stream__pass(&pair, FAR, STREAM_BYTES, &stream));
	EXPECT_EQ(STREAM_BYTES, stream.bytes);
	EXPECT_TRUE(stream.is_right);

	/* Alone on its network, it gets back what it sends, as it is. */
	ASSERT_EQ(0, interface__set_up("eth2", NULL));
	fd = socket(AF_PACKET, SOCK_RAW, htons(ETHERTYPE_TEST));
	ASSERT_LE(0, fd);
	ll.sll_ifindex = (int)if_nametoindex("eth2");
	ASSERT_EQ(0, bind(fd, (struct sockaddr *)&ll, sizeof(ll)));
	for (uint32_t i = 0; i < 3; i++) {
		memset(frame, (int)i, sizeof(frame));
		memcpy(frame, "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x42\x88\xb5", ETH_HLEN);
		if (i == 1)
			memcpy(frame, frame + ETH_ALEN, ETH_ALEN);
		ASSERT_EQ((ssize_t)sizeof(frame), send(fd, frame, sizeof(frame), 0));
		ASSERT_EQ((ssize_t)sizeof(frame), recv(fd, back, sizeof(back), 0));
		EXPECT_EQ(0, memcmp(frame, back, sizeof(frame)));
	}
	close(fd);
}

/* eth1 sends at a rate, eth0 with a delay: a round trip has the delay once. */
KTSTR_TEST(links_have_their_rate_and_delay, .timeout_s = 120,
	   .nics = KTSTR_NICS(NIC(.network = "a", .delay_us = DELAY_US),
			      NIC(.network = "a", .rate_bps = RATE_BPS)))
{
	uint64_t trip_us;
	struct netns_pair pair;
	struct link_rate rate;

	ASSERT_EQ(0, netns_pair__create(&pair));
	ASSERT_EQ(0, netns_pair__connect(&pair, "eth0", NEAR, "eth1", FAR));
	ASSERT_TRUE(answer_datagrams(&pair));
	trip_us = round_trip_us(FAR, 20);
	TH_LOG("shortest round trip: %lu us", (unsigned long)trip_us);
	EXPECT_LE(DELAY_US, trip_us);
	EXPECT_GE(DELAY_US * 3 / 2, trip_us);
	/* There is something to be sent all the time, as long as the host lets the sender run. */
	ASSERT_EQ(0, datagram_rate(FAR, &rate));
	TH_LOG("%.0f bit/s on the link, %.0f in the best part", rate.mean_bps, rate.best_bps);
	EXPECT_LE(0.97 * (double)RATE_BPS, rate.best_bps);
	EXPECT_GE(1.03 * (double)RATE_BPS, rate.mean_bps);
}

/* ---- Several queues ---- */

/*
 * Datagrams to @address and back, each as large as a frame can be or less, from CPU @cpu. Which of
 * the receive queues the answers came by, as a number that says no more (SO_INCOMING_NAPI_ID);
 * -ETIMEDOUT: one was lost; -EBADMSG: it is not what was sent.
 */
static int talk_on_cpu(const char *address, uint32_t cpu)
{
	/* Other flows could be the same one to the device, which has a byte for them. */
	struct sockaddr_in in = address_of(address),
			   own = {.sin_family = AF_INET,
				  .sin_port = htons((uint16_t)(PORT + 16 + cpu))};
	struct timeval limit = {.tv_sec = 20};
	static uint8_t out[MTU], back[MTU];
	int fd = socket(AF_INET, SOCK_DGRAM, 0), queue = 0;
	int whole = IP_PMTUDISC_DO;
	socklen_t length = sizeof(queue);
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &whole, sizeof(whole));
	if (sched_setaffinity(0, sizeof(cpus), &cpus) ||
	    bind(fd, (struct sockaddr *)&own, sizeof(own)) ||
	    connect(fd, (struct sockaddr *)&in, sizeof(in)))
		return -errno;
	for (uint32_t i = 0; i < ROUND_TRIPS; i++) {
		size_t size = i % 4 ? 2 + (i * 7919 + cpu * 104729) % (MTU - 28 - 2) : MTU - 28;

		for (size_t at = 0; at < size; at++)
			out[at] = (uint8_t)(at * 7 + i + cpu);
		if (send(fd, out, size, 0) != (ssize_t)size)
			return -errno;
		if (recv(fd, back, sizeof(back), 0) != (ssize_t)size)
			return -ETIMEDOUT;
		if (memcmp(out, back, size) != 0)
			return -EBADMSG;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &queue, &length))
		return -errno;
	close(fd);
	return queue;
}

/* The kernel uses a pair of queues for each CPU, and answers come by the pair that asked. */
KTSTR_TEST(each_cpu_has_its_queues_for_jumbo_frames, .topology = TOPO(1, 1, 4, 1), .timeout_s = 120,
	   .nics = KTSTR_NICS(NIC(.network = "a", .queues = CPUS, .mtu = MTU),
			      NIC(.network = "a", .queues = CPUS, .mtu = MTU)))
{
	struct sockaddr_in in = address_of(FAR);
	int queues[CPUS] = {0}, fd, whole = IP_PMTUDISC_DO, pipes[CPUS][2];
	struct ifreq ifr = {.ifr_mtu = MTU + 1};
	static uint8_t data[MTU];
	struct netns_pair pair;
	struct byte_stream stream;
	char mtu[16];

	ASSERT_EQ(0, file__read("/sys/class/net/eth0/mtu", mtu, sizeof(mtu)));
	EXPECT_STREQ("9000", mtu);
	EXPECT_EQ(0, access("/sys/class/net/eth0/queues/rx-3", F_OK));
	EXPECT_EQ(0, access("/sys/class/net/eth0/queues/tx-3", F_OK));
	EXPECT_NE(0, access("/sys/class/net/eth0/queues/tx-4", F_OK));
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	strcpy(ifr.ifr_name, "eth0");
	EXPECT_NE(0, ioctl(fd, SIOCSIFMTU, &ifr));

	ASSERT_EQ(0, netns_pair__create(&pair));
	ASSERT_EQ(0, netns_pair__connect(&pair, "eth0", NEAR, "eth1", FAR));
	ASSERT_TRUE(answer_datagrams(&pair));
	EXPECT_NE(0, round_trip_us(FAR, 1)); /* its address is known then */
	setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &whole, sizeof(whole));
	EXPECT_EQ(-1, sendto(fd, data, MTU - 27, 0, (struct sockaddr *)&in, sizeof(in)));
	close(fd);
	for (uint32_t i = 0; i < CPUS; i++) {
		ASSERT_EQ(0, pipe(pipes[i]));
		if (!fork()) {
			int queue = talk_on_cpu(FAR, i);

			_exit(write(pipes[i][1], &queue, sizeof(queue)) != sizeof(queue));
		}
		close(pipes[i][1]);
	}
	for (uint32_t i = 0; i < CPUS; i++) {
		ASSERT_EQ((ssize_t)sizeof(queues[i]), read(pipes[i][0], &queues[i], sizeof(int)));
		TH_LOG("CPU %u: queue %d", i, queues[i]);
		EXPECT_LT(0, queues[i]);
		for (uint32_t j = 0; j < i; j++)
			EXPECT_NE(queues[i], queues[j]);
	}
	ASSERT_EQ(0, byte_stream__pass(&pair, FAR, STREAM_BYTES, &stream));
	EXPECT_EQ(STREAM_BYTES, stream.bytes);
	EXPECT_TRUE(stream.is_right);
}

KTSTR_HARNESS_MAIN
