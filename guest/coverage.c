// SPDX-License-Identifier: GPL-2.0-only
/* Counters of coverage in shared memory, and the profile of them. */
#include "coverage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Of clang's runtime; there in a program that was linked with -fprofile-instr-generate alone. */
char *__llvm_profile_begin_counters(void) __attribute__((weak));
char *__llvm_profile_end_counters(void) __attribute__((weak));
uint64_t __llvm_profile_get_size_for_buffer(void) __attribute__((weak));
int __llvm_profile_write_buffer(char *buffer) __attribute__((weak));
void __llvm_profile_set_dumped(void) __attribute__((weak));
/* The runtime's own, of which the first is another name unless the compiler has made one. */
extern intptr_t __llvm_profile_counter_bias __attribute__((weak));
extern intptr_t __llvm_profile_counter_bias_default __attribute__((weak));

bool coverage__runtime(struct coverage_runtime *runtime)
{
	*runtime = (struct coverage_runtime){
		.begin = __llvm_profile_begin_counters,
		.end = __llvm_profile_end_counters,
		.size = __llvm_profile_get_size_for_buffer,
		.write = __llvm_profile_write_buffer,
		.set_dumped = __llvm_profile_set_dumped,
	};
	if (&__llvm_profile_counter_bias != &__llvm_profile_counter_bias_default)
		runtime->bias = &__llvm_profile_counter_bias;
	return runtime->begin && runtime->end && runtime->size && runtime->write;
}

int coverage__start(struct coverage *coverage, const struct coverage_runtime *runtime)
{
	char *begin = runtime->begin();
	size_t length = (size_t)(runtime->end() - begin);
	void *shared;

	*coverage = (struct coverage){.runtime = *runtime};
	if (runtime->set_dumped)
		runtime->set_dumped();
	if (!runtime->bias)
		return -ENOTSUP;
	if (!length)
		return 0;
	shared = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return -ENOMEM;
	coverage->shared = shared;
	coverage->counters = length / sizeof(*coverage->shared);
	/*
	 * A function that has begun goes on with the place that it began with: its counts, and
	 * those from before, stay where they are and are added at the end.
	 */
	*runtime->bias = (intptr_t)((uintptr_t)shared - (uintptr_t)begin);
	return 0;
}

int coverage__take(struct coverage *coverage, void **profile, size_t *length)
{
	const struct coverage_runtime *runtime = &coverage->runtime;
	char *begin = runtime->begin();
	uint64_t size = runtime->size(), value;
	char *buffer = malloc(size);
	int ret = 0;

	if (!buffer)
		return -ENOMEM;
	for (size_t i = 0; i < coverage->counters; i++) {
		char *at = begin + i * sizeof(value);

		memcpy(&value, at, sizeof(value));
		value += __atomic_exchange_n(&coverage->shared[i], 0, __ATOMIC_RELAXED);
		memcpy(at, &value, sizeof(value));
	}
	if (runtime->write(buffer))
		ret = -EIO;
	memset(begin, 0, (size_t)(runtime->end() - begin));
	if (ret) {
		free(buffer);
		return ret;
	}
	*profile = buffer;
	*length = size;
	return 0;
}
