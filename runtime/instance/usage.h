/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What instances have sent and received, by calendar month and by billing period (period.h): bytes
 * of layer 3 and packets, as the packet filter counts them (netns/filter.h). Read every now and
 * then (the host document's "sample"), kept in the database, and by the API read from memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rand.h"
#include "config/plan.h"
#include "netns/filter.h"

struct inst;
struct inst_manager;

/* Of months and of periods that are over: kept at least so long. */
#define USAGE_KEEP_MONTHS 24u

/* Numbers stand in the database: append only. */
enum usage_kind {
	USAGE_MONTH,
	USAGE_PERIOD,
	USAGE_KIND_MAX,
};

/* One instance in one month or period; it may have been deleted since. */
struct usage_row {
	char id[ID_TEXT];
	char name[130]; /* "acme/web1" as it was called last */
	enum usage_kind kind;
	uint64_t start, end; /* seconds since the epoch; the end is not part of it, 0 = none */
	struct net_usage sum;
	unsigned said; /* percent of the transfer that an event was about: 0, 80, 100 */
	bool is_dirty; /* the database does not know it yet */
};

/* Sorted by id, kind and start; NULL = the end. Valid until the loop goes on. */
const struct usage_row *usage_at(const struct inst_manager *m, size_t k);
/* Seconds since the epoch of the last reading; 0 = none yet. */
uint64_t usage_read_at(const struct inst_manager *m);

/* The billing period that an instance is in now, with nothing counted where there was nothing to
 * count yet. */
struct usage_row usage_period(const struct inst *i);
/* Bytes of public traffic, both families, as a transfer counts them. */
uint64_t usage_public(const struct net_usage *u, enum spec_transfer_count count);
