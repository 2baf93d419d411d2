/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A machine as files of a directory, enough to run it again: "machine" (its settings as lines
 * "key=value"), "kernel", "initramfs" and, where the guest's files are on a disk, "base.erofs"
 * (what it booted, byte for byte), and "guest.config" (the records of KTSTR_GUEST_CONFIG).
 */
#ifndef KTSTR_VMM_SAVED_H
#define KTSTR_VMM_SAVED_H

#include <ktstr/error.h>
#include <ktstr/vm.h>

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "../initramfs/initramfs.h"

/* What a machine was loaded with, for as long as it lives. */
struct vm_inputs {
	int kernel_fd;			  /* -1: not loaded yet */
	struct stat kernel;		  /* of it before it was loaded */
	struct initramfs_image initramfs; /* without segments: likewise */
	struct initramfs_image base;	  /* of the disk; without segments: there is none */
	char *guest_config;
	size_t guest_config_length;
	char *machine; /* text of the file "machine" */
};

void vm_inputs__init(struct vm_inputs *inputs);
void vm_inputs__free(struct vm_inputs *inputs);

/* Takes the open kernel over. -errno: of fstat(2). */
int vm_inputs__take_kernel(struct vm_inputs *inputs, int fd, struct ktstr_error *error);

/*
 * The settings of @config, whose strings need not outlive this call. @kernel_path and @release are
 * for people. -ENOMEM.
 */
int vm_inputs__describe(struct vm_inputs *inputs, const struct ktstr_vm_config *config,
			const char *kernel_path, const char *release);

/*
 * Writes the files into the directory @dir, which exists. -errno of a file (ENOSPC, EROFS, ...),
 * and then what was written stays. -ESTALE: the kernel's file is not what was loaded any more.
 */
int saved__write(const struct vm_inputs *inputs, const char *dir, struct ktstr_error *error);

/* Takes kernel, initramfs and guest.config from the directory @dir. -ENOENT, -EINVAL: damaged. */
int saved__open(const char *dir, struct vm_inputs *inputs, struct ktstr_error *error);

/* A description that was read from "machine"; @config points into it. */
struct saved_machine {
	struct ktstr_vm_config config;
	struct ktstr_topology_options topology;
	struct ktstr_disk disks[KTSTR_MAX_DISKS];
	struct ktstr_nic nics[KTSTR_MAX_NICS];
	char *text, *dir;
};

/*
 * Reads the settings in @dir, for ktstr_vm__create(). -ENOENT: no such file; -EINVAL: a line that
 * is not understood (the error names it). saved_machine__free() in any case.
 */
int saved_machine__read(const char *dir, struct saved_machine *machine, struct ktstr_error *error);
void saved_machine__free(struct saved_machine *machine);

#endif /* KTSTR_VMM_SAVED_H */
