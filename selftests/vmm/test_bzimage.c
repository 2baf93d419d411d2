// SPDX-License-Identifier: GPL-2.0-only
/* Payloads of bzImages: every packing, and files that lie about themselves. */
#include "kselftest_harness.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "initramfs/decompress.h"
#include "vmm/arch/x86/bzimage.h"

#define MIB (1u << 20)
#define START (2 * 512 + 16) /* of the payload: one setup sector, 16 bytes of code */
#define LZ4_MAGIC 0x184c2102u
#define LZ4_BLOCK (8 * MIB)

struct bytes {
	uint8_t *data;
	size_t length;
};

static void put32(struct bytes *to, uint32_t value)
{
	memcpy(to->data + to->length, &value, sizeof(value));
	to->length += sizeof(value);
}

static void put(struct bytes *to, const void *data, size_t length)
{
	memcpy(to->data + to->length, data, length);
	to->length += length;
}

/* Something that packs, but not to nothing. */
static struct bytes make_plain(size_t length)
{
	struct bytes plain = {.data = malloc(length), .length = length};
	uint64_t x = 88172645463325252u;

	if (!plain.data)
		abort();
	for (size_t i = 0; i < length; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		plain.data[i] = i % 8 ? (uint8_t)(i >> 12) : (uint8_t)x;
	}
	return plain;
}

/* What a tool makes of it, with room for some bytes more. */
static struct bytes pack(const char *tool, const struct bytes *plain)
{
	char from[] = "/tmp/ktstr-bzimage-XXXXXX", command[128];
	struct bytes packed = {.data = malloc(plain->length * 2 + 4096)};
	int fd = mkstemp(from);
	FILE *f;

	if (!packed.data || fd < 0 ||
	    write(fd, plain->data, plain->length) != (ssize_t)plain->length)
		abort();
	close(fd);
	snprintf(command, sizeof(command), "%s <%s", tool, from);
	f = popen(command, "re");
	if (f)
		packed.length = fread(packed.data, 1, plain->length * 2, f);
	if (!f || pclose(f) || !packed.length) {
		fprintf(stderr, "%s failed\n", tool);
		abort();
	}
	unlink(from);
	return packed;
}

