// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that misuse virtqueues and streams: queues that are programmed anew while they are in use,
 * rings and buffers outside of RAM, storms of notifications, and floods on every way to the host.
 */
#include "hostile_guest.h"

#include <ktstr/proto.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_net.h>

/* ---- A driver of few words ---- */

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

#define NEXT 1u /* virtio 1.2 §2.7.5 */
#define WRITE 2u
#define SIZE 64u /* of rings: what the console's have at most */

/* A queue of ours in RAM; @n: which. */
struct ring {
	struct desc desc[SIZE];
	uint16_t avail[2 + SIZE + 1], pad[61];
	uint16_t used[2 + 4 * SIZE + 2];
	uint8_t data[1024];
};

#define RING_STEP 0x1000u
#define RING_GPA(n) (GUEST_DATA + 0x100000u + (n)*RING_STEP)
#define RING(n) ((volatile struct ring *)(uintptr_t)RING_GPA(n))
#define GPA(n, field) (RING_GPA(n) + offsetof(struct ring, field))

_Static_assert(sizeof(struct ring) <= RING_STEP, "rings do not overlap");

#define STATUS_OK 11u /* ACKNOWLEDGE, DRIVER, FEATURES_OK */
#define DRIVER_OK 4u
#define NEEDS_RESET 64u

/* The queue of each device that takes what the guest gives. */
#define HVC_QUEUE 1u /* without MULTIPORT port 0 alone is there, and open */
#define TLV_QUEUE 5u
#define NET_TX_QUEUE 1u

static GUEST uint32_t get(uint32_t dev, uint32_t reg)
{
	return mmio_read(device(dev) + reg);
}

static GUEST void set(uint32_t dev, uint32_t reg, uint32_t value)
{
	mmio_write(device(dev) + reg, value);
}

static GUEST void set64(uint32_t dev, uint32_t reg, uint64_t value)
{
	set(dev, reg, (uint32_t)value);
	set(dev, reg + 4, (uint32_t)(value >> 32));
}

