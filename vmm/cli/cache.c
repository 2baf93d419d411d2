// SPDX-License-Identifier: GPL-2.0-only
/* `ktstr cache`: what is kept to start machines faster, and how to make it less. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../initramfs/cache.h"
#include "../cache.h"
#include "../disk_image.h"
#include "../verified.h"
#include "cli.h"

#define INITRAMFS "initramfs"
#define NS_PER_S INT64_C(1000000000)

/* Directories whose files are whole entries: made again by whoever needs them. */
static const struct {
	const char *name, *kind, *about;
} plain[] = {{"unpacked-kernels", "kernel", "unpacked"}, {DISK_IMAGE_CACHE, "disk", "template"}};

#define NR_PLAIN (sizeof(plain) / sizeof(plain[0]))

struct item {
	const char *kind; /* of @plain; NULL: an initramfs */
	char dir[PATH_MAX];
	struct cache_entry entry;
};

struct items {
	struct item *items;
	size_t nr;
};

static void usage(FILE *to)
{
	fputs("Usage: ktstr cache list\n"
	      "       ktstr cache clean [--keep N] [--size S]\n"
	      "\n"
	      "What machines start from is kept in KTSTR_CACHE (XDG_CACHE_HOME/ktstr, "
	      "~/.cache/ktstr):\n"
	      "the initramfs of each program, whose large files are shared by all, and kernels\n"
	      "unpacked, and templates of fresh disks. All of it is made again when it is needed.\n"
	      "\n"
	      "  list       what there is, the most recently used first. SIZE: of the whole;\n"
	      "             OWN: what no entry above has as well\n"
	      "  clean      removes everything, or with\n"
	      "  --keep N   all but the N most recently used entries\n"
	      "  --size S   all but the most recently used ones that take at most S bytes "
	      "together\n"
	      "             (K, M or G behind the number: KiB, MiB, GiB)\n"
	      "\n"
	      "Running machines keep what they use. Kernels and sources that `ktstr kernel` "
	      "fetched stay.\n",
	      to);
}

static bool add(struct items *items, const struct item *item)
{
	struct item *p = reallocarray(items->items, items->nr + 1, sizeof(*p));

	if (!p)
		return false;
	items->items = p;
	p[items->nr++] = *item;
	return true;
}

/* Regular files of the directory @name of the cache. */
static int add_plain(struct items *items, const char *name, const char *kind, const char *about)
{
	struct item item = {.kind = kind};
	struct dirent *file;
	struct stat st;
	int err = 0;
	DIR *dir;

	if (cache__dir(name, item.dir, sizeof(item.dir)))
		return 0;
	dir = opendir(item.dir);
	while (dir && !err && (file = readdir(dir))) {
		if (fstatat(dirfd(dir), file->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISREG(st.st_mode) || strlen(file->d_name) >= sizeof(item.entry.name) ||
		    strstr(file->d_name, VERIFIED_SUFFIX) ||
		    disk_image__is_unfinished(file->d_name))
			continue;
		item.entry = (struct cache_entry){
			/* Templates of disks are mostly holes. */
			.size = (uint64_t)st.st_blocks * 512,
			.own = (uint64_t)st.st_blocks * 512,
			.used_ns = st.st_atim.tv_sec * NS_PER_S + st.st_atim.tv_nsec};
		strcpy(item.entry.name, file->d_name);
		snprintf(item.entry.about, sizeof(item.entry.about), "%.20s, %.120s", about,
			 file->d_name);
		err = add(items, &item) ? 0 : -ENOMEM;
	}
	if (dir)
		closedir(dir);
	return err;
}

static int add_initramfs(struct items *items, struct cache *cache)
{
	struct cache_entry *entries;
	struct item item = {0};
	size_t nr;
	int err = cache__list(cache, &entries, &nr);

	for (size_t i = 0; i < nr && !err; i++) {
		item.entry = entries[i];
		err = add(items, &item) ? 0 : -ENOMEM;
	}
	free(entries);
	return err;
}

static int most_recent_first(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->entry.used_ns != y->entry.used_ns)
		return x->entry.used_ns > y->entry.used_ns ? -1 : 1;
	return strcmp(x->entry.name, y->entry.name);
}

static int gather(struct items *items, struct cache *cache)
{
	int err = add_initramfs(items, cache);

	for (size_t i = 0; i < NR_PLAIN && !err; i++)
		err = add_plain(items, plain[i].name, plain[i].kind, plain[i].about);
	if (items->nr)
		qsort(items->items, items->nr, sizeof(*items->items), most_recent_first);
	return err;
}

static void format_bytes(uint64_t bytes, char *text, size_t size)
{
	if (bytes < 1u << 20)
		snprintf(text, size, "%.1fK", (double)bytes / 1024);
	else
		snprintf(text, size, "%.1fM", (double)bytes / (1 << 20));
}

