// SPDX-License-Identifier: GPL-2.0-only
/*
 * Decompression of kernel modules. liblzma and libzstd are opened when they are needed: linked in,
 * every guest would carry them.
 */
#include "modules.h"

#include <dlfcn.h>
#include <errno.h>
#include <lzma.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define MODULE_MAX (1u << 30) /* decompressed: more is a damaged file */
#define LZMA_LIBRARY "liblzma.so.5"
#define ZSTD_LIBRARY "libzstd.so.1"

struct output {
	unsigned char *data;
	size_t length, capacity;
};

/* Makes room behind @length. */
static int reserve(struct output *out, size_t first)
{
	size_t capacity = out->capacity ? out->capacity * 2 : first * 4 + 4096;
	unsigned char *p;

	if (out->length < out->capacity)
		return 0;
	if (capacity > MODULE_MAX)
		return -EFBIG;
	p = realloc(out->data, capacity);
	if (!p)
		return -ENOMEM;
	out->data = p;
	out->capacity = capacity;
	return 0;
}

static int gunzip(const void *data, size_t length, struct output *out)
{
	z_stream stream = {.next_in = (unsigned char *)(uintptr_t)data, .avail_in = (uInt)length};
	int ret, err = inflateInit2(&stream, 16 + MAX_WBITS) == Z_OK ? 0 : -ENOMEM;

	if (err)
		return err;
	do {
		err = reserve(out, length);
		if (err)
			break;
		stream.next_out = out->data + out->length;
		stream.avail_out = (uInt)(out->capacity - out->length);
		ret = inflate(&stream, Z_NO_FLUSH);
		out->length = out->capacity - stream.avail_out;
		if (ret != Z_OK && ret != Z_STREAM_END)
			err = -EBADMSG;
	} while (!err && ret != Z_STREAM_END);
	inflateEnd(&stream);
	return err;
}

static int unxz(void *library, const void *data, size_t length, struct output *out)
{
	__typeof__(lzma_stream_decoder) *decoder = dlsym(library, "lzma_stream_decoder");
	__typeof__(lzma_code) *code = dlsym(library, "lzma_code");
	__typeof__(lzma_end) *end = dlsym(library, "lzma_end");
	lzma_stream stream = LZMA_STREAM_INIT;
	lzma_ret ret = LZMA_OK;
	int err = 0;

	if (!decoder || !code || !end)
		return -ENOSYS;
	if (decoder(&stream, UINT64_MAX, LZMA_CONCATENATED) != LZMA_OK)
		return -ENOMEM;
	stream.next_in = data;
	stream.avail_in = length;
	while (!err && ret != LZMA_STREAM_END) {
		err = reserve(out, length);
		if (err)
			break;
		stream.next_out = out->data + out->length;
		stream.avail_out = out->capacity - out->length;
		ret = code(&stream, LZMA_FINISH);
		out->length = out->capacity - stream.avail_out;
		if (ret != LZMA_OK && ret != LZMA_STREAM_END)
			err = ret == LZMA_MEM_ERROR ? -ENOMEM : -EBADMSG;
	}
	end(&stream);
	return err;
}

static int unzstd(void *library, const void *data, size_t length, struct output *out)
{
	__typeof__(ZSTD_createDStream) *create = dlsym(library, "ZSTD_createDStream");
	__typeof__(ZSTD_decompressStream) *code = dlsym(library, "ZSTD_decompressStream");
	__typeof__(ZSTD_freeDStream) *release = dlsym(library, "ZSTD_freeDStream");
	__typeof__(ZSTD_isError) *is_error = dlsym(library, "ZSTD_isError");
	ZSTD_inBuffer in = {.src = data, .size = length};
	ZSTD_DStream *stream;
	size_t left = 1;
	int err = 0;

	if (!create || !code || !release || !is_error)
		return -ENOSYS;
	stream = create();
	if (!stream)
		return -ENOMEM;
	while (!err && left) {
		ZSTD_outBuffer buf;

		err = reserve(out, length);
		if (err)
			break;
		buf = (ZSTD_outBuffer){.dst = out->data + out->length,
				       .size = out->capacity - out->length};
		left = code(stream, &buf, &in);
		out->length += buf.pos;
		/* All input is read and nothing came out of it: the frame is not complete. */
		if (is_error(left) || (left && in.pos == in.size && !buf.pos))
			err = -EBADMSG;
	}
	release(stream);
	return err;
}

static int with_library(const char *file,
			int (*decode)(void *, const void *, size_t, struct output *),
			const void *data, size_t length, struct output *out)
{
	void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	int err;

	if (!library)
		return -ENOSYS;
	err = decode(library, data, length, out);
	dlclose(library);
	return err;
}

static bool begins(const void *data, size_t length, const char *magic, size_t magic_length)
{
	return length >= magic_length && !memcmp(data, magic, magic_length);
}

int modules__decompress(const void *data, size_t length, const char *name, void **result,
			size_t *result_length, struct ktstr_error *error)
{
	const char *library = NULL;
	struct output out = {0};
	int err = 0;

	if (begins(data, length, "\x1f\x8b", 2)) {
		err = gunzip(data, length, &out);
	} else if (begins(data, length,
			  "\xfd"
			  "7zXZ\0",
			  6)) {
		library = LZMA_LIBRARY;
		err = with_library(library, unxz, data, length, &out);
	} else if (begins(data, length, "\x28\xb5\x2f\xfd", 4)) {
		library = ZSTD_LIBRARY;
		err = with_library(library, unzstd, data, length, &out);
	} else {
		out.data = malloc(length + 1);
		out.length = length;
		if (out.data)
			memcpy(out.data, data, length);
		else
			err = -ENOMEM;
	}
	if (!err) {
		*result = out.data;
		*result_length = out.length;
		return 0;
	}
	free(out.data);
	if (err == -ENOSYS) {
		ktstr_error__set(error, ENOSYS, "decompress module", name, "%s cannot be opened",
				 library);
		ktstr_error__hint(error, "install %s (scripts/setup does)", library);
		return err;
	}
	return ktstr_error__set(error, -err, "decompress module", name, "%s",
				err == -EBADMSG ? "the file is damaged" : strerror(-err));
}
