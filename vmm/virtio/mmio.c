// SPDX-License-Identifier: GPL-2.0-only
/*
 * The MMIO transport: register accesses from vCPU threads, queue work in one thread of its own.
 *
 * What Linux touches for every request needs no lock: QueueNotify only writes an eventfd,
 * InterruptStatus and InterruptACK are one atomic word.
 */
#include "mmio.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../mutex.h"

#define MAGIC 0x74726976u     /* "virt" (§4.2.2) */
#define VERSION 2u	      /* §4.2.2 */
#define VENDOR_ID 0x5254534bu /* "KSTR": subsystem vendor; drivers do not look at it */

#define BIT64(n) (UINT64_C(1) << (n))

#define TRANSPORT_FEATURES                                                \
	(BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_RING_F_INDIRECT_DESC) | \
	 BIT64(VIRTIO_RING_F_EVENT_IDX))

/* Registers of the transport, as plain data. */
struct mmio_state {
	uint64_t driver_features;
	uint32_t device_features_sel, driver_features_sel;
	uint32_t queue_sel;
	uint32_t status;
	uint32_t interrupt_status;
	uint32_t generation;
};

/* What the driver wrote for a queue; latched by QueueReady. */
struct queue_state {
	struct virtq_geometry geometry;
	struct virtq_state ring;
};

struct saved_header {
	uint32_t device_id;
	uint32_t nr_queues;
	uint64_t device_state_size;
};

struct virtio_mmio {
	struct virtio_device *dev;
	const struct virtio_mmio_wiring *wiring;
	uint64_t base;
	pthread_mutex_t lock; /* recursive: a device's callbacks may call the device */
	bool resetting;	      /* the device's reset op runs, which may wait without the lock */
	struct mmio_state s;  /* but for interrupt_status, which is */
	_Atomic uint32_t interrupt_status;
	int irq_fd;
	struct virtq_geometry *geometry; /* [nr_queues] */
	int *queue_fds;			 /* [nr_queues] */
};

void virtio_mmio__lock(struct virtio_mmio *t)
{
	pthread_mutex_lock(&t->lock);
}

void virtio_mmio__unlock(struct virtio_mmio *t)
{
	pthread_mutex_unlock(&t->lock);
}

void virtio_mmio__wait(struct virtio_mmio *t, pthread_cond_t *condition)
{
	pthread_cond_wait(condition, &t->lock);
}

