/* SPDX-License-Identifier: Apache-2.0 */
/* Ends guests, at once and side by side: looks for what lives, asks it once, looks again. */
#include "runtime/instance/host_down.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/num.h"
#include "base/path.h"
#include "base/pidref.h"
#include "base/str.h"
#include "cgroups/events.h"
#include "runtime/instance/private.h"

#define KILL_LIMIT (10 * USEC_PER_SEC)
#define LOOK_MS 50

/* A guest that was seen alive. */
struct down_guest {
	const struct cg_root *root;
	char tenant_id[ID_TEXT], id[ID_TEXT];
	bool is_living; /* by the last look */
	bool is_asked;
};

struct down {
	const struct host_down *h;
	const struct cg_root *root; /* that is being looked at */
	struct down_guest *guests;
	size_t n;
	size_t living;
};

static bool is_meant(const struct host_down *h, const char *id)
{
	for (size_t i = 0; i < h->n_ids; i++)
		if (str_eq(h->ids[i], id))
			return true;
	return h->n_ids == 0;
}

static struct down_guest *find(struct down *d, const char *tenant_id, const char *id)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->guests[i].root == d->root && str_eq(d->guests[i].id, id) &&
		    str_eq(d->guests[i].tenant_id, tenant_id))
			return &d->guests[i];
	return NULL;
}

/* --- looking --------------------------------------------------------------------------------- */

static int on_found(void *arg, const struct cg_found *f, struct err *err)
{
	struct down *d = arg;
	struct down_guest *g;

	if (!f->valid || !f->id || !f->populated || !is_meant(d->h, f->id))
		return 0;
	g = find(d, f->tenant_id, f->id);
	if (!g) {
		g = reallocarray(d->guests, d->n + 1, sizeof(*g));
		if (!g)
			return err_set(err, ENOMEM, "cannot list guests: out of memory");
		d->guests = g;
		g = &d->guests[d->n++];
		*g = (struct down_guest){.root = d->root};
		(void)str_copy(g->tenant_id, sizeof(g->tenant_id), f->tenant_id);
		(void)str_copy(g->id, sizeof(g->id), f->id);
	}
	g->is_living = true;
	d->living++;
	return 0;
}

static int look(struct down *d, struct err *err)
{
	int r = 0;

	d->living = 0;
	for (size_t i = 0; i < d->n; i++)
		d->guests[i].is_living = false;
	for (size_t i = 0; r >= 0 && i < d->h->n_roots; i++) {
		d->root = &d->h->roots[i];
		r = cg_walk(d->root, on_found, d, err);
	}
	return r < 0 ? r : 0;
}

/* -ENOENT: gone meanwhile. */
static int open_guest(const struct down_guest *g, struct err *err)
{
	return cg_instance_dir(g->root, g->tenant_id, g->id, err);
}

/* --- asking ---------------------------------------------------------------------------------- */

static int ask_init(void *arg, pid_t pid, struct err *err)
{
	struct down_guest *g = arg;
	_cleanup_pidref_ struct pidref p = PIDREF_INIT;

	(void)err;
	/* ESRCH: it has just ended, which the next look sees as well. */
	if (pidref_open(pid, &p, NULL) >= 0 && inst_is_init(pid) && inst_hears_signals(pid) &&
	    pidref_signal(&p, inst_stop_signal(pid), NULL) >= 0)
		g->is_asked = true;
	return 0;
}

static void ask(struct down *d)
{
	struct err err = ERR_INIT;

	for (size_t i = 0; i < d->n; i++) {
		struct down_guest *g = &d->guests[i];
		_cleanup_close_ int fd = -1;

		if (!g->is_living || g->is_asked)
			continue;
		fd = open_guest(g, NULL);
		if (fd >= 0 && cg_procs_walk(fd, ask_init, g, &err) < 0)
			log_debug("cannot ask %s to stop: %s", g->id, err_text(&err));
		/* One that is suspended shuts down like the others, and stays suspended. */
		if (fd >= 0 && g->is_asked)
			(void)cg_thaw(fd, 0, NULL);
	}
}

/* --- killing --------------------------------------------------------------------------------- */

static void kill_rest(struct down *d)
{
	struct err err = ERR_INIT;

	for (size_t i = 0; i < d->n; i++) {
		struct down_guest *g = &d->guests[i];
		_cleanup_close_ int fd = g->is_living ? open_guest(g, NULL) : -1;

		if (fd >= 0 && cg_kill(fd, &err) < 0)
			log_warning("cannot kill %s: %s", g->id, err_text(&err));
	}
}

static int tell_living(const struct down *d, struct err *err)
{
	for (size_t i = 0; i < d->n; i++) {
		const struct down_guest *g = &d->guests[i];
		char path[CG_PATH_MAX];

		if (!g->is_living)
			continue;
		cg_instance_path(g->root, g->tenant_id, g->id, path);
		log_error("a guest lives on in '%s'", path);
	}
	return err_set(err, ETIMEDOUT, "%zu guests do not even end when killed", d->living);
}

/* --- all ------------------------------------------------------------------------------------- */

static int check_ids(struct down *d, struct err *err)
{
	for (size_t i = 0; i < d->h->n_ids; i++) {
		bool is_there = false;

		for (size_t k = 0; k < d->n; k++)
			is_there |= str_eq(d->guests[k].id, d->h->ids[i]);
		if (!is_there)
			return err_set(err, ENOENT, "no guest with the id '%s' runs", d->h->ids[i]);
	}
	return 0;
}

static int end_all(struct down *d, struct err *err)
{
	const uint64_t kill_at = now_usec() + d->h->stop_timeout;
	const uint64_t give_up_at = kill_at + KILL_LIMIT;
	bool is_killing = false;
	int r = 0;

	/* What a keeper was just launching may appear late, and who was just launched may not
	 * listen yet: asking goes on. */
	for (; r >= 0 && d->living > 0; r = look(d, err)) {
		uint64_t now = now_usec();

		if (now >= give_up_at)
			return tell_living(d, err);
		if (now < kill_at) {
			ask(d);
		} else {
			if (!is_killing)
				log_warning("killing %zu guests that did not stop in time",
					    d->living);
			is_killing = true;
			kill_rest(d);
		}
		(void)poll(NULL, 0, LOOK_MS);
	}
	return r;
}

int inst_host_down(const struct host_down *h, struct err *err)
{
	struct down d = {.h = h};
	int r = look(&d, err);

	if (r >= 0)
		r = check_ids(&d, err);
	if (r >= 0) {
		log_info("stopping %zu guests", d.living);
		r = end_all(&d, err);
	}
	free(d.guests);
	return r;
}
