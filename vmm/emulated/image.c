// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an emulated KVM host boots from: a kernel of the cache (or this machine's own) and an
 * initramfs with this program as PID 1, the libraries it has loaded now, and the modules for 9p,
 * the scratch disk and KVM.
 */
#include "emulated.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <lzma.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

/*
 * Every program that can pack itself as PID 1 of an emulated host finds its role there before main().
 * The priority puts it before the guest's own dispatch of PID 1, which has none.
 */
static void __attribute__((constructor(101))) emulated_image__dispatch(void)
{
	if (getpid() == 1 && getenv(EMULATED_INIT_ENV))
		emulated_agent__run();
}

static const char *const wanted_modules[] = { "9pnet_virtio", "9p", "virtio_blk", "btrfs", "overlay",
					      "kvm-amd" };

/* A growing list of names; an entry is there once. */
struct names {
	char **name;
	size_t count;
};

static int names__add(struct names *names, const char *name)
{
	char **grown;

	for (size_t i = 0; i < names->count; i++)
		if (!strcmp(names->name[i], name))
			return 0;
	grown = realloc(names->name, (names->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	names->name = grown;
	grown[names->count] = strdup(name);
	if (!grown[names->count])
		return -ENOMEM;
	names->count++;
	return 1;
}

static void names__free(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->name[i]);
	free(names->name);
}

struct packer {
	FILE *archive;
	uint32_t inode;
	struct names directories;
	struct ktstr_error *error;
};

/* ---- cpio newc (Documentation/driver-api/early-userspace/buffer-format.rst) ---- */

static void put_padding(FILE *archive)
{
	static const char zeroes[4];
	long at = ftell(archive);

	if (at & 3)
		fwrite(zeroes, 1, (size_t)(4 - (at & 3)), archive);
}

static void put_entry(struct packer *packer, const char *path, uint32_t mode, const void *data,
		      size_t length)
{
	const char *name = path[0] == '/' ? path + 1 : path;

	fprintf(packer->archive, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s%c",
		++packer->inode, mode, 0u, 0u, 1u, 0u, (uint32_t)length, 0u, 0u, 0u, 0u,
		(uint32_t)strlen(name) + 1, 0u, name, '\0');
	put_padding(packer->archive);
	if (length)
		fwrite(data, 1, length, packer->archive);
	put_padding(packer->archive);
}

static int put_directory(struct packer *packer, const char *path)
{
	int added = names__add(&packer->directories, path);

	if (added > 0)
		put_entry(packer, path, S_IFDIR | 0755, NULL, 0);
	return added < 0 ? added : 0;
}

static int put_parents(struct packer *packer, const char *path)
{
	char *copy = strdup(path);
	int err = copy ? 0 : -ENOMEM;

	for (char *p = copy ? strchr(copy + 1, '/') : NULL; p && !err; p = strchr(p + 1, '/')) {
		*p = '\0';
		err = put_directory(packer, copy);
		*p = '/';
	}
	free(copy);
	return err;
}

/* A whole file in memory: mmap'ed read-only. An empty file is a failure here. */
static int map_file(const char *path, const uint8_t **data, size_t *length,
		    struct ktstr_error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;
	struct stat st = { 0 };
	void *map = MAP_FAILED;

	if (fd < 0)
		return ktstr_error__set(error, errno, "open", path, NULL);
	if (!fstat(fd, &st))
		map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		err = ktstr_error__set(error, errno, "mmap", path, NULL);
	close(fd);
	*data = map;
	*length = (size_t)st.st_size;
	return err;
}

static int put_file(struct packer *packer, const char *host_path, const char *path)
{
	const uint8_t *data;
	size_t length;
	int err = map_file(host_path, &data, &length, packer->error);

	if (err)
		return err;
	err = put_parents(packer, path);
	if (!err)
		put_entry(packer, path, S_IFREG | 0755, data, length);
	munmap((void *)(uintptr_t)data, length);
	return err;
}

/* ---- this program ---- */

static int put_object(struct dl_phdr_info *info, size_t size, void *opaque)
{
	struct packer *packer = opaque;

	(void)size;
	/* The program itself has no name here, the vDSO no file. */
	if (!info->dlpi_name || info->dlpi_name[0] != '/')
		return 0;
	return put_file(packer, info->dlpi_name, info->dlpi_name);
}

static int put_self(struct packer *packer)
{
	int err = put_file(packer, "/proc/self/exe", "/init");

	if (!err)
		err = dl_iterate_phdr(put_object, packer);
	if (!err && !access("/etc/ld.so.cache", R_OK))
		err = put_file(packer, "/etc/ld.so.cache", "/etc/ld.so.cache");
	return err;
}

/* ---- modules ---- */

/* Unpacks a .ko.xz: unpacking in the emulated host would be slow. *out is malloc'ed. */
static int unpack_xz(const char *path, const uint8_t *data, size_t length, uint8_t **out,
		     size_t *out_length, struct ktstr_error *error)
{
	size_t size = length * 8 + 4096;

	for (;;) {
		uint64_t limit = UINT64_MAX;
		size_t in_at = 0, out_at = 0;
		uint8_t *buf = malloc(size);
		lzma_ret ret;

		if (!buf)
			return ktstr_error__set(error, ENOMEM, "unpack", path, NULL);
		ret = lzma_stream_buffer_decode(&limit, 0, NULL, data, &in_at, length, buf, &out_at,
						size);
		if (ret == LZMA_OK) {
			*out = buf;
			*out_length = out_at;
			return 0;
		}
		free(buf);
		if (ret != LZMA_BUF_ERROR || __builtin_mul_overflow(size, (size_t)2, &size) ||
		    size > (256u << 20))
			return ktstr_error__set(error, EINVAL, "unpack", path, "damaged xz data");
	}
}

static bool ends_with(const char *text, const char *end)
{
	size_t a = strlen(text), b = strlen(end);

	return a >= b && !strcmp(text + a - b, end);
}

/* Packs one module file; its path in the archive goes to @conf. */
static int put_module(struct packer *packer, const char *directory, const char *name, FILE *conf)
{
	char path[PATH_MAX];
	const uint8_t *data;
	uint8_t *unpacked = NULL;
	size_t length, unpacked_length = 0;
	const char *base = strrchr(name, '/');
	int err;

	base = base ? base + 1 : name;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", directory, name) >= sizeof(path))
		return ktstr_error__set(packer->error, ENAMETOOLONG, "open", name, NULL);
	err = map_file(path, &data, &length, packer->error);
	if (err)
		return err;
	if (ends_with(name, ".xz"))
		err = unpack_xz(path, data, length, &unpacked, &unpacked_length, packer->error);
	if (!err) {
		int base_length = (int)(strlen(base) - (unpacked ? 3 : 0));

		snprintf(path, sizeof(path), "/ktstr/%.*s", base_length, base);
		put_entry(packer, path, S_IFREG | 0644, unpacked ? unpacked : data,
			  unpacked ? unpacked_length : length);
		fprintf(conf, "module %s\n", path);
	}
	free(unpacked);
	munmap((void *)(uintptr_t)data, length);
	return err;
}

/* "kernel/a/kvm-amd.ko.xz" is module "kvm_amd": - and _ are the same in module names. */
static bool is_module(const char *path, size_t length, const char *name)
{
	const char *base = memrchr(path, '/', length);
	size_t at = 0;

	base = base ? base + 1 : path;
	for (; name[at]; at++) {
		char a = name[at] == '-' ? '_' : name[at], b = base[at] == '-' ? '_' : base[at];

		if (a != b)
			return false;
	}
	return !strncmp(base + at, ".ko", 3);
}

/* The line of modules.dep for @name: "path: deps...", deps in reverse load order. */
static char *find_module_line(FILE *dep, const char *name)
{
	char *line = NULL;
	size_t size = 0;

	rewind(dep);
	while (getline(&line, &size, dep) > 0) {
		char *colon = strchr(line, ':');

		if (colon && is_module(line, (size_t)(colon - line), name)) {
			line[strcspn(line, "\n")] = '\0';
			return line;
		}
	}
	free(line);
	return NULL;
}

static bool is_builtin(const char *directory, const char *name)
{
	char path[PATH_MAX + 32], *line = NULL;
	size_t size = 0;
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "%s/modules.builtin", directory);
	file = fopen(path, "re");
	while (file && !found && getline(&line, &size, file) > 0)
		found = is_module(line, strcspn(line, "\n"), name);
	free(line);
	if (file)
		fclose(file);
	return found;
}

