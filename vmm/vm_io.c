// SPDX-License-Identifier: GPL-2.0-only
/*
 * Serial ports, virtio console and timer of a running machine. vCPU threads only queue bytes and
 * write eventfds; everything is read and judged in the event loop.
 */
#include "vm_io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "backtrace.h"
#include "channel.h"
#include "com2.h"
#include "console_scan.h"
#include "disk.h"
#include "mutex.h"
#include "stats.h"
#include "virtio/attach.h"
#include "virtio/blk.h"
#include "virtio/console.h"
#include "virtio/mmio.h"
#include "vm.h"
#include "vm_calls.h"
#include "vm_disks.h"
#include "vm_nics.h"

#define COM1 0
#define COM2 1
#define VIRTIO_SPACING 0x1000u /* bytes of guest address space from one device to the next */

/* After a failure that the guest may still be printing: how long it may go on. */
#define GRACE_MS 1000u

/*
 * Turns of the console's queues after the last vCPU has stopped. What Linux can have sent is taken
 * in the first; a turn may kick the next one with less than a queue left.
 */
#define LAST_TURNS 8u

struct vm_io {
	enum ktstr_verdict seen_verdict; /* the one that note_progress() has acted on */
	struct console_scan scan;	 /* COM1 */
	bool scan_counted, scan_decided; /* its finding was taken over; it is the verdict */
	bool test_started, test_ended;
	uint64_t timer_ms, timer_due_ns; /* as it was set last */
	struct com2 com2;
	struct channel channel; /* port 1 */
	bool channel_decided;	/* its damage is the verdict */
	struct stats stats;	/* port 2 */
	char stats_problem[320];
	struct virtio_console *console;
	struct virtio_mmio *transport; /* the console's */
	struct virtio_mmio_wiring wiring;

	/* A device whose driver broke the rules: from any thread to the loop */
	pthread_mutex_t broken_lock;
	int broken_fd; /* eventfd */
	char broken[256];

	/* What was typed and has not all reached the guest */
	struct loop_source *terminal_source;
	uint8_t typed[1024];
	size_t typed_length, typed_sent;
};

/* ---- clock ---- */

/* A limit that the host notices so late, though it had nothing else to do, is not the guest's. */
#define LATE_NS UINT64_C(2000000000)

void vm_io__set_timer(struct vm *vm, uint64_t ms)
{
	struct itimerspec spec = {.it_value = {.tv_sec = (time_t)(ms / 1000),
					       .tv_nsec = (long)(ms % 1000) * 1000000}};

	vm->io->timer_ms = ms;
	vm->io->timer_due_ns = vm__now_ns() + ms * 1000000u;
	/* Fails only for values that can't be here. */
	(void)timerfd_settime(vm->timer_fd, 0, &spec, NULL);
}

/*
 * The process was stopped (SIGSTOP, a debugger, a host that is itself a machine and was paused)
 * when the limit passed, and the guest with it. A guest cannot bring this about: a loop that it
 * keeps busy was not waiting.
 */
static bool was_stopped(const struct vm *vm)
{
	uint64_t due = vm->io->timer_due_ns, since, until;

	loop__last_wait(vm->loop, &since, &until);
	return since <= due && until > due && until - due > LATE_NS;
}

static void on_timer(void *opaque, uint32_t events)
{
	struct vm *vm = opaque;
	uint64_t count;

	(void)events;
	if (read(vm->timer_fd, &count, sizeof(count)) < 0)
		return; /* set anew in the meantime */
	if (vm_hang__active(vm))
		vm_hang__timer(vm);
	else if (vm->outcome.verdict != KTSTR_VERDICT_NONE || vm->outcome.complete)
		vm__end(vm, VM_END_VERDICT, "the outcome was clear");
	else if (was_stopped(vm))
		vm_io__set_timer(vm, vm->io->timer_ms);
	else
		vm_hang__begin(vm, !vm->outcome.init_seen);
}

