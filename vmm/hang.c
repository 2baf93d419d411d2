// SPDX-License-Identifier: GPL-2.0-only
/* Looks at the vCPUs of a machine that hangs, and makes its kernel print a backtrace. */
#include "hang.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "symbols.h"
#include "vm.h"
#include "vm_io.h"

/* vCPUs stop at once; one that waits for the event loop needs a turn of it. */
#define STOP_MS 1000u
/* For the panic's text, after the first NMI and after the others: a byte may cost 60 us. */
#define FIRST_GRACE_MS 1000u
#define LAST_GRACE_MS 1000u
/* Of the cause line: some CPUs, and how many more there are. */
#define SUMMARY_MAX 256u
#define SUMMARY_REST 24u /* bytes for ", and 4294967295 more" */

/* Of the text: so many words of so many stacks. */
#define STACK_SHOWN 16u
#define STACKS_SHOWN 8u

/* ---- Words ---- */

static void describe(const struct vm *vm, uint32_t i, const struct symbols *symbols,
		     uint64_t offset, char *buf, size_t size)
{
	const struct vcpu_place *p = &vm->hang.places[i];
	bool module = p->pc >= vm->arch->modules_start && p->pc < vm->arch->modules_end;
	char place[SYMBOLS_PLACE_MAX];
	uint64_t unused;

	/* Shown as it is where there is no name. */
	if (symbols && symbols__at(symbols, p->pc - offset, &unused))
		symbols__place(symbols, p->pc - offset, place, sizeof(place));
	else
		snprintf(place, sizeof(place), "0x%llx%s", (unsigned long long)p->pc,
			 module ? " (a module or BPF)" : "");
	if (p->state == VCPU_UNKNOWN)
		snprintf(buf, size, "vCPU %u unknown", i);
	else if (p->state == VCPU_NOT_STARTED)
		snprintf(buf, size, "vCPU %u not started", i);
	else if (p->user)
		snprintf(buf, size, "vCPU %u in user space at 0x%llx", i,
			 (unsigned long long)p->pc);
	else
		snprintf(buf, size, "vCPU %u %sat %s", i, p->state == VCPU_HALTED ? "halted " : "",
			 place);
}

/* The first few, those that do something before those that wait. */
static void summarize(const struct vm *vm, const struct symbols *symbols, uint64_t offset,
		      char buf[SUMMARY_MAX])
{
	uint32_t shown = 0;
	size_t used = 0;

	buf[0] = '\0';
	for (int waiting = 0; waiting < 2; waiting++) {
		for (uint32_t i = 0; i < vm->nr_vcpus; i++) {
			char text[SYMBOLS_PLACE_MAX + 64];
			size_t length;

			if ((vm->hang.places[i].state != VCPU_RUNNING) != waiting)
				continue;
			describe(vm, i, symbols, offset, text, sizeof(text));
			length = strlen(text) + (used ? 2 : 0);
			if (length >= SUMMARY_MAX - SUMMARY_REST - used)
				goto full;
			used += (size_t)snprintf(buf + used, SUMMARY_MAX - used, "%s%s",
						 used ? ", " : "", text);
			shown++;
		}
	}
full:
	if (shown < vm->nr_vcpus)
		snprintf(buf + used, SUMMARY_MAX - used, "%s%u more", used ? ", and " : "",
			 vm->nr_vcpus - shown);
}

static void write_cause(const struct vm *vm, const struct symbols *symbols, uint64_t offset,
			char *buf, size_t size)
{
	char where[SUMMARY_MAX];

	summarize(vm, symbols, offset, where);
	if (vm->hang.boot)
		snprintf(buf, size, "no init after %u s; %s", vm->config.boot_timeout_s, where);
	else
		snprintf(buf, size, "no end after %u s, during %s; %s", vm->config.timeout_s,
			 outcome__step_name(vm->hang.step), where);
}

/* ---- What is seen ---- */

