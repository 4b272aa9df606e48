/* SPDX-License-Identifier: Apache-2.0 */
/* IP addresses and prefixes. */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "base/str.h"

unsigned addr_len(const struct addr *a)
{
	return a->family == AF_INET6 ? 16 : 4;
}

unsigned addr_bits(const struct addr *a)
{
	return addr_len(a) * 8;
}

int addr_parse(const char *text, struct addr *ret)
{
	struct addr a = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
	const char *slash = strchr(text, '/');
	char host[INET6_ADDRSTRLEN];
	uint64_t prefix = addr_bits(&a);
	size_t len = slash ? (size_t)(slash - text) : strlen(text);

	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	if (inet_pton(a.family, host, a.bytes) != 1)
		return -EINVAL;
	/* "/08" is no number of anybody's. */
	if (slash && ((slash[1] == '0' && slash[2]) ||
		      num_parse_u64(slash + 1, 0, addr_bits(&a), &prefix) < 0))
		return -EINVAL;
	a.prefix = (uint8_t)prefix;
	*ret = a;
	return 0;
}

int addr_parse_range(const char *text, struct addr *ret_first, struct addr *ret_last)
{
	const char *dash = strchr(text, '-');
	size_t len = dash ? (size_t)(dash - text) : strlen(text);
	char first[ADDR_TEXT];
	struct addr a, b;

	if (len >= sizeof(first))
		return -EINVAL;
	memcpy(first, text, len);
	first[len] = '\0';
	if (addr_parse(first, &a) < 0 || !addr_is_network(&a))
		return -EINVAL;
	b = addr_last(&a);
	if (dash && (!addr_is_single(&a) || addr_parse(dash + 1, &b) < 0 || !addr_is_single(&b)))
		return -EINVAL;
	if (a.family != b.family || addr_compare(&a, &b) > 0)
		return -EINVAL;
	*ret_first = addr_first(&a);
	*ret_last = b;
	return 0;
}

void addr_format(char dst[ADDR_TEXT], const struct addr *a)
{
	char host[INET6_ADDRSTRLEN];

	if (!inet_ntop(a->family, a->bytes, host, sizeof(host)))
		(void)str_copy(dst, ADDR_TEXT, "none");
	else if (addr_is_single(a))
		(void)str_copy(dst, ADDR_TEXT, host);
	else
		(void)str_fmt(dst, ADDR_TEXT, "%s/%u", host, a->prefix);
}

bool addr_is_single(const struct addr *a)
{
	return a->prefix == addr_bits(a);
}

/* The bits of byte k that belong to the network. */
static uint8_t mask(unsigned prefix, unsigned k)
{
	if (prefix >= 8 * (k + 1))
		return 0xff;
	return prefix <= 8 * k ? 0 : (uint8_t)(0xff << (8 * (k + 1) - prefix));
}

struct addr addr_first(const struct addr *net)
{
	struct addr a = *net;

	for (unsigned k = 0; k < addr_len(net); k++)
		a.bytes[k] &= mask(net->prefix, k);
	a.prefix = (uint8_t)addr_bits(net);
	return a;
}

struct addr addr_last(const struct addr *net)
{
	struct addr a = *net;

	for (unsigned k = 0; k < addr_len(net); k++)
		a.bytes[k] |= (uint8_t)~mask(net->prefix, k);
	a.prefix = (uint8_t)addr_bits(net);
	return a;
}

bool addr_is_network(const struct addr *a)
{
	struct addr first = addr_first(a);

	return memcmp(first.bytes, a->bytes, sizeof(first.bytes)) == 0;
}

int addr_compare(const struct addr *a, const struct addr *b)
{
	int c;

	if (a->family != b->family)
		return a->family == AF_INET ? -1 : b->family == AF_INET ? 1 : a->family - b->family;
	c = memcmp(a->bytes, b->bytes, sizeof(a->bytes));
	return c != 0 ? c : (int)a->prefix - (int)b->prefix;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return addr_compare(a, b) == 0;
}

bool addr_contains(const struct addr *net, const struct addr *inner)
{
	if (net->family != inner->family || net->prefix > inner->prefix)
		return false;
	for (unsigned k = 0; k < addr_len(net); k++)
		if ((net->bytes[k] ^ inner->bytes[k]) & mask(net->prefix, k))
			return false;
	return true;
}

bool addr_overlaps(const struct addr *a, const struct addr *b)
{
	return addr_contains(a, b) || addr_contains(b, a);
}

int addr_add(const struct addr *a, uint64_t n, struct addr *ret)
{
	struct addr sum = *a;
	unsigned carry = 0;

	for (unsigned k = addr_len(a); k-- > 0; n >>= 8) {
		unsigned v = sum.bytes[k] + (unsigned)(n & 0xff) + carry;

		sum.bytes[k] = (uint8_t)v;
		carry = v >> 8;
	}
	if (carry || n)
		return -ERANGE;
	sum.prefix = (uint8_t)addr_bits(a);
	*ret = sum;
	return 0;
}

uint64_t addr_distance(const struct addr *a, const struct addr *b)
{
	uint64_t d = 0;
	int borrow = 0;
	uint8_t difference[16] = {0};

	if (a->family != b->family)
		return UINT64_MAX;
	for (unsigned k = addr_len(a); k-- > 0;) {
		int v = (int)b->bytes[k] - (int)a->bytes[k] - borrow;

		borrow = v < 0;
		difference[k] = (uint8_t)v;
	}
	if (borrow)
		return UINT64_MAX;
	for (unsigned k = 0; k < addr_len(a); k++) {
		if (d >> 56)
			return UINT64_MAX;
		d = d << 8 | difference[k];
	}
	return d;
}