/* Until the test starts, the scheduler's own limit, which init keeps, must come before ours. */
static uint64_t limit_from_init_ms(const struct vm *vm)
{
	uint64_t s = vm->config.timeout_s;

	if (s && vm->config.scheduler)
		s += vm->config.attach_timeout_s;
	return s * 1000;
}

/* Requests have their time from the start of the test to its end, or to the end of hope. */
static void note_stats(struct vm *vm)
{
	const struct outcome *o = &vm->outcome;

	if (!vm->config.stats_interval_ms)
		return;
	if (o->last_step >= KTSTR_LIFE_TEST_ENDED || o->complete ||
	    o->verdict != KTSTR_VERDICT_NONE)
		stats__end(&vm->io->stats);
	else if (o->last_step >= KTSTR_LIFE_TEST_STARTED)
		/* what fails is in its report */
		(void)stats__start(&vm->io->stats, vm->loop, vm->config.stats_interval_ms);
}

/* Called after everything that was seen: the first word of PID 1, a failure, the end. */
static void note_progress(struct vm *vm)
{
	const struct outcome *o = &vm->outcome;
	bool hangs = vm_hang__active(vm); /* then the timer is not ours */

	if (o->init_seen && !vm->times.init_at_ns) {
		vm->times.init_at_ns = vm__now_ns();
		/* What failed before init spoke has its grace already. */
		if (vm->io->seen_verdict == KTSTR_VERDICT_NONE && !hangs)
			vm_io__set_timer(vm, limit_from_init_ms(vm));
		vm_calls__running(vm);
	}
	if (o->last_step >= KTSTR_LIFE_TEST_STARTED && !vm->io->test_started) {
		vm->io->test_started = true;
		vm_calls__test_starts(vm);
		if (vm->io->seen_verdict == KTSTR_VERDICT_NONE && !hangs)
			vm_io__set_timer(vm, (uint64_t)vm->config.timeout_s * 1000);
	}
	if (!vm->io->test_ended && (o->last_step >= KTSTR_LIFE_TEST_ENDED || o->complete)) {
		vm->io->test_ended = true;
		vm_calls__test_ends(vm);
	}
	note_stats(vm);
	if (o->have_status && !vm->times.result_at_ns)
		vm->times.result_at_ns = vm__now_ns();
	if (o->complete)
		vm__end(vm, VM_END_VERDICT, "the run is complete");
	else if (vm->io->seen_verdict != o->verdict) {
		vm->io->seen_verdict = o->verdict;
		/* A scheduler's failure is PID 1's to report and clean up; it has its time for
		 * that. */
		if (!hangs && o->verdict != KTSTR_VERDICT_SCHED_EXITED &&
		    o->verdict != KTSTR_VERDICT_SCHED_NOT_ATTACHED)
			vm_io__set_timer(vm, GRACE_MS);
	}
}

/* Takes over what the readers of the streams have found. Each finding counts once. */
static void check_channel(struct vm *vm)
{
	char report[320];

	if (!channel__broken(&vm->io->channel))
		return;
	channel__report(&vm->io->channel, report, sizeof(report));
	if (vm->outcome.verdict == KTSTR_VERDICT_NONE) {
		vm->io->channel_decided = true;
		outcome__fail(&vm->outcome, KTSTR_VERDICT_CHANNEL_BROKEN, "%s", report);
	} else if (vm->io->channel_decided) {
		/* All that is lost is known when the stream is over. */
		outcome__amend(&vm->outcome, report);
	}
}

static void check_console(struct vm *vm)
{
	const struct console_event *first = &vm->io->scan.first;

	if (first->verdict == KTSTR_VERDICT_NONE || vm->io->scan_counted)
		return;
	vm->io->scan_counted = true;
	vm->io->scan_decided = vm->outcome.verdict == KTSTR_VERDICT_NONE;
	outcome__fail(&vm->outcome, first->verdict, "%s", first->cause);
}

