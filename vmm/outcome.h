/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a run came to: takes everything that is seen of a guest, in the order in which it happens,
 * and decides. The first cause wins; what follows is evidence. Pure: no clock, no file, no thread.
 */
#ifndef KTSTR_VMM_OUTCOME_H
#define KTSTR_VMM_OUTCOME_H

#include <ktstr/proto.h>
#include <ktstr/vm.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTCOME_CAUSE_MAX 512u
#define OUTCOME_TEXT_MAX (1u << 20) /* bytes of each text kept */

/* Text of which the newest OUTCOME_TEXT_MAX bytes are kept; grows as it comes. */
struct outcome_text {
	char *data; /* terminated, and without other NULs; NULL while empty */
	size_t length, capacity;
	uint64_t dropped; /* bytes that went because newer ones came */
};

void outcome_text__add(struct outcome_text *text, const void *data, size_t length);
void outcome_text__free(struct outcome_text *text);

/* SCDX, as far as it is data: see struct ktstr_scheduler_end. */
struct outcome_sched {
	uint32_t kind; /* enum ktstr_scx_exit */
	int32_t cpu;   /* -1: not known */
	char reason[KTSTR_SCX_REASON_MAX + 1], message[KTSTR_SCX_MESSAGE_MAX + 1];
	struct outcome_text events, dump;
	int64_t enable_seq, hotplug_seq, nr_rejected; /* -1: not there */
};

struct outcome {
	enum ktstr_verdict verdict; /* KTSTR_VERDICT_NONE until something happened */
	char cause[OUTCOME_CAUSE_MAX];

	bool init_seen;	  /* PID 1 spoke */
	bool port_opened; /* port 1 carried something: COM2 is no longer the result */
	bool have_status;
	bool complete; /* EXIT came: nothing more does */
	bool by_com2;
	int exit_code, signal;
	uint32_t run_code; /* EXIT's */
	char skip_reason[1024];
	char scheduler_ops[128];
	char kernel_release[72];		 /* struct utsname has 65 bytes for it */
	uint32_t last_step;			 /* enum ktstr_life_step; 0: none */
	uint64_t step_ns[KTSTR_LIFE_REBOOT + 1]; /* guest CLOCK_BOOTTIME of each; 0: not yet */
	char scenario[128];			 /* the one that runs; "": none */
	uint64_t sched_started_ns, attach_ns;	 /* guest CLOCK_BOOTTIME; how long; 0: none */
	bool sched_ended;			 /* SCDX came */
	struct outcome_sched sched;

	struct outcome_text console, com2, scheduler;
};

void outcome__init(struct outcome *o);
void outcome__free(struct outcome *o);

/* Something went wrong; only the first call has an effect. */
void outcome__fail(struct outcome *o, enum ktstr_verdict verdict, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* More is known of the cause that was given last. */
void outcome__amend(struct outcome *o, const char *cause);

/* One whole, checked frame. -EPROTO: its payload is not of its type's form (then it has failed). */
int outcome__frame(struct outcome *o, uint32_t type, const uint8_t *payload, uint32_t length);

/* COM2's result: KTSTR_EXIT=@code. Without effect once port 1 was open. */
void outcome__com2_exit(struct outcome *o, int code, const char *skip_reason);
/* COM2's word on the scheduler; @kind: enum ktstr_sched_exit_kind. Likewise. */
void outcome__com2_sched_exit(struct outcome *o, uint32_t kind, const char *text);

/* The machine stopped; @reset_by_guest: it reset or powered itself off. Decides what is open. */
void outcome__finish(struct outcome *o, bool ended_by_guest, const char *how);

/* Writes what a run that did not fail as a whole came to: PASS, SKIP, XFAIL or FAIL by its status.
 */
enum ktstr_verdict outcome__status_verdict(const struct outcome *o);

/* Name of a life-cycle step for messages: "the test". */
const char *outcome__step_name(uint32_t step);

#endif /* KTSTR_VMM_OUTCOME_H */
