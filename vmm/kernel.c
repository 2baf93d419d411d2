// SPDX-License-Identifier: GPL-2.0-only
/* Finds kernels: images by their first bytes, versions in the cache and in /lib/modules. */
#include "kernel.h"

#include <ctype.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../initramfs/decompress.h"
#include "arch/arch.h"
#include "kernel_format.h"

/* Documentation/arch/x86/boot.rst: offset of the string, less 0x200; 0: none */
#define BZ_KERNEL_VERSION 0x20e
#define BZ_KERNEL_VERSION_BASE 0x200u
/* More does not come out of a packed one. */
#define UNPACKED_MAX ((size_t)512 << 20)

#define BANNER "Linux version "
/* Debian ships a System.map of one line that says where the real one is. */
#define SYSTEM_MAP_MIN 4096

#define FETCH_HINT \
	"`scripts/kernel fetch` gets one with sched_ext; KTSTR_KERNEL or --kernel names another"

/*
 * What a path leads to, without links: realpath() in one walk, for on a remote file system each
 * component of each walk is a round trip. With @type it must be a readable thing of that kind.
 * False: errno says why, 0 when it is something else.
 */
static bool canonical(const char *path, mode_t type, char out[PATH_MAX])
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	char self[32], link[PATH_MAX];
	struct stat st;
	ssize_t length = -1;

	if (fd < 0)
		return false;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	errno = 0;
	if (!type || (!fstat(fd, &st) && (st.st_mode & S_IFMT) == type &&
		      !faccessat(fd, "", R_OK, AT_EMPTY_PATH)))
		length = readlink(self, link, sizeof(link) - 1);
	close(fd);
	if (length <= 0)
		return false;
	memcpy(out, link, (size_t)length);
	out[length] = '\0';
	return true;
}

/* Puts a path together. False: too long, or it is not a readable thing of that kind. */
__attribute__((format(printf, 3, 4))) static bool have(mode_t type, char out[PATH_MAX],
						       const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(path, sizeof(path), fmt, args);
	va_end(args);
	return n >= 0 && (size_t)n < sizeof(path) && canonical(path, type, out);
}

/* A release is one path component. */
static void set_release(struct kernel *out, const char *text, size_t max)
{
	size_t length = 0;

	while (length < max && isgraph((unsigned char)text[length]) && text[length] != '/')
		length++;
	if (length >= sizeof(out->release) || (length && text[0] == '.'))
		return;
	memcpy(out->release, text, length);
	out->release[length] = '\0';
}

/* ---- Images ---- */

static void release_of_bzimage(const unsigned char *data, size_t size, struct kernel *out)
{
	uint16_t version;
	size_t offset;

	memcpy(&version, data + BZ_KERNEL_VERSION, sizeof(version));
	offset = version + BZ_KERNEL_VERSION_BASE;
	if (version && offset < size)
		set_release(out, (const char *)data + offset, size - offset);
}

static void release_from_banner(const unsigned char *data, size_t size, struct kernel *out)
{
	const size_t length = sizeof(BANNER) - 1;
	const unsigned char *end = data + size, *at = data;

	/* "Linux version %s" and the like are there too: a release begins with a digit. */
	while ((at = memmem(at, (size_t)(end - at), BANNER, length))) {
		at += length;
		if (at < end && isdigit(*at)) {
			set_release(out, (const char *)at, (size_t)(end - at));
			return;
		}
	}
}

/* What is packed, and cannot be unpacked here, has none: loading it will say why. */
static void release_of_packed(const unsigned char *data, size_t size,
			      const struct kernel_format *format, struct kernel *out)
{
	struct decompressed unpacked = {0};

	if (format->packed_start > size || format->packed_length > size - format->packed_start ||
	    decompress(data + format->packed_start, format->packed_length, UNPACKED_MAX, &unpacked))
		return;
	release_from_banner(unpacked.data, unpacked.length, out);
	free(unpacked.data);
}

