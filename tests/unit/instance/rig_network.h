/* SPDX-License-Identifier: Apache-2.0 */
/* Networks that are always there: no packet filter, and links that nobody sees. */
#pragma once

#include <stdlib.h>

#include "runtime/instance/private.h"

int network_open(struct inst_manager *m, struct err *err)
{
	(void)err;
	m->network = calloc(1, sizeof(*m->network));
	assert_non_null(m->network);
	m->network->state = inst_has_networks(m) ? NETWORK_READY : NETWORK_NONE;
	return 0;
}

void network_close(struct inst_manager *m)
{
	free(m->network);
	m->network = NULL;
}

bool network_start(struct inst_manager *m)
{
	(void)m;
	return true;
}

void network_hold(struct inst_manager *m)
{
	(void)m;
}

static inline void rig_no_olds(struct inst_manager *m)
{
	(void)m;
}

void network_recovered(struct inst_manager *m)
{
	assert_int_equal(usage_take_over(m, NULL, 0, rig_no_olds, NULL), 0);
}

/* --- counters -------------------------------------------------------------------------------- */

int usage_source(const struct inst_manager *m, const struct net_filter *f,
		 char ret[USAGE_SOURCE_TEXT], struct err *err)
{
	(void)err;
	return str_fmt(ret, USAGE_SOURCE_TEXT, "%s.%d", m->boot_id, f->sock.fd);
}

int usage_table_read(const struct inst_manager *m, struct net_filter *f, struct usage_table *ret,
		     struct err *err)
{
	struct rig_table *t = rig->tables;

	if (rig->deaf_tables || (rig->deaf_table && rig->deaf_table == f->sock.fd))
		return err_set(err, EIO, "no answer");
	while (t->fd != f->sock.fd)
		t++;
	assert_int_equal(usage_source(m, f, ret->source, err), 0);
	ret->nics = calloc(t->n + 1, sizeof(*ret->nics));
	assert_non_null(ret->nics);
	ret->n = t->n;
	memcpy(ret->nics, t->nics, t->n * sizeof(*t->nics));
	/* A packet comes as soon as one table was read. */
	for (size_t k = 0; rig->hasty_reads > 0 && k < 3; k++)
		for (size_t n = 0; n < rig->tables[k].n; n++) {
			rig->tables[k].nics[n].raw.v4[NET_IN_PUBLIC].bytes += 100;
			rig->tables[k].nics[n].raw.v4[NET_IN_PUBLIC].packets++;
		}
	rig->hasty_reads -= rig->hasty_reads > 0;
	return 0;
}

int usage_table_forget(struct inst_manager *m, const char (*names)[IFNAMSIZ], size_t n,
		       struct err *err)
{
	(void)m;
	(void)err;
	if (n > 0)
		memcpy(rig->forgotten, names[0], IFNAMSIZ);
	return 0;
}

/* --- links ----------------------------------------------------------------------------------- */

const char *network_why_not(const struct inst_manager *m)
{
	(void)m;
	return NULL;
}

int links_prepare(struct inst *i, int *ret_theirs, struct err *err)
{
	(void)i;
	(void)err;
	*ret_theirs = -1;
	return 0;
}

int links_files(const struct inst *i, struct guest_files *ret, struct err *err)
{
	(void)i;
	(void)ret;
	(void)err;
	return 0;
}

void links_found(struct inst *i)
{
	(void)i;
}

const char *links_change(struct inst *i)
{
	(void)i;
	return NULL;
}

int links_cut_as_wanted(struct inst *i, struct err *err)
{
	bool is_cut = i->suspension.mode == INST_SUSPEND_NETWORK;

	if (rig->deaf_filter && is_cut != rig->is_cut)
		return err_set(err, EIO, "the filter does not hear");
	rig->is_cut = is_cut;
	return 0;
}

int links_shape(struct inst *i, struct err *err)
{
	if (rig->deaf_shaper)
		return err_set(err, EIO, "the shaper does not hear");
	i->p->throttle = transfer_throttle(i);
	return 0;
}

void links_gone(struct inst *i)
{
	(void)i;
}

void links_drop(struct inst *i)
{
	(void)i;
}

void links_forget(struct inst *i)
{
	(void)i;
}

bool links_has(const struct inst_manager *m, const char *name)
{
	(void)m;
	(void)name;
	return false;
}

void links_item(const struct inst *i, struct spec_items *ret)
{
	(void)i;
	(void)ret;
}

bool links_answer(const struct inst_manager *m, int uplink, const struct addr *a)
{
	(void)m;
	(void)uplink;
	(void)a;
	return true;
}