static void print(const struct items *items)
{
	uint64_t total = 0;
	char size[16], own[16], used[24];

	printf("%-9s %8s %8s  %-16s  %s\n", "KIND", "SIZE", "OWN", "LAST USED", "WHAT");
	for (size_t i = 0; i < items->nr; i++) {
		const struct item *item = &items->items[i];
		time_t used_s = (time_t)(item->entry.used_ns / NS_PER_S);
		struct tm tm;

		format_bytes(item->entry.size, size, sizeof(size));
		format_bytes(item->entry.own, own, sizeof(own));
		localtime_r(&used_s, &tm);
		strftime(used, sizeof(used), "%Y-%m-%d %H:%M", &tm);
		printf("%-9s %8s %8s  %-16s  %s\n", item->kind ? item->kind : "initramfs", size,
		       own, used, item->entry.about[0] ? item->entry.about : "of another version");
		total += item->entry.own;
	}
	format_bytes(total, own, sizeof(own));
	printf("%-9s %8s %8s\n", "total", "", own);
}

static void clean(struct items *items, struct cache *cache, size_t keep, uint64_t bytes)
{
	size_t initramfs = 0, kept = 0;
	uint64_t total = 0;

	for (size_t i = 0; i < items->nr; i++) {
		const struct item *item = &items->items[i];
		char path[PATH_MAX + sizeof(item->entry.name) + sizeof(VERIFIED_SUFFIX)];

		total += item->entry.own;
		if (kept < keep && total <= bytes) {
			kept++;
			initramfs += !item->kind;
		} else if (item->kind) {
			snprintf(path, sizeof(path), "%s/%s", item->dir, item->entry.name);
			unlink(path);
			strcat(path, VERIFIED_SUFFIX);
			unlink(path);
		}
	}
	cache__clean(cache, initramfs, UINT64_MAX);
}

static bool parse_size(const char *text, uint64_t *bytes)
{
	char *end;
	unsigned int shift = 0;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end == text || text[0] < '0' || text[0] > '9')
		return false;
	switch (*end) {
	case 'G':
		shift += 10;
		/* fallthrough */
	case 'M':
		shift += 10;
		/* fallthrough */
	case 'K':
		shift += 10;
		end++;
		break;
	default:
		break;
	}
	*bytes = (uint64_t)n << shift;
	return !*end && *bytes >> shift == n;
}

static int parse_clean(int argc, char **argv, uint32_t *keep, uint64_t *bytes)
{
	static const struct option options[] = {{"keep", required_argument, NULL, 'k'},
						{"size", required_argument, NULL, 's'},
						{NULL, 0, NULL, 0}};
	int c;

	*keep = 0;
	*bytes = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (c == 'k' && !cli_parse_u32(optarg, 0, keep))
			return cli_bad("cache clean", "--keep", "not a number");
		if (c == 's' && !parse_size(optarg, bytes))
			return cli_bad("cache clean", "--size", "not a size, such as 500M or 2G");
		if (c == 'k' && !*bytes)
			*bytes = UINT64_MAX;
		if (c == 's' && !*keep)
			*keep = UINT32_MAX;
		if (c == '?' || c == ':')
			return cli_bad_option("cache clean", c, argv[optind - 1]);
	}
	return optind < argc ? cli_bad("cache clean", argv[optind], "takes no argument") : 0;
}

int cli_cache(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	struct items items = {0};
	struct cache cache;
	char dir[PATH_MAX];
	uint32_t keep = 0;
	uint64_t bytes = 0;
	int status, err;

	if (!strcmp(verb, "--help") || !strcmp(verb, "-h")) {
		usage(stdout);
		return 0;
	}
	if (strcmp(verb, "list") != 0 && strcmp(verb, "clean") != 0)
		return cli_bad("cache", *verb ? verb : "command missing",
			       "not list or clean; see ktstr cache --help");
	if (!strcmp(verb, "list") && argc > 2)
		return cli_bad("cache list", argv[2], "takes no argument");
	status = *verb == 'c' ? parse_clean(argc - 1, argv + 1, &keep, &bytes) : 0;
	if (status)
		return status;
	err = cache__dir(INITRAMFS, dir, sizeof(dir));
	if (!err)
		err = cache__open(dir, &cache);
	if (err)
		return cli_bad("cache", "the user's cache", strerror(-err));
	err = gather(&items, &cache);
	if (err)
		status = cli_bad("cache", dir, strerror(-err));
	else if (*verb == 'l')
		print(&items);
	else
		clean(&items, &cache, keep, bytes);
	free(items.items);
	cache__close(&cache);
	return status;
}
