/* SPDX-License-Identifier: Apache-2.0 */
/* What instances have sent and received, by month or by billing period. */
#include "runtime/daemon/api.h"

#include <string.h>
#include <time.h>

#include "base/str.h"
#include "runtime/instance/period.h"
#include "runtime/instance/usage.h"

struct wanted {
	const char *tenant, *instance; /* NULL = all */
	enum usage_kind kind;
	uint64_t month; /* of USAGE_MONTH */
};

static json_t *counter_json(const struct net_counter *c)
{
	return json_pack("{s:I, s:I}", "bytes", (json_int_t)c->bytes, "packets",
			 (json_int_t)c->packets);
}

static json_t *family_json(const struct net_counter c[NET_WAY_MAX])
{
	return json_pack("{s:{s:o, s:o}, s:{s:o, s:o}}", "public", "in",
			 counter_json(&c[NET_IN_PUBLIC]), "out", counter_json(&c[NET_OUT_PUBLIC]),
			 "private", "in", counter_json(&c[NET_IN_PRIVATE]), "out",
			 counter_json(&c[NET_OUT_PRIVATE]));
}

static json_t *row_json(const struct inst_manager *m, const struct usage_row *row)
{
	return json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:o}", "instance", row->name,
			 "instance_id", row->id, "deleted", !inst_find_by_id(m, row->id), "from",
			 api_time(row->start), "to", api_time(row->end), "ipv4",
			 family_json(row->sum.v4), "ipv6", family_json(row->sum.v6));
}

static bool is_of_tenant(const struct usage_row *row, const char *tenant)
{
	size_t n = strlen(tenant);

	return strncmp(row->name, tenant, n) == 0 && row->name[n] == '/';
}

static bool is_whose(const struct wanted *w, const struct usage_row *row)
{
	return (!w->tenant || is_of_tenant(row, w->tenant)) &&
	       (!w->instance || str_eq(row->name, w->instance));
}

static bool is_wanted(const struct wanted *w, const struct usage_row *row)
{
	return is_whose(w, row) && row->kind == w->kind &&
	       (w->kind == USAGE_PERIOD || row->start == w->month);
}

/* A name that is nobody's, and never was as far as is known. */
static int check_names(const struct inst_manager *m, const struct wanted *w, struct err *err)
{
	const char *slash = w->instance ? strchr(w->instance, '/') : NULL;
	const struct usage_row *row;
	const struct inst *i;
	char shown[160];

	if (!w->tenant && !w->instance)
		return 0;
	for (size_t k = 0; (row = usage_at(m, k)); k++)
		if (is_whose(w, row))
			return 0;
	for (size_t k = 0; slash && (i = inst_at(m, k)); k++)
		if (str_eq(i->full_name, w->instance))
			return 0;
	if (!w->instance && catalog_tenant(inst_catalog(m), w->tenant))
		return 0;
	str_escape(shown, sizeof(shown), w->instance ? w->instance : w->tenant);
	(void)err_set(err, ENOENT, "there is no %s '%s', and no usage of one",
		      w->instance ? "instance" : "tenant", shown);
	return err_hint(err, "'vps ls' lists the instances; those that were deleted are shown "
			     "without a name");
}

static int read_query(struct request *rq, struct wanted *ret, struct err *err)
{
	const char *month = request_query(rq, "month");
	struct wanted w = {.tenant = request_query(rq, "tenant"),
			   .instance = request_query(rq, "instance"),
			   .month = period_month((uint64_t)time(NULL))};
	int r = 0;

	if (request_query_bool(rq, "periods"))
		w.kind = USAGE_PERIOD;
	if (month && w.kind == USAGE_PERIOD)
		return err_set(err, EINVAL, "month: periods are listed whole, without a month");
	if (month)
		r = period_month_parse(month, &w.month, err);
	if (r >= 0)
		r = check_names(api_of(rq)->manager, &w, err);
	if (r >= 0)
		*ret = w;
	return r;
}

int api_usage_list(struct request *rq, struct err *err)
{
	const struct inst_manager *m = api_of(rq)->manager;
	const struct usage_row *row;
	char month[PERIOD_MONTH_TEXT];
	struct wanted w;
	int r = read_query(rq, &w, err);
	json_t *a;

	if (r < 0)
		return r;
	a = json_array();
	for (size_t k = 0; (row = usage_at(m, k)); k++)
		if (is_wanted(&w, row))
			(void)json_array_append_new(a, row_json(m, row));
	period_month_format(month, w.month);
	request_json(rq, 200,
		     json_pack("{s:o, s:o, s:o}", "month",
			       w.kind == USAGE_MONTH ? json_string(month) : json_null(), "read",
			       api_time(usage_read_at(m)), "usage", a));
	return 0;
}

static json_t *over_json(const struct spec_transfer_over *o)
{
	if (o->suspend)
		return json_pack("{s:b}", "suspend", 1);
	if (o->throttle != JSON_UNLIMITED)
		return json_pack("{s:I}", "throttle", (json_int_t)o->throttle);
	return json_pack("{s:b}", "bill", 1);
}

json_t *api_transfer(const struct inst *i)
{
	const struct spec_transfer *t = &i->effective.network.transfer;
	const struct usage_row p = usage_period(i);
	uint64_t used = usage_public(&p.sum, t->count);

	return json_pack("{s:o, s:I, s:s, s:s, s:o, s:o, s:o, s:b}", "monthly",
			 t->monthly == JSON_UNLIMITED ? json_null()
						      : json_integer((json_int_t)t->monthly),
			 "used", (json_int_t)used, "count", spec_transfer_count_name(t->count),
			 "reset", spec_transfer_reset_name(t->reset), "from", api_time(p.start),
			 "resets", api_time(p.end), "over", over_json(&t->over), "is_over",
			 (int)(t->monthly != JSON_UNLIMITED && used >= t->monthly));
}
