/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ready payloads: programs that scheduler people measure with, and the metrics that they report.
 * None has limits beyond "it did something": a test that wants more copies one and sets them.
 */
#ifndef PAYLOADS_H
#define PAYLOADS_H

#include <ktstr/payload.h>

/* stress-ng: one CPU hog for 200 bogo operations. Needs "stress-ng". */
extern const struct ktstr_payload payload_stress_ng;
/* The same until it is stopped, for the background. */
extern const struct ktstr_payload payload_stress_ng_load;
/* cyclictest: wake-up latency of 200 cycles of 5 ms, in SCHED_OTHER. Needs "cyclictest". */
extern const struct ktstr_payload payload_cyclictest;
/* hackbench: 200 messages of each of 5 senders to 5 receivers by sockets. Needs "hackbench". */
extern const struct ktstr_payload payload_hackbench;
/* fio: 1000 reads that the null engine answers at once. Needs "fio". */
extern const struct ktstr_payload payload_fio;
/* fio: 1 MiB written to a file of /mnt, read back and compared, 8 blocks at once. Needs "fio". */
extern const struct ktstr_payload payload_fio_verify;
/* fio: four jobs, each on a CPU and a part of /dev/vda of its own, do the same. Needs "fio". */
extern const struct ktstr_payload payload_fio_parallel;
/* iperf3: two TCP streams of 2 MiB each to a server at this address. Needs "iperf3". */
#define PAYLOAD_IPERF3_SERVER "10.0.0.2"
extern const struct ktstr_payload payload_iperf3_tcp;
/* The same, UDP: 1 Mbit/s for 2 s, of which nothing is lost. */
extern const struct ktstr_payload payload_iperf3_udp;
/* rt-app: a task of 100 us each 20 ms. Needs "rt-app" and "./rt-app.json". */
extern const struct ktstr_payload payload_rt_app;
/* schbench: two workers for 2 s. Needs "schbench". */
extern const struct ktstr_payload payload_schbench;

#endif /* PAYLOADS_H */
