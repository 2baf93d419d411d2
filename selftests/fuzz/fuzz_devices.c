// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: a machine's devices behind its buses, two serial ports and a console, a disk
 * and two NICs on virtio-mmio, with a hostile driver and a host that is slow, closes and comes
 * back.
 *
 * The input is a byte of flags and a list of operations, see do_next(): accesses of any width
 * anywhere in and around a window, RAM that is written between them, notifications, the host's side
 * of ports, resets, and state that is saved and loaded. An operation that sets a device up saves
 * the fuzzer the way there; another lets the disk and the NIC work in threads of their own from
 * then on.
 */
#include "fuzz.h"

#include <ktstr/proto.h>
#include <string.h>
#include <sys/eventfd.h>

#include "../vmm/blk_driver.h"
#include "vmm/serial.h"
#include "vmm/virtio/console.h"
#include "vmm/virtio/net.h"

#define FLAG_LINK 1u /* the far NIC is behind a link that takes time */

#define RAM_BYTES UINT64_C(0x100000)
#define SECTORS 16u
#define QUEUE_SIZE 8u
#define MAX_OPERATIONS 600u
#define MAX_WAITS 4u
#define WAIT_MS 4 /* for a timer of a device */
#define WAIT_EVENTS 64u
#define MMIO_BASE UINT64_C(0xd0000000)
#define MMIO_SPACING 0x1000u

/* Of each device, its rings: RING_GPA(device, queue) */
#define RING_GPA(d, q) (UINT64_C(0x10000) * ((d) + 1) + UINT64_C(0x1000) * (q))
#define AVAIL_OFFSET 0x400u
#define USED_OFFSET 0x800u

enum { CONSOLE, DISK, NIC, FAR_NIC, VIRTIO_DEVICES };
enum { COM1 = VIRTIO_DEVICES, COM2, NOBODY, PLACES };

struct input {
	const uint8_t *data;
	size_t left;
};

struct machine {
	struct gmem mem;
	struct bus bus;
	struct serial com[2];
	int com_irq;
	uint64_t sent;
	struct loop *loop; /* the console's */
	struct virtio_console *console;
	struct virtio_blk *disk;
	struct net_switch *sw;
	struct virtio_net *nic, *far_nic; /* far: with a longest frame, and perhaps a link */
	bool threads;			  /* of disk and NICs */
	uint32_t waits;
	struct {
		struct virtio_mmio_wiring wiring;
		struct virtio_mmio *t;
		struct virtio_attachment *attachment;
		uint32_t broken;
	} virtio[VIRTIO_DEVICES];
	/* The host's side of the console's ports */
	uint32_t limit[KTSTR_PORTS]; /* bytes that are taken at most, of each output */
	uint64_t output[KTSTR_PORTS], waiting[KTSTR_PORTS];
	bool open[KTSTR_PORTS];
};

/* ---- Host ---- */

static void transmit(void *opaque, uint8_t byte)
{
	(void)byte;
	++*(uint64_t *)opaque;
}

static size_t port_output(void *opaque, uint32_t port, const struct iovec *iov, uint32_t nr)
{
	struct machine *m = opaque;
	size_t total = 0;
	uint8_t sum = 0;

	FUZZ_CHECK(port < KTSTR_PORTS && m->open[port]);
	for (uint32_t i = 0; i < nr; i++) {
		for (size_t k = 0; k < iov[i].iov_len; k++)
			sum = (uint8_t)(sum + ((const uint8_t *)iov[i].iov_base)[k]);
		total += iov[i].iov_len;
	}
	m->output[port] += sum;
	return total < m->limit[port] ? total : m->limit[port];
}

static void port_open(void *opaque, uint32_t port, bool guest_open)
{
	(void)opaque;
	(void)guest_open;
	FUZZ_CHECK(port < KTSTR_PORTS);
}

static void port_writable(void *opaque, uint32_t port)
{
	(void)opaque;
	FUZZ_CHECK(port < KTSTR_PORTS);
}

static void broken(void *opaque, const char *device, const struct ktstr_error *error)
{
	FUZZ_CHECK(device && error->reason[0]);
	++*(uint32_t *)opaque;
}

/* ---- Life ---- */

static void add_virtio(struct machine *m, uint32_t i, struct virtio_device *dev, struct loop *loop)
{
	uint64_t base = MMIO_BASE + i * MMIO_SPACING;

	m->virtio[i].wiring = (struct virtio_mmio_wiring){
		.opaque = &m->virtio[i].broken,
		.broken = broken,
	};
	FUZZ_CHECK(!virtio_mmio__create(dev, &m->mem, base, 5 + i, &m->virtio[i].wiring,
					&m->virtio[i].t, NULL));
	FUZZ_CHECK(!virtio_attachment__create(m->virtio[i].t, base, &m->bus, loop,
					      &m->virtio[i].attachment, NULL));
}