static void check_com2(struct vm *vm)
{
	struct outcome *o = &vm->outcome;
	const struct com2 *com2 = &vm->io->com2;

	if (com2->spoke)
		o->init_seen = true;
	if (com2->panicked)
		outcome__fail(o, KTSTR_VERDICT_INIT_DIED, "init crashed: %.*s",
			      (int)strcspn(com2->panic, "\n"), com2->panic);
	/* After that it is somebody else who says so. */
	if (com2->mount_failed && !o->port_opened)
		outcome__fail(o, KTSTR_VERDICT_NO_BOOT, "a disk could not be mounted: %s",
			      com2->mount_text);
	if (com2->sched_kind)
		outcome__com2_sched_exit(o, com2->sched_kind, com2->sched_text);
	if (com2->have_exit)
		outcome__com2_exit(o, com2->exit_code, com2->skip_reason);
}

/*
 * A result, or a disk that was not mounted, counts on COM2 only while port 1 is not open, and what
 * was sent there first may still be in its queue: COM2 is not to overtake it.
 */
static void take_port_before_exit(struct vm *vm)
{
	const struct com2 *com2 = &vm->io->com2;

	if ((!com2->have_exit && !com2->mount_failed) || vm->outcome.port_opened ||
	    vm->outcome.have_status)
		return;
	for (uint32_t q = 0; q < virtio_mmio__nr_queues(vm->io->transport); q++)
		virtio_mmio__run_queue(vm->io->transport, q);
}

/* ---- serial ports ---- */

static void on_com2_output(void *opaque, const char *data, size_t length)
{
	vm_calls__output(opaque, KTSTR_OUT, data, length);
}

static void com1_transmit(void *opaque, uint8_t byte)
{
	byte_queue__put(&((struct vm *)opaque)->com_bytes[COM1], byte);
}

static void com2_transmit(void *opaque, uint8_t byte)
{
	byte_queue__put(&((struct vm *)opaque)->com_bytes[COM2], byte);
}

/*
 * At most a queue full at a time: guests that write without end must not keep the loop from its
 * timer. What is left keeps the eventfd readable.
 */
static void on_com1(void *opaque, uint32_t events)
{
	struct vm *vm = opaque;
	uint8_t buf[4096];
	size_t n, done;

	(void)events;
	for (done = 0; done < BYTE_QUEUE_SIZE; done += n) {
		n = byte_queue__take(&vm->com_bytes[COM1], buf, sizeof(buf));
		if (!n)
			break;
		outcome_text__add(&vm->outcome.console, buf, n);
		(void)console_scan__feed(&vm->io->scan, buf, n);
		vm_calls__console(vm, (const char *)buf, n);
	}
	check_console(vm);
	note_progress(vm);
}

static void on_com2(void *opaque, uint32_t events)
{
	struct vm *vm = opaque;
	uint8_t buf[4096];
	size_t n, done;

	(void)events;
	for (done = 0; done < BYTE_QUEUE_SIZE; done += n) {
		n = byte_queue__take(&vm->com_bytes[COM2], buf, sizeof(buf));
		if (!n)
			break;
		com2__feed(&vm->io->com2, buf, n);
	}
	take_port_before_exit(vm);
	check_com2(vm);
	note_progress(vm);
}

/* ---- virtio console ---- */

static void on_frame(void *opaque, uint32_t type, uint32_t sequence, const uint8_t *payload,
		     uint32_t length)
{
	struct vm *vm = opaque;
	struct ktstr_output_payload out;

	if (outcome__frame(&vm->outcome, type, payload, length))
		return;
	vm_calls__frame(vm, type, sequence, payload, length);
	if (type != KTSTR_FRAME_OUTPUT)
		return;
	memcpy(&out, payload, sizeof(out));
	if (out.stream >= KTSTR_OUT && out.stream <= KTSTR_SCHED)
		vm_calls__output(vm, (enum ktstr_stream)out.stream,
				 (const char *)payload + sizeof(out), length - sizeof(out));
}

