/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of the catalogue: adding and removing. A name stands in the database only after
 * its files stand in the pool, and leaves it before they go.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "runtime/instance/private.h"

#define IMPORT_LIMIT (6 * 3600 * USEC_PER_SEC)
#define FLOWS_MAX 16u
#define REMOVE_LIMIT (3600 * USEC_PER_SEC)

/* One import, build or removal. */
struct image_flow {
	struct inst_manager *manager;
	struct op *op;
	char name[SPEC_NAME_TEXT];
	struct inst_image *image; /* owned until it is in the catalogue */
	json_t *result;
	struct job *job;
	struct image_flow *next; /* of those under way */
	uint64_t range;		 /* index of the ids that its job has to itself */
	bool has_range;
};

static void flow_unlink(struct image_flow *f)
{
	struct image_flow **at = &f->manager->image_flows;

	while (*at && *at != f)
		at = &(*at)->next;
	if (*at)
		*at = f->next;
}

static void flow_free(struct image_flow *f)
{
	flow_unlink(f);
	op_release(f->op);
	/* The first range is the jobs' own. */
	if (f->has_range && f->range > 0)
		alloc_ranges_release(f->manager->ranges, f->range);
	inst_image_free(f->image);
	json_decref(f->result);
	free(f);
}

static struct image_flow *flow_new(struct inst_manager *m, enum op_kind kind, const char *name,
				   struct err *err)
{
	struct image_flow *f = calloc(1, sizeof(*f));

	if (!f || str_copy(f->name, sizeof(f->name), name) < 0) {
		free(f);
		(void)err_set(err, ENOMEM, "cannot start the operation: out of memory");
		return NULL;
	}
	f->manager = m;
	if (op_new(m->ops, kind, name, NULL, &f->op, err) < 0) {
		free(f);
		return NULL;
	}
	/* It ends early when its row cannot be written; the flow still needs it. */
	op_hold(f->op);
	return f;
}

static void flow_link(struct image_flow *f)
{
	f->next = f->manager->image_flows;
	f->manager->image_flows = f;
}

/* Refuses a name that another flow works on. */
static int check_name(const struct inst_manager *m, const char *name, const struct image_flow *by,
		      struct err *err)
{
	for (const struct image_flow *f = m->image_flows; f; f = f->next)
		if (f != by && str_eq(f->name, name))
			return err_set(err, EBUSY, "operation %s (%s %s) is under way", f->op->id,
				       op_kind_name(f->op->kind), name);
	return 0;
}

static unsigned count_users(const struct inst_manager *m, const char *digest)
{
	unsigned n = 0;

	for (size_t i = 0; i < m->n_insts; i++)
		n += str_eq(m->insts[i]->digest, digest);
	return n;
}

/* --- files that nobody names ----------------------------------------------------------------- */

struct image_removal {
	struct inst_manager *manager;
	struct image_removal *next;
	struct image_flow *flow; /* NULL = nobody asked */
	char digest[IMG_DIGEST_TEXT];
};

static void on_image_removed(void *arg, const char *code, const struct err *err, json_t *result);
static void sweep_quietly(struct inst_manager *m);

static void on_files_removed(void *arg, const char *code, const struct err *err, json_t *result)
{
	struct image_removal *r = arg;
	struct inst_manager *m = r->manager;
	struct image_removal **at = &m->removals;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	if (r->flow)
		on_image_removed(r->flow, code, err, result);
	else if (err)
		log_error("cannot remove image %.12s: %s", r->digest, err_text(err));
	free(r);
	/* An import that was refused because of it may have unpacked the same behind it. */
	if (!err)
		sweep_quietly(m);
}

static int remove_files(struct inst_manager *m, const char *digest, struct image_flow *flow,
			struct err *err)
{
	const char *const argv[] = {"remove-image", "--pool", m->host->pool,
				    "--digest",	    digest,   NULL};
	struct job_spec job = {.argv = argv,
			       .flags = JOB_REMOVAL,
			       .timeout_usec = REMOVE_LIMIT,
			       .done = on_files_removed};
	struct image_removal *removal = calloc(1, sizeof(*removal));
	int r;

