/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of what was sent and received. The schema is in schema.sql.h. */
#include <string.h>

#include "base/str.h"
#include "netns/nic.h"
#include "runtime/instance/private.h"
#include "runtime/instance/usage_private.h"

/* In the order of usage_slot(). */
#define COUNTERS                                                                                   \
	"out_public4_bytes, out_public4_packets, "                                                 \
	"out_private4_bytes, out_private4_packets, "                                               \
	"in_public4_bytes, in_public4_packets, "                                                   \
	"in_private4_bytes, in_private4_packets, "                                                 \
	"out_public6_bytes, out_public6_packets, "                                                 \
	"out_private6_bytes, out_private6_packets, "                                               \
	"in_public6_bytes, in_public6_packets, "                                                   \
	"in_private6_bytes, in_private6_packets"
#define MARKS16 "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
#define TYPES16 "iiiiiiiiiiiiiiii"
#define C(c) (int64_t)(c).bytes, (int64_t)(c).packets
#define VALUES(u)                                                                                  \
	C((u)->v4[NET_OUT_PUBLIC]), C((u)->v4[NET_OUT_PRIVATE]), C((u)->v4[NET_IN_PUBLIC]),        \
		C((u)->v4[NET_IN_PRIVATE]), C((u)->v6[NET_OUT_PUBLIC]),                            \
		C((u)->v6[NET_OUT_PRIVATE]), C((u)->v6[NET_IN_PUBLIC]), C((u)->v6[NET_IN_PRIVATE])

/* --- writing --------------------------------------------------------------------------------- */

void db_put_usage(struct store_txn *t, const struct usage_row *row)
{
	store_txn_add(t,
		      "INSERT OR REPLACE INTO usage (instance_id, kind, start, until, name, "
		      "said, " COUNTERS ") VALUES (?, ?, ?, ?, ?, ?, " MARKS16 ")",
		      "siiisi" TYPES16, row->id, (int64_t)row->kind, (int64_t)row->start,
		      (int64_t)row->end, row->name, (int64_t)row->said, VALUES(&row->sum));
}

void db_put_mark(struct store_txn *t, const char *id, unsigned nic, const struct usage_mark *mark)
{
	store_txn_add(t,
		      "INSERT OR REPLACE INTO usage_marks (instance_id, nic, source, " COUNTERS
		      ") VALUES (?, ?, ?, " MARKS16 ")",
		      "sis" TYPES16, id, (int64_t)nic, mark->source, VALUES(&mark->raw));
}

void db_drop_marks(struct store_txn *t, const char *id)
{
	store_txn_add(t, "DELETE FROM usage_marks WHERE instance_id = ?", "s", id);
}

void db_prune_usage(struct store_txn *t, uint64_t before)
{
	store_txn_add(t, "DELETE FROM usage WHERE until > 0 AND until <= ?", "i", (int64_t)before);
	store_txn_add(t,
		      "DELETE FROM usage_marks WHERE instance_id NOT IN (SELECT id FROM instances)",
		      "");
}

/* --- reading --------------------------------------------------------------------------------- */

static int damaged(const struct store_row *r, struct err *err)
{
	return err_set(err, EBADMSG, "the rows of the usage of instance %s are damaged",
		       store_row_text(r, 0));
}

static void read_counters(const struct store_row *r, int column, struct net_usage *ret)
{
	for (unsigned k = 0; k < USAGE_SLOTS; k++) {
		struct net_counter *c = usage_slot(ret, k);

		c->bytes = (uint64_t)store_row_int(r, column++);
		c->packets = (uint64_t)store_row_int(r, column++);
	}
}

static int load_usage(void *arg, const struct store_row *r, struct err *err)
{
	struct inst_manager *m = arg;
	int64_t kind = store_row_int(r, 1);
	struct usage_row row = {.start = (uint64_t)store_row_int(r, 2),
				.end = (uint64_t)store_row_int(r, 3)};

	if (kind < 0 || kind >= USAGE_KIND_MAX ||
	    str_copy(row.id, sizeof(row.id), store_row_text(r, 0)) < 0 ||
	    str_copy(row.name, sizeof(row.name), store_row_text(r, 4)) < 0)
		return damaged(r, err);
	row.kind = (enum usage_kind)kind;
	row.said = (unsigned)store_row_int(r, 5);
	read_counters(r, 6, &row.sum);
	return usage_book_load(m->book, &row, err);
}

static int load_mark(void *arg, const struct store_row *r, struct err *err)
{
	struct inst_manager *m = arg;
	struct inst *i = inst_find_by_id(m, store_row_text(r, 0));
	int64_t nic = store_row_int(r, 1);

	/* Of an instance that was deleted while it was read. */
	if (!i)
		return 0;
	if (nic < 0 || nic >= (int64_t)NET_NICS ||
	    str_copy(i->p->marks[nic].source, sizeof(i->p->marks[nic].source),
		     store_row_text(r, 2)) < 0)
		return damaged(r, err);
	read_counters(r, 3, &i->p->marks[nic].raw);
	return 0;
}

int db_load_usage(struct inst_manager *m, struct err *err)
{
	int r = store_load(m->store,
			   "SELECT instance_id, kind, start, until, name, said, " COUNTERS
			   " FROM usage ORDER BY instance_id, kind, start",
			   load_usage, m, err);

	return r < 0 ? r
		     : store_load(m->store,
				  "SELECT instance_id, nic, source, " COUNTERS " FROM usage_marks",
				  load_mark, m, err);
}
