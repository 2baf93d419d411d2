/* SPDX-License-Identifier: GPL-2.0-only */
/* A profile runtime for guest/coverage.h: three counters, and a profile that is these alone. */
#ifndef FAKE_PROFILE_H
#define FAKE_PROFILE_H

#include <string.h>

#include "guest/coverage.h"

#define FAKE_COUNTERS 3

static struct {
	uint64_t counters[FAKE_COUNTERS];
	intptr_t bias;
	uint64_t size;
	int result;
	bool dumped;
} fake_profile = {.size = sizeof(fake_profile.counters)};

/* As the compiler does it. */
static inline void fake_profile__count(unsigned int counter)
{
	++*(uint64_t *)((uintptr_t)&fake_profile.counters[counter] + (uintptr_t)fake_profile.bias);
}

static inline char *fake_profile__begin(void)
{
	return (char *)fake_profile.counters;
}

static inline char *fake_profile__end(void)
{
	return (char *)(fake_profile.counters + FAKE_COUNTERS);
}

static inline uint64_t fake_profile__size(void)
{
	return fake_profile.size;
}

static inline int fake_profile__write(char *profile)
{
	memset(profile, 0, fake_profile.size);
	memcpy(profile, fake_profile.counters, sizeof(fake_profile.counters));
	return fake_profile.result;
}

static inline void fake_profile__set_dumped(void)
{
	fake_profile.dumped = true;
}

static const struct coverage_runtime fake_profile_runtime = {
	.begin = fake_profile__begin,
	.end = fake_profile__end,
	.bias = &fake_profile.bias,
	.size = fake_profile__size,
	.write = fake_profile__write,
	.set_dumped = fake_profile__set_dumped,
};

#endif /* FAKE_PROFILE_H */
