/* SPDX-License-Identifier: GPL-2.0-only */
/* What fuzz targets share. Each is linked with libFuzzer (make fuzz), or with replay.c (make
 * check). */
#ifndef KTSTR_SELFTESTS_FUZZ_H
#define KTSTR_SELFTESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

/* Holds in every build; libFuzzer keeps the input that broke it. */
#define FUZZ_CHECK(condition)                                                           \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* By the linker's --wrap=crc32: bytes that the code under test has computed CRCs of. */
extern uint64_t fuzz_crc_bytes;
uLong __real_crc32(uLong crc, const Bytef *data, uInt length);

#endif /* KTSTR_SELFTESTS_FUZZ_H */
