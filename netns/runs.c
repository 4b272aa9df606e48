/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of numbers: a sorted array. */
#include "netns/runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool run_has(const struct run *whole, const struct run *part)
{
	return whole->first <= part->first && part->last <= whole->last;
}

void runs_done(struct runs *r)
{
	free(r->items);
	*r = (struct runs){0};
}

/* The first run that does not end before n. */
static size_t runs_at(const struct runs *r, number n)
{
	size_t lo = 0, hi = r->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->items[mid].last < n)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct run *runs_meet(const struct runs *r, const struct run *one)
{
	size_t i = runs_at(r, one->first);

	return i < r->n && r->items[i].first <= one->last ? &r->items[i] : NULL;
}

bool runs_have(const struct runs *r, const struct run *one)
{
	const struct run *met = runs_meet(r, one);

	return met && run_has(met, one);
}

/* Room for every part to be a run by itself: what is removed later needs no memory. */
static int runs_grow(struct runs *r)
{
	size_t room = r->room ? r->room * 2 : 8;
	size_t most = r->n > r->n_parts ? r->n : r->n_parts;
	struct run *grown;

	if (most + 1 < r->room)
		return 0;
	grown = reallocarray(r->items, room, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	r->items = grown;
	r->room = room;
	return 0;
}

int runs_add(struct runs *r, struct run one)
{
	size_t from, to;

	if (runs_grow(r) < 0)
		return -ENOMEM;
	from = to = runs_at(r, one.first > 0 ? one.first - 1 : 0);
	while (to < r->n && (r->items[to].first <= one.last || r->items[to].first - 1 == one.last))
		to++;
	if (to > from) {
		if (r->items[from].first < one.first)
			one.first = r->items[from].first;
		if (r->items[to - 1].last > one.last)
			one.last = r->items[to - 1].last;
	}
	memmove(r->items + from + 1, r->items + to, (r->n - to) * sizeof(one));
	r->items[from] = one;
	r->n = r->n + 1 - (to - from);
	r->n_parts++;
	return 0;
}

void runs_remove(struct runs *r, const struct run *one)
{
	size_t i = runs_at(r, one->first);
	const struct run left = {r->items[i].first, one->first - 1};
	const struct run right = {one->last + 1, r->items[i].last};
	const bool has_left = left.first < one->first;
	const bool has_right = one->last < right.last;
	size_t n = (size_t)has_left + (size_t)has_right;

	/* A part of what was added: it stays rather than writing beyond the end. */
	if (r->n_parts == 0 || r->n - 1 + n > r->room)
		return;
	memmove(r->items + i + n, r->items + i + 1, (r->n - i - 1) * sizeof(*one));
	r->n = r->n + n - 1;
	if (has_left)
		r->items[i++] = left;
	if (has_right)
		r->items[i] = right;
	r->n_parts--;
}

number runs_count(const struct runs *r, const struct run *part)
{
	number sum = 0;

	for (size_t i = runs_at(r, part->first); i < r->n && r->items[i].first <= part->last; i++) {
		number first = r->items[i].first, last = r->items[i].last;

		first = first < part->first ? part->first : first;
		last = last > part->last ? part->last : last;
		sum += last - first + 1;
	}
	return sum;
}
