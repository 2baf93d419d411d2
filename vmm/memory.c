// SPDX-License-Identifier: GPL-2.0-only
/* Lays guest RAM out around the 32-bit hole, maps it between guard pages, and checks accesses. */
#include "memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define GUARD_SIZE UINT64_C(0x200000) /* before and after each region: nothing is mapped there */
#define PAGE_MASK_4K UINT64_C(0xfff)

int gmem__layout_at(struct gmem *mem, uint64_t gpa, uint64_t bytes, struct ktstr_error *error)
{
	*mem = (struct gmem){0};
	if (!bytes || (bytes & PAGE_MASK_4K))
		return ktstr_error__set(error, EINVAL, "guest memory", NULL,
					"%llu bytes are not a number of pages",
					(unsigned long long)bytes);
	/* 1 TiB keeps every later sum far from overflow and within 46-bit physical addresses. */
	if (bytes > UINT64_C(1) << 40)
		return ktstr_error__set(error, EINVAL, "guest memory", NULL,
					"%llu MiB are above the limit of 1 TiB",
					(unsigned long long)(bytes >> 20));

	mem->nr_regions = 1;
	mem->regions[0].gpa = gpa;
	mem->regions[0].size = bytes;
	return 0;
}

int gmem__layout(struct gmem *mem, uint64_t bytes, struct ktstr_error *error)
{
	int err = gmem__layout_at(mem, 0, bytes, error);

	if (err)
		return err;
	mem->regions[0].size = bytes < GMEM_HOLE_START ? bytes : GMEM_HOLE_START;
	if (bytes > GMEM_HOLE_START) {
		mem->regions[1].gpa = GMEM_HOLE_END;
		mem->regions[1].size = bytes - GMEM_HOLE_START;
		mem->nr_regions = 2;
	}
	return 0;
}

int gmem__map(struct gmem *mem, struct ktstr_error *error)
{
	int err;

	for (uint32_t i = 0; i < mem->nr_regions; i++) {
		struct gmem_region *r = &mem->regions[i];
		uint8_t *p = mmap(NULL, r->size + 3 * GUARD_SIZE, PROT_NONE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		uintptr_t aligned;

		if (p == MAP_FAILED)
			goto fail;
		r->map = p;
		r->map_size = r->size + 3 * GUARD_SIZE;
		/* On a 2 MiB boundary, so that huge pages fit; at least one guard on each side. */
		aligned = ((uintptr_t)p + 2 * GUARD_SIZE - 1) & ~(uintptr_t)(GUARD_SIZE - 1);
		r->hva = (uint8_t *)aligned;
		if (mprotect(r->hva, r->size, PROT_READ | PROT_WRITE))
			goto fail;
		/* Only a wish: a kernel without transparent huge pages refuses it. */
		(void)madvise(r->hva, r->size, MADV_HUGEPAGE);
	}
	return 0;
fail:
	err = ktstr_error__set(error, errno, "mmap", "guest memory", NULL);
	ktstr_error__hint(error, "ask for less memory, or check ulimit -v");
	gmem__unmap(mem);
	return err;
}

void gmem__unmap(struct gmem *mem)
{
	for (uint32_t i = 0; i < mem->nr_regions; i++) {
		if (mem->regions[i].map)
			munmap(mem->regions[i].map, mem->regions[i].map_size);
		mem->regions[i].map = NULL;
		mem->regions[i].hva = NULL;
	}
}

void *gmem__ptr(const struct gmem *mem, uint64_t gpa, uint64_t length)
{
	for (uint32_t i = 0; i < mem->nr_regions; i++) {
		const struct gmem_region *r = &mem->regions[i];

		if (gpa < r->gpa || gpa - r->gpa >= r->size)
			continue;
		return length <= r->size - (gpa - r->gpa) ? r->hva + (gpa - r->gpa) : NULL;
	}
	return NULL;
}

int gmem__share_file(const struct gmem *mem, uint64_t gpa, uint64_t length, int fd, uint64_t offset)
{
	void *p = gmem__ptr(mem, gpa, length);
	struct stat st;

	if (!p)
		return -EFAULT;
	/* Pages behind the end of a file are there, but an access to them is a fault. */
	if (fstat(fd, &st) || offset > (uint64_t)st.st_size ||
	    length > (uint64_t)st.st_size - offset)
		return -ENODATA;
	return mmap(p, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd,
		    (off_t)offset) == MAP_FAILED
		       ? -errno
		       : 0;
}

int gmem__read(const struct gmem *mem, uint64_t gpa, void *buf, uint64_t length)
{
	const void *p = gmem__ptr(mem, gpa, length);

	if (!p)
		return -EFAULT;
	memcpy(buf, p, length);
	return 0;
}

int gmem__write(const struct gmem *mem, uint64_t gpa, const void *buf, uint64_t length)
{
	void *p = gmem__ptr(mem, gpa, length);

	if (!p)
		return -EFAULT;
	memcpy(p, buf, length);
	return 0;
}
