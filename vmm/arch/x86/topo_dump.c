// SPDX-License-Identifier: GPL-2.0-only
/* The CPUID leaves and firmware tables that a machine would get, without making one. */
#include "../../cli/topo_dump.h"

#include <cpuid.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../virtio/mmio.h"
#include "cpuid.h"
#include "tables.h"
#include "x86.h"

/* ACPI 6.5: offsets in the RSDP (§5.2.5.3), a table's header (§5.2.6) and the FADT (§5.2.9). */
#define RSDP_XSDT 24u
#define HEADER_SIZE 36u
#define HEADER_LENGTH 4u
#define FADT_FACS 36u
#define FADT_X_DSDT 140u

/* Types of leaf 4 and 0x8000001D. */
#define CACHE_DATA 1u
#define CACHE_INSTRUCTION 2u

static int no_memory(struct ktstr_error *error)
{
	return ktstr_error__set(error, ENOMEM, "allocate", "machine", NULL);
}

static struct kvm_cpuid2 *new_cpuid(void)
{
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + CPUID_MAX_ENTRIES * sizeof(cpuid->entries[0]));

	if (cpuid)
		cpuid->nent = CPUID_MAX_ENTRIES;
	return cpuid;
}

/* Returns 0 or errno. */
static int ask_kvm(struct kvm_cpuid2 *offered)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), err = 0;

	if (fd < 0)
		return errno;
	if (ioctl(fd, KVM_GET_SUPPORTED_CPUID, offered) < 0)
		err = errno;
	close(fd);
	return err;
}

/* Name, family and address sizes of this CPU. */
static void ask_cpu(struct kvm_cpuid2 *offered)
{
	static const uint32_t leaves[] = {0x0, 0x1, 0x80000000, 0x80000001, 0x80000008};

	offered->nent = 0;
	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
		struct kvm_cpuid_entry2 e = {.function = leaves[i]};

		if (__get_cpuid(leaves[i], &e.eax, &e.ebx, &e.ecx, &e.edx))
			offered->entries[offered->nent++] = e;
	}
}

int topo_machine__create(const struct ktstr_topology *topology, uint32_t memory_mb,
			 enum ktstr_cpu_vendor vendor, bool kvm, struct topo_machine *m,
			 int *without_kvm, struct ktstr_error *error)
{
	struct gmem mem = {0};
	int err = gmem__layout(&mem, (uint64_t)memory_mb << 20, error);

	*m = (struct topo_machine){0};
	*without_kvm = 0;
	if (!err)
		err = layout__create(topology, &mem, &m->layout, error);
	if (err)
		return err;
	err = x86__check_config(topology, vendor, KTSTR_IRQCHIP_AUTO, error);
	m->offered = new_cpuid();
	if (!err && !m->offered)
		err = no_memory(error);
	if (!err) {
		if (kvm)
			*without_kvm = ask_kvm(m->offered);
		if (!kvm || *without_kvm)
			ask_cpu(m->offered);
		err = cpuid__take_vendor(m->offered, vendor, &m->vendor, error);
	}
	if (err)
		topo_machine__destroy(m);
	return err;
}

void topo_machine__destroy(struct topo_machine *m)
{
	layout__destroy(&m->layout);
	free(m->offered);
	m->offered = NULL;
}

/* ---- CPUID ---- */

int topo_dump__caches(const struct topo_machine *m, struct ktstr_caches *caches,
		      struct ktstr_error *error)
{
	uint32_t leaf = m->vendor == CPUID_VENDOR_AMD ? 0x8000001d : 0x4;
	struct kvm_cpuid2 *cpuid = new_cpuid();
	int err;