/* All vCPUs are stopped. Names come later: loading them takes time, and the guest's clock runs. */
static void record(struct vm *vm)
{
	struct vm_hang *hang = &vm->hang;
	char cause[OUTCOME_CAUSE_MAX];

	for (uint32_t i = 0; i < vm->nr_vcpus; i++)
		vm->arch->inspect(vm, &vm->vcpus[i], &hang->places[i]);
	hang->step = vm->outcome.last_step;
	hang->recorded = true;
	hang->decided = vm->outcome.verdict == KTSTR_VERDICT_NONE;
	write_cause(vm, NULL, 0, cause, sizeof(cause));
	outcome__fail(&vm->outcome, hang->boot ? KTSTR_VERDICT_NO_BOOT : KTSTR_VERDICT_TIMEOUT,
		      "%s", cause);
}

/*
 * Which vCPU gets the NMI first: a panic prints the backtrace of the CPU that panics and stops all
 * others, so of several NMIs at once an idle CPU could win and tell nothing. That is the first one
 * that runs kernel code, else the first that runs at all, else the first that is halted. One that
 * was not started would wait for its start no longer, but spin in KVM_RUN, and gets none.
 */
static bool choose_first(struct vm *vm)
{
	uint32_t best = 0;

	for (uint32_t i = 0; i < vm->nr_vcpus; i++) {
		const struct vcpu_place *p = &vm->hang.places[i];
		uint32_t value =
			p->state == VCPU_RUNNING ? (p->user ? 2 : 3) : p->state == VCPU_HALTED;

		if (value > best) {
			best = value;
			vm->hang.first = i;
		}
	}
	return best;
}

static uint64_t console_bytes(const struct vm *vm)
{
	return vm->outcome.console.length + vm->outcome.console.dropped;
}

static void end_it(struct vm *vm)
{
	if (vm->hang.boot)
		vm__end(vm, VM_END_BOOT_TIMEOUT, "boot took too long");
	else
		vm__end(vm, VM_END_TIMEOUT, "the run took too long");
}

static void go_on(struct vm *vm, enum hang_stage stage, uint32_t grace_ms)
{
	vm->hang.stage = stage;
	vm_pause__end(vm);
	vm_io__set_timer(vm, grace_ms);
}

static void look(struct vm *vm)
{
	/* What was on its way when the time was over is the cause, and has its grace. */
	if (vm->outcome.verdict != KTSTR_VERDICT_NONE || vm->outcome.complete) {
		go_on(vm, HANG_LAST, LAST_GRACE_MS);
		return;
	}
	record(vm);
	vm->hang.console = console_bytes(vm);
	/* init sets unknown_nmi_panic: before that, a kernel says that it is dazed and no more. */
	if (vm->hang.boot || !choose_first(vm) || vm->arch->send_nmi(&vm->vcpus[vm->hang.first]))
		end_it(vm);
	else
		go_on(vm, HANG_FIRST, FIRST_GRACE_MS);
}

/* The first vCPU cannot take NMIs, or does not get to print. */
static void look_again(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->nr_vcpus; i++)
		if (i != vm->hang.first && vm->hang.places[i].state >= VCPU_HALTED)
			(void)vm->arch->send_nmi(&vm->vcpus[i]);
	go_on(vm, HANG_LAST, LAST_GRACE_MS);
}

static void on_stopped(void *opaque, uint32_t events)
{
	struct vm *vm = opaque;
	uint64_t count;

	(void)events;
	if (read(vm->pause.fd, &count, sizeof(count)) < 0)
		return;
	if (vm->hang.stage == HANG_LOOK)
		look(vm);
	else if (vm->hang.stage == HANG_LOOK_AGAIN)
		look_again(vm);
}

/* ---- Life ---- */

int vm_hang__create(struct vm *vm, struct ktstr_error *error)
{
	int err = vm_pause__create(&vm->pause);

	if (err)
		return ktstr_error__set(error, -err, "eventfd", "vCPUs", NULL);
	vm->hang.places = calloc(vm->layout.nr_cpus, sizeof(*vm->hang.places));
	return vm->hang.places ? 0 : ktstr_error__set(error, ENOMEM, "allocate", "vCPUs", NULL);
}

void vm_hang__destroy(struct vm *vm)
{
	vm_pause__destroy(&vm->pause);
	free(vm->hang.places);
	free(vm->hang.text);
}

int vm_hang__start(struct vm *vm, struct ktstr_error *error)
{
	int err = loop__add(vm->loop, vm->pause.fd, EPOLLIN, on_stopped, vm, NULL);

	return err ? ktstr_error__set(error, -err, "epoll_ctl", "vCPUs", NULL) : 0;
}

