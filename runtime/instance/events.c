/* SPDX-License-Identifier: Apache-2.0 */
/* The list of events: a ring by cursor. What is not durable yet is in it and not seen. */
#include "runtime/instance/events.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "runtime/instance/private.h"

struct slot {
	struct event event; /* cursor 0 = none: it could not be written */
	bool is_durable;
};

struct event_log {
	unsigned refs;		       /* the manager's, and one for each commit under way */
	uint64_t next;		       /* cursor of the next one */
	struct slot slots[EVENTS_MAX]; /* at cursor % EVENTS_MAX */
};

struct event_log *event_log_new(void)
{
	struct event_log *l = calloc(1, sizeof(*l));

	if (l)
		l->refs = l->next = 1;
	return l;
}

static void clear(struct slot *s)
{
	free(s->event.message);
	json_decref(s->event.details);
	*s = (struct slot){0};
}

void event_log_unref(struct event_log *l)
{
	if (!l || --l->refs > 0)
		return;
	for (size_t i = 0; i < EVENTS_MAX; i++)
		clear(&l->slots[i]);
	free(l);
}

static struct slot *slot_of(struct event_log *l, uint64_t cursor)
{
	return &l->slots[cursor % EVENTS_MAX];
}

int event_log_load(struct event_log *l, const struct event *like, const char *message,
		   json_t *details, struct err *err)
{
	struct slot *s = slot_of(l, like->cursor);
	char *text = strdup(message);

	if (!text) {
		json_decref(details);
		return err_set(err, ENOMEM, "cannot load events: out of memory");
	}
	clear(s);
	*s = (struct slot){.event = *like, .is_durable = true};
	s->event.message = text;
	s->event.details = details;
	if (like->cursor >= l->next)
		l->next = like->cursor + 1;
	return 0;
}

/* --- writing --------------------------------------------------------------------------------- */

struct written {
	struct event_log *log;
	uint64_t cursor;
};

static void on_written(void *arg, const struct err *err)
{
	struct written w = *(struct written *)arg;
	struct slot *s = slot_of(w.log, w.cursor);

	free(arg);
	if (err)
		log_error("an event was not stored: %s", err_text(err));
	/* So many came meanwhile that its place was given away. */
	if (s->event.cursor == w.cursor) {
		s->is_durable = !err;
		if (err)
			clear(s);
	}
	event_log_unref(w.log);
}

static void submit(struct inst_manager *m, const struct event *e)
{
	struct written *w = malloc(sizeof(*w));
	struct store_txn *t = store_txn_new(m->store);
	struct err err = ERR_INIT;

	db_add_event(t, e);
	if (!w) {
		store_txn_free(t);
		clear(slot_of(m->events, e->cursor));
		return;
	}
	*w = (struct written){.log = m->events, .cursor = e->cursor};
	m->events->refs++;
	if (store_submit(t, on_written, w, &err) < 0)
		on_written(w, &err);
}

void inst_note(const struct inst *i, const char *kind, const char *message, json_t *details)
{
	struct inst_manager *m = i->manager;
	struct event_log *l = m->events;
	struct slot *s = slot_of(l, l->next);
	char *text = strdup(message);

	if (!text) {
		json_decref(details);
		return;
	}
	clear(s);
	s->event = (struct event){
		.cursor = l->next++, .time = now_seconds(), .message = text, .details = details};
	memcpy(s->event.instance_id, i->id, sizeof(s->event.instance_id));
	memcpy(s->event.name, i->full_name, sizeof(s->event.name));
	(void)str_copy(s->event.kind, sizeof(s->event.kind), kind);
	submit(m, &s->event);
}

/* --- states ---------------------------------------------------------------------------------- */

#define STATE(s) (1u << INST_##s)
#define ALIVE (STATE(RUNNING) | STATE(READY) | STATE(STOPPING))
#define ANY (~0u)