/* All of @iov, or what a signal or a slow reader lets through; the terminal is the caller's. */
static size_t write_terminal(int fd, const struct iovec *iov, uint32_t nr)
{
	size_t total = 0;

	for (uint32_t i = 0; i < nr; i++) {
		const uint8_t *data = iov[i].iov_base;
		size_t left = iov[i].iov_len;

		total += left;
		while (fd >= 0 && left) {
			ssize_t n = write(fd, data, left);

			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				break; /* nobody reads it any more */
			data += n;
			left -= (size_t)n;
		}
	}
	return total;
}

static size_t on_port_output(void *opaque, uint32_t port, const struct iovec *iov, uint32_t nr)
{
	struct vm *vm = opaque;
	size_t total = 0;

	if (port == KTSTR_PORT_CONSOLE)
		return write_terminal(vm->config.terminal_out, iov, nr);
	for (uint32_t i = 0; i < nr; i++) {
		total += iov[i].iov_len;
		/* Out of memory is damage, which the channel remembers. */
		if (port == KTSTR_PORT_TLV)
			(void)channel__feed(&vm->io->channel, iov[i].iov_base, iov[i].iov_len);
		else
			stats__feed(&vm->io->stats, iov[i].iov_base, iov[i].iov_len);
	}
	if (port == KTSTR_PORT_TLV) {
		check_channel(vm);
		note_progress(vm);
	}
	return total;
}

static size_t send_to_pipe(void *opaque, const char *data, size_t length)
{
	struct vm *vm = opaque;

	return virtio_console__input(vm->io->console, KTSTR_PORT_PIPE, data, length);
}

static void on_terminal_input(void *opaque, uint32_t events)
{
	struct vm *vm = opaque;
	struct vm_io *io = vm->io;
	ssize_t n;

	(void)events;
	n = read(vm->config.terminal_in, io->typed, sizeof(io->typed));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		loop__remove(io->terminal_source);
		io->terminal_source = NULL;
		return;
	}
	io->typed_length = (size_t)n;
	io->typed_sent =
		virtio_console__input(io->console, KTSTR_PORT_CONSOLE, io->typed, io->typed_length);
	/*
	 * The guest is slow: no more is read until there is room. Out of the loop altogether, as a
	 * hang-up is reported whatever the events asked for.
	 */
	if (io->typed_sent < io->typed_length) {
		loop__remove(io->terminal_source);
		io->terminal_source = NULL;
	}
}

static void on_port_writable(void *opaque, uint32_t port)
{
	struct vm *vm = opaque;
	struct vm_io *io = vm->io;

	if (port != KTSTR_PORT_CONSOLE || io->typed_sent == io->typed_length)
		return;
	io->typed_sent += virtio_console__input(io->console, port, io->typed + io->typed_sent,
						io->typed_length - io->typed_sent);
	/* Out of memory ends the input, as the end of the terminal does. */
	if (io->typed_sent == io->typed_length)
		(void)loop__add(vm->loop, vm->config.terminal_in, EPOLLIN, on_terminal_input, vm,
				&io->terminal_source);
}

static int assign_notify(void *opaque, uint64_t gpa, uint32_t datamatch, int eventfd)
{
	struct vm *vm = opaque;
	struct kvm_ioeventfd ioeventfd = {
		.addr = gpa,
		.len = sizeof(datamatch),
		.datamatch = datamatch,
		.fd = eventfd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};

	return ioctl(vm->vm_fd, KVM_IOEVENTFD, &ioeventfd) < 0 ? -errno : 0;
}

static int assign_irq(void *opaque, uint32_t gsi, int eventfd)
{
	struct vm *vm = opaque;

	return vm->arch->connect_irq(vm, gsi, eventfd, NULL);
}

