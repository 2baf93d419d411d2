// SPDX-License-Identifier: GPL-2.0-only
/* A 16550A UART: registers, interrupt identification, receive FIFO, loopback. */
#include "serial.h"

#include <linux/serial_reg.h>
#include <string.h>
#include <unistd.h>

#include "mutex.h"

#define MSR_CONNECTED (UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)

void serial__init(struct serial *serial, const struct serial_ops *ops, int irq_fd)
{
	memset(serial, 0, sizeof(*serial));
	mutex__init(&serial->lock, PTHREAD_MUTEX_NORMAL);
	serial->ops = *ops;
	serial->irq_fd = irq_fd;
	serial->state.thre_pending = true;
}

/* Interrupt identification by priority (data sheet, table III). */
static uint8_t serial__iir(const struct serial_state *s)
{
	if ((s->ier & UART_IER_RLSI) && s->overrun)
		return UART_IIR_RLSI;
	if ((s->ier & UART_IER_RDI) && s->fifo_len)
		return UART_IIR_RDI;
	if ((s->ier & UART_IER_THRI) && s->thre_pending)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

/* The line is edge-triggered outside: only its rise is signalled. Called with the lock held. */
static void serial__update_line(struct serial *serial)
{
	bool line = serial__iir(&serial->state) != UART_IIR_NO_INT;
	uint64_t one = 1;

	if (line && !serial->line && serial->irq_fd >= 0 &&
	    write(serial->irq_fd, &one, sizeof(one)) < 0) {
		/* Only a full counter refuses: the interrupt is pending already. */
	}
	serial->line = line;
}

static bool serial__receive(struct serial_state *s, uint8_t byte)
{
	uint32_t room = (s->fcr & UART_FCR_ENABLE_FIFO) ? SERIAL_FIFO : 1;

	if (s->fifo_len >= room) {
		s->overrun = true;
		return false;
	}
	s->fifo[s->fifo_len++] = byte;
	return true;
}

static uint8_t serial__read_rx(struct serial_state *s)
{
	uint8_t byte = s->fifo[0];

	if (!s->fifo_len)
		return 0;
	memmove(s->fifo, s->fifo + 1, --s->fifo_len);
	return byte;
}

static uint8_t serial__read_iir(struct serial_state *s)
{
	uint8_t iir = serial__iir(s);

	if (iir == UART_IIR_THRI)
		s->thre_pending = false;
	return iir | ((s->fcr & UART_FCR_ENABLE_FIFO) ? 0xc0 : 0);
}

static uint8_t serial__read_lsr(struct serial_state *s)
{
	uint8_t lsr = UART_LSR_THRE | UART_LSR_TEMT;

	if (s->fifo_len)
		lsr |= UART_LSR_DR;
	if (s->overrun)
		lsr |= UART_LSR_OE;
	s->overrun = false;
	return lsr;
}

/* In loopback the modem outputs are the inputs (data sheet, §8.6.6). */
static uint8_t serial__read_msr(const struct serial_state *s)
{
	uint8_t msr = 0;

	if (!(s->mcr & UART_MCR_LOOP))
		return MSR_CONNECTED;
	if (s->mcr & UART_MCR_RTS)
		msr |= UART_MSR_CTS;
	if (s->mcr & UART_MCR_DTR)
		msr |= UART_MSR_DSR;
	if (s->mcr & UART_MCR_OUT1)
		msr |= UART_MSR_RI;
	if (s->mcr & UART_MCR_OUT2)
		msr |= UART_MSR_DCD;
	return msr;
}

static uint8_t serial__read_register(struct serial_state *s, uint64_t offset)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (offset) {
	case UART_RX:
		return dlab ? s->dll : serial__read_rx(s);
	case UART_IER:
		return dlab ? s->dlm : s->ier;
	case UART_IIR:
		return serial__read_iir(s);
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		return serial__read_lsr(s);
	case UART_MSR:
		return serial__read_msr(s);
	default:
		return s->scr;
	}
}

