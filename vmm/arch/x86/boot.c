// SPDX-License-Identifier: GPL-2.0-only
/*
 * Puts a kernel (bzImage or ELF vmlinux), its command line, initramfs and boot parameters into
 * guest RAM as Documentation/arch/x86/boot.rst says, for the 64-bit entry point.
 */
#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../initramfs/initramfs.h"
#include "../../cmdline.h"
#include "../../vm.h"
#include "unpack.h"
#include "x86.h"

#define SETUP_HEADER_OFFSET 0x1f1
#define SETUP_MAGIC 0x53726448u /* "HdrS" */
#define PROTOCOL_64BIT 0x020c	/* first with xloadflags */
#define ENTRY_64_OFFSET 0x200
#define LOADER_TYPE_UNDEFINED 0xff
#define SECTOR 512u
#define DEFAULT_SETUP_SECTORS 4u
#define DEFAULT_INITRD_MAX 0x37ffffffu
#define DEFAULT_CMDLINE_MAX 2047u
#define ELF_MAX_SEGMENTS 64
#define PAGE UINT64_C(4096)

#define E820_RAM 1
#define E820_RESERVED 2
#define E820_ACPI 3

/*
 * What Debian's 7.3 takes for itself until PID 1 runs: 18 MiB and 0.3 MiB a CPU were measured.
 */
#define KERNEL_OWN (UINT64_C(24) << 20)
#define KERNEL_OWN_CPU (UINT64_C(512) << 10)
#define MEMMAP_SHARE 64u /* struct page: 64 of each 4096 bytes of RAM */
#define INITRAMFS_MAX (UINT64_C(1) << 40)

static int not_a_kernel(const struct arch_payload *payload, const char *why,
			struct ktstr_error *error)
{
	int err = ktstr_error__set(error, ENOEXEC, "load kernel", payload->kernel_path, "%s", why);

	ktstr_error__hint(error, "give a bzImage or an x86-64 vmlinux of Linux 2.6.38 or later");
	return err;
}

/*
 * The archive is unpacked while it is still there itself, into a tmpfs of half of what is free
 * before that (mm/shmem.c, shmem_default_max_blocks()). Below the kernel, all is free but the first
 * MiB.
 */
static uint64_t needed_ram(const struct vm *vm, uint64_t archive, uint64_t unpacked)
{
	uint64_t own = KERNEL_OWN + vm->layout.nr_cpus * KERNEL_OWN_CPU, need;

	need = vm->kernel_end - vm->kernel_start + X86_HIGH_RAM_GPA + archive + unpacked +
	       (unpacked > own ? unpacked : own);
	return need + need / (MEMMAP_SHARE - 1);
}

static int too_little_memory(const struct vm *vm, uint64_t need, struct ktstr_error *error)
{
	uint64_t total = 0;
	int err;

	for (uint32_t i = 0; i < vm->mem.nr_regions; i++)
		total += vm->mem.regions[i].size;
	err = ktstr_error__set(error, ENOMEM, "guest memory", NULL,
			       "%llu MiB are too little: kernel and initramfs need %llu MiB",
			       (unsigned long long)(total >> 20),
			       (unsigned long long)((need + (1 << 20) - 1) >> 20));
	ktstr_error__hint(error, "give the VM more memory (--memory, .memory_mb)");
	return err;
}

/* The kernel, which is to lie in [start, end), does not fit: all that is needed, at once. */
static int kernel_does_not_fit(struct vm *vm, const struct arch_payload *payload, uint64_t start,
			       uint64_t end, struct ktstr_error *error)
{
	const struct initramfs_image *image = payload->initramfs;
	uint64_t need;

	vm->kernel_start = start;
	vm->kernel_end = end;
	need = image && image->size <= INITRAMFS_MAX && image->unpacked <= INITRAMFS_MAX
		       ? needed_ram(vm, image->size, image->unpacked)
		       : 0;
	return too_little_memory(vm, need > end ? need : end, error);
}

