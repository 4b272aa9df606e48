/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose is it? Before anything is removed, ended or started, the pool's files, the jobs that work
 * in it and the guests that run must be those of this database.
 */
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "runtime/instance/private.h"

#define OWNER_FILE "owner"
/* Jobs of an earlier vpsd end within one system call, a cancelled build within seconds. */
#define CLAIM_AGAIN (20 * USEC_PER_MSEC)
#define CLAIM_LIMIT (120 * USEC_PER_SEC)

/* The pool says which database it belongs to. This only reads: a database that is refused leaves
 * nothing behind. */
int claim_pool(struct inst_manager *m, struct err *err)
{
	ssize_t n = file_read_short_at(img_store_fd(m->images), OWNER_FILE, m->pool_owner,
				       sizeof(m->pool_owner), err);

	if (n < 0 && n != -ENOENT)
		return (int)n;
	if (n < 0) {
		*err = ERR_INIT;
		m->pool_owner[0] = '\0';
	}
	return 0;
}

static int on_claim_time(sd_event_source *s, uint64_t usec, void *arg)
{
	struct inst_manager *m = arg;

	(void)s;
	(void)usec;
	m->claim_timer = sd_event_source_disable_unref(m->claim_timer);
	manager_start_step(m, NULL);
	return 0;
}

/*
 * The jobs of an earlier vpsd may outlive it for a moment: what they make or remove meanwhile would
 * be judged too early. False: not yet, or not at all.
 */
bool claim_jobs(struct inst_manager *m)
{
	struct err err = ERR_INIT;
	int r = job_pool_claim(m->jobs, img_store_fd(m->images), &err);

	if (r >= 0)
		return true;
	if (!m->claim_until) {
		m->claim_until = now_usec() + CLAIM_LIMIT;
		if (r == -EAGAIN)
			log_info("waiting for jobs of an earlier vpsd to end");
	}
	if (r == -EAGAIN && now_usec() < m->claim_until) {
		r = sd_event_add_time_relative(m->event, &m->claim_timer, CLOCK_MONOTONIC,
					       CLAIM_AGAIN, 0, on_claim_time, m);
		if (r >= 0)
			return false;
		(void)err_set_errno(&err, -r, "cannot wait for jobs of an earlier vpsd");
	} else if (r == -EAGAIN) {
		(void)err_set(
			&err, EBUSY,
			"jobs of an earlier vpsd, or another vpsd, still work in the pool '%s'",
			m->host->pool);
		(void)err_hint(&err,
			       "see which vps-job is there, and why its disk does not answer");
	}
	manager_start_step(m, &err);
	return false;
}

void claim_drop(struct inst_manager *m)
{
	m->claim_timer = sd_event_source_disable_unref(m->claim_timer);
}

/*
 * A lost, another or an older database knows nothing of guests that run: they are not nobody's, and
 * their ids are not free. So nothing is done beside them until somebody has decided. Our own are
 * always known: the row of an instance goes after its last process (has_processes).
 */
static int claim_guests(const struct inst_manager *m, size_t n_unknown, struct err *err)
{
	if (n_unknown == 0)
		return 0;
	(void)err_set(err, EEXIST,
		      "%zu guests run in '%s' that the database in '%s' does not know; they are "
		      "left alone",
		      n_unknown, m->cg.path, m->host->state);
	(void)err_hint(err, "start vpsd with the database that they belong to; or stop just these "
			    "in order: vpsd --stop-guests ID...");
	return -EEXIST;
}

/*
 * What customers have left is not removed for being unknown: neither where the pool belongs to
 * another database (lost and made anew, restored from a backup), nor where this one is an older
 * copy of itself, which cannot be told from it. Our own directories are always known: a row comes
 * before its directory and goes after it. Images and logs may be of the instances that are not
 * known. Without the mark somebody has given them up.
 */
static int claim_files(struct inst_manager *m, size_t n_unknown, struct err *err)
{
	const char *id = store_id(m->store), *pool = m->host->pool;
	bool is_other = !str_eq(m->pool_owner, id);

	if (!m->pool_owner[0]) {
		m->drops_strays = true;
		return file_replace_at(img_store_fd(m->images), OWNER_FILE, id, strlen(id), 0600,
				       err);
	}
	m->keeps_strays = is_other || n_unknown > 0;
	if (m->keeps_strays)
		log_error("the pool '%s' %s: files of unknown instances and images are kept; to "
			  "give them up, remove '%s/" OWNER_FILE "' and restart vpsd",
			  pool,
			  is_other ? "belongs to another database than this one"
				   : "has instances that this database does not know",
			  pool);
	return 0;
}

int claim_found(struct inst_manager *m, size_t n_guests, size_t n_dirs, struct err *err)
{
	int r = claim_guests(m, n_guests, err);

	return r < 0 ? r : claim_files(m, n_dirs, err);
}
