/* SPDX-License-Identifier: GPL-2.0-only */
/* What a machine's firmware and CPUs say of its topology, as files and as text. */
#ifndef KTSTR_VMM_CLI_TOPO_DUMP_H
#define KTSTR_VMM_CLI_TOPO_DUMP_H

#include <ktstr/error.h>
#include <ktstr/vm.h>

#include <stdbool.h>
#include <stdio.h>

#include "../layout.h"

struct kvm_cpuid2;

struct topo_machine {
	struct layout layout;
	/* x86: as cpuid__take_vendor() left them */
	struct kvm_cpuid2 *offered;
	uint32_t vendor; /* enum cpuid_vendor */
};

/*
 * @kvm: what KVM offers on this host, or else, and without @kvm, only whose CPU the host has:
 * enough for the topology. *without_kvm: errno where KVM was wanted and did not answer, or 0.
 */
int topo_machine__create(const struct ktstr_topology *topology, uint32_t memory_mb,
			 enum ktstr_cpu_vendor vendor, bool kvm, struct topo_machine *m,
			 int *without_kvm, struct ktstr_error *error);
void topo_machine__destroy(struct topo_machine *m);

/* Caches as the CPUs tell them. */
int topo_dump__caches(const struct topo_machine *m, struct ktstr_caches *caches,
		      struct ktstr_error *error);
/* The topology leaves of each CPU, as `cpuid -r` prints leaves. */
int topo_dump__cpuid(const struct topo_machine *m, FILE *to, struct ktstr_error *error);
/* A file a table, named as `acpidump -b` does. @dir is made when it is not there. */
int topo_dump__acpi(const struct topo_machine *m, const char *dir, struct ktstr_error *error);
int topo_dump__mptable(const struct topo_machine *m, const char *path, struct ktstr_error *error);

#endif /* KTSTR_VMM_CLI_TOPO_DUMP_H */