/* End of the RAM at address 0, without tables at its top. */
static uint64_t low_ram_end(const struct vm *vm)
{
	const struct x86_vm *x86 = vm->arch_data;

	return x86->high_tables ? x86->high_tables : vm->mem.regions[0].size;
}

/* Reads exactly @length bytes of the file into guest RAM. */
static int read_to_ram(struct vm *vm, int fd, uint64_t offset, uint64_t gpa, uint64_t length,
		       const char *path, struct ktstr_error *error)
{
	uint8_t *to = gmem__ptr(&vm->mem, gpa, length);

	if (!to)
		return ktstr_error__set(
			error, ENOMEM, "load", path, "%llu MiB at 0x%llx do not fit into guest RAM",
			(unsigned long long)(length >> 20), (unsigned long long)gpa);
	while (length) {
		ssize_t n = pread(fd, to, length, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ktstr_error__set(error, errno, "read", path, NULL);
		if (n == 0)
			return ktstr_error__set(error, ENOEXEC, "read", path,
						"the file is too short");
		to += n;
		offset += (uint64_t)n;
		length -= (uint64_t)n;
	}
	return 0;
}

static int load_bzimage(struct vm *vm, const struct arch_payload *payload, uint64_t file_size,
			struct setup_header *hdr, struct ktstr_error *error)
{
	struct x86_vm *x86 = vm->arch_data;
	uint64_t setup, init_end, size, gpa = hdr->pref_address;
	int err;

	if (hdr->version < PROTOCOL_64BIT || !(hdr->xloadflags & XLF_KERNEL_64))
		return not_a_kernel(payload, "has no 64-bit entry point", error);
	setup = (hdr->setup_sects ? hdr->setup_sects : DEFAULT_SETUP_SECTORS) + UINT64_C(1);
	setup *= SECTOR;
	if (setup >= file_size)
		return not_a_kernel(payload, "is shorter than its header says", error);
	size = file_size - setup;
	if (__builtin_add_overflow(gpa, hdr->init_size > size ? hdr->init_size : size, &init_end) ||
	    gpa < X86_HIGH_RAM_GPA || init_end > X86_MAPPED_END)
		return not_a_kernel(payload, "wants an impossible load address", error);
	if (init_end > low_ram_end(vm))
		return kernel_does_not_fit(vm, payload, gpa, init_end, error);
	err = read_to_ram(vm, payload->kernel_fd, setup, gpa, size, payload->kernel_path, error);
	if (err)
		return err;
	x86->entry = gpa + ENTRY_64_OFFSET;
	vm->kernel_start = gpa;
	vm->kernel_end = init_end;
	hdr->code32_start = (uint32_t)gpa;
	return 0;
}

/*
 * Where KVM is native the file's whole pages are shared by all machines, and copied where a guest
 * writes. Where it is emulated each fault for a page costs more than copying it.
 */
static int share_or_read(struct vm *vm, int fd, uint64_t offset, uint64_t gpa, uint64_t length,
			 const char *path, struct ktstr_error *error)
{
	uint64_t shared = length - length % PAGE;

	/* Nor where pages have to be huge, and of the machine's own node. */
	if (x86__is_emulated() || vm->performance || gpa % PAGE || offset % PAGE || !shared ||
	    gmem__share_file(&vm->mem, gpa, shared, fd, offset))
		shared = 0;
	return read_to_ram(vm, fd, offset + shared, gpa + shared, length - shared, path, error);
}

/*
 * The kernel inside the bzImage, unpacked here. Its own start-up code would also go over to five
 * levels of page tables where the CPU has them: there, it does all by itself. -ENOTSUP: likewise.
 */
static int load_unpacked(struct vm *vm, const struct arch_payload *payload,
			 struct setup_header *hdr, struct ktstr_error *error)
{
	struct x86_vm *x86 = vm->arch_data;
	bool random = vm->kaslr != KTSTR_KASLR_ASKED_OFF;
	struct unpacked u;
	int err;

	if (cpuid__has_la57(x86->cpuid) || (hdr->version < PROTOCOL_64BIT))
		return -ENOTSUP;
	err = unpack__open(payload->kernel_fd, hdr, random, &u);
	if (u.damaged[0])
		snprintf(vm->cache_problem, sizeof(vm->cache_problem),
			 "%s was damaged; the kernel was unpacked anew", u.damaged);
	if (err)
		return -ENOTSUP;
	if (u.layout.end > low_ram_end(vm)) {
		unpack__close(&u);
		return kernel_does_not_fit(vm, payload, u.layout.gpa, u.layout.end, error);
	}
	/* The last page has the footer behind the kernel. */
	err = share_or_read(vm, u.fd, 0, u.layout.gpa, u.layout.file_end - u.layout.gpa, "kernel",
			    error);
	unpack__close(&u);
	if (err)
		return err;
	x86->entry = u.layout.entry;
	vm->kernel_start = u.layout.gpa;
	vm->kernel_end = u.layout.end;
	hdr->code32_start = (uint32_t)u.layout.gpa;
	/* What the start-up code says to the kernel when it has chosen a random address. */
	if (u.layout.relocated)
		hdr->loadflags |= KASLR_FLAG;
	if (random)
		vm->kaslr = u.layout.relocated ? KTSTR_KASLR_ON : KTSTR_KASLR_NO_RELOCATIONS;
	return 0;
}

static int load_elf_segment(struct vm *vm, const struct arch_payload *payload, const Elf64_Phdr *ph,
			    struct ktstr_error *error)
{
	uint64_t end;

	if (!ph->p_memsz)
		return 0;
	if (ph->p_filesz > ph->p_memsz || ph->p_paddr < X86_HIGH_RAM_GPA ||
	    __builtin_add_overflow(ph->p_paddr, ph->p_memsz, &end) || end > X86_MAPPED_END ||
	    ph->p_offset > INT64_MAX || ph->p_filesz > INT64_MAX - ph->p_offset)
		return not_a_kernel(payload, "has an impossible segment", error);
	if (end > low_ram_end(vm))
		return kernel_does_not_fit(vm, payload, ph->p_paddr, end, error);
	if (!vm->kernel_end || ph->p_paddr < vm->kernel_start)
		vm->kernel_start = ph->p_paddr;
	if (end > vm->kernel_end)
		vm->kernel_end = end;
	return read_to_ram(vm, payload->kernel_fd, ph->p_offset, ph->p_paddr, ph->p_filesz,
			   payload->kernel_path, error);
}

/* e_entry of vmlinux is the physical address of startup_64. */
static int load_elf(struct vm *vm, const struct arch_payload *payload, struct setup_header *hdr,
		    struct ktstr_error *error)
{
	struct x86_vm *x86 = vm->arch_data;
	Elf64_Phdr ph[ELF_MAX_SEGMENTS];
	Elf64_Ehdr eh;
	size_t size;

	if (pread(payload->kernel_fd, &eh, sizeof(eh), 0) != (ssize_t)sizeof(eh))
		return not_a_kernel(payload, "is too short for an ELF header", error);
	if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_machine != EM_X86_64 ||
	    eh.e_type != ET_EXEC || eh.e_phentsize != sizeof(ph[0]) || !eh.e_phnum ||
	    eh.e_phnum > ELF_MAX_SEGMENTS)
		return not_a_kernel(payload, "is an ELF file but not an x86-64 vmlinux", error);
	size = eh.e_phnum * sizeof(ph[0]);
	if (pread(payload->kernel_fd, ph, size, (off_t)eh.e_phoff) != (ssize_t)size)
		return not_a_kernel(payload, "is shorter than its header says", error);
	for (uint32_t i = 0; i < eh.e_phnum; i++) {
		int err =
			ph[i].p_type == PT_LOAD ? load_elf_segment(vm, payload, &ph[i], error) : 0;

		if (err)
			return err;
	}
	if (!vm->kernel_end || eh.e_entry >= X86_MAPPED_END || !gmem__ptr(&vm->mem, eh.e_entry, 1))
		return not_a_kernel(payload, "has its entry point outside RAM", error);
	x86->entry = eh.e_entry;
	/* What a bzImage's header would have said. */
	hdr->header = SETUP_MAGIC;
	hdr->version = PROTOCOL_64BIT;
	hdr->boot_flag = 0xaa55;
	hdr->cmdline_size = DEFAULT_CMDLINE_MAX;
	hdr->initrd_addr_max = DEFAULT_INITRD_MAX;
	hdr->kernel_alignment = 0x1000000;
	return 0;
}