static int put_module_closure(struct packer *packer, const char *directory, FILE *dep,
			      const char *name, struct names *done, FILE *conf)
{
	char *line = find_module_line(dep, name), *colon;
	int err = 0;

	if (!line) {
		if (is_builtin(directory, name))
			return 0;
		ktstr_error__set(packer->error, ENOENT, "modules", directory,
				 "the kernel has no %s", name);
		ktstr_error__hint(packer->error, "scripts/kernel fetch gets one that has");
		return -ENOENT;
	}
	colon = strchr(line, ':');
	*colon = '\0';
	/* Last dependency first, then the module itself. */
	for (char *space; !err && (space = strrchr(colon + 1, ' ')); *space = '\0')
		if (space[1] && names__add(done, space + 1) > 0)
			err = put_module(packer, directory, space + 1, conf);
	if (!err && names__add(done, line) > 0)
		err = put_module(packer, directory, line, conf);
	free(line);
	return err;
}

static int put_modules(struct packer *packer, const char *directory, FILE *conf)
{
	struct names done = { 0 };
	char path[PATH_MAX + 32];
	int err = 0;
	FILE *dep;

	snprintf(path, sizeof(path), "%s/modules.dep", directory);
	dep = fopen(path, "re");
	if (!dep)
		return ktstr_error__set(packer->error, errno, "open", path, NULL);
	for (size_t i = 0; i < sizeof(wanted_modules) / sizeof(wanted_modules[0]) && !err; i++)
		err = put_module_closure(packer, directory, dep, wanted_modules[i], &done, conf);
	fclose(dep);
	names__free(&done);
	return err;
}