	if (!removal)
		return err_set(err, ENOMEM, "cannot remove an image: out of memory");
	removal->manager = m;
	removal->flow = flow;
	(void)str_copy(removal->digest, sizeof(removal->digest), digest);
	job.arg = removal;
	r = job_start(m->jobs, &job, NULL, err);
	if (r < 0) {
		free(removal);
		return r;
	}
	removal->next = m->removals;
	m->removals = removal;
	return 0;
}

static bool is_being_removed(const struct inst_manager *m, const char *digest)
{
	for (const struct image_removal *r = m->removals; r; r = r->next)
		if (str_eq(r->digest, digest))
			return true;
	return false;
}

/* By an instance, known or not, by a name, or by one that is about to be written by another flow or
 * may come back because its deletion is not durable yet. */
static bool is_wanted(const struct inst_manager *m, const char *digest, const struct image_flow *by)
{
	if (m->keeps_strays || catalog_image_by_digest(&m->catalog, digest) ||
	    count_users(m, digest) > 0)
		return true;
	for (const struct image_flow *f = m->image_flows; f; f = f->next)
		if (f != by && f->image && str_eq(f->image->digest, digest))
			return true;
	return false;
}

/* What an import that was not written down has left in the pool. */
static void drop_unnamed(struct inst_manager *m, const char *digest, const struct image_flow *by)
{
	struct err err = ERR_INIT;

	if (is_wanted(m, digest, by) || is_being_removed(m, digest))
		return;
	log_info("removing image %.12s, which has no name", digest);
	if (remove_files(m, digest, NULL, &err) < 0)
		log_error("cannot remove image %.12s: %s", digest, err_text(&err));
}

void inst_images_sweep(struct inst_manager *m)
{
	_cleanup_free_ struct img_manifest *list = NULL;
	struct err err = ERR_INIT;
	size_t n = 0;

	if (img_store_list(m->images, &list, &n, NULL, &err) < 0)
		log_warning("cannot look for images without a name: %s", err_text(&err));
	for (size_t i = 0; i < n; i++)
		drop_unnamed(m, list[i].digest, NULL);
}

void inst_images_done(struct inst_manager *m)
{
	while (m->removals) {
		struct image_removal *r = m->removals;

		m->removals = r->next;
		if (r->flow)
			flow_free(r->flow);
		free(r);
	}
	while (m->image_flows) {
		struct image_flow *f = m->image_flows;

		/* Held until its operation ends, which it does not here. */
		if (f->job && f->op->status == OP_RUNNING)
			job_release(f->job);
		flow_free(f);
	}
}

/* While no job is unpacking, whatever has no name has been left behind. */
static void sweep_quietly(struct inst_manager *m)
{
	if (!m->image_flows)
		inst_images_sweep(m);
}

/* --- coming ---------------------------------------------------------------------------------- */

static void on_named(void *arg, const struct err *err)
{
	struct image_flow *f = arg;
	struct inst_manager *m = f->manager;
	struct err why = ERR_INIT;
	json_t *result = f->result;

	f->result = NULL;
	if (m->is_closing) {
		json_decref(result);
		flow_free(f);
		return;
	}
	if (!err && catalog_add_image(&m->catalog, f->image, &why) >= 0)
		f->image = NULL;
	else if (err)
		why = *err;
	if (f->image)
		drop_unnamed(m, f->image->digest, f);
	op_end(f->op, NULL, why.code ? &why : NULL, result);
	flow_free(f);
}

static void fail(struct image_flow *f, const char *code, const struct err *err)
{
	op_finish(f->manager, f->op, NULL, code, err, NULL);
	flow_free(f);
}

