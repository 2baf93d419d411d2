// SPDX-License-Identifier: GPL-2.0-only
/* The network interfaces of a machine, and the switches that they are on. */
#include "vm_nics.h"

#include "nic.h"
#include "virtio/net.h"
#include "vm.h"
#include "vm_io.h"

static int create_nic(struct vm *vm, const struct virtio_net_options *options, uint32_t network,
		      struct ktstr_error *error)
{
	struct net_switch **sw = &vm->networks[network];
	struct virtio_net **nic = &vm->nics[vm->nr_nics];
	int err = *sw ? 0 : net_switch__create(sw, error);

	if (!err)
		err = virtio_net__create(options, *sw, nic, error);
	if (err)
		return err;
	vm->nr_nics++;
	return vm_io__add_virtio(vm, virtio_net__device(*nic), "virtio-net", net_switch__loop(*sw),
				 error);
}

int vm_nics__create(struct vm *vm, struct ktstr_error *error)
{
	struct virtio_net_options options[KTSTR_MAX_NICS];
	uint32_t networks[KTSTR_MAX_NICS];
	int err = nic__describe(vm->config.nics, vm->config.nr_nics, options, networks, error);

	for (size_t i = 0; i < vm->config.nr_nics && !err; i++)
		err = create_nic(vm, &options[i], networks[i], error);
	return err;
}

int vm_nics__start(struct vm *vm, struct ktstr_error *error)
{
	int err = 0;

	for (uint32_t i = 0; i < KTSTR_MAX_NICS && vm->networks[i] && !err; i++)
		err = net_switch__start(vm->networks[i], vm->sandbox, error);
	return err;
}

void vm_nics__stop(struct vm *vm)
{
	for (uint32_t i = 0; i < KTSTR_MAX_NICS && vm->networks[i]; i++)
		net_switch__stop(vm->networks[i]);
	for (uint32_t i = 0; i < vm->nr_nics; i++)
		vm->nic_counts[i] = *virtio_net__counts(vm->nics[i]);
}

void vm_nics__destroy(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->nr_nics; i++)
		virtio_net__destroy(vm->nics[i]);
	vm->nr_nics = 0;
	for (uint32_t i = 0; i < KTSTR_MAX_NICS; i++) {
		net_switch__destroy(vm->networks[i]);
		vm->networks[i] = NULL;
	}
}
