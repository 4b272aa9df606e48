/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, for this folder: pools, what instances have of them, rows. */
#pragma once

#include "runtime/instance/addresses.h"
#include "runtime/instance/private.h"

/* --- addresses.c ----------------------------------------------------------------------------- */

/* Makes the pools of the host document. To be closed in every case. */
int addresses_open(struct inst_manager *m, struct err *err);
void addresses_close(struct inst_manager *m);
/* Counts what a loaded instance has as taken, also where no network has it any more. */
void inst_net_place(struct inst *i);
/* All are placed: says which are outside. */
void addresses_loaded(struct inst_manager *m);

/* Takes an address of a network that is there, or any that is like 'like' (family and prefix). The
 * errors are those of ipam_take() and ipam_take_any(). */
int addresses_take(struct inst_manager *m, const char *network, const struct addr *a,
		   struct inst_address *ret, struct err *err);
int addresses_take_any(struct inst_manager *m, const char *network, const struct addr *like,
		       uint64_t seed, struct inst_address *ret, struct err *err);
/* Whether the network has such addresses. */
bool addresses_has(const struct inst_manager *m, const char *network, const struct addr *a);
bool addresses_has_family(const struct inst_manager *m, const char *network, uint8_t family);
/* Who has this port of the host; NULL = nobody. */
const struct inst *addresses_forward_owner(const struct inst_manager *m,
					   const struct spec_forward *f);
/* How many of it count for quota.ipv4. */
uint64_t addresses_count_ipv4(const struct inst_manager *m, const struct inst_net *net);

/* Exactly this address or prefix among all that it has, and (ret_nic may be NULL) whose it is; NULL
 * = it has it not. */
const struct inst_address *inst_net_find(const struct inst_net *net, const struct addr *a,
					 const struct inst_nic **ret_nic);
/* Frees the memory alone. */
void inst_net_done(struct inst_net *net);
/* Gives back what 'keep' (NULL = nothing) does not have, and frees. */
void inst_net_release(struct inst_manager *m, struct inst_net *net, const struct inst_net *keep);
int inst_net_copy(struct inst_net *ret, const struct inst_net *from, struct err *err);
bool inst_net_is_same(const struct inst_net *a, const struct inst_net *b);

/* --- addresses_build.c ----------------------------------------------------------------------- */

/* What an instance is to have. */
struct inst_net_wish {
	const char *id;			  /* of the instance: addresses of IPv6 follow from it */
	const struct inst_tenant *tenant; /* NULL = none yet: no quota is judged */
	const struct inst *old;		  /* what it has already stays; NULL = a new one */
	const struct spec_instance *spec; /* its wishes */
};

/* Takes the addresses that are wanted. They are to be released in every case: by inst_net_release()
 * with the old ones as 'keep'. Where the wishes are those of before nothing changes, and without
 * networks nothing is given out. Errors: -EINVAL, -ERANGE: it does not fit the networks;
 * -EADDRNOTAVAIL, -EADDRINUSE: reserved, taken; -ENOSPC: the pool or the quota is exhausted. */
int inst_net_build(struct inst_manager *m, const struct inst_net_wish *wish, struct inst_net *ret,
		   struct err *err);
/* Gives addresses to those that were created before the host had networks. What cannot be given is
 * logged. After store_start(). */
void addresses_catch_up(struct inst_manager *m);

/* --- db_net.c -------------------------------------------------------------------------------- */

/* Puts what it has in the place of what the database has. */
void db_put_net(struct store_txn *t, const struct inst *i);
int db_load_net(struct inst_manager *m, struct err *err);
