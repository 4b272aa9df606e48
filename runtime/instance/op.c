/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of operations and their watchers. Nothing here touches the database. */
#include "runtime/instance/op.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"

struct op_watch {
	struct op *op;
	enum op_when when;
	op_watch_fn fn;
	void *arg;
	struct op_watch *prev, *next;
};

struct op_ring {
	struct op *newest, *oldest;
	unsigned n, n_running;
};

const char *op_kind_name(enum op_kind kind)
{
	static const char *const names[] = {
		[OP_CREATE] = "create",
		[OP_START] = "start",
		[OP_STOP] = "stop",
		[OP_RESTART] = "restart",
		[OP_DELETE] = "delete",
		[OP_CHANGE] = "change",
		[OP_APPLY] = "apply",
		[OP_IMAGE_IMPORT] = "image-import",
		[OP_IMAGE_BUILD] = "image-build",
		[OP_IMAGE_DELETE] = "image-delete",
		[OP_SUSPEND] = "suspend",
		[OP_RESUME] = "resume",
		[OP_RESIZE_ALL] = "resize-all",
	};
	_Static_assert(sizeof(names) / sizeof(names[0]) == OP_KIND_MAX, "one name a kind");

	return (unsigned)kind < OP_KIND_MAX ? names[kind] : NULL;
}

const char *op_status_name(enum op_status status)
{
	static const char *const names[] = {
		[OP_RUNNING] = "running",
		[OP_DONE] = "done",
		[OP_FAILED] = "failed",
	};
	_Static_assert(sizeof(names) / sizeof(names[0]) == OP_STATUS_MAX, "one name a status");

	return (unsigned)status < OP_STATUS_MAX ? names[status] : NULL;
}

const char *op_error_code(int code)
{
	static const struct {
		int code;
		const char *name;
	} rows[] = {
		{EINVAL, "invalid"},	     {EBADMSG, "invalid"},
		{ENAMETOOLONG, "invalid"},   {ERANGE, "invalid"},
		{ENOENT, "not-found"},	     {ESRCH, "not-found"},
		{EEXIST, "conflict"},	     {EBUSY, "conflict"},
		{EPERM, "conflict"},	     {ENODATA, "conflict"},
		{ENOSPC, "no-capacity"},     {EDQUOT, "no-capacity"},
		{EOPNOTSUPP, "unsupported"}, {EAGAIN, "unavailable"},
		{EPIPE, "unavailable"},	     {ECONNREFUSED, "unavailable"},
		{ETIMEDOUT, "timeout"},	     {ECANCELED, "cancelled"},
		{EINTR, "interrupted"},	     {EADDRINUSE, "conflict"},
		{EADDRNOTAVAIL, "conflict"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].code == code)
			return rows[i].name;
	return "internal";
}

struct op_ring *op_ring_new(void)
{
	return calloc(1, sizeof(struct op_ring));
}

static void op_unlink(struct op_ring *r, struct op *op)
{
	*(op->prev ? &op->prev->next : &r->newest) = op->next;
	*(op->next ? &op->next->prev : &r->oldest) = op->prev;
	r->n--;
}

static void op_free(struct op *op)
{
	while (op->watches)
		op_watch_cancel(op->watches);
	json_decref(op->result);
	free(op);
}

void op_ring_free(struct op_ring *r)
{
	if (!r)
		return;
	while (r->newest) {
		struct op *op = r->newest;

		op_unlink(r, op);
		op_free(op);
	}
	free(r);
}

/* Drops the oldest ended operations that nobody watches or holds. Called when one comes, never when
 * one ends, so that a pointer stays good until the caller is done with it. */
static void ring_trim(struct op_ring *r)
{
	struct op *op = r->oldest;

	while (op && r->n - r->n_running >= OP_RING_MAX) {
		struct op *newer = op->prev;

		if (op->status != OP_RUNNING && !op->watches && !op->holds) {
			op_unlink(r, op);
			op_free(op);
		}
		op = newer;
	}
}

static void ring_add(struct op_ring *r, struct op *op)
{
	op->ring = r;
	op->prev = NULL;
	op->next = r->newest;
	*(r->newest ? &r->newest->prev : &r->oldest) = op;
	r->newest = op;
	r->n++;
	if (op->status == OP_RUNNING)
		r->n_running++;
}

int op_new(struct op_ring *r, enum op_kind kind, const char *target, const char *instance_id,
	   struct op **ret, struct err *err)
{
	struct op *op;
	int rc;

