// SPDX-License-Identifier: GPL-2.0-only
/* The userspace IOAPIC: registers (82093AA data sheet, §3) and the MSI routes they stand for. */
#include "ioapic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../../mutex.h"

#define IOREGSEL 0x00u
#define IOWIN 0x10u
#define IOEOI 0x40u /* version 0x20 only */

#define REG_ID 0x00u
#define REG_VERSION 0x01u
#define REG_ARBITRATION 0x02u
#define REG_REDIRECTION 0x10u

#define IOAPIC_VERSION 0x20u

#define RTE_VECTOR UINT64_C(0xff)
#define RTE_DELIVERY_SHIFT 8
#define RTE_LOGICAL (UINT64_C(1) << 11)
#define RTE_REMOTE_IRR (UINT64_C(1) << 14)
#define RTE_DELIVERY_STATUS (UINT64_C(1) << 12)
#define RTE_LEVEL (UINT64_C(1) << 15)
#define RTE_MASKED (UINT64_C(1) << 16)
#define RTE_EXT_DEST_SHIFT 49 /* destination bits 8-14 */
#define RTE_DEST_SHIFT 56     /* destination bits 0-7 */
#define RTE_READ_ONLY (RTE_REMOTE_IRR | RTE_DELIVERY_STATUS)

/* MSI address and data (Intel SDM vol. 3A, §12.11). */
#define MSI_ADDRESS UINT32_C(0xfee00000)
#define MSI_DEST_SHIFT 12
#define MSI_LOGICAL (UINT32_C(1) << 2)
#define MSI_LEVEL (UINT32_C(1) << 15)
#define MSI_ASSERT (UINT32_C(1) << 14)

void ioapic__init(struct ioapic *ioapic, int vm_fd)
{
	memset(ioapic, 0, sizeof(*ioapic));
	mutex__init(&ioapic->lock, PTHREAD_MUTEX_NORMAL);
	ioapic->vm_fd = vm_fd;
	for (uint32_t i = 0; i < IOAPIC_PINS; i++)
		ioapic->state.redirection[i] = RTE_MASKED;
}

void ioapic__route(uint64_t rte, uint32_t pin, struct kvm_irq_routing_entry *entry)
{
	uint32_t dest = (uint32_t)(rte >> RTE_DEST_SHIFT) & 0xff;
	uint32_t ext = (uint32_t)(rte >> RTE_EXT_DEST_SHIFT) & 0x7f;

	*entry = (struct kvm_irq_routing_entry){.gsi = pin, .type = KVM_IRQ_ROUTING_MSI};
	entry->u.msi.address_lo = MSI_ADDRESS | dest << MSI_DEST_SHIFT;
	if (rte & RTE_LOGICAL)
		entry->u.msi.address_lo |= MSI_LOGICAL;
	/* With 32-bit ids (KVM_X2APIC_API_USE_32BIT_IDS) bits 8 and up travel in the upper half. */
	entry->u.msi.address_hi = ext << 8;
	entry->u.msi.data = (uint32_t)(rte & RTE_VECTOR) | (uint32_t)(rte >> RTE_DELIVERY_SHIFT & 7)
								   << 8;
	if (rte & RTE_LEVEL)
		entry->u.msi.data |= MSI_LEVEL | MSI_ASSERT;
}

/* Gives KVM the routes of all unmasked pins. Called with the lock held. */
static int ioapic__update_routes(struct ioapic *ioapic)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entries[IOAPIC_PINS];
	} routing = {.head.nr = 0};

	for (uint32_t pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t rte = ioapic->state.redirection[pin];

		if (!(rte & RTE_MASKED))
			ioapic__route(rte, pin, &routing.entries[routing.head.nr++]);
	}
	return ioctl(ioapic->vm_fd, KVM_SET_GSI_ROUTING, &routing) < 0 ? -errno : 0;
}