/* Returns e_machine; EM_NONE: it is not known for which, or no kernel at all (*form says so). */
static uint16_t read_format(const unsigned char *data, size_t size, enum kernel_form *form,
			    struct kernel *out)
{
	struct kernel_format format = kernel_format__of(data, size);

	*form = format.form;
	if (format.form == KERNEL_VMLINUX || format.form == KERNEL_IMAGE)
		release_from_banner(data, size, out);
	/* What tells it from a program is the banner. */
	if (format.form == KERNEL_VMLINUX && !out->release[0])
		*form = KERNEL_NONE;
	if (format.machine != arch__this->elf_machine)
		return format.machine;
	if (format.form == KERNEL_BZIMAGE)
		release_of_bzimage(data, size, out);
	else if (format.form == KERNEL_GZIP || format.form == KERNEL_ZBOOT)
		release_of_packed(data, size, &format, out);
	return format.machine;
}

static int refuse(const char *path, enum kernel_form form, uint16_t machine,
		  struct ktstr_error *error)
{
	const char *ours = kernel_format__machine_name(arch__this->elf_machine);

	if (form == KERNEL_NONE)
		ktstr_error__set(error, ENOEXEC, "read kernel", path, "not a kernel image");
	else
		ktstr_error__set(error, ENOEXEC, "read kernel", path,
				 "a kernel for %s, and this ktstr is for %s",
				 kernel_format__machine_name(machine), ours);
	ktstr_error__hint(error, "give one for %s: %s, a build tree or a version", ours,
			  arch__this->kernel_forms);
	return -ENOEXEC;
}

static int read_image(const char *path, struct kernel *out, struct ktstr_error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	enum kernel_form form = KERNEL_NONE;
	uint16_t machine = EM_NONE;
	struct stat st;
	void *data;

	if (fd < 0)
		return ktstr_error__set(error, errno, "open kernel", path, NULL);
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0) {
		data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (data != MAP_FAILED) {
			machine = read_format(data, (size_t)st.st_size, &form, out);
			munmap(data, (size_t)st.st_size);
		}
	}
	close(fd);
	return form != KERNEL_NONE && machine == arch__this->elf_machine
		       ? 0
		       : refuse(path, form, machine, error);
}

/* ---- What belongs to an image ---- */

/* False: there is nowhere to keep anything. */
static bool cache_kernels(char out[PATH_MAX])
{
	const char *cache = getenv("KTSTR_CACHE"), *xdg = getenv("XDG_CACHE_HOME"),
		   *home = getenv("HOME");

	if (cache && *cache)
		return have(S_IFDIR, out, "%s/kernels", cache);
	if (xdg && *xdg)
		return have(S_IFDIR, out, "%s/ktstr/kernels", xdg);
	return home && *home && have(S_IFDIR, out, "%s/.cache/ktstr/kernels", home);
}

static void find_config(struct kernel *out, const char *dir)
{
	const char *release = out->release;
	bool known = *release;

	if ((known && have(S_IFREG, out->config, "%s/config-%s", dir, release)) ||
	    have(S_IFREG, out->config, "%s/config", dir) ||
	    have(S_IFREG, out->config, "%s/.config", dir) || !known)
		return;
	if (*out->modules_dir && have(S_IFREG, out->config, "%s/config", out->modules_dir))
		return;
	have(S_IFREG, out->config, "/boot/config-%s", release);
}

static void find_modules(struct kernel *out, const char *dir)
{
	const char *release = out->release;
	char kernels[PATH_MAX], unused[PATH_MAX];

	if (have(S_IFREG, unused, "%s/modules.dep", dir) ||
	    have(S_IFREG, unused, "%s/modules.builtin", dir)) {
		have(S_IFDIR, out->modules_dir, "%s", dir);
		return;
	}
	if (!*release || have(S_IFDIR, out->modules_dir, "%s/lib/modules/%s", dir, release) ||
	    have(S_IFDIR, out->modules_dir, "%s/../lib/modules/%s", dir, release) ||
	    have(S_IFDIR, out->modules_dir, "/lib/modules/%s", release))
		return;
	if (cache_kernels(kernels))
		have(S_IFDIR, out->modules_dir, "%s/%s/usr/lib/modules/%s", kernels, release,
		     release);
}