static void add_e820(struct boot_params *bp, uint64_t addr, uint64_t end, uint32_t type)
{
	if (addr < end && bp->e820_entries < E820_MAX_ENTRIES_ZEROPAGE)
		bp->e820_table[bp->e820_entries++] =
			(struct boot_e820_entry){.addr = addr, .size = end - addr, .type = type};
}

static void write_e820(const struct vm *vm, struct boot_params *bp)
{
	add_e820(bp, 0, X86_LOW_RAM_END, E820_RAM);
	add_e820(bp, X86_LOW_RAM_END, X86_HIGH_RAM_GPA, E820_RESERVED);
	for (uint32_t i = 0; i < vm->mem.nr_regions; i++) {
		const struct gmem_region *r = &vm->mem.regions[i];
		uint64_t end = r->gpa ? r->gpa + r->size : low_ram_end(vm);

		add_e820(bp, r->gpa ? r->gpa : X86_HIGH_RAM_GPA, end, E820_RAM);
		add_e820(bp, end, r->gpa + r->size, E820_ACPI);
	}
}

static int write_cmdline(struct vm *vm, const struct arch_payload *payload,
			 const struct setup_header *hdr, struct ktstr_error *error)
{
	size_t length = strlen(payload->cmdline);

	if (length > hdr->cmdline_size) {
		int err = ktstr_error__set(error, E2BIG, "kernel command line", NULL,
					   "%zu bytes, the kernel takes %u", length,
					   hdr->cmdline_size);

		ktstr_error__hint(error, "shorten --append or .kernel_args");
		return err;
	}
	if (gmem__write(&vm->mem, X86_CMDLINE_GPA, payload->cmdline, length + 1))
		return ktstr_error__set(error, EFAULT, "kernel command line", NULL, "not in RAM");
	return 0;
}

