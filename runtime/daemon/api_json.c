/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of the API as JSON. Pure rendering: what is shown was decided elsewhere. */
#include "runtime/daemon/api.h"

#include <time.h>

#include "cgroups/cpuset.h"
#include "runtime/daemon/server.h"

json_t *api_time(uint64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;
	char text[32];
	if (!seconds || !gmtime_r(&t, &tm) ||
	    !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		return json_null();
	return json_string(text);
}

static json_t *text_or_null(const char *s)
{
	return s && *s ? json_string(s) : json_null();
}

json_t *api_op(const struct op *op)
{
	json_t *progress = json_pack(
		"{s:s, s:I, s:o, s:s}", "what", op->progress.what, "done",
		(json_int_t)op->progress.done, "total",
		op->progress.total ? json_integer((json_int_t)op->progress.total) : json_null(),
		"unit", op->progress.is_bytes ? "bytes" : "count");
	json_t *error = json_null();
	if (op->status == OP_FAILED) {
		error = json_pack("{s:s, s:s}", "code", op->error_code, "message",
				  err_text(&op->err));
		if (error && op->err.hint[0])
			(void)json_object_set_new(error, "hint", json_string(op->err.hint));
	}
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:O?}", "id", op->id, "kind",
			 op_kind_name(op->kind), "target", op->target, "status",
			 op_status_name(op->status), "created", api_time(op->created), "ended",
			 api_time(op->ended), "progress", progress, "error", error, "result",
			 op->result);
}

static json_t *number_or_null(uint64_t v)
{
	return v == CG_UNLIMITED ? json_null() : json_integer((json_int_t)v);
}

static json_t *limits_json(const struct inst *i)
{
	json_t *a = json_array();
	for (int l = 0; a && l < CG_LIMIT_MAX; l++) {
		const struct cg_limit_status *s = &i->limits[l];
		(void)json_array_append_new(
			a, json_pack("{s:s, s:o, s:b, s:o, s:s}", "limit",
				     cg_limit_name((enum cg_limit)l), "configured",
				     number_or_null(s->configured), "effective", s->effective,
				     "actual", number_or_null(s->actual), "reason", s->reason));
	}
	return a;
}

static json_t *unsupported_json(const struct inst *i)
{
	struct spec_items items = {0};
	json_t *a = json_array();
	inst_unsupported(i, &items);
	for (size_t n = 0; a && n < items.n; n++)
		(void)json_array_append_new(a, json_pack("{s:s, s:s}", "item", items.items[n].name,
							 "reason", items.items[n].reason));
	return a;
}

static json_t *psi_json(const struct cg_psi *p)
{
	return json_pack("{s:f, s:f}", "some_avg10", p->some_avg10 / 100.0, "full_avg10",
			 p->full_avg10 / 100.0);
}

/* In a list: a thousand of them must not read 12,000 files each time. */
#define LIST_USAGE_MAX_AGE 1000000 /* microseconds */

/* Only what the kernel gave: a figure that is absent is not shown as zero. */
static json_t *usage_json(struct inst *i, uint64_t max_age)
{
	struct cg_stats s;
	json_t *o;
	if (inst_usage(i, max_age, &s, NULL) < 0 || !(o = json_object()))
		return json_null();
	const struct {
		enum cg_stats_file file;
		const char *key;
		uint64_t value;
	} rows[] = {
		{CG_STATS_CPU, "cpu_usec", s.usage_usec},
		{CG_STATS_CPU, "throttled_usec", s.throttled_usec},
		{CG_STATS_CPU, "throttled_periods", s.nr_throttled},
		{CG_STATS_MEMORY_CURRENT, "memory", s.memory_current},
		{CG_STATS_MEMORY_PEAK, "memory_peak", s.memory_peak},
		{CG_STATS_MEMORY, "memory_anon", s.anon},
		{CG_STATS_MEMORY, "memory_file", s.file},
		{CG_STATS_SWAP, "swap", s.swap_current},
		{CG_STATS_MEMORY_EVENTS, "oom_kills", s.oom_kill},
		{CG_STATS_PIDS, "pids", s.pids_current},
		{CG_STATS_IO, "io_read_bytes", s.io_read_bytes},
		{CG_STATS_IO, "io_write_bytes", s.io_write_bytes},
	};
	for (size_t n = 0; n < sizeof(rows) / sizeof(*rows); n++)
		if (cg_stats_has(&s, rows[n].file))
			(void)json_object_set_new(o, rows[n].key,
						  json_integer((json_int_t)rows[n].value));
	const struct {
		enum cg_stats_file file;
		const char *key;
		const struct cg_psi *psi;
	} psi[] = {
		{CG_STATS_PSI_CPU, "cpu", &s.psi_cpu},
		{CG_STATS_PSI_MEMORY, "memory", &s.psi_memory},
		{CG_STATS_PSI_IO, "io", &s.psi_io},
	};
	json_t *pressure = json_object();
	for (size_t n = 0; n < sizeof(psi) / sizeof(*psi); n++)
		if (cg_stats_has(&s, psi[n].file))
			(void)json_object_set_new(pressure, psi[n].key, psi_json(psi[n].psi));
	(void)json_object_set_new(o, "pressure", pressure);
	return o;
}

/* "0-1"; null when nothing runs, or nothing can be said. */
static json_t *cpus_json(const struct inst *i)
{
	char text[CG_CPUS_TEXT];
	cpu_set_t cpus;

	if (inst_cpus(i, &cpus, NULL) < 0 || cg_cpus_format(&cpus, text, sizeof(text)) < 0)
		return json_null();
	return json_string(text);
}

