/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests that are stuck at their memory limit: a timer reads a few kernel files of each, thrash.h
 * decides, and what is done about it is written down as an event. An idle guest costs two short
 * files a reading.
 *
 * Nothing of this is kept: limits are written from the database when vpsd starts, so what one held
 * back is given back by the next, which begins to look anew.
 */
#include "runtime/instance/thrash.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "cgroups/strain.h"
#include "runtime/instance/private.h"

#define AT_ONCE 64 /* guests that are looked at before the loop goes on */
#define ACCURACY (250 * USEC_PER_MSEC)
#define RELIEF_LIMIT (60 * USEC_PER_SEC)
#define RECLAIM_PART 4 /* of its memory */

static const char *const action_names[] = {
	[SPEC_THRASH_NONE] = "none",
	[SPEC_THRASH_RECLAIM] = "reclaim",
	[SPEC_THRASH_THROTTLE] = "throttle",
	[SPEC_THRASH_KILL] = "kill",
};
_Static_assert(sizeof(action_names) / sizeof(action_names[0]) == SPEC_THRASH_ACTION_MAX,
	       "one name an action");

static const struct spec_thrash *rule_of(const struct inst *i)
{
	return &i->manager->host->thrash;
}

const char *thrash_why_not(const struct inst_manager *m, const char *no_io)
{
	if (m->strain_why_not)
		return m->strain_why_not;
	return m->host->thrash.action == SPEC_THRASH_THROTTLE ? no_io : NULL;
}

/* --- what is said ---------------------------------------------------------------------------- */

static json_t *details_of(const struct inst *i, const struct thrash_watch *w, uint64_t seconds)
{
	return json_pack("{s:s, s:f, s:f, s:I, s:I, s:I}", "action",
			 action_names[rule_of(i)->action], "memory_pressure",
			 w->memory_share / 100.0, "io_pressure", w->io_share / 100.0, "refaults",
			 (json_int_t)w->rate, "cache", (json_int_t)w->last.cache, "seconds",
			 (json_int_t)seconds);
}

/* 'result' (borrowed) is an object to be shown as well, NULL = none. */
static void say(struct inst *i, const char *what, const struct err *err, const json_t *result)
{
	const struct thrash_watch *w = &i->p->thrash_seen;
	json_t *details = details_of(i, w, i->p->thrash_seconds);
	char text[900], cache[NUM_TEXT];

	num_format_size_short(cache, w->last.cache);
	if (result)
		(void)json_object_update(details, (json_t *)(uintptr_t)result);
	if (err)
		(void)json_object_set_new(details, "error", json_string(err_text(err)));
	if (str_fmt(text, sizeof(text),
		    "stuck at its memory limit for %" PRIu64 " s (waits for memory %" PRIu32
		    " %%, for the disk %" PRIu32 " %%, reads %" PRIu64
		    " pages a second again, %s left for files): %s%s",
		    i->p->thrash_seconds, w->memory_share / 100, w->io_share / 100, w->rate, cache,
		    what, err ? err_text(err) : "") < 0)
		(void)str_copy(text, sizeof(text), what);
	log_warning("%s: %s", i->full_name, text);
	inst_note(i, "thrash", text, details);
}

static void say_over(struct inst *i, const char *what)
{
	log_info("%s: %s", i->full_name, what);
	inst_note(i, "thrash-over", what, NULL);
}

/* --- what is done ---------------------------------------------------------------------------- */

void thrash_hold_back(const struct inst *i, struct cg_limits *l)
{
	const uint64_t most = rule_of(i)->read_iops;

	if (i->thrash.is_throttled && l->value[CG_LIMIT_DISK_READ_IOPS] > most)
		l->value[CG_LIMIT_DISK_READ_IOPS] = most;
}

void thrash_explain(struct inst *i)
{
	struct cg_limit_status *s = &i->limits[CG_LIMIT_DISK_READ_IOPS];

	if (i->thrash.is_throttled && s->actual == rule_of(i)->read_iops &&
	    s->actual != s->configured)
		(void)str_copy(s->reason, sizeof(s->reason),
			       "held back: the guest is stuck at its memory limit");
}

/* Writes all limits of the instance, with what is held back. */
static int write_limits(struct inst *i, struct err *err)
{
	return inst_change_kernel(i, &i->effective, CG_APPLY_FORCE, err);
}

static int hold_reads(struct inst *i, struct err *err)
{
	const struct cg_limit_status *s = &i->limits[CG_LIMIT_DISK_READ_IOPS];
	int r = write_limits(i, err);

	if (r >= 0 && inst_limits_refresh(i, NULL) >= 0 && s->actual > rule_of(i)->read_iops)
		return err_set(err, EOPNOTSUPP, "%s", s->reason);
	return r;
}