static struct machine *create(uint8_t flags)
{
	struct machine *m = calloc(1, sizeof(*m));
	const struct virtio_console_callbacks callbacks = {
		.opaque = m,
		.port_output = port_output,
		.port_open = port_open,
		.port_writable = port_writable,
	};
	struct virtio_blk_options disk = {.fd = blk_image(SECTORS),
					  .sectors = SECTORS,
					  .queues = 2,
					  .operations = {.rate = 5000, .burst = 4},
					  .engine = FILE_IO_THREADS};
	const struct virtio_net_options nic = {.mac = {2}, .pairs = 2},
					far = {.mac = {2, 1},
					       .pairs = 2,
					       .mtu = 1500,
					       .delay_ns = flags & FLAG_LINK ? 2000000 : 0};
	static const uint64_t ports[2] = {0x3f8, 0x2f8};

	FUZZ_CHECK(m && !bus__init(&m->bus) && !loop__create(&m->loop));
	/* Two regions, and a hole between them. */
	m->mem = (struct gmem){.nr_regions = 2,
			       .regions = {{.gpa = 0, .size = RAM_BYTES},
					   {.gpa = 2 * RAM_BYTES, .size = RAM_BYTES}}};
	FUZZ_CHECK(!gmem__map(&m->mem, NULL));
	m->com_irq = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (uint32_t i = 0; i < 2; i++) {
		serial__init(&m->com[i], &(struct serial_ops){transmit, &m->sent}, m->com_irq);
		FUZZ_CHECK(!bus__add(&m->bus, BUS_PIO, ports[i], SERIAL_PORTS, "com",
				     &serial_bus_ops, &m->com[i], NULL));
	}
	FUZZ_CHECK(!virtio_console__create(&callbacks, &m->console, NULL));
	add_virtio(m, CONSOLE, virtio_console__device(m->console), m->loop);
	FUZZ_CHECK(!virtio_blk__create(&disk, &m->disk, NULL));
	add_virtio(m, DISK, virtio_blk__device(m->disk), virtio_blk__loop(m->disk));
	FUZZ_CHECK(!net_switch__create(&m->sw, NULL));
	FUZZ_CHECK(!virtio_net__create(&nic, m->sw, &m->nic, NULL));
	add_virtio(m, NIC, virtio_net__device(m->nic), net_switch__loop(m->sw));
	FUZZ_CHECK(!virtio_net__create(&far, m->sw, &m->far_nic, NULL));
	add_virtio(m, FAR_NIC, virtio_net__device(m->far_nic), net_switch__loop(m->sw));
	for (uint32_t i = 0; i < KTSTR_PORTS; i++) {
		m->limit[i] = UINT32_MAX;
		m->open[i] = true;
	}
	return m;
}

static void destroy(struct machine *m)
{
	virtio_blk__stop(m->disk);
	net_switch__stop(m->sw);
	for (uint32_t i = 0; i < VIRTIO_DEVICES; i++) {
		virtio_attachment__destroy(m->virtio[i].attachment);
		virtio_mmio__destroy(m->virtio[i].t);
	}
	virtio_blk__destroy(m->disk);
	virtio_net__destroy(m->nic);
	virtio_net__destroy(m->far_nic);
	net_switch__destroy(m->sw);
	virtio_console__destroy(m->console);
	loop__destroy(m->loop);
	for (uint32_t i = 0; i < 2; i++)
		pthread_mutex_destroy(&m->com[i].lock);
	close(m->com_irq);
	bus__fini(&m->bus);
	gmem__unmap(&m->mem);
	free(m);
}

/* ---- Operations ---- */

static uint64_t take(struct input *in, uint32_t bytes)
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < bytes && in->left; i++, in->left--)
		value |= (uint64_t)*in->data++ << (8 * i);
	return value;
}

/* A place on a bus: in a window, or up to 8 bytes before it, or behind. */
static enum bus_space take_place(struct input *in, uint64_t *address)
{
	uint32_t place = (uint32_t)take(in, 1) % PLACES;
	uint64_t offset = take(in, 2);

	switch (place) {
	case COM1:
		*address = 0x3f8 - 8 + offset % (SERIAL_PORTS + 16);
		return BUS_PIO;
	case COM2:
		*address = 0x2f8 - 8 + offset % (SERIAL_PORTS + 16);
		return BUS_PIO;
	case NOBODY:
		*address = offset & 1 ? UINT64_MAX - offset % 16 : offset << 20;
		return BUS_MMIO;
	default:
		*address = MMIO_BASE + place * MMIO_SPACING - 8 + offset % (VIRTIO_MMIO_SIZE + 16);
		return BUS_MMIO;
	}
}

