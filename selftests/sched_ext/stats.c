// SPDX-License-Identifier: GPL-2.0-only
/*
 * Statistics that a scheduler serves: a test's body reads them, and they say what the scheduler
 * did.
 */
#include <ktstr/harness.h>
#include <ktstr/stats.h>

#include <errno.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "workload.h"

#define LOAD_MS 500u
#define LIMIT_MS 30000u /* of the guest's time, for one answer under load */

/* A counter of one of scx_ktstr's responses. */
static uint64_t counter(struct __test_metadata *_metadata, const char *response, const char *name)
{
	char pointer[64];
	uint64_t value = 0;

	snprintf(pointer, sizeof(pointer), "/args/resp/%s", name);
	EXPECT_EQ(0, ktstr_json__u64(response, pointer, &value))
	{
		TH_LOG("%s: not in %s", name, response);
	}
	return value;
}

static uint64_t grown(struct __test_metadata *_metadata, char (*responses)[4096], const char *name)
{
	uint64_t before = counter(_metadata, responses[0], name);
	uint64_t after = counter(_metadata, responses[1], name);

	EXPECT_GE(after, before);
	return after - before;
}

KTSTR_TEST(counters_grow_under_load, .scheduler = "scx_ktstr", .scheduler_ops = "ktstr",
	   .topology = TOPO(1, 2, 1, 1), .stats_interval_ms = 500)
{
	char responses[2][4096];
	struct spinners spinners;
	uint64_t enqueued, dispatched, kept;
	cpu_set_t one;

	ASSERT_LT(0, ktstr_stats__read(responses[0], sizeof(responses[0]), LIMIT_MS));
	/* Five for two CPUs; two of them are bound to one, so they wait in the global queue. */
	ASSERT_EQ(0, spinners__create(&spinners, NULL, 5));
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	ASSERT_EQ(0, sched_setaffinity(spinners.pids[0], sizeof(one), &one));
	ASSERT_EQ(0, sched_setaffinity(spinners.pids[1], sizeof(one), &one));
	ASSERT_EQ(0, spinners__start(&spinners));
	sleep_ms(LOAD_MS);
	ASSERT_LT(0, ktstr_stats__read(responses[1], sizeof(responses[1]), LIMIT_MS));
	spinners__stop(&spinners);

	EXPECT_EQ(2, counter(_metadata, responses[1], "nr_cpus"));
	EXPECT_EQ(2, counter(_metadata, responses[1], "nr_llcs"));
	EXPECT_GE(grown(_metadata, responses, "at_ns"), LOAD_MS * UINT64_C(1000000));
	/*
	 * With slices of 5 ms a CPU turns to another task a hundred times in half a second. On a
	 * slow host the guest's time also goes by without it: a tenth is enough here.
	 */
	enqueued = grown(_metadata, responses, "dsqs/0/enqueued") +
		   grown(_metadata, responses, "dsqs/1/enqueued");
	dispatched = grown(_metadata, responses, "dsqs/0/dispatched") +
		     grown(_metadata, responses, "dsqs/1/dispatched");
	kept = grown(_metadata, responses, "kept");
	printf("# enqueued %ju, dispatched %ju, kept %ju\n", (uintmax_t)enqueued,
	       (uintmax_t)dispatched, (uintmax_t)kept);
	EXPECT_GE(enqueued, 10);
	EXPECT_GE(dispatched, 10);
	EXPECT_GE(grown(_metadata, responses, "dsqs/global/enqueued"), 5);
	EXPECT_GE(grown(_metadata, responses, "dsqs/global/dispatched"), 5);
	/* What a CPU took had been put in; the CPUs' counts are not of one moment. */
	EXPECT_LE(counter(_metadata, responses[1], "dsqs/global/dispatched"),
		  counter(_metadata, responses[1], "dsqs/global/enqueued") + 16);
	/* Five tasks on two CPUs: some wait at any time. */
	EXPECT_GE(counter(_metadata, responses[1], "dsqs/0/queued") +
			  counter(_metadata, responses[1], "dsqs/1/queued") +
			  counter(_metadata, responses[1], "dsqs/global/queued"),
		  1);
}

static int ask(const char *request, char *buf, size_t size)
{
	return ktstr_stats__request(KTSTR_STATS_SOCKET, request, buf, size, LIMIT_MS);
}

KTSTR_TEST(other_requests_get_their_errno, .scheduler = "scx_ktstr")
{
	static const char *const bad[] = {"",
					  "{",
					  "[]",
					  "\"stats\"",
					  "{\"req\":1}",
					  "{\"req\":\"stats\"",
					  "{\"req\":\"stat\"}",
					  "{\"req\":\"stats\",\"args\":{\"target\":\"none\"}}",
					  "{\"req\":\"stats\",\"args\":{\"target\":1}}"};
	char buf[4096], text[32];
	uint64_t number;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		EXPECT_EQ(-EINVAL, ask(bad[i], buf, sizeof(buf)))
		{
			TH_LOG("%s: %s", bad[i], buf);
		}
		EXPECT_EQ(0, ktstr_json__string(buf, "/args/resp", text, sizeof(text)));
	}
	/* "top" is what is meant without a target. */
	EXPECT_LT(0, ask("{\"req\":\"stats\",\"args\":{}}", buf, sizeof(buf)));
	EXPECT_EQ(0, ktstr_json__u64(buf, "/args/resp/slice_us", &number));
	EXPECT_LT(0, ask("{\"args\":{},\"req\":\"\\u0073tats\"}", buf, sizeof(buf)));
	EXPECT_EQ(0, ktstr_json__u64(buf, "/args/resp/slice_us", &number));
	EXPECT_EQ(5000, number);
}

