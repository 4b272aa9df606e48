/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of user ids: a bitmap and a cursor that goes round. */
#include "runtime/instance/alloc.h"

#include <inttypes.h>
#include <stdlib.h>

#include "config/host.h"

#define BASE_MIN 100000u

struct alloc_ranges {
	uint64_t base;
	uint64_t count;
	uint64_t used;	/* index 0 included */
	uint64_t after; /* the highest that was ever taken, or the last one given */
	uint64_t bits[];
};

static bool is_taken(const struct alloc_ranges *a, uint64_t i)
{
	return a->bits[i / 64] & UINT64_C(1) << i % 64;
}

static void set_taken(struct alloc_ranges *a, uint64_t i)
{
	a->bits[i / 64] |= UINT64_C(1) << i % 64;
	a->used++;
}

int alloc_ranges_new(uint64_t base, uint64_t count, struct alloc_ranges **ret, struct err *err)
{
	struct alloc_ranges *a;

	if (base < BASE_MIN)
		return err_set(err, EINVAL,
			       "idmap.base %" PRIu64 " is below %u, where the host's own ids are",
			       base, BASE_MIN);
	/* 2^32 - 1 is the invalid id; the last range stays free. */
	if (count == 0 || count > UINT32_MAX / SPEC_IDMAP_RANGE ||
	    base + count * SPEC_IDMAP_RANGE > UINT32_MAX - SPEC_IDMAP_RANGE + 1)
		return err_set(err, ERANGE,
			       "idmap: %" PRIu64 " ranges from %" PRIu64
			       " do not fit below the last id",
			       count, base);
	a = calloc(1, sizeof(*a) + (count / 64 + 1) * sizeof(a->bits[0]));
	if (!a)
		return err_set(err, ENOMEM, "cannot allocate id ranges: out of memory");
	a->base = base;
	a->count = count;
	set_taken(a, 0);
	*ret = a;
	return 0;
}

void alloc_ranges_free(struct alloc_ranges *a)
{
	free(a);
}

int alloc_ranges_mark(struct alloc_ranges *a, uint64_t index, struct err *err)
{
	if (index == 0 || index >= a->count)
		return err_set(err, ERANGE,
			       "id range %" PRIu64 " is outside of idmap.count %" PRIu64, index,
			       a->count);
	if (is_taken(a, index))
		return err_set(err, EEXIST, "id range %" PRIu64 " is taken twice", index);
	set_taken(a, index);
	if (index > a->after)
		a->after = index;
	return 0;
}

int alloc_ranges_take(struct alloc_ranges *a, uint64_t *ret_index, struct err *err)
{
	for (uint64_t step = 1; step <= a->count; step++) {
		uint64_t i = (a->after + step) % a->count;

		if (is_taken(a, i))
			continue;
		set_taken(a, i);
		a->after = i;
		*ret_index = i;
		return 0;
	}
	(void)err_set(err, ENOSPC, "no id range is free: all %" PRIu64 " for instances are taken",
		      a->count - 1);
	return err_hint(err, "raise idmap.count in the host document, or delete an instance");
}

void alloc_ranges_release(struct alloc_ranges *a, uint64_t index)
{
	if (index == 0 || index >= a->count || !is_taken(a, index))
		return;
	a->bits[index / 64] &= ~(UINT64_C(1) << index % 64);
	a->used--;
}

uint32_t alloc_ranges_base(const struct alloc_ranges *a, uint64_t index)
{
	return (uint32_t)(a->base + index * SPEC_IDMAP_RANGE);
}

uint64_t alloc_ranges_free_count(const struct alloc_ranges *a)
{
	return a->count - a->used;
}
