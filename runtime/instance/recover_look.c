/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery, the looking half: what the keeper, the cgroup tree, the run directory and the pool
 * show.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "runtime/instance/recover_private.h"

#define STATE_MAX 1024

void recover_drop(struct inst_manager *m)
{
	struct recover_collect *c = m->collect;

	claim_drop(m);
	if (!c)
		return;
	m->collect = NULL;
	for (size_t i = 0; i < c->n_guests; i++) {
		cleanup_close(&c->guests[i].pidfd);
		cleanup_close(&c->guests[i].console);
	}
	for (size_t i = 0; i < c->n_states; i++)
		pidref_done(&c->states[i].process);
	free(c->guests);
	free(c->cgroups);
	free(c->states);
	free(c->dirs);
	free(c);
}

/* One more zeroed item at the end of an array; NULL when memory is short. */
static void *append(void *items, size_t n, size_t size, void **ret_items)
{
	char *grown = realloc(items, (n + 1) * size);

	if (!grown)
		return NULL;
	*ret_items = grown;
	return memset(grown + n * size, 0, size);
}

void recover_on_item(void *userdata, struct keeper_item *item)
{
	struct inst_manager *m = userdata;
	struct recover_collect *c = m->collect;
	void *items = NULL;
	struct keeper_item *new;

	if (!c)
		return;
	new = append(c->guests, c->n_guests, sizeof(*new), &items);
	if (!new) {
		c->is_short = true;
		return;
	}
	c->guests = items;
	c->n_guests++;
	new->guest = item->guest;
	new->pidfd = take_fd(&item->pidfd);
	new->console = take_fd(&item->console);
}

static struct keeper_item *find_item(struct inst_manager *m, const char *id, uint64_t boot)
{
	struct recover_collect *c = m->collect;

	for (size_t i = 0; c && i < c->n_guests; i++)
		if (c->guests[i].guest.boot == boot && str_eq(c->guests[i].guest.id, id))
			return &c->guests[i];
	return NULL;
}

/* With many guests a list comes in pieces, and one may end behind its own. */
void recover_note_exit(struct inst_manager *m, const char *id, uint64_t boot, uint32_t status,
		       enum keeper_exit how)
{
	struct keeper_item *item = find_item(m, id, boot);

	if (!item)
		return;
	item->guest.how = (uint8_t)how;
	item->guest.status = status;
}

void recover_note_ready(struct inst_manager *m, const char *id, uint64_t boot)
{
	struct keeper_item *item = find_item(m, id, boot);

	if (item)
		item->guest.ready = true;
}

static int on_cgroup(void *arg, const struct cg_found *f, struct err *err)
{
	struct recover_collect *c = arg;
	void *items = NULL;
	struct recover_found_cgroup *new;

	if (!f->valid) {
		log_warning("a cgroup that is none of ours lies in our tree: %s",
			    f->id ? f->id : f->tenant_id);
		return 0;
	}
	if (!f->id)
		return 0;
	new = append(c->cgroups, c->n_cgroups, sizeof(*new), &items);
	if (!new)
		return err_set(err, ENOMEM, "cannot list cgroups: out of memory");
	c->cgroups = items;
	c->n_cgroups++;
	(void)str_copy(new->tenant_id, sizeof(new->tenant_id), f->tenant_id);
	(void)str_copy(new->id, sizeof(new->id), f->id);
	new->populated = f->populated;
	return 0;
}

/* A process of an instance that is known again: the same pid, start time and boot of the host. */
static int read_state(const struct inst_manager *m, const char *id, struct recover_found_state *ret)
{
	_cleanup_problems_ struct problems *problems = problems_new();
	const struct json_where w = {.file = "state.json", .path = "", .problems = problems};
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *doc = NULL;
	_cleanup_close_ int dir = -1;
	json_int_t boot, pid, start;
	size_t len;

	dir = path_open_beneath(m->run_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, NULL);
	if (dir < 0 || !problems ||
	    file_read_at(dir, "state.json", STATE_MAX, &text, &len, NULL) < 0 ||
	    json_text_load(text, len, STATE_MAX, &w, &doc) < 0)
		return -ENOENT;
	boot = json_integer_value(json_object_get(doc, "boot"));
	pid = json_integer_value(json_object_get(doc, "pid"));
	start = json_integer_value(json_object_get(doc, "start"));
	if (boot <= 0 || pid <= 1 || pid > INT32_MAX || start <= 0 ||
	    !str_eq(json_string_value(json_object_get(doc, "boot_id")), m->boot_id))
		return -ENOENT;
	(void)str_copy(ret->id, sizeof(ret->id), id);
	ret->boot = (uint64_t)boot;
	ret->ready = json_is_true(json_object_get(doc, "ready"));
	return pidref_open_checked((pid_t)pid, (uint64_t)start, &ret->process, NULL);
}

