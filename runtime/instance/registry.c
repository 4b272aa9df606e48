/* SPDX-License-Identifier: Apache-2.0 */
/* The registry: instances by name and id, their states, who waits for them, what they use. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/str.h"
#include "runtime/instance/addresses_private.h"
#include "runtime/instance/private.h"

uint64_t now_usec(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t now_seconds(void)
{
	return (uint64_t)time(NULL);
}

/* --- names ----------------------------------------------------------------------------------- */

static const char *const state_names[] = {
	[INST_STOPPED] = "stopped",	[INST_STARTING] = "starting", [INST_RUNNING] = "running",
	[INST_READY] = "ready",		[INST_STOPPING] = "stopping", [INST_FAILED] = "failed",
	[INST_SUSPENDED] = "suspended",
};
_Static_assert(sizeof(state_names) / sizeof(state_names[0]) == INST_STATE_MAX, "one name a state");

const char *inst_state_name(enum inst_state state)
{
	return (unsigned)state < INST_STATE_MAX ? state_names[state] : NULL;
}

int inst_state_from_name(const char *name)
{
	for (int i = 0; i < INST_STATE_MAX; i++)
		if (str_eq(state_names[i], name))
			return i;
	return -EINVAL;
}

const char *inst_desired_name(enum inst_desired desired)
{
	return desired == INST_WANT_RUNNING ? "running" : "stopped";
}

const char *inst_exit_name(enum keeper_exit how)
{
	static const char *const names[] = {
		[KEEPER_EXIT_NONE] = "none",	     [KEEPER_EXIT_REBOOT] = "reboot",
		[KEEPER_EXIT_POWEROFF] = "poweroff", [KEEPER_EXIT_KILLED] = "killed",
		[KEEPER_EXIT_CODE] = "code",	     [KEEPER_EXIT_UNKNOWN] = "unknown",
	};
	_Static_assert(sizeof(names) / sizeof(names[0]) == KEEPER_EXIT_MAX, "one name an exit");

	return (unsigned)how < KEEPER_EXIT_MAX ? names[how] : "unknown";
}

bool inst_is_up(const struct inst *i)
{
	return i->pid > 0;
}

/* --- instances ------------------------------------------------------------------------------- */

struct inst *inst_new(struct inst_manager *m)
{
	struct inst *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	i->p = calloc(1, sizeof(*i->p));
	if (!i->p) {
		free(i);
		return NULL;
	}
	i->manager = m;
	i->pidfd = i->console = i->p->views = -1;
	i->p->cg = CG_INSTANCE_INIT;
	i->p->reader = CG_STATS_READER_INIT;
	return i;
}

void inst_free(struct inst *i)
{
	if (!i)
		return;
	while (i->p->waits)
		inst_wait_cancel(i->p->waits);
	inst_timer_clear(i);
	thrash_drop(i);
	/* At the end of the manager there are no jobs any more. */
	if (i->p->reclaim && !i->manager->is_closing)
		job_abandon(i->p->reclaim);
	i->p->slot_timer = sd_event_source_disable_unref(i->p->slot_timer);
	i->p->watch = sd_event_source_disable_unref(i->p->watch);
	inst_sessions_done(i);
	inst_change_free(i->p->change);
	inst_net_release(i->manager, &i->net, NULL);
	cleanup_close(&i->pidfd);
	cleanup_close(&i->console);
	cleanup_close(&i->p->views);
	links_forget(i);
	cg_instance_done(&i->p->cg);
	cg_stats_reader_done(&i->p->reader);
	spec_instance_done(&i->spec);
	spec_plan_done(&i->effective);
	free(i->p);
	free(i);
}