/* A bzImage in memory; the size that it says to have is @size, in its header @said. */
static int make_image(const struct bytes *payload, uint32_t said)
{
	uint8_t header[0x250] = {0};
	const uint32_t offset = 16;
	int fd = memfd_create("bzImage", MFD_CLOEXEC);

	header[0x1f1] = 1;
	memcpy(header + 0x202, "HdrS\x0f\x02", 6);
	memcpy(header + 0x248, &offset, 4);
	memcpy(header + 0x24c, &said, 4);
	if (pwrite(fd, header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
	    pwrite(fd, payload->data, payload->length, START) != (ssize_t)payload->length)
		abort();
	return fd;
}

static int unpack(const struct bytes *payload, uint32_t said, struct bytes *out)
{
	int fd = make_image(payload, said), err;
	void *image;

	err = bzimage__unpack(fd, &image, &out->length);
	out->data = image;
	close(fd);
	return err;
}

/* Only how it ends. */
static int end_of(const struct bytes *payload)
{
	struct bytes out;
	int err = unpack(payload, (uint32_t)payload->length, &out);

	free(out.data);
	return err;
}

static const struct packing {
	const char *tool;
	bool size_appended;
	size_t many; /* bytes that are several blocks of it */
} packings[] = {
	{"gzip -n -9 -c", false, MIB},
	{"xz -c --check=crc32", true, MIB},
	{"zstd -cq", true, MIB},
	{"lz4 -l -9 -c -q", true, 2 * LZ4_BLOCK + 12345},
};
#define NR_PACKINGS (sizeof(packings) / sizeof(packings[0]))

static struct bytes pack_as_kernel(const struct packing *packing, const struct bytes *plain)
{
	struct bytes packed = pack(packing->tool, plain);

	if (packing->size_appended)
		put32(&packed, (uint32_t)plain->length);
	return packed;
}

FIXTURE(packed)
{
	struct bytes plain, packed, out;
};
FIXTURE_VARIANT(packed)
{
	unsigned int packing;
};
FIXTURE_VARIANT_ADD(packed, gzip){.packing = 0};
FIXTURE_VARIANT_ADD(packed, xz){.packing = 1};
FIXTURE_VARIANT_ADD(packed, zstd){.packing = 2};
FIXTURE_VARIANT_ADD(packed, lz4){.packing = 3};

FIXTURE_SETUP(packed)
{
	self->plain = make_plain(40000);
	self->packed = pack_as_kernel(&packings[variant->packing], &self->plain);
}

FIXTURE_TEARDOWN(packed)
{
	free(self->plain.data);
	free(self->packed.data);
	free(self->out.data);
}

TEST_F(packed, payload_comes_out_as_it_was)
{
	ASSERT_EQ(0, unpack(&self->packed, (uint32_t)self->packed.length, &self->out));
	ASSERT_EQ(self->plain.length, self->out.length);
	EXPECT_EQ(0, memcmp(self->plain.data, self->out.data, self->out.length));
}

/* lz4 has blocks of 8 MiB: two whole ones, and a part. */
TEST_F(packed, payload_of_many_blocks_comes_out_as_it_was)
{
	struct bytes plain = make_plain(packings[variant->packing].many);
	struct bytes packed = pack_as_kernel(&packings[variant->packing], &plain);

	EXPECT_EQ(0, unpack(&packed, (uint32_t)packed.length, &self->out));
	ASSERT_EQ(plain.length, self->out.length);
	EXPECT_EQ(0, memcmp(plain.data, self->out.data, plain.length));
	free(plain.data);
	free(packed.data);
}

TEST_F(packed, size_that_is_not_what_comes_out_is_damage)
{
	uint32_t size = (uint32_t)self->plain.length;
	const uint32_t wrong[] = {size - 1, size + 1, 0, 1, UINT32_MAX, size << 16};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		memcpy(self->packed.data + self->packed.length - 4, &wrong[i], 4);
		EXPECT_EQ(-EBADMSG, end_of(&self->packed))
		{
			TH_LOG("%u", wrong[i]);
		}
	}
}

TEST_F(packed, payload_that_is_cut_off_is_damage)
{
	for (size_t length = 8; length <= self->packed.length - 8; length += 97) {
		struct bytes cut = {.data = malloc(self->packed.length)};

		put(&cut, self->packed.data, length);
		put32(&cut, (uint32_t)self->plain.length);
		EXPECT_EQ(-EBADMSG, end_of(&cut)) TH_LOG("%zu", length);
		free(cut.data);
	}
}

TEST_F(packed, more_behind_the_end_is_damage)
{
	static const char *const more[] = {"x", "garb", "garbage that is longer than a length"};
	bool appended = packings[variant->packing].size_appended;
	size_t end = self->packed.length - (appended ? 4 : 0);

	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		self->packed.length = end;
		put(&self->packed, more[i], strlen(more[i]));
		put32(&self->packed, (uint32_t)self->plain.length);
		EXPECT_EQ(-EBADMSG, end_of(&self->packed)) TH_LOG("%s", more[i]);
	}
}

/* Whatever a byte is: refused, or something of the right size (the sanitizers look). */
TEST_F_TIMEOUT(packed, no_damage_leads_outside, 120)
{
	size_t step = self->packed.length / 600 + 1, refused = 0;
	struct bytes out;

	for (size_t i = 0; i < self->packed.length; i += i < 64 ? 1 : step) {
		static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};

		for (size_t v = 0; v < sizeof(values); v++) {
			uint8_t saved = self->packed.data[i];
			int err;

			self->packed.data[i] = values[v];
			err = unpack(&self->packed, (uint32_t)self->packed.length, &out);
			self->packed.data[i] = saved;
			refused += err != 0;
			ASSERT_TRUE(err == -EBADMSG || err == -ENOTSUP || !err) TH_LOG("%d", err);
			ASSERT_TRUE(err || self->plain.length == out.length);
			free(out.data);
		}
	}
	EXPECT_GT(refused, 20);
}