bool vm_hang__active(const struct vm *vm)
{
	return vm->hang.stage != HANG_NONE;
}

void vm_hang__begin(struct vm *vm, bool boot)
{
	vm->hang.boot = boot;
	vm->hang.stage = HANG_LOOK;
	vm_io__set_timer(vm, STOP_MS);
	vm_pause__begin(vm);
}

void vm_hang__timer(struct vm *vm)
{
	if (vm->hang.stage != HANG_FIRST) {
		end_it(vm);
	} else if (console_bytes(vm) != vm->hang.console || vm->nr_vcpus == 1) {
		vm->hang.stage = HANG_LAST;
		vm_io__set_timer(vm, LAST_GRACE_MS);
	} else {
		vm->hang.stage = HANG_LOOK_AGAIN;
		vm_io__set_timer(vm, STOP_MS);
		vm_pause__begin(vm);
	}
}

/* ---- Names ---- */

/* The first table that agrees with where the kernel's entry points are; NULL: none does. */
static struct symbols *load_symbols(const struct vm *vm, uint64_t *offset)
{
	struct symbols *symbols;
	int err = 0;

	for (unsigned int source = 0; err != -ENODATA; source++) {
		err = symbols__of_kernel(&vm->kernel, source, &symbols);
		if (err)
			continue;
		for (uint32_t i = 0; i < vm->nr_vcpus; i++)
			if (vm->arch->kernel_offset(&vm->hang.places[i], symbols, offset))
				return symbols;
		symbols__destroy(symbols);
	}
	return NULL;
}

/*
 * What called what, as far as the stack tells: every word that points into the kernel's code behind
 * the begin of a function. Some are left over from earlier calls, hence the kernel's own "?".
 */
static void write_stack(FILE *f, const struct vcpu_place *p, const struct symbols *symbols,
			uint64_t offset)
{
	uint64_t begin, end, distance;
	char place[SYMBOLS_PLACE_MAX];
	uint32_t shown = 0;

	if (!symbols || !symbols__find(symbols, "_stext", &begin) ||
	    !symbols__find(symbols, "_etext", &end))
		return;
	for (uint32_t i = 0; i < p->nr_stack && shown < STACK_SHOWN; i++) {
		uint64_t address = p->stack[i] - offset;

		if (address < begin || address >= end ||
		    !symbols__at(symbols, address, &distance) || !distance)
			continue;
		symbols__place(symbols, address, place, sizeof(place));
		fprintf(f, "  ? %s\n", place);
		shown++;
	}
}

static char *write_all(const struct vm *vm, const struct symbols *symbols, uint64_t offset)
{
	char *text = NULL, line[SYMBOLS_PLACE_MAX + 64];
	uint32_t stacks = 0;
	size_t length;
	FILE *f = open_memstream(&text, &length);

	if (!f)
		return NULL;
	for (uint32_t i = 0; i < vm->nr_vcpus; i++) {
		describe(vm, i, symbols, offset, line, sizeof(line));
		fprintf(f, "%s\n", line);
		if (vm->hang.places[i].state >= VCPU_HALTED && stacks++ < STACKS_SHOWN)
			write_stack(f, &vm->hang.places[i], symbols, offset);
	}
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

void vm_hang__finish(struct vm *vm)
{
	enum vm_end end = (enum vm_end)atomic_load(&vm->end);
	char cause[OUTCOME_CAUSE_MAX];
	struct symbols *symbols;
	uint64_t offset = 0;

	if (!vm_hang__active(vm))
		return;
	/*
	 * The vCPUs did not stop in time for a look, but have stopped by now. A machine that ended
	 * in the meantime, by EXIT, a reset or a fault of KVM, did not hang.
	 */
	if (!vm->hang.recorded && !vm->outcome.complete &&
	    vm->outcome.verdict == KTSTR_VERDICT_NONE &&
	    (end == VM_END_TIMEOUT || end == VM_END_BOOT_TIMEOUT))
		record(vm);
	if (!vm->hang.recorded)
		return;
	symbols = load_symbols(vm, &offset);
	vm->hang.text = write_all(vm, symbols, offset);
	if (vm->hang.decided) {
		write_cause(vm, symbols, offset, cause, sizeof(cause));
		outcome__amend(&vm->outcome, cause);
	}
	symbols__destroy(symbols);
}
