// SPDX-License-Identifier: GPL-2.0-only
/* The event loop's calls, carried over to the thread that waits for the machine. */
#include "vm_calls.h"

#include "host_use.h"
#include "vm.h"

struct text_call {
	ktstr_output_fn fn;
	void *opaque;
	enum ktstr_stream stream;
	const char *data;
	size_t length;
};

static void call_text(void *opaque)
{
	const struct text_call *c = opaque;

	c->fn(c->opaque, c->stream, c->data, c->length);
}

void vm_calls__output(struct vm *vm, enum ktstr_stream stream, const char *data, size_t length)
{
	struct text_call call = {vm->config.output, vm->config.output_opaque, stream, data, length};

	if (call.fn)
		caller__call(&vm->caller, call_text, &call);
}

void vm_calls__console(struct vm *vm, const char *data, size_t length)
{
	struct text_call call = {vm->config.console, vm->config.console_opaque, KTSTR_OUT, data,
				 length};

	if (call.fn)
		caller__call(&vm->caller, call_text, &call);
}

struct frame_call {
	const struct ktstr_vm_config *config;
	uint32_t type, sequence, length;
	const uint8_t *payload;
};

static void call_frame(void *opaque)
{
	const struct frame_call *c = opaque;

	c->config->frame(c->config->frame_opaque, c->type, c->sequence, c->payload, c->length);
}

void vm_calls__frame(struct vm *vm, uint32_t type, uint32_t sequence, const uint8_t *payload,
		     uint32_t length)
{
	struct frame_call call = {&vm->config, type, sequence, length, payload};

	if (vm->config.frame)
		caller__call(&vm->caller, call_frame, &call);
}

struct response_call {
	const struct ktstr_vm_config *config;
	uint64_t at_ms;
	const char *json;
	size_t length;
};

static void call_response(void *opaque)
{
	const struct response_call *c = opaque;

	c->config->stats(c->config->stats_opaque, c->at_ms, c->json, c->length);
}

void vm_calls__response(void *opaque, uint64_t at_ms, const char *json, size_t length)
{
	struct vm *vm = opaque;
	struct response_call call = {&vm->config, at_ms, json, length};

	if (vm->config.stats)
		caller__call(&vm->caller, call_response, &call);
}

static void call_running(void *opaque)
{
	const struct vm *vm = opaque;

	vm->config.progress(vm->config.progress_opaque, "running");
}

void vm_calls__running(struct vm *vm)
{
	if (vm->config.progress)
		caller__call(&vm->caller, call_running, vm);
}

static void call_test_starts(void *opaque)
{
	host_use__test_starts(((struct vm *)opaque)->host_use);
}

void vm_calls__test_starts(struct vm *vm)
{
	caller__call(&vm->caller, call_test_starts, vm);
}

static void call_test_ends(void *opaque)
{
	host_use__test_ends(((struct vm *)opaque)->host_use);
}

void vm_calls__test_ends(struct vm *vm)
{
	caller__call(&vm->caller, call_test_ends, vm);
}