static bool keeper_has(const struct recover_collect *c, const char *id)
{
	for (size_t i = 0; i < c->n_guests; i++)
		if (str_eq(c->guests[i].guest.id, id))
			return true;
	return false;
}

static const struct recover_found_cgroup *living_cgroup(const struct recover_collect *c,
							const char *id)
{
	for (size_t i = 0; i < c->n_cgroups; i++)
		if (c->cgroups[i].populated && str_eq(c->cgroups[i].id, id))
			return &c->cgroups[i];
	return NULL;
}

/* One that has not become the guest's own program yet is a launch that was cut short. */
static bool is_launch(pid_t pid)
{
	char path[32], exe[PATH_MAX];
	ssize_t n;

	(void)str_fmt(path, sizeof(path), "/proc/%d/exe", (int)pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	exe[n < 0 ? 0 : n] = '\0';
	return n < 0 || strstr(exe, "vps-keeper"); /* or a sealed copy of it in memory */
}

/* Of the processes in a guest's cgroup the one that is its init. */
struct init_search {
	struct pidref init;
	bool is_listed; /* by a look that began when it was held already */
};

/* Held first, so that what is read is about no other one of that number. */
static int on_process(void *arg, pid_t pid, struct err *err)
{
	struct init_search *s = arg;

	(void)err;
	if (s->init.fd >= 0) {
		s->is_listed = s->is_listed || pid == s->init.pid;
		return 0;
	}
	if (pidref_open(pid, &s->init, NULL) >= 0 && inst_is_init(pid) && !is_launch(pid))
		return 0;
	pidref_done(&s->init);
	s->init = PIDREF_INIT;
	return 0;
}

static bool is_alive(const struct pidref *p)
{
	struct pollfd fd = {.fd = p->fd, .events = POLLIN};

	return poll(&fd, 1, 0) == 0;
}

static int search_init(int dir, struct pidref *ret)
{
	struct init_search s = {.init = PIDREF_INIT};
	int r = cg_procs_walk(dir, on_process, &s, NULL);

	if (r >= 0 && s.init.fd >= 0) {
		s.is_listed = false;
		r = cg_procs_walk(dir, on_process, &s, NULL);
	}
	if (r >= 0 && s.is_listed && is_alive(&s.init)) {
		*ret = s.init;
		return 0;
	}
	pidref_done(&s.init);
	return -ENOENT;
}

/* A guest whose state file is lost, or lies in another run directory than that of today, and that
 * no keeper knows: who lives in its cgroup is it, and it is not ended for that. */
static int find_init(struct inst_manager *m, const struct recover_collect *c, const struct inst *i,
		     struct recover_found_state *ret)
{
	const struct recover_found_cgroup *g = living_cgroup(c, i->id);
	_cleanup_close_ int dir = -1;

	if (!g || i->boot <= i->p->exit_boot || keeper_has(c, i->id))
		return -ENOENT;
	dir = cg_instance_dir(&m->cg, g->tenant_id, g->id, NULL);
	if (dir < 0 || search_init(dir, &ret->process) < 0)
		return -ENOENT;
	log_warning("%s: found by its cgroup, as nothing is known of its process", i->full_name);
	(void)str_copy(ret->id, sizeof(ret->id), i->id);
	ret->boot = i->boot;
	ret->ready = false;
	return 0;
}

int recover_look(struct inst_manager *m, struct recover_collect *c, struct err *err)
{
	int r;

	r = cg_walk(&m->cg, on_cgroup, c, err);
	if (r >= 0)
		r = img_instance_list(m->images, &c->dirs, &c->n_dirs, err);
	if (r < 0)
		return r;
	c->states = calloc(m->n_insts + 1, sizeof(*c->states));
	if (!c->states || c->is_short)
		return err_set(err, ENOMEM, "cannot look around: out of memory");
	for (size_t i = 0; i < m->n_insts; i++) {
		struct recover_found_state *s = &c->states[c->n_states];

		s->process = PIDREF_INIT;
		if (read_state(m, m->insts[i]->id, s) >= 0 || find_init(m, c, m->insts[i], s) >= 0)
			c->n_states++;
	}
	return 0;
}
