/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the database <-> the structs in memory. The schema is in schema.sql.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "runtime/instance/addresses_private.h"
#include "runtime/instance/private.h"

/* Documents grow by changes: each came in a request of at most a few MiB. */
#define DOC_MAX (64u << 20)
/* A longer result is told as long as the operation is in memory; it is not kept beyond. */
#define RESULT_MAX (1u << 20)

/* Documents in the database were written by us; a failure to read one means damage. */
static int load_json(const char *text, const char *what, json_t **ret, struct err *err)
{
	_cleanup_problems_ struct problems *problems = problems_new();
	struct json_where w = {.file = "vpsd.db", .path = "", .problems = problems};
	int r;

	if (!problems)
		return err_set(err, ENOMEM, "cannot read the database: out of memory");
	r = json_text_load(text, strlen(text), DOC_MAX, &w, ret);
	if (r < 0)
		return err_set(err, EBADMSG, "the database holds a damaged document of %s", what);
	return 0;
}

/* Compact text of a document with only what it had: a default that is written out would be taken
 * for a wish when it is read again. NULL when memory is short. */
static char *dump(const struct json_table *table, const void *object)
{
	_cleanup_json_ json_t *doc = json_rows_encode(table, object, 0);

	return doc ? json_dumps(doc, JSON_COMPACT) : NULL;
}

/* --- writing --------------------------------------------------------------------------------- */

void db_add_op(struct store_txn *t, const struct op *op)
{
	store_txn_add(t,
		      "INSERT INTO operations (id, kind, status, target, instance_id, created) "
		      "VALUES (?, ?, ?, ?, ?, ?)",
		      "siissi", op->id, (int64_t)op->kind, (int64_t)op->status, op->target,
		      op->instance_id[0] ? op->instance_id : NULL, (int64_t)op->created);
}

void db_end_op(struct store_txn *t, const char *id, const char *code, const struct err *err,
	       const json_t *result)
{
	_cleanup_free_ char *text = result ? json_dumps(result, JSON_COMPACT) : NULL;
	const char *name = err ? code ? code : op_error_code(err->code) : NULL;

	if (text && strlen(text) > RESULT_MAX) {
		free(text);
		text = NULL;
	}
	store_txn_add(t,
		      "UPDATE operations SET status = ?, ended = ?, error_code = ?, error = ?, "
		      "hint = ?, result = ? WHERE id = ?",
		      "iisssss", (int64_t)(err ? OP_FAILED : OP_DONE), (int64_t)now_seconds(), name,
		      err ? err_text(err) : NULL, err && err->hint[0] ? err->hint : NULL, text, id);
}

void db_prune_ops(struct store_txn *t)
{
	store_txn_add(t,
		      "DELETE FROM operations WHERE status <> 0 AND id NOT IN "
		      "(SELECT id FROM operations ORDER BY created DESC LIMIT 1000)",
		      "");
}

/* 'i' first to last: the columns of db_put_inst() and db_add_inst(). */
void db_add_inst(struct store_txn *t, const struct inst *i)
{
	_cleanup_free_ char *doc = dump(&spec_instance_table, &i->spec);

	store_txn_add(t,
		      "INSERT INTO instances (id, tenant_id, name, phase, desired, plan, "
		      "plan_version, digest, doc, by_file, file_fields, created) "
		      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		      "sssiisissiii", i->id, i->tenant->id, i->spec.name, (int64_t)i->phase,
		      (int64_t)i->desired, i->plan->spec.name, (int64_t)i->plan->spec.version,
		      i->digest, doc, (int64_t)i->by_file, (int64_t)i->file_fields,
		      (int64_t)i->created);
	store_txn_add(t, "INSERT INTO id_ranges (idx, instance_id) VALUES (?, ?)", "is",
		      (int64_t)i->range, i->id);
	db_put_net(t, i);
}