static void find_system_map(struct kernel *out, const char *dir)
{
	struct stat st;

	if (!(*out->release &&
	      have(S_IFREG, out->system_map, "%s/System.map-%s", dir, out->release)) &&
	    !have(S_IFREG, out->system_map, "%s/System.map", dir))
		out->system_map[0] = '\0';
	if (*out->system_map && (stat(out->system_map, &st) || st.st_size < SYSTEM_MAP_MIN))
		out->system_map[0] = '\0';
}

/* include/config/kernel.release of a build tree, which is right where the image's may be old. */
static void read_tree_release(struct kernel *out, const char *tree)
{
	char path[PATH_MAX], text[sizeof(out->release)];
	FILE *file;

	if (!have(S_IFREG, path, "%s/include/config/kernel.release", tree))
		return;
	file = fopen(path, "re");
	if (!file)
		return;
	if (!*out->release && fgets(text, sizeof(text), file))
		set_release(out, text, strlen(text));
	fclose(file);
}

/* Modules of a build tree: an installed directory that says it came from there. */
static void find_tree_modules(struct kernel *out, const char *tree)
{
	char build[PATH_MAX], dir[PATH_MAX];

	if (!*out->release || !have(S_IFDIR, dir, "/lib/modules/%s", out->release))
		return;
	if (have(S_IFDIR, build, "%s/build", dir) && !strcmp(build, tree))
		strcpy(out->modules_dir, dir);
}

static int from_tree(const char *tree, const char *image, struct kernel *out,
		     struct ktstr_error *error)
{
	int err = read_image(image, out, error);

	if (err)
		return err;
	strcpy(out->image, image);
	read_tree_release(out, tree);
	find_tree_modules(out, tree);
	have(S_IFREG, out->config, "%s/.config", tree);
	find_system_map(out, tree);
	return 0;
}

/* The build tree that @image lies in as @where (its path there). */
static bool tree_of(const char *image, const char *where, char tree[PATH_MAX])
{
	size_t length = strlen(image), tail = strlen(where);
	char unused[PATH_MAX];

	if (length <= tail + 1 || strcmp(image + length - tail, where) ||
	    image[length - tail - 1] != '/')
		return false;
	memcpy(tree, image, length - tail - 1);
	tree[length - tail - 1] = '\0';
	return have(S_IFREG, unused, "%s/include/config/kernel.release", tree);
}

static int from_image(const char *path, struct kernel *out, struct ktstr_error *error)
{
	char tree[PATH_MAX], image[PATH_MAX];
	int err;

	if (!canonical(path, 0, image))
		return ktstr_error__set(error, errno, "open kernel", path, NULL);
	if (tree_of(image, arch__this->tree_image, tree) || tree_of(image, "vmlinux", tree))
		return from_tree(tree, image, out, error);
	err = read_image(image, out, error);
	if (err)
		return err;
	strcpy(out->image, image);
	strcpy(tree, image);
	*strrchr(tree, '/') = '\0';
	find_modules(out, tree);
	find_config(out, tree);
	find_system_map(out, tree);
	return 0;
}

/* ---- Directories and versions ---- */

/* A directory lib/modules/RELEASE that has the image too, or whose image is in /boot. */
static bool image_of_modules(const char *dir, const char *release, char image[PATH_MAX])
{
	return have(S_IFREG, image, "%s/vmlinuz", dir) || have(S_IFREG, image, "%s/vmlinux", dir) ||
	       have(S_IFREG, image, "%s/Image", dir) ||
	       have(S_IFREG, image, "/boot/vmlinuz-%s", release);
}

static int from_modules(const char *dir, const char *release, const char *image, struct kernel *out,
			struct ktstr_error *error)
{
	int err = from_image(image, out, error);

