/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was sent and received is read from the packet filter, added up in memory and written, each
 * sum with the reading that it was derived from. Sums are written as they are, not as differences:
 * what could not be written once is in what is written next.
 */
#include "runtime/instance/usage.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "netns/nic.h"
#include "runtime/instance/period.h"
#include "runtime/instance/private.h"
#include "runtime/instance/usage_private.h"

#define DAY_USEC (UINT64_C(86400) * USEC_PER_SEC)
/* Each look at two tables says by how much they differ at least. */
#define LOOKS_MAX 4u
#define TICK_MAX (60 * USEC_PER_SEC)

int usage_open(struct inst_manager *m, struct err *err)
{
	m->book = calloc(1, sizeof(*m->book));
	if (!m->book)
		return err_set(err, ENOMEM, "cannot count traffic: out of memory");
	m->book->refs = 1;
	m->book->manager = m;
	m->book->prune_at = now_usec() + DAY_USEC;
	return 0;
}

static void book_unref(struct usage_book *b)
{
	if (--b->refs > 0)
		return;
	usage_book_done(b);
	free(b);
}

/* --- writing --------------------------------------------------------------------------------- */

static void end_taking(struct usage_book *b)
{
	if (!b->is_taking)
		return;
	b->is_taking = false;
	b->taken(b->manager);
}

static void on_written(void *arg, const struct err *err)
{
	struct usage_book *b = arg;

	if (err) {
		log_error("traffic was not stored; it is counted on, and written with what comes "
			  "next: %s",
			  err_text(err));
		b->must_rewrite = true;
	}
	/* What could not be written is in the next: the old tables stay until then. */
	if (!err && b->manager && !b->manager->is_closing)
		end_taking(b);
	book_unref(b);
}

/* All marks of one instance go with its sums: those were derived from all of them. */
static void put_marks(struct store_txn *t, struct inst *i)
{
	for (unsigned n = 0; n < NET_NICS; n++)
		if (i->p->marks[n].source[0])
			db_put_mark(t, i->id, n, &i->p->marks[n]);
	i->p->is_counted = false;
}

static void write_changes(struct inst_manager *m)
{
	struct usage_book *b = m->book;
	struct store_txn *t = store_txn_new(m->store);
	struct err err = ERR_INIT;
	bool is_all = b->must_rewrite, is_any = b->is_taking;

	for (size_t k = 0; k < m->n_insts; k++)
		if (m->insts[k]->p->is_counted || is_all) {
			put_marks(t, m->insts[k]);
			is_any = true;
		}
	for (size_t k = 0; k < b->n; k++)
		if (b->rows[k]->is_dirty || is_all) {
			db_put_usage(t, b->rows[k]);
			b->rows[k]->is_dirty = false;
			is_any = true;
		}
	if (!is_any) {
		store_txn_free(t);
		return;
	}
	b->must_rewrite = false;
	b->refs++;
	if (store_submit(t, on_written, b, &err) < 0)
		on_written(b, &err);
}

/* --- counting -------------------------------------------------------------------------------- */

static void count(struct inst *i, const struct net_usage *more)
{
	struct err err = ERR_INIT;

	i->p->is_counted = true;
	if (usage_is_zero(more))
		return;
	if (usage_book_add(i->manager->book, i, now_seconds(), more, &err) < 0)
		log_error("%s: %s", i->full_name, err_text(&err));
}

/* One table's readings of one instance. Marks are written when something was added, or when they
 * were another table's. */
static void count_inst(struct inst *i, const struct usage_table *t)
{
	size_t n;
	const struct usage_nic *nics = usage_table_find(t, i->id, &n);

	for (size_t k = 0; k < n; k++) {
		unsigned number = usage_nic_number(nics[k].name);
		struct usage_mark *mark;
		struct net_usage more;
		bool is_same;

		if (number >= NET_NICS)
			continue;
		mark = &i->p->marks[number];
		is_same = str_eq(mark->source, t->source);
		usage_advance(mark, t->source, &nics[k].raw, nics[k].missing, &more);
		if (!is_same || !usage_is_zero(&more))
			count(i, &more);
	}
}