/* From any thread, with the device's lock held: the loop reports it. */
static void on_broken(void *opaque, const char *device, const struct ktstr_error *error)
{
	struct vm *vm = opaque;
	uint64_t one = 1;

	pthread_mutex_lock(&vm->io->broken_lock);
	if (!vm->io->broken[0])
		snprintf(vm->io->broken, sizeof(vm->io->broken), "%.32s: %.200s", device,
			 error->reason[0] ? error->reason : strerror(error->err));
	pthread_mutex_unlock(&vm->io->broken_lock);
	if (write(vm->io->broken_fd, &one, sizeof(one)) < 0)
		return; /* already signalled */
}

static void on_broken_event(void *opaque, uint32_t events)
{
	struct vm *vm = opaque;
	uint64_t count;

	(void)events;
	if (read(vm->io->broken_fd, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&vm->io->broken_lock);
	outcome__fail(&vm->outcome, KTSTR_VERDICT_CHANNEL_BROKEN,
		      "the guest's driver broke the rules of %s", vm->io->broken);
	pthread_mutex_unlock(&vm->io->broken_lock);
	note_progress(vm);
}

/* ---- life ---- */

static void on_cancel(void *opaque, uint32_t events)
{
	(void)events;
	vm__end(opaque, VM_END_CANCELLED, "stopped by the caller");
}

static int create_serial(struct vm *vm, int n, void (*transmit)(void *, uint8_t),
			 struct ktstr_error *error)
{
	static const char *const names[] = {"com1", "com2"};
	struct serial_ops ops = {.transmit = transmit, .opaque = vm};
	int err = byte_queue__init(&vm->com_bytes[n]);

	if (err)
		return ktstr_error__set(error, -err, "eventfd", names[n], NULL);
	vm->com_irq[n] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vm->com_irq[n] < 0)
		return ktstr_error__set(error, errno, "eventfd", names[n], NULL);
	serial__init(&vm->com[n], &ops, vm->com_irq[n]);
	err = vm->arch->connect_irq(vm, vm->arch->serial_gsi[n], vm->com_irq[n], error);
	return err ? err
		   : bus__add(&vm->bus, vm->arch->serial_space, vm->arch->serial_base[n],
			      SERIAL_PORTS, names[n], &serial_bus_ops, &vm->com[n], error);
}

int vm_io__add_virtio(struct vm *vm, struct virtio_device *dev, const char *name, struct loop *loop,
		      struct ktstr_error *error)
{
	struct vm_virtio *v = &vm->virtio[vm->nr_virtio];
	int err;

	if (vm->nr_virtio == VM_MAX_VIRTIO)
		return ktstr_error__set(error, ENOSPC, "add", name, "too many virtio devices");
	v->gpa = vm->arch->virtio_base + (uint64_t)vm->nr_virtio * VIRTIO_SPACING;
	v->size = VIRTIO_MMIO_SIZE;
	v->gsi = vm->arch->virtio_gsi[vm->nr_virtio];
	err = virtio_mmio__create(dev, &vm->mem, v->gpa, v->gsi, &vm->io->wiring, &v->transport,
				  error);
	if (err)
		return err;
	vm->nr_virtio++;
	return virtio_attachment__create(v->transport, v->gpa, &vm->bus, loop, &v->attachment,
					 error);
}

int vm_io__add_disk(struct vm *vm, const struct ktstr_disk *disk, int fd, struct ktstr_error *error)
{
	const char *name = disk->path ? disk->path : disk->fs;
	struct virtio_blk_options options;
	int err;

	if (vm->nr_disks == VM_MAX_DISKS) {
		if (fd >= 0)
			close(fd);
		return ktstr_error__set(error, ENOSPC, "add", name, "too many disks");
	}
	err = fd < 0 ? disk__open(disk, vm->nr_disks, &options, error)
		     : disk__of_file(disk, vm->nr_disks, fd, &options, error);
	if (err)
		return err;
	err = virtio_blk__create(&options, &vm->disks[vm->nr_disks], error);
	if (err)
		return err;
	vm->nr_disks++;
	return vm_io__add_virtio(vm, virtio_blk__device(vm->disks[vm->nr_disks - 1]), name,
				 virtio_blk__loop(vm->disks[vm->nr_disks - 1]), error);
}