static json_t *suspension_json(const struct inst_suspension *s)
{
	if (!s->mode)
		return json_null();
	return json_pack("{s:s, s:s, s:o, s:s}", "mode", inst_suspend_name(s->mode), "reason",
			 s->reason, "since", api_time(s->since), "by",
			 s->by == INST_SUSPEND_BY_TRANSFER ? "transfer" : "operator");
}

static json_t *thrash_json(const struct inst_thrash *t)
{
	if (!t->last)
		return json_null();
	return json_pack("{s:o, s:b, s:o, s:I}", "since", api_time(t->since), "throttled",
			 (int)t->is_throttled, "last", api_time(t->last), "actions",
			 (json_int_t)t->actions);
}

json_t *api_instance(struct inst *i, bool whole)
{
	char plan[SPEC_NAME_TEXT + 24];
	json_t *labels = json_object();
	(void)str_fmt(plan, sizeof(plan), "%s@%llu", i->plan->spec.name,
		      (unsigned long long)i->plan->spec.version);
	for (size_t n = 0; n < i->spec.labels.n; n++)
		(void)json_object_set_new(labels, i->spec.labels.items[n].key,
					  json_string(i->spec.labels.items[n].value));
	if (whole)
		(void)inst_limits_refresh(i, NULL); /* what cannot be read says so in its row */
	json_t *o = json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:b, s:{s:b, s:I}}", "id",
		i->id, "tenant", i->tenant->spec.name, "name", i->spec.name, "state",
		inst_state_name(i->state), "desired", inst_desired_name(i->desired), "plan", plan,
		"image", i->spec.image, "digest", i->digest, "hostname", i->spec.hostname, "labels",
		labels, "protected", (int)i->spec.protected, "autostart", "enabled",
		(int)i->spec.autostart.enabled, "priority", (json_int_t)i->spec.autostart.priority);
	json_t *more = json_pack(
		"{s:o, s:o, s:o, s:I, s:o, s:{s:I, s:I}, s:s, s:o, s:b, s:o, s:o}", "suspended",
		suspension_json(&i->suspension), "created", api_time(i->created), "started",
		api_time(i->started), "boot", (json_int_t)i->boot, "pid",
		i->pid ? json_integer(i->pid) : json_null(), "ids", "base", (json_int_t)i->base,
		"count", (json_int_t)SPEC_IDMAP_RANGE, "last_exit", inst_exit_name(i->last_exit),
		"error", text_or_null(i->error), "restart_needed",
		(int)(i->restart_needed && inst_is_up(i)), "operation",
		i->op ? json_string(i->op->id) : json_null(), "unsupported", unsupported_json(i));
	if (o && more)
		(void)json_object_update(o, more);
	json_decref(more);
	if (o) {
		(void)json_object_set_new(o, "overrides",
					  i->spec.overrides ? json_deep_copy(i->spec.overrides)
							    : json_object());
		(void)json_object_set_new(o, "limits", limits_json(i));
		(void)json_object_set_new(o, "network", api_nics(i));
		(void)json_object_set_new(o, "firewall", api_firewall(i));
		(void)json_object_set_new(o, "transfer", api_transfer(i));
		(void)json_object_set_new(o, "thrash", thrash_json(&i->thrash));
		if (whole)
			(void)json_object_set_new(o, "cpus", cpus_json(i));
		(void)json_object_set_new(o, "usage",
					  usage_json(i, whole ? 0 : LIST_USAGE_MAX_AGE));
	}
	return o;
}

json_t *api_plan(const struct inst_plan *p)
{
	json_t *o = spec_plan_to_json(&p->spec);
	if (o) {
		(void)json_object_set_new(o, "created", api_time(p->created));
		(void)json_object_set_new(o, "used_by", json_integer(p->instances));
	}
	return o;
}

json_t *api_tenant(const struct inst_tenant *t)
{
	json_t *o = spec_tenant_to_json(&t->spec);
	if (o) {
		(void)json_object_del(o, "instances");
		(void)json_object_set_new(o, "created", api_time(t->created));
		(void)json_object_set_new(o, "instance_count", json_integer(t->instances));
	}
	return o;
}

json_t *api_tenant_limits(const struct inst_manager *m, const struct inst_tenant *t)
{
	static const struct {
		const char *quota;
		enum cg_limit limit;
	} rows[] = {
		{"cores", CG_LIMIT_CPU_CORES},
		{"memory", CG_LIMIT_MEMORY_MAX},
		{"pids", CG_LIMIT_PIDS_MAX},
	};
	struct cg_limit_status all[CG_LIMIT_MAX];
	json_t *a = json_array();
	if (inst_tenant_limits(m, t, all, NULL) < 0)
		return a;
	for (size_t i = 0; a && i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cg_limit_status *s = &all[rows[i].limit];
		(void)json_array_append_new(
			a,
			json_pack("{s:s, s:o, s:b, s:o, s:s}", "quota", rows[i].quota, "configured",
				  number_or_null(s->configured), "effective", s->effective,
				  "actual", number_or_null(s->actual), "reason", s->reason));
	}
	return a;
}

json_t *api_image(const struct inst_image *i)
{
	json_t *o = i->is_missing ? json_object() : img_manifest_json(&i->manifest);
	if (o) {
		(void)json_object_set_new(o, "name", json_string(i->name));
		(void)json_object_set_new(o, "digest", json_string(i->digest));
		(void)json_object_set_new(o, "created", api_time(i->created));
		(void)json_object_set_new(o, "missing", json_boolean(i->is_missing));
		(void)json_object_set_new(o, "used_by", json_integer(i->instances));
	}
	return o;
}
