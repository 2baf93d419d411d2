// SPDX-License-Identifier: GPL-2.0-only
/* Writer of cpio "newc" archives; contents of files go from descriptor to descriptor. */
#include "cpio.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy.h"

#define CPIO_MAGIC "070701"
#define CPIO_HEADER 110u /* magic and 13 fields of 8 hexadecimal digits */
#define CPIO_ALIGN 4u	 /* of the header with its name, and of the content */
#define CPIO_TRAILER "TRAILER!!!"
#define CPIO_FLUSH (256u << 10) /* pending bytes that make a write(2) worth it */

struct header {
	uint32_t mode, nlink, rmajor, rminor;
	uint64_t size;
};

void cpio__init(struct cpio *cpio, int fd)
{
	*cpio = (struct cpio){.fd = fd, .next_ino = 1};
}

void cpio__free(struct cpio *cpio)
{
	free(cpio->pending);
	cpio->pending = NULL;
	cpio->nr_pending = 0;
	cpio->capacity = 0;
}

static int flush(struct cpio *cpio, struct ktstr_error *error)
{
	int err = copy__write(cpio->fd, cpio->pending, cpio->nr_pending);

	cpio->nr_pending = 0;
	return err ? ktstr_error__set(error, -err, "write", "initramfs", NULL) : 0;
}

static int append(struct cpio *cpio, const void *data, uint64_t length, struct ktstr_error *error)
{
	size_t need;
	int err;

	if (__builtin_add_overflow(cpio->nr_pending, length, &need))
		return ktstr_error__set(error, ENOMEM, "build", "initramfs", NULL);
	if (need > cpio->capacity) {
		size_t capacity = need + need / 2 + CPIO_BLOCK;
		char *p = realloc(cpio->pending, capacity);

		if (!p)
			return ktstr_error__set(error, ENOMEM, "build", "initramfs", NULL);
		cpio->pending = p;
		cpio->capacity = capacity;
	}
	if (data)
		memcpy(cpio->pending + cpio->nr_pending, data, (size_t)length);
	else
		memset(cpio->pending + cpio->nr_pending, 0, (size_t)length);
	cpio->nr_pending = need;
	cpio->offset += length;
	if (cpio->fd >= 0 && cpio->nr_pending >= CPIO_FLUSH) {
		err = flush(cpio, error);
		if (err)
			return err;
	}
	return 0;
}

static int pad(struct cpio *cpio, uint64_t align, struct ktstr_error *error)
{
	uint64_t over = cpio->offset % align;

	return over ? append(cpio, NULL, align - over, error) : 0;
}

/* @name_size: with the NULs behind the name, one at least. */
static int put_named(struct cpio *cpio, const char *path, size_t name_size, const struct header *h,
		     struct ktstr_error *error)
{
	const char *name = *path == '/' ? path + 1 : path;
	size_t length = strlen(name);
	char text[CPIO_HEADER + 1];
	int err;

	if (name_size > PATH_MAX)
		return ktstr_error__set(error, ENAMETOOLONG, "add to initramfs", path, NULL);
	if (h->size > CPIO_MAX_FILE)
		return ktstr_error__set(error, EFBIG, "add to initramfs", path,
					"%llu bytes: an initramfs holds files up to 4 GiB - 1",
					(unsigned long long)h->size);
	/* ino mode uid gid nlink mtime size major minor rmajor rminor name_size check */
	snprintf(text, sizeof(text),
		 CPIO_MAGIC "%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		 cpio->next_ino++, h->mode, 0u, 0u, h->nlink, 0u, (unsigned int)h->size, 0u, 0u,
		 h->rmajor, h->rminor, (unsigned int)name_size, 0u);
	err = append(cpio, text, CPIO_HEADER, error);
	if (!err)
		err = append(cpio, name, length, error);
	if (!err)
		err = append(cpio, NULL, name_size - length, error);
	return err ? err : pad(cpio, CPIO_ALIGN, error);
}

static size_t plain_size(const char *path)
{
	return strlen(*path == '/' ? path + 1 : path) + 1;
}

static int put_header(struct cpio *cpio, const char *path, const struct header *h,
		      struct ktstr_error *error)
{
	return put_named(cpio, path, plain_size(path), h, error);
}