static void serial__read(void *opaque, uint64_t offset, uint8_t *data, uint32_t length)
{
	struct serial *serial = opaque;

	pthread_mutex_lock(&serial->lock);
	for (uint32_t i = 0; i < length; i++)
		data[i] = serial__read_register(&serial->state, offset + i);
	serial__update_line(serial);
	pthread_mutex_unlock(&serial->lock);
}

static void serial__write_ier(struct serial_state *s, uint8_t value)
{
	/* Enabling the THR-empty interrupt with an empty THR raises it (data sheet, §8.6.5). */
	if ((value & UART_IER_THRI) && !(s->ier & UART_IER_THRI))
		s->thre_pending = true;
	s->ier = value & 0x0f;
}

static void serial__write_fcr(struct serial_state *s, uint8_t value)
{
	if ((value & UART_FCR_CLEAR_RCVR) || ((value ^ s->fcr) & UART_FCR_ENABLE_FIFO))
		s->fifo_len = 0;
	s->fcr = value & (UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_MASK);
}

/* True when @value is to be transmitted. */
static bool serial__write_register(struct serial_state *s, uint64_t offset, uint8_t value)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (offset) {
	case UART_TX:
		if (dlab) {
			s->dll = value;
			return false;
		}
		s->thre_pending = true;
		if (!(s->mcr & UART_MCR_LOOP))
			return true;
		serial__receive(s, value);
		return false;
	case UART_IER:
		if (dlab)
			s->dlm = value;
		else
			serial__write_ier(s, value);
		return false;
	case UART_FCR:
		serial__write_fcr(s, value);
		return false;
	case UART_LCR:
		s->lcr = value;
		return false;
	case UART_MCR:
		s->mcr = value & 0x1f;
		return false;
	case UART_SCR:
		s->scr = value;
		return false;
	default: /* LSR and MSR: read-only here */
		return false;
	}
}

static void serial__write(void *opaque, uint64_t offset, const uint8_t *data, uint32_t length)
{
	struct serial *serial = opaque;

	for (uint32_t i = 0; i < length; i++) {
		bool transmit;

		pthread_mutex_lock(&serial->lock);
		transmit = serial__write_register(&serial->state, offset + i, data[i]);
		/*
		 * The THR was full for no time at all: the line falls and rises again, which an
		 * edge-triggered input must see.
		 */
		if (offset + i == UART_TX && serial__iir(&serial->state) == UART_IIR_THRI)
			serial->line = false;
		serial__update_line(serial);
		pthread_mutex_unlock(&serial->lock);
		if (transmit)
			serial->ops.transmit(serial->ops.opaque, data[i]);
	}
}

const struct bus_ops serial_bus_ops = {.read = serial__read, .write = serial__write};

uint32_t serial__input(struct serial *serial, const uint8_t *data, uint32_t length)
{
	uint32_t room, n;

	pthread_mutex_lock(&serial->lock);
	room = (serial->state.fcr & UART_FCR_ENABLE_FIFO) ? SERIAL_FIFO : 1;
	for (n = 0; n < length && serial->state.fifo_len < room; n++)
		serial__receive(&serial->state, data[n]);
	serial__update_line(serial);
	pthread_mutex_unlock(&serial->lock);
	return n;
}

void serial__save(struct serial *serial, struct serial_state *state)
{
	pthread_mutex_lock(&serial->lock);
	*state = serial->state;
	pthread_mutex_unlock(&serial->lock);
}

void serial__load(struct serial *serial, const struct serial_state *state)
{
	pthread_mutex_lock(&serial->lock);
	serial->state = *state;
	if (serial->state.fifo_len > SERIAL_FIFO)
		serial->state.fifo_len = SERIAL_FIFO;
	serial->line = false;
	serial__update_line(serial);
	pthread_mutex_unlock(&serial->lock);
}
