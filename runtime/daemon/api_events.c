/* SPDX-License-Identifier: Apache-2.0 */
/* What happened: a page of the events behind a cursor, or the latest. */
#include "runtime/daemon/api.h"

#include "base/num.h"
#include "base/str.h"
#include "runtime/instance/events.h"

#define LIMIT_DEFAULT 100u
#define LIMIT_MAX 1000u

struct wanted {
	const char *instance; /* NULL = all */
	uint64_t since;
	uint64_t limit;
	bool has_since;
};

static int query_number(struct request *rq, const char *key, uint64_t min, uint64_t max,
			uint64_t *ret, struct err *err)
{
	const char *text = request_query(rq, key);
	char shown[64];

	if (!text)
		return 0;
	if (num_parse_u64(text, min, max, ret) == 0)
		return 1;
	str_escape(shown, sizeof(shown), text);
	return err_set(err, EINVAL, "%s: \"%s\" is not a number from %llu to %llu", key, shown,
		       (unsigned long long)min, (unsigned long long)max);
}

static int read_query(struct request *rq, struct wanted *ret, struct err *err)
{
	struct wanted w = {.limit = LIMIT_DEFAULT, .instance = request_query(rq, "instance")};
	int r = query_number(rq, "since", 0, INT64_MAX, &w.since, err);

	w.has_since = r > 0;
	if (r >= 0)
		r = query_number(rq, "limit", 1, LIMIT_MAX, &w.limit, err);
	if (r < 0)
		return r;
	*ret = w;
	return 0;
}

static bool is_wanted(const struct wanted *w, const struct event *e)
{
	return !w->instance || str_eq(w->instance, e->name);
}

static json_t *event_json(const struct event *e)
{
	return json_pack("{s:I, s:o, s:s, s:s, s:s, s:s, s:O?}", "cursor", (json_int_t)e->cursor,
			 "time", api_time(e->time), "kind", e->kind, "instance", e->name,
			 "instance_id", e->instance_id, "message", e->message, "details",
			 e->details);
}

/* How many of the wanted ones come before the last 'limit' of them. */
static uint64_t count_older(const struct inst_manager *m, const struct wanted *w)
{
	const struct event *e = inst_event_next(m, 0);
	uint64_t n = 0;

	for (; e; e = inst_event_next(m, e->cursor))
		n += is_wanted(w, e);
	return n > w->limit ? n - w->limit : 0;
}

int api_events_list(struct request *rq, struct err *err)
{
	const struct inst_manager *m = api_of(rq)->manager;
	uint64_t next, skip, oldest = inst_event_oldest(m), newest = inst_event_newest(m);
	struct wanted w;
	json_t *a;
	bool missed;
	int r = read_query(rq, &w, err);

	if (r < 0)
		return r;
	a = json_array();
	next = w.since;
	skip = w.has_since ? 0 : count_older(m, &w);
	missed = w.has_since && (w.since > newest || (oldest > 0 && w.since + 1 < oldest));
	for (const struct event *e = inst_event_next(m, w.since); e && json_array_size(a) < w.limit;
	     e = inst_event_next(m, e->cursor)) {
		next = e->cursor;
		if (!is_wanted(&w, e))
			continue;
		if (skip > 0)
			skip--;
		else
			(void)json_array_append_new(a, event_json(e));
	}
	request_json(rq, 200,
		     json_pack("{s:o, s:I, s:b, s:s}", "events", a, "next",
			       (json_int_t)(next > newest ? newest : next), "missed", (int)missed,
			       "source", inst_event_source(m)));
	return 0;
}
