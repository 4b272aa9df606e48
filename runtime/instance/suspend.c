/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Suspension: written first, then the guest is frozen, stopped or cut off, so that whatever
 * interrupts that, the next vpsd goes on with it. 'desired' is left alone: it says what a
 * resumption brings back.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/str.h"
#include "cgroups/events.h"
#include "runtime/instance/private.h"

#define FREEZE_FIRST USEC_PER_MSEC
#define FREEZE_MOST (100 * USEC_PER_MSEC)

static const char *const mode_names[] = {
	[INST_SUSPEND_NONE] = NULL,
	[INST_SUSPEND_FREEZE] = "freeze",
	[INST_SUSPEND_STOP] = "stop",
	[INST_SUSPEND_NETWORK] = "network",
};
_Static_assert(sizeof(mode_names) / sizeof(mode_names[0]) == INST_SUSPEND_MAX, "one name a mode");

const char *inst_suspend_name(enum inst_suspend mode)
{
	return (unsigned)mode < INST_SUSPEND_MAX ? mode_names[mode] : NULL;
}

int inst_suspend_from_name(const char *name)
{
	for (int i = INST_SUSPEND_NONE + 1; i < INST_SUSPEND_MAX; i++)
		if (str_eq(mode_names[i], name))
			return i;
	return -EINVAL;
}

int inst_check_reason(const char *reason, struct err *err)
{
	if (!reason)
		return 0;
	if (strlen(reason) >= INST_REASON_TEXT)
		return err_set(err, EINVAL, "reason: longer than %d bytes", INST_REASON_TEXT - 1);
	if (!str_is_clean_utf8(reason))
		return err_set(err, EINVAL,
			       "reason: must be one line of text without control characters");
	return 0;
}

