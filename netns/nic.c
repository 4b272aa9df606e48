/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from an instance's id, and what a NIC may be. */
#include "netns/nic.h"

#include <string.h>

#include "base/str.h"

#define DIGITS                                                                                     \
	12 /* of the id in the host's name: "vp", these, n: 15 characters, as many as there are */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_id(const char *id)
{
	size_t i;

	for (i = 0; id[i]; i++)
		if (hex(id[i]) < 0)
			return false;
	return i == ID_TEXT - 1;
}

int net_nic_init(struct net_nic *ret, const char *id, unsigned n, struct err *err)
{
	/* Every host end has the same, so a guest knows its gateway wherever it runs. */
	struct net_nic nic = {
		.n = n, .mtu = 1500, .host_mac = {0xee, 0xee, 0xee, 0xee, 0xee, 0xee}};

	if (!is_id(id))
		return err_set(err, EINVAL, "'%s' is no id of an instance: 16 hex digits are", id);
	if (n >= NET_NICS)
		return err_set(err, EINVAL, "a guest has NICs 0 to %d, not %u", NET_NICS - 1, n);
	(void)str_copy(nic.id, sizeof(nic.id), id);
	(void)str_fmt(nic.host_name, sizeof(nic.host_name), "vp%.*s%u", DIGITS, id, n);
	(void)str_fmt(nic.guest_name, sizeof(nic.guest_name), "eth%u", n);
	/* Administered locally: 02, nine digits of the id, n. */
	nic.guest_mac[0] = 0x02;
	for (size_t i = 1; i < NET_MAC; i++)
		nic.guest_mac[i] = (uint8_t)(hex(id[2 * i - 2]) << 4 | hex(id[2 * i - 1]));
	nic.guest_mac[5] = (uint8_t)((nic.guest_mac[5] & 0xf0) | n);
	*ret = nic;
	return 0;
}

void net_nic_set_bridge(struct net_nic *nic, int bridge, uint16_t vlan)
{
	nic->bridge = bridge;
	nic->vlan = vlan;
	/* A bridge without a MAC of its own takes its ports' lowest: never this one. */
	memcpy(nic->host_mac, nic->guest_mac, NET_MAC);
	nic->host_mac[0] = 0xfe;
}

bool net_nic_is_host_name(const char *name)
{
	if (strlen(name) != IFNAMSIZ - 1 || !str_has_prefix(name, "vp"))
		return false;
	for (size_t i = 2; i < 2 + DIGITS; i++)
		if (hex(name[i]) < 0)
			return false;
	return name[IFNAMSIZ - 2] >= '0' && name[IFNAMSIZ - 2] <= '9';
}

struct addr net_nic_link_local(const struct net_nic *nic)
{
	const uint8_t *m = nic->guest_mac;

	return (struct addr){.family = AF_INET6,
			     .prefix = 128,
			     .bytes = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, (uint8_t)(m[0] ^ 0x02), m[1],
				       m[2], 0xff, 0xfe, m[3], m[4], m[5]}};
}

struct addr net_nic_gateway(uint8_t family)
{
	if (family == AF_INET)
		return (struct addr){.family = AF_INET, .prefix = 32, .bytes = {169, 254, 1, 1}};
	return (struct addr){
		.family = AF_INET6, .prefix = 128, .bytes = {[0] = 0xfe, [1] = 0x80, [15] = 1}};
}

/* Networks whose addresses are of one link, of one machine, of many, or of none. */
static const struct reserved {
	struct addr net;
	const char *why;
} reserved[] = {
	{{AF_INET, 8, {0}}, "is no address of a machine"},
	{{AF_INET, 8, {127}}, "is the own machine's"},
	{{AF_INET, 16, {169, 254}}, "is link-local"},
	{{AF_INET, 3, {224}}, "is multicast or reserved"},
	{{AF_INET6, 127, {0}}, "is the own machine's, or none"},
	{{AF_INET6, 96, {[10] = 0xff, [11] = 0xff}}, "is an IPv4 address within IPv6"},
	{{AF_INET6, 10, {0xfe, 0x80}}, "is link-local"},
	{{AF_INET6, 8, {0xff}}, "is multicast"},
};

static int check_address(const struct net_nic *nic, const struct addr *a, struct err *err)
{
	char text[ADDR_TEXT];

	addr_format(text, a);
	if (a->family != AF_INET && a->family != AF_INET6)
		return err_set(err, EINVAL, "an address of '%s' is of no family", nic->guest_name);
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (addr_overlaps(&reserved[i].net, a))
			return err_set(err, EINVAL, "'%s' cannot be an address of '%s': it %s",
				       text, nic->guest_name, reserved[i].why);
	if (!nic->bridge && !addr_is_network(a))
		return err_set(err, EINVAL,
			       "'%s' of '%s' is neither one address nor a network: bits behind the "
			       "prefix are set",
			       text, nic->guest_name);
	if (nic->mtu < NET_MTU_MIN_IPV6 && a->family == AF_INET6)
		return err_set(err, EINVAL, "'%s' has '%s', and IPv6 needs an MTU of %d, not %u",
			       nic->guest_name, text, NET_MTU_MIN_IPV6, nic->mtu);
	return 0;
}

static int check_other(const struct net_nic *nic, const struct addr *a, uint8_t family,
		       const char *what, struct err *err)
{
	char text[ADDR_TEXT];

	if (!a->family || (a->family == family && addr_is_single(a)))
		return 0;
	addr_format(text, a);
	return err_set(err, EINVAL, "'%s' is no %s of '%s': one address of %s is", text, what,
		       nic->guest_name, family == AF_INET ? "IPv4" : "IPv6");
}

static int check_others(const struct net_nic *nic, struct err *err)
{
	const struct {
		const struct addr *a;
		uint8_t family;
		const char *what;
	} others[] = {
		{&nic->source4, AF_INET, "source"},
		{&nic->source6, AF_INET6, "source"},
		{&nic->gateway4, AF_INET, "gateway"},
		{&nic->gateway6, AF_INET6, "gateway"},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(others) / sizeof(others[0]); i++)
		r = check_other(nic, others[i].a, others[i].family, others[i].what, err);
	return r;
}

int net_nic_check(const struct net_nic *nic, struct err *err)
{
	char text[ADDR_TEXT];
	int r = 0;

	if (nic->mtu < NET_MTU_MIN || nic->mtu > NET_MTU_MAX)
		return err_set(err, EINVAL, "the MTU of '%s' is %d to %d, not %u", nic->guest_name,
			       NET_MTU_MIN, NET_MTU_MAX, nic->mtu);
	if (nic->n_addresses > NET_NIC_ADDRESSES)
		return err_set(err, E2BIG, "'%s' has %zu addresses: %d are the most",
			       nic->guest_name, nic->n_addresses, NET_NIC_ADDRESSES);
	if (nic->vlan > 4094)
		return err_set(err, EINVAL, "the VLAN of '%s' is 1 to 4094, not %u",
			       nic->guest_name, nic->vlan);
	for (size_t i = 0; r == 0 && i < nic->n_addresses; i++) {
		r = check_address(nic, &nic->addresses[i], err);
		for (size_t k = 0; r == 0 && k < i; k++) {
			if (!addr_equal(&nic->addresses[i], &nic->addresses[k]))
				continue;
			addr_format(text, &nic->addresses[i]);
			r = err_set(err, EINVAL, "'%s' is twice among the addresses of '%s'", text,
				    nic->guest_name);
		}
	}
	return r < 0 ? r : check_others(nic, err);
}