void db_put_inst(struct store_txn *t, const struct inst *i)
{
	_cleanup_free_ char *doc = dump(&spec_instance_table, &i->spec);

	store_txn_add(t,
		      "UPDATE instances SET phase = ?, desired = ?, plan = ?, plan_version = ?, "
		      "doc = ?, file_fields = ?, boot = ?, exit_boot = ?, last_exit = ?, "
		      "failures = ?, failed = ?, error = ?, hostname_done = ?, "
		      "restart_needed = ?, suspend = ?, suspend_since = ?, suspend_reason = ?, "
		      "suspend_by = ? "
		      "WHERE id = ?",
		      "iisisiiiiiissiiisis", (int64_t)i->phase, (int64_t)i->desired,
		      i->plan->spec.name, (int64_t)i->plan->spec.version, doc,
		      (int64_t)i->file_fields, (int64_t)i->boot, (int64_t)i->p->exit_boot,
		      (int64_t)i->last_exit, (int64_t)i->failures, (int64_t)i->p->is_failed,
		      i->error[0] ? i->error : NULL, i->p->hostname_done,
		      (int64_t)i->restart_needed, (int64_t)i->suspension.mode,
		      (int64_t)i->suspension.since, i->suspension.reason, (int64_t)i->suspension.by,
		      i->id);
	/* What fails to be written is exchanged for the old one again, and that is a change. */
	if (i->p->net_changed)
		db_put_net(t, i);
	i->p->net_changed = false;
}

void db_drop_inst(struct store_txn *t, const struct inst *i)
{
	store_txn_add(t, "DELETE FROM id_ranges WHERE instance_id = ?", "s", i->id);
	store_txn_add(t, "DELETE FROM instances WHERE id = ?", "s", i->id);
	db_drop_marks(t, i->id);
}

void db_add_plan(struct store_txn *t, const struct inst_plan *p)
{
	_cleanup_free_ char *doc = dump(&spec_plan_table, &p->spec);

	store_txn_add(t, "INSERT INTO plans (name, version, doc, created) VALUES (?, ?, ?, ?)",
		      "sisi", p->spec.name, (int64_t)p->spec.version, doc, (int64_t)p->created);
}

void db_put_tenant(struct store_txn *t, const struct inst_tenant *tn)
{
	_cleanup_free_ char *doc = dump(&spec_tenant_table, &tn->spec);

	store_txn_add(t,
		      "INSERT INTO tenants (id, name, doc, by_file, created) "
		      "VALUES (?, ?, ?, ?, ?) "
		      "ON CONFLICT (id) DO UPDATE SET doc = excluded.doc, "
		      "by_file = excluded.by_file",
		      "sssii", tn->id, tn->spec.name, doc, (int64_t)tn->by_file,
		      (int64_t)tn->created);
}

void db_put_image(struct store_txn *t, const struct inst_image *img)
{
	store_txn_add(t,
		      "INSERT INTO images (name, digest, created) VALUES (?, ?, ?) "
		      "ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, "
		      "created = excluded.created",
		      "ssi", img->name, img->digest, (int64_t)img->created);
}

void db_drop_image(struct store_txn *t, const char *name)
{
	store_txn_add(t, "DELETE FROM images WHERE name = ?", "s", name);
}

void db_put_lock(struct store_txn *t, const struct inst_lock *l)
{
	char since[NUM_TEXT];

	if (!l->is_locked) {
		store_txn_add(t, "DELETE FROM meta WHERE key IN ('lock_since', 'lock_reason')", "");
		return;
	}
	(void)str_fmt(since, sizeof(since), "%" PRIu64, l->since);
	store_txn_add(t,
		      "INSERT INTO meta (key, value) VALUES ('lock_since', ?), ('lock_reason', ?) "
		      "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
		      "ss", since, l->reason);
}

void db_add_event(struct store_txn *t, const struct event *e)
{
	_cleanup_free_ char *details = e->details ? json_dumps(e->details, JSON_COMPACT) : NULL;

	store_txn_add(t,
		      "INSERT INTO events (cursor, time, instance_id, name, kind, message, "
		      "details) VALUES (?, ?, ?, ?, ?, ?, ?)",
		      "iisssss", (int64_t)e->cursor, (int64_t)e->time, e->instance_id, e->name,
		      e->kind, e->message, details);
	store_txn_add(t, "DELETE FROM events WHERE cursor <= ?", "i",
		      (int64_t)e->cursor - (int64_t)EVENTS_MAX);
}

/* --- reading --------------------------------------------------------------------------------- */