int cpio__dir(struct cpio *cpio, const char *path, uint32_t mode, struct ktstr_error *error)
{
	const struct header h = {.mode = S_IFDIR | mode, .nlink = 2};

	return put_header(cpio, path, &h, error);
}

static int put_data(struct cpio *cpio, const char *path, uint32_t mode, const void *data,
		    uint64_t size, struct ktstr_error *error)
{
	const struct header h = {.mode = mode, .nlink = 1, .size = size};
	int err = put_header(cpio, path, &h, error);

	if (!err && size)
		err = append(cpio, data, size, error);
	return err ? err : pad(cpio, CPIO_ALIGN, error);
}

static uint64_t in_pages(uint64_t size)
{
	return (size + CPIO_PAGE - 1) & ~(CPIO_PAGE - 1);
}

int cpio__data(struct cpio *cpio, const char *path, uint32_t mode, const void *data, uint64_t size,
	       struct ktstr_error *error)
{
	int err = put_data(cpio, path, S_IFREG | mode, data, size, error);

	if (!err)
		cpio->content += in_pages(size);
	return err;
}

int cpio__symlink(struct cpio *cpio, const char *path, const char *target,
		  struct ktstr_error *error)
{
	size_t length = strlen(target);

	if (!length || length >= PATH_MAX)
		return ktstr_error__set(error, length ? ENAMETOOLONG : EINVAL, "add to initramfs",
					path, "its link target is %s",
					length ? "too long" : "empty");
	return put_data(cpio, path, S_IFLNK | 0777, target, length, error);
}

int cpio__char(struct cpio *cpio, const char *path, uint32_t mode, uint32_t major, uint32_t minor,
	       struct ktstr_error *error)
{
	const struct header h = {
		.mode = S_IFCHR | mode, .nlink = 1, .rmajor = major, .rminor = minor};

	return put_header(cpio, path, &h, error);
}

int cpio__file(struct cpio *cpio, const char *path, uint32_t mode, int source, uint64_t size,
	       const char *host, struct ktstr_error *error)
{
	const struct header h = {.mode = S_IFREG | mode, .nlink = 1, .size = size};
	int err = put_header(cpio, path, &h, error);

	if (!err)
		err = flush(cpio, error);
	if (!err)
		err = copy__bytes(cpio->fd, source, 0, size, host, error);
	if (err)
		return err;
	cpio->offset += size;
	cpio->content += in_pages(size);
	return pad(cpio, CPIO_ALIGN, error);
}

bool cpio__can_be_outside(const char *path)
{
	return plain_size(path) <= PATH_MAX - CPIO_HEADER - CPIO_ALIGN;
}

/* Size of a name that ends where a page does, when its header is written next. */
static size_t size_to_page(const struct cpio *cpio)
{
	return (size_t)(CPIO_PAGE - (cpio->offset + CPIO_HEADER) % CPIO_PAGE);
}

int cpio__file_outside(struct cpio *cpio, const char *path, uint32_t mode, int source,
		       uint64_t size, const char *host, uint64_t *at, struct ktstr_error *error)
{
	const struct header h = {.mode = S_IFREG | mode, .nlink = 1, .size = size};
	uint64_t outside = size - size % CPIO_PAGE;
	int err;

	/* What can go before it in a page with no room for the name is the root directory again. */
	if (size_to_page(cpio) < plain_size(path)) {
		err = cpio__dir(cpio, ".", 0755, error);
		if (err)
			return err;
	}
	err = put_named(cpio, path, size_to_page(cpio), &h, error);
	if (!err)
		err = flush(cpio, error);
	if (err)
		return err;
	*at = cpio->offset;
	cpio->offset += outside;
	if (size > outside)
		err = copy__bytes(cpio->fd, source, outside, size - outside, host, error);
	if (err)
		return err;
	cpio->offset += size - outside;
	cpio->content += in_pages(size);
	return pad(cpio, CPIO_ALIGN, error);
}

int cpio__end(struct cpio *cpio, struct ktstr_error *error)
{
	const struct header h = {.nlink = 1};
	int err = put_header(cpio, CPIO_TRAILER, &h, error);

	if (!err)
		err = pad(cpio, CPIO_BLOCK, error);
	if (!err && cpio->fd >= 0)
		err = flush(cpio, error);
	return err;
}
