/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers by name out of KVM's binary statistics (Documentation/virt/kvm/api.rst,
 * KVM_GET_STATS_FD). */
#ifndef KTSTR_VMM_KVM_STATS_H
#define KTSTR_VMM_KVM_STATS_H

#include <stddef.h>
#include <stdint.h>

#define KVM_STATS_MAX_NAMES 32u

struct kvm_stats {
	int fd;				       /* -1: none */
	uint64_t offsets[KVM_STATS_MAX_NAMES]; /* in it, of each name; 0: not there */
};

/* Of a vCPU or VM, with @nr names. A kernel without them has none of the numbers. */
void kvm_stats__open(int kvm_fd, const char *const *names, size_t nr, struct kvm_stats *stats);
void kvm_stats__close(struct kvm_stats *stats);
/* That of the @index-th name, as of now; KTSTR_UNKNOWN: it is not there. */
uint64_t kvm_stats__read(const struct kvm_stats *stats, size_t index);

#endif /* KTSTR_VMM_KVM_STATS_H */