/* @features: the low half of those accepted. */
static GUEST void start(uint32_t dev, uint32_t features)
{
	set(dev, VIRTIO_MMIO_STATUS, 0);
	set(dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	set(dev, VIRTIO_MMIO_DRIVER_FEATURES, features);
	set(dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(dev, VIRTIO_MMIO_DRIVER_FEATURES, 1); /* VERSION_1 */
	set(dev, VIRTIO_MMIO_STATUS, 3);
	set(dev, VIRTIO_MMIO_STATUS, STATUS_OK);
}

static GUEST void program(uint32_t dev, uint32_t queue, uint32_t size, uint64_t desc,
			  uint64_t avail, uint64_t used)
{
	set(dev, VIRTIO_MMIO_QUEUE_SEL, queue);
	set(dev, VIRTIO_MMIO_QUEUE_NUM, size);
	set64(dev, VIRTIO_MMIO_QUEUE_DESC_LOW, desc);
	set64(dev, VIRTIO_MMIO_QUEUE_AVAIL_LOW, avail);
	set64(dev, VIRTIO_MMIO_QUEUE_USED_LOW, used);
	set(dev, VIRTIO_MMIO_QUEUE_READY, 1);
}

static GUEST void add_queue(uint32_t dev, uint32_t queue, uint32_t n)
{
	program(dev, queue, SIZE, GPA(n, desc), GPA(n, avail), GPA(n, used));
}

static GUEST void set_desc(uint32_t n, uint32_t i, uint64_t addr, uint32_t len, uint32_t flags)
{
	RING(n)->desc[i].addr = addr;
	RING(n)->desc[i].len = len;
	RING(n)->desc[i].flags = (uint16_t)flags;
	RING(n)->desc[i].next = (uint16_t)(i + 1);
}

static GUEST uint32_t tx_queue(uint32_t dev)
{
	return dev == DISK ? 0 : dev == NIC ? NET_TX_QUEUE : HVC_QUEUE;
}

/* One request that is right for each device, in the ring of its number. */
static GUEST void fill(uint32_t dev)
{
	const uint64_t data = GPA(dev, data);

	if (dev == DISK) {
		set_desc(dev, 0, data, 16, NEXT); /* VIRTIO_BLK_T_IN of sector 0 */
		set_desc(dev, 1, data + 16, 512, NEXT | WRITE);
		set_desc(dev, 2, data + 1000, 1, WRITE);
	} else {
		set_desc(dev, 0, data, dev == NIC ? sizeof(struct virtio_net_hdr_v1) + 60 : 16, 0);
	}
	RING(dev)->avail[2] = 0;
	RING(dev)->avail[1] = 1;
	RING(dev)->used[1] = 0;
	asm volatile("" : : : "memory");
}

static GUEST void notify(uint32_t dev, uint32_t queue)
{
	set(dev, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

static GUEST void run_one(uint32_t dev)
{
	fill(dev);
	start(dev, 0);
	add_queue(dev, tx_queue(dev), dev);
	set(dev, VIRTIO_MMIO_STATUS, STATUS_OK | DRIVER_OK);
	notify(dev, tx_queue(dev));
}

/* Where ring 0 is interpreted that is seconds, and so it ends where a device is dead. */
#define PATIENCE 1000000u

/* Whether the device does what it is there for. */
static GUEST void expect_alive(uint32_t dev)
{
	run_one(dev);
	for (uint32_t i = 0; i < PATIENCE && !RING(dev)->used[1]; i++)
		asm volatile("pause");
	expect(RING(dev)->used[1] == 1, device(dev));
}

static GUEST void expect_broken(uint32_t dev, uint64_t where)
{
	uint32_t status = 0;

	for (uint32_t i = 0; i < PATIENCE / 100 && !(status & NEEDS_RESET); i++)
		status = get(dev, VIRTIO_MMIO_STATUS);
	expect(status & NEEDS_RESET, where);
}

/* ---- Queues in use ---- */

#define CPUS 4u

/* CPU 0 resets and programs queues, the others notify and read: all is well in the end. */
GUEST_CPUS(reprogram)
{
	if (cpu) {
		while (!SHARED->stop) {
			for (uint32_t dev = 0; dev < NR_DEVICES; dev++) {
				for (uint32_t queue = 0; queue < 8; queue += cpu)
					notify(dev, queue);
				get(dev, VIRTIO_MMIO_QUEUE_READY);
				set(dev, VIRTIO_MMIO_INTERRUPT_ACK, ~0u);
			}
		}
		return;
	}
	for (uint32_t round = 0; round < ORDERS->rounds; round++) {
		uint32_t dev = round % NR_DEVICES;

		run_one(dev);
		/* Of what is in use nothing changes. */
		set(dev, VIRTIO_MMIO_QUEUE_NUM, 3);
		set64(dev, VIRTIO_MMIO_QUEUE_DESC_LOW, ~UINT64_C(0));
		set64(dev, VIRTIO_MMIO_QUEUE_USED_LOW, X86_VIRTIO_GPA);
		notify(dev, tx_queue(dev));
		if (round & 1) {
			set(dev, VIRTIO_MMIO_QUEUE_READY, 0);
			add_queue(dev, tx_queue(dev), dev);
			notify(dev, tx_queue(dev));
		}
	}
	SHARED->stop = 1;
	for (uint32_t dev = 0; dev < NR_DEVICES; dev++)
		expect_alive(dev);
	finish();
}

static GUEST uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Near enough to what could be to get past some checks; none leads to the guest's own code. */
static GUEST uint64_t some_address(uint64_t random)
{
	uint32_t kind = random >> 8 & 7;

	if (kind == 0)
		return boundary(random >> 16 & 3, 8);
	if (kind == 1)
		return ORDERS->ram_end - (random >> 16 & 0x3f);
	if (kind == 2)
		return X86_VIRTIO_GPA + (random >> 16 & 0xfff);
	if (kind == 3)
		return random >> 16 << 30;
	return RING_GPA(random >> 16 & 7) + (random >> 24 & 0xff0);
}

static GUEST void scribble(uint64_t random)
{
	const uint32_t n = random & 7, i = random >> 3 & (SIZE - 1);

	set_desc(n, i, some_address(random),
		 random & 0x10000 ? (uint32_t)(random >> 40) & 0xfff : ~(uint32_t)(random >> 62),
		 random >> 50 & (NEXT | WRITE));
	RING(n)->avail[2 + (random >> 20 & (SIZE - 1))] = (uint16_t)(random >> 30 & 0x7f);
	RING(n)->avail[1] = (uint16_t)(RING(n)->avail[1] + (random >> 40 & 3));
	if (!(random >> 44 & 0xff))
		RING(n)->avail[1] = (uint16_t)(random >> 52);
}

static GUEST void write_anything(uint32_t dev, uint64_t random)
{
	const uint32_t what = random >> 4 & 7;

	if (what == 0)
		start(dev, (uint32_t)get(dev, VIRTIO_MMIO_DEVICE_FEATURES));
	else if (what < 4)
		program(dev, random >> 8 & 7, 1u << (random >> 12 & 7), RING_GPA(random >> 16 & 7),
			RING_GPA(random >> 20 & 7), RING_GPA(random >> 24 & 7));
	else if (what == 4)
		program(dev, random >> 8 & 7, (uint32_t)(random >> 12 & 0xff), some_address(random),
			some_address(random >> 13), some_address(random >> 7));
	else if (what == 5)
		set(dev, VIRTIO_MMIO_STATUS, (uint32_t)(random >> 16 & 0xff));
	else
		set(dev, VIRTIO_MMIO_STATUS, STATUS_OK | DRIVER_OK);
}

/* All at once and at random, until the machine is ended. */
GUEST_CPUS(chaos)
{
	uint64_t random = ORDERS->rounds + UINT64_C(0x9e3779b97f4a7c15) * (cpu + 1);

	if (!cpu)
		print(COM2, GS("ktstr-init: up\n"));
	for (;;) {
		uint32_t dev = (uint32_t)(next_random(&random) % NR_DEVICES);

		if (cpu == 0) {
			write_anything(dev, random);
		} else if (cpu == 1) {
			for (uint32_t i = 0; i < 16; i++)
				scribble(next_random(&random));
		} else if (cpu == 2) {
			notify(dev, random >> 8 & 7);
		} else {
			set(dev, VIRTIO_MMIO_QUEUE_SEL, random >> 8 & 7);
			set(dev, VIRTIO_MMIO_QUEUE_READY, random >> 12 & 1);
		}
	}
}

/* ---- Outside of RAM ---- */

struct place {
	uint64_t addr;
	uint32_t len;
};

static GUEST struct place bad_place(uint32_t i)
{
	const uint64_t end = ORDERS->ram_end;

	if (i == 0)
		return (struct place){end, 16};
	if (i == 1)
		return (struct place){end - 8, 16};
	if (i == 2)
		return (struct place){GMEM_HOLE_START - 8, 16};
	if (i == 3)
		return (struct place){X86_VIRTIO_GPA, 16};
	if (i == 4)
		return (struct place){GMEM_HOLE_END - 8, 16};
	if (i == 5)
		return (struct place){~UINT64_C(0), 1};
	if (i == 6)
		return (struct place){~UINT64_C(0) - 15, 32};
	return (struct place){0, ~0u};
}

#define NR_BAD_PLACES 8u

/* Each device with a buffer in each of these places, and each part of a ring. */
GUEST_CPUS(bad_places)
{
	if (cpu)
		return;
	for (uint32_t dev = 0; dev < NR_DEVICES; dev++) {
		for (uint32_t i = 0; i < NR_BAD_PLACES; i++) {
			const struct place p = bad_place(i);

			fill(dev);
			set_desc(dev, dev == DISK, p.addr, p.len, dev == DISK ? NEXT | WRITE : 0);
			start(dev, 0);
			add_queue(dev, tx_queue(dev), dev);
			set(dev, VIRTIO_MMIO_STATUS, STATUS_OK | DRIVER_OK);
			notify(dev, tx_queue(dev));
			expect_broken(dev, p.addr);
			expect(!RING(dev)->used[1], p.addr);
			for (uint32_t part = 0; part < 3 && i < NR_BAD_PLACES - 1; part++) {
				const uint64_t addr = p.addr & ~UINT64_C(15);

				start(dev, 0);
				program(dev, tx_queue(dev), SIZE, part == 0 ? addr : GPA(dev, desc),
					part == 1 ? addr : GPA(dev, avail),
					part == 2 ? addr : GPA(dev, used));
				expect(get(dev, VIRTIO_MMIO_STATUS) & NEEDS_RESET, addr + part);
				expect(!get(dev, VIRTIO_MMIO_QUEUE_READY), addr + part);
			}
		}
		expect_alive(dev);
	}
	finish();
}

/* ---- Storms and floods ---- */

/* Every value there is a queue for and others, on all CPUs. */
GUEST_CPUS(storm)
{
	if (!cpu) {
		for (uint32_t dev = 0; dev < NR_DEVICES; dev++)
			run_one(dev);
		SHARED->go = 1;
	}
	while (!SHARED->go)
		asm volatile("pause");
	for (uint32_t round = 0; round < ORDERS->rounds; round++)
		for (uint32_t dev = 0; dev < NR_DEVICES; dev++) {
			for (uint32_t queue = 0; queue < 12; queue++)
				notify(dev, queue);
			notify(dev, (uint32_t)boundary(round % NR_BOUNDARIES, 4));
		}
	__atomic_fetch_add((uint32_t *)&SHARED->done, 1, __ATOMIC_SEQ_CST);
	if (cpu)
		return;
	while (SHARED->done != CPUS)
		asm volatile("pause");
	for (uint32_t dev = 0; dev < NR_DEVICES; dev++)
		expect_alive(dev);
	finish();
}

/* Memory that many descriptors share; the host may fill it. */
#define LARGE_GPA UINT64_C(0x1000000)
#define LARGE (16u << 20)

/* A whole ring of the same chain: @nr descriptors of @length bytes of that memory. */
static GUEST void fill_large(uint32_t n, uint32_t nr, uint32_t length)
{
	for (uint32_t i = 0; i < SIZE; i++) {
		set_desc(n, i, LARGE_GPA, length, i + 1 < nr ? NEXT : 0);
		RING(n)->avail[2 + i] = 0;
	}
	RING(n)->avail[1] = SIZE;
	asm volatile("" : : : "memory");
}

static GUEST void start_port(uint32_t queue, uint32_t n)
{
	start(CONSOLE, 2); /* MULTIPORT */
	add_queue(CONSOLE, queue, n);
	set(CONSOLE, VIRTIO_MMIO_STATUS, STATUS_OK | DRIVER_OK);
}

/* A page of bytes at once, which costs less than one by one. */
static GUEST void print_pages(uint16_t port)
{
	for (;;) {
		uint64_t from = LARGE_GPA, count = 4096;

		asm volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(port) : "memory");
	}
}

/* Both serial ports, hvc0, and frames of the NIC, without end. */
GUEST_CPUS(flood)
{
	uint16_t sent = SIZE;

	if (cpu == 0) {
		print(COM2, GS("ktstr-init: up\n"));
		print_pages(COM1);
	}
	if (cpu == 1)
		print_pages(COM2);
	if (cpu == 2) {
		fill_large(CONSOLE, 1, LARGE);
		start_port(HVC_QUEUE, CONSOLE);
		for (;; sent++) {
			RING(CONSOLE)->avail[1] = sent;
			notify(CONSOLE, HVC_QUEUE);
			while ((uint16_t)(sent - RING(CONSOLE)->used[1]) >= SIZE)
				asm volatile("pause");
		}
	}
	fill(NIC);
	for (uint32_t i = 0; i < SIZE; i++)
		RING(NIC)->avail[2 + i] = 0;
	start(NIC, 0);
	add_queue(NIC, NET_TX_QUEUE, NIC);
	set(NIC, VIRTIO_MMIO_STATUS, STATUS_OK | DRIVER_OK);
	for (sent = 1;; sent++) {
		RING(NIC)->avail[1] = sent;
		notify(NIC, NET_TX_QUEUE);
		while ((uint16_t)(sent - RING(NIC)->used[1]) >= SIZE)
			asm volatile("pause");
	}
}

/*
 * One notification of 64 chains of 1 GiB of headers, each of a frame of 16 MiB that never comes:
 * the worst that a byte can cost the host, 64 GiB of them.
 */
GUEST_CPUS(announce)
{
	if (cpu)
		return;
	fill_large(CONSOLE, SIZE, LARGE);
	start_port(TLV_QUEUE, CONSOLE);
	notify(CONSOLE, TLV_QUEUE);
}

/* The line on COM1 holds the host until the machine is over: see wait_for_end(). */
GUEST_CPUS(leave_behind)
{
	if (cpu)
		return;
	print(COM1, GS("wait\n"));
	fill_large(CONSOLE, SIZE, LARGE);
	start_port(HVC_QUEUE, CONSOLE);
	notify(CONSOLE, HVC_QUEUE);
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

/* A queue full of requests, each to read the whole disk, all of it to the same memory. */
GUEST_CPUS(read_gigabytes)
{
	const uint32_t parts = ORDERS->rounds;

	if (cpu)
		return;
	set_desc(DISK, 0, GPA(DISK, data), 16, NEXT);
	for (uint32_t i = 1; i <= parts; i++)
		set_desc(DISK, i, LARGE_GPA, LARGE, NEXT | WRITE);
	set_desc(DISK, parts + 1, GPA(DISK, data) + 1000, 1, WRITE);
	RING(DISK)->avail[1] = SIZE;
	start(DISK, 0);
	add_queue(DISK, 0, DISK);
	set(DISK, VIRTIO_MMIO_STATUS, STATUS_OK | DRIVER_OK);
	notify(DISK, 0);
}

/* Half a frame of 16 MiB, and then nothing: what came is held, and no more. */
GUEST_CPUS(half_announced)
{
	if (cpu)
		return;
	print(COM2, GS("ktstr-init: up\n"));
	fill_large(CONSOLE, 1, LARGE / 2);
	RING(CONSOLE)->avail[1] = 1;
	start_port(TLV_QUEUE, CONSOLE);
	notify(CONSOLE, TLV_QUEUE);
}

/* ---- Tests ---- */

static void orders(hostile *self, uint32_t rounds, uint32_t rounds_of_all)
{
	self->orders.rounds = everything() ? rounds_of_all : rounds;
}

TEST_F_TIMEOUT(hostile, queues_are_programmed_anew_under_notifications, 3600)
{
	orders(self, 60, 10000);
	BOOT(reprogram);
	EXPECT_EQ(KTSTR_VERDICT_PASS, self->result.verdict);
}

TEST_F_TIMEOUT(hostile, queues_and_rings_at_random_end_in_a_verdict, 3600)
{
	uint32_t seeds = everything() ? 50 : 1;

	for (uint32_t seed = 1; seed <= seeds; seed++) {
		self->orders.rounds = seed;
		BOOT(chaos);
		EXPECT_EQ(KTSTR_VERDICT_CHANNEL_BROKEN, self->result.verdict);
		EXPECT_IN("the guest's driver broke the rules of ", self->result.cause);
		destroy_hostile(self);
	}
}

/* The guest itself looks at every device each time; the first one is the cause. */
TEST_F_TIMEOUT(hostile, rings_and_buffers_outside_of_ram_are_refused, 600)
{
	BOOT(bad_places);
	EXPECT_EQ(KTSTR_VERDICT_CHANNEL_BROKEN, self->result.verdict);
	EXPECT_IN("broke the rules of virtio-console: buffer is not in RAM (0x4000000)",
		  self->result.cause);
	EXPECT_IN("\nKTSTR_EXIT=0\n", self->result.com2);
}

TEST_F_TIMEOUT(hostile, storm_of_notifications_is_survived, 3600)
{
	orders(self, 40, 20000);
	BOOT(storm);
	EXPECT_EQ(KTSTR_VERDICT_PASS, self->result.verdict);
}

/* What is kept of each text (outcome.h, com2.h) is not more for all that came. */
#define TEXT_MAX (1u << 20)

TEST_F_TIMEOUT(hostile, flood_on_every_way_is_held_back_and_takes_bounded_memory, 3600)
{
	uint64_t before, most;

	self->config.timeout_s = everything() ? 60 : 1;
	ASSERT_EQ(0, create_hostile(_metadata, self, guest_entry_flood));
	memset(gmem__ptr(&((struct vm *)self->vm)->mem, LARGE_GPA, LARGE), 'x', LARGE);
	forget_most();
	before = memory_of_status("VmRSS");
	ASSERT_EQ(0, run_hostile(_metadata, self));
	most = memory_of_status("VmHWM");
	EXPECT_EQ(KTSTR_VERDICT_TIMEOUT, self->result.verdict);
	EXPECT_LT(BYTE_QUEUE_WAKE, strlen(self->result.console));
	EXPECT_GE(TEXT_MAX, strlen(self->result.console));
	EXPECT_LT(BYTE_QUEUE_WAKE, strlen(self->result.com2));
	EXPECT_GE(TEXT_MAX, strlen(self->result.com2));
	EXPECT_LT(0, self->result.nics[0].tx_frames);
	/* Two texts and one that replaces each, and what the guest touched. */
	EXPECT_GE(before + 12 * MIB, most);
	TH_LOG("%zu and %zu bytes of text, %" PRIu64 " frames, memory grew by %" PRIu64 " KiB",
	       strlen(self->result.console), strlen(self->result.com2),
	       self->result.nics[0].tx_frames, (most - before) >> 10);
}

/* See vmm/channel.c: two frames of the largest size at most; ASan keeps what was too small. */
#ifdef __SANITIZE_ADDRESS__
#define CHANNEL_MAX (100 * MIB)
#else
#define CHANNEL_MAX (40 * MIB)
#endif

/* Fills the guest's memory with headers of such a frame. Returns the memory in use after that. */
static uint64_t announce_frames(const hostile *self)
{
	const struct ktstr_frame_header h = {.magic = KTSTR_FRAME_MAGIC,
					     .type = KTSTR_FRAME_OUTPUT,
					     .length = KTSTR_FRAME_MAX_PAYLOAD};
	uint8_t *large = gmem__ptr(&((struct vm *)self->vm)->mem, LARGE_GPA, LARGE);

	for (uint32_t at = 0; at + sizeof(h) <= LARGE; at += sizeof(h))
		memcpy(large + at, &h, sizeof(h));
	forget_most();
	return memory_of_status("VmRSS");
}

TEST_F_TIMEOUT(hostile, gigabytes_at_once_do_not_hold_the_machine, 120)
{
	const char *skipped;
	uint64_t before;

	ASSERT_EQ(0, create_hostile(_metadata, self, guest_entry_announce));
	before = announce_frames(self);
	ASSERT_EQ(0, run_hostile(_metadata, self));
	EXPECT_EQ(KTSTR_VERDICT_CHANNEL_BROKEN, self->result.verdict);
	EXPECT_IN("bad CRC at byte 0 (type OUTP, sequence 0, 16777216 bytes)", self->result.cause);
	/* Those that came before the machine was ended. */
	skipped = strstr(self->result.cause, " damages, ");
	ASSERT_NE(NULL, skipped);
	EXPECT_GT(UINT64_C(32) << 30, strtoull(skipped + strlen(" damages, "), NULL, 10));
	EXPECT_GE(before + CHANNEL_MAX, memory_of_status("VmHWM"));
}

static void wait_for_end(void *opaque, enum ktstr_stream stream, const char *data, size_t length)
{
	const hostile *self = opaque;

	(void)stream;
	(void)data;
	(void)length;
	while (!vm__ending((struct vm *)self->vm))
		usleep(1000);
}

TEST_F_TIMEOUT(hostile, gigabytes_left_behind_are_not_waited_for, 120)
{
	self->config.console = wait_for_end;
	self->config.console_opaque = self;
	BOOT(leave_behind);
	EXPECT_EQ(KTSTR_VERDICT_CHANNEL_BROKEN, self->result.verdict);
	EXPECT_IN("the guest left more behind", self->result.cause);
	self->config.console = NULL;
}

/* 28 GiB in all. What is under way when the machine ends is waited for, so that is not all of it.
 */
TEST_F_TIMEOUT(hostile, disk_that_is_asked_for_gigabytes_is_not_waited_for, 120)
{
	uint16_t done = SIZE;

	self->orders.rounds = 28;
	self->disk.size_mb = self->orders.rounds * (LARGE >> 20);
	self->config.boot_timeout_s = 1;
	BOOT(read_gigabytes);
	EXPECT_EQ(KTSTR_VERDICT_NO_BOOT, self->result.verdict);
	EXPECT_EQ(0, gmem__read(&((struct vm *)self->vm)->mem, GPA(DISK, used) + 2, &done,
				sizeof(done)));
	TH_LOG("%u of %u requests", done, SIZE);
	EXPECT_LT(0, done);
	EXPECT_GT(SIZE / 2, done);
}

TEST_F_TIMEOUT(hostile, frame_that_is_announced_and_never_sent_is_no_result, 120)
{
	uint64_t before;

	self->config.timeout_s = 1;
	ASSERT_EQ(0, create_hostile(_metadata, self, guest_entry_half_announced));
	before = announce_frames(self);
	ASSERT_EQ(0, run_hostile(_metadata, self));
	EXPECT_EQ(KTSTR_VERDICT_TIMEOUT, self->result.verdict);
	EXPECT_GE(before + CHANNEL_MAX, memory_of_status("VmHWM"));
}

TEST_HARNESS_MAIN
