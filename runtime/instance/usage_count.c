/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic of counters: differences, restarts, and two that count the same. */
#include <string.h>

#include "base/str.h"
#include "runtime/instance/usage_private.h"

struct net_counter *usage_slot(struct net_usage *u, unsigned slot)
{
	return slot < NET_WAY_MAX ? &u->v4[slot] : &u->v6[slot - NET_WAY_MAX];
}

const struct net_counter *usage_slot_of(const struct net_usage *u, unsigned slot)
{
	return slot < NET_WAY_MAX ? &u->v4[slot] : &u->v6[slot - NET_WAY_MAX];
}

void usage_add(struct net_usage *sum, const struct net_usage *more)
{
	for (unsigned k = 0; k < USAGE_SLOTS; k++) {
		usage_slot(sum, k)->bytes += usage_slot_of(more, k)->bytes;
		usage_slot(sum, k)->packets += usage_slot_of(more, k)->packets;
	}
}

bool usage_is_zero(const struct net_usage *u)
{
	for (unsigned k = 0; k < USAGE_SLOTS; k++)
		if (usage_slot_of(u, k)->bytes || usage_slot_of(u, k)->packets)
			return false;
	return true;
}

uint64_t usage_public(const struct net_usage *u, enum spec_transfer_count count)
{
	uint64_t in = u->v4[NET_IN_PUBLIC].bytes + u->v6[NET_IN_PUBLIC].bytes;
	uint64_t out = u->v4[NET_OUT_PUBLIC].bytes + u->v6[NET_OUT_PUBLIC].bytes;

	switch (count) {
	case SPEC_TRANSFER_IN:
		return in;
	case SPEC_TRANSFER_OUT:
		return out;
	case SPEC_TRANSFER_LARGER:
		return in > out ? in : out;
	case SPEC_TRANSFER_TOTAL:
	case SPEC_TRANSFER_COUNT_MAX:
		break;
	}
	return in + out;
}

void usage_advance(struct usage_mark *mark, const char *source, const struct net_usage *raw,
		   unsigned missing, struct net_usage *ret)
{
	bool is_same = str_eq(mark->source, source);
	struct net_usage now = *raw;

	for (unsigned k = 0; k < USAGE_SLOTS; k++) {
		const struct net_counter *was = usage_slot_of(&mark->raw, k);
		const struct net_counter *is = usage_slot_of(raw, k);
		struct net_counter *to = usage_slot(ret, k);

		if (missing & 1u << k) {
			*usage_slot(&now, k) = is_same ? *was : (struct net_counter){0};
			*to = (struct net_counter){0};
			continue;
		}

		*to = *is;
		if (is_same && is->bytes >= was->bytes && is->packets >= was->packets) {
			to->bytes -= was->bytes;
			to->packets -= was->packets;
		}
	}
	mark->raw = now;
	if (!is_same)
		(void)str_copy(mark->source, sizeof(mark->source), source);
}

void usage_narrow(struct usage_lead *l, const struct net_usage *before, const struct net_usage *now,
		  const struct net_usage *after)
{
	l->is_exact = true;
	for (unsigned k = 0; k < USAGE_SLOTS; k++) {
		const struct net_counter *a = usage_slot_of(before, k);
		const struct net_counter *b = usage_slot_of(now, k);
		const struct net_counter *c = usage_slot_of(after, k);
		int64_t bytes = (int64_t)(a->bytes - b->bytes);
		int64_t packets = (int64_t)(a->packets - b->packets);

		if (!l->is_known || bytes > l->slots[k].bytes)
			l->slots[k].bytes = bytes;
		if (!l->is_known || packets > l->slots[k].packets)
			l->slots[k].packets = packets;
		l->is_exact = l->is_exact && l->slots[k].bytes == (int64_t)(c->bytes - b->bytes) &&
			      l->slots[k].packets == (int64_t)(c->packets - b->packets);
	}
	l->is_known = true;
}

struct net_usage usage_led(const struct usage_lead *l, const struct net_usage *now)
{
	struct net_usage led = *now;

	for (unsigned k = 0; k < USAGE_SLOTS; k++) {
		usage_slot(&led, k)->bytes += (uint64_t)l->slots[k].bytes;
		usage_slot(&led, k)->packets += (uint64_t)l->slots[k].packets;
	}
	return led;
}
