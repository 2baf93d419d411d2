/* SPDX-License-Identifier: GPL-2.0-only */
/* A disk's settings as text: "ro,iops=100,serial=data", "fs=ext4,size=1G,mount=/mnt". */
#ifndef KTSTR_VMM_DISK_OPTIONS_H
#define KTSTR_VMM_DISK_OPTIONS_H

#include <ktstr/vm.h>

#include <stdio.h>

#define DISK_OPTIONS                                                                             \
	"ro, iops=N, bps=N, burst-ops=N, burst-bytes=N, queues=N, serial=S; a fresh disk takes " \
	"fs=F, size=S, mount=DIR"

/*
 * Reads @text, which is changed and then belongs to *disk; "" is none. Returns NULL, or what is
 * wrong in words that live for ever.
 * A *disk that has a path already is no fresh one.
 */
const char *disk_options__parse(char *text, struct ktstr_disk *disk);
/* Writes them so that they can be read again: nothing when all are the defaults. */
void disk_options__write(const struct ktstr_disk *disk, FILE *to);

#endif /* KTSTR_VMM_DISK_OPTIONS_H */