/* ---- Headers ---- */

static int end_of_file(const void *data, size_t length)
{
	int fd = memfd_create("file", MFD_CLOEXEC), err;
	size_t unpacked;
	void *image;

	if (write(fd, data, length) != (ssize_t)length)
		abort();
	err = bzimage__unpack(fd, &image, &unpacked);
	free(image);
	close(fd);
	return err;
}

TEST(files_that_are_no_bzimages)
{
	uint8_t file[4096] = {0};
	int null[2];
	size_t length;
	void *image;

	EXPECT_EQ(-ENOEXEC, end_of_file("MZ", 2));
	EXPECT_EQ(-ENOEXEC, end_of_file(file, sizeof(file)));
	memcpy(file + 0x202, "HdrS\x07\x02", 6);
	EXPECT_EQ(-ENOEXEC, end_of_file(file, 0x24f));
	EXPECT_EQ(-ENOTSUP, end_of_file(file, sizeof(file))); /* protocol 2.07 */
	file[0x206] = 8;
	EXPECT_EQ(-ENOTSUP, end_of_file(file, sizeof(file))); /* no payload */
	ASSERT_EQ(0, pipe(null));
	EXPECT_EQ(-ENOEXEC, bzimage__unpack(null[0], &image, &length));
}

TEST(payloads_outside_the_file_are_damage)
{
	struct bytes plain = make_plain(5000), packed = pack_as_kernel(&packings[3], &plain);
	uint32_t length = (uint32_t)packed.length;
	const uint32_t wrong[] = {length + 1, 4, 3, 1, UINT32_MAX, UINT32_MAX - START, 1u << 31};
	struct bytes out;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		EXPECT_EQ(-EBADMSG, unpack(&packed, wrong[i], &out)) TH_LOG("%u", wrong[i]);
	}
	EXPECT_EQ(0, unpack(&packed, length, &out));
	free(out.data);
	free(packed.data);
	free(plain.data);
}

TEST(packings_of_the_start_up_code_alone_are_left_to_it)
{
	static const char *const magics[] = {"\x5d\0\0\0", "BZh9", "\x89LZO", "\x02\x21\x4c\x19"};
	uint8_t data[64] = {0};
	struct bytes payload = {.data = data, .length = sizeof(data)};
	uint32_t size = 1000;

	memcpy(data + sizeof(data) - 4, &size, 4);
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		memcpy(data, magics[i], 4);
		EXPECT_EQ(-ENOTSUP, end_of(&payload));
	}
}

/* ---- lz4's legacy frame, by hand ---- */

/* A block of @length literals: a token of 15 and more, the rest of the length, the bytes. */
static void put_literals(struct bytes *to, const uint8_t *data, size_t length)
{
	size_t rest = length - 15, head = 2 + rest / 255;

	put32(to, (uint32_t)(head + length));
	put(to, "\xf0", 1);
	for (; rest >= 255; rest -= 255)
		put(to, "\xff", 1);
	to->data[to->length++] = (uint8_t)rest;
	put(to, data, length);
}

FIXTURE(lz4)
{
	struct bytes plain, frame;
	struct decompressed out;
};

FIXTURE_SETUP(lz4)
{
	self->plain = make_plain(LZ4_BLOCK + 1000);
	self->frame.data = malloc(LZ4_BLOCK + LZ4_BLOCK / 4);
	put32(&self->frame, LZ4_MAGIC);
}

FIXTURE_TEARDOWN(lz4)
{
	free(self->plain.data);
	free(self->frame.data);
	free(self->out.data);
}

