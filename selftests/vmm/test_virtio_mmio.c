// SPDX-License-Identifier: GPL-2.0-only
/* The MMIO transport: registers, status, notifications and interrupts, with a device that counts.
 */
#include "vmm/virtio/mmio.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "virtq_driver.h"

#define BASE UINT64_C(0xc0001000)
#define GSI 5u
#define ID 42u
#define RAM_BYTES (UINT64_C(4) << 20)
#define DEVICE_FEATURE UINT64_C(0x21)
#define RINGS (UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC | UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)
#define VERSION_1 (UINT64_C(1) << VIRTIO_F_VERSION_1)

enum {
	S_ACK = VIRTIO_CONFIG_S_ACKNOWLEDGE,
	S_DRIVER = VIRTIO_CONFIG_S_DRIVER,
	S_FEATURES = VIRTIO_CONFIG_S_FEATURES_OK,
	S_OK = VIRTIO_CONFIG_S_DRIVER_OK,
	S_BROKEN = VIRTIO_CONFIG_S_NEEDS_RESET,
};

struct counter {
	struct virtio_device dev;
	uint8_t config[6];
	uint32_t activated, resets, notified[2];
	uint32_t value; /* the device's own state */
};

static struct counter *to_counter(struct virtio_device *dev)
{
	return (struct counter *)dev; /* the first member */
}

static void counter_read(struct virtio_device *dev, uint32_t offset, uint8_t *data, uint32_t length)
{
	if (offset + length <= 6)
		memcpy(data, to_counter(dev)->config + offset, length);
}

static void counter_write(struct virtio_device *dev, uint32_t offset, const uint8_t *data,
			  uint32_t length)
{
	if (offset + length <= 6)
		memcpy(to_counter(dev)->config + offset, data, length);
}

static void counter_activate(struct virtio_device *dev)
{
	to_counter(dev)->activated++;
}

static int counter_notify(struct virtio_device *dev, uint32_t queue, struct ktstr_error *error)
{
	struct virtq_chain chain;
	int ret;

	to_counter(dev)->notified[queue]++;
	while ((ret = virtq__pop(&dev->queues[queue], &chain, error)) > 0)
		virtq__push(&dev->queues[queue], chain.head, 1, NULL);
	virtio_mmio__signal(dev->transport, queue);
	return ret;
}

static void counter_reset(struct virtio_device *dev)
{
	to_counter(dev)->resets++;
}

static int counter_save(struct virtio_device *dev, void *state, struct ktstr_error *error)
{
	(void)error;
	memcpy(state, &to_counter(dev)->value, sizeof(uint32_t));
	return 0;
}

static int counter_load(struct virtio_device *dev, const void *state)
{
	memcpy(&to_counter(dev)->value, state, sizeof(uint32_t));
	return to_counter(dev)->value == 666 ? -EINVAL : 0;
}

static const struct virtio_device_ops counter_ops = {
	.name = "counter",
	.id = ID,
	.read_config = counter_read,
	.write_config = counter_write,
	.activate = counter_activate,
	.notify = counter_notify,
	.reset = counter_reset,
	.state_size = sizeof(uint32_t),
	.save = counter_save,
	.load = counter_load,
};

static const uint16_t sizes[2] = {8, 16};

/* The machine's side: remembers what was asked of it. */
struct machine {
	struct virtio_mmio_wiring wiring;
	uint64_t notify_gpa[2];
	int notify_fd[2];
	uint32_t gsi;
	int irq_fd;
	uint32_t broken;
	char reason[600];
	int fail_notify;
};

static int machine_notify(void *opaque, uint64_t gpa, uint32_t datamatch, int fd)
{
	struct machine *m = opaque;

	if (m->fail_notify)
		return m->fail_notify;
	m->notify_gpa[datamatch] = gpa;
	m->notify_fd[datamatch] = fd;
	return 0;
}

