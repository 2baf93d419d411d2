/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An 82093AA IOAPIC in user space, for KVM's split interrupt chip: each unmasked pin is an MSI
 * route of KVM, so that irqfds reach the guest without it. Destinations have 15 bits
 * (KVM_FEATURE_MSI_EXT_DEST_ID).
 */
#ifndef KTSTR_VMM_X86_IOAPIC_H
#define KTSTR_VMM_X86_IOAPIC_H

#include <ktstr/error.h>
#include <linux/kvm.h>

#include <pthread.h>
#include <stdint.h>

#include "../../bus.h"

#define IOAPIC_PINS 24u
#define IOAPIC_SIZE 0x1000u

/* Everything that the device is. */
struct ioapic_state {
	uint32_t select;
	uint8_t id;
	uint64_t redirection[IOAPIC_PINS];
};

struct ioapic {
	pthread_mutex_t lock;
	struct ioapic_state state;
	int vm_fd;
};

extern const struct bus_ops ioapic_bus_ops; /* opaque: struct ioapic */

/* Masked pins; writes no route yet. */
void ioapic__init(struct ioapic *ioapic, int vm_fd);
/* The route of one pin, as KVM wants it; the caller checks the mask. Pure. */
void ioapic__route(uint64_t redirection, uint32_t pin, struct kvm_irq_routing_entry *entry);
/* The guest ended a level-triggered interrupt (KVM_EXIT_IOAPIC_EOI). */
void ioapic__eoi(struct ioapic *ioapic, uint8_t vector);
void ioapic__save(struct ioapic *ioapic, struct ioapic_state *state);
int ioapic__load(struct ioapic *ioapic, const struct ioapic_state *state);

#endif /* KTSTR_VMM_X86_IOAPIC_H */