static uint32_t take_width(struct input *in)
{
	return 1u << (take(in, 1) & 3);
}

static void write_bus(struct machine *m, struct input *in)
{
	uint64_t address, value;
	enum bus_space space = take_place(in, &address);
	uint32_t width = take_width(in);

	value = take(in, width);
	bus__write(&m->bus, space, address, (const uint8_t *)&value, width);
}

static void read_bus(struct machine *m, struct input *in)
{
	uint64_t address;
	enum bus_space space = take_place(in, &address);
	uint32_t width = take_width(in);
	uint8_t data[16];

	memset(data, 0x5a, sizeof(data));
	if (!bus__read(&m->bus, space, address, data, width))
		for (uint32_t i = 0; i < width; i++)
			FUZZ_CHECK(data[i] == 0xff);
	for (uint32_t i = width; i < sizeof(data); i++)
		FUZZ_CHECK(data[i] == 0x5a);
}

static void write_ram(struct machine *m, struct input *in)
{
	uint64_t gpa = take(in, 3);
	uint8_t bytes[256];
	uint32_t n = (uint32_t)take(in, 1);

	for (uint32_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)take(in, 1);
	(void)gmem__write(&m->mem, gpa % (4 * RAM_BYTES), bytes, n);
}

static void run(struct machine *m)
{
	virtio_mmio__run_queues(m->virtio[CONSOLE].t);
	loop__dispatch(m->loop, 0);
	if (m->threads)
		return;
	virtio_mmio__run_queues(m->virtio[DISK].t);
	virtio_mmio__run_queues(m->virtio[NIC].t);
	virtio_mmio__run_queues(m->virtio[FAR_NIC].t);
	loop__dispatch(virtio_blk__loop(m->disk), 0);
	loop__dispatch(net_switch__loop(m->sw), 0);
}

static void reg(struct machine *m, uint32_t i, uint64_t offset, uint32_t value)
{
	vd_write(&virtio_mmio_bus_ops, m->virtio[i].t, offset, value);
}

/* What a driver does first, with the features that both have and the input wants. */
static void set_up(struct machine *m, struct input *in)
{
	uint32_t i = (uint32_t)take(in, 1) % VIRTIO_DEVICES, status = 0;
	uint64_t wanted = take(in, 8) | BLK_BIT(VIRTIO_F_VERSION_1), offered = 0;
	uint32_t nr = virtio_mmio__nr_queues(m->virtio[i].t);

	reg(m, i, VIRTIO_MMIO_STATUS, 0);
	for (uint32_t half = 0; half < 2; half++) {
		reg(m, i, VIRTIO_MMIO_DEVICE_FEATURES_SEL, half);
		offered |= (uint64_t)vd_read(&virtio_mmio_bus_ops, m->virtio[i].t,
					     VIRTIO_MMIO_DEVICE_FEATURES)
			   << (32 * half);
	}
	status |= VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	reg(m, i, VIRTIO_MMIO_STATUS, status);
	for (uint32_t half = 0; half < 2; half++) {
		reg(m, i, VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
		reg(m, i, VIRTIO_MMIO_DRIVER_FEATURES,
		    (uint32_t)((offered & wanted) >> (32 * half)));
	}
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	reg(m, i, VIRTIO_MMIO_STATUS, status);
	for (uint32_t q = 0; q < nr; q++) {
		reg(m, i, VIRTIO_MMIO_QUEUE_SEL, q);
		reg(m, i, VIRTIO_MMIO_QUEUE_NUM, QUEUE_SIZE);
		reg(m, i, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)RING_GPA(i, q));
		reg(m, i, VIRTIO_MMIO_QUEUE_DESC_HIGH, 0);
		reg(m, i, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)RING_GPA(i, q) + AVAIL_OFFSET);
		reg(m, i, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 0);
		reg(m, i, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)RING_GPA(i, q) + USED_OFFSET);
		reg(m, i, VIRTIO_MMIO_QUEUE_USED_HIGH, 0);
		reg(m, i, VIRTIO_MMIO_QUEUE_READY, 1);
	}
	reg(m, i, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
}

