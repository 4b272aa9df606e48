/* SPDX-License-Identifier: Apache-2.0 */
/* IP addresses and prefixes of both families as values. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDR_TEXT (INET6_ADDRSTRLEN + 4) /* room for any as text, "/128" and NUL included */

/* An address, or a network by its first address. Bits behind the prefix may be set: "10.0.0.7/24"
 * is an address within a network. */
struct addr {
	uint8_t family;	   /* AF_INET, AF_INET6; 0 = none */
	uint8_t prefix;	   /* bits; 32 or 128 = one address */
	uint8_t bytes[16]; /* in network order; of IPv4 the first four, the rest 0 */
};

#define ADDR_NONE ((struct addr){.family = 0})

/* Reads "10.0.0.7", "fd77::1", "10.0.0.0/16"; the family is told by the text, without a prefix it
 * is one address. IPv4 has four decimal numbers without leading zeros. -EINVAL else. */
int addr_parse(const char *text, struct addr *ret);
/* Reads "10.0.0.7", "10.0.0.7-10.0.0.9", "10.0.0.0/28" as its first and last single address, which
 * are of one family and in order. -EINVAL else. */
int addr_parse_range(const char *text, struct addr *ret_first, struct addr *ret_last);
/* Writes it, with its prefix unless it is a single address. */
void addr_format(char dst[ADDR_TEXT], const struct addr *a);

/* Bits, and bytes, of an address of its family. */
unsigned addr_bits(const struct addr *a);
unsigned addr_len(const struct addr *a);
/* Whether it is one address, and not a network. */
bool addr_is_single(const struct addr *a);
/* Whether no bit behind the prefix is set. */
bool addr_is_network(const struct addr *a);
/* The first and the last address of its network, as single addresses. */
struct addr addr_first(const struct addr *net);
struct addr addr_last(const struct addr *net);
/* Order: IPv4 before IPv6, then by bytes, then by prefix, the larger network first. */
int addr_compare(const struct addr *a, const struct addr *b);
bool addr_equal(const struct addr *a, const struct addr *b);
/* Whether all of 'inner' lies in the network 'net'. */
bool addr_contains(const struct addr *net, const struct addr *inner);
/* Whether they have an address in common. */
bool addr_overlaps(const struct addr *a, const struct addr *b);
/* The single address 'n' behind this one. -ERANGE when there is none. */
int addr_add(const struct addr *a, uint64_t n, struct addr *ret);
/* How far the single address 'b' is behind 'a' of the same family; UINT64_MAX = farther, before, or
 * of another family. */
uint64_t addr_distance(const struct addr *a, const struct addr *b);