int vm_io__create(struct vm *vm, struct ktstr_error *error)
{
	struct virtio_console_callbacks callbacks = {
		.opaque = vm,
		.port_output = on_port_output,
		.port_writable = on_port_writable,
	};
	struct vm_io *io = calloc(1, sizeof(*io));
	int err;

	if (!io)
		return ktstr_error__set(error, ENOMEM, "allocate", "devices", NULL);
	vm->io = io;
	io->wiring = (struct virtio_mmio_wiring){.opaque = vm,
						 .assign_notify = assign_notify,
						 .assign_irq = assign_irq,
						 .broken = on_broken};
	mutex__init(&io->broken_lock, PTHREAD_MUTEX_NORMAL);
	io->broken_fd = -1;
	channel__init(&io->channel, on_frame, vm);
	stats__init(&io->stats, &(struct stats_ops){.opaque = vm,
						    .send = send_to_pipe,
						    .response = vm_calls__response,
						    .response_opaque = vm});
	console_scan__init(&io->scan);
	if (com2__init(&io->com2, on_com2_output, vm))
		return ktstr_error__set(error, ENOMEM, "allocate", "devices", NULL);
	io->broken_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (io->broken_fd < 0)
		return ktstr_error__set(error, errno, "eventfd", "virtio", NULL);
	err = create_serial(vm, COM1, com1_transmit, error);
	if (!err)
		err = create_serial(vm, COM2, com2_transmit, error);
	if (!err)
		err = virtio_console__create(&callbacks, &io->console, error);
	if (err)
		return err;
	err = vm_io__add_virtio(vm, virtio_console__device(io->console), "virtio-console", vm->loop,
				error);
	io->transport = vm->virtio[0].transport;
	if (!err && vm->config.terminal_columns)
		virtio_console__set_size(io->console, (uint16_t)vm->config.terminal_columns,
					 (uint16_t)vm->config.terminal_rows);
	if (!err)
		err = vm_disks__create(vm, error);
	return err ? err : vm_nics__create(vm, error);
}

static int watch(struct vm *vm, int fd, loop_fn fn, void *opaque, struct loop_source **source)
{
	return loop__add(vm->loop, fd, EPOLLIN, fn, opaque, source);
}

int vm_io__start(struct vm *vm, struct ktstr_error *error)
{
	int err;

	vm->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (vm->timer_fd < 0)
		return ktstr_error__set(error, errno, "timerfd_create", "VM", NULL);
	err = watch(vm, vm->timer_fd, on_timer, vm, NULL);
	if (!err)
		err = watch(vm, vm->com_bytes[COM1].fd, on_com1, vm, NULL);
	if (!err)
		err = watch(vm, vm->com_bytes[COM2].fd, on_com2, vm, NULL);
	if (!err)
		err = watch(vm, vm->io->broken_fd, on_broken_event, vm, NULL);
	if (!err && vm->config.cancel_fd >= 0)
		err = watch(vm, vm->config.cancel_fd, on_cancel, vm, NULL);
	if (!err && vm->config.terminal_in >= 0)
		err = watch(vm, vm->config.terminal_in, on_terminal_input, vm,
			    &vm->io->terminal_source);
	if (err)
		return ktstr_error__set(error, -err, "epoll_ctl", "VM", NULL);
	for (uint32_t i = 0; i < vm->nr_disks && !err; i++)
		err = virtio_blk__start(vm->disks[i], vm->sandbox, error);
	if (!err)
		err = vm_nics__start(vm, error);
	if (err)
		return err;
	vm_io__set_timer(vm, (uint64_t)vm->config.boot_timeout_s * 1000);
	return 0;
}

