// SPDX-License-Identifier: GPL-2.0-only
/* Network interfaces of a machine, and their settings as text. */
#include "nic.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_US UINT64_C(1000)
#define NAME_MAX_BYTES 32u
#define MAC_BYTES VIRTIO_NET_MAC_BYTES

/* Locally administered, and "ktst" (IEEE 802 §8.4). The last byte is the place in the list. */
static const uint8_t own_mac[MAC_BYTES] = {0x02, 'k', 't', 's', 't', 0};
static const uint8_t no_mac[MAC_BYTES];

static bool is_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-.";
	size_t length = strlen(name);

	return length && length <= NAME_MAX_BYTES && strspn(name, allowed) == length;
}

static int refuse(uint32_t index, const char *why, struct ktstr_error *error)
{
	char name[24];

	snprintf(name, sizeof(name), "number %u", index);
	return ktstr_error__set(error, EINVAL, "NIC", name, "%s", why);
}

static int describe(const struct ktstr_nic *nic, uint32_t index, struct virtio_net_options *options,
		    struct ktstr_error *error)
{
	*options = (struct virtio_net_options){
		.pairs = nic->queues ? nic->queues : 1,
		.rate_bps = nic->rate_bps,
		.mtu = nic->mtu,
	};
	if (nic->network && !is_name(nic->network))
		return refuse(index,
			      "the network's name has other than letters, digits, _, - and "
			      "., or not 1 to 32 of them",
			      error);
	if (options->pairs > VIRTIO_NET_MAX_PAIRS)
		return refuse(index, "more than 16 pairs of queues", error);
	if (nic->delay_us > VIRTIO_NET_MAX_DELAY_NS / NS_PER_US)
		return refuse(index, "a delay of more than 60 s", error);
	options->delay_ns = nic->delay_us * NS_PER_US;
	if (nic->mtu > VIRTIO_NET_MAX_MTU || (nic->mtu && nic->mtu < VIRTIO_NET_MIN_MTU))
		return refuse(index, "an MTU of other than 68 to 65535 bytes", error);
	if (nic->mac[0] & 1)
		return refuse(index, "the address is that of a group", error);
	memcpy(options->mac, nic->mac, MAC_BYTES);
	if (!memcmp(nic->mac, no_mac, MAC_BYTES)) {
		memcpy(options->mac, own_mac, MAC_BYTES);
		options->mac[MAC_BYTES - 1] = (uint8_t)index;
	}
	return 0;
}

/* The network of the first one before @i that is on the same; @nr: there is none. */
static uint32_t find_network(const struct ktstr_nic *nics, const uint32_t *networks, size_t i,
			     uint32_t nr)
{
	for (size_t j = 0; nics[i].network && j < i; j++)
		if (nics[j].network && !strcmp(nics[i].network, nics[j].network))
			return networks[j];
	return nr;
}

int nic__describe(const struct ktstr_nic *nics, size_t nr, struct virtio_net_options *options,
		  uint32_t *networks, struct ktstr_error *error)
{
	uint32_t nr_networks = 0;

	if (nr > KTSTR_MAX_NICS)
		return ktstr_error__set(error, E2BIG, "struct ktstr_vm_config", "nr_nics",
					"%zu, at most %u", nr, KTSTR_MAX_NICS);
	for (size_t i = 0; i < nr; i++) {
		int err = describe(&nics[i], (uint32_t)i, &options[i], error);

		if (err)
			return err;
		networks[i] = find_network(nics, networks, i, nr_networks);
		nr_networks += networks[i] == nr_networks;
		for (size_t j = 0; j < i; j++)
			if (networks[i] == networks[j] &&
			    !memcmp(options[i].mac, options[j].mac, MAC_BYTES))
				return refuse((uint32_t)i,
					      "the address is that of another on its network",
					      error);
	}
	return 0;
}

/* ---- As text ---- */

