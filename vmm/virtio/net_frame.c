// SPDX-License-Identifier: GPL-2.0-only
/* Ethernet frames with work left to do: checks, checksums, and TCP segmentation. */
#include "net_frame.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <string.h>

#include "iov.h"

#define BIT64(n) (UINT64_C(1) << (n))

#define VLAN_BYTES 4u
#define IPV4_BYTES 20u
#define IPV6_BYTES 40u
#define TCP_BYTES 20u
/* Offsets in headers: RFC 791, RFC 8200, RFC 9293 */
#define IPV4_LENGTH 2u
#define IPV4_ID 4u
#define IPV4_FRAGMENT 6u
#define IPV4_PROTOCOL 9u
#define IPV4_CHECKSUM 10u
#define IPV4_ADDRESSES 12u
#define IPV6_LENGTH 4u
#define IPV6_NEXT 6u
#define IPV6_ADDRESSES 8u
#define TCP_SEQUENCE 4u
#define TCP_DATA_OFFSET 12u
#define TCP_FLAGS 13u
#define TCP_CHECKSUM 16u
#define TCP_FIN 0x01u
#define TCP_PSH 0x08u
#define TCP_CWR 0x80u
/*
 * Of all layers: three times what Linux makes. Each part that is cut off is a copy of them, so that
 * a guest's choice of both sizes would be work by the square of what it sends.
 */
#define HEADERS_MAX 512u

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put32(uint8_t *p, uint32_t value)
{
	put16(p, value >> 16);
	put16(p + 2, value);
}

/* Where the network header begins; *type: of it. */
static uint32_t network_offset(const uint8_t *frame, uint16_t *type)
{
	*type = get16(frame + 12);
	if (*type != ETHERTYPE_VLAN)
		return ETH_HLEN;
	*type = get16(frame + 12 + VLAN_BYTES);
	return ETH_HLEN + VLAN_BYTES;
}

/* ---- What the sender says ---- */

static bool read_at(const struct net_frame *f, uint32_t offset, void *to, uint32_t length)
{
	struct iov_cursor c = iov_cursor__at(f->iov, f->nr);

	return iov_cursor__read(&c, NULL, offset) == offset &&
	       iov_cursor__read(&c, to, length) == length;
}

static uint8_t gso_kind(const struct net_frame *f)
{
	return f->header.gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
}