/* The copy has no spare byte: the sanitizers see a read behind it. */
static int run(FIXTURE_DATA(lz4) * self, size_t limit)
{
	void *exact = malloc(self->frame.length);
	int err;

	memcpy(exact, self->frame.data, self->frame.length);
	free(self->out.data);
	err = decompress(exact, self->frame.length, limit, &self->out);
	free(exact);
	return err;
}

TEST_F(lz4, blocks_follow_each_other)
{
	put_literals(&self->frame, self->plain.data, 1000);
	put_literals(&self->frame, self->plain.data + 1000, 500);
	ASSERT_EQ(0, run(self, 1500));
	ASSERT_EQ(1500, self->out.length);
	EXPECT_EQ(0, memcmp(self->plain.data, self->out.data, 1500));
}

TEST_F(lz4, frames_follow_each_other)
{
	put_literals(&self->frame, self->plain.data, 1000);
	put32(&self->frame, LZ4_MAGIC);
	put_literals(&self->frame, self->plain.data + 1000, 500);
	ASSERT_EQ(0, run(self, 1 << 20));
	ASSERT_EQ(1500, self->out.length);
	EXPECT_EQ(0, memcmp(self->plain.data, self->out.data, 1500));
}

TEST_F(lz4, more_than_the_limit_is_too_much)
{
	put_literals(&self->frame, self->plain.data, 1000);
	put_literals(&self->frame, self->plain.data, 1000);
	EXPECT_EQ(-EFBIG, run(self, 1999));
	EXPECT_EQ(-EFBIG, run(self, 1000));
	EXPECT_EQ(-EFBIG, run(self, 999));
	EXPECT_EQ(-EFBIG, run(self, 0));
	EXPECT_EQ(0, run(self, 2000));
}

TEST_F(lz4, block_of_more_than_8_mib_is_damage)
{
	put_literals(&self->frame, self->plain.data, LZ4_BLOCK);
	EXPECT_EQ(0, run(self, 64 * MIB));
	self->frame.length = 4;
	put_literals(&self->frame, self->plain.data, LZ4_BLOCK + 1);
	EXPECT_EQ(-EBADMSG, run(self, 64 * MIB));
}

TEST_F(lz4, block_that_ends_behind_the_file_is_damage)
{
	size_t whole;

	put_literals(&self->frame, self->plain.data, 1000);
	whole = self->frame.length;
	for (size_t cut = 1; cut < whole - 4; cut++) {
		self->frame.length = whole - cut;
		ASSERT_EQ(-EBADMSG, run(self, MIB)) TH_LOG("%zu bytes less", cut);
	}
}

TEST_F(lz4, lengths_that_cannot_be_are_damage)
{
	static const uint32_t lengths[] = {0, 1u << 31, UINT32_MAX, INT32_MAX, 0x184c2103};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		put_literals(&self->frame, self->plain.data, 1000);
		memcpy(self->frame.data + 4, &lengths[i], 4);
		EXPECT_EQ(-EBADMSG, run(self, MIB)) TH_LOG("%u", lengths[i]);
		self->frame.length = 4;
	}
}

/* Matches that begin before the output: at its first byte, and in the block before. */
TEST_F(lz4, match_before_its_block_is_damage)
{
	static const uint8_t block[] = {0x10, 'a', 2, 0, 0x50, 'b', 'c', 'd', 'e', 'f'};

	put32(&self->frame, sizeof(block));
	put(&self->frame, block, sizeof(block));
	EXPECT_EQ(-EBADMSG, run(self, 64 * MIB));
	self->frame.length = 4;
	put_literals(&self->frame, self->plain.data, 1000);
	put32(&self->frame, sizeof(block));
	put(&self->frame, block, sizeof(block));
	EXPECT_EQ(-EBADMSG, run(self, 64 * MIB));
}

TEST_F(lz4, nothing_but_the_magic_gives_nothing)
{
	EXPECT_EQ(0, run(self, MIB));
	EXPECT_EQ(0, self->out.length);
}

TEST_HARNESS_MAIN
