/* SPDX-License-Identifier: Apache-2.0 */
/* Guests: from the request to launch one until vpsd has recorded its end. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/pidref.h"
#include "base/str.h"
#include "runtime/keeper/keeper.h"

struct guest *guest_find(const struct keeper *k, const char *id)
{
	for (struct guest *g = k->guests; g; g = g->next)
		if (strcmp(g->info.id, id) == 0)
			return g;
	return NULL;
}

int guest_get(const struct keeper *k, const char *id, uint64_t boot, struct guest **ret,
	      struct err *err)
{
	struct guest *g = guest_find(k, id);

	if (!g)
		return err_set(err, ESRCH, "no guest '%s' here", id);
	if (g->info.boot != boot)
		return err_set(err, ESRCH, "guest '%s' is of boot %llu, not %llu", id,
			       (unsigned long long)g->info.boot, (unsigned long long)boot);
	if (g->info.how != KEEPER_EXIT_NONE)
		return err_set(err, ESRCH, "guest '%s' has ended", id);
	*ret = g;
	return 0;
}

/* --- life ------------------------------------------------------------------------------------ */

static struct guest *guest_new(struct keeper *k, const char *id, uint64_t boot)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	(void)str_copy(g->info.id, sizeof(g->info.id), id);
	g->info.boot = boot;
	g->pid = g->console = SOURCE_INIT;
	notify_init(k, &g->notify);
	g->console_slave = -1;
	g->log = CONSOLE_LOG_INIT;
	budget_init(&g->console_budget, CONSOLE_RATE, CONSOLE_BURST, k->now);
	return g;
}

/* Closes all that only a running guest needs. */
static void guest_close(struct keeper *k, struct guest *g)
{
	console_end(k, g);
	notify_end(k, &g->notify);
	source_close(k, &g->pid);
	console_log_done(&g->log);
}

/* Watches 'fd', which is taken out of its variable then. */
static int watch(struct keeper *k, struct source *s, enum source_kind kind, int *fd,
		 struct err *err)
{
	int r;

	if (*fd < 0)
		return 0;
	r = source_add(k, s, kind, *fd, kind == SOURCE_GUEST ? PID_EVENTS : EPOLLIN, err);
	if (r == 0)
		(void)take_fd(fd);
	return r;
}

static void guest_insert(struct keeper *k, struct guest *g)
{
	g->next = k->guests;
	k->guests = g;
}

static void send_launched(struct keeper *k, const struct guest *g, const char *warning,
			  uint64_t peer, uint32_t seq)
{
	struct msg *m = server_begin(k, KEEPER_LAUNCHED, seq);

	wire_put_str(m, g->info.id);
	wire_put_u64(m, g->info.boot);
	wire_put_u32(m, g->info.pid);
	wire_put_u64(m, g->info.start);
	wire_put_str(m, warning);
	(void)msg_add_fd(m, g->pid.fd);
	if (g->console.fd >= 0)
		(void)msg_add_fd(m, g->console.fd);
	server_send(k, peer);
}

/* --- launch ---------------------------------------------------------------------------------- */

/* What a launch and an adoption begin with. */
struct opening {
	char id[ID_TEXT];
	uint64_t boot;
};

static int read_opening(const struct keeper *k, struct wire *w, struct opening *ret,
			struct err *err)
{
	const struct guest *g;

	wire_get_str_to(w, ret->id, sizeof(ret->id));
	ret->boot = wire_get_u64(w);
	if (w->bad || !keeper_is_id(ret->id))
		return err_set(err, EPROTO, "received a malformed instance id");
	g = guest_find(k, ret->id);
	if (g && g->info.how != KEEPER_EXIT_NONE)
		return err_set(err, EEXIST, "the end of boot %llu of '%s' is not recorded yet",
			       (unsigned long long)g->info.boot, ret->id);
	if (g || op_find(k, ret->id))
		return err_set(err, EEXIST, "guest '%s' is there already", ret->id);
	return 0;
}

static int begin_launch(struct keeper *k, struct op *op, const struct sbx_launch *l,
			struct err *err)
{
	struct sbx_pending pending = SBX_PENDING_INIT;
	int r;

