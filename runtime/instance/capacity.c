/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's room: what is sold of it, what is in use, and whether one more fits. What is shown and
 * what a creation is judged by are the same sums over the same measures.
 */
#include "base/log.h"
#include "base/str.h"
#include "runtime/instance/private.h"

#define SAMPLE_USEC (5 * USEC_PER_SEC)
#define SAMPLE_SLACK (500 * USEC_PER_MSEC)
#define RATE_MIN_USEC (100 * USEC_PER_MSEC) /* less says nothing about a rate */
#define RETRY_SECONDS 60u		    /* of a start that waits for room */

/* The machine with what may have changed since the start. */
static int measure(const struct inst_manager *m, struct admission_host *ret, struct img_space *pool,
		   struct err *err)
{
	int r = img_store_space(m->images, pool, err);

	if (r < 0)
		return r;
	*ret = m->machine;
	ret->disk = pool->total_bytes;
	/* The range of one whose processes do not end stays taken, and counts as gone. */
	ret->id_ranges = m->load.instances + alloc_ranges_free_count(m->ranges);
	return 0;
}

/* --- judging --------------------------------------------------------------------------------- */

int inst_check_room(const struct inst_manager *m, const struct inst_tenant *t, const struct inst *i,
		    const struct spec_plan *new, struct err *err)
{
	const struct admission_load was = i ? inst_load(i) : (struct admission_load){0};
	const struct admission_load one = admission_of_plan(new);
	const struct admission_load more = admission_growth(&one, &was);
	const struct admission_load used = inst_tenant_load(m, t), all = inst_host_load(m);
	struct admission_host host;
	struct img_space pool;
	int r = admission_check_quota(&t->spec, &used, &more, err);

	if (r >= 0)
		r = measure(m, &host, &pool, err);
	if (r >= 0 && more.cores > 0)
		r = admission_check_size(&host, &one, err);
	return r < 0 ? r : admission_check_host(&host, &all, &more, err);
}

/* Nothing is refused on a host that has what was sold. On one that has become smaller as many run
 * as fit: who runs keeps its place, also while it restarts. */
int inst_check_start_room(const struct inst *i, struct err *err)
{
	const struct inst_manager *m = i->manager;
	const struct admission_load want = admission_of_plan(&i->effective);
	struct admission_load running = {0};
	struct admission_host host;
	struct img_space pool;
	int r = measure(m, &host, &pool, err);

	for (size_t n = 0; n < m->n_insts; n++) {
		const struct inst *x = m->insts[n];
		const struct admission_load one = inst_load(x);

		if (x != i && (inst_is_up(x) || x->state == INST_STARTING || x->p->is_ending))
			admission_add(&running, &one);
	}
	if (r >= 0)
		r = admission_check_size(&host, &want, err);
	if (r >= 0)
		r = admission_check_host(&host, &running, &want, err);
	return r < 0 ? err_ctx(err, "cannot start '%s'", i->full_name) : 0;
}

bool inst_waits_for_room(struct inst *i)
{
	struct err err = ERR_INIT;

	if (i->p->had_place || inst_check_start_room(i, &err) >= 0)
		return false;
	/* Once: it is tried again and again. */
	if (!str_eq(i->error, err_text(&err)))
		log_error("%s (%s)", err_text(&err), err.hint);
	if (str_copy(i->error, sizeof(i->error), err_text(&err)) < 0)
		i->error[0] = '\0';
	inst_retry_later(i, RETRY_SECONDS);
	return true;
}

/* --- looking --------------------------------------------------------------------------------- */

/* Of the guests; false where the kernel does not say. */
static bool sample(const struct inst_manager *m, struct cg_stats *ret)
{
	return m->usage.has_reader && cg_stats_read(&m->usage.reader, ret, NULL) >= 0;
}

/* Thousandths of a core between the last look but one and now. */
static uint64_t cores_used(const struct inst_manager *m, const struct cg_stats *s)
{
	const struct capacity_sample *old = &m->usage.old;
	uint64_t usec = now_usec() - old->at;

	if (!old->at || !cg_stats_has(s, CG_STATS_CPU) || usec < RATE_MIN_USEC ||
	    s->usage_usec < old->usage_usec)
		return JSON_UNLIMITED;
	return (s->usage_usec - old->usage_usec) * 1000 / usec;
}

static void fill_used(const struct inst_manager *m, struct inst_capacity *c)
{
	struct cg_stats s;

	for (size_t i = 0; i < ADMISSION_RESOURCE_MAX; i++)
		c->used[i] = JSON_UNLIMITED;
	c->used[ADMISSION_DEDICATED] = (uint64_t)CPU_COUNT(&m->dedicated) * 1000;
	c->used[ADMISSION_DISK] = c->pool.used_bytes;
	c->used[ADMISSION_INSTANCES] = c->running;
	if (!sample(m, &s))
		return;
	c->used[ADMISSION_CORES] = cores_used(m, &s);
	if (cg_stats_has(&s, CG_STATS_MEMORY_CURRENT))
		c->used[ADMISSION_MEMORY] = s.memory_current;
	if (cg_stats_has(&s, CG_STATS_PIDS))
		c->used[ADMISSION_PIDS] = s.pids_current;
}

int inst_capacity(const struct inst_manager *m, struct inst_capacity *ret, struct err *err)
{
	struct inst_capacity c = {.ids_free = alloc_ranges_free_count(m->ranges),
				  .instances = (unsigned)m->n_insts};
	const struct admission_load load = inst_host_load(m);
	struct admission_host host;
	int r = measure(m, &host, &c.pool, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < m->n_insts; i++)
		c.running += inst_is_up(m->insts[i]);
	admission_status(&host, &load, c.resources);
	fill_used(m, &c);
	*ret = c;
	return 0;
}

static void look(struct inst_manager *m)
{
	struct cg_stats s;

	if (!sample(m, &s) || !cg_stats_has(&s, CG_STATS_CPU))
		return;
	m->usage.old = m->usage.last;
	m->usage.last = (struct capacity_sample){.at = now_usec(), .usage_usec = s.usage_usec};
	if (!m->usage.old.at)
		m->usage.old = m->usage.last;
}

static int on_sample(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)usec;
	look(userdata);
	(void)sd_event_source_set_time_relative(s, SAMPLE_USEC);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

int capacity_start(struct inst_manager *m, struct err *err)
{
	int r;

	m->usage.has_reader = cg_stats_reader_open(m->cg.fd, &m->usage.reader, NULL) >= 0;
	look(m);
	r = sd_event_add_time_relative(m->event, &m->usage.timer, CLOCK_MONOTONIC, SAMPLE_USEC,
				       SAMPLE_SLACK, on_sample, m);
	return r < 0 ? err_set_errno(err, -r, "cannot set a timer") : 0;
}

void capacity_stop(struct inst_manager *m)
{
	m->usage.timer = sd_event_source_disable_unref(m->usage.timer);
	if (m->usage.has_reader)
		cg_stats_reader_done(&m->usage.reader);
	m->usage.has_reader = false;
}
