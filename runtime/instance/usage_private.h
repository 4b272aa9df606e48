/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How readings become sums. A counter of the packet filter lives as long as its table, whatever its
 * interface does meanwhile; a table is known by the socket that owns it and by the boot of the
 * host. With each sum the reading is kept that it was derived from, in the same transaction: what
 * is read later adds the difference, in the same table, or all of it in another one.
 */
#pragma once

#include <net/if.h>
#include <systemd/sd-event.h>

#include "runtime/instance/usage.h"

struct store_txn;

#define USAGE_TRIES 6u
#define USAGE_DAY UINT64_C(86400) /* s */

#define USAGE_SLOTS (2u * NET_WAY_MAX)
#define USAGE_SOURCE_TEXT 56 /* boot id, ".", 16 hex digits */

/* The last reading of one interface's counters. */
struct usage_mark {
	char source[USAGE_SOURCE_TEXT]; /* which table's; "" = none */
	struct net_usage raw;
};

/* --- usage_count.c: arithmetic --------------------------------------------------------------- */

/* Of 0 to USAGE_SLOTS - 1: families, in them ways. */
struct net_counter *usage_slot(struct net_usage *u, unsigned slot);
const struct net_counter *usage_slot_of(const struct net_usage *u, unsigned slot);
void usage_add(struct net_usage *sum, const struct net_usage *more);
bool usage_is_zero(const struct net_usage *u);
/* Moves a mark to a reading; *ret is what came in between. A counter that went back began again;
 * one that the reading did not show (bits 1u << slot of 'missing') stays where it was. */
void usage_advance(struct usage_mark *mark, const char *source, const struct net_usage *raw,
		   unsigned missing, struct net_usage *ret);

/* By how much an old table's counters are ahead of the new one's, while both count each packet:
 * that does not change, but they cannot be read at one moment. */
struct usage_lead {
	bool is_known, is_exact;
	struct {
		int64_t bytes, packets; /* at least */
	} slots[USAGE_SLOTS];
};

/* One more look: the old one's counters before and after the new one's were read. */
void usage_narrow(struct usage_lead *l, const struct net_usage *before, const struct net_usage *now,
		  const struct net_usage *after);
/* What the old one's were when the new one's were those. */
struct net_usage usage_led(const struct usage_lead *l, const struct net_usage *now);

/* --- usage_read.c ---------------------------------------------------------------------------- */

struct usage_nic {
	char name[IFNAMSIZ]; /* of the host end */
	struct net_usage raw;
	/* Bits 1u << slot: not in this reading. What the kernel tells of a set that grows meanwhile
	 * may lack some. */
	unsigned missing;
};

/* All counters of one table. */
struct usage_table {
	char source[USAGE_SOURCE_TEXT];
	struct usage_nic *nics; /* sorted by name */
	size_t n;
};

#define USAGE_TABLE_INIT ((struct usage_table){.n = 0})
#define _cleanup_usage_table_ _cleanup_(usage_table_done)

int usage_source(const struct inst_manager *m, const struct net_filter *f,
		 char ret[USAGE_SOURCE_TEXT], struct err *err);
/* To be freed by usage_table_done(). */
int usage_table_read(const struct inst_manager *m, struct net_filter *f, struct usage_table *ret,
		     struct err *err);
/* Removes the counters of these interfaces. */
int usage_table_forget(struct inst_manager *m, const char (*names)[IFNAMSIZ], size_t n,
		       struct err *err);

/* --- usage_book.c: rows ---------------------------------------------------------------------- */

void usage_table_done(struct usage_table *t);
/* Those of one instance: *ret_n of them, one behind the other. */
const struct usage_nic *usage_table_find(const struct usage_table *t, const char *id,
					 size_t *ret_n);
/* Of "vp0123456789ab3" that is 3. */
unsigned usage_nic_number(const char *name);

struct usage_book {
	unsigned refs;		      /* the manager's, and one for each commit under way */
	struct inst_manager *manager; /* NULL = it is gone */
	struct usage_row **rows;
	size_t n, room;
	bool is_open;	   /* what earlier vpsds' tables had is counted */
	bool is_taking;	   /* that is being written */
	bool must_rewrite; /* a commit failed: everything is written again */
	unsigned tries;	   /* to read earlier vpsds' tables that failed */
	uint64_t newest;   /* start of the newest month */
	uint64_t read_at;
	uint64_t next_read, prune_at; /* usec, monotonic */
	void (*taken)(struct inst_manager *m);
	sd_event_source *timer;
};

/* Adds what an instance has sent and received by now (seconds since the epoch). A clock that was
 * set back by less than a day does not open a month again that is over. */
int usage_book_add(struct usage_book *b, const struct inst *i, uint64_t now,
		   const struct net_usage *more, struct err *err);
/* For rows of the database, in any order; copied. */
int usage_book_load(struct usage_book *b, const struct usage_row *like, struct err *err);
/* The row of the billing period that is under way; NULL = nothing was counted in it yet, and *ret
 * says what it is. */
struct usage_row *usage_book_period(struct usage_book *b, const struct inst *i, uint64_t now,
				    struct usage_row *ret);
/* Forgets what ended before that. */
void usage_book_prune(struct usage_book *b, uint64_t before);
void usage_book_done(struct usage_book *b);

/* --- db_usage.c ------------------------------------------------------------------------------ */

int db_load_usage(struct inst_manager *m, struct err *err);
void db_put_usage(struct store_txn *t, const struct usage_row *row);
void db_put_mark(struct store_txn *t, const char *id, unsigned nic, const struct usage_mark *mark);
void db_drop_marks(struct store_txn *t, const char *id);
void db_prune_usage(struct store_txn *t, uint64_t before);

/* --- usage.c --------------------------------------------------------------------------------- */

int usage_open(struct inst_manager *m, struct err *err);
/* Reads from now on. */
void usage_start(struct inst_manager *m);
/* Reads once more; what that gives is committed when the store is closed. */
void usage_close(struct inst_manager *m);
/* Reads, adds up and writes what has changed, now. */
void usage_sample(struct inst_manager *m);
/* The same when it is time for it, and acts on transfers that are used up. */
void usage_tick(struct inst_manager *m);
/* The new table counts all that the old ones do: reads those for the last time, and calls 'done'
 * when that is durable: they may go then. Nothing is counted before. -EAGAIN and others: one of
 * them cannot be read now; after USAGE_TRIES times it is given up. */
int usage_take_over(struct inst_manager *m, struct net_filter *olds, size_t n,
		    void (*done)(struct inst_manager *m), struct err *err);
/* Whether something was counted last by that table. */
bool usage_refers(const struct inst_manager *m, const struct net_filter *f);
/* Before the rows of an instance go: counts for the last time. */
void usage_last(struct inst *i);
/* And when they are gone: its counters go as well. */
void usage_drop(struct inst *i);
