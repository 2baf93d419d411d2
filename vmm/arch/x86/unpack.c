// SPDX-License-Identifier: GPL-2.0-only
/* Unpacks bzImages on the host. */
#include "unpack.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "bzimage.h"
#include "../../cache.h"
#include "../../../initramfs/copy.h"
#include "../../kernel.h"
#include "../../verified.h"
#include "x86.h"

#define CACHE "unpacked-kernels"
#define CACHE_FORMAT 2	  /* in the files' names */
#define CACHE_MAX_FILES 6 /* kernels; a note beside each */
/* How long a random shift is shared: longer than a suite runs, not long enough to be learnt. */
#define SHARED_S 3600
#define FOOTER_MAGIC UINT64_C(0x31786b7274736b02)

#define PAGE UINT64_C(4096)
#define MAX_SEGMENTS 64u

/* arch/x86/include/asm/page_64_types.h */
#define START_KERNEL_MAP UINT64_C(0xffffffff80000000)
#define KERNEL_IMAGE_SIZE (UINT64_C(1) << 30)

/* Behind the kernel. */
struct footer {
	uint64_t magic;
	struct unpack_layout layout;
	struct digest digest; /* of the kernel */
	uint32_t reserved;
	uint32_t crc; /* of what is before it in the footer */
};

/* ---- ELF ---- */

static bool in_bounds(uint64_t offset, uint64_t size, uint64_t length)
{
	uint64_t end;

	return !__builtin_add_overflow(offset, size, &end) && end <= length;
}

static int check_header(const uint8_t *data, size_t length, Elf64_Ehdr *eh)
{
	if (length < sizeof(*eh))
		return -ENOEXEC;
	memcpy(eh, data, sizeof(*eh));
	if (memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0 || eh->e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh->e_machine != EM_X86_64 || eh->e_type != ET_EXEC ||
	    eh->e_phentsize != sizeof(Elf64_Phdr) || !eh->e_phnum || eh->e_phnum > MAX_SEGMENTS ||
	    !in_bounds(eh->e_phoff, eh->e_phnum * sizeof(Elf64_Phdr), length))
		return -ENOEXEC;
	return 0;
}

static int check_segment(const Elf64_Phdr *ph, size_t length, struct unpack_layout *layout)
{
	uint64_t end = ph->p_paddr + ph->p_memsz;

	if (ph->p_filesz > ph->p_memsz || !in_bounds(ph->p_offset, ph->p_filesz, length) ||
	    ph->p_paddr < X86_HIGH_RAM_GPA || !in_bounds(ph->p_paddr, ph->p_memsz, X86_MAPPED_END))
		return -ENOEXEC;
	if (ph->p_paddr < layout->gpa)
		layout->gpa = ph->p_paddr & ~(PAGE - 1);
	if (ph->p_paddr + ph->p_filesz > layout->file_end)
		layout->file_end = ph->p_paddr + ph->p_filesz;
	if (end > layout->end)
		layout->end = end;
	return 0;
}

/* Section headers lie at the end of what objcopy writes; without any, the last segment does. */
static size_t find_elf_end(const Elf64_Ehdr *eh, uint64_t segments_end)
{
	uint64_t end = eh->e_shnum ? eh->e_shoff + (uint64_t)eh->e_shnum * eh->e_shentsize : 0;

	return end > segments_end ? end : segments_end;
}

int unpack__flatten(const uint8_t *data, size_t length, uint8_t **flat,
		    struct unpack_layout *layout, size_t *elf_end)
{
	Elf64_Phdr ph[MAX_SEGMENTS];
	uint64_t segments_end = 0;
	Elf64_Ehdr eh;
	int err = check_header(data, length, &eh);

