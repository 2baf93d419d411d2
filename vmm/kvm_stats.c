// SPDX-License-Identifier: GPL-2.0-only
/* A header, descriptors with names, and the numbers. */
#include "kvm_stats.h"

#include <ktstr/vm.h>

#include <linux/kvm.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Statistics that a descriptor of KVM's may hold, and the length of a name: bounds of what is read.
 */
#define STATS_MAX 1024u
#define STATS_NAME_MAX 256u

static bool pread_all(int fd, void *buf, size_t length, uint64_t offset)
{
	return pread(fd, buf, length, (off_t)offset) == (ssize_t)length;
}

static void find(struct kvm_stats *stats, const char *const *names, size_t nr)
{
	struct kvm_stats_header header;
	uint8_t buf[sizeof(struct kvm_stats_desc) + STATS_NAME_MAX];
	size_t size;

	if (!pread_all(stats->fd, &header, sizeof(header), 0) ||
	    header.name_size > STATS_NAME_MAX || header.num_desc > STATS_MAX)
		return;
	size = sizeof(struct kvm_stats_desc) + header.name_size;
	for (uint32_t i = 0; i < header.num_desc; i++) {
		struct kvm_stats_desc desc;
		const char *name = (const char *)buf + sizeof(desc);

		if (!pread_all(stats->fd, buf, size, header.desc_offset + i * size))
			return;
		memcpy(&desc, buf, sizeof(desc));
		buf[size - 1] = '\0';
		for (size_t s = 0; s < nr; s++)
			if (!strcmp(name, names[s]))
				stats->offsets[s] = (uint64_t)header.data_offset + desc.offset;
	}
}

void kvm_stats__open(int kvm_fd, const char *const *names, size_t nr, struct kvm_stats *stats)
{
	*stats = (struct kvm_stats){.fd = ioctl(kvm_fd, KVM_GET_STATS_FD, NULL)};
	if (stats->fd >= 0)
		find(stats, names, nr < KVM_STATS_MAX_NAMES ? nr : KVM_STATS_MAX_NAMES);
}

void kvm_stats__close(struct kvm_stats *stats)
{
	if (stats->fd >= 0)
		close(stats->fd);
	stats->fd = -1;
}

uint64_t kvm_stats__read(const struct kvm_stats *stats, size_t index)
{
	uint64_t value;

	if (index >= KVM_STATS_MAX_NAMES || !stats->offsets[index] ||
	    !pread_all(stats->fd, &value, sizeof(value), stats->offsets[index]))
		return KTSTR_UNKNOWN;
	return value;
}