static int machine_irq(void *opaque, uint32_t gsi, int fd)
{
	struct machine *m = opaque;

	m->gsi = gsi;
	m->irq_fd = fd;
	return 0;
}

static void machine_broken(void *opaque, const char *device, const struct ktstr_error *error)
{
	struct machine *m = opaque;

	m->broken++;
	snprintf(m->reason, sizeof(m->reason), "%s: %s", device, error->reason);
}

/* Edges since the last call. */
static uint64_t edges(struct machine *m)
{
	uint64_t n = 0;

	return read(m->irq_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

FIXTURE(mmio)
{
	struct gmem mem;
	struct machine m;
	struct counter c;
	struct virtio_mmio *t;
	struct virtq_driver d[2];
};

static uint32_t rd(struct virtio_mmio *t, uint64_t offset)
{
	return vd_read(&virtio_mmio_bus_ops, t, offset);
}

static void wr(struct virtio_mmio *t, uint64_t offset, uint32_t value)
{
	vd_write(&virtio_mmio_bus_ops, t, offset, value);
}

static void counter_init(struct counter *c)
{
	*c = (struct counter){
		.dev = {.ops = &counter_ops,
			.features = DEVICE_FEATURE,
			.nr_queues = 2,
			.queue_sizes = sizes},
		.config = {1, 2, 3, 4, 5, 6},
	};
}

FIXTURE_SETUP(mmio)
{
	memset(self, 0, sizeof(*self));
	ASSERT_EQ(0, gmem__layout(&self->mem, RAM_BYTES, NULL));
	ASSERT_EQ(0, gmem__map(&self->mem, NULL));
	self->m.wiring = (struct virtio_mmio_wiring){
		.opaque = &self->m,
		.assign_notify = machine_notify,
		.assign_irq = machine_irq,
		.broken = machine_broken,
	};
	counter_init(&self->c);
	ASSERT_EQ(0, virtio_mmio__create(&self->c.dev, &self->mem, BASE, GSI, &self->m.wiring,
					 &self->t, NULL));
}

FIXTURE_TEARDOWN(mmio)
{
	virtio_mmio__destroy(self->t);
	gmem__unmap(&self->mem);
}

static void negotiate(struct virtio_mmio *t, uint64_t features)
{
	wr(t, VIRTIO_MMIO_STATUS, 0);
	wr(t, VIRTIO_MMIO_STATUS, S_ACK);
	wr(t, VIRTIO_MMIO_STATUS, S_ACK | S_DRIVER);
	wr(t, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	wr(t, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	wr(t, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	wr(t, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	wr(t, VIRTIO_MMIO_STATUS, S_ACK | S_DRIVER | S_FEATURES);
}

static void set_up_queue(struct virtio_mmio *t, struct virtq_driver *d, uint32_t queue)
{
	wr(t, VIRTIO_MMIO_QUEUE_SEL, queue);
	wr(t, VIRTIO_MMIO_QUEUE_NUM, d->size);
	wr(t, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)d->desc_gpa);
	wr(t, VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint32_t)(d->desc_gpa >> 32));
	wr(t, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)d->avail_gpa);
	wr(t, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (uint32_t)(d->avail_gpa >> 32));
	wr(t, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)d->used_gpa);
	wr(t, VIRTIO_MMIO_QUEUE_USED_HIGH, (uint32_t)(d->used_gpa >> 32));
	wr(t, VIRTIO_MMIO_QUEUE_READY, 1);
}

static void bring_up(struct virtio_mmio *t, struct gmem *mem, struct virtq_driver *d)
{
	negotiate(t, VERSION_1 | RINGS);
	for (uint32_t i = 0; i < 2; i++) {
		vd_init(&d[i], mem, 0x10000 + 0x4000 * i, sizes[i], true);
		set_up_queue(t, &d[i], i);
	}
	wr(t, VIRTIO_MMIO_STATUS, S_ACK | S_DRIVER | S_FEATURES | S_OK);
}

TEST_F(mmio, registers_read_as_specified_after_reset)
{
	static const struct {
		uint64_t offset;
		uint32_t value;
	} cases[] = {
		{0x000, 0x74726976}, {0x004, 2},
		{0x008, ID},	     {0x010, DEVICE_FEATURE | (uint32_t)RINGS},
		{0x014, 0},	     {0x020, 0},
		{0x024, 0},	     {0x028, 0}, /* legacy GuestPageSize */
		{0x030, 0},	     {0x034, 8},
		{0x038, 0},	     {0x040, 0}, /* legacy QueuePFN */
		{0x044, 0},	     {0x050, 0},
		{0x060, 0},	     {0x064, 0},
		{0x070, 0},	     {0x080, 0},
		{0x090, 0},	     {0x0a0, 0},
		{0x0ac, 0},	     {0x0b0, UINT32_MAX},
		{0x0b4, UINT32_MAX}, {0x0b8, UINT32_MAX},
		{0x0bc, UINT32_MAX}, {0x0c0, 0},
		{0x0fc, 0},	     {0x100, 0x04030201},
		{0x104, 0}, /* the device has 6 bytes: this one does not fit */
		{0x1fc, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		EXPECT_EQ(cases[i].value, rd(self->t, cases[i].offset))
		{
			TH_LOG("offset 0x%03llx", (unsigned long long)cases[i].offset);
		}
	}
	wr(self->t, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	EXPECT_EQ(1, rd(self->t, VIRTIO_MMIO_DEVICE_FEATURES)); /* bit 32: VERSION_1 */
	wr(self->t, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	EXPECT_EQ(0, rd(self->t, VIRTIO_MMIO_DEVICE_FEATURES));
	wr(self->t, VIRTIO_MMIO_QUEUE_SEL, 1);
	EXPECT_EQ(16, rd(self->t, VIRTIO_MMIO_QUEUE_NUM_MAX));
	wr(self->t, VIRTIO_MMIO_QUEUE_SEL, 2);
	EXPECT_EQ(0, rd(self->t, VIRTIO_MMIO_QUEUE_NUM_MAX));
	EXPECT_EQ(0, rd(self->t, VIRTIO_MMIO_QUEUE_READY));
}

TEST_F(mmio, writes_to_read_only_registers_change_nothing)
{
	static const uint16_t read_only[] = {0x000, 0x004, 0x008, 0x00c, 0x010, 0x034, 0x060,
					     0x0b0, 0x0b4, 0x0b8, 0x0bc, 0x0c0, 0x0fc};

	for (size_t i = 0; i < sizeof(read_only) / sizeof(read_only[0]); i++) {
		uint32_t before = rd(self->t, read_only[i]);

		wr(self->t, read_only[i], ~before);
		EXPECT_EQ(before, rd(self->t, read_only[i]));
	}
	EXPECT_EQ(0, rd(self->t, VIRTIO_MMIO_STATUS));
}

TEST_F(mmio, accesses_of_wrong_width_read_zero_and_write_nothing)
{
	static const struct {
		uint64_t offset;
		uint32_t length;
	} cases[] = {{0, 1}, {0, 2}, {0, 8}, {2, 4}, {0x101, 2}, {0x102, 4}, {0x100, 8}};
	const uint8_t one[8] = {1};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t data[8], zero[8] = {0};

		memset(data, 0xff, sizeof(data));
		virtio_mmio_bus_ops.read(self->t, cases[i].offset, data, cases[i].length);
		EXPECT_EQ(0, memcmp(data, zero, cases[i].length))
		{
			TH_LOG("0x%llx, %u bytes", (unsigned long long)cases[i].offset,
			       cases[i].length);
		}
	}
	virtio_mmio_bus_ops.write(self->t, VIRTIO_MMIO_STATUS, one, 1);
	virtio_mmio_bus_ops.write(self->t, VIRTIO_MMIO_STATUS, one, 8);
	EXPECT_EQ(0, rd(self->t, VIRTIO_MMIO_STATUS));
	virtio_mmio_bus_ops.write(self->t, 0x101, one, 2);
	EXPECT_EQ(2, self->c.config[1]);
}

TEST_F(mmio, configuration_is_accessed_in_widths_of_1_2_and_4)
{
	const uint8_t v[2] = {0xaa, 0xbb};
	uint8_t b = 0, w[2] = {0};

	virtio_mmio_bus_ops.read(self->t, 0x105, &b, 1);
	EXPECT_EQ(6, b);
	virtio_mmio_bus_ops.read(self->t, 0x104, w, 2);
	EXPECT_EQ(5, w[0]);
	EXPECT_EQ(6, w[1]);
	virtio_mmio_bus_ops.write(self->t, 0x102, v, 2);
	EXPECT_EQ(0xaa, self->c.config[2]);
	EXPECT_EQ(0xbb, self->c.config[3]);
}

TEST_F(mmio, features_ok_needs_version_1_and_nothing_that_was_not_offered)
{
	static const struct {
		uint64_t features;
		bool ok;
	} cases[] = {
		{VERSION_1, true},
		{VERSION_1 | RINGS | DEVICE_FEATURE, true},
		{RINGS | DEVICE_FEATURE, false},
		{0, false},
		{VERSION_1 | 2, false},
		{VERSION_1 | UINT64_C(1) << VIRTIO_F_RING_PACKED, false},
		{VERSION_1 | UINT64_C(1) << 40, false}, /* VIRTIO_F_RING_RESET */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		negotiate(self->t, cases[i].features);
		EXPECT_EQ(cases[i].ok, !!(rd(self->t, VIRTIO_MMIO_STATUS) & S_FEATURES))
		{
			TH_LOG("features 0x%llx", (unsigned long long)cases[i].features);
		}
		EXPECT_EQ(cases[i].ok ? cases[i].features : 0, self->c.dev.negotiated);
		wr(self->t, VIRTIO_MMIO_STATUS, S_ACK | S_DRIVER | S_FEATURES | S_OK);
		EXPECT_EQ(cases[i].ok, !!(rd(self->t, VIRTIO_MMIO_STATUS) & S_OK));
	}
	EXPECT_EQ(2, self->c.activated);
}

TEST_F(mmio, status_follows_the_order_of_initialisation)
{
	wr(self->t, VIRTIO_MMIO_STATUS, S_OK);
	EXPECT_EQ(0, rd(self->t, VIRTIO_MMIO_STATUS));
	wr(self->t, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	wr(self->t, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	wr(self->t, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2); /* there are only 64 bits */
	wr(self->t, VIRTIO_MMIO_DRIVER_FEATURES, UINT32_MAX);
	wr(self->t, VIRTIO_MMIO_STATUS, S_FEATURES); /* no driver yet */
	EXPECT_EQ(0, rd(self->t, VIRTIO_MMIO_STATUS));
	wr(self->t, VIRTIO_MMIO_STATUS, S_BROKEN); /* the device's own bit */
	EXPECT_EQ(0, rd(self->t, VIRTIO_MMIO_STATUS));
	wr(self->t, VIRTIO_MMIO_STATUS, S_ACK | S_DRIVER);
	wr(self->t, VIRTIO_MMIO_STATUS, S_ACK); /* clears nothing */
	EXPECT_EQ(S_ACK | S_DRIVER, rd(self->t, VIRTIO_MMIO_STATUS));
	wr(self->t, VIRTIO_MMIO_STATUS, S_ACK | S_DRIVER | S_FEATURES);
	wr(self->t, VIRTIO_MMIO_DRIVER_FEATURES, 0); /* too late */
	EXPECT_EQ(VERSION_1, self->c.dev.negotiated);
	wr(self->t, VIRTIO_MMIO_STATUS, S_ACK | S_DRIVER | S_FEATURES | S_OK);
	wr(self->t, VIRTIO_MMIO_STATUS, S_ACK | S_DRIVER | S_FEATURES | S_OK);
	EXPECT_EQ(1, self->c.activated);
	EXPECT_EQ(0, self->c.resets);
}

TEST_F(mmio, a_queue_can_be_made_ready_only_after_features_ok)
{
	vd_init(&self->d[0], &self->mem, 0x10000, 8, false);
	set_up_queue(self->t, &self->d[0], 0);
	EXPECT_EQ(0, rd(self->t, VIRTIO_MMIO_QUEUE_READY));
	negotiate(self->t, VERSION_1);
	set_up_queue(self->t, &self->d[0], 0);
	EXPECT_EQ(1, rd(self->t, VIRTIO_MMIO_QUEUE_READY));
	EXPECT_FALSE(self->c.dev.queues[0].s.event_idx);
	wr(self->t, VIRTIO_MMIO_QUEUE_READY, 0);
	EXPECT_EQ(0, rd(self->t, VIRTIO_MMIO_QUEUE_READY));
}

TEST_F(mmio, the_geometry_of_a_ready_queue_does_not_change)
{
	static const struct vd_buffer buffer = {0x40000, 64, true};
	struct virtq_state before;

	bring_up(self->t, &self->mem, self->d);
	vd_add(&self->d[0], &buffer, 1);
	virtio_mmio__run_queues(self->t);
	wr(self->t, VIRTIO_MMIO_QUEUE_SEL, 0);
	before = self->c.dev.queues[0].s;
	EXPECT_EQ(8, before.size);
	wr(self->t, VIRTIO_MMIO_QUEUE_NUM, 4);
	wr(self->t, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x8000);
	wr(self->t, VIRTIO_MMIO_QUEUE_READY, 1);
	EXPECT_EQ(0, memcmp(&before, &self->c.dev.queues[0].s, sizeof(before)));
	EXPECT_EQ(1, before.next_avail);
	wr(self->t, VIRTIO_MMIO_QUEUE_READY, 0);
	wr(self->t, VIRTIO_MMIO_QUEUE_READY, 1);
	EXPECT_EQ(8, self->c.dev.queues[0].s.size); /* what was written meanwhile was ignored */
}

TEST_F(mmio, impossible_geometry_needs_a_reset)
{
	negotiate(self->t, VERSION_1);
	vd_init(&self->d[0], &self->mem, 0x10000, 8, false);
	self->d[0].used_gpa = UINT64_C(0x1234567800000000);
	set_up_queue(self->t, &self->d[0], 0);
	EXPECT_EQ(0, rd(self->t, VIRTIO_MMIO_QUEUE_READY));
	EXPECT_EQ(S_ACK | S_DRIVER | S_FEATURES | S_BROKEN, rd(self->t, VIRTIO_MMIO_STATUS));
	EXPECT_EQ(1, self->m.broken);
	EXPECT_NE(NULL, strstr(self->m.reason, "counter: used ring at 0x1234567800000000"));
	wr(self->t, VIRTIO_MMIO_STATUS, S_ACK | S_DRIVER | S_FEATURES | S_OK);
	EXPECT_EQ(0, self->c.activated);
}

TEST_F(mmio, wiring_gets_the_notify_register_and_the_interrupt)
{
	for (uint32_t i = 0; i < 2; i++) {
		EXPECT_EQ(BASE + 0x50, self->m.notify_gpa[i]);
		EXPECT_EQ(virtio_mmio__queue_fd(self->t, i), self->m.notify_fd[i]);
	}
	EXPECT_NE(self->m.notify_fd[0], self->m.notify_fd[1]);
	EXPECT_EQ(GSI, self->m.gsi);
}

TEST_F(mmio, a_wiring_that_fails_fails_the_creation)
{
	struct machine m = {.fail_notify = -ENOSPC};
	struct ktstr_error error = {0};
	struct virtio_mmio *t = self->t;
	struct counter c;

	m.wiring = (struct virtio_mmio_wiring){.opaque = &m, .assign_notify = machine_notify};
	counter_init(&c);
	EXPECT_EQ(-ENOSPC,
		  virtio_mmio__create(&c.dev, &self->mem, BASE, GSI, &m.wiring, &t, &error));
	EXPECT_EQ(NULL, t);
	EXPECT_STREQ("KVM_IOEVENTFD", error.operation);
}

TEST_F(mmio, a_notification_runs_its_queue_by_register_and_by_eventfd)
{
	static const struct vd_buffer buffer = {0x40000, 64, true};
	const uint64_t one = 1;

	bring_up(self->t, &self->mem, self->d);
	virtio_mmio__run_queues(self->t);
	memset(self->c.notified, 0, sizeof(self->c.notified));
	vd_add(&self->d[1], &buffer, 1);
	EXPECT_FALSE(readable(self->m.notify_fd[1]));
	wr(self->t, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	EXPECT_TRUE(readable(self->m.notify_fd[1]));
	EXPECT_FALSE(readable(self->m.notify_fd[0]));
	virtio_mmio__run_queue(self->t, 1);
	EXPECT_FALSE(readable(self->m.notify_fd[1]));
	EXPECT_EQ(1, self->c.notified[1]);
	EXPECT_LE(0, vd_get_used(&self->d[1], NULL));
	vd_add(&self->d[0], &buffer, 1);
	ASSERT_EQ(8, write(self->m.notify_fd[0], &one, 8)); /* as KVM does */
	virtio_mmio__run_queue(self->t, 0);
	EXPECT_LE(0, vd_get_used(&self->d[0], NULL));
	virtio_mmio__run_queue(self->t, 0); /* nothing signalled it */
	EXPECT_EQ(1, self->c.notified[0]);
	wr(self->t, VIRTIO_MMIO_QUEUE_NOTIFY, 2);
	wr(self->t, VIRTIO_MMIO_QUEUE_NOTIFY, UINT32_MAX);
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(1, self->c.notified[0]);
	EXPECT_EQ(1, self->c.notified[1]);
}

TEST_F(mmio, used_buffers_interrupt_once_and_are_acknowledged)
{
	static const struct vd_buffer buffer = {0x40000, 64, true};

	bring_up(self->t, &self->mem, self->d);
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(0, edges(&self->m));
	vd_add(&self->d[0], &buffer, 1);
	vd_add(&self->d[0], &buffer, 1);
	wr(self->t, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	virtio_mmio__run_queue(self->t, 0);
	EXPECT_EQ(1, edges(&self->m));
	EXPECT_EQ(VIRTIO_MMIO_INT_VRING, rd(self->t, VIRTIO_MMIO_INTERRUPT_STATUS));
	wr(self->t, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG); /* the other one */
	EXPECT_EQ(VIRTIO_MMIO_INT_VRING, rd(self->t, VIRTIO_MMIO_INTERRUPT_STATUS));
	wr(self->t, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	EXPECT_EQ(0, rd(self->t, VIRTIO_MMIO_INTERRUPT_STATUS));
	*vd_used_event(&self->d[0]) = 100; /* not wanted */
	vd_add(&self->d[0], &buffer, 1);
	wr(self->t, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	virtio_mmio__run_queue(self->t, 0);
	EXPECT_EQ(0, edges(&self->m));
}

TEST_F(mmio, buffers_wait_for_driver_ok)
{
	static const struct vd_buffer buffer = {0x40000, 64, true};

	negotiate(self->t, VERSION_1 | RINGS);
	vd_init(&self->d[0], &self->mem, 0x10000, 8, true);
	set_up_queue(self->t, &self->d[0], 0);
	vd_add(&self->d[0], &buffer, 1);
	wr(self->t, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(-EAGAIN, vd_get_used(&self->d[0], NULL));
	wr(self->t, VIRTIO_MMIO_STATUS, S_ACK | S_DRIVER | S_FEATURES | S_OK);
	virtio_mmio__run_queues(self->t); /* without another notification */
	EXPECT_LE(0, vd_get_used(&self->d[0], NULL));
}

TEST_F(mmio, a_malformed_ring_needs_a_reset_and_is_reported_once)
{
	static const struct vd_buffer outside = {RAM_BYTES, 64, true};
	static const struct vd_buffer inside = {0x40000, 64, true};

	bring_up(self->t, &self->mem, self->d);
	vd_add(&self->d[0], &outside, 1);
	virtio_mmio__run_queues(self->t);
	EXPECT_TRUE(rd(self->t, VIRTIO_MMIO_STATUS) & S_BROKEN);
	EXPECT_EQ(VIRTIO_MMIO_INT_CONFIG, rd(self->t, VIRTIO_MMIO_INTERRUPT_STATUS));
	EXPECT_EQ(1, edges(&self->m));
	EXPECT_NE(NULL, strstr(self->m.reason, "counter: buffer is not in RAM"));
	/* the other queue stops as well */
	vd_add(&self->d[1], &inside, 1);
	wr(self->t, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	wr(self->t, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(-EAGAIN, vd_get_used(&self->d[1], NULL));
	virtio_mmio__fail(self->t, &(struct ktstr_error){.err = EINVAL});
	EXPECT_EQ(1, self->m.broken);
	bring_up(self->t, &self->mem, self->d);
	vd_add(&self->d[0], &inside, 1);
	virtio_mmio__run_queues(self->t);
	EXPECT_LE(0, vd_get_used(&self->d[0], NULL));
	EXPECT_FALSE(rd(self->t, VIRTIO_MMIO_STATUS) & S_BROKEN);
}

TEST_F(mmio, reset_forgets_everything_but_the_generation)
{
	bring_up(self->t, &self->mem, self->d);
	virtio_mmio__lock(self->t);
	virtio_mmio__config_changed(self->t);
	virtio_mmio__unlock(self->t);
	EXPECT_EQ(VIRTIO_MMIO_INT_CONFIG, rd(self->t, VIRTIO_MMIO_INTERRUPT_STATUS));
	EXPECT_EQ(1, edges(&self->m));
	EXPECT_EQ(1, rd(self->t, VIRTIO_MMIO_CONFIG_GENERATION));
	wr(self->t, VIRTIO_MMIO_STATUS, 0);
	EXPECT_EQ(0, rd(self->t, VIRTIO_MMIO_STATUS));
	EXPECT_EQ(0, rd(self->t, VIRTIO_MMIO_INTERRUPT_STATUS));
	EXPECT_EQ(1, rd(self->t, VIRTIO_MMIO_CONFIG_GENERATION));
	EXPECT_EQ(0, self->c.dev.negotiated);
	EXPECT_EQ(1 + 1, self->c.resets);
	for (uint32_t i = 0; i < 2; i++) {
		wr(self->t, VIRTIO_MMIO_QUEUE_SEL, i);
		EXPECT_EQ(0, rd(self->t, VIRTIO_MMIO_QUEUE_READY));
	}
	/* what was staged is gone too: ready now is size 0, which cannot be */
	negotiate(self->t, VERSION_1);
	wr(self->t, VIRTIO_MMIO_QUEUE_READY, 1);
	EXPECT_TRUE(rd(self->t, VIRTIO_MMIO_STATUS) & S_BROKEN);
}

TEST_F(mmio, configuration_changes_interrupt_only_after_driver_ok)
{
	negotiate(self->t, VERSION_1);
	virtio_mmio__config_changed(self->t);
	EXPECT_EQ(0, edges(&self->m));
	EXPECT_EQ(1, rd(self->t, VIRTIO_MMIO_CONFIG_GENERATION));
}

TEST_F(mmio, a_saved_transport_goes_on_in_another)
{
	static const struct vd_buffer buffer = {0x40000, 64, true};
	size_t size = virtio_mmio__state_size(self->t);
	uint8_t *state = calloc(1, size), *again = calloc(1, size);
	struct machine m = {.irq_fd = -1};
	struct virtio_mmio *t;
	struct counter c;

	ASSERT_NE(NULL, state);
	ASSERT_NE(NULL, again);
	bring_up(self->t, &self->mem, self->d);
	vd_add(&self->d[1], &buffer, 1);
	virtio_mmio__run_queues(self->t);
	vd_add(&self->d[1], &buffer, 1); /* its notification is lost on the way */
	self->c.value = 77;
	ASSERT_EQ(0, virtio_mmio__save(self->t, state, size, NULL));

	counter_init(&c);
	ASSERT_EQ(0, virtio_mmio__create(&c.dev, &self->mem, BASE, GSI, &m.wiring, &t, NULL));
	ASSERT_EQ(0, virtio_mmio__load(t, state, size, NULL));
	EXPECT_EQ(77, c.value);
	EXPECT_EQ(VIRTIO_MMIO_INT_VRING, rd(t, VIRTIO_MMIO_INTERRUPT_STATUS));
	EXPECT_EQ(S_ACK | S_DRIVER | S_FEATURES | S_OK, rd(t, VIRTIO_MMIO_STATUS));
	ASSERT_EQ(0, virtio_mmio__save(t, again, size, NULL));
	EXPECT_EQ(0, memcmp(state, again, size));
	virtio_mmio__run_queues(t);
	EXPECT_LE(0, vd_get_used(&self->d[1], NULL));
	EXPECT_LE(0, vd_get_used(&self->d[1], NULL));

	EXPECT_EQ(-EINVAL, virtio_mmio__load(t, state, size - 1, NULL));
	state[0] ^= 1; /* another kind of device */
	EXPECT_EQ(-EINVAL, virtio_mmio__load(t, state, size, NULL));
	state[0] ^= 1;
	memcpy(state + size - 4, &(uint32_t){666}, 4); /* the device refuses */
	EXPECT_EQ(-EINVAL, virtio_mmio__load(t, state, size, NULL));
	virtio_mmio__destroy(t);
	free(state);
	free(again);
}

/* A vCPU that brings the device up and resets it again and again while its queues run. */
struct resetter {
	struct virtio_mmio *t;
	struct gmem *mem;
	struct virtq_driver *d;
	_Atomic bool done;
};

static void *resetter_thread(void *arg)
{
	static const struct vd_buffer buffer = {0x40000, 64, true};
	struct resetter *r = arg;

	for (int i = 0; i < 3000; i++) {
		bring_up(r->t, r->mem, r->d);
		for (int j = 0; j < i % 8; j++)
			vd_add(&r->d[0], &buffer, 1);
		wr(r->t, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	}
	r->done = true;
	wr(r->t, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	return NULL;
}

TEST_F(mmio, a_reset_may_come_at_any_instant_from_another_thread)
{
	struct resetter r = {.t = self->t, .mem = &self->mem, .d = self->d};
	struct pollfd fds[2] = {{.fd = self->m.notify_fd[0], .events = POLLIN},
				{.fd = self->m.notify_fd[1], .events = POLLIN}};
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, resetter_thread, &r));
	while (!r.done) {
		ASSERT_LT(0, poll(fds, 2, -1));
		virtio_mmio__run_queue(self->t, 0);
		virtio_mmio__run_queue(self->t, 1);
	}
	ASSERT_EQ(0, pthread_join(thread, NULL));
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(0, self->m.broken)
	{
		TH_LOG("%s", self->m.reason);
	}
	EXPECT_EQ(3000, self->c.activated);
	for (int j = 0; j < 2999 % 8; j++) {
		EXPECT_LE(0, vd_get_used(&self->d[0], NULL));
	}
}

TEST_HARNESS_MAIN