	if (err)
		return err;
	*layout = (struct unpack_layout){.gpa = UINT64_MAX, .entry = eh.e_entry};
	memcpy(ph, data + eh.e_phoff, eh.e_phnum * sizeof(ph[0]));
	for (uint32_t i = 0; i < eh.e_phnum; i++) {
		if (ph[i].p_type != PT_LOAD || !ph[i].p_memsz)
			continue;
		if (check_segment(&ph[i], length, layout))
			return -ENOEXEC;
		if (ph[i].p_offset + ph[i].p_filesz > segments_end)
			segments_end = ph[i].p_offset + ph[i].p_filesz;
	}
	*elf_end = find_elf_end(&eh, segments_end);
	if (layout->gpa == UINT64_MAX || layout->file_end <= layout->gpa || *elf_end > length ||
	    layout->file_end - layout->gpa > KERNEL_IMAGE_SIZE ||
	    layout->entry < layout->gpa || layout->entry >= layout->file_end)
		return -ENOEXEC;
	*flat = calloc(1, layout->file_end - layout->gpa);
	if (!*flat)
		return -ENOMEM;
	for (uint32_t i = 0; i < eh.e_phnum; i++)
		if (ph[i].p_type == PT_LOAD && ph[i].p_memsz)
			memcpy(*flat + (ph[i].p_paddr - layout->gpa), data + ph[i].p_offset,
			       ph[i].p_filesz);
	return 0;
}

/* ---- Relocations ---- */

static uint32_t reloc_at(const uint8_t *relocs, size_t i)
{
	uint32_t value;

	memcpy(&value, relocs + i * sizeof(value), sizeof(value));
	return value;
}

/*
 * The lists from the last one back, as the kernel reads them: each ends, backwards, with a 0. Every
 * entry is the lower half of a virtual address as linked.
 */
enum reloc_kind { RELOC_32, RELOC_32_INVERSE, RELOC_64 };

static int apply(uint8_t *flat, const struct unpack_layout *layout, uint32_t entry,
		 enum reloc_kind kind, uint64_t shift)
{
	uint64_t address = (uint64_t)(int64_t)(int32_t)entry - START_KERNEL_MAP;
	uint64_t at = address - layout->gpa, size = layout->file_end - layout->gpa, value64;
	uint32_t value32;

	if (address < layout->gpa || !in_bounds(at, kind == RELOC_64 ? 8 : 4, size))
		return -ENOEXEC;
	if (kind == RELOC_64) {
		memcpy(&value64, flat + at, sizeof(value64));
		value64 += shift;
		memcpy(flat + at, &value64, sizeof(value64));
		return 0;
	}
	memcpy(&value32, flat + at, sizeof(value32));
	value32 += (uint32_t)(kind == RELOC_32 ? shift : -shift);
	memcpy(flat + at, &value32, sizeof(value32));
	return 0;
}

int unpack__relocate(uint8_t *flat, struct unpack_layout *layout, const uint8_t *relocs,
		     size_t length, uint64_t shift)
{
	size_t n = length / sizeof(uint32_t), lists = 0;
	enum reloc_kind order[3] = {RELOC_32, RELOC_64, RELOC_64};
	unsigned int list = 0;

	if (length % sizeof(uint32_t) || (n && reloc_at(relocs, 0)))
		return -ENOEXEC;
	for (size_t i = 0; i < n; i++)
		lists += !reloc_at(relocs, i);
	if (lists == 0)
		return -ENOENT;
	if (lists < 2 || lists > 3)
		return -ENOEXEC;
	if (lists == 3)
		order[1] = RELOC_32_INVERSE;
	for (size_t i = n; i-- > 0;) {
		uint32_t entry = reloc_at(relocs, i);

		if (!entry)
			list++;
		else if (list >= lists || apply(flat, layout, entry, order[list], shift))
			return -ENOEXEC;
	}
	layout->shift = shift;
	layout->relocated = 1;
	return 0;
}

/*
 * As find_random_virt_addr() in arch/x86/boot/compressed/kaslr.c: any aligned place for the image
 * in the first GiB of the kernel's mapping, not below where it was linked.
 */