static uint32_t ioapic__read_register(const struct ioapic_state *s)
{
	uint32_t pin = (s->select - REG_REDIRECTION) / 2;

	switch (s->select) {
	case REG_ID:
	case REG_ARBITRATION:
		return (uint32_t)s->id << 24;
	case REG_VERSION:
		return IOAPIC_VERSION | (IOAPIC_PINS - 1) << 16;
	default:
		if (s->select < REG_REDIRECTION || pin >= IOAPIC_PINS)
			return 0;
		return (uint32_t)(s->redirection[pin] >> (s->select & 1 ? 32 : 0));
	}
}

/* True when a route may have changed. */
static bool ioapic__write_register(struct ioapic_state *s, uint32_t value)
{
	uint32_t pin = (s->select - REG_REDIRECTION) / 2;
	uint64_t *rte, before;

	if (s->select == REG_ID) {
		s->id = value >> 24 & 0x0f;
		return false;
	}
	if (s->select < REG_REDIRECTION || pin >= IOAPIC_PINS)
		return false;
	rte = &s->redirection[pin];
	before = *rte;
	if (s->select & 1)
		*rte = (*rte & UINT32_MAX) | (uint64_t)value << 32;
	else
		*rte = (*rte & ~(uint64_t)UINT32_MAX) | (*rte & RTE_READ_ONLY) |
		       (value & ~(uint32_t)RTE_READ_ONLY);
	/* Edge-triggered pins have no interrupt to remember. */
	if (!(*rte & RTE_LEVEL))
		*rte &= ~RTE_REMOTE_IRR;
	/* A new table costs KVM a grace period: not for a pin that had no route and has none. */
	return *rte != before && !(*rte & before & RTE_MASKED);
}

static void ioapic__read(void *opaque, uint64_t offset, uint8_t *data, uint32_t length)
{
	struct ioapic *ioapic = opaque;
	uint32_t value = 0;

	pthread_mutex_lock(&ioapic->lock);
	if (offset == IOREGSEL)
		value = ioapic->state.select;
	else if (offset == IOWIN)
		value = ioapic__read_register(&ioapic->state);
	pthread_mutex_unlock(&ioapic->lock);
	memcpy(data, &value, length < sizeof(value) ? length : sizeof(value));
}

static void ioapic__write(void *opaque, uint64_t offset, const uint8_t *data, uint32_t length)
{
	struct ioapic *ioapic = opaque;
	uint32_t value = 0;

	memcpy(&value, data, length < sizeof(value) ? length : sizeof(value));
	if (offset == IOEOI) {
		ioapic__eoi(ioapic, (uint8_t)value);
		return;
	}
	pthread_mutex_lock(&ioapic->lock);
	if (offset == IOREGSEL)
		ioapic->state.select = value & 0xff;
	else if (offset == IOWIN && ioapic__write_register(&ioapic->state, value))
		/* KVM refuses only malformed tables, and ioapic__route() makes none. */
		(void)ioapic__update_routes(ioapic);
	pthread_mutex_unlock(&ioapic->lock);
}

const struct bus_ops ioapic_bus_ops = {.read = ioapic__read, .write = ioapic__write};

void ioapic__eoi(struct ioapic *ioapic, uint8_t vector)
{
	pthread_mutex_lock(&ioapic->lock);
	for (uint32_t pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t *rte = &ioapic->state.redirection[pin];

		if ((*rte & RTE_LEVEL) && (*rte & RTE_VECTOR) == vector)
			*rte &= ~RTE_REMOTE_IRR;
	}
	pthread_mutex_unlock(&ioapic->lock);
}

void ioapic__save(struct ioapic *ioapic, struct ioapic_state *state)
{
	pthread_mutex_lock(&ioapic->lock);
	*state = ioapic->state;
	pthread_mutex_unlock(&ioapic->lock);
}

int ioapic__load(struct ioapic *ioapic, const struct ioapic_state *state)
{
	int err;

	pthread_mutex_lock(&ioapic->lock);
	ioapic->state = *state;
	err = ioapic__update_routes(ioapic);
	pthread_mutex_unlock(&ioapic->lock);
	return err;
}
