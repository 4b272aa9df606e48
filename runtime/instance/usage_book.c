/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of all months and billing periods in memory, and which of them a reading belongs to. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "runtime/instance/period.h"
#include "runtime/instance/private.h"
#include "runtime/instance/usage_private.h"

/* A clock that is set right is set back by less; one that was wrong altogether is not believed. */

/* --- tables of counters ---------------------------------------------------------------------- */

#define ID_DIGITS 12u /* of an id, in the name of an interface */
#define NAME_DIGITS (2u + ID_DIGITS)

void usage_table_done(struct usage_table *t)
{
	free(t->nics);
	*t = USAGE_TABLE_INIT;
}

const struct usage_nic *usage_table_find(const struct usage_table *t, const char *id, size_t *ret_n)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strncmp(t->nics[mid].name + 2, id, ID_DIGITS) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (*ret_n = 0; lo + *ret_n < t->n; ++*ret_n)
		if (strncmp(t->nics[lo + *ret_n].name + 2, id, ID_DIGITS) != 0)
			break;
	return &t->nics[lo];
}

unsigned usage_nic_number(const char *name)
{
	return (unsigned)(name[NAME_DIGITS] - '0');
}

/* --- rows ------------------------------------------------------------------------------------ */

static int compare(const struct usage_row *row, const char *id, enum usage_kind kind,
		   uint64_t start)
{
	int r = strcmp(row->id, id);

	if (r == 0 && row->kind != kind)
		r = row->kind < kind ? -1 : 1;
	if (r == 0 && row->start != start)
		r = row->start < start ? -1 : 1;
	return r;
}

/* Position of the first row that does not sort before that one. */
static size_t position(const struct usage_book *b, const char *id, enum usage_kind kind,
		       uint64_t start)
{
	size_t lo = 0, hi = b->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (compare(b->rows[mid], id, kind, start) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct usage_row *find(const struct usage_book *b, const char *id, enum usage_kind kind,
			      uint64_t start)
{
	size_t at = position(b, id, kind, start);

	return at < b->n && compare(b->rows[at], id, kind, start) == 0 ? b->rows[at] : NULL;
}

static struct usage_row *insert(struct usage_book *b, const struct usage_row *like)
{
	size_t at = position(b, like->id, like->kind, like->start);
	struct usage_row *row = malloc(sizeof(*row));

	if (row && b->n == b->room) {
		size_t room = b->room ? 2 * b->room : 64;
		struct usage_row **grown = reallocarray(b->rows, room, sizeof(struct usage_row *));

		if (!grown) {
			free(row);
			return NULL;
		}
		b->rows = grown;
		b->room = room;
	}
	if (!row)
		return NULL;
	*row = *like;
	memmove(&b->rows[at + 1], &b->rows[at], (b->n - at) * sizeof(struct usage_row *));
	b->rows[at] = row;
	b->n++;
	if (row->kind == USAGE_MONTH && row->start > b->newest)
		b->newest = row->start;
	return row;
}

int usage_book_load(struct usage_book *b, const struct usage_row *like, struct err *err)
{
	if (find(b, like->id, like->kind, like->start))
		return 0;
	return insert(b, like) ? 0 : err_set(err, ENOMEM, "cannot load usage: out of memory");
}

void usage_book_prune(struct usage_book *b, uint64_t before)
{
	size_t kept = 0;

	for (size_t k = 0; k < b->n; k++) {
		struct usage_row *row = b->rows[k];

		if (row->end > 0 && row->end <= before)
			free(row);
		else
			b->rows[kept++] = row;
	}
	b->n = kept;
}

void usage_book_done(struct usage_book *b)
{
	for (size_t k = 0; k < b->n; k++)
		free(b->rows[k]);
	free(b->rows);
	b->rows = NULL;
	b->n = b->room = 0;
}

/* --- which row ------------------------------------------------------------------------------- */

static struct usage_row *month_row(struct usage_book *b, const struct inst *i, uint64_t now)
{
	uint64_t t = b->newest > now && b->newest - now < USAGE_DAY ? b->newest : now;
	struct usage_row like = {
		.kind = USAGE_MONTH, .start = period_month(t), .end = period_month_after(t)};
	struct usage_row *row = find(b, i->id, USAGE_MONTH, like.start);

	memcpy(like.id, i->id, sizeof(like.id));
	return row ? row : insert(b, &like);
}

/* The last period that has begun; NULL = none. One that a wrong clock has begun is passed over. */
static struct usage_row *last_period(const struct usage_book *b, const struct inst *i, uint64_t now)
{
	size_t at = position(b, i->id, USAGE_PERIOD, now + USAGE_DAY);
	struct usage_row *row = at > 0 ? b->rows[at - 1] : NULL;

	return row && row->kind == USAGE_PERIOD && str_eq(row->id, i->id) ? row : NULL;
}

struct usage_row *usage_book_period(struct usage_book *b, const struct inst *i, uint64_t now,
				    struct usage_row *ret)
{
	enum spec_transfer_reset reset = i->effective.network.transfer.reset;
	uint64_t end = period_end(reset, i->created, now);
	struct usage_row *last = last_period(b, i, now);

	if (last && (last->end == 0 || now < last->end)) {
		/* Another rule holds: it ends when the first of both says so. */
		uint64_t t = now > last->start ? now : last->start;

		end = period_end(reset, i->created, t);
		if (end > 0 && last->end > 0 && last->end < end)
			end = last->end;
		if (end != last->end) {
			last->end = end;
			last->is_dirty = true;
		}
		return last;
	}
	*ret = (struct usage_row){
		.kind = USAGE_PERIOD, .start = period_start(reset, i->created, now), .end = end};
	if (last && ret->start < last->end)
		ret->start = last->end;
	memcpy(ret->id, i->id, sizeof(ret->id));
	memcpy(ret->name, i->full_name, sizeof(ret->name));
	return NULL;
}

static void add_to(struct usage_row *row, const struct inst *i, const struct net_usage *more)
{
	memcpy(row->name, i->full_name, sizeof(row->name));
	usage_add(&row->sum, more);
	row->is_dirty = true;
}

int usage_book_add(struct usage_book *b, const struct inst *i, uint64_t now,
		   const struct net_usage *more, struct err *err)
{
	struct usage_row like;
	struct usage_row *month = month_row(b, i, now), *period;

	period = usage_book_period(b, i, now, &like);
	if (!period)
		period = insert(b, &like);
	if (!month || !period)
		return err_set(err, ENOMEM, "cannot count traffic: out of memory");
	add_to(month, i, more);
	add_to(period, i, more);
	return 0;
}
