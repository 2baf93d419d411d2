/* SPDX-License-Identifier: GPL-2.0-only */
/* A 16550A UART (National Semiconductor PC16550D data sheet, June 1995), as Linux's 8250 driver
 * uses it. Transmission takes no time. */
#ifndef KTSTR_VMM_SERIAL_H
#define KTSTR_VMM_SERIAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "bus.h"

#define SERIAL_PORTS 8u
#define SERIAL_FIFO 16u

/* Everything that the device is; see serial__save(). */
struct serial_state {
	uint8_t ier, lcr, mcr, scr, fcr;
	uint8_t dll, dlm;
	bool thre_pending; /* THR-empty interrupt not yet read from IIR */
	bool overrun;
	uint8_t fifo[SERIAL_FIFO]; /* received, not yet read */
	uint8_t fifo_len;
};

struct serial_ops {
	/* One byte left the UART; from a vCPU thread, without any of the device's locks held. */
	void (*transmit)(void *opaque, uint8_t byte);
	void *opaque;
};

struct serial {
	pthread_mutex_t lock;
	struct serial_state state;
	struct serial_ops ops;
	int irq_fd; /* written when the interrupt line rises; -1: none */
	bool line;
};

extern const struct bus_ops serial_bus_ops; /* opaque: struct serial */

/* @irq_fd stays the caller's. */
void serial__init(struct serial *serial, const struct serial_ops *ops, int irq_fd);
/* Received bytes; returns how many the FIFO took. */
uint32_t serial__input(struct serial *serial, const uint8_t *data, uint32_t length);
void serial__save(struct serial *serial, struct serial_state *state);
void serial__load(struct serial *serial, const struct serial_state *state);

#endif /* KTSTR_VMM_SERIAL_H */