	if (!cpuid)
		return no_memory(error);
	err = cpuid__build(m->offered, m->vendor, &m->layout, 0, cpuid, error);
	for (uint32_t i = 0; !err && i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &cpuid->entries[i];
		uint32_t level = e->eax >> 5 & 7, type = e->eax & 0x1f;
		uint32_t line = (e->ebx & 0xfff) + 1, ways = (e->ebx >> 22) + 1;
		uint32_t kb = (uint32_t)((uint64_t)line * ways * (e->ecx + UINT64_C(1)) >> 10);

		if (e->function != leaf)
			continue;
		if (level == 1 && type == CACHE_DATA)
			caches->l1d_kb = kb;
		else if (level == 1 && type == CACHE_INSTRUCTION)
			caches->l1i_kb = kb;
		else if (level == 2)
			caches->l2_kb = kb;
		else if (level == 3)
			caches->l3_kb = kb;
	}
	free(cpuid);
	return err;
}

static bool is_topology(uint32_t function)
{
	static const uint32_t leaves[] = {
		0x0,	    0x1,	0x4,	    0xb,	0x1f,	    0x80000000, 0x80000001,
		0x80000005, 0x80000006, 0x80000008, 0x8000001d, 0x8000001e, 0x80000026,
	};

	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
		if (leaves[i] == function)
			return true;
	return false;
}

static int by_leaf(const void *left, const void *right)
{
	const struct kvm_cpuid_entry2 *a = left, *b = right;

	if (a->function != b->function)
		return a->function < b->function ? -1 : 1;
	return a->index < b->index ? -1 : a->index > b->index;
}

int topo_dump__cpuid(const struct topo_machine *m, FILE *to, struct ktstr_error *error)
{
	struct kvm_cpuid2 *cpuid = new_cpuid();
	int err = cpuid ? 0 : no_memory(error);

	for (uint32_t i = 0; !err && i < m->layout.nr_cpus; i++) {
		err = cpuid__build(m->offered, m->vendor, &m->layout, i, cpuid, error);
		if (err)
			break;
		qsort(cpuid->entries, cpuid->nent, sizeof(cpuid->entries[0]), by_leaf);
		fprintf(to, "CPU %u:\n", i);
		for (uint32_t j = 0; j < cpuid->nent; j++) {
			const struct kvm_cpuid_entry2 *e = &cpuid->entries[j];

			if (is_topology(e->function))
				fprintf(to,
					"   0x%08x 0x%02x: eax=0x%08x ebx=0x%08x ecx=0x%08x "
					"edx=0x%08x\n",
					e->function, e->index, e->eax, e->ebx, e->ecx, e->edx);
		}
	}
	free(cpuid);
	return err;
}

/* ---- Tables ---- */

/*
 * A file that is there is cut at its end rather than at its start: ext4 flushes the latter to disk
 * at once, which costs more than all else here.
 */
static int write_file(const char *path, const uint8_t *data, size_t size, struct ktstr_error *error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666), err = 0;
	size_t done = 0;

	if (fd < 0)
		err = errno;
	while (!err && done < size) {
		ssize_t n = write(fd, data + done, size - done);

		if (n < 0 && errno != EINTR)
			err = errno;
		if (n > 0)
			done += (size_t)n;
	}
	if (!err && ftruncate(fd, (off_t)size) && errno != EINVAL /* a pipe or a device */)
		err = errno;
	if (fd >= 0 && close(fd) && !err)
		err = errno;
	if (!err)
		return 0;
	ktstr_error__set(error, err, "write", path, NULL);
	ktstr_error__hint(error, "give a place that can be written");
	return -err;
}

static uint64_t read_le(const uint8_t *p, unsigned int bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | p[bytes];
	return value;
}

/* "DIR/srat.dat" of a signature. */
static void name_file(const char *dir, const char *signature, char *path, size_t size)
{
	char name[5] = "";

	for (size_t i = 0; i < 4; i++)
		name[i] = (char)tolower((unsigned char)signature[i]);
	snprintf(path, size, "%s/%s.dat", dir, name);
}

/* A table of ours, so its length is right. */
static int write_table(const char *dir, const uint8_t *table, struct ktstr_error *error)
{
	char path[PATH_MAX];

	name_file(dir, (const char *)table, path, sizeof(path));
	return write_file(path, table, read_le(table + HEADER_LENGTH, 4), error);
}

