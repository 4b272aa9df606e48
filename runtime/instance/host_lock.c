/* SPDX-License-Identifier: Apache-2.0 */
/* The lock of the host: while it stands, nothing is created here. */
#include <stdlib.h>

#include "base/str.h"
#include "runtime/instance/private.h"

const struct inst_lock *inst_host_lock(const struct inst_manager *m)
{
	return &m->lock;
}

int inst_check_lock(const struct inst_manager *m, struct err *err)
{
	const char *reason = m->lock.reason;

	if (!m->lock.is_locked)
		return 0;
	(void)err_set(err, EPERM, "this host is locked: no instances are created on it%s%s",
		      *reason ? ": " : "", reason);
	return err_hint(err, "'vps host unlock' ends that");
}

struct change {
	struct inst_manager *manager;
	struct inst_lock lock;
	inst_done_fn done;
	void *arg;
};

/* In force when it is written, in the order in which it was asked for. */
static void on_written(void *arg, const struct err *err)
{
	struct change c = *(struct change *)arg;

	free(arg);
	if (c.manager->is_closing)
		return;
	if (!err)
		c.manager->lock = c.lock;
	c.done(c.arg, err);
}

static int write_lock(struct inst_manager *m, const struct inst_lock *lock, inst_done_fn done,
		      void *arg, struct err *err)
{
	struct change *c = malloc(sizeof(*c));
	struct store_txn *t;
	int r;

	if (!c)
		return err_set(err, ENOMEM, "cannot change the lock of the host: out of memory");
	*c = (struct change){.manager = m, .lock = *lock, .done = done, .arg = arg};
	t = store_txn_new(m->store);
	db_put_lock(t, lock);
	r = store_submit(t, on_written, c, err);
	if (r < 0)
		free(c);
	return r;
}

int inst_lock_host(struct inst_manager *m, const char *reason, inst_done_fn done, void *arg,
		   struct err *err)
{
	struct inst_lock lock = m->lock;
	int r = inst_check_reason(reason, err);

	if (r < 0)
		return r;
	if (!lock.is_locked)
		lock = (struct inst_lock){.is_locked = true, .since = now_seconds()};
	if (reason)
		(void)str_copy(lock.reason, sizeof(lock.reason), reason);
	return write_lock(m, &lock, done, arg, err);
}

int inst_unlock_host(struct inst_manager *m, inst_done_fn done, void *arg, struct err *err)
{
	const struct inst_lock none = {0};

	return write_lock(m, &none, done, arg, err);
}
