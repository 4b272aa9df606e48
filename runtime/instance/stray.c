/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroups of nobody, found by a recovery: killed at once, removed as soon as their processes are
 * gone. A process that does not die is no reason to wait for it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "runtime/instance/private.h"

#define STRAY_FIRST (20 * USEC_PER_MSEC)
#define STRAY_MOST (2 * USEC_PER_SEC)
#define STRAY_LIMIT (60 * USEC_PER_SEC)

struct stray {
	char tenant_id[ID_TEXT], id[ID_TEXT];
	struct stray *next;
};

/* True when it needs no more attention. */
static bool try_remove(struct inst_manager *m, const struct stray *s)
{
	struct err err = ERR_INIT;
	int r = cg_instance_remove(&m->cg, s->tenant_id, s->id, CG_REMOVE_KILL, 0, &err);

	if (r == -EBUSY && now_usec() < m->stray_until)
		return false;
	if (r < 0)
		log_error("cannot remove the cgroup %s/%s: %s", s->tenant_id, s->id,
			  err_text(&err));
	return true;
}

static int on_stray_timer(sd_event_source *source, uint64_t usec, void *arg);

static void arm(struct inst_manager *m)
{
	m->stray_timer = sd_event_source_disable_unref(m->stray_timer);
	if (sd_event_add_time_relative(m->event, &m->stray_timer, CLOCK_MONOTONIC, m->stray_delay,
				       USEC_PER_MSEC, on_stray_timer, m) < 0)
		log_error("cannot set a timer; cgroups of nobody stay until the next start");
}

static int on_stray_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct inst_manager *m = arg;
	struct stray **at = &m->strays;

	(void)source;
	(void)usec;
	while (*at) {
		struct stray *s = *at;

		if (!try_remove(m, s)) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		free(s);
	}
	m->stray_timer = sd_event_source_disable_unref(m->stray_timer);
	if (m->stray_delay < STRAY_MOST)
		m->stray_delay *= 2;
	if (m->strays)
		arm(m);
	return 0;
}

void stray_add(struct inst_manager *m, const char *tenant_id, const char *id)
{
	struct stray *s = calloc(1, sizeof(*s));

	if (!s || str_copy(s->tenant_id, sizeof(s->tenant_id), tenant_id) < 0 ||
	    str_copy(s->id, sizeof(s->id), id) < 0) {
		log_error("cannot remove the cgroup %s/%s: out of memory", tenant_id, id);
		free(s);
		return;
	}
	m->stray_until = now_usec() + STRAY_LIMIT;
	m->stray_delay = STRAY_FIRST;
	if (try_remove(m, s)) {
		free(s);
		return;
	}
	s->next = m->strays;
	m->strays = s;
	arm(m);
}

void strays_done(struct inst_manager *m)
{
	m->stray_timer = sd_event_source_disable_unref(m->stray_timer);
	while (m->strays) {
		struct stray *s = m->strays;

		m->strays = s->next;
		free(s);
	}
}
