/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Network interfaces of a machine: from their description to devices and switches, and as text:
 * "network=a,rate=100M,delay=500,queues=2,mtu=9000,mac=02:00:00:00:00:01".
 */
#ifndef KTSTR_VMM_NIC_H
#define KTSTR_VMM_NIC_H

#include <ktstr/error.h>
#include <ktstr/vm.h>

#include <stddef.h>
#include <stdio.h>

#include "virtio/net.h"

#define NIC_OPTIONS "network=NAME, rate=N[KMG], delay=US, queues=N, mtu=N, mac=M"

/*
 * Checks @nics and describes the devices: options[i], and networks[i]: which of the networks,
 * counted from 0, it is on. -EINVAL: a description that cannot be; -E2BIG: more than
 * KTSTR_MAX_NICS.
 */
int nic__describe(const struct ktstr_nic *nics, size_t nr, struct virtio_net_options *options,
		  uint32_t *networks, struct ktstr_error *error);

/*
 * Reads @text, which is changed and then belongs to *nic; "" is none. Returns NULL, or what is
 * wrong in words that live for ever.
 */
const char *nic_options__parse(char *text, struct ktstr_nic *nic);
/* Writes them so that they can be read again: nothing when all are the defaults. */
void nic_options__write(const struct ktstr_nic *nic, FILE *to);

#endif /* KTSTR_VMM_NIC_H */
