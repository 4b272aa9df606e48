/* SPDX-License-Identifier: Apache-2.0 */
/* Reading all counters of a table of the packet filter. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "netns/nic.h"
#include "runtime/instance/private.h"
#include "runtime/instance/usage_private.h"

#define ALL_SLOTS ((1u << USAGE_SLOTS) - 1u)

struct item {
	char name[IFNAMSIZ];
	unsigned slot;
	struct net_counter c;
};

struct items {
	struct item *items;
	size_t n, room;
};

int usage_source(const struct inst_manager *m, const struct net_filter *f,
		 char ret[USAGE_SOURCE_TEXT], struct err *err)
{
	uint64_t cookie = 0;
	int r = net_filter_cookie(f, &cookie, err);

	if (r >= 0 && str_fmt(ret, USAGE_SOURCE_TEXT, "%s.%016" PRIx64, m->boot_id, cookie) < 0)
		r = err_set(err, EOVERFLOW, "the name of a table of counters is too long");
	return r < 0 ? r : 0;
}

static int take(void *arg, const char *nic, enum net_way way, int family,
		const struct net_counter *c)
{
	struct items *all = arg;
	struct item *it;

	if (!net_nic_is_host_name(nic))
		return 0;
	if (all->n == all->room) {
		size_t room = all->room ? 2 * all->room : 256;
		struct item *grown = reallocarray(all->items, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		all->items = grown;
		all->room = room;
	}
	it = &all->items[all->n++];
	*it = (struct item){.slot = (unsigned)way + (family == AF_INET ? 0 : NET_WAY_MAX), .c = *c};
	(void)str_copy(it->name, sizeof(it->name), nic);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* What was told twice went on in between: the larger one is the later one. */
static void keep_larger(struct net_counter *to, const struct net_counter *c)
{
	if (c->bytes >= to->bytes && c->packets >= to->packets)
		*to = *c;
}

static int fold(const struct items *all, struct usage_table *t, struct err *err)
{
	t->nics = calloc(all->n + 1, sizeof(*t->nics));
	if (!t->nics)
		return err_set(err, ENOMEM, "cannot read counters: out of memory");
	for (size_t k = 0; k < all->n; k++) {
		const struct item *it = &all->items[k];

		if (k == 0 || !str_eq(it->name, it[-1].name)) {
			t->nics[t->n].missing = ALL_SLOTS;
			memcpy(t->nics[t->n++].name, it->name, sizeof(it->name));
		}
		t->nics[t->n - 1].missing &= ~(1u << it->slot);
		keep_larger(usage_slot(&t->nics[t->n - 1].raw, it->slot), &it->c);
	}
	return 0;
}

int usage_table_read(const struct inst_manager *m, struct net_filter *f, struct usage_table *ret,
		     struct err *err)
{
	struct usage_table t = USAGE_TABLE_INIT;
	struct items all = {.n = 0};
	int r = usage_source(m, f, t.source, err);

	if (r >= 0)
		r = net_filter_read(f, take, &all, err);
	if (r >= 0 && all.n > 0)
		qsort(all.items, all.n, sizeof(*all.items), by_name);
	if (r >= 0)
		r = fold(&all, &t, err);
	free(all.items);
	if (r < 0) {
		usage_table_done(&t);
		return r;
	}
	*ret = t;
	return 0;
}

int usage_table_forget(struct inst_manager *m, const char (*names)[IFNAMSIZ], size_t n,
		       struct err *err)
{
	return net_filter_uncount(&m->network->filter, names, n, err);
}
