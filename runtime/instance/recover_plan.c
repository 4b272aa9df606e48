/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a recovery: one look at each row, guest, cgroup and directory. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "runtime/instance/recover.h"

#define NONE ((size_t)-1)

const char *recover_kind_name(enum recover_kind kind)
{
	static const char *const names[] = {
		[RECOVER_FINISH_CREATE] = "finish-create",
		[RECOVER_KEEP] = "keep",
		[RECOVER_ADOPT] = "adopt",
		[RECOVER_EXITED] = "exited",
		[RECOVER_LOST] = "lost",
		[RECOVER_FORGET] = "forget",
		[RECOVER_KILL_CGROUP] = "kill-cgroup",
		[RECOVER_UNDO_CREATE] = "undo-create",
		[RECOVER_FINISH_DELETE] = "finish-delete",
		[RECOVER_REMOVE_DIR] = "remove-dir",
		[RECOVER_STOP] = "stop",
		[RECOVER_RESTART] = "restart",
		[RECOVER_WANT_RUNNING] = "want-running",
		[RECOVER_WANT_STOPPED] = "want-stopped",
		[RECOVER_START] = "start",
	};
	_Static_assert(sizeof(names) / sizeof(names[0]) == RECOVER_KIND_MAX, "one name a kind");

	return (unsigned)kind < RECOVER_KIND_MAX ? names[kind] : NULL;
}

struct plan {
	const struct recover_input *in;
	struct recover_action *actions;
	size_t n;
};

static void add(struct plan *p, enum recover_kind kind, const char *id, size_t index)
{
	struct recover_action *a = &p->actions[p->n++];

	*a = (struct recover_action){.kind = kind, .index = index};
	/* All ids are of that length: rows are ours, the rest was checked. */
	(void)str_copy(a->id, sizeof(a->id), id);
}

static size_t find_guest(const struct recover_input *in, const char *id)
{
	for (size_t i = 0; i < in->n_guests; i++)
		if (str_eq(in->guests[i].id, id))
			return i;
	return NONE;
}

static size_t find_state(const struct recover_input *in, const char *id)
{
	for (size_t i = 0; i < in->n_states; i++)
		if (str_eq(in->states[i].id, id))
			return i;
	return NONE;
}

static const struct recover_row *find_row(const struct recover_input *in, const char *id)
{
	for (size_t i = 0; i < in->n_rows; i++)
		if (str_eq(in->rows[i].id, id))
			return &in->rows[i];
	return NULL;
}

static const struct recover_cgroup *find_cgroup(const struct recover_input *in, const char *id)
{
	for (size_t i = 0; i < in->n_cgroups; i++)
		if (str_eq(in->cgroups[i].id, id))
			return &in->cgroups[i];
	return NULL;
}

/* A guest that lives: the only question is whether it should. That it should not is written with
 * the operation that stops it, and that it should before it is launched: one that is not wanted and
 * not being stopped was started after a copy was taken of this database. */
static void plan_alive(struct plan *p, const struct recover_row *row, enum recover_kind kind,
		       size_t index)
{
	add(p, kind, row->id, index);
	if (row->is_restarting)
		add(p, RECOVER_RESTART, row->id, NONE);
	else if (row->suspend == INST_SUSPEND_STOP)
		add(p, RECOVER_STOP, row->id, NONE);
	else if (row->desired == INST_WANT_STOPPED)
		add(p, row->is_stopping ? RECOVER_STOP : RECOVER_WANT_RUNNING, row->id, NONE);
}