	ring_trim(r);
	op = calloc(1, sizeof(*op));
	if (!op)
		return err_set(err, ENOMEM, "cannot make an operation: out of memory");
	rc = rand_id(op->id, err);
	if (rc < 0) {
		free(op);
		return rc;
	}
	op->kind = kind;
	/* A target that is cut is still a good label. */
	if (str_copy(op->target, sizeof(op->target), target) < 0)
		memcpy(op->target, target, sizeof(op->target) - 1);
	(void)str_copy(op->instance_id, sizeof(op->instance_id), instance_id ? instance_id : "");
	op->created = (uint64_t)time(NULL);
	ring_add(r, op);
	*ret = op;
	return 0;
}

int op_load(struct op_ring *r, const struct op *like, json_t *result, struct err *err)
{
	struct op *op;

	ring_trim(r);
	op = malloc(sizeof(*op));
	if (!op)
		return err_set(err, ENOMEM, "cannot load an operation: out of memory");
	*op = *like;
	op->watches = NULL;
	op->holds = 0;
	op->is_committed = true;
	op->result = result;
	ring_add(r, op);
	return 0;
}

struct op *op_find(const struct op_ring *r, const char *id)
{
	for (struct op *op = r->newest; op; op = op->next)
		if (str_eq(op->id, id))
			return op;
	return NULL;
}

struct op *op_next(const struct op_ring *r, const struct op *op)
{
	return op ? op->next : r->newest;
}

unsigned op_count_running(const struct op_ring *r)
{
	return r->n_running;
}

static bool watch_is_due(const struct op_watch *w)
{
	if (w->op->status != OP_RUNNING)
		return true;
	return w->when == OP_WHEN_COMMITTED && w->op->is_committed;
}

/* Calls each watcher that is due. A callback may add and cancel watches, so the walk begins anew
 * after each call. */
static void op_notify(struct op *op)
{
	struct op_watch *w = op->watches;

	while (w) {
		op_watch_fn fn = w->fn;
		void *arg = w->arg;

		if (!watch_is_due(w)) {
			w = w->next;
			continue;
		}
		op_watch_cancel(w);
		fn(arg, op);
		w = op->watches;
	}
}

int op_watch(struct op *op, enum op_when when, op_watch_fn fn, void *arg, struct op_watch **ret,
	     struct err *err)
{
	struct op_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return err_set(err, ENOMEM, "cannot watch an operation: out of memory");
	*w = (struct op_watch){.op = op, .when = when, .fn = fn, .arg = arg};
	if (watch_is_due(w)) {
		free(w);
		if (ret)
			*ret = NULL;
		fn(arg, op);
		return 0;
	}
	w->next = op->watches;
	if (w->next)
		w->next->prev = w;
	op->watches = w;
	if (ret)
		*ret = w;
	return 0;
}

void op_watch_cancel(struct op_watch *w)
{
	if (!w)
		return;
	*(w->prev ? &w->prev->next : &w->op->watches) = w->next;
	if (w->next)
		w->next->prev = w->prev;
	free(w);
}

void op_hold(struct op *op)
{
	op->holds++;
}

void op_release(struct op *op)
{
	op->holds--;
}

void op_progress(struct op *op, const char *what, uint64_t done, uint64_t total)
{
	if (str_copy(op->progress.what, sizeof(op->progress.what), what) < 0)
		op->progress.what[0] = '\0';
	op->progress.done = done;
	op->progress.total = total;
	op->progress.is_bytes = false;
}

void op_progress_bytes(struct op *op, const char *what, uint64_t done, uint64_t total)
{
	op_progress(op, what, done, total);
	op->progress.is_bytes = true;
}

void op_committed(struct op *op, const struct err *err)
{
	if (err) {
		op_end(op, NULL, err, NULL);
		return;
	}
	op->is_committed = true;
	op_notify(op);
}

void op_end(struct op *op, const char *code, const struct err *err, json_t *result)
{
	if (op->status != OP_RUNNING) {
		json_decref(result);
		return;
	}
	op->status = err ? OP_FAILED : OP_DONE;
	op->ended = (uint64_t)time(NULL);
	json_decref(op->result);
	op->result = result;
	if (err) {
		op->err = *err;
		if (str_copy(op->error_code, sizeof(op->error_code),
			     code ? code : op_error_code(err->code)) < 0)
			(void)str_copy(op->error_code, sizeof(op->error_code), "internal");
	}
	op->ring->n_running--;
	op_notify(op);
}