/* The names whose files were not in the pool have them again. */
static void note_files(struct inst_manager *m, const struct img_manifest *manifest)
{
	for (size_t i = 0; i < m->catalog.n_images; i++) {
		struct inst_image *image = m->catalog.images[i];

		if (!image->is_missing || !str_eq(image->digest, manifest->digest))
			continue;
		image->manifest = *manifest;
		image->is_missing = false;
	}
}

static int refuse_removed(struct err *err)
{
	return err_set(err, EBUSY, "the files of this image are just being removed; try again");
}

static int read_image(struct image_flow *f, json_t *result, struct err *err)
{
	const char *digest = json_string_value(json_object_get(result, "digest"));
	struct inst_manager *m = f->manager;
	struct inst_image *known;
	int r;

	if (!digest || !str_is_digest(digest))
		return err_set(err, EBADMSG, "the job gave no digest");
	if (is_being_removed(m, digest))
		return refuse_removed(err);
	f->image = calloc(1, sizeof(*f->image));
	if (!f->image)
		return err_set(err, ENOMEM, "cannot add the image: out of memory");
	memcpy(f->image->name, f->name, sizeof(f->image->name));
	(void)str_copy(f->image->digest, sizeof(f->image->digest), digest);
	f->image->created = now_seconds();
	r = img_store_manifest(m->images, digest, &f->image->manifest, err);
	if (r == -ENOENT)
		return refuse_removed(err);
	if (r < 0)
		return r;
	note_files(m, &f->image->manifest);
	/* Its deletion may still fail. */
	r = check_name(m, f->name, f, err);
	if (r < 0) {
		drop_unnamed(m, digest, f);
		return r;
	}
	known = catalog_image(&m->catalog, f->name);
	if (known && !str_eq(known->digest, digest)) {
		drop_unnamed(m, digest, f);
		(void)err_set(err, EEXIST, "image '%s' exists with other content (sha256 %.12s)",
			      f->name, known->digest);
		return err_hint(err, "delete it first, or import under another name");
	}
	f->image->instances = count_users(m, digest);
	return known ? 1 : 0;
}

static void on_unpacked(void *arg, const char *code, const struct err *job_err, json_t *result)
{
	struct image_flow *f = arg;
	struct inst_manager *m = f->manager;
	struct store_txn *t;
	struct err err = ERR_INIT;
	int r;

	if (job_err) {
		fail(f, code, job_err);
		/* It may have been ended between its last rename and its last word. */
		sweep_quietly(m);
		return;
	}
	r = read_image(f, result, &err);
	if (r < 0) {
		fail(f, NULL, &err);
		return;
	}
	f->result = json_incref(result);
	(void)json_object_set_new(f->result, "name", json_string(f->name));
	if (r == 1) {
		/* The same again. */
		op_finish(f->manager, f->op, NULL, NULL, NULL, take_ptr(f->result));
		flow_free(f);
		return;
	}
	t = store_txn_new(f->manager->store);
	db_put_image(t, f->image);
	db_end_op(t, f->op->id, NULL, NULL, f->result);
	if (store_submit(t, on_named, f, &err) < 0)
		on_named(f, &err);
}

static void on_progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
	struct image_flow *f = arg;

	op_progress_bytes(f->op, what, done, total);
}

static void on_flow_begun(void *arg, const struct err *err)
{
	struct op *op = arg;

	op_committed(op, err);
}

/* Nobody waits for the job of an operation that could not be written: it gives back its name and
 * its turn. In any other case it has ended before its operation. */
static void on_flow_ended(void *arg, struct op *op)
{
	(void)op;
	job_cancel(arg);
	job_release(arg);
}

/* The job runs while its operation is being written: when it was quicker, the operation has ended
 * and the image is just there. The caller may ask the job for its stdin until the operation has
 * ended, which is later than the end of the job. */