static int load_tenant(void *arg, const struct store_row *r, struct err *err)
{
	struct inst_manager *m = arg;
	struct inst_tenant *t = calloc(1, sizeof(*t));
	_cleanup_problems_ struct problems *problems = problems_new();
	struct json_where w = {.file = "vpsd.db", .path = "", .problems = problems};
	_cleanup_json_ json_t *doc = NULL;
	int rc;

	if (!t || !problems) {
		free(t);
		return err_set(err, ENOMEM, "cannot load tenants: out of memory");
	}
	rc = load_json(store_row_text(r, 2), store_row_text(r, 1), &doc, err);
	if (rc >= 0 && spec_tenant_from_json(&t->spec, doc, &w) < 0)
		rc = err_set(err, EBADMSG, "the database holds a damaged tenant '%s'",
			     store_row_text(r, 1));
	if (rc >= 0 && str_copy(t->id, sizeof(t->id), store_row_text(r, 0)) < 0)
		rc = err_set(err, EBADMSG, "the database holds a tenant with a bad id");
	t->by_file = store_row_int(r, 3) != 0;
	t->created = (uint64_t)store_row_int(r, 4);
	if (rc >= 0)
		rc = catalog_add_tenant(&m->catalog, t, err);
	if (rc < 0)
		inst_tenant_free(t);
	return rc;
}

static int load_plan(void *arg, const struct store_row *r, struct err *err)
{
	struct inst_manager *m = arg;
	struct inst_plan *p = calloc(1, sizeof(*p));
	_cleanup_problems_ struct problems *problems = problems_new();
	struct json_where w = {.file = "vpsd.db", .path = "", .problems = problems};
	_cleanup_json_ json_t *doc = NULL;
	int rc;

	if (!p || !problems) {
		free(p);
		return err_set(err, ENOMEM, "cannot load plans: out of memory");
	}
	rc = load_json(store_row_text(r, 1), store_row_text(r, 0), &doc, err);
	if (rc >= 0 && spec_plan_from_json(&p->spec, doc, &w) < 0)
		rc = err_set(err, EBADMSG, "the database holds a damaged plan '%s'",
			     store_row_text(r, 0));
	p->created = (uint64_t)store_row_int(r, 2);
	if (rc >= 0)
		rc = catalog_add_plan(&m->catalog, p, err);
	if (rc < 0)
		inst_plan_free(p);
	return rc;
}

static int load_image(void *arg, const struct store_row *r, struct err *err)
{
	struct inst_manager *m = arg;
	struct inst_image *img = calloc(1, sizeof(*img));
	struct err why = ERR_INIT;
	int rc = 0;

	if (!img)
		return err_set(err, ENOMEM, "cannot load images: out of memory");
	if (str_copy(img->name, sizeof(img->name), store_row_text(r, 0)) < 0 ||
	    str_copy(img->digest, sizeof(img->digest), store_row_text(r, 1)) < 0)
		rc = err_set(err, EBADMSG, "the database holds a damaged image row '%s'",
			     store_row_text(r, 0));
	img->created = (uint64_t)store_row_int(r, 2);
	if (rc >= 0 && img_store_manifest(m->images, img->digest, &img->manifest, &why) < 0) {
		img->is_missing = true;
		log_warning("image '%s' is not in the pool: %s", img->name, err_text(&why));
	}
	if (rc >= 0)
		rc = catalog_add_image(&m->catalog, img, err);
	if (rc < 0)
		inst_image_free(img);
	return rc;
}

enum inst_column {
	COL_ID,
	COL_TENANT,
	COL_NAME,
	COL_PHASE,
	COL_DESIRED,
	COL_PLAN,
	COL_PLAN_VERSION,
	COL_DIGEST,
	COL_DOC,
	COL_BY_FILE,
	COL_FILE_FIELDS,
	COL_CREATED,
	COL_BOOT,
	COL_EXIT_BOOT,
	COL_LAST_EXIT,
	COL_FAILURES,
	COL_FAILED,
	COL_ERROR,
	COL_HOSTNAME_DONE,
	COL_RESTART_NEEDED,
	COL_SUSPEND,
	COL_SUSPEND_SINCE,
	COL_SUSPEND_REASON,
	COL_SUSPEND_BY,
	COL_RANGE,
};

static int fill_suspension(struct inst_suspension *s, const struct store_row *r)
{
	int64_t mode = store_row_int(r, COL_SUSPEND), by = store_row_int(r, COL_SUSPEND_BY);

	if (mode < 0 || mode >= INST_SUSPEND_MAX || by < 0 || by >= INST_SUSPEND_BY_MAX)
		return -EBADMSG;
	s->by = (enum inst_suspend_by)by;
	s->mode = (enum inst_suspend)mode;
	s->since = (uint64_t)store_row_int(r, COL_SUSPEND_SINCE);
	return str_copy(s->reason, sizeof(s->reason), store_row_text(r, COL_SUSPEND_REASON));
}

