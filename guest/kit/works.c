// SPDX-License-Identifier: GPL-2.0-only
/* The kinds of work by number. */
#include "works.h"

static const struct work_ops *const kinds[KTSTR_NR_WORKS] = {
	[KTSTR_WORK_SPIN] = &work_spin,		[KTSTR_WORK_YIELD] = &work_yield,
	[KTSTR_WORK_BURST] = &work_burst,	[KTSTR_WORK_IO] = &work_io,
	[KTSTR_WORK_PIPE] = &work_pipe,		[KTSTR_WORK_FUTEX] = &work_futex,
	[KTSTR_WORK_FANOUT] = &work_fanout,	[KTSTR_WORK_MUTEX] = &work_mutex,
	[KTSTR_WORK_CACHE] = &work_cache,	[KTSTR_WORK_FORK] = &work_fork,
	[KTSTR_WORK_FAULT] = &work_fault,	[KTSTR_WORK_NICE] = &work_nice,
	[KTSTR_WORK_AFFINITY] = &work_affinity, [KTSTR_WORK_POLICY] = &work_policy,
	[KTSTR_WORK_PERIODIC] = &work_periodic, [KTSTR_WORK_CUSTOM] = &work_custom,
};

const struct work_ops *works__ops(enum ktstr_work_kind kind)
{
	return (uint32_t)kind < KTSTR_NR_WORKS ? kinds[kind] : NULL;
}

const char *ktstr_work__name(enum ktstr_work_kind kind)
{
	const struct work_ops *ops = works__ops(kind);

	return ops ? ops->name : "none";
}

uint32_t works__multiple(enum ktstr_work_kind kind)
{
	const struct work_ops *ops = works__ops(kind);

	return ops && ops->multiple ? ops->multiple : 1;
}

uint32_t works__least(enum ktstr_work_kind kind)
{
	const struct work_ops *ops = works__ops(kind);

	return ops && ops->least ? ops->least : works__multiple(kind);
}
