// SPDX-License-Identifier: GPL-2.0-only
/* Decompression in memory, of what the first bytes say, within a limit. */
#include "decompress.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <lz4.h>
#include <lzma.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "modules.h"

#define MODULE_MAX (1u << 30) /* decompressed: more is a damaged file */
#define LZMA_LIBRARY "liblzma.so.5"
#define ZSTD_LIBRARY "libzstd.so.1"
#define LZ4_LIBRARY "liblz4.so.1"

/* lz4's doc/lz4_Frame_format.md, "Legacy frame": the magic, then blocks behind their 32-bit lengths
 */
#define LZ4_LEGACY_MAGIC 0x184c2102u
#define LZ4_BLOCK_MAX (8u << 20) /* unpacked */

struct output {
	unsigned char *data;
	size_t length, capacity, limit;
};

/*
 * Makes room for @room bytes behind @length: or for fewer, where no more may come out than @limit.
 * One byte more than that has room: when it is used, it was too much.
 */
static int reserve(struct output *out, size_t packed, size_t room)
{
	size_t most = out->limit + 1, want = out->length + room;
	size_t capacity = out->capacity ? out->capacity * 2 : packed * 4 + 4096;
	unsigned char *p;

	if (out->length == most)
		return -EFBIG;
	if (want > most)
		want = most;
	if (want <= out->capacity)
		return 0;
	if (capacity < want)
		capacity = want;
	if (capacity > most)
		capacity = most;
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
	/* No member behind the first one: neither modules nor kernels have any. */
	do {
		err = reserve(out, length, 1);
		if (err)
			break;
		stream.next_out = out->data + out->length;
		stream.avail_out = (uInt)(out->capacity - out->length);
		ret = inflate(&stream, Z_NO_FLUSH);
		out->length = out->capacity - stream.avail_out;
		if (ret != Z_OK && ret != Z_STREAM_END)
			err = -EBADMSG;
	} while (!err && ret != Z_STREAM_END);
	if (!err && stream.avail_in)
		err = -EBADMSG;
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
		err = reserve(out, length, 1);
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

		err = reserve(out, length, 1);
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
	if (!err && in.pos != in.size)
		err = -EBADMSG;
	release(stream);
	return err;
}

static uint32_t get_le32(const uint8_t *from)
{
	return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

/* As lib/decompress_unlz4.c of the kernel. */
static int unlz4(void *library, const void *data, size_t length, struct output *out)
{
	__typeof__(LZ4_decompress_safe) *block = dlsym(library, "LZ4_decompress_safe");
	const uint8_t *at = data, *end = at + length;

	if (!block)
		return -ENOSYS;
	for (at += sizeof(uint32_t); at < end;) {
		size_t packed, room;
		int err, n;

		if ((size_t)(end - at) < sizeof(uint32_t))
			return -EBADMSG;
		packed = get_le32(at);
		at += sizeof(uint32_t);
		if (packed == LZ4_LEGACY_MAGIC) /* another frame follows */
			continue;
		if (!packed || packed > (size_t)(end - at) ||
		    packed > LZ4_COMPRESSBOUND(LZ4_BLOCK_MAX))
			return -EBADMSG;
		err = reserve(out, length, LZ4_BLOCK_MAX);
		if (err)
			return err;
		room = out->capacity - out->length;
		if (room > LZ4_BLOCK_MAX)
			room = LZ4_BLOCK_MAX;
		n = block((const char *)at, (char *)out->data + out->length, (int)packed,
			  (int)room);
		if (n < 0)
			return room < LZ4_BLOCK_MAX ? -EFBIG : -EBADMSG;
		out->length += (size_t)n;
		at += packed;
	}
	return 0;
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

int decompress(const void *data, size_t length, size_t limit, struct decompressed *result)
{
	static const struct {
		const char *magic;
		size_t magic_length;
		const char *library;
		int (*decode)(void *library, const void *data, size_t length, struct output *out);
	} packings[] = {
		{"\xfd\x37zXZ", 6, LZMA_LIBRARY, unxz},
		{"\x28\xb5\x2f\xfd", 4, ZSTD_LIBRARY, unzstd},
		{"\x02\x21\x4c\x18", 4, LZ4_LIBRARY, unlz4},
	};
	struct output out = {.limit = limit};
	int err = -ENOTSUP;

	*result = (struct decompressed){.data = NULL};
	if (length > UINT_MAX) /* zlib counts so far */
		return -EFBIG;
	if (begins(data, length, "\x1f\x8b", 2))
		err = gunzip(data, length, &out);
	for (size_t i = 0; i < sizeof(packings) / sizeof(packings[0]); i++) {
		if (!begins(data, length, packings[i].magic, packings[i].magic_length))
			continue;
		result->library = packings[i].library;
		err = with_library(result->library, packings[i].decode, data, length, &out);
	}
	if (!err && out.length > limit)
		err = -EFBIG;
	if (err) {
		free(out.data);
		return err;
	}
	result->data = out.data;
	result->length = out.length;
	return 0;
}

static int copy(const void *data, size_t length, struct decompressed *out)
{
	out->data = malloc(length + 1);
	if (!out->data)
		return -ENOMEM;
	memcpy(out->data, data, length);
	out->length = length;
	return 0;
}

int modules__decompress(const void *data, size_t length, const char *name, void **result,
			size_t *result_length, struct ktstr_error *error)
{
	struct decompressed out;
	int err = decompress(data, length, MODULE_MAX, &out);

	if (err == -ENOTSUP)
		err = copy(data, length, &out);
	if (!err) {
		*result = out.data;
		*result_length = out.length;
		return 0;
	}
	if (err == -ENOSYS) {
		ktstr_error__set(error, ENOSYS, "decompress module", name, "%s cannot be opened",
				 out.library);
		ktstr_error__hint(error, "install %s (scripts/setup does)", out.library);
		return err;
	}
	return ktstr_error__set(error, -err, "decompress module", name, "%s",
				err == -EBADMSG ? "the file is damaged" : strerror(-err));
}