static const uint8_t *at(const uint8_t *tables, uint64_t gpa)
{
	return tables + (gpa - X86_TABLES_GPA);
}

/* @tables lie at X86_TABLES_GPA, the RSDP first; that has no table's header, so is no file. */
static int write_tables(const uint8_t *tables, const char *dir, struct ktstr_error *error)
{
	static const char *const only_numa[] = {"SLIT", "HMAT"};
	const uint8_t *xsdt = at(tables, read_le(tables + RSDP_XSDT, 8));
	uint64_t nr = (read_le(xsdt + HEADER_LENGTH, 4) - HEADER_SIZE) / 8;
	char path[PATH_MAX];
	int err = 0;

	/* those of an earlier machine, where this one has none */
	for (size_t i = 0; i < sizeof(only_numa) / sizeof(only_numa[0]); i++) {
		name_file(dir, only_numa[i], path, sizeof(path));
		unlink(path);
	}
	err = write_table(dir, xsdt, error);
	for (uint64_t i = 0; !err && i < nr; i++) {
		const uint8_t *table = at(tables, read_le(xsdt + HEADER_SIZE + 8 * i, 8));

		err = write_table(dir, table, error);
		if (err || memcmp(table, "FACP", 4) != 0)
			continue;
		err = write_table(dir, at(tables, read_le(table + FADT_FACS, 4)), error);
		if (!err)
			err = write_table(dir, at(tables, read_le(table + FADT_X_DSDT, 8)), error);
	}
	return err;
}

/* The devices of a machine: its one virtio console. */
static const struct acpi_virtio_mmio virtio[] = {
	{X86_VIRTIO_GPA, VIRTIO_MMIO_SIZE, X86_VIRTIO_GSI}};

static struct x86_tables describe(const struct topo_machine *m)
{
	struct x86_tables tables = {
		.layout = &m->layout,
		.virtio = virtio,
		.nr_virtio = sizeof(virtio) / sizeof(virtio[0]),
		.split_irqchip = m->layout.max_hw_id > X86_MAX_XAPIC_ID,
	};

	for (uint32_t i = 0; i < m->offered->nent; i++) {
		if (m->offered->entries[i].function != 1)
			continue;
		tables.cpu_signature = m->offered->entries[i].eax;
		tables.cpu_features = m->offered->entries[i].edx;
	}
	return tables;
}

int topo_dump__acpi(const struct topo_machine *m, const char *dir, struct ktstr_error *error)
{
	struct x86_tables tables = describe(m);
	size_t size = 0;
	uint8_t *buf;
	int err;

	/* The length alone; what else is wrong is said below. */
	x86_tables__acpi(&tables, X86_TABLES_GPA, NULL, 0, &size, NULL);
	buf = malloc(size ? size : 1);
	if (!buf)
		return no_memory(error);
	err = x86_tables__acpi(&tables, X86_TABLES_GPA, buf, size, &size, error);
	if (!err && mkdir(dir, 0777) && errno != EEXIST) {
		err = ktstr_error__set(error, errno, "make folder", dir, NULL);
		ktstr_error__hint(error, "give a place that can be written");
	}
	if (!err)
		err = write_tables(buf, dir, error);
	free(buf);
	return err;
}

int topo_dump__mptable(const struct topo_machine *m, const char *path, struct ktstr_error *error)
{
	struct x86_tables tables = describe(m);
	size_t size = 0;
	uint8_t *buf;
	int err;

	err = x86_tables__mptable(&tables, X86_MPTABLE_GPA, NULL, 0, &size, NULL);
	if (err == -ENOSPC)
		err = 0;
	buf = err ? NULL : malloc(size ? size : 1);
	if (!err && !buf)
		return no_memory(error);
	err = x86_tables__mptable(&tables, X86_MPTABLE_GPA, buf, size, &size, error);
	if (err == -ERANGE)
		ktstr_error__hint(error, "declare fewer CPUs, or counts that are powers of two: "
					 "others leave gaps between the ids");
	if (!err)
		err = write_file(path, buf, size, error);
	free(buf);
	return err;
}