static void plan_gone(struct plan *p, const struct recover_row *row)
{
	const struct recover_cgroup *cg = find_cgroup(p->in, row->id);

	if (cg) {
		add(p, RECOVER_KILL_CGROUP, row->id, NONE);
		p->actions[p->n - 1].tenant_id = cg->tenant_id;
	}
	if (row->boot > row->exit_boot)
		add(p, RECOVER_LOST, row->id, NONE);
	/* What was given up gets another chance with a boot of the host, which may be the cure. */
	if (row->desired != INST_WANT_RUNNING || (row->is_failed && !p->in->is_new_boot))
		return;
	if (p->in->is_new_boot && !row->autostart) {
		add(p, RECOVER_WANT_STOPPED, row->id, NONE);
		return;
	}
	if (row->suspend)
		return;
	add(p, RECOVER_START, row->id, NONE);
	p->actions[p->n - 1].priority = row->priority;
	p->actions[p->n - 1].row = (size_t)(row - p->in->rows);
}

static void plan_row(struct plan *p, const struct recover_row *row)
{
	const struct recover_input *in = p->in;
	size_t g = find_guest(in, row->id), s;
	bool is_whole = row->phase == INST_PHASE_CREATING && row->is_prepared;
	bool is_present = row->phase == INST_PHASE_PRESENT || is_whole;

	if (is_whole)
		add(p, RECOVER_FINISH_CREATE, row->id, NONE);
	if (!is_present && g != NONE && in->guests[g].has_ended)
		add(p, RECOVER_FORGET, row->id, g);
	if (row->phase == INST_PHASE_CREATING && !is_present) {
		add(p, RECOVER_UNDO_CREATE, row->id, g);
		return;
	}
	if (!is_present) {
		add(p, RECOVER_FINISH_DELETE, row->id, g);
		return;
	}
	if (g != NONE && !in->guests[g].has_ended) {
		plan_alive(p, row, RECOVER_KEEP, g);
		return;
	}
	if (g != NONE && in->guests[g].boot > row->exit_boot) {
		add(p, RECOVER_EXITED, row->id, g);
		return;
	}
	if (g != NONE)
		add(p, RECOVER_FORGET, row->id, g);
	s = find_state(in, row->id);
	if (s != NONE && in->states[s].boot > row->exit_boot) {
		plan_alive(p, row, RECOVER_ADOPT, s);
		return;
	}
	plan_gone(p, row);
}

/* What no row speaks for. What lives is not ours to end: claim.c says why. */
static void plan_strays(struct plan *p)
{
	const struct recover_input *in = p->in;

	for (size_t i = 0; i < in->n_guests; i++)
		if (in->guests[i].has_ended && !find_row(in, in->guests[i].id))
			add(p, RECOVER_FORGET, in->guests[i].id, i);
	for (size_t i = 0; i < in->n_cgroups; i++) {
		if (in->cgroups[i].populated || find_row(in, in->cgroups[i].id))
			continue;
		add(p, RECOVER_KILL_CGROUP, in->cgroups[i].id, NONE);
		p->actions[p->n - 1].tenant_id = in->cgroups[i].tenant_id;
	}
	for (size_t i = 0; i < in->n_dirs; i++)
		if (!find_row(in, in->dirs[i]))
			add(p, RECOVER_REMOVE_DIR, in->dirs[i], NONE);
}

static int cmp_action(const void *a, const void *b)
{
	const struct recover_action *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	if (x->row != y->row)
		return x->row < y->row ? -1 : 1;
	return strcmp(x->id, y->id);
}

int recover_plan(const struct recover_input *in, struct recover_action **ret, size_t *ret_n,
		 struct err *err)
{
	/* A row gives at most 5 actions, anything else one. */
	size_t max = 5 * in->n_rows + in->n_guests + in->n_cgroups + in->n_dirs;
	struct plan p = {.in = in};

	p.actions = calloc(max + 1, sizeof(*p.actions));
	if (!p.actions)
		return err_set(err, ENOMEM, "cannot plan the recovery: out of memory");
	for (size_t i = 0; i < in->n_rows; i++)
		plan_row(&p, &in->rows[i]);
	plan_strays(&p);
	qsort(p.actions, p.n, sizeof(*p.actions), cmp_action);
	*ret = p.actions;
	*ret_n = p.n;
	return 0;
}
