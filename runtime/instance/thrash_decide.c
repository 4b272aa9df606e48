/* SPDX-License-Identifier: Apache-2.0 */
/* The decision on a guest that may be stuck at its memory limit: thrash.h says what and why. */
#include "runtime/instance/thrash.h"

#define SECOND UINT64_C(1000000)
#define INTERVAL_MAX (10 * SECOND)
#define INTERVALS 6 /* readings until something is done */
#define WHOLE 10000 /* hundredths of a per cent */

uint64_t thrash_interval(const struct spec_thrash *rule)
{
	uint64_t usec = rule->after / INTERVALS;

	return usec < SECOND ? SECOND : usec > INTERVAL_MAX ? INTERVAL_MAX : usec;
}

/* A counter that went down was reset: nothing is known of the time between. */
static uint64_t growth(uint64_t from, uint64_t to)
{
	return to > from ? to - from : 0;
}

/* Of the time since the last reading. */
static uint32_t share_of(const struct thrash_watch *w, const struct thrash_sample *s, uint64_t from,
			 uint64_t to)
{
	uint64_t time = growth(w->last.at, s->at), stall = growth(from, to);

	if (!w->has_last || time == 0)
		return 0;
	/* The counter is read a moment after the clock. */
	return stall >= time ? WHOLE : (uint32_t)(stall * WHOLE / time);
}

static void take_shares(struct thrash_watch *w, const struct thrash_sample *s)
{
	w->memory_share = share_of(w, s, w->last.memory_stall, s->memory_stall);
	w->io_share = share_of(w, s, w->last.io_stall, s->io_stall);
}

/* Half of it once it thrashes. */
static bool is_much(const struct spec_thrash *rule, const struct thrash_watch *w, uint32_t share)
{
	uint64_t wanted = rule->pressure * (WHOLE / 100);

	return share >= (w->since ? wanted / 2 : wanted);
}

static bool is_squeezed(const struct spec_thrash *rule, const struct thrash_guest *g,
			const struct thrash_sample *s)
{
	return s->has_refaults && s->cache < g->limit / 100 * rule->cache;
}

static bool is_reading(const struct spec_thrash *rule, const struct thrash_watch *w,
		       const struct thrash_sample *s)
{
	if (!w->last.has_refaults || !s->has_refaults || s->hits <= w->last.hits)
		return false;
	return w->since ? w->rate * 2 >= rule->refaults : w->rate >= rule->refaults;
}

static bool is_hot(const struct spec_thrash *rule, const struct thrash_guest *g,
		   const struct thrash_watch *w, const struct thrash_sample *s)
{
	return (is_much(rule, w, w->memory_share) ||
		(is_much(rule, w, w->io_share) && is_squeezed(rule, g, s))) &&
	       (g->is_throttled || is_reading(rule, w, s));
}

bool thrash_wants_refaults(const struct spec_thrash *rule, const struct thrash_watch *w,
			   const struct thrash_sample *s)
{
	struct thrash_watch copy = *w;

	take_shares(&copy, s);
	return w->since || is_much(rule, w, copy.memory_share) || is_much(rule, w, copy.io_share);
}

/* What is done is done once where doing it again changes nothing. */
static bool is_done(const struct spec_thrash *rule, const struct thrash_watch *w)
{
	return w->steps > 0 &&
	       (rule->action == SPEC_THRASH_NONE || rule->action == SPEC_THRASH_THROTTLE);
}

static void end_episode(struct thrash_watch *w)
{
	w->since = w->hot = w->calm = w->acted = 0;
	w->steps = 0;
}

static enum thrash_step be_hot(const struct spec_thrash *rule, struct thrash_watch *w,
			       uint64_t from, uint64_t now)
{
	uint64_t begin;

	w->calm = 0;
	w->hot = w->hot ? w->hot : from;
	w->since = w->since ? w->since : from;
	begin = w->acted > w->hot ? w->acted : w->hot;
	if (is_done(rule, w) || now - begin < rule->after)
		return THRASH_WAIT;
	w->acted = now;
	w->steps++;
	return THRASH_ACT;
}

static enum thrash_step be_calm(const struct spec_thrash *rule, struct thrash_watch *w,
				uint64_t from, uint64_t now)
{
	w->hot = 0;
	if (!w->since)
		return THRASH_WAIT;
	w->calm = w->calm ? w->calm : from;
	if (w->steps > 0 && now - w->calm < rule->after)
		return THRASH_WAIT;
	/* One that nothing was done to is forgotten at once. */
	if (w->steps == 0) {
		end_episode(w);
		return THRASH_WAIT;
	}
	end_episode(w);
	return THRASH_OVER;
}

enum thrash_step thrash_decide(const struct spec_thrash *rule, const struct thrash_guest *g,
			       struct thrash_watch *w, const struct thrash_sample *s)
{
	uint64_t from = w->last.at, time = growth(from, s->at);
	bool has_window = w->has_last && time > 0, hot;

	take_shares(w, s);
	w->rate = has_window && w->last.has_refaults && s->has_refaults
			  ? growth(w->last.refaults, s->refaults) * SECOND / time
			  : 0;
	hot = has_window && is_hot(rule, g, w, s);
	w->last = *s;
	w->has_last = true;
	if (!has_window)
		return THRASH_WAIT;
	return hot ? be_hot(rule, w, from, s->at) : be_calm(rule, w, from, s->at);
}
