/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of numbers as large as an IPv6 address, kept as runs: what touches is one. Finding takes
 * steps with the logarithm of the number of runs, and a thousand neighbours are one run.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef unsigned __int128 number;

/* Both included. */
struct run {
	number first, last;
};

/* Zero = empty. */
struct runs {
	struct run *items; /* sorted, neither overlapping nor touching */
	size_t n, room;
	size_t n_parts; /* what was added and not removed: as many runs at the most */
};

void runs_done(struct runs *r);
/* Adds all of it, whatever is there already. -ENOMEM. */
int runs_add(struct runs *r, struct run one);
/* Takes out what was added before, and that exactly: needs no memory. */
void runs_remove(struct runs *r, const struct run *one);
/* The first run that has something of 'one'; NULL = none. Valid until the next change. */
const struct run *runs_meet(const struct runs *r, const struct run *one);
/* Whether all of it is there. */
bool runs_have(const struct runs *r, const struct run *one);
/* How many numbers of 'part' are there. */
number runs_count(const struct runs *r, const struct run *part);
/* Whether the part lies within the whole. */
bool run_has(const struct run *whole, const struct run *part);
