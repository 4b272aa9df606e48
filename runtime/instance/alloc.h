/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges of user ids: index i stands for the host ids [base + i * 65536, + 65536). Index 0 belongs
 * to jobs. Freed indexes are used again only after all higher ones were tried, so that files which
 * were forgotten somewhere do not fall to the next instance at once. Pure: no kernel, no database.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct alloc_ranges;

/* 'base' is the first host id, 'count' the number of ranges, index 0 included. -ERANGE when the
 * last id would not fit below 2^32 - 65536, -EINVAL when base is below 100000. */
int alloc_ranges_new(uint64_t base, uint64_t count, struct alloc_ranges **ret, struct err *err);
void alloc_ranges_free(struct alloc_ranges *a);
/* Marks an index as taken (loading); -EEXIST when it is, -ERANGE when it is 0 or out of range. */
int alloc_ranges_mark(struct alloc_ranges *a, uint64_t index, struct err *err);
/* Takes a free index. -ENOSPC says how many there are and what to raise. */
int alloc_ranges_take(struct alloc_ranges *a, uint64_t *ret_index, struct err *err);
/* Gives an index back; one that is not taken is ignored. */
void alloc_ranges_release(struct alloc_ranges *a, uint64_t index);
/* First host id of an index. */
uint32_t alloc_ranges_base(const struct alloc_ranges *a, uint64_t index);
uint64_t alloc_ranges_free_count(const struct alloc_ranges *a);
