/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue of starts that nobody waits for: after a boot of the host, after a keeper was lost, and
 * all retries. By priority, so many at once. A start keeps its slot until the guest says that it is
 * ready, as what makes a host crawl is not the launch but the boot inside; guests that never say so
 * are not waited for long, and one that hangs is not either.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "runtime/instance/private.h"

#define SLOTS_LEAST 4u

static size_t slots(const struct inst_manager *m)
{
	size_t cpus = (size_t)CPU_COUNT(&m->machine.cpus);

	if (m->host->autostart.parallel > 0)
		return m->host->autostart.parallel;
	return cpus < SLOTS_LEAST ? SLOTS_LEAST : cpus;
}

static int on_slot_timer(sd_event_source *s, uint64_t usec, void *arg)
{
	struct inst *i = arg;

	(void)s;
	(void)usec;
	if (!inst_is_up(i))
		log_warning("%s: its start hangs; the others go on", i->full_name);
	inst_slot_leave(i);
	return 0;
}

/* Without a timer nothing would end it. */
static void slot_timer_set(struct inst *i, uint64_t usec)
{
	i->p->slot_timer = sd_event_source_disable_unref(i->p->slot_timer);
	if (sd_event_add_time_relative(i->manager->event, &i->p->slot_timer, CLOCK_MONOTONIC, usec,
				       USEC_PER_MSEC, on_slot_timer, i) < 0)
		inst_slot_leave(i);
}

void inst_slot_leave(struct inst *i)
{
	i->p->slot_timer = sd_event_source_disable_unref(i->p->slot_timer);
	if (!i->p->has_slot)
		return;
	i->p->has_slot = false;
	i->manager->starts.n_slots--;
	inst_queue_next(i->manager);
}

void inst_slot_started(struct inst *i)
{
	uint64_t settle = i->manager->host->autostart.settle;

	if (!i->p->has_slot)
		return;
	if (settle == 0 || i->p->has_said_ready || !inst_is_up(i))
		inst_slot_leave(i);
	else
		slot_timer_set(i, settle);
}

/* Behind all that have the same priority. */
static size_t place_for(const struct start_queue *q, uint64_t priority)
{
	size_t at = q->n;

	while (at > 0 && q->items[at - 1].priority > priority)
		at--;
	return at;
}

void inst_queue_start(struct inst *i)
{
	struct start_queue *q = &i->manager->starts;
	struct start_item *grown;
	size_t at;

	if (i->p->is_waiting)
		return;
	grown = realloc(q->items, (q->n + 1) * sizeof(*grown));
	if (!grown) {
		inst_start_own(i);
		return;
	}
	q->items = grown;
	at = place_for(q, i->spec.autostart.priority);
	memmove(&grown[at + 1], &grown[at], (q->n - at) * sizeof(*grown));
	grown[at].priority = i->spec.autostart.priority;
	memcpy(grown[at].id, i->id, ID_TEXT);
	q->n++;
	i->p->is_waiting = true;
}

/* NULL = it is not there any more, or has a slot. */
static struct inst *take_first(struct inst_manager *m)
{
	struct start_queue *q = &m->starts;
	struct inst *i = inst_find_by_id(m, q->items[0].id);

	memmove(&q->items[0], &q->items[1], --q->n * sizeof(*q->items));
	if (i)
		i->p->is_waiting = false;
	return i && !i->p->has_slot ? i : NULL;
}

void inst_queue_next(struct inst_manager *m)
{
	struct start_queue *q = &m->starts;

	/* A start that fails at once comes back here. */
	if (q->is_under_way)
		return;
	q->is_under_way = true;
	while (m->is_ready && !m->is_closing && q->n > 0 && q->n_slots < slots(m)) {
		struct inst *i = take_first(m);

		if (!i)
			continue;
		i->p->has_slot = true;
		q->n_slots++;
		slot_timer_set(i, m->start_limit);
		inst_start_own(i);
	}
	q->is_under_way = false;
}