static int random_shift(const struct setup_header *hdr, uint64_t base, uint64_t *shift)
{
	uint64_t align = hdr->kernel_alignment, slots, value;

	if (!align || (align & (align - 1)) || base >= KERNEL_IMAGE_SIZE ||
	    hdr->init_size > KERNEL_IMAGE_SIZE - base)
		return -ENOEXEC;
	if (getrandom(&value, sizeof(value), 0) != (ssize_t)sizeof(value))
		return -EIO;
	slots = 1 + (KERNEL_IMAGE_SIZE - base - hdr->init_size) / align;
	*shift = value % slots * align;
	return 0;
}

/* ---- The whole image ---- */

static int unpack(int fd, const struct setup_header *hdr, bool random, uint8_t **flat,
		  struct unpack_layout *layout)
{
	uint64_t shift = 0;
	size_t length, elf_end;
	void *image;
	int err = bzimage__unpack(fd, &image, &length);

	if (err)
		return err;
	*flat = NULL;
	err = unpack__flatten(image, length, flat, layout, &elf_end);
	if (!err && random)
		err = random_shift(hdr, layout->gpa, &shift);
	if (!err && random) {
		err = unpack__relocate(*flat, layout, (uint8_t *)image + elf_end, length - elf_end,
				       shift);
		if (err == -ENOENT) /* built without CONFIG_RANDOMIZE_BASE */
			err = 0;
	}
	if (!err && layout->end < layout->gpa + hdr->init_size)
		layout->end = layout->gpa + hdr->init_size;
	free(image);
	if (err)
		free(*flat);
	return err;
}

/* ---- The cache ---- */

static uint32_t footer_crc(const struct footer *footer)
{
	return (uint32_t)crc32(0, (const Bytef *)footer, offsetof(struct footer, crc));
}

static int read_footer(int fd, uint64_t size, struct footer *footer)
{
	const struct unpack_layout *layout = &footer->layout;

	if (size < sizeof(*footer) ||
	    copy__read(fd, footer, sizeof(*footer), size - sizeof(*footer)) ||
	    footer->magic != FOOTER_MAGIC || footer->crc != footer_crc(footer) ||
	    layout->gpa % PAGE || layout->gpa < X86_HIGH_RAM_GPA ||
	    layout->file_end > layout->end || layout->end > X86_MAPPED_END ||
	    layout->entry < layout->gpa || layout->entry >= layout->file_end ||
	    size != layout->file_end - layout->gpa + sizeof(*footer))
		return -EBADMSG;
	return 0;
}

static int write_kernel(int fd, const uint8_t *flat, const struct unpack_layout *layout)
{
	uint64_t size = layout->file_end - layout->gpa;
	struct footer footer = {.magic = FOOTER_MAGIC, .layout = *layout};
	int err;

	digest__data(flat, size, &footer.digest);
	footer.crc = footer_crc(&footer);
	/* The footer last: without it the file is nothing. */
	err = copy__write(fd, flat, size);
	return err ? err : copy__write(fd, &footer, sizeof(footer));
}

/*
 * The file has its name only when it is whole, on the disk, too. Two that do this at once: each has
 * its own, the later one stays for others.
 */
static int write_cached(const char *path, const uint8_t *flat, const struct unpack_layout *layout)
{
	char temporary[PATH_MAX];
	int fd, err;

	if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
		return -ENAMETOOLONG;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = write_kernel(fd, flat, layout);
	if (!err && (fdatasync(fd) || rename(temporary, path)))
		err = -errno;
	if (!err)
		return fd;
	close(fd);
	unlink(temporary);
	return err;
}