	op->cgroup = fcntl(l->cgroup, F_DUPFD_CLOEXEC, 3);
	if (op->cgroup < 0)
		return err_sys(err, "cannot keep the cgroup of the launch");
	r = sbx_spawn_begin(l, &pending, err);
	if (r < 0) {
		cleanup_close(&op->cgroup);
		return r;
	}
	op_begin(k, op, &pending);
	return 0;
}

int guest_launch(struct keeper *k, struct msg *m, struct wire *w, struct err *err)
{
	_cleanup_close_ int log_dir = msg_take_fd(m, 0);
	_cleanup_free_ struct op *op = NULL;
	_cleanup_free_ void *mem = NULL;
	struct opening o = {0};
	struct sbx_launch l;
	uint64_t log_max;
	int r = read_opening(k, w, &o, err);

	if (r < 0)
		return r;
	log_max = wire_get_u64(w);
	if (k->n_ops >= OPS_MAX)
		return err_set(err, EBUSY, "%zu launches and joins are under way", k->n_ops);
	if (log_dir < 0)
		return err_set(err, EPROTO, "received a launch without a log directory");
	op = calloc(1, sizeof(*op));
	if (!op)
		return err_set(err, ENOMEM, "cannot launch '%s': out of memory", o.id);
	r = sbx_launch_unpack(w, m, &l, &mem, err);
	if (r < 0)
		return r;
	*op = (struct op){.seq = m->seq, .peer = k->peer.generation, .boot = o.boot};
	op->log_max = log_max;
	op->log_dir = log_dir;
	memcpy(op->id, o.id, sizeof(op->id));
	r = wire_done(w, err);
	if (r == 0)
		r = begin_launch(k, op, &l, err);
	sbx_launch_close(&l);
	if (r < 0)
		return r;
	(void)take_fd(&log_dir);
	(void)take_ptr(op);
	return 0;
}

int guest_started(struct keeper *k, struct op *op, struct sbx_started *started, struct err *err)
{
	struct guest *g = guest_new(k, op->id, op->boot);
	int r;

	if (!g)
		return err_set(err, ENOMEM, "cannot keep '%s': out of memory", op->id);
	g->info.pid = (uint32_t)started->pid;
	g->info.start = started->start;
	console_log_init(&g->log, take_fd(&op->log_dir), op->log_max);
	r = watch(k, &g->console, SOURCE_CONSOLE, &started->console, err);
	if (r == 0)
		r = notify_watch(k, &g->notify, &started->notify, err);
	if (r == 0)
		r = watch(k, &g->pid, SOURCE_GUEST, &started->pidfd, err);
	if (r < 0) {
		guest_close(k, g);
		free(g);
		return r;
	}
	g->console_slave = take_fd(&started->console_slave);
	guest_insert(k, g);
	log_info("guest %s boot %llu runs as pid %u", g->info.id, (unsigned long long)g->info.boot,
		 g->info.pid);
	send_launched(k, g, started->warning, op->peer, op->seq);
	return 0;
}

/* --- adoption -------------------------------------------------------------------------------- */