static int begin(struct image_flow *f, const struct job_spec *job, struct err *err)
{
	struct inst_manager *m = f->manager;
	struct store_txn *t = store_txn_new(m->store);
	int r;

	db_add_op(t, f->op);
	r = store_submit(t, on_flow_begun, f->op, err);
	if (r < 0) {
		op_committed(f->op, err);
		flow_free(f);
		return r;
	}
	flow_link(f);
	r = job_start(m->jobs, job, &f->job, err);
	if (r < 0) {
		fail(f, NULL, err);
		return r;
	}
	job_hold(f->job);
	r = op_watch(f->op, OP_WHEN_ENDED, on_flow_ended, f->job, NULL, err);
	if (r < 0) {
		job_release(f->job);
		job_cancel(f->job);
	}
	return r;
}

static int check_new(const struct inst_manager *m, const char *name, struct err *err)
{
	unsigned n = 0;
	int r = inst_check_ready(m, err);

	if (r < 0)
		return r;
	if (!name || !str_is_name(name) || strlen(name) >= SPEC_NAME_TEXT) {
		(void)err_set(err, EINVAL, "'%s' is no name for an image", name ? name : "");
		return err_hint(err, "use 1 to 63 of a-z, 0-9, '-' and '.'");
	}
	r = check_name(m, name, NULL, err);
	if (r < 0)
		return r;
	for (const struct image_flow *f = m->image_flows; f; f = f->next)
		n += f->op->kind != OP_IMAGE_DELETE;
	if (n >= FLOWS_MAX) {
		(void)err_set(err, EBUSY, "%u images are being imported or built already", n);
		return err_hint(err, "wait for the end of one (vps op ls)");
	}
	return 0;
}

static bool is_range_taken(const struct inst_manager *m, uint64_t range)
{
	for (const struct image_flow *f = m->image_flows; f; f = f->next)
		if (f->has_range && f->range == range)
			return true;
	return false;
}

/* Ids of nobody for the job's jail. What is left when all are sold is enough for one job. */
static int take_range(struct image_flow *f, char base[NUM_TEXT], struct err *err)
{
	struct inst_manager *m = f->manager;
	int r;

	if (is_range_taken(m, 0)) {
		r = alloc_ranges_take(m->ranges, &f->range, err);
		if (r < 0)
			return r;
	}
	f->has_range = true;
	return str_fmt(base, NUM_TEXT, "%u", alloc_ranges_base(m->ranges, f->range));
}

int inst_image_import(struct inst_manager *m, const char *name, const char *expect_digest,
		      uint64_t size, struct op **ret, struct job **ret_job, struct err *err)
{
	char base[NUM_TEXT], bytes[NUM_TEXT];
	const char *argv[12] = {"import", "--pool", m->host->pool, "--range-base", base};
	struct job_spec job = {.argv = argv,
			       .flags = JOB_STDIN | JOB_LONG,
			       .timeout_usec = IMPORT_LIMIT,
			       .progress = on_progress,
			       .done = on_unpacked};
	struct image_flow *f;
	size_t n = 5;
	int r = check_new(m, name, err);

	if (r < 0)
		return r;
	if (expect_digest && !str_is_digest(expect_digest))
		return err_set(err, EINVAL, "the digest must be 64 lower-case hex digits");
	if (expect_digest) {
		argv[n++] = "--expect-digest";
		argv[n++] = expect_digest;
	}
	if (size) {
		(void)str_fmt(bytes, sizeof(bytes), "%llu", (unsigned long long)size);
		argv[n++] = "--size";
		argv[n++] = bytes;
	}
	f = flow_new(m, OP_IMAGE_IMPORT, name, err);
	if (!f)
		return err ? -err->code : -ENOMEM;
	r = take_range(f, base, err);
	if (r < 0) {
		op_committed(f->op, err);
		flow_free(f);
		return r;
	}
	job.arg = f;
	*ret = f->op;
	r = begin(f, &job, err);
	if (r >= 0)
		*ret_job = f->job;
	return r;
}