/* A number from @min on, and after it one of @units, of which each is a thousand of the last. */
static bool read_number(const char *text, const char *units, uint64_t min, uint64_t *to)
{
	unsigned long long n;
	const char *unit;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || n < min)
		return false;
	unit = *end ? strchr(units, *end) : NULL;
	if (*end && (!unit || end[1]))
		return false;
	*to = n;
	for (; unit && unit >= units; unit--)
		if (__builtin_mul_overflow(*to, 1000, to))
			return false;
	return true;
}

static bool read_mac(const char *text, uint8_t *mac)
{
	for (uint32_t i = 0; i < MAC_BYTES; i++) {
		static const char digits[] = "0123456789abcdef0123456789ABCDEF";
		const char *high = text[0] ? strchr(digits, text[0]) : NULL;
		const char *low = high && text[1] ? strchr(digits, text[1]) : NULL;

		if (!low || text[2] != (i + 1 < MAC_BYTES ? ':' : '\0'))
			return false;
		mac[i] = (uint8_t)((high - digits) % 16 << 4 | (low - digits) % 16);
		text += 3;
	}
	return !(mac[0] & 1) && memcmp(mac, no_mac, MAC_BYTES) != 0;
}

static const char *read_option(char *name, struct ktstr_nic *nic)
{
	char *value = strchr(name, '=');
	uint64_t number;

	if (!value)
		return "takes " NIC_OPTIONS;
	*value++ = '\0';
	if (!strcmp(name, "network")) {
		nic->network = value;
		return is_name(value) ? NULL
				      : "network=NAME takes 1 to 32 letters, digits, _, - and .";
	}
	if (!strcmp(name, "rate"))
		return read_number(value, "KMG", 1, &nic->rate_bps)
			       ? NULL
			       : "rate=N[KMG] takes bits a second, from 1 on";
	if (!strcmp(name, "delay"))
		return read_number(value, "", 0, &nic->delay_us) &&
				       nic->delay_us <= VIRTIO_NET_MAX_DELAY_NS / NS_PER_US
			       ? NULL
			       : "delay=US takes microseconds, up to 60000000";
	if (!strcmp(name, "mac"))
		return read_mac(value, nic->mac)
			       ? NULL
			       : "mac=M takes an address of one station, as 02:00:00:00:00:01";
	if (!strcmp(name, "mtu")) {
		if (!read_number(value, "", VIRTIO_NET_MIN_MTU, &number) ||
		    number > VIRTIO_NET_MAX_MTU)
			return "mtu=N takes 68 to 65535";
		nic->mtu = (uint32_t)number;
		return NULL;
	}
	if (strcmp(name, "queues") != 0)
		return "takes " NIC_OPTIONS;
	if (!read_number(value, "", 1, &number) || number > VIRTIO_NET_MAX_PAIRS)
		return "queues=N takes 1 to 16";
	nic->queues = (uint32_t)number;
	return NULL;
}

const char *nic_options__parse(char *text, struct ktstr_nic *nic)
{
	char *save = NULL, *option = strtok_r(text, ",", &save);

	for (; option; option = strtok_r(NULL, ",", &save)) {
		const char *wrong = read_option(option, nic);

		if (wrong)
			return wrong;
	}
	return NULL;
}

static void write_number(const char *name, uint64_t value, const char **comma, FILE *to)
{
	if (!value)
		return;
	fprintf(to, "%s%s=%llu", *comma, name, (unsigned long long)value);
	*comma = ",";
}

void nic_options__write(const struct ktstr_nic *nic, FILE *to)
{
	const uint8_t *m = nic->mac;
	const char *comma = "";

	if (nic->network) {
		fprintf(to, "network=%s", nic->network);
		comma = ",";
	}
	write_number("rate", nic->rate_bps, &comma, to);
	write_number("delay", nic->delay_us, &comma, to);
	write_number("queues", nic->queues, &comma, to);
	write_number("mtu", nic->mtu, &comma, to);
	if (memcmp(m, no_mac, MAC_BYTES) != 0)
		fprintf(to, "%smac=%02x:%02x:%02x:%02x:%02x:%02x", comma, m[0], m[1], m[2], m[3],
			m[4], m[5]);
}