static int fill_inst(struct inst *i, const struct store_row *r, struct err *err)
{
	struct inst_manager *m = i->manager;
	_cleanup_problems_ struct problems *problems = problems_new();
	struct json_where w = {.file = "vpsd.db", .path = "", .problems = problems};
	_cleanup_json_ json_t *doc = NULL;
	const char *name = store_row_text(r, COL_NAME);
	int rc;

	if (!problems)
		return err_set(err, ENOMEM, "cannot load instances: out of memory");
	if (str_copy(i->id, sizeof(i->id), store_row_text(r, COL_ID)) < 0 ||
	    str_copy(i->digest, sizeof(i->digest), store_row_text(r, COL_DIGEST)) < 0 ||
	    str_copy(i->p->hostname_done, sizeof(i->p->hostname_done),
		     store_row_text(r, COL_HOSTNAME_DONE)) < 0 ||
	    fill_suspension(&i->suspension, r) < 0)
		return err_set(err, EBADMSG, "the row of '%s' is damaged", name);
	i->tenant = catalog_tenant_by_id(&m->catalog, store_row_text(r, COL_TENANT));
	i->plan = catalog_plan(&m->catalog, store_row_text(r, COL_PLAN),
			       (uint64_t)store_row_int(r, COL_PLAN_VERSION));
	if (!i->tenant || !i->plan)
		return err_set(err, EBADMSG, "the tenant or the plan of '%s' is missing", name);
	rc = load_json(store_row_text(r, COL_DOC), name, &doc, err);
	if (rc < 0)
		return rc;
	if (spec_instance_from_json(&i->spec, doc, &w) < 0 ||
	    spec_plan_override(&i->plan->spec, i->spec.overrides, &i->effective, &w) < 0) {
		(void)problems_to_err(problems, err);
		return err_set(err, EBADMSG, "the document of '%s' is damaged", name);
	}
	if (!i->spec.hostname)
		i->spec.hostname = strdup(i->spec.name);
	return i->spec.hostname ? 0 : err_set(err, ENOMEM, "cannot load '%s': out of memory", name);
}

static void fill_numbers(struct inst *i, const struct store_row *r)
{
	i->phase = (enum inst_phase)store_row_int(r, COL_PHASE);
	i->desired = (enum inst_desired)store_row_int(r, COL_DESIRED);
	i->by_file = store_row_int(r, COL_BY_FILE) != 0;
	i->file_fields = (uint32_t)store_row_int(r, COL_FILE_FIELDS);
	i->created = (uint64_t)store_row_int(r, COL_CREATED);
	i->boot = (uint64_t)store_row_int(r, COL_BOOT);
	i->p->exit_boot = (uint64_t)store_row_int(r, COL_EXIT_BOOT);
	i->last_exit = (enum keeper_exit)store_row_int(r, COL_LAST_EXIT);
	i->failures = (uint32_t)store_row_int(r, COL_FAILURES);
	i->p->is_failed = store_row_int(r, COL_FAILED) != 0;
	i->restart_needed = store_row_int(r, COL_RESTART_NEEDED) != 0;
	i->range = (uint64_t)store_row_int(r, COL_RANGE);
	str_escape(i->error, sizeof(i->error), store_row_text(r, COL_ERROR));
	/* A host that was booted anew is a new chance. */
	if (i->manager->is_new_boot) {
		i->p->is_failed = false;
		i->failures = 0;
	}
	/* It ran since then, and is to be started again. */
	i->p->had_place = i->failures > 0;
	inst_rest(i);
}

static int load_inst(void *arg, const struct store_row *r, struct err *err)
{
	struct inst_manager *m = arg;
	struct inst *i = inst_new(m);
	int rc;

	if (!i)
		return err_set(err, ENOMEM, "cannot load instances: out of memory");
	rc = fill_inst(i, r, err);
	if (rc >= 0) {
		fill_numbers(i, r);
		rc = alloc_ranges_mark(m->ranges, i->range, err);
	}
	if (rc >= 0) {
		i->base = alloc_ranges_base(m->ranges, i->range);
		rc = inst_register(i, err);
	}
	if (rc < 0) {
		inst_free(i);
		return rc;
	}
	return 0;
}