	if (err)
		return err;
	/* The directory's name is what the kernel itself will look for. */
	set_release(out, release, strlen(release));
	have(S_IFDIR, out->modules_dir, "%s", dir);
	if (!*out->config)
		find_config(out, dir);
	return 0;
}

static bool newest(const char *root, const char *below, const char *version, char dir[PATH_MAX],
		   char release[NAME_MAX + 1], char image[PATH_MAX]);

/* A directory that has the files of a kernel's packages, whatever its own name is. */
static bool has_release(const char *dir, char modules[PATH_MAX], char release[NAME_MAX + 1],
			char image[PATH_MAX])
{
	static const char *const below[] = {"usr/lib/modules", "lib/modules"};
	char root[PATH_MAX];

	for (size_t i = 0; i < sizeof(below) / sizeof(below[0]); i++)
		if (have(S_IFDIR, root, "%s/%s", dir, below[i]) &&
		    newest(root, "", "", modules, release, image))
			return true;
	return false;
}

static int from_dir(const char *spec, struct kernel *out, struct ktstr_error *error)
{
	char dir[PATH_MAX], image[PATH_MAX], modules[PATH_MAX], release[NAME_MAX + 1];
	const char *base;

	if (!canonical(spec, 0, dir))
		return ktstr_error__set(error, errno, "open kernel", spec, NULL);
	if (have(S_IFREG, image, "%s/%s", dir, arch__this->tree_image))
		return from_tree(dir, image, out, error);
	/* x86: bzImage is a link that "make" puts there; vmlinux alone will do */
	if (have(S_IFREG, modules, "%s/include/config/kernel.release", dir) &&
	    have(S_IFREG, image, "%s/vmlinux", dir))
		return from_tree(dir, image, out, error);
	base = strrchr(dir, '/') + 1;
	if (image_of_modules(dir, base, image))
		return from_modules(dir, base, image, out, error);
	if (have(S_IFDIR, modules, "%s/usr/lib/modules/%s", dir, base) &&
	    image_of_modules(modules, base, image))
		return from_modules(modules, base, image, out, error);
	if (has_release(dir, modules, release, image))
		return from_modules(modules, release, image, out, error);
	ktstr_error__set(error, ENOENT, "find kernel", dir, "no kernel image in this directory");
	ktstr_error__hint(error, "build it (make), or give the image itself");
	return -ENOENT;
}

/* "7.3" is the beginning of "7.3.4" but not of "7.30"; "" of all. */
static bool matches(const char *release, const char *version)
{
	size_t length = strlen(version);

	if (strncmp(release, version, length))
		return false;
	return !length || !isdigit((unsigned char)version[length - 1]) ||
	       !isdigit((unsigned char)release[length]);
}

/* The newest release below @root that matches; one that is named in full comes first. */
static bool newest(const char *root, const char *below, const char *version, char dir[PATH_MAX],
		   char release[NAME_MAX + 1], char image[PATH_MAX])
{
	DIR *stream = opendir(root);
	struct dirent *item;

	release[0] = '\0';
	while (stream && (item = readdir(stream))) {
		const char *name = item->d_name;
		char this_dir[PATH_MAX], this_image[PATH_MAX];

		if (*name == '.' || !strcmp(name, "default") || !matches(name, version) ||
		    !have(S_IFDIR, this_dir, "%s/%s%s%s", root, name, below, *below ? name : "") ||
		    !image_of_modules(this_dir, name, this_image))
			continue;
		if (*release && (!strcmp(release, version) ||
				 (strcmp(name, version) && strverscmp(name, release) < 0)))
			continue;
		strcpy(dir, this_dir);
		strcpy(release, name);
		strcpy(image, this_image);
	}
	if (stream)
		closedir(stream);
	return *release;
}