static void throttle(struct inst *i)
{
	struct err err = ERR_INIT;
	char what[80];

	i->thrash.is_throttled = true;
	if (hold_reads(i, &err) < 0) {
		i->thrash.is_throttled = false;
		say(i, "its reads cannot be held back: ", &err, NULL);
		return;
	}
	if (i->effective.disk.read_iops <= rule_of(i)->read_iops)
		(void)str_fmt(what, sizeof(what),
			      "its plan has no more than %" PRIu64 " reads a second already",
			      i->effective.disk.read_iops);
	else
		(void)str_fmt(what, sizeof(what), "reads held back to %" PRIu64 " a second",
			      rule_of(i)->read_iops);
	say(i, what, NULL, NULL);
}

/* False: not yet, it is tried again with the next reading. */
static bool release(struct inst *i)
{
	struct err err = ERR_INIT;

	i->thrash.is_throttled = false;
	if (write_limits(i, &err) >= 0) {
		(void)inst_limits_refresh(i, NULL);
		return true;
	}
	log_error("%s: cannot give its reads back: %s", i->full_name, err_text(&err));
	i->thrash.is_throttled = true;
	return false;
}

static void on_relieved(void *arg, const char *code, const struct err *err, json_t *result)
{
	struct inst *i = arg;
	const json_t *killed = json_object_get(result, "killed");
	char what[160], size[NUM_TEXT];

	(void)code;
	i->p->thrash_job = NULL;
	if (err) {
		say(i, "nothing could be won: ", err, NULL);
		return;
	}
	if (killed) {
		num_format_size_short(
			size, (uint64_t)json_integer_value(json_object_get(killed, "memory")));
		(void)str_fmt(what, sizeof(what), "killed '%.63s', which held %s",
			      json_string_value(json_object_get(killed, "command")), size);
	} else {
		num_format_size_short(
			size, (uint64_t)json_integer_value(json_object_get(result, "reclaimed")));
		(void)str_fmt(what, sizeof(what), "%s reclaimed", size);
	}
	say(i, what, NULL, result);
}

/* Where it is met first. */
static uint64_t own_limit(const struct inst *i)
{
	const struct spec_memory *m = &i->effective.memory;

	return m->high < m->limit ? m->high : m->limit;
}

static void relieve(struct inst *i)
{
	char path[CG_PATH_MAX], pid[NUM_TEXT], start[NUM_TEXT], bytes[NUM_TEXT];
	const bool is_kill = rule_of(i)->action == SPEC_THRASH_KILL;
	const char *const argv[] = {"relieve", "--cgroup", path,  "--init",
				    pid,       "--start",  start, is_kill ? NULL : "--reclaim",
				    bytes,     NULL};
	const struct job_spec job = {.argv = argv,
				     .flags = JOB_IMMEDIATE,
				     .timeout_usec = RELIEF_LIMIT,
				     .done = on_relieved,
				     .arg = i};
	struct err err = ERR_INIT;

	cg_instance_path(&i->manager->cg, i->p->cg.tenant_id, i->id, path);
	(void)str_fmt(pid, sizeof(pid), "%d", (int)i->pid);
	(void)str_fmt(start, sizeof(start), "%" PRIu64, i->pid_start);
	(void)str_fmt(bytes, sizeof(bytes), "%" PRIu64, own_limit(i) / RECLAIM_PART);
	if (job_start(i->manager->jobs, &job, &i->p->thrash_job, &err) < 0)
		say(i, "nothing could be won: ", &err, NULL);
}

static void act(struct inst *i)
{
	const struct thrash_watch *w = &i->p->watched;

	if (i->p->thrash_job)
		return;
	i->p->thrash_seen = *w;
	i->p->thrash_seconds = (w->acted - w->since) / USEC_PER_SEC;
	if (i->thrash.since == 0)
		i->thrash.since = now_seconds() - i->p->thrash_seconds;
	i->thrash.last = now_seconds();
	i->thrash.actions++;
	switch (rule_of(i)->action) {
	case SPEC_THRASH_KILL:
	case SPEC_THRASH_RECLAIM:
		relieve(i);
		break;
	case SPEC_THRASH_THROTTLE:
		throttle(i);
		break;
	case SPEC_THRASH_NONE:
	case SPEC_THRASH_ACTION_MAX:
		say(i, "nothing is done about it", NULL, NULL);
		break;
	}
}

/* --- looking --------------------------------------------------------------------------------- */

