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

/*
 * The pool says which database it belongs to. Of another one (lost and made anew, restored from a
 * backup) nothing is removed for being unknown: those files are what customers have left.
 */
int claim_pool(struct inst_manager *m, struct err *err)
{
	const char *id = store_id(m->store);
	char owner[64] = "";
	ssize_t n =
		file_read_short_at(img_store_fd(m->images), OWNER_FILE, owner, sizeof(owner), err);

	if (n < 0 && n != -ENOENT)
		return (int)n;
	if (n < 0) {
		*err = ERR_INIT;
		return file_replace_at(img_store_fd(m->images), OWNER_FILE, id, strlen(id), 0600,
				       err);
	}
	m->keeps_strays = !str_eq(owner, id);
	if (m->keeps_strays)
		log_error(
			"the pool '%s' belongs to another database than this one: files of unknown "
			"instances and images are kept; to give them up, remove '%s/" OWNER_FILE
			"' and restart vpsd",
			m->host->pool, m->host->pool);
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
 * A lost or another database knows nothing of the guests that run: they are not nobody's, and their
 * ids are not free. So nothing is done beside them until somebody has decided.
 */
int claim_guests(struct inst_manager *m, size_t n_unknown, const char *first, struct err *err)
{
	char owner[CG_OWNER_TEXT];
	int r = cg_root_owner(&m->cg, owner, err);

	if (r < 0 || str_eq(owner, store_id(m->store)))
		return r;
	if (n_unknown == 0)
		return cg_root_set_owner(&m->cg, store_id(m->store), err);
	(void)err_set(err, EEXIST,
		      "%zu guests run in '%s' that the database in '%s' does not know, '%s' among "
		      "them; they are left alone",
		      n_unknown, m->cg.path, m->host->state, first);
	(void)err_hint(err, "start vpsd with the host document and the database that they belong "
			    "to; or stop them in order: vpsd --stop-guests");
	return -EEXIST;
}