int inst_image_build(struct inst_manager *m, const char *name, const char *release, struct op **ret,
		     struct err *err)
{
	char base[NUM_TEXT];
	const char *const argv[] = {"build", "--pool",	  m->host->pool, "--range-base",
				    base,    "--release", release,	 NULL};
	struct job_spec job = {.argv = argv,
			       .flags = JOB_LONG,
			       .timeout_usec = IMPORT_LIMIT,
			       .progress = on_progress,
			       .done = on_unpacked};
	struct image_flow *f;
	int r = check_new(m, name, err);

	if (r < 0)
		return r;
	if (!release || !str_is_name(release))
		return err_set(err, EINVAL, "'%s' is no release", release ? release : "");
	if (catalog_image(&m->catalog, name))
		return err_set(err, EEXIST, "image '%s' exists already", name);
	f = flow_new(m, OP_IMAGE_BUILD, name, err);
	if (!f)
		return err ? -err->code : -ENOMEM;
	r = take_range(f, base, err);
	if (r < 0) {
		op_committed(f->op, err);
		flow_free(f);
		return r;
	}
	job.arg = f;
	*ret = f->op;
	return begin(f, &job, err);
}

/* --- going ----------------------------------------------------------------------------------- */

static void on_image_removed(void *arg, const char *code, const struct err *err, json_t *result)
{
	struct image_flow *f = arg;

	(void)result;
	op_finish(f->manager, f->op, NULL, code, err, NULL);
	flow_free(f);
}

static void on_name_dropped(void *arg, const struct err *err)
{
	struct image_flow *f = arg;
	struct inst_manager *m = f->manager;
	const char *digest = f->image->digest;
	struct err why = ERR_INIT;

	if (m->is_closing) {
		flow_free(f);
		return;
	}
	op_committed(f->op, err);
	if (err) {
		f->image->instances = count_users(m, f->image->digest);
		if (catalog_add_image(&m->catalog, f->image, &why) >= 0)
			f->image = NULL;
		flow_free(f);
		return;
	}
	flow_unlink(f);
	/* Another name may stand for the same files, or be about to. */
	if (is_wanted(m, digest, f) || is_being_removed(m, digest)) {
		on_image_removed(f, NULL, NULL, NULL);
		return;
	}
	if (remove_files(m, digest, f, &why) < 0)
		on_image_removed(f, NULL, &why, NULL);
}

static int check_unused(const struct inst_manager *m, const struct inst_image *image,
			struct err *err)
{
	unsigned names = 0;

	for (size_t i = 0; i < m->catalog.n_images; i++)
		names += str_eq(m->catalog.images[i]->digest, image->digest);
	if (names > 1)
		return 0;
	for (size_t i = 0; i < m->n_insts; i++)
		if (str_eq(m->insts[i]->digest, image->digest))
			return err_set(err, EBUSY, "image '%s' is used by %u instance%s ('%s')",
				       image->name, image->instances,
				       image->instances == 1 ? "" : "s", m->insts[i]->full_name);
	return 0;
}

int inst_image_delete(struct inst_manager *m, const char *name, struct op **ret, struct err *err)
{
	struct inst_image *image = catalog_image(&m->catalog, name);
	struct image_flow *f;
	struct store_txn *t;
	int r = inst_check_ready(m, err);

	if (r < 0)
		return r;
	if (!image)
		return err_set(err, ENOENT, "there is no image '%s'", name);
	r = check_unused(m, image, err);
	if (r < 0)
		return r;
	f = flow_new(m, OP_IMAGE_DELETE, name, err);
	if (!f)
		return err ? -err->code : -ENOMEM;
	f->image = malloc(sizeof(*f->image));
	if (!f->image) {
		r = err_set(err, ENOMEM, "cannot delete the image: out of memory");
		op_committed(f->op, err);
		flow_free(f);
		return r;
	}
	*f->image = *image;
	catalog_drop_image(&m->catalog, image);
	*ret = f->op;
	flow_link(f);
	t = store_txn_new(m->store);
	db_drop_image(t, name);
	db_add_op(t, f->op);
	r = store_submit(t, on_name_dropped, f, err);
	if (r < 0)
		on_name_dropped(f, err);
	return r;
}
