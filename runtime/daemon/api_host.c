/* SPDX-License-Identifier: Apache-2.0 */
/* The host itself, and the operations. */
#include "runtime/daemon/api.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/pidref.h"
#include "cgroups/tree.h"
#include "runtime/daemon/sysctls.h"

#define WAIT_MAX_USEC (3600u * 1000000ull)

static json_t *words(const char *text)
{
	json_t *a = json_array();
	while (a && *text) {
		size_t n = strcspn(text, " ,");
		if (n)
			(void)json_array_append_new(a, json_stringn(text, n));
		text += n + strspn(text + n, " ,");
	}
	return a;
}

static json_t *cgroups_json(const struct cg_root *r)
{
	return json_pack("{s:s, s:o, s:o, s:b, s:b}", "root", r->path, "controllers",
			 words(r->controllers), "mount_options", words(r->host.options),
			 "nsdelegate", (int)r->host.nsdelegate, "memory_recursiveprot",
			 (int)r->host.memory_recursiveprot);
}

/* Null where it does not apply or is not known. */
static json_t *amount_json(enum admission_unit unit, uint64_t v)
{
	if (v == JSON_UNLIMITED)
		return json_null();
	return unit == ADMISSION_MILLI ? json_real((double)v / 1000) : json_integer((json_int_t)v);
}

static json_t *resource_json(const struct admission_status *s, uint64_t used)
{
	static const char *const units[] = {[ADMISSION_COUNT] = "count",
					    [ADMISSION_MILLI] = "cores",
					    [ADMISSION_BYTES] = "bytes"};
	const struct {
		const char *key;
		uint64_t v;
	} amounts[] = {
		{"total", s->total},
		{"reserve", s->reserve},
		{"sellable", s->sellable},
		{"sold", s->sold},
		{"free", s->free},
		{"guaranteeable", s->guaranteeable},
		{"guaranteed", s->guaranteeable == JSON_UNLIMITED ? JSON_UNLIMITED : s->guaranteed},
		{"guarantee_free", s->guarantee_free},
		{"used", used},
	};
	json_t *o = json_pack("{s:s, s:s, s:o}", "resource", s->name, "unit", units[s->unit],
			      "overcommit", amount_json(ADMISSION_MILLI, s->overcommit));
	for (size_t i = 0; o && i < sizeof(amounts) / sizeof(amounts[0]); i++)
		(void)json_object_set_new(o, amounts[i].key, amount_json(s->unit, amounts[i].v));
	return o;
}

static json_t *capacity_json(const struct inst_manager *m)
{
	struct inst_capacity c;
	if (inst_capacity(m, &c, NULL) < 0)
		return json_null();
	json_t *resources = json_array();
	for (size_t i = 0; i < ADMISSION_RESOURCE_MAX; i++)
		(void)json_array_append_new(resources, resource_json(&c.resources[i], c.used[i]));
	return json_pack("{s:o, s:I, s:{s:I, s:I, s:I, s:I}, s:i, s:i}", "resources", resources,
			 "id_ranges_free", (json_int_t)c.ids_free, "pool", "total_bytes",
			 (json_int_t)c.pool.total_bytes, "free_bytes",
			 (json_int_t)c.pool.free_bytes, "total_inodes",
			 (json_int_t)c.pool.total_inodes, "free_inodes",
			 (json_int_t)c.pool.free_inodes, "instances", (int)c.instances, "running",
			 (int)c.running);
}

static json_t *support_json(struct inst_manager *m)
{
	struct spec_items items;
	json_t *a = json_array();
	for (const struct spec_support *s = inst_support(m); a && s && s->name; s++)
		(void)json_array_append_new(a, json_pack("{s:s, s:b, s:s}", "item", s->name,
							 "supported", !s->why_not, "reason",
							 s->why_not ? s->why_not : ""));
	spec_host_unsupported(inst_host(m), &items);
	for (size_t i = 0; a && i < items.n; i++)
		(void)json_array_append_new(a, json_pack("{s:s, s:b, s:s}", "item",
							 items.items[i].name, "supported", 0,
							 "reason", items.items[i].reason));
	return a;
}

static json_t *sysctls_json(void)
{
	struct sysctl_status all[SYSCTL_MAX];
	json_t *a = json_array();
	sysctls_read(SYSCTL_ROOT, all);
	for (size_t i = 0; a && i < SYSCTL_MAX; i++)
		(void)json_array_append_new(
			a,
			json_pack("{s:s, s:o, s:I, s:b, s:b, s:s}", "setting", all[i].name, "value",
				  all[i].is_known ? json_integer((json_int_t)all[i].value)
						  : json_null(),
				  "wanted", (json_int_t)all[i].wanted, "good", (int)all[i].is_good,
				  "per_instance", (int)all[i].per_instance, "reason",
				  all[i].is_good ? "" : all[i].why));
	return a;
}

static json_t *lock_json(const struct inst_manager *m)
{
	const struct inst_lock *l = inst_host_lock(m);
	if (!l->is_locked)
		return json_null();
	return json_pack("{s:o, s:s}", "since", api_time(l->since), "reason", l->reason);
}

