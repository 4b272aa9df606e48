/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of memory that go down below what a guest uses. The kernel reclaims within the write,
 * which may take as long as the guest's disk or its swap does, so a job writes; the value counts
 * from the beginning of the write on. What the kernel holds in the end is read back here.
 */
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "runtime/instance/private.h"

/* What is not given back by then is not given back by waiting: the limit holds all the same, and
 * from here on it is the guest that waits, whenever it wants more. */
#define RECLAIM_LIMIT (20 * USEC_PER_SEC)

/* The soft one first: what it takes back the hard one need not kill for. */
static const enum cg_limit order[] = {CG_LIMIT_MEMORY_HIGH, CG_LIMIT_MEMORY_MAX};

static uint64_t wanted(const struct inst *i, enum cg_limit limit)
{
	struct cg_limits limits;

	inst_limits_of(i, &limits);
	return limits.value[limit];
}

static void reclaim_end(struct inst *i, const struct err *err)
{
	void (*next)(struct inst * inst, const struct err *err) = i->p->after_reclaim;

	i->p->owed = 0;
	i->p->after_reclaim = NULL;
	if (next)
		next(i, err);
	else if (err)
		log_error("%s: %s", i->full_name, err_text(err));
	if (!i->op && !i->p->reclaim)
		inst_replay_exit(i);
}

/* As the file rounds it. */
static bool is_held(const struct inst *i, enum cg_limit limit)
{
	char text[CG_LIMIT_TEXT] = "";
	uint64_t want, got;

	return cg_limit_format(limit, wanted(i, limit), text) >= 0 &&
	       cg_limit_parse(limit, text, &want) >= 0 &&
	       cg_instance_get(&i->p->cg, limit, &got, NULL) >= 0 && got == want;
}

static void reclaim_next(struct inst *i);

static void on_written(void *arg, const char *code, const struct err *job_err, json_t *result)
{
	struct inst *i = arg;
	struct err err = ERR_INIT;

	(void)code;
	(void)result;
	i->p->reclaim = NULL;
	if (is_held(i, i->p->reclaimed) || i->p->has_exit) {
		i->p->owed &= ~(1u << i->p->reclaimed);
		reclaim_next(i);
		return;
	}
	if (job_err)
		err = *job_err;
	else
		(void)err_set(&err, EIO, "the kernel holds another value");
	(void)err_ctx(&err, "cannot set '%s'", cg_limit_name(i->p->reclaimed));
	reclaim_end(i, &err);
}

static int start_write(struct inst *i, enum cg_limit limit, struct err *err)
{
	struct inst_manager *m = i->manager;
	char dir[CG_PATH_MAX], path[CG_PATH_MAX + 32], value[CG_LIMIT_TEXT] = "";
	const char *const argv[] = {"write-limit", "--file", path, "--value", value, NULL};
	const struct job_spec job = {.argv = argv,
				     .flags = JOB_IMMEDIATE,
				     .timeout_usec = RECLAIM_LIMIT,
				     .done = on_written,
				     .arg = i};
	int r = cg_limit_format(limit, wanted(i, limit), value);

	cg_instance_path(&m->cg, i->p->cg.tenant_id, i->id, dir);
	if (r >= 0)
		r = str_fmt(path, sizeof(path), "%s/%s", dir, cg_limit_file(limit));
	if (r < 0)
		return err_set_errno(err, -r, "cannot set '%s'", cg_limit_name(limit));
	i->p->reclaimed = limit;
	return job_start(m->jobs, &job, &i->p->reclaim, err);
}

static void reclaim_next(struct inst *i)
{
	struct err err = ERR_INIT;

	for (size_t k = 0; k < sizeof(order) / sizeof(order[0]); k++) {
		/* The next guest has them from its birth on. */
		if (!(i->p->owed & 1u << order[k]) || i->p->has_exit)
			continue;
		if (start_write(i, order[k], &err) < 0)
			break;
		return;
	}
	reclaim_end(i, err.code ? &err : NULL);
}

void inst_reclaim(struct inst *i, void (*next)(struct inst *i, const struct err *err))
{
	i->p->after_reclaim = next;
	reclaim_next(i);
}

void inst_reclaim_hasten(struct inst *i)
{
	if (i->p->reclaim)
		job_cancel(i->p->reclaim);
}