static struct boot_params *boot_params(struct vm *vm)
{
	return gmem__ptr(&vm->mem, X86_BOOT_PARAMS_GPA, sizeof(struct boot_params));
}

int x86_boot__load_kernel(struct vm *vm, const struct arch_payload *payload,
			  struct ktstr_error *error)
{
	const struct x86_vm *x86 = vm->arch_data;
	struct boot_params *bp = boot_params(vm);
	struct setup_header hdr = {0};
	struct stat st;
	char magic[SELFMAG];
	int err;

	if (!bp)
		return ktstr_error__set(error, EFAULT, "boot parameters", NULL, "not in RAM");
	if (fstat(payload->kernel_fd, &st))
		return ktstr_error__set(error, errno, "stat", payload->kernel_path, NULL);
	if (!S_ISREG(st.st_mode) ||
	    pread(payload->kernel_fd, magic, sizeof(magic), 0) != (ssize_t)sizeof(magic))
		return not_a_kernel(payload, "is not a kernel image", error);
	vm->kaslr = cmdline__has(payload->cmdline, "nokaslr") ? KTSTR_KASLR_ASKED_OFF
							      : KTSTR_KASLR_UNKNOWN;
	if (!memcmp(magic, ELFMAG, SELFMAG)) {
		err = load_elf(vm, payload, &hdr, error);
		if (!err && !vm->kaslr)
			vm->kaslr = KTSTR_KASLR_NO_RELOCATIONS;
	} else {
		if (pread(payload->kernel_fd, &hdr, sizeof(hdr), SETUP_HEADER_OFFSET) !=
			    (ssize_t)sizeof(hdr) ||
		    hdr.header != SETUP_MAGIC)
			return not_a_kernel(payload, "is not a kernel image", error);
		err = load_unpacked(vm, payload, &hdr, error);
		if (err == -ENOTSUP)
			err = load_bzimage(vm, payload, (uint64_t)st.st_size, &hdr, error);
		if (!err && !vm->kaslr)
			vm->kaslr = KTSTR_KASLR_GUEST;
	}
	if (err)
		return err;

