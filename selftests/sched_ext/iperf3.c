// SPDX-License-Identifier: GPL-2.0-only
/*
 * iperf3's streams between two network namespaces: bytes pass where nothing limits the link, and at
 * the link's rate where it has one, under whatever scheduler the machine has.
 */
#include <ktstr/harness.h>

#include <stdio.h>
#include <string.h>

#include "netns.h"
#include "payloads.h"
#include "workload.h"

/* So slow that no host is slower: a frame takes 12 ms. */
#define RATE_BPS 1000000.0
#define LINKS                                                                 \
	KTSTR_NICS(NIC(.network = "free"), NIC(.network = "free"),            \
		   NIC(.network = "limited", .rate_bps = (uint64_t)RATE_BPS), \
		   NIC(.network = "limited"))
#define LIMITED_ADDRESS "10.0.1.2"

/* Of a full frame (Ethernet, IP, and TCP with time stamps, or UDP), 1448 bytes are the stream's. */
#define TCP_SHARE (1448.0 / 1514.0)
#define UDP_SHARE (1448.0 / 1490.0)
/*
 * Of what the link has for a stream. A slow CPU begins late, which is in iperf3's time: network.c
 * measures the rate from the first datagram to the last. Half the rate is still too little.
 */
#define LEAST 0.7
#define MOST 1.03

/* A server of its own namespace, until the pipe is closed. NULL: none. */
static FILE *start_server(const struct netns_pair *pair)
{
	FILE *server;

	if (netns__enter(pair->far))
		return NULL;
	server = popen("exec iperf3 --server --forceflush", "re");
	return netns__enter(pair->near) ? NULL : server;
}

/* It says so before each test. */
static bool is_listening(FILE *server)
{
	char line[256];

	while (fgets(line, sizeof(line), server))
		if (!strncmp(line, "Server listening", 16))
			return true;
	return false;
}

/* @argv: instead of the payload's own, for a stream that gets @bps. */
static void run(struct __test_metadata *_metadata, FILE *server,
		const struct ktstr_payload *payload, const char *const *argv, double bps)
{
	struct ktstr_payload p = *payload;
	struct ktstr_metric metrics[8] = {{.name = NULL}};
	struct ktstr_payload_result result;

	for (size_t i = 0; argv && payload->metrics[i].name; i++) {
		metrics[i] = payload->metrics[i];
		if (strcmp(metrics[i].name, "received_rate"))
			continue;
		metrics[i].minimum = (struct ktstr_limit)KTSTR_LIMIT(bps * LEAST);
		metrics[i].maximum = (struct ktstr_limit)KTSTR_LIMIT(bps * MOST);
	}
	if (argv) {
		p.argv = argv;
		p.metrics = metrics;
	}
	ASSERT_TRUE(is_listening(server));
	ktstr_payload_run(&p, &result);
	EXPECT_PAYLOAD_OK(&result);
}

static void run_streams(struct __test_metadata *_metadata)
{
	struct netns_pair pair;
	FILE *server;
	/* fq_codel would drop datagrams that wait for long. A kernel without it has no choice. */
	int err = file__write("/proc/sys/net/core/default_qdisc", "pfifo_fast");

	ASSERT_TRUE(!err || err == -ENOENT);
	ASSERT_EQ(0, netns_pair__create(&pair));
	ASSERT_EQ(0, netns_pair__connect(&pair, "eth0", "10.0.0.1", "eth1", PAYLOAD_IPERF3_SERVER));
	ASSERT_EQ(0, netns_pair__connect(&pair, "eth2", "10.0.1.1", "eth3", LIMITED_ADDRESS));
	server = start_server(&pair);
	ASSERT_NE(NULL, server);

	run(_metadata, server, &payload_iperf3_tcp, NULL, 0);
	run(_metadata, server, &payload_iperf3_udp, NULL, 0);
	run(_metadata, server, &payload_iperf3_tcp,
	    KTSTR_ARGS("iperf3", "--client", LIMITED_ADDRESS, "--time=5", "--json"),
	    RATE_BPS * TCP_SHARE);
	/* More than the link has: what is too much waits in the sender. */
	run(_metadata, server, &payload_iperf3_udp,
	    KTSTR_ARGS("iperf3", "--client", LIMITED_ADDRESS, "--udp", "--bitrate=2M",
		       "--length=1448", "--time=5", "--json"),
	    RATE_BPS * UDP_SHARE);
}

KTSTR_TEST(streams_pass_at_the_rate_of_their_link, .files = KTSTR_FILES("iperf3", "sh"),
	   .nics = LINKS, .timeout_s = 300)
{
	run_streams(_metadata);
}

KTSTR_TEST(streams_pass_at_the_rate_of_their_link_under_a_scheduler,
	   .files = KTSTR_FILES("iperf3", "sh"), .nics = LINKS, .topology = TOPO(1, 1, 2, 1),
	   .scheduler = "scx_ktstr", .scheduler_ops = "ktstr", .timeout_s = 300)
{
	run_streams(_metadata);
}

KTSTR_HARNESS_MAIN