/* Position of the first instance that does not sort before 'name'. */
static size_t position(const struct inst_manager *m, const char *name)
{
	size_t lo = 0, hi = m->n_insts;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(m->insts[mid]->full_name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct inst *inst_find(const struct inst_manager *m, const char *tenant, const char *name)
{
	char full[sizeof(((struct inst *)NULL)->full_name)];
	size_t at;

	if (str_fmt(full, sizeof(full), "%s/%s", tenant, name) < 0)
		return NULL;
	at = position(m, full);
	return at < m->n_insts && str_eq(m->insts[at]->full_name, full) ? m->insts[at] : NULL;
}

struct inst *inst_find_by_id(const struct inst_manager *m, const char *id)
{
	for (size_t i = 0; i < m->n_insts; i++)
		if (str_eq(m->insts[i]->id, id))
			return m->insts[i];
	return NULL;
}

static void count_image(struct inst_manager *m, const char *digest, int by)
{
	for (size_t i = 0; i < m->catalog.n_images; i++)
		if (str_eq(m->catalog.images[i]->digest, digest))
			m->catalog.images[i]->instances += (unsigned)by;
}

int inst_register(struct inst *i, struct err *err)
{
	struct inst_manager *m = i->manager;
	struct admission_load load = admission_of_plan(&i->effective);
	struct inst **grown;
	size_t at;

	if (str_fmt(i->full_name, sizeof(i->full_name), "%s/%s", i->tenant->spec.name,
		    i->spec.name) < 0)
		return err_set(err, EINVAL, "the name of the instance is too long");
	at = position(m, i->full_name);
	if (at < m->n_insts && str_eq(m->insts[at]->full_name, i->full_name))
		return err_set(err, EEXIST, "instance '%s' exists already", i->full_name);
	grown = realloc(m->insts, (m->n_insts + 1) * sizeof(struct inst *));
	if (!grown)
		return err_set(err, ENOMEM, "cannot register an instance: out of memory");
	memmove(grown + at + 1, grown + at, (m->n_insts - at) * sizeof(struct inst *));
	grown[at] = i;
	m->insts = grown;
	m->n_insts++;
	admission_add(&m->load, &load);
	i->plan->instances++;
	i->tenant->instances++;
	count_image(m, i->digest, 1);
	return 0;
}

void inst_unregister(struct inst *i)
{
	struct inst_manager *m = i->manager;
	struct admission_load load = admission_of_plan(&i->effective);
	size_t at = position(m, i->full_name);

	memmove(m->insts + at, m->insts + at + 1, (m->n_insts - at - 1) * sizeof(struct inst *));
	m->n_insts--;
	admission_sub(&m->load, &load);
	i->plan->instances--;
	i->tenant->instances--;
	count_image(m, i->digest, -1);
	alloc_ranges_release(m->ranges, i->range);
	while (i->p->waits) {
		struct inst_wait *w = i->p->waits;
		inst_wait_fn fn = w->fn;
		void *arg = w->arg;

		inst_wait_cancel(w);
		fn(arg, i, true);
	}
	inst_event(i, "deleted");
	inst_note(i, "deleted", "", NULL);
	inst_free(i);
}

struct admission_load inst_load(const struct inst *i)
{
	struct admission_load load = admission_of_plan(&i->effective);

	load.cores_dedicated += inst_cpus_kept(i);
	return load;
}

struct admission_load inst_host_load(const struct inst_manager *m)
{
	struct admission_load sum = m->load;

	for (size_t i = 0; i < m->n_insts; i++)
		sum.cores_dedicated += inst_cpus_kept(m->insts[i]);
	return sum;
}

struct admission_load inst_tenant_load(const struct inst_manager *m, const struct inst_tenant *t)
{
	struct admission_load sum = {0};

	for (size_t i = 0; i < m->n_insts; i++) {
		struct admission_load one;

		if (m->insts[i]->tenant != t)
			continue;
		one = admission_of_plan(&m->insts[i]->effective);
		admission_add(&sum, &one);
	}
	return sum;
}

int inst_check_idle(const struct inst *i, enum policy_verb verb, struct err *err)
{
	const char *why = policy_refuses(i->state, verb);

	if (!i->op)
		return 0;
	(void)err_set(err, EBUSY, "cannot %s '%s': %s%soperation %s (%s) is under way",
		      policy_verb_name(verb), i->full_name, why ? why : "", why ? ", " : "",
		      i->op->id, op_kind_name(i->op->kind));
	return err_hint(err, "wait for its end, or try again later");
}

/* --- states and waiting ---------------------------------------------------------------------- */

void inst_on_event(struct inst_manager *m, inst_event_fn fn, void *arg)
{
	m->on_event = fn;
	m->on_event_arg = arg;
}

void inst_event(struct inst *i, const char *what)
{
	if (i->manager->on_event)
		i->manager->on_event(i->manager->on_event_arg, i, what);
}

static bool is_reached(const struct inst *i, enum inst_state state)
{
	return i->state == state || (state == INST_RUNNING && i->state == INST_READY);
}

/* A suspended one that nothing is being done with is that, whatever else became of it. */
static enum inst_state as_suspended(const struct inst *i, enum inst_state state)
{
	if (!i->suspension.mode || i->phase != INST_PHASE_PRESENT || state == INST_STARTING ||
	    state == INST_STOPPING)
		return state;
	return INST_SUSPENDED;
}

void inst_rest(struct inst *i)
{
	if (inst_is_up(i))
		inst_set_state(i, i->p->has_said_ready ? INST_READY : INST_RUNNING);
	else
		inst_set_state(i, i->p->is_failed ? INST_FAILED : INST_STOPPED);
}

void inst_set_state(struct inst *i, enum inst_state state)
{
	enum inst_state from = i->state;
	struct inst_wait *w;

	state = as_suspended(i, state);
	if (i->state == state)
		return;
	log_debug("%s: %s -> %s", i->full_name, inst_state_name(i->state), inst_state_name(state));
	i->state = state;
	inst_event(i, inst_state_name(state));
	inst_note_state(i, from);
	/* A callback may cancel others: begin anew after each. */
	w = i->p->waits;
	while (w) {
		inst_wait_fn fn = w->fn;
		void *arg = w->arg;

		if (!is_reached(i, w->state)) {
			w = w->next;
			continue;
		}
		inst_wait_cancel(w);
		fn(arg, i, false);
		w = i->p->waits;
	}
}

int inst_wait(struct inst *i, enum inst_state state, inst_wait_fn fn, void *arg,
	      struct inst_wait **ret, struct err *err)
{
	struct inst_wait *w;

	if (is_reached(i, state)) {
		if (ret)
			*ret = NULL;
		fn(arg, i, false);
		return 0;
	}
	w = malloc(sizeof(*w));
	if (!w)
		return err_set(err, ENOMEM, "cannot wait: out of memory");
	*w = (struct inst_wait){
		.inst = i, .state = state, .fn = fn, .arg = arg, .next = i->p->waits};
	if (w->next)
		w->next->prev = w;
	i->p->waits = w;
	if (ret)
		*ret = w;
	return 0;
}

void inst_wait_cancel(struct inst_wait *w)
{
	if (!w)
		return;
	*(w->prev ? &w->prev->next : &w->inst->p->waits) = w->next;
	if (w->next)
		w->next->prev = w->prev;
	free(w);
}

/* --- timer ----------------------------------------------------------------------------------- */

static int on_timer(sd_event_source *s, uint64_t usec, void *arg)
{
	struct inst *i = arg;
	void (*fn)(struct inst * inst) = i->p->on_timer;

	(void)s;
	(void)usec;
	inst_timer_clear(i);
	if (fn)
		fn(i);
	return 0;
}

void inst_timer_set(struct inst *i, uint64_t usec, void (*fn)(struct inst *i))
{
	int r;

	inst_timer_clear(i);
	i->p->on_timer = fn;
	r = sd_event_add_time_relative(i->manager->event, &i->p->timer, CLOCK_MONOTONIC, usec,
				       USEC_PER_MSEC, on_timer, i);
	if (r < 0)
		log_error("%s: cannot set a timer: %s", i->full_name, strerror(-r));
}

void inst_timer_clear(struct inst *i)
{
	i->p->timer = sd_event_source_disable_unref(i->p->timer);
	i->p->on_timer = NULL;
}

/* --- usage ----------------------------------------------------------------------------------- */

int inst_usage(struct inst *i, uint64_t max_age, struct cg_stats *ret, struct err *err)
{
	struct inst_private *p = i->p;
	uint64_t now = now_usec();
	int r;

	if (!inst_is_up(i) || p->cg.fd < 0)
		return err_set(err, ENODATA, "'%s' does not run", i->full_name);
	if (p->stats_at && now - p->stats_at < max_age) {
		*ret = p->stats;
		return 0;
	}
	if (!p->has_reader) {
		r = cg_stats_reader_open(p->cg.fd, &p->reader, err);
		if (r < 0)
			return r;
		p->has_reader = true;
	}
	r = cg_stats_read(&p->reader, &p->stats, err);
	if (r < 0)
		return r;
	/* The kernel counts a kill at the victim's own cgroup then, somewhere inside: no figure is
	 * better than a zero. */
	if (i->manager->cg.host.memory_localevents)
		p->stats.present &= ~(1u << CG_STATS_MEMORY_EVENTS);
	p->stats_at = now;
	*ret = p->stats;
	return 0;
}

void inst_unsupported(const struct inst *i, struct spec_items *ret)
{
	manager_unsupported(i->manager, &i->effective, &i->spec, &i->tenant->spec, ret);
	inst_devices_item(i, ret);
	inst_fence_item(i, ret);
	inst_views_item(i, ret);
	links_item(i, ret);
}