void thrash_drop(struct inst *i)
{
	struct job *job = i->p->thrash_job;

	i->p->thrash_job = NULL;
	/* The pool ended its jobs before, when vpsd ends. */
	if (job && !i->manager->is_closing)
		job_abandon(job);
}

static void forget(struct inst *i)
{
	i->p->watched = (struct thrash_watch){0};
	i->thrash.since = 0;
}

/* Its cgroup is gone, and all that was held back with it. */
static void begin_anew(struct inst *i)
{
	thrash_drop(i);
	forget(i);
	i->p->watched_boot = i->boot;
	i->thrash = (struct inst_thrash){0};
}

/* It stands still, or shall: what happens then is not its own doing. */
static void leave_alone(struct inst *i)
{
	if (i->thrash.is_throttled && release(i))
		say_over(i, "its reads are not held back any more: it is being stopped");
	if (!i->thrash.is_throttled)
		forget(i);
}

static void be_over(struct inst *i)
{
	if (i->thrash.is_throttled && !release(i))
		return;
	i->thrash.since = 0;
	say_over(i, "not stuck at its memory limit any more");
}

static int read_sample(const struct inst *i, struct thrash_sample *ret)
{
	const struct thrash_watch *w = &i->p->watched;
	struct thrash_sample s = {.at = now_usec()};
	struct cg_refaults more;
	struct cg_stall stall = {0};
	int r = cg_stall_get(i->p->cg.fd, &stall, NULL);

	s.memory_stall = stall.memory;
	s.io_stall = stall.io;
	if (r >= 0 && thrash_wants_refaults(rule_of(i), w, &s)) {
		r = cg_refaults_get(i->p->cg.fd, &more, NULL);
		s.has_refaults = r >= 0;
		s.refaults = s.has_refaults ? more.pages : 0;
		s.hits = s.has_refaults ? more.hits : 0;
		s.cache = s.has_refaults ? more.cache : 0;
	}
	if (r >= 0)
		*ret = s;
	return r;
}

void thrash_look(struct inst *i)
{
	struct thrash_watch *w = &i->p->watched;
	struct thrash_sample s;
	enum thrash_step step;

	if (!inst_is_up(i) || i->p->cg.fd < 0 || i->p->watched_boot != i->boot)
		begin_anew(i);
	if (!inst_is_up(i) || i->p->cg.fd < 0)
		return;
	if ((i->state != INST_RUNNING && i->state != INST_READY) || i->p->is_frozen) {
		leave_alone(i);
		return;
	}
	/* Its limits may be changing: later. Without a limit of its own it is never stuck there. */
	if (i->op || own_limit(i) == JSON_UNLIMITED || read_sample(i, &s) < 0)
		return;
	step = thrash_decide(rule_of(i),
			     &(struct thrash_guest){.limit = own_limit(i),
						    .is_throttled = i->thrash.is_throttled},
			     w, &s);
	if (step == THRASH_ACT)
		act(i);
	/* Also what could not be given back before. */
	else if (step == THRASH_OVER || (i->thrash.is_throttled && !w->since))
		be_over(i);
}

static int on_tick(sd_event_source *s, uint64_t usec, void *arg)
{
	struct inst_manager *m = arg;
	uint64_t wait = 0;

	(void)usec;
	for (size_t n = 0; n < AT_ONCE && m->thrash_at < m->n_insts; n++)
		thrash_look(m->insts[m->thrash_at++]);
	if (m->thrash_at >= m->n_insts) {
		m->thrash_at = 0;
		wait = thrash_interval(&m->host->thrash);
	}
	(void)sd_event_source_set_time_relative(s, wait);
	(void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
	return 0;
}

void thrash_start(struct inst_manager *m)
{
	int r;

	if (m->thrash_timer)
		return;
	if (thrash_why_not(m, m->support_no_io))
		log_warning("guests that are stuck at their memory limit %s: %s",
			    m->strain_why_not ? "are not noticed" : "are not throttled",
			    thrash_why_not(m, m->support_no_io));
	if (m->strain_why_not)
		return;
	r = sd_event_add_time_relative(m->event, &m->thrash_timer, CLOCK_MONOTONIC,
				       thrash_interval(&m->host->thrash), ACCURACY, on_tick, m);
	if (r >= 0)
		r = sd_event_source_set_priority(m->thrash_timer, SD_EVENT_PRIORITY_IDLE);
	if (r < 0)
		log_error("guests that are stuck at their memory limit are not noticed: %s",
			  strerror(-r));
}

void thrash_stop(struct inst_manager *m)
{
	m->thrash_timer = sd_event_source_disable_unref(m->thrash_timer);
}
