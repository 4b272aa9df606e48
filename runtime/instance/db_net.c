/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of interfaces, addresses and forwarded ports. The schema is in schema.sql.h. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "runtime/instance/addresses_private.h"

/* --- writing --------------------------------------------------------------------------------- */

static void add_nic(struct store_txn *t, const struct inst *i, size_t k)
{
	const struct inst_nic *nic = &i->net.nics[k];
	char text[ADDR_TEXT];

	store_txn_add(t, "INSERT INTO nics (instance_id, nic, network) VALUES (?, ?, ?)", "sis",
		      i->id, (int64_t)k, nic->network);
	for (size_t n = 0; n < nic->n_addresses; n++) {
		addr_format(text, &nic->addresses[n].addr);
		store_txn_add(t,
			      "INSERT INTO addresses (address, instance_id, nic, position, "
			      "is_auto) VALUES (?, ?, ?, ?, ?)",
			      "ssiii", text, i->id, (int64_t)k, (int64_t)n,
			      (int64_t)nic->addresses[n].is_auto);
	}
	for (size_t n = 0; n < nic->n_forwards; n++)
		store_txn_add(t,
			      "INSERT INTO forwards (protocol, port, instance_id, nic, "
			      "guest_port) VALUES (?, ?, ?, ?, ?)",
			      "iisii", (int64_t)nic->forwards[n].protocol,
			      (int64_t)nic->forwards[n].port, i->id, (int64_t)k,
			      (int64_t)nic->forwards[n].guest_port);
}

void db_put_net(struct store_txn *t, const struct inst *i)
{
	store_txn_add(t, "DELETE FROM nics WHERE instance_id = ?", "s", i->id);
	for (size_t k = 0; k < i->net.n; k++)
		add_nic(t, i, k);
}

/* --- reading --------------------------------------------------------------------------------- */

/* Rows come sorted by instance: the last one found is the next one, mostly. */
struct load {
	struct inst_manager *m;
	struct inst *last;
};

static int damaged(const struct store_row *r, struct err *err)
{
	return err_set(err, EBADMSG, "the rows of the interfaces of instance %s are damaged",
		       store_row_text(r, 0));
}

static struct inst *inst_of(struct load *l, const struct store_row *r)
{
	const char *id = store_row_text(r, 0);

	if (!l->last || !str_eq(l->last->id, id))
		l->last = inst_find_by_id(l->m, id);
	return l->last;
}

static int load_nic(void *arg, const struct store_row *r, struct err *err)
{
	struct inst *i = inst_of(arg, r);
	int64_t k = store_row_int(r, 1);
	struct inst_nic *nic;

	/* From 0, without gaps. */
	if (!i || k != (int64_t)i->net.n || k >= SPEC_NICS_MAX)
		return damaged(r, err);
	nic = &i->net.nics[i->net.n++];
	return str_copy(nic->network, sizeof(nic->network), store_row_text(r, 2)) < 0
		       ? damaged(r, err)
		       : 0;
}

/* The interface that row r is of; NULL = there is none. */
static struct inst_nic *nic_of(struct load *l, const struct store_row *r)
{
	struct inst *i = inst_of(l, r);
	int64_t k = store_row_int(r, 1);

	return i && k >= 0 && k < (int64_t)i->net.n ? &i->net.nics[k] : NULL;
}

static int load_address(void *arg, const struct store_row *r, struct err *err)
{
	struct inst_nic *nic = nic_of(arg, r);
	struct inst_address a = {.is_auto = store_row_int(r, 3) != 0};
	struct inst_address *grown;

	if (!nic || addr_parse(store_row_text(r, 2), &a.addr) < 0)
		return damaged(r, err);
	grown = reallocarray(nic->addresses, nic->n_addresses + 1, sizeof(*grown));
	if (!grown)
		return err_set(err, ENOMEM, "cannot load addresses: out of memory");
	nic->addresses = grown;
	grown[nic->n_addresses++] = a;
	return 0;
}

static int load_forward(void *arg, const struct store_row *r, struct err *err)
{
	struct inst_nic *nic = nic_of(arg, r);
	const struct spec_forward f = {.protocol = (uint8_t)store_row_int(r, 2),
				       .port = (uint16_t)store_row_int(r, 3),
				       .guest_port = (uint16_t)store_row_int(r, 4)};
	struct spec_forward *grown;

	if (!nic || (f.protocol != IPPROTO_TCP && f.protocol != IPPROTO_UDP))
		return damaged(r, err);
	grown = reallocarray(nic->forwards, nic->n_forwards + 1, sizeof(*grown));
	if (!grown)
		return err_set(err, ENOMEM, "cannot load ports: out of memory");
	nic->forwards = grown;
	grown[nic->n_forwards++] = f;
	return 0;
}

int db_load_net(struct inst_manager *m, struct err *err)
{
	struct load l = {.m = m};
	int r = store_load(m->store,
			   "SELECT instance_id, nic, network FROM nics ORDER BY instance_id, nic",
			   load_nic, &l, err);

	if (r >= 0)
		r = store_load(m->store,
			       "SELECT instance_id, nic, address, is_auto FROM addresses "
			       "ORDER BY instance_id, nic, position",
			       load_address, &l, err);
	if (r >= 0)
		r = store_load(m->store,
			       "SELECT instance_id, nic, protocol, port, guest_port FROM forwards "
			       "ORDER BY instance_id, nic, protocol, port",
			       load_forward, &l, err);
	for (size_t i = 0; r >= 0 && i < m->n_insts; i++)
		inst_net_place(m->insts[i]);
	if (r >= 0)
		addresses_loaded(m);
	return r;
}