static int write_memory(const uint8_t *flat, const struct unpack_layout *layout)
{
	int fd = memfd_create("ktstr-kernel", MFD_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = write_kernel(fd, flat, layout);
	if (!err)
		return fd;
	close(fd);
	return err;
}

static bool is_note(const char *name)
{
	size_t n = strlen(name), suffix = strlen(VERIFIED_SUFFIX);

	return n > suffix && !strcmp(name + n - suffix, VERIFIED_SUFFIX);
}

/*
 * Removes what is old, and the oldest while there are too many. Who has a file open keeps it. A
 * note that is left alone goes when it is old.
 */
static void prune(const char *dir)
{
	char oldest[NAME_MAX + 1];
	struct dirent *entry;
	bool again;
	int files;

	do {
		time_t oldest_at = 0, now = time(NULL);
		DIR *d = opendir(dir);

		files = 0;
		oldest[0] = '\0';
		while (d && (entry = readdir(d))) {
			struct stat st;

			if (entry->d_name[0] == '.' ||
			    fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
				continue;
			if (now - st.st_mtime > SHARED_S || st.st_mtime > now + SHARED_S) {
				unlinkat(dirfd(d), entry->d_name, 0);
				continue;
			}
			if (is_note(entry->d_name))
				continue;
			files++;
			if (oldest[0] && st.st_mtime >= oldest_at)
				continue;
			oldest_at = st.st_mtime;
			snprintf(oldest, sizeof(oldest), "%s", entry->d_name);
		}
		/* What cannot be removed stays: it is another's, or the cache is read-only. */
		again = d && files > CACHE_MAX_FILES && !unlinkat(dirfd(d), oldest, 0);
		if (d)
			closedir(d);
	} while (again);
}

/* One name for a kernel's file as it is now, with and without a random shift. */
static int cached_path(int fd, bool random, char dir[PATH_MAX], char path[PATH_MAX])
{
	char identity[128];
	int n, err = kernel__identity(fd, identity, sizeof(identity));

	if (!err)
		err = cache__dir(CACHE, dir, PATH_MAX);
	if (err)
		return err;
	n = snprintf(path, PATH_MAX, "%s/%s%s.%d", dir, identity, random ? "-kaslr" : "",
		     CACHE_FORMAT);
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* A file of ours or of root; nothing that opening waits for, or that leads elsewhere. */
static bool is_entry(const struct stat *st)
{
	return S_ISREG(st->st_mode) && (st->st_uid == geteuid() || !st->st_uid);
}

/* -ENOENT: there is none, or it is too old; -EBADMSG: it is damaged; -errno of reading it. */
static int open_cached(const char *path, struct unpacked *u)
{
	struct footer footer;
	struct stat st;
	int err;

	u->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (u->fd < 0)
		return errno == ELOOP ? -EBADMSG : -ENOENT;
	if (fstat(u->fd, &st))
		err = -ENOENT;
	else if (!is_entry(&st))
		err = -EBADMSG;
	else if (time(NULL) - st.st_mtime > SHARED_S)
		err = -ENOENT;
	else
		err = read_footer(u->fd, (uint64_t)st.st_size, &footer);
	if (!err)
		err = verified__check(u->fd, path, (uint64_t)st.st_size - sizeof(footer),
				      &footer.digest);
	if (!err) {
		u->layout = footer.layout;
		return 0;
	}
	close(u->fd);
	u->fd = -1;
	return err;
}

int unpack__open(int fd, const struct setup_header *hdr, bool random, struct unpacked *u)
{
	char dir[PATH_MAX], path[PATH_MAX];
	bool have_cache = !cached_path(fd, random, dir, path);
	uint8_t *flat;
	int err;

	u->fd = -1;
	u->damaged[0] = '\0';
	if (have_cache) {
		err = open_cached(path, u);
		if (!err)
			return 0;
		if (err == -EBADMSG || err == -EIO)
			strcpy(u->damaged, path);
		prune(dir);
	}
	err = unpack(fd, hdr, random, &flat, &u->layout);
	if (err)
		return err;
	if (have_cache)
		u->fd = write_cached(path, flat, &u->layout);
	if (u->fd < 0)
		u->fd = write_memory(flat, &u->layout);
	free(flat);
	return u->fd < 0 ? u->fd : 0;
}

void unpack__close(struct unpacked *u)
{
	if (u->fd >= 0)
		close(u->fd);
	u->fd = -1;
}
