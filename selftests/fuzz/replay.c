// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fuzz target without libFuzzer: runs it on every file of its corpus, and (unless FUZZ_WHOLE is
 * set) on beginnings of each, of all lengths where they are not many, and says so in TAP. What a
 * check of the target finds ends the program, as with libFuzzer.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#define INPUT_LENGTH 65536u
#define MAX_BEGINNINGS 200u

static int is_input(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static bool replay(const char *path)
{
	uint8_t *data = malloc(INPUT_LENGTH);
	FILE *f = fopen(path, "re");
	bool whole = data && f;

	if (whole) {
		size_t size = fread(data, 1, INPUT_LENGTH, f), step = size / MAX_BEGINNINGS + 1;

		whole = feof(f);
		for (size_t n = getenv("FUZZ_WHOLE") ? size : size % step; n <= size; n += step) {
			/* of its own, so that a sanitizer sees what is read beyond it */
			uint8_t *input = malloc(n ? n : 1);

			if (!input)
				abort();
			memcpy(input, data, n);
			LLVMFuzzerTestOneInput(input, n);
			free(input);
		}
	}
	if (f)
		fclose(f);
	free(data);
	return whole;
}

int main(int argc, char **argv)
{
	const char *directory = argc > 1 ? argv[1] : FUZZ_CORPUS;
	struct dirent **entries;
	int count, failed = 0;

	count = scandir(directory, &entries, is_input, alphasort);
	if (count <= 0) {
		printf("Bail out! %s: %s\n", directory, count ? strerror(errno) : "is empty");
		return 1;
	}
	printf("TAP version 13\n1..%d\n", count);
	for (int i = 0; i < count; i++) {
		char path[4096];
		bool done;

		snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
		done = replay(path);
		failed |= !done;
		printf("%sok %d %s\n", done ? "" : "not ", i + 1, entries[i]->d_name);
		fflush(stdout);
		free(entries[i]);
	}
	free(entries);
	return failed;
}