static void host_side(struct machine *m, struct input *in)
{
	static const uint8_t text[4096];
	uint32_t port = (uint32_t)take(in, 1), value = (uint32_t)take(in, 2);
	uint32_t n = value % ((uint32_t)sizeof(text) + 1);

	switch (port >> 4 & 7) {
	case 0:
	case 1:
		FUZZ_CHECK(virtio_console__input(m->console, port % KTSTR_PORTS, text, n) <= n);
		break;
	case 2:
		m->limit[port % KTSTR_PORTS] = value;
		break;
	case 3:
		virtio_console__resume(m->console, port % KTSTR_PORTS);
		break;
	case 4:
		m->open[port % KTSTR_PORTS] = value & 1;
		virtio_console__set_open(m->console, port % KTSTR_PORTS, value & 1);
		break;
	case 5:
		virtio_console__set_size(m->console, (uint16_t)value, (uint16_t)~value);
		break;
	case 6:
		FUZZ_CHECK(serial__input(&m->com[port & 1], text, n) <= n);
		FUZZ_CHECK(m->com[port & 1].state.fifo_len <= SERIAL_FIFO);
		break;
	default:
		break;
	}
}

/* State that was saved is state that can be loaded, and what is read after it is the same. */
static void save_and_load(struct machine *m, struct input *in)
{
	uint32_t i = (uint32_t)take(in, 1), damage = (uint32_t)take(in, 2);
	struct virtio_mmio *t = m->virtio[i % VIRTIO_DEVICES].t;
	size_t size = virtio_mmio__state_size(t);
	uint8_t *state = malloc(size);
	uint32_t status;

	FUZZ_CHECK(state);
	if (!virtio_mmio__save(t, state, size, NULL)) {
		/* As of now: what was under way has ended, and may have broken a rule. */
		status = vd_read(&virtio_mmio_bus_ops, t, VIRTIO_MMIO_STATUS);
		if (i & 0x80) {
			/* From a file that somebody wrote. */
			state[damage % size] = (uint8_t)(damage >> 8);
			if (virtio_mmio__load(t, state, size, NULL))
				vd_write(&virtio_mmio_bus_ops, t, VIRTIO_MMIO_STATUS, 0);
		} else {
			FUZZ_CHECK(!virtio_mmio__load(t, state, size, NULL));
			FUZZ_CHECK(m->threads ||
				   status == vd_read(&virtio_mmio_bus_ops, t, VIRTIO_MMIO_STATUS));
		}
	}
	free(state);
}

/* Until the timers of the disk and of the link are done, or as good as. */
static void wait_some(struct machine *m)
{
	struct loop *loops[] = {virtio_blk__loop(m->disk), net_switch__loop(m->sw)};

	if (m->threads || m->waits++ >= MAX_WAITS)
		return;
	for (uint32_t i = 0; i < 2; i++)
		for (uint32_t k = 0; k < WAIT_EVENTS && loop__dispatch(loops[i], WAIT_MS) > 0; k++)
			;
	run(m);
}

static void start_threads(struct machine *m)
{
	if (m->threads)
		return;
	FUZZ_CHECK(!virtio_blk__start(m->disk, NULL, NULL));
	FUZZ_CHECK(!net_switch__start(m->sw, NULL, NULL));
	m->threads = true;
}

static void do_next(struct machine *m, struct input *in)
{
	uint32_t i;

	switch (take(in, 1) % 11) {
	case 0:
		write_bus(m, in);
		break;
	case 1:
		read_bus(m, in);
		break;
	case 2:
		write_ram(m, in);
		break;
	case 3:
		set_up(m, in);
		break;
	case 4: /* all of a device's queues are notified */
		i = (uint32_t)take(in, 1) % VIRTIO_DEVICES;
		for (uint32_t q = 0; q < virtio_mmio__nr_queues(m->virtio[i].t); q++)
			reg(m, i, VIRTIO_MMIO_QUEUE_NOTIFY, q);
		run(m);
		break;
	case 5:
		host_side(m, in);
		break;
	case 6:
		reg(m, (uint32_t)take(in, 1) % VIRTIO_DEVICES, VIRTIO_MMIO_STATUS, 0);
		break;
	case 7:
		save_and_load(m, in);
		break;
	case 9:
		start_threads(m);
		break;
	case 10:
		wait_some(m);
		break;
	default:
		run(m);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct machine *m = create((uint8_t)take(&in, 1));

	for (uint32_t i = 0; i < MAX_OPERATIONS && in.left; i++)
		do_next(m, &in);
	run(m);
	for (uint32_t i = 0; i < VIRTIO_DEVICES; i++) {
		uint32_t reported = m->virtio[i].broken;

		/* A reset ends it all: the device is as new. */
		reg(m, i, VIRTIO_MMIO_STATUS, 0);
		FUZZ_CHECK(!vd_read(&virtio_mmio_bus_ops, m->virtio[i].t, VIRTIO_MMIO_STATUS));
		FUZZ_CHECK(m->threads || reported == m->virtio[i].broken);
	}
	destroy(m);
	return 0;
}
