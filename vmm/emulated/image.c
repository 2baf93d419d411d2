// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an emulated KVM host boots from: a kernel beside the program, of the cache, or this machine's
 * own, and an initramfs with this program as PID 1, the libraries it has loaded now, and the modules for 9p,
 * the scratch disk and KVM.
 */
#include "emulated.h"

#include <errno.h>
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

static const char *const wanted_modules[] = {"9pnet_virtio", "9p",	"virtio_blk", "btrfs",
					     "overlay",	     "kvm-amd", NULL};

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
		.init = self, .modules_dir = modules, .modules = wanted_modules};
	void *archive = NULL;
	size_t length = 0;
	int err;

	*image = (struct emulated_image){.initrd = -1};
	err = find_kernel(modules, image->kernel, error);
	if (err)
		return err;
	if (!realpath("/proc/self/exe", self))
		return ktstr_error__set(error, errno, "readlink", "/proc/self/exe", NULL);
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