static int load_op(void *arg, const struct store_row *r, struct err *err)
{
	struct inst_manager *m = arg;
	struct op like = {.ended = (uint64_t)store_row_int(r, 6)};
	_cleanup_json_ json_t *result = NULL;
	struct err why = ERR_INIT;

	if (str_copy(like.id, sizeof(like.id), store_row_text(r, 0)) < 0 ||
	    str_copy(like.target, sizeof(like.target), store_row_text(r, 3)) < 0 ||
	    str_copy(like.instance_id, sizeof(like.instance_id), store_row_text(r, 4)) < 0 ||
	    str_copy(like.error_code, sizeof(like.error_code), store_row_text(r, 7)) < 0)
		return err_set(err, EBADMSG, "the row of an operation is damaged");
	like.kind = (enum op_kind)store_row_int(r, 1);
	like.status = (enum op_status)store_row_int(r, 2);
	like.created = (uint64_t)store_row_int(r, 5);
	if (!op_kind_name(like.kind) || !op_status_name(like.status))
		return err_set(err, EBADMSG, "operation %s has an unknown kind", like.id);
	if (like.status == OP_FAILED) {
		(void)err_set(&like.err, EIO, "%s", store_row_text(r, 8));
		(void)err_hint(&like.err, "%s", store_row_text(r, 9));
	}
	/* History is no reason not to start. */
	if (*store_row_text(r, 10) && load_json(store_row_text(r, 10), like.id, &result, &why) < 0)
		log_warning("the result of operation %s is lost: %s", like.id, err_text(&why));
	return op_load(m->ops, &like, take_ptr(result), err);
}

static int load_lock(void *arg, const struct store_row *r, struct err *err)
{
	struct inst_lock *l = arg;

	l->is_locked = true;
	(void)err;
	if (str_eq(store_row_text(r, 0), "lock_reason"))
		(void)str_copy(l->reason, sizeof(l->reason), store_row_text(r, 1));
	else
		(void)num_parse_u64(store_row_text(r, 1), 0, INT64_MAX, &l->since);
	return 0;
}

static int load_event(void *arg, const struct store_row *r, struct err *err)
{
	struct inst_manager *m = arg;
	struct event like = {.cursor = (uint64_t)store_row_int(r, 0),
			     .time = (uint64_t)store_row_int(r, 1)};
	_cleanup_json_ json_t *details = NULL;
	struct err why = ERR_INIT;

	if (store_row_int(r, 0) <= 0 ||
	    str_copy(like.instance_id, sizeof(like.instance_id), store_row_text(r, 2)) < 0 ||
	    str_copy(like.name, sizeof(like.name), store_row_text(r, 3)) < 0 ||
	    str_copy(like.kind, sizeof(like.kind), store_row_text(r, 4)) < 0)
		return err_set(err, EBADMSG, "the row of an event is damaged");
	/* History is no reason not to start. */
	if (*store_row_text(r, 6) &&
	    load_json(store_row_text(r, 6), "an event", &details, &why) < 0)
		log_warning("the details of an event are lost: %s", err_text(&why));
	return event_log_load(m->events, &like, store_row_text(r, 5), take_ptr(details), err);
}

int db_load(struct inst_manager *m, struct err *err)
{
	int r;

	r = store_load(m->store, "SELECT id, name, doc, by_file, created FROM tenants", load_tenant,
		       m, err);
	if (r >= 0)
		r = store_load(m->store, "SELECT name, doc, created FROM plans", load_plan, m, err);
	if (r >= 0)
		r = store_load(m->store, "SELECT name, digest, created FROM images", load_image, m,
			       err);
	if (r >= 0)
		r = store_load(m->store,
			       "SELECT i.id, tenant_id, name, phase, desired, plan, plan_version, "
			       "digest, doc, by_file, file_fields, created, boot, exit_boot, "
			       "last_exit, failures, failed, error, hostname_done, "
			       "restart_needed, suspend, suspend_since, suspend_reason, "
			       "suspend_by, r.idx "
			       "FROM instances i LEFT JOIN id_ranges r ON r.instance_id = i.id",
			       load_inst, m, err);
	if (r >= 0)
		r = db_load_net(m, err);
	if (r >= 0)
		r = db_load_usage(m, err);
	if (r >= 0)
		r = store_load(m->store,
			       "SELECT * FROM (SELECT id, kind, status, target, instance_id, "
			       "created, ended, error_code, error, hint, result FROM operations "
			       "WHERE status = 0 OR id IN (SELECT id FROM operations "
			       "ORDER BY created DESC LIMIT 1000)) ORDER BY created",
			       load_op, m, err);
	if (r >= 0)
		r = store_load(m->store,
			       "SELECT key, value FROM meta "
			       "WHERE key IN ('lock_since', 'lock_reason')",
			       load_lock, &m->lock, err);
	if (r >= 0)
		r = store_load(m->store,
			       "SELECT cursor, time, instance_id, name, kind, message, details "
			       "FROM events ORDER BY cursor",
			       load_event, m, err);
	return r;
}
