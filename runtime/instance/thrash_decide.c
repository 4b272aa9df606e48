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

static uint32_t share_of(const struct thrash_watch *w, const struct thrash_sample *s)
{
	uint64_t time = growth(w->last.at, s->at), stall = growth(w->last.stall, s->stall);

	if (!w->has_last || time == 0)
		return 0;
	/* The counter is read a moment after the clock. */
	return stall >= time ? WHOLE : (uint32_t)(stall * WHOLE / time);
}

/* Half of it once it thrashes. */
static bool is_pressed(const struct spec_thrash *rule, const struct thrash_watch *w, uint32_t share)
{
	uint64_t wanted = rule->memory_pressure * (WHOLE / 100);

	return share >= (w->since ? wanted / 2 : wanted);
}

static bool is_reading(const struct spec_thrash *rule, const struct thrash_watch *w,
		       const struct thrash_sample *s, uint64_t rate)
{
	if (!w->last.has_refaults || !s->has_refaults || s->hits <= w->last.hits)
		return false;
	return w->since ? rate * 2 >= rule->refaults : rate >= rule->refaults;
}

bool thrash_wants_refaults(const struct spec_thrash *rule, const struct thrash_watch *w,
			   const struct thrash_sample *s)
{
	return w->since || is_pressed(rule, w, share_of(w, s));
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

enum thrash_step thrash_decide(const struct spec_thrash *rule, struct thrash_watch *w,
			       const struct thrash_sample *s, bool is_throttled)
{
	uint64_t from = w->last.at, time = growth(w->last.at, s->at);
	bool has_window = w->has_last && time > 0, is_hot;

	w->share = share_of(w, s);
	w->rate = has_window && w->last.has_refaults && s->has_refaults
			  ? growth(w->last.refaults, s->refaults) * SECOND / time
			  : 0;
	is_hot = has_window && is_pressed(rule, w, w->share) &&
		 (is_throttled || is_reading(rule, w, s, w->rate));
	w->last = *s;
	w->has_last = true;
	if (!has_window)
		return THRASH_WAIT;
	return is_hot ? be_hot(rule, w, from, s->at) : be_calm(rule, w, from, s->at);
}