	memset(bp, 0, sizeof(*bp));
	bp->hdr = hdr;
	bp->hdr.type_of_loader = LOADER_TYPE_UNDEFINED;
	bp->hdr.loadflags |= LOADED_HIGH;
	bp->hdr.cmd_line_ptr = (uint32_t)X86_CMDLINE_GPA;
	bp->acpi_rsdp_addr = x86->high_tables ? x86->high_tables : X86_TABLES_GPA;
	write_e820(vm, bp);
	return write_cmdline(vm, payload, &hdr, error);
}

static int check_memory(struct vm *vm, const struct arch_payload *payload, uint64_t archive,
			struct ktstr_error *error)
{
	uint64_t unpacked = payload->initramfs ? payload->initramfs->unpacked : 0, total = 0, need;

	for (uint32_t i = 0; i < vm->mem.nr_regions; i++)
		total += vm->mem.regions[i].size;
	/* Far above any RAM, and far from overflow: the kernel is below 4 GiB. */
	if (archive > INITRAMFS_MAX || unpacked > INITRAMFS_MAX)
		return ktstr_error__set(error, EFBIG, "initramfs", NULL, "more than %llu GiB",
					(unsigned long long)(INITRAMFS_MAX >> 30));
	need = needed_ram(vm, archive, unpacked);
	return need <= total ? 0 : too_little_memory(vm, need, error);
}

static int place_archive(struct vm *vm, const struct initramfs_image *image, uint64_t gpa,
			 struct ktstr_error *error)
{
	int err = 0;

	for (size_t i = 0; image && i < image->nr_segments && !err; i++) {
		const struct initramfs_segment *s = &image->segments[i];

		err = share_or_read(vm, s->fd, s->offset, gpa, s->length, "initramfs", error);
		gpa += s->length;
	}
	return err;
}

int x86_boot__load_initramfs(struct vm *vm, const struct arch_payload *payload,
			     struct ktstr_error *error)
{
	struct boot_params *bp = boot_params(vm);
	uint64_t archive = payload->initramfs ? payload->initramfs->size : 0, size, top, gpa;
	int err;

	if (__builtin_add_overflow(archive, payload->run_config_size, &size))
		return ktstr_error__set(error, EFBIG, "initramfs", NULL, "too large");
	if (!size)
		return 0;
	err = check_memory(vm, payload, size, error);
	if (err)
		return err;
	/* As high as the kernel allows, inside the first region: out of the kernel's way. */
	top = low_ram_end(vm);
	if (top > (uint64_t)bp->hdr.initrd_addr_max + 1)
		top = (uint64_t)bp->hdr.initrd_addr_max + 1;
	if (size > top || (gpa = (top - size) & ~(PAGE - 1)) < vm->kernel_end)
		return ktstr_error__set(error, ENOMEM, "initramfs", NULL,
					"%llu MiB do not fit between kernel and %llu MiB",
					(unsigned long long)(size >> 20),
					(unsigned long long)(top >> 20));
	err = place_archive(vm, payload->initramfs, gpa, error);
	if (err)
		return err;
	if (gmem__write(&vm->mem, gpa + archive, payload->run_config, payload->run_config_size))
		return ktstr_error__set(error, EFAULT, "initramfs", NULL, "not in RAM");
	bp->hdr.ramdisk_image = (uint32_t)gpa;
	bp->hdr.ramdisk_size = (uint32_t)size;
	return 0;
}
