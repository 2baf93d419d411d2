// SPDX-License-Identifier: GPL-2.0-only
/* The UART as Linux's 8250 driver meets it: its probing steps, interrupts, FIFO, loopback. */
#include "vmm/serial.h"

#include <linux/serial_reg.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kselftest_harness.h"

FIXTURE(uart)
{
	struct serial serial;
	uint8_t sent[64];
	uint32_t nr_sent;
	int irq;
};

static void sent(void *opaque, uint8_t byte)
{
	FIXTURE_DATA(uart) *self = opaque;

	self->sent[self->nr_sent++ % sizeof(self->sent)] = byte;
}

FIXTURE_SETUP(uart)
{
	struct serial_ops ops = {.transmit = sent, .opaque = self};

	self->nr_sent = 0;
	self->irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_LE(0, self->irq);
	serial__init(&self->serial, &ops, self->irq);
}

FIXTURE_TEARDOWN(uart)
{
	close(self->irq);
}

static uint8_t in(FIXTURE_DATA(uart) * self, uint64_t reg)
{
	uint8_t value = 0x5a;

	serial_bus_ops.read(&self->serial, reg, &value, 1);
	return value;
}

static void out(FIXTURE_DATA(uart) * self, uint64_t reg, uint8_t value)
{
	serial_bus_ops.write(&self->serial, reg, &value, 1);
}

/* How often the line rose since the last call. */
static uint64_t edges(FIXTURE_DATA(uart) * self)
{
	uint64_t count = 0;

	return read(self->irq, &count, sizeof(count)) < 0 ? 0 : count;
}

