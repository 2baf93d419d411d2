// SPDX-License-Identifier: GPL-2.0-only
/* Puts the base archive together, from the cache or anew, and the small one of each run. */
#include "initramfs.h"

#include <ktstr/proto.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "cache.h"
#include "closure.h"
#include "cpio.h"
#include "erofs.h"
#include "modules.h"
#include "stage1.h"
#include "tree.h"

#define CONSOLE_MAJOR 5 /* Documentation/admin-guide/devices.txt: /dev/console */
#define CONSOLE_MINOR 1
#define MAX_DIR_DEPTH 128 /* of a directory that is added with all that is in it */
/* A file may change twice in one tick of the file system's clock without showing it. */
#define CLOCK_TICK_NS UINT64_C(100000000)
#define NS_PER_S UINT64_C(1000000000)

static int no_memory(struct ktstr_error *error)
{
	return ktstr_error__set(error, ENOMEM, "build", "initramfs", NULL);
}

/* Where @path points, from the root on. For /proc/self/exe that is the program. */
static char *absolute(const char *path)
{
	char here[PATH_MAX];
	char *result = NULL;

	if (!strncmp(path, "/proc/", 6) && (result = realpath(path, NULL)))
		return result;
	if (*path == '/')
		return strdup(path);
	if (!getcwd(here, sizeof(here)) || asprintf(&result, "%s/%s", here, path) < 0)
		return NULL;
	return result;
}

/* ---- What was asked for ---- */

/* NULL and "" differ. */
static bool key_add(struct cache_key *key, const char *text)
{
	size_t length = text ? strlen(text) + 1 : 0;
	char *p = realloc(key->data, key->length + 1 + length);

	if (!p)
		return false;
	key->data = p;
	p[key->length] = text ? '+' : '-';
	if (text)
		memcpy(p + key->length + 1, text, length);
	key->length += 1 + length;
	return true;
}

static bool key_add_path(struct cache_key *key, const char *path)
{
	char *full = path ? absolute(path) : NULL;
	bool ok = (full || !path) && key_add(key, full);

	free(full);
	return ok;
}