static bool check_gso(struct net_frame *f, uint64_t features)
{
	bool v4 = gso_kind(f) == VIRTIO_NET_HDR_GSO_TCPV4;
	uint32_t network, ip, tcp = f->header.csum_start;
	uint8_t data_offset;
	uint16_t type;

	if (!v4 && gso_kind(f) != VIRTIO_NET_HDR_GSO_TCPV6)
		return false;
	if (!(features & (v4 ? BIT64(VIRTIO_NET_F_HOST_TSO4) : BIT64(VIRTIO_NET_F_HOST_TSO6))) ||
	    ((f->header.gso_type & VIRTIO_NET_HDR_GSO_ECN) &&
	     !(features & BIT64(VIRTIO_NET_F_HOST_ECN))))
		return false;
	/* §5.1.6.2.1: a checksum is to be computed, and there is a size. */
	if (!(f->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || !f->header.gso_size ||
	    f->header.csum_offset != TCP_CHECKSUM || f->head_length < ETH_HLEN + VLAN_BYTES)
		return false;
	network = network_offset(f->head, &type);
	ip = v4 ? IPV4_BYTES : IPV6_BYTES;
	if (type != (v4 ? ETHERTYPE_IP : ETHERTYPE_IPV6) || tcp < network + ip ||
	    !read_at(f, tcp + TCP_DATA_OFFSET, &data_offset, 1) || data_offset >> 4 < TCP_BYTES / 4)
		return false;
	/* IPv6 may have more headers before it. */
	if (v4 && (tcp != network + (f->head[network] & 15) * 4u ||
		   f->head[network + IPV4_PROTOCOL] != IPPROTO_TCP))
		return false;
	f->headers = (uint16_t)(tcp + (data_offset >> 4) * 4u);
	f->header.hdr_len = f->headers; /* the driver's is a hint only */
	return tcp < HEADERS_MAX && f->headers <= HEADERS_MAX && f->headers < f->length;
}

bool net_frame__init(struct net_frame *f, const struct virtio_net_hdr_v1 *header, uint64_t features,
		     const struct iovec *iov, uint32_t nr, uint32_t length)
{
	struct iov_cursor c = iov_cursor__at(iov, nr);

	if (length < NET_FRAME_MIN || length > NET_FRAME_MAX)
		return false;
	f->header = (struct virtio_net_hdr_v1){
		.flags = header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = header->gso_type,
	};
	f->headers = 0;
	f->length = length;
	f->iov = iov;
	f->nr = nr;
	f->head_length = (uint32_t)iov_cursor__read(&c, f->head, sizeof(f->head));
	if (f->head_length > length)
		f->head_length = length;
	if (f->header.flags) {
		f->header.csum_start = header->csum_start;
		f->header.csum_offset = header->csum_offset;
		if (!(features & BIT64(VIRTIO_NET_F_CSUM)) || header->csum_start < ETH_HLEN ||
		    (uint32_t)header->csum_start + header->csum_offset + 2 > length)
			return false;
	}
	if (f->header.gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	f->header.gso_size = header->gso_size;
	return check_gso(f, features);
}

bool net_frame__fits(const struct net_frame *f, uint64_t features)
{
	uint64_t needed = 0;

	if (f->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		needed |= BIT64(VIRTIO_NET_F_GUEST_CSUM);
	if (gso_kind(f) == VIRTIO_NET_HDR_GSO_TCPV4)
		needed |= BIT64(VIRTIO_NET_F_GUEST_TSO4);
	if (gso_kind(f) == VIRTIO_NET_HDR_GSO_TCPV6)
		needed |= BIT64(VIRTIO_NET_F_GUEST_TSO6);
	if (f->header.gso_type & VIRTIO_NET_HDR_GSO_ECN)
		needed |= BIT64(VIRTIO_NET_F_GUEST_ECN);
	return (features & needed) == needed;
}

uint32_t net_frame__parts(const struct net_frame *f)
{
	return f->headers ? (f->length - f->headers + f->header.gso_size - 1) / f->header.gso_size
			  : 1;
}

bool net_frame__within(const struct net_frame *f, uint32_t mtu)
{
	uint32_t largest = f->length;
	uint16_t type = 0;

	if (f->headers && f->headers + f->header.gso_size < largest)
		largest = f->headers + f->header.gso_size;
	if (largest <= mtu + ETH_HLEN)
		return true;
	return f->head_length >= ETH_HLEN + VLAN_BYTES &&
	       largest <= mtu + network_offset(f->head, &type);
}

uint64_t net_frame__wire_bytes(const struct net_frame *f)
{
	return f->length + (net_frame__parts(f) - 1) * (uint64_t)f->headers;
}

/* The xor of 16-bit words is the same whichever address comes first. */
static uint16_t fold(const uint8_t *p, uint32_t bytes)
{
	uint16_t x = 0;

	for (uint32_t i = 0; i < bytes; i += 2)
		x ^= get16(p + i);
	return x;
}

uint8_t net_frame__flow(const struct net_frame *f)
{
	uint32_t ip, transport;
	uint16_t type, x;
	uint8_t protocol;

	if (f->head_length < NET_FRAME_MIN + VLAN_BYTES)
		return 0;
	ip = network_offset(f->head, &type);
	x = fold(f->head, 12);
	if (type == ETHERTYPE_IP && f->head_length >= ip + IPV4_BYTES) {
		x = fold(f->head + ip + IPV4_ADDRESSES, 8);
		protocol = f->head[ip + IPV4_PROTOCOL];
		transport = ip + (f->head[ip] & 15) * 4u;
		if (get16(f->head + ip + IPV4_FRAGMENT) & 0x3fff)
			protocol = 0; /* its later parts have no ports */
	} else if (type == ETHERTYPE_IPV6 && f->head_length >= ip + IPV6_BYTES) {
		x = fold(f->head + ip + IPV6_ADDRESSES, 32);
		protocol = f->head[ip + IPV6_NEXT];
		transport = ip + IPV6_BYTES;
	} else {
		return (uint8_t)(x ^ x >> 8);
	}
	if ((protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) && f->head_length >= transport + 4)
		x ^= fold(f->head + transport, 4);
	return (uint8_t)(x ^ x >> 8);
}

/* ---- Doing what was left to do ---- */

/* RFC 1071: the ones' complement sum of 16-bit words. */
static uint64_t add_words(uint64_t sum, const uint8_t *p, uint32_t bytes)
{
	for (; bytes >= 2; p += 2, bytes -= 2)
		sum += get16(p);
	return bytes ? sum + ((uint32_t)*p << 8) : sum;
}

static uint16_t finish_sum(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* §5.1.6.2: what is at the place of the checksum is the sum of the pseudo header. */
static void fill_checksum(const struct net_frame *f, uint8_t *frame)
{
	uint32_t start = f->header.csum_start;
	uint16_t sum = finish_sum(add_words(0, frame + start, f->length - start));

	/* 0 would say that there is none in UDP; both stand for the same sum. */
	put16(frame + start + f->header.csum_offset, sum ? sum : 0xffff);
}

bool net_frame__begin_plain(const struct net_frame *f, struct net_plain *p)
{
	struct iov_cursor c = iov_cursor__at(f->iov, f->nr);

	p->length = (uint32_t)iov_cursor__read(&c, p->whole, f->length);
	p->next = f->headers;
	p->number = 0;
	/* What was looked at is what is sent, whatever the guest has written meanwhile. */
	memcpy(p->whole, f->head, f->head_length);
	return p->length == f->length;
}

static void fix_network(uint8_t *frame, uint32_t length, uint32_t tcp, uint32_t number)
{
	uint16_t type;
	uint32_t ip = network_offset(frame, &type);
	uint8_t *h = frame + ip;

	if (type == ETHERTYPE_IPV6) {
		put16(h + IPV6_LENGTH, length - ip - IPV6_BYTES);
		return;
	}
	put16(h + IPV4_LENGTH, length - ip);
	put16(h + IPV4_ID, get16(h + IPV4_ID) + number);
	put16(h + IPV4_CHECKSUM, 0);
	put16(h + IPV4_CHECKSUM, finish_sum(add_words(0, h, tcp - ip)));
}

static void fix_transport(uint8_t *frame, uint32_t length, uint32_t tcp, uint32_t offset, bool last)
{
	uint16_t type;
	uint32_t ip = network_offset(frame, &type);
	uint8_t *h = frame + tcp;
	uint64_t sum = IPPROTO_TCP + (uint64_t)(length - tcp);

	put32(h + TCP_SEQUENCE, get32(h + TCP_SEQUENCE) + offset);
	if (!last)
		h[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (offset)
		h[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
	put16(h + TCP_CHECKSUM, 0);
	sum = type == ETHERTYPE_IPV6 ? add_words(sum, frame + ip + IPV6_ADDRESSES, 32)
				     : add_words(sum, frame + ip + IPV4_ADDRESSES, 8);
	put16(h + TCP_CHECKSUM, finish_sum(add_words(sum, h, length - tcp)));
}

bool net_frame__next_plain(const struct net_frame *f, struct net_plain *p, struct net_frame *plain)
{
	struct virtio_net_hdr_v1 none = {.flags = 0};
	uint32_t data, length, tcp = f->header.csum_start;

	if (!f->headers) {
		if (p->number++)
			return false;
		if (f->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
			fill_checksum(f, p->whole);
		p->iov = (struct iovec){.iov_base = p->whole, .iov_len = p->length};
		return net_frame__init(plain, &none, 0, &p->iov, 1, p->length);
	}
	if (p->next == p->length)
		return false;
	data = p->length - p->next;
	if (data > f->header.gso_size)
		data = f->header.gso_size;
	length = f->headers + data;
	memcpy(p->part, p->whole, f->headers);
	memcpy(p->part + f->headers, p->whole + p->next, data);
	fix_network(p->part, length, tcp, p->number);
	fix_transport(p->part, length, tcp, p->next - f->headers, p->next + data == p->length);
	p->next += data;
	p->number++;
	p->iov = (struct iovec){.iov_base = p->part, .iov_len = length};
	return net_frame__init(plain, &none, 0, &p->iov, 1, length);
}