static void prune(struct inst_manager *m)
{
	struct usage_book *b = m->book;
	struct store_txn *t;
	uint64_t before = period_month(now_seconds());

	/* A clock that is wrong at the boot has had a day to be set right; one that is far ahead of
	 * all that was counted is not believed. */
	if (now_usec() < b->prune_at || now_seconds() > b->newest + 100 * USAGE_DAY)
		return;
	b->prune_at = now_usec() + DAY_USEC;
	for (unsigned k = 0; k < USAGE_KEEP_MONTHS && before > 0; k++)
		before = period_month(before - 1);
	usage_book_prune(b, before);
	t = store_txn_new(m->store);
	db_prune_usage(t, before);
	(void)store_submit(t, NULL, NULL, NULL);
}

void usage_sample(struct inst_manager *m)
{
	struct usage_book *b = m->book;
	_cleanup_usage_table_ struct usage_table t = USAGE_TABLE_INIT;
	struct err err = ERR_INIT;

	if (!b->is_open || m->network->state != NETWORK_READY)
		return;
	if (usage_table_read(m, &m->network->filter, &t, &err) < 0) {
		log_warning("traffic cannot be counted now: %s", err_text(&err));
		return;
	}
	for (size_t k = 0; k < m->n_insts; k++)
		count_inst(m->insts[k], &t);
	b->read_at = now_seconds();
	write_changes(m);
	prune(m);
}

static uint64_t tick_of(const struct inst_manager *m)
{
	return m->host->sample < TICK_MAX ? m->host->sample : TICK_MAX;
}

/* A period may end between readings. */
void usage_tick(struct inst_manager *m)
{
	struct usage_book *b = m->book;

	if (now_usec() >= b->next_read) {
		b->next_read = now_usec() + m->host->sample - tick_of(m) / 2;
		usage_sample(m);
	}
	transfer_judge(m);
	write_changes(m);
}

