// SPDX-License-Identifier: GPL-2.0-only
/* arm64 kernel images, on any host: plain, gzipped, in EFI zboot, and what is none. */
#include "vmm/arch/arm64/image.h"

#include <elf.h>
#include <errno.h>
#include <stddef.h>
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
	EXPECT_STREQ("is not an arm64 kernel image", self->error.reason);
	memcpy(self->plain + 0x1fe, "\x55\xaa", 2);
	memcpy(self->plain + 0x202, "HdrS", 4);
	EXPECT_EQ(-ENOEXEC, open_bytes(self, self->plain, BYTES));
	EXPECT_STREQ("is a kernel for x86-64", self->error.reason);
	EXPECT_NE(NULL, strstr(self->error.hint, "give an arm64 Image"));
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
	EXPECT_STREQ("is damaged or cut off", self->error.reason);
}

/* ---- vmlinux ---- */

#define HOLE 512u

/* The Image in two segments, in the file in the other order, with a hole between them. */
struct vmlinux {
	Elf64_Ehdr header;
	Elf64_Phdr ph[3];
	uint8_t second[BYTES - 1024 - HOLE], first[1024];
};

static void make_vmlinux(const struct _test_data_image *self, struct vmlinux *v)
{
	const uint64_t base = UINT64_C(0xffff800080000000);

	*v = (struct vmlinux){.header = {.e_type = ET_DYN,
					 .e_machine = EM_AARCH64,
					 .e_phoff = offsetof(struct vmlinux, ph),
					 .e_phentsize = sizeof(Elf64_Phdr),
					 .e_phnum = 3},
			      .ph = {{.p_type = PT_LOAD,
				      .p_paddr = base,
				      .p_offset = offsetof(struct vmlinux, first),
				      .p_filesz = sizeof(v->first)},
				     {.p_type = PT_NOTE, .p_paddr = 0, .p_filesz = UINT64_MAX},
				     {.p_type = PT_LOAD,
				      .p_paddr = base + 1024 + HOLE,
				      .p_offset = offsetof(struct vmlinux, second),
				      .p_filesz = sizeof(v->second)}}};
	memcpy(v->header.e_ident, ELFMAG, SELFMAG);
	v->header.e_ident[EI_CLASS] = ELFCLASS64;
	v->header.e_ident[EI_DATA] = ELFDATA2LSB;
	memcpy(v->first, self->plain, sizeof(v->first));
	memcpy(v->second, self->plain + 1024 + HOLE, sizeof(v->second));
}

TEST_F(image, a_vmlinux_has_the_image_in_its_segments)
{
	struct vmlinux v;

	make_vmlinux(self, &v);
	ASSERT_EQ(0, open_bytes(self, &v, sizeof(v))) TH_LOG("%s", self->error.reason);
	memset(self->plain + 1024, 0, HOLE);
	EXPECT_TRUE(is_whole(self));
}

TEST_F(image, a_vmlinux_that_cannot_be_is_refused)
{
	struct vmlinux v;

	make_vmlinux(self, &v);
	EXPECT_EQ(-EBADMSG, open_bytes(self, &v, sizeof(v) - 1));
	EXPECT_EQ(-EBADMSG, open_bytes(self, &v, sizeof(v.header) + 1));
	v.header.e_machine = EM_X86_64;
	EXPECT_EQ(-ENOEXEC, open_bytes(self, &v, sizeof(v)));
	EXPECT_STREQ("is an ELF file but no arm64 vmlinux", self->error.reason);
	make_vmlinux(self, &v);
	v.header.e_phnum = 0;
	EXPECT_EQ(-ENOEXEC, open_bytes(self, &v, sizeof(v)));
	v.header.e_phnum = UINT16_MAX;
	EXPECT_EQ(-ENOEXEC, open_bytes(self, &v, sizeof(v)));
	make_vmlinux(self, &v);
	v.ph[2].p_filesz = UINT64_MAX;
	EXPECT_EQ(-ENOEXEC, open_bytes(self, &v, sizeof(v)));
	EXPECT_STREQ("has an impossible segment", self->error.reason);
	make_vmlinux(self, &v);
	v.ph[2].p_paddr += UINT64_C(1) << 30;
	EXPECT_EQ(-ENOEXEC, open_bytes(self, &v, sizeof(v)));
	EXPECT_STREQ("has no segments, or too large ones", self->error.reason);
	make_vmlinux(self, &v);
	v.ph[2].p_offset = UINT64_MAX - 16;
	EXPECT_GT(0, open_bytes(self, &v, sizeof(v)));
	/* No header of an Image where it begins. */
	make_vmlinux(self, &v);
	v.first[56] = 0;
	EXPECT_EQ(-ENOEXEC, open_bytes(self, &v, sizeof(v)));
	EXPECT_STREQ("is not an arm64 kernel image", self->error.reason);
}

/* Arm ARM, ID_AA64MMFR0_EL1: TGran4 from bit 28 on, TGran64 24, TGran16 20. */
TEST(pages_are_those_of_the_cpu)
{
	static const struct {
		uint64_t mmfr0;
		bool has4, has16, has64;
	} cpus[] = {
		{0, true, false, true},		 {0x00100000, true, true, true},
		{0x10200000, true, true, true}, /* with 52 bits of addresses */
		{0xf0100000, false, true, true}, {0x0f000000, true, false, false},
	};

	for (size_t i = 0; i < sizeof(cpus) / sizeof(cpus[0]); i++) {
		EXPECT_EQ(cpus[i].has4, arm64_image__has_pages(cpus[i].mmfr0, 4));
		EXPECT_EQ(cpus[i].has16, arm64_image__has_pages(cpus[i].mmfr0, 16));
		EXPECT_EQ(cpus[i].has64, arm64_image__has_pages(cpus[i].mmfr0, 64));
		EXPECT_TRUE(arm64_image__has_pages(cpus[i].mmfr0, 0));
	}
}

TEST_HARNESS_MAIN