/* ---- the whole ---- */

int emulated__cache_dir(char *buf, size_t size, struct ktstr_error *error)
{
	const char *own = getenv("KTSTR_CACHE"), *xdg = getenv("XDG_CACHE_HOME"),
		   *home = getenv("HOME");
	int n;

	if (own && *own)
		n = snprintf(buf, size, "%s", own);
	else if (xdg && *xdg)
		n = snprintf(buf, size, "%s/ktstr", xdg);
	else if (home && *home)
		n = snprintf(buf, size, "%s/.cache/ktstr", home);
	else
		return ktstr_error__set(error, ENOENT, "cache directory", "HOME", "not set");
	if ((size_t)n >= size)
		return ktstr_error__set(error, ENAMETOOLONG, "cache directory", buf, NULL);
	return 0;
}

/* The modules directory of a kernel that can be the outer one, and its image. */
static int find_kernel(char *modules, char *kernel, struct ktstr_error *error)
{
	char cache[PATH_MAX / 2], link[PATH_MAX], root[PATH_MAX];
	struct utsname uts;
	const char *release;
	int err = emulated__cache_dir(cache, sizeof(cache), error);

	if (err)
		return err;
	snprintf(link, sizeof(link), "%s/kernels/default", cache);
	if (realpath(link, root)) {
		release = strrchr(root, '/') + 1;
		if ((size_t)snprintf(modules, PATH_MAX, "%s/usr/lib/modules/%s", root, release) >=
		    PATH_MAX)
			return ktstr_error__set(error, ENAMETOOLONG, "open", root, NULL);
	} else {
		uname(&uts);
		snprintf(modules, PATH_MAX, "/lib/modules/%s", uts.release);
	}
	/* The unpacked image starts by PVH, 2.5 s sooner than one that unpacks itself. */
	for (int i = 0; i < 2; i++) {
		if ((size_t)snprintf(kernel, PATH_MAX, "%s/%s", modules, i ? "vmlinuz" : "vmlinux") <
			    PATH_MAX && !access(kernel, R_OK))
			return 0;
	}
	ktstr_error__set(error, ENOENT, "open", kernel, "no kernel for the emulated KVM host");
	ktstr_error__hint(error, "run scripts/kernel fetch");
	return -ENOENT;
}

static int put_conf(struct packer *packer, const char *modules,
		    const struct emulated_options *options)
{
	char *text = NULL;
	size_t length = 0;
	FILE *conf = open_memstream(&text, &length);
	int err;

	if (!conf)
		return ktstr_error__set(packer->error, ENOMEM, "pack", "initramfs", NULL);
	err = put_modules(packer, modules, conf);
	for (size_t i = 0; i < options->nr_writable; i++)
		fprintf(conf, "writable %s\n", options->writable[i]);
	fclose(conf);
	if (!err)
		put_entry(packer, "/ktstr/agent", S_IFREG | 0644, text, length);
	free(text);
	return err;
}

int emulated_image__create(const struct emulated_options *options, struct emulated_image *image,
			   struct ktstr_error *error)
{
	struct packer packer = { .error = error };
	char modules[PATH_MAX];
	int err, copy;

	*image = (struct emulated_image){ .initrd = -1 };
	err = find_kernel(modules, image->kernel, error);
	if (err)
		return err;
	image->initrd = memfd_create("ktstr-emulated-initramfs", MFD_CLOEXEC);
	copy = image->initrd < 0 ? -1 : fcntl(image->initrd, F_DUPFD_CLOEXEC, 3);
	packer.archive = copy < 0 ? NULL : fdopen(copy, "w");
	if (!packer.archive) {
		err = ktstr_error__set(error, errno, "memfd_create", "initramfs", NULL);
		goto out;
	}
	err = put_directory(&packer, "/ktstr");
	if (!err)
		err = put_self(&packer);
	if (!err)
		err = put_conf(&packer, modules, options);
	put_entry(&packer, "/dev/", S_IFDIR | 0755, NULL, 0);
	put_entry(&packer, "TRAILER!!!", 0, NULL, 0);
	if ((fflush(packer.archive) || ferror(packer.archive)) && !err)
		err = ktstr_error__set(error, errno, "write", "initramfs", NULL);
	if (err < 0 && error && !error->err)
		ktstr_error__set(error, -err, "pack", "initramfs", NULL);
out:
	if (packer.archive)
		fclose(packer.archive);
	else if (copy >= 0)
		close(copy);
	names__free(&packer.directories);
	if (err)
		emulated_image__close(image);
	return err;
}

void emulated_image__close(struct emulated_image *image)
{
	if (image->initrd >= 0)
		close(image->initrd);
	image->initrd = -1;
}