/* What the guest sent last. A ring can refer to the same memory so often that this had no end. */
static void run_last_turns(struct vm *vm)
{
	for (uint32_t i = 0; i < LAST_TURNS; i++)
		if (!virtio_mmio__run_turn(vm->io->transport))
			return;
	outcome__fail(&vm->outcome, KTSTR_VERDICT_CHANNEL_BROKEN,
		      "the guest left more behind on the virtio console than its queues can hold");
}

void vm_io__drain(struct vm *vm)
{
	struct vm_io *io = vm->io;

	for (uint32_t i = 0; i < vm->nr_disks; i++)
		virtio_blk__stop(vm->disks[i]);
	vm_nics__stop(vm);
	run_last_turns(vm);
	on_com1(vm, EPOLLIN);
	on_com2(vm, EPOLLIN);
	on_broken_event(vm, EPOLLIN);
	(void)console_scan__end(&io->scan);
	com2__end(&io->com2);
	channel__end(&io->channel);
	check_console(vm);
	check_com2(vm);
	check_channel(vm);
	/* The place of an oops comes lines after the oops itself. */
	if (io->scan_decided)
		outcome__amend(&vm->outcome, io->scan.first.cause);
	outcome_text__add(&vm->outcome.com2, io->com2.log, io->com2.log_length);
	note_progress(vm);
}

void vm_io__resolve(struct vm *vm)
{
	if (vm->io->com2.panicked)
		vm->backtrace = backtrace__resolve(vm->io->com2.panic, vm->init_path);
}

bool vm_io__kernel_trouble(const struct vm *vm)
{
	return vm->io->scan.first.verdict != KTSTR_VERDICT_NONE;
}

const char *vm_io__console_trouble(const struct vm *vm)
{
	const struct console_event *first = &vm->io->scan.first;
	const struct outcome_text *console = &vm->outcome.console;
	uint64_t at = first->position - console->dropped;

	if (first->verdict == KTSTR_VERDICT_NONE || first->position < console->dropped ||
	    at >= console->length)
		return NULL;
	return console->data + at;
}

void vm_io__stats_result(const struct vm *vm, struct ktstr_result *result)
{
	struct vm_io *io = vm->io;
	char *problem = io->stats_problem;
	size_t size = sizeof(io->stats_problem);

	if (!vm->config.stats_interval_ms)
		return;
	result->stats_responses = io->stats.responses;
	if (!io->stats.requests && result->by_com2)
		snprintf(problem, size, "not asked for: the virtio console is not there");
	else if (!io->stats.requests && vm->outcome.last_step >= KTSTR_LIFE_TEST_ENDED)
		snprintf(problem, size, "not asked for: the test was over at once");
	else
		stats__report(&io->stats, problem, size);
	if (problem[0])
		result->stats_problem = problem;
}

void vm_io__destroy(struct vm *vm)
{
	struct vm_io *io = vm->io;

	if (!io)
		return;
	for (uint32_t i = 0; i < vm->nr_disks; i++)
		virtio_blk__stop(vm->disks[i]);
	vm_nics__stop(vm);
	for (uint32_t i = 0; i < vm->nr_virtio; i++) {
		virtio_attachment__destroy(vm->virtio[i].attachment);
		virtio_mmio__destroy(vm->virtio[i].transport);
	}
	for (uint32_t i = 0; i < vm->nr_disks; i++)
		virtio_blk__destroy(vm->disks[i]);
	vm->nr_disks = 0;
	vm_nics__destroy(vm);
	virtio_console__destroy(io->console);
	channel__destroy(&io->channel);
	stats__destroy(&io->stats);
	com2__destroy(&io->com2);
	for (int n = 0; n < 2; n++) {
		byte_queue__fini(&vm->com_bytes[n]);
		if (vm->com_irq[n] >= 0)
			close(vm->com_irq[n]);
	}
	if (io->broken_fd >= 0)
		close(io->broken_fd);
	free(io);
	vm->io = NULL;
}