/* drivers/tty/serial/8250/8250_port.c, autoconfig(): IER, loopback, FIFO, scratch. */
TEST_F(uart, linux_finds_a_16550a)
{
	out(self, UART_IER, 0);
	EXPECT_EQ(0, in(self, UART_IER));
	out(self, UART_IER, 0x0f);
	EXPECT_EQ(0x0f, in(self, UART_IER));
	out(self, UART_IER, 0);

	out(self, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	EXPECT_EQ(UART_MSR_DCD | UART_MSR_CTS, in(self, UART_MSR) & 0xf0);
	out(self, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT1 | UART_MCR_DTR);
	EXPECT_EQ(UART_MSR_RI | UART_MSR_DSR, in(self, UART_MSR) & 0xf0);
	out(self, UART_MCR, 0);
	EXPECT_EQ(UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS, in(self, UART_MSR));

	EXPECT_EQ(0, in(self, UART_IIR) >> 6);
	out(self, UART_FCR, UART_FCR_ENABLE_FIFO);
	EXPECT_EQ(3, in(self, UART_IIR) >> 6);

	out(self, UART_SCR, 0xa5);
	EXPECT_EQ(0xa5, in(self, UART_SCR));
}

/* autoconfig_16550a(): none of the chips with more registers. */
TEST_F(uart, linux_finds_nothing_better)
{
	uint8_t mcr = in(self, UART_MCR), low, high;

	out(self, UART_FCR, UART_FCR_ENABLE_FIFO);
	out(self, UART_LCR, UART_LCR_CONF_MODE_A);
	EXPECT_NE(0, in(self, UART_EFR));
	out(self, UART_LCR, UART_LCR_CONF_MODE_B);
	EXPECT_NE(0, in(self, UART_EFR));
	/* NS16C552: its EXCR1 would show the loopback bit */
	out(self, UART_LCR, 0xe0);
	EXPECT_EQ(mcr & UART_MCR_LOOP, in(self, 2) & UART_MCR_LOOP);
	/* 16750: a bit of IIR follows a 64-byte FIFO */
	out(self, UART_LCR, 0);
	out(self, UART_FCR, UART_FCR_ENABLE_FIFO);
	low = in(self, UART_IIR);
	out(self, UART_LCR, UART_LCR_CONF_MODE_A);
	out(self, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR7_64BYTE);
	high = in(self, UART_IIR);
	out(self, UART_LCR, 0);
	EXPECT_EQ(low >> 5, high >> 5);
	/* XScale: UUE */
	out(self, UART_IER, UART_IER_UUE);
	EXPECT_EQ(0, in(self, UART_IER));
}

TEST_F(uart, divisor_latch_hides_data_and_interrupt_enable)
{
	out(self, UART_IER, UART_IER_RDI);
	out(self, UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
	out(self, UART_DLL, 0x0c);
	out(self, UART_DLM, 0x34);
	EXPECT_EQ(0x0c, in(self, UART_DLL));
	EXPECT_EQ(0x34, in(self, UART_DLM));
	out(self, UART_LCR, UART_LCR_WLEN8);
	EXPECT_EQ(UART_IER_RDI, in(self, UART_IER));
	EXPECT_EQ(0, self->nr_sent);
}

TEST_F(uart, bytes_leave_at_once_and_in_order)
{
	out(self, UART_TX, 'a');
	EXPECT_EQ(UART_LSR_THRE | UART_LSR_TEMT, in(self, UART_LSR));
	out(self, UART_TX, 'b');
	ASSERT_EQ(2, self->nr_sent);
	EXPECT_EQ('a', self->sent[0]);
	EXPECT_EQ('b', self->sent[1]);
	EXPECT_EQ(0, edges(self));
}

/* serial8250_do_startup(): enabling the interrupt again must raise it again. */
TEST_F(uart, thr_empty_is_raised_by_enabling_it)
{
	for (int i = 0; i < 2; i++) {
		out(self, UART_IER, UART_IER_THRI);
		EXPECT_EQ(1, edges(self));
		EXPECT_EQ(UART_IIR_THRI, in(self, UART_IIR));
		EXPECT_EQ(UART_IIR_NO_INT, in(self, UART_IIR));
		out(self, UART_IER, 0);
	}
	EXPECT_EQ(0, edges(self));
}

/* Several bytes for one interrupt, as the driver writes them: an edge comes after the last. */
TEST_F(uart, thr_empty_follows_every_byte)
{
	out(self, UART_IER, UART_IER_THRI);
	in(self, UART_IIR);
	edges(self);
	out(self, UART_TX, 'a');
	out(self, UART_TX, 'b');
	EXPECT_EQ(2, edges(self));
	EXPECT_EQ(UART_IIR_THRI, in(self, UART_IIR));
	out(self, UART_TX, 'c');
	EXPECT_EQ(1, edges(self));
}

TEST_F(uart, received_bytes_interrupt_until_all_are_read)
{
	out(self, UART_FCR, UART_FCR_ENABLE_FIFO);
	out(self, UART_IER, UART_IER_RDI);
	EXPECT_EQ(2, serial__input(&self->serial, (const uint8_t *)"xy", 2));
	EXPECT_EQ(1, edges(self));
	EXPECT_EQ(UART_IIR_RDI | 0xc0, in(self, UART_IIR));
	EXPECT_EQ(UART_LSR_DR, in(self, UART_LSR) & UART_LSR_DR);
	EXPECT_EQ('x', in(self, UART_RX));
	EXPECT_EQ(UART_IIR_RDI | 0xc0, in(self, UART_IIR));
	EXPECT_EQ('y', in(self, UART_RX));
	EXPECT_EQ(UART_IIR_NO_INT | 0xc0, in(self, UART_IIR));
	EXPECT_EQ(0, in(self, UART_LSR) & UART_LSR_DR);
	EXPECT_EQ(0, in(self, UART_RX));
	EXPECT_EQ(1, serial__input(&self->serial, (const uint8_t *)"z", 1));
	EXPECT_EQ(1, edges(self));
}

TEST_F(uart, input_takes_what_the_fifo_holds)
{
	static const uint8_t bytes[20] = "0123456789abcdefghi";

	EXPECT_EQ(1, serial__input(&self->serial, bytes, 20));
	out(self, UART_FCR, UART_FCR_ENABLE_FIFO);
	EXPECT_EQ(0, in(self, UART_LSR) & UART_LSR_DR); /* switching the FIFO empties it */
	EXPECT_EQ(SERIAL_FIFO, serial__input(&self->serial, bytes, 20));
	EXPECT_EQ(0, serial__input(&self->serial, bytes, 1));
	EXPECT_EQ(0, in(self, UART_LSR) & UART_LSR_OE);
	for (uint32_t i = 0; i < SERIAL_FIFO; i++)
		EXPECT_EQ(bytes[i], in(self, UART_RX));
	serial__input(&self->serial, bytes, 3);
	out(self, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	EXPECT_EQ(0, in(self, UART_LSR) & UART_LSR_DR);
}

TEST_F(uart, loopback_returns_bytes_and_overruns)
{
	out(self, UART_MCR, UART_MCR_LOOP);
	out(self, UART_IER, UART_IER_RLSI);
	out(self, UART_TX, 'l');
	EXPECT_EQ(0, self->nr_sent);
	EXPECT_EQ(0, edges(self));
	out(self, UART_TX, 'm');
	EXPECT_EQ(1, edges(self));
	EXPECT_EQ(UART_IIR_RLSI, in(self, UART_IIR));
	EXPECT_EQ(UART_LSR_DR | UART_LSR_OE, in(self, UART_LSR) & (UART_LSR_DR | UART_LSR_OE));
	EXPECT_EQ(0, in(self, UART_LSR) & UART_LSR_OE);
	EXPECT_EQ('l', in(self, UART_RX));
}

TEST_F(uart, wide_accesses_are_one_register_after_another)
{
	static const uint8_t bytes[2] = {'w', UART_IER_RDI};
	uint8_t got[8];

	serial_bus_ops.write(&self->serial, 0, bytes, 2);
	ASSERT_EQ(1, self->nr_sent);
	EXPECT_EQ('w', self->sent[0]);
	EXPECT_EQ(UART_IER_RDI, in(self, UART_IER));
	serial_bus_ops.read(&self->serial, 0, got, 8);
	EXPECT_EQ(UART_IER_RDI, got[UART_IER]);
	EXPECT_EQ(UART_LSR_THRE | UART_LSR_TEMT, got[UART_LSR]);
}

TEST_F(uart, state_survives_a_save_and_a_load)
{
	struct serial other;
	struct serial_ops ops = {.transmit = sent, .opaque = self};
	struct serial_state state;

	out(self, UART_FCR, UART_FCR_ENABLE_FIFO);
	out(self, UART_IER, UART_IER_RDI);
	serial__input(&self->serial, (const uint8_t *)"s", 1);
	edges(self);
	serial__save(&self->serial, &state);
	serial__init(&other, &ops, self->irq);
	state.fifo_len = 200; /* not to be believed */
	serial__load(&other, &state);
	EXPECT_EQ(SERIAL_FIFO, other.state.fifo_len);
	state.fifo_len = 1;
	edges(self);
	serial__load(&other, &state);
	EXPECT_EQ(1, edges(self));
	self->serial = other;
	EXPECT_EQ('s', in(self, UART_RX));
}

TEST_HARNESS_MAIN
