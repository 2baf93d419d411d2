// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an emulated KVM host boots from: a kernel beside the program, of the cache, or this
 * machine's own, and an initramfs with this program as PID 1, the libraries it has loaded now, and
 * the modules for 9p, the scratch disk and KVM. Or, of a system in a directory: its kernel, and a
 * static program.
 */
#include "emulated.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../../initramfs/copy.h"
#include "../../initramfs/initramfs.h"
#include "../cache.h"
#include "../kernel.h"

/*
 * Every program that can pack itself as PID 1 of an emulated host finds its role there before
 * main(). The priority puts it before the guest's own dispatch of PID 1, which has none.
 */
static void __attribute__((constructor(101))) emulated_image__dispatch(void)
{
	if (getpid() == 1 && getenv(EMULATED_INIT_ENV))
		emulated_agent__run();
}

/* The machine that runs the programs of @agent. NULL: @error says why. */
static const struct emulated_machine *machine_of(const char *agent, struct ktstr_error *error)
{
	const struct emulated_machine *machine;
	Elf64_Ehdr header = {0};
	int fd = open(agent, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, &header, sizeof(header));

	if (n < 0) {
		ktstr_error__set(error, errno, "open", agent, NULL);
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	close(fd);
	machine = n == sizeof(header) && !memcmp(header.e_ident, ELFMAG, SELFMAG) &&
				  header.e_ident[EI_CLASS] == ELFCLASS64
			  ? emulated_machine__of(header.e_machine)
			  : NULL;
	if (!machine)
		ktstr_error__set(error, ENOEXEC, "emulate a host for", agent,
				 "not a program of x86-64 or arm64");
	return machine;
}

/* In the directory of a system: modules and image of its newest kernel. */
static int find_kernel_of_root(const char *root, char *modules, char *kernel,
			       struct ktstr_error *error)
{
	struct dirent **releases = NULL;
	int nr;

	snprintf(modules, PATH_MAX, "%s/usr/lib/modules", root);
	nr = scandir(modules, &releases, NULL, versionsort);
	kernel[0] = '\0';
	for (int i = nr; i-- > 0; free(releases[i])) {
		if (*kernel || releases[i]->d_name[0] == '.')
			continue;
		if ((size_t)snprintf(kernel, PATH_MAX, "%s/%s/vmlinuz", modules,
				     releases[i]->d_name) >= PATH_MAX ||
		    access(kernel, R_OK))
			kernel[0] = '\0';
	}
	free(releases);
	if (*kernel) {
		strcpy(modules, kernel);
		*strrchr(modules, '/') = '\0';
		return 0;
	}
	ktstr_error__set(error, ENOENT, "open", modules,
			 "no kernel (RELEASE/vmlinuz) for the emulated KVM host");
	ktstr_error__hint(error, "scripts/kernel fetches one; copy its files there");
	return -ENOENT;
}

/* The modules directory of a kernel that can be the outer one, and its image. */
static int find_kernel(char *modules, char *kernel, struct ktstr_error *error)
{
	char link[PATH_MAX], root[PATH_MAX];
	struct kernel beside;
	struct utsname uts;
	const char *release;
	int err = kernel__beside(&beside, error);

	if (err < 0)
		return err;
	if (!err && *beside.modules_dir) {
		strcpy(modules, beside.modules_dir);
	} else if (!cache__path("kernels/default", link, sizeof(link)) && realpath(link, root)) {
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
		if ((size_t)snprintf(kernel, PATH_MAX, "%s/%s", modules,
				     i ? "vmlinuz" : "vmlinux") < PATH_MAX &&
		    !access(kernel, R_OK))
			return 0;
	}
	ktstr_error__set(error, ENOENT, "open", kernel, "no kernel for the emulated KVM host");
	ktstr_error__hint(error, "run scripts/kernel fetch");
	return -ENOENT;
}

/* What the agent is told: one "writable DIR" a line. */
static int make_conf(const struct emulated_options *options, void **archive, size_t *length,
		     struct ktstr_error *error)
{
	char *text = NULL;
	size_t size = 0;
	FILE *conf = open_memstream(&text, &size);
	int err;

	if (!conf)
		return ktstr_error__set(error, ENOMEM, "pack", "initramfs", NULL);
	for (size_t i = 0; i < options->nr_writable; i++)
		fprintf(conf, "writable %s\n", options->writable[i]);
	fclose(conf);
	err = initramfs__run_config(text, size, archive, length, error);
	free(text);
	return err;
}

/* QEMU wants one file: the base and, after it, the agent's configuration. */
static int join_archives(const struct initramfs_image *base, const void *archive, size_t length,
			 int to, struct ktstr_error *error)
{
	int err = initramfs_image__copy(base, to, error);

	if (err)
		return err;
	err = copy__write(to, archive, length);
	return err ? ktstr_error__set(error, -err, "write", "initramfs", NULL) : 0;
}

int emulated_image__create(const struct emulated_options *options, struct emulated_image *image,
			   struct ktstr_error *error)
{
	char modules[PATH_MAX], self[PATH_MAX], cache[PATH_MAX];
	struct initramfs_image base = {0};
	struct initramfs_spec spec = {
		.init = self, .init_is_static = options->agent, .modules_dir = modules};
	const char *agent = options->agent ? options->agent : "/proc/self/exe";
	void *archive = NULL;
	size_t length = 0;
	int err;

	*image = (struct emulated_image){.initrd = -1};
	if (!realpath(agent, self))
		return ktstr_error__set(error, errno, "open", agent, NULL);
	image->machine = machine_of(self, error);
	if (!image->machine)
		return -ENOEXEC;
	err = options->root ? find_kernel_of_root(options->root, modules, image->kernel, error)
			    : find_kernel(modules, image->kernel, error);
	if (err)
		return err;
	spec.modules = image->machine->modules;
	spec.kernel_release = strrchr(modules, '/') + 1;
	if (!cache__dir("initramfs", cache, sizeof(cache)))
		spec.cache_dir = cache;
	err = initramfs__base(&spec, &base, error);
	if (!err)
		err = make_conf(options, &archive, &length, error);
	if (!err) {
		image->initrd = memfd_create("ktstr-emulated-initramfs", MFD_CLOEXEC);
		err = image->initrd < 0
			      ? ktstr_error__set(error, errno, "memfd_create", "initramfs", NULL)
			      : join_archives(&base, archive, length, image->initrd, error);
	}
	free(archive);
	initramfs_image__close(&base);
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
