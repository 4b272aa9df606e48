/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a guest is stuck at its memory limit, from readings of the kernel's counters: pure, the
 * caller reads and acts (thrash.c).
 *
 * It thrashes while, between two readings, nothing in it got on for the given share of the time,
 * it read the given number of pages again, and it met its own limit: all three, as each alone is
 * ordinary. Pressure without refaults is a guest that memory.high slows as its plan says, refaults
 * without pressure a server that reads much, and both without its own limit a host that is short of
 * memory, which is no fault of the guest's.
 *
 * What it waits for is memory, as the kernel has it, or the disk while next to nothing of its
 * memory is left for files. The kernel alone is not enough: it counts a wait for a page as one for
 * memory if the page comes back before as many others were given up as are active, and with a cache
 * that small hardly any does (mm/workingset.c, without swap). The disk alone is not either: a
 * server whose files are larger than its memory waits for it as well, and nothing is to be won
 * there.
 *
 * Once it thrashes, half of pressure and refaults is enough to go on, so that a thrasher at the
 * edge is not forgotten with each reading.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/host.h"

/* Counters; see cgroups/strain.h. */
struct thrash_sample {
	uint64_t at;	       /* microseconds, monotonic */
	uint64_t memory_stall; /* microseconds */
	uint64_t io_stall;     /* microseconds */
	bool has_refaults;     /* the three below were read */
	uint64_t refaults;     /* pages */
	uint64_t hits;
	uint64_t cache; /* bytes, now */
};

enum thrash_step {
	THRASH_WAIT, /* nothing is to be done */
	THRASH_ACT,  /* it has thrashed for as long as is allowed, anew or still */
	THRASH_OVER, /* it was acted on, and has not thrashed for as long since */
	THRASH_STEP_MAX,
};

struct thrash_watch {
	bool has_last;
	struct thrash_sample last;
	uint64_t since; /* when this episode began; 0 = it does not thrash */
	uint64_t hot;	/* when the present run of hot readings began; 0 = the last was calm */
	uint64_t calm;	/* when the present run of calm ones began; 0 = the last was hot */
	uint64_t acted; /* the last THRASH_ACT of this episode */
	unsigned steps; /* how many there were */
	/* Between the last two readings. */
	uint32_t memory_share, io_share; /* hundredths of a per cent of the time */
	uint64_t rate;			 /* refaults a second; 0 where they were not read twice */
};

/* How long from one reading to the next, in microseconds. */
uint64_t thrash_interval(const struct spec_thrash *rule);
/* Whether the refaults are worth reading for a sample that has none yet. */
bool thrash_wants_refaults(const struct spec_thrash *rule, const struct thrash_watch *w,
			   const struct thrash_sample *s);
struct thrash_guest {
	uint64_t limit;	   /* bytes of memory */
	bool is_throttled; /* its reads are held back, so that their number says nothing */
};

/* Takes a reading, says what is to be done. A zeroed watch is a guest that was not looked at yet:
 * zero it when it is another boot, or was stopped or frozen meanwhile. */
enum thrash_step thrash_decide(const struct spec_thrash *rule, const struct thrash_guest *g,
			       struct thrash_watch *w, const struct thrash_sample *s);