int inst_refuse_suspended(const struct inst *i, enum policy_verb verb, struct err *err)
{
	const struct inst_suspension *s = &i->suspension;
	time_t since = (time_t)s->since;
	char text[32] = "";
	struct tm tm;

	if (gmtime_r(&since, &tm))
		(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	(void)err_set(err, EBUSY, "cannot %s '%s': it is suspended (%s) since %s%s%s",
		      policy_verb_name(verb), i->full_name, inst_suspend_name(s->mode), text,
		      *s->reason ? ": " : "", s->reason);
	return err_hint(err, "'vps resume %s' ends that", i->full_name);
}

/* --- the cgroup ------------------------------------------------------------------------------ */

bool inst_thaw(struct inst *i)
{
	struct err err = ERR_INIT;

	if (cg_thaw(i->p->cg.fd, 0, &err) < 0) {
		log_error("%s: cannot thaw it: %s", i->full_name, err_text(&err));
		return false;
	}
	i->p->is_frozen = false;
	return true;
}

void inst_freeze_as_wanted(struct inst *i)
{
	struct cg_events events = {0};
	struct err err = ERR_INIT;

	if (i->suspension.mode == INST_SUSPEND_FREEZE) {
		i->p->is_frozen = cg_freeze(i->p->cg.fd, 0, &err) >= 0;
		if (!i->p->is_frozen)
			log_error("%s: is suspended and runs: %s", i->full_name, err_text(&err));
		return;
	}
	(void)cg_events_get(i->p->cg.fd, &events, NULL);
	/* Also what was asked for and has not come about. */
	if (inst_thaw(i) && events.frozen)
		log_info("%s: was frozen, and goes on", i->full_name);
}

/* --- suspend --------------------------------------------------------------------------------- */

static void suspend_done(struct inst *i)
{
	inst_rest(i);
	inst_finish(i, NULL, NULL, NULL);
}

/* Exchanges what is in force with what was before. */
static void swap(struct inst *i)
{
	struct inst_suspension now = i->suspension;

	i->suspension = i->p->was.suspension;
	i->p->was.suspension = now;
}

static void undo_written(struct inst *i, const struct err *err)
{
	struct err why = ERR_INIT;

	/* What is written holds: the next vpsd would freeze it. */
	if (err) {
		log_error("%s: cannot take its suspension back: %s", i->full_name, err_text(err));
		(void)err_ctx(&i->p->why, "it stays suspended, as that cannot be taken back");
		swap(i);
	} else {
		if (i->suspension.mode != INST_SUSPEND_FREEZE)
			(void)inst_thaw(i);
		if (links_cut_as_wanted(i, &why) < 0)
			log_error("%s: %s", i->full_name, err_text(&why));
	}
	inst_rest(i);
	inst_finish(i, NULL, &i->p->why, NULL);
}

static void undo(struct inst *i, const struct err *why)
{
	struct store_txn *t;

	i->p->why = *why;
	swap(i);
	t = store_txn_new(i->manager->store);
	db_put_inst(t, i);
	inst_commit(i, t, undo_written);
}

static void await_frozen(struct inst *i)
{
	struct cg_events events;
	struct err err = ERR_INIT;
	int r = cg_events_get(i->p->cg.fd, &events, &err);

	/* One that ends just now is judged when this is done. */
	if (r >= 0 && (events.frozen || !events.populated)) {
		suspend_done(i);
		return;
	}
	if (r >= 0 && now_usec() < i->p->freeze_until) {
		inst_timer_set(i, i->p->freeze_delay, await_frozen);
		if (i->p->freeze_delay < FREEZE_MOST)
			i->p->freeze_delay *= 2;
		return;
	}
	if (r >= 0) {
		(void)err_set(&err, ETIMEDOUT,
			      "not all processes of '%s' stood still within %llu s", i->full_name,
			      (unsigned long long)(i->manager->freeze_limit / USEC_PER_SEC));
		(void)err_hint(&err, "one that waits for a disk cannot be frozen: try again later, "
				     "or suspend it with --mode stop");
	}
	undo(i, &err);
}

void inst_suspend_again(struct inst *i)
{
	struct err err = ERR_INIT;

	i->p->freeze_until = now_usec() + i->manager->freeze_limit;
	i->p->freeze_delay = FREEZE_FIRST;
	if (cg_freeze(i->p->cg.fd, 0, &err) < 0) {
		(void)err_ctx(&err, "cannot freeze '%s'", i->full_name);
		undo(i, &err);
		return;
	}
	i->p->is_frozen = true;
	await_frozen(i);
}

/* Its own end may have come meanwhile. */
static void not_written(struct inst *i)
{
	inst_restore(i);
	inst_replay_exit(i);
}

static void suspend_begun(struct inst *i, const struct err *err)
{
	struct err why = ERR_INIT;

	if (err) {
		not_written(i);
		return;
	}
	if (i->suspension.mode == INST_SUSPEND_NETWORK && i->p->is_frozen && !inst_thaw(i))
		(void)err_set(&why, EIO, "the kernel does not let '%s' go on", i->full_name);
	if (!why.code)
		(void)links_cut_as_wanted(i, &why);
	if (why.code)
		undo(i, &why);
	else if (i->suspension.mode == INST_SUSPEND_FREEZE && inst_is_up(i))
		inst_suspend_again(i);
	else
		suspend_done(i);
}

/* What is not up stays down, and a next try that was planned is off. */
static int suspend_down(struct inst *i, struct op **ret, struct err *err)
{
	int r;

	if (!i->p->is_failed)
		i->error[0] = '\0';
	r = inst_begin(i, OP_SUSPEND, suspend_begun, ret, err);
	if (r < 0) {
		inst_restore(i);
		return r;
	}
	inst_timer_clear(i);
	i->retry_at = 0;
	return 0;
}

static int check_mode(const struct inst *i, enum inst_suspend mode, struct err *err)
{
	if (mode == INST_SUSPEND_NETWORK && i->net.n == 0) {
		(void)err_set(err, EOPNOTSUPP, "'%s' has no network that it could be cut off from",
			      i->full_name);
		return err_hint(err, "use --mode freeze or --mode stop");
	}
	if (mode == INST_SUSPEND_FREEZE && inst_is_up(i) && i->p->cg.fd < 0) {
		(void)err_set(err, EOPNOTSUPP, "'%s' runs without its cgroup: it cannot be frozen",
			      i->full_name);
		return err_hint(err, "use --mode stop");
	}
	return 0;
}

int inst_suspend_by(struct inst *i, enum inst_suspend_by by, enum inst_suspend mode,
		    const char *reason, struct op **ret, struct err *err)
{
	int r = inst_check_reason(reason, err);

	if (r >= 0)
		r = check_mode(i, mode, err);
	if (r >= 0)
		r = inst_check_verb(i, POLICY_VERB_SUSPEND, err);
	if (r < 0)
		return r;
	inst_remember(i);
	if (!i->suspension.mode || i->suspension.by != by)
		i->suspension = (struct inst_suspension){.since = now_seconds(), .by = by};
	i->suspension.mode = mode;
	if (reason)
		(void)str_copy(i->suspension.reason, sizeof(i->suspension.reason), reason);
	if (!inst_is_up(i))
		return suspend_down(i, ret, err);
	if (mode == INST_SUSPEND_STOP)
		return inst_begin_down(i, OP_SUSPEND, 0, false, inst_down_done, ret, err);
	r = inst_begin(i, OP_SUSPEND, suspend_begun, ret, err);
	if (r < 0)
		inst_restore(i);
	return r;
}

int inst_suspend(struct inst *i, enum inst_suspend mode, const char *reason, struct op **ret,
		 struct err *err)
{
	return inst_suspend_by(i, INST_SUSPEND_BY_OPERATOR, mode, reason, ret, err);
}

/* --- resume ---------------------------------------------------------------------------------- */

static void resume_begun(struct inst *i, const struct err *err)
{
	struct err why = ERR_INIT;

	if (err) {
		not_written(i);
		return;
	}
	if (!inst_is_up(i) && i->desired == INST_WANT_RUNNING && !i->p->is_failed) {
		i->failures = 0;
		i->p->after_up = inst_start_done;
		inst_boot(i);
		return;
	}
	if (i->p->is_frozen && !inst_thaw(i)) {
		i->suspension = i->p->was.suspension;
		(void)err_set(&why, EIO, "the kernel does not let '%s' go on", i->full_name);
		inst_finish(i, NULL, &why, NULL);
		return;
	}
	/* What is written says that it is connected. */
	if (links_cut_as_wanted(i, &why) < 0) {
		undo(i, &why);
		return;
	}
	inst_rest(i);
	inst_finish(i, NULL, NULL, NULL);
}

int inst_resume(struct inst *i, struct op **ret, struct err *err)
{
	int r = inst_check_verb(i, POLICY_VERB_RESUME, err);

	if (r >= 0)
		r = transfer_check_resume(i, err);
	if (r >= 0 && !inst_is_up(i) && i->desired == INST_WANT_RUNNING)
		r = inst_check_start_room(i, err);
	if (r < 0)
		return r;
	inst_remember(i);
	i->suspension = (struct inst_suspension){0};
	r = inst_begin(i, OP_RESUME, resume_begun, ret, err);
	if (r < 0)
		inst_restore(i);
	return r;
}