/* Every counter that "stats" has is described by "stats_meta". */
KTSTR_TEST(statistics_describe_themselves, .scheduler = "scx_ktstr",
	   .scheduler_args = KTSTR_ARGS("--slice-us", "3000"))
{
	static const char *const names[] = {"at_ns",  "slice_us", "nr_cpus", "nr_llcs", "direct",
					    "pinned", "kept",	  "stolen",  "kicked"};
	static const char *const of_dsq[] = {"enqueued", "dispatched", "queued"};
	char stats[4096], meta[4096], pointer[96], text[32];
	uint64_t number;

	ASSERT_LT(0, ktstr_stats__read(stats, sizeof(stats), LIMIT_MS));
	ASSERT_LT(0, ask("{\"req\":\"stats_meta\"}", meta, sizeof(meta)));
	EXPECT_EQ(3000, counter(_metadata, stats, "slice_us"));
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		counter(_metadata, stats, names[i]);
		snprintf(pointer, sizeof(pointer), "/args/resp/KtstrStats/fields/%s/datum",
			 names[i]);
		EXPECT_EQ(0, ktstr_json__string(meta, pointer, text, sizeof(text)));
		EXPECT_STREQ("u64", text);
	}
	EXPECT_EQ(0, ktstr_json__string(meta, "/args/resp/KtstrStats/fields/dsqs/dict/datum/struct",
					text, sizeof(text)));
	EXPECT_STREQ("KtstrDsqStats", text);
	for (size_t i = 0; i < sizeof(of_dsq) / sizeof(*of_dsq); i++) {
		snprintf(pointer, sizeof(pointer), "/args/resp/dsqs/0/%s", of_dsq[i]);
		EXPECT_EQ(0, ktstr_json__u64(stats, pointer, &number));
		snprintf(pointer, sizeof(pointer), "/args/resp/KtstrDsqStats/fields/%s/datum",
			 of_dsq[i]);
		EXPECT_EQ(0, ktstr_json__string(meta, pointer, text, sizeof(text)));
	}
}

static int connect_stats(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = KTSTR_STATS_SOCKET};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * Clients that say nothing, that send half a request, that do not read what they asked for, and
 * that are more than the server takes at once: the others are served, and the scheduler lives.
 */
KTSTR_TEST(clients_do_not_hold_up_each_other, .scheduler = "scx_ktstr")
{
	static const char request[] = KTSTR_STATS_REQUEST "\n";
	int silent[10], half, greedy;
	char buf[4096], state[64];
	size_t asked = 0;
	ssize_t n;

	half = connect_stats();
	greedy = connect_stats();
	ASSERT_LE(0, half);
	ASSERT_LE(0, greedy);
	ASSERT_EQ(10, write(half, request, 10));
	/* until the responses that are not read, and then the requests, fill the sockets */
	while ((n = send(greedy, request, sizeof(request) - 1, MSG_DONTWAIT)) > 0) {
		asked += (size_t)n / (sizeof(request) - 1);
		ASSERT_LT(asked, 1000000);
	}
	ASSERT_EQ(EAGAIN, errno);
	ASSERT_LT(0, ktstr_stats__read(buf, sizeof(buf), LIMIT_MS));

	/* A full house: who comes next waits, and is served when one leaves. */
	for (size_t i = 0; i < 10; i++) {
		silent[i] = connect_stats();
		ASSERT_LE(0, silent[i]);
	}
	EXPECT_EQ(-ETIMEDOUT, ktstr_stats__read(buf, sizeof(buf), 200));
	for (size_t i = 0; i < 10; i++)
		close(silent[i]);
	EXPECT_LT(0, ktstr_stats__read(buf, sizeof(buf), LIMIT_MS));

	/* The half request becomes a whole one. */
	ASSERT_LT(0, write(half, request + 10, sizeof(request) - 1 - 10));
	n = read(half, buf, sizeof(buf) - 1);
	ASSERT_LT(0, n);
	buf[n] = '\0';
	EXPECT_EQ(0, strncmp(buf, "{\"errno\":0,", 11));
	close(half);
	close(greedy);
	EXPECT_LT(0, ktstr_stats__read(buf, sizeof(buf), LIMIT_MS));
	ASSERT_EQ(0, file__read("/sys/kernel/sched_ext/state", state, sizeof(state)));
	EXPECT_STREQ("enabled", state);
}

KTSTR_TEST(scheduler_without_statistics_has_none, .scheduler = "scx_simple",
	   .stats_interval_ms = 100)
{
	char buf[256];

	EXPECT_EQ(-ENOENT, ktstr_stats__read(buf, sizeof(buf), 300));
}

KTSTR_TEST(statistics_without_a_scheduler_are_refused, .stats_interval_ms = 100,
	   .expect_verdict = KTSTR_VERDICT_HOST_ERROR,
	   .expect_cause = "there is no scheduler to ask for statistics")
{
	ASSERT_TRUE(false);
}

KTSTR_HARNESS_MAIN