/* A console that an earlier keeper made: vpsd held its master. */
static int adopt_console(struct keeper *k, struct guest *g, int console, struct err *err)
{
	_cleanup_close_ int master = console;
	int flags;

	if (master < 0)
		return 0;
	flags = fcntl(master, F_GETFL);
	if (flags < 0 || fcntl(master, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_sys(err, "cannot use the console");
	g->console_slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (g->console_slave < 0)
		return err_sys(err, "cannot use the console");
	return watch(k, &g->console, SOURCE_CONSOLE, &master, err);
}

int guest_adopt(struct keeper *k, struct msg *m, struct wire *w, struct err *err)
{
	_cleanup_pidref_ struct pidref p = PIDREF_INIT;
	_cleanup_close_ int log_dir = msg_take_fd(m, 0);
	struct opening o = {0};
	uint64_t start, log_max;
	struct guest *g;
	uint32_t pid;
	int r = read_opening(k, w, &o, err);

	if (r < 0)
		return r;
	pid = wire_get_u32(w);
	start = wire_get_u64(w);
	log_max = wire_get_u64(w);
	r = wire_done(w, err);
	if (r == 0 && log_dir < 0)
		r = err_set(err, EPROTO, "received an adoption without a log directory");
	if (r == 0 && pid > INT32_MAX)
		r = err_set(err, EPROTO, "received a malformed pid");
	if (r == 0)
		r = pidref_open_checked((pid_t)pid, start, &p, err);
	if (r < 0)
		return r;
	g = guest_new(k, o.id, o.boot);
	if (!g)
		return err_set(err, ENOMEM, "cannot adopt '%s': out of memory", o.id);
	g->info.pid = pid;
	g->info.start = start;
	console_log_init(&g->log, take_fd(&log_dir), log_max);
	r = adopt_console(k, g, msg_take_fd(m, 1), err);
	if (r == 0)
		r = watch(k, &g->pid, SOURCE_GUEST, &p.fd, err);
	if (r < 0) {
		guest_close(k, g);
		free(g);
		return r;
	}
	guest_insert(k, g);
	log_info("guest %s boot %llu adopted as pid %u", g->info.id,
		 (unsigned long long)g->info.boot, pid);
	send_launched(k, g, "", k->peer.generation, m->seq);
	return 0;
}

/* --- requests about a guest ------------------------------------------------------------------ */

static int read_name(struct wire *w, struct opening *ret, struct err *err)
{
	wire_get_str_to(w, ret->id, sizeof(ret->id));
	ret->boot = wire_get_u64(w);
	return w->bad ? err_set(err, EPROTO, "received a malformed record") : 0;
}

int guest_signal(struct keeper *k, struct msg *m, struct wire *w, struct err *err)
{
	struct opening o = {0};
	struct guest *g = NULL;
	struct pidref p;
	uint32_t signo;
	int r = read_name(w, &o, err);

	(void)m;
	signo = wire_get_u32(w);
	if (r == 0)
		r = wire_done(w, err);
	if (r == 0 && (signo < 1 || signo > 64))
		r = err_set(err, EINVAL, "%u is not a signal number", signo);
	if (r == 0)
		r = guest_get(k, o.id, o.boot, &g, err);
	if (r < 0)
		return r;
	p = (struct pidref){.pid = (pid_t)g->info.pid, .start = g->info.start, .fd = g->pid.fd};
	r = pidref_signal(&p, (int)signo, err);
	return r < 0 ? r : 1;
}

int guest_forget(struct keeper *k, struct msg *m, struct wire *w, struct err *err)
{
	struct opening o = {0};
	struct guest **p = &k->guests;
	int r = read_name(w, &o, err);
	struct guest *g;

	(void)m;
	if (r == 0)
		r = wire_done(w, err);
	if (r < 0)
		return r;
	while (*p && strcmp((*p)->info.id, o.id) != 0)
		p = &(*p)->next;
	g = *p;
	if (!g || g->info.boot != o.boot)
		return err_set(err, ESRCH, "no boot %llu of guest '%s' here",
			       (unsigned long long)o.boot, o.id);
	if (g->info.how == KEEPER_EXIT_NONE)
		return err_set(err, EBUSY, "guest '%s' still runs", o.id);
	*p = g->next;
	free(g);
	return 1;
}

/* --- what a guest does ----------------------------------------------------------------------- */

void guest_event(struct keeper *k, struct guest *g)
{
	uint32_t status = 0;
	int r = child_reap((pid_t)g->info.pid, &status);

	if (r == 0)
		return;
	/* An adopted guest's status went to pid 1. */
	g->info.status = r > 0 ? status : 0;
	g->info.how = r > 0 ? keeper_classify(status) : KEEPER_EXIT_UNKNOWN;
	log_info("guest %s boot %llu ended: wait status 0x%x", g->info.id,
		 (unsigned long long)g->info.boot, g->info.status);
	guest_close(k, g);
}

void guest_notify_answer(struct keeper *k, struct guest *g)
{
	if (!notify_answer(k, &g->notify))
		return;
	g->info.ready = true;
	log_info("guest %s boot %llu is ready", g->info.id, (unsigned long long)g->info.boot);
}

void guest_notify_expired(struct keeper *k, struct guest *g)
{
	if (!notify_expired(k, &g->notify))
		log_warning("guest %s boot %llu: what it sent to its notify socket cannot be read",
			    g->info.id, (unsigned long long)g->info.boot);
}