/* An eventfd's counter cannot overflow by ones within the life of a machine. */
static void signal_fd(int fd)
{
	uint64_t one = 1;

	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* True: it was signalled, and is not any more. */
static bool take_fd(int fd)
{
	uint64_t count;
	ssize_t n;

	do
		n = read(fd, &count, sizeof(count));
	while (n < 0 && errno == EINTR);
	return n == sizeof(count);
}

static void interrupt(struct virtio_mmio *t, uint32_t why)
{
	atomic_fetch_or(&t->interrupt_status, why);
	signal_fd(t->irq_fd);
}

void virtio_mmio__signal(struct virtio_mmio *t, uint32_t queue)
{
	struct virtq *q = &t->dev->queues[queue];

	virtq__publish(q);
	if (virtq__needs_interrupt(q))
		interrupt(t, VIRTIO_MMIO_INT_VRING);
}

void virtio_mmio__kick(struct virtio_mmio *t, uint32_t queue)
{
	signal_fd(t->queue_fds[queue]);
}

void virtio_mmio__config_changed(struct virtio_mmio *t)
{
	t->s.generation++;
	/* §2.1.2: no notification before DRIVER_OK. */
	if (t->s.status & VIRTIO_CONFIG_S_DRIVER_OK)
		interrupt(t, VIRTIO_MMIO_INT_CONFIG);
}

static void set_live(struct virtio_mmio *t, bool live)
{
	for (uint32_t i = 0; i < t->dev->nr_queues; i++)
		t->dev->queues[i].s.live = live && t->dev->queues[i].s.ready;
}

void virtio_mmio__fail(struct virtio_mmio *t, const struct ktstr_error *error)
{
	set_live(t, false);
	if (t->s.status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	t->s.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	/* §2.1.2: a configuration change notification tells the driver. */
	if (t->s.status & VIRTIO_CONFIG_S_DRIVER_OK)
		interrupt(t, VIRTIO_MMIO_INT_CONFIG);
	if (t->wiring->broken)
		t->wiring->broken(t->wiring->opaque, t->dev->ops->name, error);
}

static uint64_t offered(const struct virtio_mmio *t)
{
	return t->dev->features | TRANSPORT_FEATURES;
}

/* §2.1, §4.2.3.1: writing 0 resets, at any time. */
static void reset(struct virtio_mmio *t)
{
	t->resetting = true;
	if (t->dev->ops->reset)
		t->dev->ops->reset(t->dev);
	t->resetting = false;
	for (uint32_t i = 0; i < t->dev->nr_queues; i++) {
		virtq__reset(&t->dev->queues[i]);
		t->geometry[i] = (struct virtq_geometry){0};
	}
	t->dev->negotiated = 0;
	/* The generation goes on: a driver may compare it across a reset. */
	t->s = (struct mmio_state){.generation = t->s.generation};
	atomic_store(&t->interrupt_status, 0);
}

static bool features_acceptable(const struct virtio_mmio *t)
{
	uint64_t f = t->s.driver_features;

	return (f & BIT64(VIRTIO_F_VERSION_1)) && !(f & ~offered(t));
}

static void activate(struct virtio_mmio *t)
{
	t->s.status |= VIRTIO_CONFIG_S_DRIVER_OK;
	set_live(t, true);
	if (t->dev->ops->activate)
		t->dev->ops->activate(t->dev);
	for (uint32_t i = 0; i < t->dev->nr_queues; i++)
		if (t->dev->queues[i].s.ready)
			virtio_mmio__kick(t, i);
}

/* §2.1.1, §3.1.1: bits are only added, each when the one before it is there. */
static void write_status(struct virtio_mmio *t, uint32_t value)
{
	const uint32_t known = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	uint32_t added;

	if (!value) {
		reset(t);
		return;
	}
	added = value & ~t->s.status;
	t->s.status |= added & (known | VIRTIO_CONFIG_S_FAILED);
	if ((added & VIRTIO_CONFIG_S_FEATURES_OK) && (t->s.status & known) == known &&
	    features_acceptable(t)) {
		t->s.status |= VIRTIO_CONFIG_S_FEATURES_OK;
		t->dev->negotiated = t->s.driver_features;
	}
	if ((added & VIRTIO_CONFIG_S_DRIVER_OK) && (t->s.status & VIRTIO_CONFIG_S_FEATURES_OK) &&
	    !(t->s.status & VIRTIO_CONFIG_S_NEEDS_RESET))
		activate(t);
}

static void write_driver_features(struct virtio_mmio *t, uint32_t value)
{
	uint32_t shift = t->s.driver_features_sel * 32;

	if (t->s.driver_features_sel > 1 || (t->s.status & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	t->s.driver_features &= ~((uint64_t)UINT32_MAX << shift);
	t->s.driver_features |= (uint64_t)value << shift;
}

/* §4.2.3.2. A queue that becomes ready after DRIVER_OK is live at once. */
static void write_queue_ready(struct virtio_mmio *t, uint32_t value)
{
	const uint32_t usable = VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK;
	struct virtq *q = &t->dev->queues[t->s.queue_sel];
	struct ktstr_error error = {0};

	if (!(value & 1)) {
		virtq__reset(q);
		if (t->dev->ops->stop_queue)
			t->dev->ops->stop_queue(t->dev, t->s.queue_sel);
		return;
	}
	if (q->s.ready || !(t->s.status & VIRTIO_CONFIG_S_FEATURES_OK) ||
	    (t->s.status & VIRTIO_CONFIG_S_NEEDS_RESET))
		return;
	if (virtq__enable(q, &t->geometry[t->s.queue_sel], t->dev->negotiated, &error)) {
		virtio_mmio__fail(t, &error);
		return;
	}
	if ((t->s.status & usable) == usable) {
		q->s.live = true;
		virtio_mmio__kick(t, t->s.queue_sel);
	}
}

static void set_low(uint64_t *gpa, uint32_t value)
{
	*gpa = (*gpa & ~(uint64_t)UINT32_MAX) | value;
}

static void set_high(uint64_t *gpa, uint32_t value)
{
	*gpa = (*gpa & UINT32_MAX) | (uint64_t)value << 32;
}

/* Registers of the selected queue. The geometry of a queue that is ready does not change. */
static void write_queue_register(struct virtio_mmio *t, uint64_t offset, uint32_t value)
{
	struct virtq_geometry *g;

	if (t->s.queue_sel >= t->dev->nr_queues)
		return;
	if (offset == VIRTIO_MMIO_QUEUE_READY) {
		write_queue_ready(t, value);
		return;
	}
	if (t->dev->queues[t->s.queue_sel].s.ready)
		return;
	g = &t->geometry[t->s.queue_sel];
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM:
		g->size = value;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
		set_low(&g->desc_gpa, value);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_high(&g->desc_gpa, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
		set_low(&g->avail_gpa, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_high(&g->avail_gpa, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
		set_low(&g->used_gpa, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_high(&g->used_gpa, value);
		break;
	}
}

static void write_register(struct virtio_mmio *t, uint64_t offset, uint32_t value)
{
	if (t->resetting)
		return;
	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		t->s.device_features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		t->s.driver_features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		write_driver_features(t, value);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		t->s.queue_sel = value;
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(t, value & 0xff);
		break;
	default:
		write_queue_register(t, offset, value);
	}
}

static uint32_t read_register(struct virtio_mmio *t, uint64_t offset)
{
	uint32_t sel = t->s.queue_sel;

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return t->dev->ops->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR_ID;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		if (t->s.device_features_sel > 1)
			return 0;
		return (uint32_t)(offered(t) >> (t->s.device_features_sel * 32));
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return sel < t->dev->nr_queues ? t->dev->queue_sizes[sel] : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return sel < t->dev->nr_queues ? t->dev->queues[sel].s.ready : 0;
	case VIRTIO_MMIO_STATUS:
		return t->s.status;
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return UINT32_MAX; /* §4.2.2: no such region, whatever SHMSel says */
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return t->s.generation;
	default:
		return 0; /* write-only, reserved, or of a feature that is not offered */
	}
}

/* §4.2.2.2: a field is accessed in its own width, aligned. */
static bool config_access_ok(uint64_t offset, uint32_t length)
{
	return (length == 1 || length == 2 || length == 4) && !(offset % length);
}

static void bus_read(void *opaque, uint64_t offset, uint8_t *data, uint32_t length)
{
	struct virtio_mmio *t = opaque;
	uint32_t value;

	memset(data, 0, length);
	if (offset >= VIRTIO_MMIO_CONFIG) {
		if (!config_access_ok(offset, length) || !t->dev->ops->read_config)
			return;
		virtio_mmio__lock(t);
		t->dev->ops->read_config(t->dev, (uint32_t)(offset - VIRTIO_MMIO_CONFIG), data,
					 length);
		virtio_mmio__unlock(t);
		return;
	}
	/* §4.2.2.2: control registers are 32 bits wide and aligned. */
	if (length != sizeof(value) || offset % sizeof(value))
		return;
	if (offset == VIRTIO_MMIO_INTERRUPT_STATUS) {
		value = atomic_load(&t->interrupt_status);
	} else {
		virtio_mmio__lock(t);
		value = read_register(t, offset);
		virtio_mmio__unlock(t);
	}
	memcpy(data, &value, sizeof(value));
}

static void bus_write(void *opaque, uint64_t offset, const uint8_t *data, uint32_t length)
{
	struct virtio_mmio *t = opaque;
	uint32_t value;

	if (offset >= VIRTIO_MMIO_CONFIG) {
		if (!config_access_ok(offset, length) || !t->dev->ops->write_config)
			return;
		virtio_mmio__lock(t);
		t->dev->ops->write_config(t->dev, (uint32_t)(offset - VIRTIO_MMIO_CONFIG), data,
					  length);
		virtio_mmio__unlock(t);
		return;
	}
	if (length != sizeof(value) || offset % sizeof(value))
		return;
	memcpy(&value, data, sizeof(value));
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		if (value < t->dev->nr_queues)
			virtio_mmio__kick(t, value);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		atomic_fetch_and(&t->interrupt_status, ~value);
		break;
	default:
		virtio_mmio__lock(t);
		write_register(t, offset, value);
		virtio_mmio__unlock(t);
	}
}

const struct bus_ops virtio_mmio_bus_ops = {.read = bus_read, .write = bus_write};

const char *virtio_mmio__name(const struct virtio_mmio *t)
{
	return t->dev->ops->name;
}

uint32_t virtio_mmio__nr_queues(const struct virtio_mmio *t)
{
	return t->dev->nr_queues;
}

int virtio_mmio__queue_fd(const struct virtio_mmio *t, uint32_t queue)
{
	return t->queue_fds[queue];
}

static bool run_if_notified(struct virtio_mmio *t, uint32_t queue)
{
	struct ktstr_error error = {0};

	if (!take_fd(t->queue_fds[queue]))
		return false;
	virtio_mmio__lock(t);
	if (t->dev->ops->notify(t->dev, queue, &error) < 0)
		virtio_mmio__fail(t, &error);
	virtio_mmio__unlock(t);
	return true;
}

void virtio_mmio__run_queue(struct virtio_mmio *t, uint32_t queue)
{
	run_if_notified(t, queue);
}

bool virtio_mmio__run_turn(struct virtio_mmio *t)
{
	bool any = false;

	for (uint32_t i = 0; i < t->dev->nr_queues; i++)
		any |= run_if_notified(t, i);
	return any;
}

void virtio_mmio__run_queues(struct virtio_mmio *t)
{
	while (virtio_mmio__run_turn(t))
		;
}

static int create_fds(struct virtio_mmio *t, uint32_t gsi, struct ktstr_error *error)
{
	const struct virtio_mmio_wiring *w = t->wiring;
	uint32_t i;
	int ret;

	t->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->irq_fd < 0)
		return ktstr_error__set(error, errno, "eventfd", t->dev->ops->name, NULL);
	ret = w->assign_irq ? w->assign_irq(w->opaque, gsi, t->irq_fd) : 0;
	if (ret)
		return ktstr_error__set(error, -ret, "KVM_IRQFD", t->dev->ops->name, "GSI %u: %s",
					gsi, strerror(-ret));
	for (i = 0; i < t->dev->nr_queues; i++) {
		t->queue_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (t->queue_fds[i] < 0)
			return ktstr_error__set(error, errno, "eventfd", t->dev->ops->name, NULL);
		if (!w->assign_notify)
			continue;
		ret = w->assign_notify(w->opaque, t->base + VIRTIO_MMIO_QUEUE_NOTIFY, i,
				       t->queue_fds[i]);
		if (ret)
			return ktstr_error__set(error, -ret, "KVM_IOEVENTFD", t->dev->ops->name,
						"queue %u: %s", i, strerror(-ret));
	}
	return 0;
}

int virtio_mmio__create(struct virtio_device *dev, const struct gmem *mem, uint64_t base,
			uint32_t gsi, const struct virtio_mmio_wiring *wiring,
			struct virtio_mmio **transport, struct ktstr_error *error)
{
	struct virtio_mmio *t;
	int ret;

	*transport = NULL;
	if (!dev->nr_queues || dev->nr_queues > VIRTIO_MAX_QUEUES)
		return ktstr_error__set(error, EINVAL, "virtio-mmio", dev->ops->name, "%u queues",
					dev->nr_queues);
	t = calloc(1, sizeof(*t));
	if (!t)
		return ktstr_error__set(error, ENOMEM, "virtio-mmio", dev->ops->name, NULL);
	mutex__init(&t->lock, PTHREAD_MUTEX_RECURSIVE);
	t->dev = dev;
	t->wiring = wiring;
	t->base = base;
	t->irq_fd = -1;
	t->geometry = calloc(dev->nr_queues, sizeof(*t->geometry));
	t->queue_fds = calloc(dev->nr_queues, sizeof(*t->queue_fds));
	dev->queues = calloc(dev->nr_queues, sizeof(*dev->queues));
	for (uint32_t i = 0; t->queue_fds && i < dev->nr_queues; i++)
		t->queue_fds[i] = -1;
	if (!t->geometry || !t->queue_fds || !dev->queues) {
		ret = ktstr_error__set(error, ENOMEM, "virtio-mmio", dev->ops->name, NULL);
		goto out;
	}
	for (uint32_t i = 0; i < dev->nr_queues; i++)
		virtq__init(&dev->queues[i], mem, dev->queue_sizes[i]);
	ret = create_fds(t, gsi, error);
	if (ret)
		goto out;
	dev->transport = t;
	dev->negotiated = 0;
	*transport = t;
	return 0;
out:
	virtio_mmio__destroy(t);
	return ret;
}

void virtio_mmio__destroy(struct virtio_mmio *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; t->queue_fds && i < t->dev->nr_queues; i++)
		if (t->queue_fds[i] >= 0)
			close(t->queue_fds[i]);
	if (t->irq_fd >= 0)
		close(t->irq_fd);
	free(t->dev->queues);
	t->dev->queues = NULL;
	t->dev->transport = NULL;
	free(t->queue_fds);
	free(t->geometry);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

size_t virtio_mmio__state_size(const struct virtio_mmio *t)
{
	return sizeof(struct saved_header) + sizeof(struct mmio_state) +
	       t->dev->nr_queues * sizeof(struct queue_state) + t->dev->ops->state_size;
}

static int bad_state(struct virtio_mmio *t, struct ktstr_error *error)
{
	return ktstr_error__set(error, EINVAL, "load", t->dev->ops->name,
				"not a saved state of this device");
}

static int save_locked(struct virtio_mmio *t, uint8_t *p, struct ktstr_error *error)
{
	struct saved_header header = {
		.device_id = t->dev->ops->id,
		.nr_queues = t->dev->nr_queues,
		.device_state_size = t->dev->ops->state_size,
	};

	/* First: what it ends is state of the rings and of the registers. */
	if (t->dev->ops->drain)
		t->dev->ops->drain(t->dev);
	t->s.interrupt_status = atomic_load(&t->interrupt_status);
	p = (uint8_t *)mempcpy(p, &header, sizeof(header));
	p = (uint8_t *)mempcpy(p, &t->s, sizeof(t->s));
	for (uint32_t i = 0; i < t->dev->nr_queues; i++) {
		struct queue_state qs;

		memset(&qs, 0, sizeof(qs)); /* padding too: a state can be compared */
		qs.geometry = t->geometry[i];
		qs.ring = t->dev->queues[i].s;
		p = (uint8_t *)mempcpy(p, &qs, sizeof(qs));
	}
	return t->dev->ops->save ? t->dev->ops->save(t->dev, p, error) : 0;
}

int virtio_mmio__save(struct virtio_mmio *t, void *buf, size_t size, struct ktstr_error *error)
{
	int ret;

	if (size != virtio_mmio__state_size(t))
		return ktstr_error__set(error, EINVAL, "save", t->dev->ops->name, "%zu bytes",
					size);
	virtio_mmio__lock(t);
	ret = save_locked(t, buf, error);
	virtio_mmio__unlock(t);
	return ret;
}

static int load_locked(struct virtio_mmio *t, const uint8_t *p, struct ktstr_error *error)
{
	struct saved_header header;
	int ret;

	memcpy(&header, p, sizeof(header));
	p += sizeof(header);
	if (header.device_id != t->dev->ops->id || header.nr_queues != t->dev->nr_queues ||
	    header.device_state_size != t->dev->ops->state_size)
		return bad_state(t, error);
	memcpy(&t->s, p, sizeof(t->s));
	p += sizeof(t->s);
	if ((t->s.status & VIRTIO_CONFIG_S_FEATURES_OK) && !features_acceptable(t))
		return bad_state(t, error);
	t->dev->negotiated = t->s.status & VIRTIO_CONFIG_S_FEATURES_OK ? t->s.driver_features : 0;
	atomic_store(&t->interrupt_status, t->s.interrupt_status);
	for (uint32_t i = 0; i < t->dev->nr_queues; i++) {
		struct queue_state qs;

		memcpy(&qs, p, sizeof(qs));
		p += sizeof(qs);
		t->geometry[i] = qs.geometry;
		ret = virtq__load(&t->dev->queues[i], &qs.ring, error);
		if (ret)
			return ret;
	}
	if (t->dev->ops->load && t->dev->ops->load(t->dev, p))
		return bad_state(t, error);
	/* Edges and notifications that were under way when the state was saved are no part of it. */
	if (t->s.interrupt_status)
		signal_fd(t->irq_fd);
	for (uint32_t i = 0; i < t->dev->nr_queues; i++)
		virtio_mmio__kick(t, i);
	return 0;
}

int virtio_mmio__load(struct virtio_mmio *t, const void *buf, size_t size,
		      struct ktstr_error *error)
{
	int ret;

	if (size != virtio_mmio__state_size(t))
		return bad_state(t, error);
	virtio_mmio__lock(t);
	ret = load_locked(t, buf, error);
	virtio_mmio__unlock(t);
	return ret;
}
