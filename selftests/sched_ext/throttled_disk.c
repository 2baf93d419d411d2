// SPDX-License-Identifier: GPL-2.0-only
/* fio on the disk at /mnt, and what the disk did meanwhile, held to the disk's rate. */
#include "throttled_disk.h"

#include <ktstr/payload.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "payloads.h"

/* Of the rate, by fio: a disk that stands still. A slow CPU may leave little more of it. */
#define LEAST 0.1
/* Of the rate, by what the disk did: two clocks, each of them right to 1 %. */
#define MOST 1.02
/* In any time: one that is free after a pause, and what began before it (fio's --iodepth). */
#define AT_ONCE (1 + 8)

#define SAMPLE_MS 100
#define MAX_SAMPLES 2048
#define SHORTEST_S 1.0 /* AT_ONCE is a part of the rate then, and not all */

/* The disk had done so many reads and writes at a time between the two. */
struct sample {
	double before, after;
	uint64_t operations;
};

struct sampler {
	_Atomic bool stop;
	size_t nr;
	struct sample samples[MAX_SAMPLES];
};

/* "/dev/vda /mnt btrfs rw,..." */
static bool is_mounted(const char *fs)
{
	FILE *mounts = fopen("/proc/mounts", "re");
	char line[512], wanted[64];
	bool found = false;

	snprintf(wanted, sizeof(wanted), "/dev/vda /mnt %s rw,", fs);
	while (mounts && !found && fgets(line, sizeof(line), mounts))
		found = !strncmp(line, wanted, strlen(wanted));
	if (mounts)
		fclose(mounts);
	return found;
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool take_sample(struct sample *sample)
{
	FILE *stat = fopen("/sys/block/vda/stat", "re");
	unsigned long long reads, writes;
	bool ok;

	sample->before = now_s();
	ok = stat && fscanf(stat, "%llu %*u %*u %*u %llu", &reads, &writes) == 2;
	sample->after = now_s();
	sample->operations = ok ? reads + writes : 0;
	if (stat)
		fclose(stat);
	return ok;
}

static void *take_samples(void *opaque)
{
	const struct timespec pause = {.tv_nsec = SAMPLE_MS * 1000000};
	struct sampler *s = opaque;

	while (s->nr < MAX_SAMPLES && take_sample(&s->samples[s->nr])) {
		s->nr++;
		if (s->stop)
			break;
		nanosleep(&pause, NULL);
	}
	return NULL;
}

/* fio, with what it must reach. */
static bool run_fio(char *why, size_t size)
{
	struct ktstr_payload fio = payload_fio_verify;
	struct ktstr_payload_result result;
	struct ktstr_metric metrics[8] = {{.name = NULL}};

	for (size_t i = 0; payload_fio_verify.metrics[i].name; i++) {
		metrics[i] = payload_fio_verify.metrics[i];
		if (strstr(metrics[i].name, "_iops"))
			metrics[i].minimum =
				(struct ktstr_limit)KTSTR_LIMIT(LEAST * THROTTLED_IOPS);
	}
	fio.metrics = metrics;
	if (!ktstr_payload_run(&fio, &result))
		return true;
	snprintf(why, size, "%s", result.problem);
	return false;
}

/* Between any two samples the disk did no more than its rate allows. */
static bool check_rate(const struct sampler *s, char *why, size_t size)
{
	double greatest = 0;

	for (size_t i = 0; i < s->nr; i++) {
		for (size_t j = i + 1; j < s->nr; j++) {
			const struct sample *a = &s->samples[i], *b = &s->samples[j];
			double took = b->after - a->before;
			double did = (double)(b->operations - a->operations);

			if (took < SHORTEST_S)
				continue;
			if (did / took > greatest)
				greatest = did / took;
			if (did <= took * THROTTLED_IOPS * MOST + AT_ONCE)
				continue;
			snprintf(why, size, "the disk did %.0f operations in %.3f s", did, took);
			return false;
		}
	}
	printf("# disk: %zu samples, at most %.1f operations a second\n", s->nr, greatest);
	if (greatest >= LEAST * THROTTLED_IOPS)
		return true;
	snprintf(why, size, "the samples show %.1f operations a second at most", greatest);
	return false;
}

const char *throttled_disk__check(const char *fs, char *why, size_t size)
{
	static struct sampler sampler;
	pthread_t thread;
	bool ok;

	if (!is_mounted(fs)) {
		snprintf(why, size, "/dev/vda is not mounted at /mnt as %s", fs);
		return why;
	}
	if (pthread_create(&thread, NULL, take_samples, &sampler)) {
		snprintf(why, size, "no thread");
		return why;
	}
	ok = run_fio(why, size);
	sampler.stop = true;
	pthread_join(thread, NULL);
	return ok && check_rate(&sampler, why, size) ? NULL : why;
}