/* What of the key is the form of the result; the program of a first stage changes with ktstr. */
static bool key_add_form(const struct initramfs_spec *spec, struct cache_key *key)
{
	char text[64];

	if (spec->stage1)
		snprintf(text, sizeof(text), "stage1 %08lx",
			 crc32(0, stage1_start, (unsigned int)stage1_size));
	else
		snprintf(text, sizeof(text), "disk from %llu%s",
			 (unsigned long long)spec->disk_from,
			 spec->init_is_static ? ", static" : "");
	return key_add(key, text);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* "PROGRAM, SCHEDULER, N files, RELEASE"; it is shown on terminals. */
static void describe_key(const struct initramfs_spec *spec, struct cache_key *key)
{
	FILE *f = fmemopen(key->about, sizeof(key->about), "w");
	char *init = spec->init ? absolute(spec->init) : NULL;

	if (!f) {
		free(init);
		return;
	}
	fputs(spec->stage1 ? "before a disk" : init ? base_name(init) : "no init", f);
	free(init);
	if (spec->scheduler)
		fprintf(f, ", %s", base_name(spec->scheduler));
	if (spec->nr_files)
		fprintf(f, ", %zu file%s", spec->nr_files, spec->nr_files == 1 ? "" : "s");
	if (spec->kernel_release)
		fprintf(f, ", %s", spec->kernel_release);
	fclose(f);
	key->about[sizeof(key->about) - 1] = '\0';
	for (char *p = key->about; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
}

static bool make_key(const struct initramfs_spec *spec, struct cache_key *key)
{
	bool ok = key_add_form(spec, key) && key_add_path(key, spec->init) &&
		  key_add_path(key, spec->scheduler) && key_add_path(key, spec->modules_dir) &&
		  key_add_path(key, spec->kernel_config) && key_add(key, spec->kernel_release) &&
		  key_add(key, getenv("LD_LIBRARY_PATH")) && key_add(key, getenv("PATH"));

	for (size_t i = 0; ok && i < spec->nr_files; i++)
		ok = key_add_path(key, spec->files[i].host_path) &&
		     key_add(key, spec->files[i].guest_path);
	ok = ok && key_add(key, NULL);
	for (size_t i = 0; ok && spec->modules && spec->modules[i]; i++)
		ok = key_add(key, spec->modules[i]);
	describe_key(spec, key);
	return ok;
}

/* ---- What goes in ---- */

struct build {
	const struct initramfs_spec *spec;
	struct tree tree;
	struct closure closure;
	bool disk; /* it becomes an image for a disk */
};

/* What every guest has: places to mount on, and a console for PID 1's standard streams. */
static int add_skeleton(struct tree *tree, struct ktstr_error *error)
{
	static const char *const dirs[] = {"/dev", "/proc", "/sys", "/run", "/ktstr"};
	static const char *const links[] = {"/bin", "/sbin", "/lib", "/lib64"};
	int err = tree__put_dir(tree, "/tmp", 01777, error);
	struct stat st;

	for (size_t i = 0; !err && i < sizeof(dirs) / sizeof(dirs[0]); i++)
		err = tree__put_dir(tree, dirs[i], 0755, error);
	if (!err)
		err = tree__put_char(tree, "/dev/console", 0600, CONSOLE_MAJOR, CONSOLE_MINOR,
				     error);
	/* Before anything is put below them: a merged /usr is one in the guest too. */
	for (size_t i = 0; !err && i < sizeof(links) / sizeof(links[0]); i++) {
		if (!inputs__walk(&tree->inputs, links[i], &st) && S_ISLNK(st.st_mode) &&
		    !access(links[i], F_OK))
			err = tree__add_host(tree, links[i], NULL, error);
	}
	return err;
}

static int add_item(struct build *build, const char *host, const char *guest, bool found, int depth,
		    struct ktstr_error *error);

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_dir(struct build *build, const char *host, const char *guest, uint32_t mode,
		   int depth, struct ktstr_error *error)
{
	struct dirent **items = NULL;
	int err, n;

	if (depth >= MAX_DIR_DEPTH)
		return ktstr_error__set(error, ELOOP, "read directory", host, "too deep");
	if (guest)
		err = tree__put_dir(&build->tree, guest, mode, error);
	else
		err = tree__add_host(&build->tree, host, NULL, error);
	if (err)
		return err;
	n = scandir(host, &items, NULL, by_name);
	if (n < 0)
		return ktstr_error__set(error, errno, "read directory", host, NULL);
	for (int i = 0; i < n; i++) {
		char *host_item = NULL, *guest_item = NULL;
		const char *name = items[i]->d_name;

		if (!err && strcmp(name, ".") && strcmp(name, "..")) {
			if (asprintf(&host_item, "%s/%s", host, name) < 0 ||
			    (guest && asprintf(&guest_item, "%s/%s", guest, name) < 0))
				err = no_memory(error);
			else
				err = add_item(build, host_item, guest_item, true, depth + 1,
					       error);
			free(host_item);
			free(guest_item);
		}
		free(items[i]);
	}
	free(items);
	return err;
}

/* A link that was found in a directory stays one; it need not lead anywhere. */
static int add_found_link(struct build *build, const char *host, const char *guest,
			  struct ktstr_error *error)
{
	char target[PATH_MAX];
	ssize_t n = readlink(host, target, sizeof(target) - 1);

	if (n < 0)
		return ktstr_error__set(error, errno, "readlink", host, NULL);
	target[n] = '\0';
	return tree__put_symlink(&build->tree, guest ? guest : host, target, error);
}

/* @found: in a directory; sockets, pipes and devices there are left out. */
static int add_item(struct build *build, const char *host, const char *guest, bool found, int depth,
		    struct ktstr_error *error)
{
	struct inputs *inputs = &build->tree.inputs;
	struct stat st;
	int err = found ? inputs__lstat(inputs, host, &st) : inputs__stat(inputs, host, &st);

	if (err)
		return ktstr_error__set(error, -err, "open", host, NULL);
	if (S_ISLNK(st.st_mode))
		return add_found_link(build, host, guest, error);
	if (S_ISDIR(st.st_mode))
		return add_dir(build, host, guest, st.st_mode & 07777, depth, error);
	if (found && !S_ISREG(st.st_mode))
		return 0;
	return closure__add(&build->closure, host, guest, found ? CLOSURE_FOUND : CLOSURE_FILE,
			    error);
}

static int add_program(struct build *build, const char *path, const char *guest,
		       enum closure_role role, struct ktstr_error *error)
{
	char *host;
	int err;

	if (!path)
		return 0;
	host = absolute(path);
	if (!host)
		return no_memory(error);
	err = closure__add(&build->closure, host, guest, role, error);
	free(host);
	return err;
}

static int add_files(struct build *build, struct ktstr_error *error)
{
	int err = 0;

	for (size_t i = 0; !err && i < build->spec->nr_files; i++) {
		const struct ktstr_file *file = &build->spec->files[i];
		char *host = absolute(file->host_path);

		err = host ? add_item(build, host, file->guest_path, false, 0, error)
			   : no_memory(error);
		free(host);
	}
	return err;
}

static int add_kernel_config(struct build *build, const char *release, struct ktstr_error *error)
{
	char *host = absolute(build->spec->kernel_config), path[PATH_MAX];
	struct stat st;
	int err;

	if (!host)
		return no_memory(error);
	snprintf(path, sizeof(path), "/boot/config%s%s", release ? "-" : "",
		 release ? release : "");
	err = inputs__stat(&build->tree.inputs, host, &st);
	if (err)
		ktstr_error__set(error, -err, "open", host, NULL);
	else
		err = tree__put_file(&build->tree, path, 0644, host, error);
	free(host);
	return err;
}

static int add_kernel(struct build *build, struct ktstr_error *error)
{
	const struct initramfs_spec *spec = build->spec;
	const char *release = spec->kernel_release;
	char *dir = spec->modules_dir ? absolute(spec->modules_dir) : NULL;
	int err = spec->modules_dir && !dir ? no_memory(error) : 0;

	if (!release && dir && strrchr(dir, '/'))
		release = strrchr(dir, '/') + 1;
	if (!err && dir)
		err = modules__add(&build->tree, dir, release, spec->modules, error);
	if (!err && spec->kernel_config)
		err = add_kernel_config(build, release, error);
	free(dir);
	return err;
}

static int fill_stage1(struct build *build, struct ktstr_error *error)
{
	char *dir = build->spec->modules_dir ? absolute(build->spec->modules_dir) : NULL;
	const struct stage1_spec spec = {.modules_dir = dir,
					 .release = build->spec->kernel_release};
	int err = build->spec->modules_dir && !dir ? no_memory(error)
						   : stage1__fill(&build->tree, &spec, error);

	free(dir);
	return err;
}

static int fill(struct build *build, struct ktstr_error *error)
{
	int err;

	if (build->spec->stage1)
		return fill_stage1(build, error);
	err = add_skeleton(&build->tree, error);
	if (!err)
		err = add_program(build, build->spec->init, "/init",
				  build->spec->init_is_static ? CLOSURE_FOUND : CLOSURE_INIT,
				  error);
	if (!err)
		err = add_program(build, build->spec->scheduler, "/scheduler", CLOSURE_FILE, error);
	if (!err)
		err = add_files(build, error);
	return err ? err : add_kernel(build, error);
}

/* ---- Archives ---- */

static bool is_for_disk(const struct build *build)
{
	const struct initramfs_spec *spec = build->spec;

	return !spec->stage1 && spec->disk_from && tree__content(&build->tree) >= spec->disk_from &&
	       (!spec->can_be_disk || spec->can_be_disk(spec->opaque));
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void note_no_cache(struct initramfs_image *image, const char *dir, int err)
{
	if (!image->note[0])
		snprintf(image->note, sizeof(image->note), "%s: no cache of initramfs: %s", dir,
			 strerror(-err));
}

/*
 * Writes all of it, or all but @pieces, into @fd, and says its size and what it holds. An image for
 * a disk is one piece.
 */
static int write_form(struct build *build, int fd, struct pieces *pieces, uint64_t *size,
		      uint64_t *content, struct ktstr_error *error)
{
	struct cpio cpio;
	int err;

	*content = 0;
	if (build->disk)
		return erofs__write(&build->tree, fd, size, error);
	cpio__init(&cpio, fd);
	err = tree__write(&build->tree, &cpio, pieces, error);
	*size = cpio.offset;
	*content = cpio.content;
	cpio__free(&cpio);
	return err;
}

/* All in one file in memory. */
static int build_in_memory(struct build *build, struct initramfs_image *image,
			   struct ktstr_error *error)
{
	int fd = memfd_create("ktstr-initramfs", MFD_CLOEXEC), err;
	uint64_t size;

	if (fd < 0)
		return ktstr_error__set(error, errno, "memfd_create", "initramfs", NULL);
	err = write_form(build, fd, NULL, &size, &image->unpacked, error);
	if (err) {
		close(fd);
		return err;
	}
	err = initramfs_image__of_file(image, fd, size);
	return err ? ktstr_error__set(error, -err, "build", "initramfs", NULL) : 0;
}

/* Large files, then what is between them: an image that lies in the store. */
static int write_parts(struct build *build, struct cache *cache, struct pieces *pieces,
		       struct part *rest, struct initramfs_image *image)
{
	char name[STORE_NAME];
	int fd = store__create(&cache->store, name), err;
	uint64_t size, content;

	if (fd < 0)
		return fd;
	err = write_form(build, fd, pieces, &size, &content, NULL);
	if (err)
		store__abandon(&cache->store, name);
	else
		err = store__adopt(&cache->store, name, fd, rest);
	if (!err)
		err = cache__image(pieces, rest, size, content, image);
	close(fd);
	return err;
}

static int build_in_cache(struct build *build, struct cache *cache, const struct cache_key *key,
			  uint64_t start_ns, struct initramfs_image *image)
{
	struct inputs *inputs = &build->tree.inputs;
	struct pieces pieces = {.store = &cache->store};
	struct part rest = {.fd = -1};
	int err = write_parts(build, cache, &pieces, &rest, image);

	/* What changed just now may have changed again without showing it: used, but not kept. */
	if (!err && !inputs->failed && inputs->newest_ns + CLOCK_TICK_NS < start_ns) {
		int ret = cache__keep(cache, key, inputs->records, inputs->length, &pieces, &rest,
				      image->size, image->unpacked);

		if (ret)
			note_no_cache(image, cache->dir, ret);
	}
	if (rest.fd >= 0)
		close(rest.fd);
	pieces__free(&pieces);
	return err;
}

static int build_image(struct build *build, struct cache *cache, const struct cache_key *key,
		       struct initramfs_image *image, struct ktstr_error *error)
{
	uint64_t start_ns = now_ns();
	int err = fill(build, error);

	if (err)
		return err;
	build->disk = is_for_disk(build);
	if (cache) {
		err = build_in_cache(build, cache, key, start_ns, image);
		if (!err)
			return 0;
		/*
		 * Perhaps its disk is full: memory may do. When it is a file that is to go in, the
		 * next attempt says so.
		 */
		note_no_cache(image, cache->dir, err);
	}
	return build_in_memory(build, image, error);
}

static int build(const struct initramfs_spec *spec, struct cache *cache,
		 const struct cache_key *key, struct initramfs_image *image,
		 struct ktstr_error *error)
{
	struct build build = {.spec = spec};
	int err;

	closure__init(&build.closure, &build.tree, getenv("LD_LIBRARY_PATH"), getenv("PATH"));
	err = build_image(&build, cache, key, image, error);
	closure__free(&build.closure);
	tree__free(&build.tree);
	return err;
}

int initramfs__base(const struct initramfs_spec *spec, struct initramfs_image *image,
		    struct ktstr_error *error)
{
	struct cache cache = {.store.dir = -1};
	struct cache_key key = {0};
	bool cached = false;
	int err = 0;

	*image = (struct initramfs_image){0};
	if (!make_key(spec, &key)) {
		free(key.data);
		return no_memory(error);
	}
	if (spec->cache_dir) {
		err = cache__open(spec->cache_dir, &cache);
		cached = !err;
		if (err)
			note_no_cache(image, spec->cache_dir, err);
		err = 0;
	}
	if (!cached || !cache__lookup(&cache, &key, image))
		err = build(spec, cached ? &cache : NULL, &key, image, error);
	if (!err)
		image->disk = erofs__is_image(image->segments[0].fd);
	cache__close(&cache);
	free(key.data);
	if (err)
		initramfs_image__close(image);
	return err;
}

int initramfs__run_config(const void *config, size_t config_length, void **archive, size_t *length,
			  struct ktstr_error *error)
{
	struct cpio cpio;
	int err;

	cpio__init(&cpio, -1);
	err = cpio__dir(&cpio, "/ktstr", 0755, error);
	if (!err)
		err = cpio__data(&cpio, KTSTR_GUEST_CONFIG, 0644, config, config_length, error);
	if (!err)
		err = cpio__end(&cpio, error);
	if (err) {
		cpio__free(&cpio);
		return err;
	}
	*archive = cpio.pending;
	*length = cpio.nr_pending;
	return 0;
}