static int from_version(const char *version, struct kernel *out, struct ktstr_error *error)
{
	char kernels[PATH_MAX], dir[PATH_MAX], image[PATH_MAX], release[NAME_MAX + 1];

	if (cache_kernels(kernels) &&
	    newest(kernels, "/usr/lib/modules/", version, dir, release, image))
		return from_modules(dir, release, image, out, error);
	if (newest("/lib/modules", "", version, dir, release, image))
		return from_modules(dir, release, image, out, error);
	ktstr_error__set(error, ENOENT, "find kernel", version,
			 "neither a file nor a version in the cache or in /lib/modules");
	ktstr_error__hint(error, FETCH_HINT);
	return -ENOENT;
}

static bool find_beside(char path[PATH_MAX])
{
	char self[PATH_MAX], *slash;
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length <= 0)
		return false;
	self[length] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return false;
	*slash = '\0';
	return have(S_IFREG, path, "%s/ktstr-kernel", self) ||
	       have(S_IFDIR, path, "%s/ktstr-kernel", self) ||
	       have(S_IFREG, path, "%s/../ktstr-kernel", self) ||
	       have(S_IFDIR, path, "%s/../ktstr-kernel", self);
}

int kernel__beside(struct kernel *out, struct ktstr_error *error)
{
	char path[PATH_MAX];
	struct stat st;

	*out = (struct kernel){0};
	if (!find_beside(path) || stat(path, &st))
		return 1;
	return S_ISDIR(st.st_mode) ? from_dir(path, out, error) : from_image(path, out, error);
}

/* The newest that is installed, when it has sched_ext. */
static bool from_installed(struct kernel *out)
{
	char dir[PATH_MAX], release[NAME_MAX + 1], image[PATH_MAX];

	return newest("/lib/modules", "", "", dir, release, image) &&
	       !from_modules(dir, release, image, out, NULL) &&
	       kernel__config_has(out, "CONFIG_SCHED_CLASS_EXT") == 1;
}

static int from_default(struct kernel *out, struct ktstr_error *error)
{
	char kernels[PATH_MAX], dir[PATH_MAX], image[PATH_MAX];
	const struct kernel none = {0};
	struct utsname self;
	int err = kernel__beside(out, error);

	if (err <= 0)
		return err;
	if (cache_kernels(kernels) && have(S_IFDIR, dir, "%s/default", kernels))
		return from_dir(dir, out, error);
	if (!uname(&self) &&
	    (have(S_IFREG, image, "/lib/modules/%s/vmlinuz", self.release) ||
	     have(S_IFREG, image, "/boot/vmlinuz-%s", self.release)) &&
	    !from_image(image, out, NULL) && kernel__config_has(out, "CONFIG_SCHED_CLASS_EXT") == 1)
		return 0;
	*out = none;
	if (from_installed(out))
		return 0;
	*out = none;
	ktstr_error__set(error, ENOENT, "find kernel", "default",
			 "none in the cache, and the installed ones have no sched_ext or no image");
	ktstr_error__hint(error, FETCH_HINT);
	return -ENOENT;
}

int kernel__resolve(const char *spec, struct kernel *out, struct ktstr_error *error)
{
	struct stat st;

	*out = (struct kernel){0};
	if (!spec || !*spec)
		spec = getenv("KTSTR_KERNEL");
	if (!spec || !*spec)
		return from_default(out, error);
	if (!stat(spec, &st))
		return S_ISDIR(st.st_mode) ? from_dir(spec, out, error)
					   : from_image(spec, out, error);
	if (errno != ENOENT || strchr(spec, '/'))
		return ktstr_error__set(error, errno, "open kernel", spec, NULL);
	return from_version(spec, out, error);
}

int kernel__config_has(const struct kernel *kernel, const char *option)
{
	size_t length = strlen(option), capacity = 0;
	char *line = NULL;
	int result = 0;
	FILE *file;

	if (!*kernel->config)
		return -ENOENT;
	file = fopen(kernel->config, "re");
	if (!file)
		return -errno;
	while (!result && getline(&line, &capacity, file) > 0) {
		if (!strncmp(line, option, length) && line[length] == '=')
			result = line[length + 1] == 'm' ? 2 : line[length + 1] != 'n';
	}
	free(line);
	fclose(file);
	return result;
}