static int on_sample(sd_event_source *s, uint64_t usec, void *arg)
{
	struct inst_manager *m = arg;

	(void)usec;
	usage_tick(m);
	(void)sd_event_source_set_time_relative(s, tick_of(m));
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

void usage_start(struct inst_manager *m)
{
	if (m->network->state == NETWORK_NONE || m->book->timer)
		return;
	if (sd_event_add_time_relative(m->event, &m->book->timer, CLOCK_MONOTONIC, tick_of(m), 0,
				       on_sample, m) < 0)
		log_error("no timer to count traffic by");
	/* A period may have ended while there was no vpsd. */
	transfer_judge(m);
}

void usage_close(struct inst_manager *m)
{
	struct usage_book *b = m->book;

	if (!b)
		return;
	b->timer = sd_event_source_disable_unref(b->timer);
	if (m->network && m->store)
		usage_sample(m);
	b->manager = NULL;
	m->book = NULL;
	book_unref(b);
}

/* --- one table after the other --------------------------------------------------------------- */

/* Everything that is read while one table takes over from others. */
struct change {
	struct inst_manager *m;
	struct net_filter *olds;
	size_t n_olds;
	struct usage_table before[NETWORK_TABLES], now, after[NETWORK_TABLES];
};

static void tables_done(struct usage_table *t, size_t n)
{
	for (size_t k = 0; k < n; k++)
		usage_table_done(&t[k]);
}

static int read_olds(struct change *c, struct usage_table *ret, struct err *err)
{
	bool is_last_try = c->m->book->tries + 1 >= USAGE_TRIES;
	int r = 0;

	tables_done(ret, c->n_olds);
	for (size_t k = 0; r >= 0 && k < c->n_olds; k++) {
		if (c->olds[k].sock.fd < 0)
			continue;
		r = usage_table_read(c->m, &c->olds[k], &ret[k], err);
		if (r >= 0 || !is_last_try)
			continue;
		log_error("an earlier packet filter cannot be read; its counters since the last "
			  "reading are lost: %s",
			  err_text(err));
		r = 0;
	}
	return r;
}

/* It counted last, and cannot be read: what others have counted is its own up to then. */
static bool is_unreadable(const struct change *c, const struct usage_mark *mark)
{
	char source[USAGE_SOURCE_TEXT];
	bool is = false;

	for (size_t k = 0; k < c->n_olds; k++)
		is |= c->olds[k].sock.fd >= 0 && !c->after[k].source[0] &&
		      usage_source(c->m, &c->olds[k], source, NULL) >= 0 &&
		      str_eq(source, mark->source);
	return is;
}

static const struct usage_nic *find_nic(const struct usage_table *t, const struct inst *i,
					unsigned number)
{
	size_t n;
	const struct usage_nic *nics = usage_table_find(t, i->id, &n);

	for (size_t k = 0; k < n; k++)
		if (usage_nic_number(nics[k].name) == number)
			return &nics[k];
	return NULL;
}

static uint64_t packets_of(const struct net_usage *u)
{
	uint64_t sum = 0;

	for (unsigned k = 0; k < USAGE_SLOTS; k++)
		sum += usage_slot_of(u, k)->packets;
	return sum;
}

/* Of the old tables that have counters of an interface the one that counted last; where none of
 * them did, the one that began first: it has counted all that the others have. */
static size_t choose_old(const struct change *c, const struct inst *i, unsigned number)
{
	size_t best = c->n_olds;
	uint64_t most = 0;

	if (is_unreadable(c, &i->p->marks[number]))
		return best;
	for (size_t k = 0; k < c->n_olds; k++) {
		const struct usage_nic *nic = find_nic(&c->after[k], i, number);

		if (!nic || !find_nic(&c->before[k], i, number))
			continue;
		if (str_eq(c->after[k].source, i->p->marks[number].source))
			return k;
		if (best == c->n_olds || packets_of(&nic->raw) > most) {
			best = k;
			most = packets_of(&nic->raw);
		}
	}
	return best;
}

/* True when it is known how far ahead the old table is. */
static bool look_at(const struct change *c, struct inst *i, unsigned number)
{
	size_t old = choose_old(c, i, number);
	const struct usage_nic *now = find_nic(&c->now, i, number), *before, *after;
	struct usage_lead *l = &i->p->leads[number];

	if (old == c->n_olds || !now)
		return true;
	before = find_nic(&c->before[old], i, number);
	after = find_nic(&c->after[old], i, number);
	if (!before || !after || before->missing || now->missing || after->missing)
		return false;
	usage_narrow(l, &before->raw, &now->raw, &after->raw);
	return l->is_exact;
}

/* Adds what the old table had when the new one was read, and goes on from there with the new one.
 * Who is not in the new one is counted to the end of the old. */
static void settle(const struct change *c, struct inst *i, unsigned number)
{
	size_t old = choose_old(c, i, number);
	const struct usage_nic *now = find_nic(&c->now, i, number);
	const struct usage_nic *end = old < c->n_olds ? find_nic(&c->after[old], i, number) : NULL;
	struct usage_mark *mark = &i->p->marks[number];
	struct net_usage last, more;

	if (!end)
		return;
	if (now && i->p->leads[number].is_known) {
		last = usage_led(&i->p->leads[number], &now->raw);
		usage_advance(mark, c->after[old].source, &last, now->missing, &more);
	} else {
		usage_advance(mark, c->after[old].source, &end->raw, end->missing, &more);
	}
	if (now)
		usage_advance(mark, c->now.source, &now->raw, now->missing, &last);
	count(i, &more);
}

static int look(struct change *c, bool *ret_exact, struct err *err)
{
	int r = read_olds(c, c->before, err);

	usage_table_done(&c->now);
	if (r >= 0)
		r = usage_table_read(c->m, &c->m->network->filter, &c->now, err);
	if (r >= 0)
		r = read_olds(c, c->after, err);
	*ret_exact = true;
	for (size_t k = 0; r >= 0 && k < c->m->n_insts; k++)
		for (unsigned n = 0; n < NET_NICS; n++)
			if (!look_at(c, c->m->insts[k], n))
				*ret_exact = false;
	return r < 0 ? r : 0;
}

static void forget_leads(struct inst_manager *m)
{
	for (size_t k = 0; k < m->n_insts; k++)
		memset(m->insts[k]->p->leads, 0, sizeof(m->insts[k]->p->leads));
}

static int count_olds(struct inst_manager *m, struct net_filter *olds, size_t n, struct err *err)
{
	struct change c = {.m = m, .olds = olds, .n_olds = n};
	bool is_exact = false;
	int r = 0;

	forget_leads(m);
	for (unsigned looks = 0; r >= 0 && !is_exact && looks < LOOKS_MAX; looks++)
		r = look(&c, &is_exact, err);
	for (size_t k = 0; r >= 0 && k < m->n_insts; k++)
		for (unsigned number = 0; number < NET_NICS; number++)
			settle(&c, m->insts[k], number);
	tables_done(c.before, n);
	tables_done(c.after, n);
	usage_table_done(&c.now);
	return r;
}

int usage_take_over(struct inst_manager *m, struct net_filter *olds, size_t n,
		    void (*done)(struct inst_manager *m), struct err *err)
{
	struct usage_book *b = m->book;
	bool is_any = false;
	int r;

	if (b->is_taking)
		return 0;
	for (size_t k = 0; k < n; k++)
		is_any = is_any || olds[k].sock.fd >= 0;
	if (is_any && !b->is_open) {
		r = count_olds(m, olds, n, err);
		b->tries = r < 0 ? b->tries + 1 : 0;
		if (r < 0)
			return r;
	}
	b->is_open = true;
	b->taken = done;
	if (!is_any) {
		done(m);
		return 0;
	}
	b->is_taking = true;
	write_changes(m);
	return 0;
}

bool usage_refers(const struct inst_manager *m, const struct net_filter *f)
{
	char source[USAGE_SOURCE_TEXT];

	if (usage_source(m, f, source, NULL) < 0)
		return true;
	for (size_t k = 0; k < m->n_insts; k++)
		for (unsigned n = 0; n < NET_NICS; n++)
			if (str_eq(m->insts[k]->p->marks[n].source, source))
				return true;
	return false;
}

/* --- the end of an instance ------------------------------------------------------------------ */

void usage_last(struct inst *i)
{
	if (i->net.n > 0)
		usage_sample(i->manager);
}

void usage_drop(struct inst *i)
{
	struct inst_manager *m = i->manager;
	char names[NET_NICS][IFNAMSIZ];
	char source[USAGE_SOURCE_TEXT];
	struct err err = ERR_INIT;
	struct net_nic nic;
	size_t n = 0;

	if (m->network->state != NETWORK_READY ||
	    usage_source(m, &m->network->filter, source, NULL) < 0)
		return;
	for (unsigned k = 0; k < NET_NICS; k++)
		if (str_eq(i->p->marks[k].source, source) &&
		    net_nic_init(&nic, i->id, k, NULL) >= 0)
			memcpy(names[n++], nic.host_name, IFNAMSIZ);
	if (usage_table_forget(m, (const char(*)[IFNAMSIZ])names, n, &err) < 0)
		log_warning("%s: its counters stay: %s", i->full_name, err_text(&err));
}

/* --- reading --------------------------------------------------------------------------------- */

const struct usage_row *usage_at(const struct inst_manager *m, size_t k)
{
	return k < m->book->n ? m->book->rows[k] : NULL;
}

uint64_t usage_read_at(const struct inst_manager *m)
{
	return m->book->read_at;
}

struct usage_row usage_period(const struct inst *i)
{
	struct usage_row like;
	const struct usage_row *row = usage_book_period(i->manager->book, i, now_seconds(), &like);

	return row ? *row : like;
}