int api_host_get(struct request *rq, struct err *err)
{
	struct api *api = api_of(rq);
	const struct spec_host *h = inst_host(api->manager);
	struct utsname u;
	char boot[37] = "";
	(void)boot_id(boot, NULL);
	if (uname(&u) < 0)
		return err_sys(err, "cannot read the kernel's name");
	json_t *tolerated = json_array();
	for (size_t i = 0; i < h->tolerate_unsupported.n; i++)
		(void)json_array_append_new(tolerated,
					    json_string(h->tolerate_unsupported.items[i]));
	json_t *o = json_pack(
		"{s:s, s:s, s:s, s:o, s:b, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "version",
		VPS_VERSION, "kernel", u.release, "boot_id", boot, "started",
		api_time(api->started), "ready", (int)inst_is_ready(api->manager), "keeper_pid",
		inst_keeper_pid(api->manager) ? json_integer(inst_keeper_pid(api->manager))
					      : json_null(),
		"state", h->state, "pool", h->pool, "cgroups",
		cgroups_json(inst_cgroups(api->manager)), "capacity", capacity_json(api->manager),
		"support", support_json(api->manager), "tolerate_unsupported", tolerated, "sysctls",
		sysctls_json(), "lock", lock_json(api->manager));
	request_json(rq, 200, o);
	return 0;
}

/* --- the lock ------------------------------------------------------------------------------ */

struct lock_waiter {
	struct request *rq; /* NULL: the client has gone */
	bool is_done;
};

static void lock_waiter_release(struct request *rq, void *data)
{
	(void)rq;
	struct lock_waiter *w = data;
	if (w->is_done)
		free(w);
	else
		w->rq = NULL;
}

static void on_lock_written(void *arg, const struct err *err)
{
	struct lock_waiter *w = arg;
	struct request *rq = w->rq;
	w->is_done = true;
	if (!rq)
		free(w);
	else if (err)
		request_error(rq, err);
	else
		request_json(rq, 200, json_pack("{s:o}", "lock", lock_json(api_of(rq)->manager)));
}

static int change_lock(struct request *rq, bool is_locked, const char *reason, struct err *err)
{
	struct inst_manager *m = api_of(rq)->manager;
	struct lock_waiter *w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(err, ENOMEM, "no memory for the request");
	w->rq = rq;
	request_set_data(rq, w, lock_waiter_release);
	request_defer(rq);
	int r = is_locked ? inst_lock_host(m, reason, on_lock_written, w, err)
			  : inst_unlock_host(m, on_lock_written, w, err);
	if (r < 0)
		w->is_done = true;
	return r;
}

int api_host_lock(struct request *rq, struct err *err)
{
	const char *reason = NULL;
	const struct api_arg args[] = {{"reason", 's', false, &reason}};
	int r = API_ARGS(rq, args, err);
	return r < 0 ? r : change_lock(rq, true, reason, err);
}

int api_host_unlock(struct request *rq, struct err *err)
{
	return change_lock(rq, false, NULL, err);
}

int api_operations_list(struct request *rq, struct err *err)
{
	(void)err;
	const struct op_ring *ring = inst_ops(api_of(rq)->manager);
	json_t *a = json_array();
	for (struct op *op = op_next(ring, NULL); op; op = op_next(ring, op))
		if (op->is_committed)
			(void)json_array_append_new(a, api_op(op));
	request_json(rq, 200, json_pack("{s:o}", "operations", a));
	return 0;
}

/* --- one operation, with waiting ----------------------------------------------------------- */

struct waiter {
	struct request *rq;
	struct op_watch *watch;
	sd_event_source *timer;
	char id[ID_TEXT];
};

static void waiter_release(struct request *rq, void *data)
{
	(void)rq;
	struct waiter *w = data;
	op_watch_cancel(w->watch);
	sd_event_source_disable_unref(w->timer);
	free(w);
}

static void answer_op(struct request *rq, const struct op *op)
{
	request_json(rq, 200, json_pack("{s:o}", "operation", api_op(op)));
}

static void on_ended(void *arg, struct op *op)
{
	struct waiter *w = arg;
	w->watch = NULL;
	w->timer = sd_event_source_disable_unref(w->timer);
	answer_op(w->rq, op);
}

static int on_timeout(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s;
	(void)usec;
	struct waiter *w = userdata;
	struct op *op = op_find(inst_ops(api_of(w->rq)->manager), w->id);
	op_watch_cancel(w->watch);
	w->watch = NULL;
	if (op) {
		answer_op(w->rq, op);
	} else {
		struct err err = ERR_INIT;
		(void)err_set(&err, ENOENT, "operation %s is not known any more", w->id);
		request_error(w->rq, &err);
	}
	return 0;
}

int api_operation_get(struct request *rq, struct err *err)
{
	struct api *api = api_of(rq);
	struct op *op = op_find(inst_ops(api->manager), request_param(rq, 0));
	uint64_t wait = 0;
	int r = api_duration(request_query(rq, "wait"), 0, WAIT_MAX_USEC, &wait, err);
	if (r < 0)
		return r;
	if (!op || !op->is_committed)
		return err_set(err, ENOENT, "there is no such operation, or it ended long ago");
	if (op->status != OP_RUNNING || !wait) {
		answer_op(rq, op);
		return 0;
	}
	struct waiter *w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(err, ENOMEM, "no memory to wait");
	w->rq = rq;
	memcpy(w->id, op->id, sizeof(w->id));
	request_set_data(rq, w, waiter_release);
	r = sd_event_add_time_relative(api->event, &w->timer, CLOCK_MONOTONIC, wait, 10000,
				       on_timeout, w);
	if (r < 0)
		return err_set(err, -r, "cannot set a timer");
	request_defer(rq);
	return op_watch(op, OP_WHEN_ENDED, on_ended, w, &w->watch, err);
}
