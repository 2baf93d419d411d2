// SPDX-License-Identifier: GPL-2.0-only
/* arm64 kernel images, on any host: plain, gzipped, in EFI zboot, and what is none. */
#include "vmm/arch/arm64/image.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "kselftest_harness.h"

#define BYTES 4096u
#define MEMORY 0x20000u

FIXTURE(image)
{
	uint8_t plain[BYTES], packed[2 * BYTES];
	size_t packed_length;
	struct arm64_image image;
	struct ktstr_error error;
};

static void put_le(uint8_t *to, uint64_t value, unsigned int bytes)
{
	for (; bytes--; value >>= 8)
		*to++ = (uint8_t)value;
}

FIXTURE_SETUP(image)
{
	z_stream z = {.next_in = self->plain, .avail_in = BYTES};

	for (size_t i = 0; i < BYTES; i++)
		self->plain[i] = (uint8_t)(i * 7);
	put_le(self->plain + 8, 0x1000, 8);
	put_le(self->plain + 16, MEMORY, 8);
	put_le(self->plain + 24, 0xa, 8); /* little-endian, 4 KiB, anywhere */
	memcpy(self->plain + 56, "ARM\x64", 4);
	/* The zboot header goes before it. */
	z.next_out = self->packed + 64;
	z.avail_out = sizeof(self->packed) - 64;
	ASSERT_EQ(Z_OK, deflateInit2(&z, 9, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY));
	ASSERT_EQ(Z_STREAM_END, deflate(&z, Z_FINISH));
	self->packed_length = z.total_out;
	deflateEnd(&z);
}

FIXTURE_TEARDOWN(image)
{
	arm64_image__close(&self->image);
}

static int open_bytes(struct _test_data_image *self, const void *data, size_t length)
{
	int fd = memfd_create("image", MFD_CLOEXEC), err;

	self->error = (struct ktstr_error){0};

	arm64_image__close(&self->image);
	if (fd < 0 || write(fd, data, length) != (ssize_t)length)
		return -EIO;
	err = arm64_image__open(fd, "Image", &self->image, &self->error);
	close(fd);
	return err;
}

static bool is_whole(const struct _test_data_image *self)
{
	return self->image.length == BYTES && !memcmp(self->image.data, self->plain, BYTES) &&
	       self->image.text_offset == 0x1000 && self->image.memory == MEMORY &&
	       self->image.page_kib == 4;
}

static void put_zboot(struct _test_data_image *self, uint32_t start, uint32_t length)
{
	memset(self->packed, 0, 64);
	memcpy(self->packed, "MZ\0\0zimg", 8);
	put_le(self->packed + 8, start, 4);
	put_le(self->packed + 12, length, 4);
}

TEST_F(image, plain_gzip_and_zboot_are_the_same_kernel)
{
	EXPECT_EQ(0, open_bytes(self, self->plain, BYTES));
	EXPECT_TRUE(is_whole(self));
	EXPECT_EQ(0, open_bytes(self, self->packed + 64, self->packed_length));
	EXPECT_TRUE(is_whole(self));
	put_zboot(self, 64, (uint32_t)self->packed_length);
	EXPECT_EQ(0, open_bytes(self, self->packed, 64 + self->packed_length));
	EXPECT_TRUE(is_whole(self));
}

TEST_F(image, page_sizes_are_read)
{
	put_le(self->plain + 24, 0xc, 8);
	EXPECT_EQ(0, open_bytes(self, self->plain, BYTES));
	EXPECT_EQ(16, self->image.page_kib);
	put_le(self->plain + 24, 0xe, 8);
	EXPECT_EQ(0, open_bytes(self, self->plain, BYTES));
	EXPECT_EQ(64, self->image.page_kib);
}

TEST_F(image, what_is_no_arm64_kernel_is_refused)
{
	self->plain[24] |= 1;
	EXPECT_EQ(-ENOEXEC, open_bytes(self, self->plain, BYTES));
	EXPECT_STREQ("is a big-endian kernel", self->error.reason);
	self->plain[24] &= 0xfe;
	self->plain[56] = 0;
	EXPECT_EQ(-ENOEXEC, open_bytes(self, self->plain, BYTES));
	memcpy(self->plain + 0x202, "HdrS", 4);
	EXPECT_EQ(-ENOEXEC, open_bytes(self, self->plain, BYTES));
	EXPECT_STREQ("is an x86 kernel", self->error.reason);
	EXPECT_EQ(-ENOEXEC, open_bytes(self, self->plain, 63));
}

TEST_F(image, impossible_headers_are_refused)
{
	put_le(self->plain + 16, BYTES - 1, 8); /* less than the file has */
	EXPECT_EQ(-ENOEXEC, open_bytes(self, self->plain, BYTES));
	put_le(self->plain + 16, UINT64_MAX, 8);
	EXPECT_EQ(-ENOEXEC, open_bytes(self, self->plain, BYTES));
	put_le(self->plain + 16, MEMORY, 8);
	put_le(self->plain + 8, UINT64_MAX, 8);
	EXPECT_EQ(-ENOEXEC, open_bytes(self, self->plain, BYTES));
	put_zboot(self, 64, (uint32_t)self->packed_length + 1);
	EXPECT_EQ(-EBADMSG, open_bytes(self, self->packed, 64 + self->packed_length));
	put_zboot(self, UINT32_MAX, UINT32_MAX);
	EXPECT_EQ(-EBADMSG, open_bytes(self, self->packed, 64 + self->packed_length));
	put_zboot(self, 64, (uint32_t)self->packed_length - 9);
	EXPECT_EQ(-EBADMSG, open_bytes(self, self->packed, 64 + self->packed_length));
}

TEST_HARNESS_MAIN