/* The first row that fits a change of state says what it is called. */
static const struct {
	unsigned from, to;
	const char *kind;
} changes[] = {
	{STATE(SUSPENDED), STATE(RUNNING) | STATE(READY) | STATE(STOPPED) | STATE(FAILED),
	 "resumed"},
	{STATE(STARTING), STATE(RUNNING) | STATE(READY), "started"},
	{STATE(RUNNING), STATE(READY), "ready"},
	{ALIVE, STATE(STOPPED), "stopped"},
	{ALIVE | STATE(STARTING), STATE(FAILED), "failed"},
	{ANY, STATE(SUSPENDED), "suspended"},
};

/*
 * What a guest can do to itself, over and over, must not push out what happened to others: of its
 * starts and ends so many are noted at once, and one in so many seconds.
 */
#define OWN_BURST 60u
#define OWN_SECONDS 300u

static bool may_note(const struct inst *i)
{
	struct inst_private *p = i->p;
	uint64_t now = now_seconds(), back = (now - p->notes_since) / OWN_SECONDS;

	if (p->notes_spent == 0 || now < p->notes_since)
		p->notes_since = now;
	else
		p->notes_since += back * OWN_SECONDS;
	p->notes_spent -= back < p->notes_spent ? (unsigned)back : p->notes_spent;
	if (p->notes_spent >= OWN_BURST) {
		p->notes_left_out++;
		return false;
	}
	p->notes_spent++;
	return true;
}

static void note_own(const struct inst *i, const char *kind, const char *message)
{
	char text[sizeof(i->error) + 64];

	if (i->state != INST_SUSPENDED && i->state != INST_FAILED && !may_note(i))
		return;
	if (i->p->notes_left_out > 0) {
		(void)str_fmt(text, sizeof(text), "%s%s%u before this are left out", message,
			      *message ? "; " : "", i->p->notes_left_out);
		i->p->notes_left_out = 0;
		message = text;
	}
	inst_note(i, kind, message, NULL);
}

/* What is found at the start of vpsd did not happen then. */
void inst_note_state(const struct inst *i, enum inst_state from)
{
	char message[sizeof(i->error)] = "";

	if (!i->manager->is_ready)
		return;
	for (size_t n = 0; n < sizeof(changes) / sizeof(changes[0]); n++) {
		if (!(changes[n].from & 1u << from) || !(changes[n].to & 1u << i->state))
			continue;
		if (i->state == INST_STOPPED && changes[n].from == ALIVE)
			(void)str_fmt(message, sizeof(message), "last exit: %s",
				      inst_exit_name(i->last_exit));
		else if (i->state == INST_FAILED)
			(void)str_copy(message, sizeof(message), i->error);
		else if (i->state == INST_SUSPENDED)
			(void)str_copy(message, sizeof(message), i->suspension.reason);
		note_own(i, changes[n].kind, message);
		return;
	}
}

/* --- reading --------------------------------------------------------------------------------- */

const struct event *inst_event_next(const struct inst_manager *m, uint64_t since)
{
	struct event_log *l = m->events;
	uint64_t first = l->next > EVENTS_MAX ? l->next - EVENTS_MAX : 1;

	for (uint64_t c = since < first ? first : since + 1; c < l->next; c++) {
		const struct slot *s = slot_of(l, c);

		if (s->event.cursor != c)
			continue;
		/* Those behind it wait with it, or a reader would go past it. */
		return s->is_durable ? &s->event : NULL;
	}
	return NULL;
}

uint64_t inst_event_oldest(const struct inst_manager *m)
{
	const struct event *e = inst_event_next(m, 0);

	return e ? e->cursor : 0;
}

uint64_t inst_event_newest(const struct inst_manager *m)
{
	uint64_t newest = 0;

	for (const struct event *e = inst_event_next(m, 0); e; e = inst_event_next(m, newest))
		newest = e->cursor;
	return newest;
}

const char *inst_event_source(const struct inst_manager *m)
{
	return store_id(m->store);
}
