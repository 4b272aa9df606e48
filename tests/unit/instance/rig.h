/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A manager in the test's event loop, without root and without guests: the database is real, the
 * keeper is played here at the other end of its socket, jobs are a shell script, and cgroups are a
 * list. The functions of cgroups/ and open_tree(2) that need a kernel's help are defined here and
 * win over those of the archive when the test is linked.
 */
#pragma once

#include "tests/unit/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "base/path.h"
#include "base/pidref.h"
#include "base/str.h"
#include "cgroups/devices.h"
#include "cgroups/events.h"
#include "config/host.h"
#include "images/store.h"
#include "runtime/instance/apply.h"
#include "runtime/instance/manager.h"
#include "runtime/instance/store.h"
#include "runtime/keeper/proto.h"

#define GUESTS_MAX 16
#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define PATIENCE_USEC (10 * UINT64_C(1000000))

/* A guest as the keeper knows it. Its init is a child of the test that does nothing. */
struct rig_guest {
	char id[ID_TEXT];
	uint64_t boot;
	pid_t pid;
	uint64_t start;
	int pidfd;
	bool ready;
	enum keeper_exit how;
	uint32_t status;
};

struct rig_cgroup {
	char id[ID_TEXT], tenant[ID_TEXT];
	int fd;
};

struct rig {
	char dir[64], path[256];
	sd_event *event;
	struct spec_host host;
	struct store *store;
	sd_event_source *on_store;
	struct inst_manager *m;
	bool is_ready;
	struct err not_ready;

	/* The keeper. */
	int listener, peer;
	sd_event_source *on_listener, *on_peer;
	struct msg *in, *out;
	struct rig_guest guests[GUESTS_MAX];
	size_t n_guests;
	unsigned launches, signals, forgets, lists, adopts;
	int last_signal;
	bool holds_launches; /* launches are done, and not answered */
	bool refuses_adoption;
	/* A guest that ends while it is being listed, behind its own item. */
	bool ends_while_listed;

	/* Cgroups. */
	struct rig_cgroup cgroups[GUESTS_MAX];
	size_t n_cgroups;
	unsigned busy;	/* so many removals find processes */
	int timeout_ms; /* the longest wait that was asked for */
};

/* What the functions below work on. */
static struct rig *rig;

/* --- cgroups --------------------------------------------------------------------------------- */

static inline void guest_ends(const char *id, enum keeper_exit how, uint32_t status);

static inline struct rig_cgroup *cgroup_find(const char *id)
{
	for (size_t i = 0; i < rig->n_cgroups; i++)
		if (str_eq(rig->cgroups[i].id, id))
			return &rig->cgroups[i];
	return NULL;
}

static inline struct rig_cgroup *cgroup_add(const char *tenant, const char *id)
{
	struct rig_cgroup *c = &rig->cgroups[rig->n_cgroups++];

	assert_true(rig->n_cgroups <= GUESTS_MAX);
	*c = (struct rig_cgroup){.fd = -1};
	(void)str_copy(c->id, sizeof(c->id), id);
	(void)str_copy(c->tenant, sizeof(c->tenant), tenant);
	return c;
}

int cg_root_open(const char *path, const char *const *required, struct cg_root *ret,
		 struct err *err)
{
	(void)path;
	(void)required;
	(void)err;
	*ret = CG_ROOT_INIT;
	ret->host.memory_recursiveprot = true;
	return 0;
}

void cg_root_done(struct cg_root *r)
{
	*r = CG_ROOT_INIT;
}

bool cg_root_has(const struct cg_root *r, const char *controller)
{
	(void)r;
	(void)controller;
	return true;
}

int cg_root_recount(struct cg_root *r, struct err *err)
{
	(void)r;
	(void)err;
	return 0;
}

static inline void open_both(struct cg_instance *ret, const char *tenant_id, const char *id)
{
	*ret = CG_INSTANCE_INIT;
	(void)str_copy(ret->id, sizeof(ret->id), id);
	(void)str_copy(ret->tenant_id, sizeof(ret->tenant_id), tenant_id);
	ret->fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	ret->guest = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (size_t i = 0; i < rig->n_cgroups; i++)
		if (str_eq(rig->cgroups[i].id, id))
			rig->cgroups[i].fd = ret->fd;
}

int cg_instance_create(struct cg_root *r, const struct cg_instance_spec *spec,
		       struct cg_instance *ret, struct cg_limit_status *status, struct err *err)
{
	(void)r;
	(void)status;
	if (cgroup_find(spec->id) && rig->busy)
		return err_set(err, EBUSY, "processes live there");
	if (!cgroup_find(spec->id))
		(void)cgroup_add(spec->tenant_id, spec->id);
	open_both(ret, spec->tenant_id, spec->id);
	return 0;
}

int cg_instance_open(const struct cg_root *r, const char *tenant_id, const char *id,
		     struct cg_instance *ret, struct err *err)
{
	(void)r;
	if (!cgroup_find(id))
		return err_set(err, ENOENT, "no cgroup '%s'", id);
	open_both(ret, tenant_id, id);
	return 0;
}

void cg_instance_done(struct cg_instance *i)
{
	cleanup_close(&i->fd);
	cleanup_close(&i->guest);
	i->fd = i->guest = -1;
}

int cg_instance_apply(struct cg_root *r, const struct cg_instance *i, const struct cg_limits *l,
		      unsigned flags, struct cg_limit_status *status, struct err *err)
{
	(void)r;
	(void)i;
	(void)l;
	(void)flags;
	(void)status;
	(void)err;
	return 0;
}

int cg_tenant_apply(struct cg_root *r, const char *tenant_id, const struct cg_limits *l,
		    unsigned flags, struct cg_limit_status *status, struct err *err)
{
	(void)r;
	(void)tenant_id;
	(void)l;
	(void)flags;
	(void)status;
	(void)err;
	return 0;
}

int cg_instance_remove(struct cg_root *r, const char *tenant_id, const char *id, unsigned flags,
		       int timeout_ms, struct err *err)
{
	struct rig_cgroup *c = cgroup_find(id);

	(void)r;
	(void)tenant_id;
	if (timeout_ms > rig->timeout_ms)
		rig->timeout_ms = timeout_ms;
	if (!c)
		return 0;
	if (flags & CG_REMOVE_KILL)
		guest_ends(id, KEEPER_EXIT_KILLED, SIGKILL);
	if (rig->busy) {
		rig->busy--;
		return err_set(err, EBUSY, "processes live there");
	}
	*c = rig->cgroups[--rig->n_cgroups];
	return 0;
}

int cg_walk(const struct cg_root *r,
	    int (*visit)(void *arg, const struct cg_found *f, struct err *err), void *arg,
	    struct err *err)
{
	(void)r;
	for (size_t i = 0; i < rig->n_cgroups; i++) {
		const struct cg_found f = {.tenant_id = rig->cgroups[i].tenant,
					   .id = rig->cgroups[i].id,
					   .valid = true,
					   .populated = true};
		int k = visit(arg, &f, err);

		if (k < 0)
			return k;
	}
	return 0;
}

int cg_session_walk(const struct cg_instance *i,
		    int (*visit)(void *arg, const struct cg_session *s), void *arg, struct err *err)
{
	(void)i;
	(void)visit;
	(void)arg;
	(void)err;
	return 0;
}

int cg_session_create(const struct cg_instance *i, struct cg_session *ret, struct err *err)
{
	(void)i;
	*ret = CG_SESSION_INIT;
	return err_set(err, EOPNOTSUPP, "not here");
}

int cg_session_remove(const struct cg_instance *i, const struct cg_session *s, struct err *err)
{
	(void)i;
	(void)s;
	(void)err;
	return 0;
}

void cg_session_done(struct cg_session *s)
{
	s->fd = -1;
}

int cg_kill(int dirfd, struct err *err)
{
	(void)err;
	for (size_t i = 0; i < rig->n_cgroups; i++)
		if (rig->cgroups[i].fd == dirfd)
			guest_ends(rig->cgroups[i].id, KEEPER_EXIT_KILLED, SIGKILL);
	return 0;
}

int cg_stats_reader_open(int dirfd, struct cg_stats_reader *ret, struct err *err)
{
	(void)dirfd;
	(void)err;
	*ret = CG_STATS_READER_INIT;
	return 0;
}

void cg_stats_reader_done(struct cg_stats_reader *r)
{
	*r = CG_STATS_READER_INIT;
}

int cg_stats_read(const struct cg_stats_reader *r, struct cg_stats *ret, struct err *err)
{
	(void)r;
	(void)err;
	*ret = (struct cg_stats){0};
	return 0;
}

int cg_devices_load(unsigned features, struct err *err)
{
	(void)features;
	return err_set(err, EPERM, "not here");
}

int cg_devices_attach(int cgroup, int prog, struct err *err)
{
	(void)cgroup;
	(void)prog;
	return err_set(err, EPERM, "not here");
}

int cg_devices_is_attached(int cgroup, struct err *err)
{
	(void)cgroup;
	(void)err;
	return 0;
}

/* A detached mount needs privileges; a descriptor is a descriptor. */
int open_tree(int dfd, const char *filename, unsigned flags)
{
	(void)filename;
	(void)flags;
	return fcntl(dfd, F_DUPFD_CLOEXEC, 3);
}

/* --- the keeper ------------------------------------------------------------------------------ */

static inline struct rig_guest *guest_find(const char *id)
{
	for (size_t i = 0; i < rig->n_guests; i++)
		if (str_eq(rig->guests[i].id, id))
			return &rig->guests[i];
	return NULL;
}

static inline struct msg *begin(uint32_t type, uint32_t seq)
{
	msg_reset(rig->out, type, seq);
	return rig->out;
}

static inline void send_out(void)
{
	struct err err = ERR_INIT;

	if (rig->peer >= 0 && msg_send(rig->peer, rig->out, &err) < 0)
		assert_int_equal(err.code, EPIPE);
}

static inline void answer(uint32_t seq, int code)
{
	struct msg *m = begin(code ? KEEPER_FAILED : KEEPER_OK, seq);

	if (code) {
		wire_put_u32(m, (uint32_t)code);
		wire_put_str(m, "refused");
	}
	send_out();
}

static inline void tell_exit(const struct rig_guest *g)
{
	struct msg *m = begin(KEEPER_EV_EXITED, 0);

	wire_put_str(m, g->id);
	wire_put_u64(m, g->boot);
	wire_put_u32(m, g->status);
	wire_put_u8(m, (uint8_t)g->how);
	send_out();
}

static inline pid_t guest_pid(const char *id)
{
	const struct rig_guest *g = guest_find(id);

	return g ? g->pid : 0;
}

/* The init of a guest ends, and the keeper (if it is there) says so. */
static inline void guest_ends(const char *id, enum keeper_exit how, uint32_t status)
{
	struct rig_guest *g = guest_find(id);

	if (!g || g->how != KEEPER_EXIT_NONE)
		return;
	g->how = how;
	g->status = status;
	(void)kill(g->pid, SIGKILL);
	assert_int_equal(waitpid(g->pid, NULL, 0), g->pid);
	cleanup_close(&g->pidfd);
	g->pidfd = -1;
	tell_exit(g);
}

static inline void guest_ready(const char *id)
{
	struct rig_guest *g = guest_find(id);
	struct msg *m = begin(KEEPER_EV_READY, 0);

	if (!g)
		fail_msg("no guest %s", id);
	else
		g->ready = true;
	wire_put_str(m, id);
	wire_put_u64(m, g ? g->boot : 0);
	send_out();
}

static inline void guest_drop(struct rig_guest *g)
{
	if (g->pidfd >= 0) {
		(void)kill(g->pid, SIGKILL);
		(void)waitpid(g->pid, NULL, 0);
		cleanup_close(&g->pidfd);
	}
	*g = rig->guests[--rig->n_guests];
}

/* It vanishes, and the keeper never knew it. */
static inline void guest_lose(const char *id)
{
	for (size_t i = 0; i < rig->n_guests; i++)
		if (str_eq(rig->guests[i].id, id)) {
			guest_drop(&rig->guests[i]);
			return;
		}
	fail_msg("no guest %s", id);
}

static inline bool guest_lives(const char *id)
{
	const struct rig_guest *g = guest_find(id);

	return g && g->how == KEEPER_EXIT_NONE;
}

static inline struct rig_guest *guest_add(const char *id, uint64_t boot)
{
	struct rig_guest *g = &rig->guests[rig->n_guests++];

	assert_true(rig->n_guests <= GUESTS_MAX);
	*g = (struct rig_guest){.boot = boot, .pidfd = -1};
	(void)str_copy(g->id, sizeof(g->id), id);
	return g;
}

static inline void send_launched(const struct rig_guest *g, uint32_t seq)
{
	_cleanup_close_ int console = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct msg *m = begin(KEEPER_LAUNCHED, seq);

	wire_put_str(m, g->id);
	wire_put_u64(m, g->boot);
	wire_put_u32(m, (uint32_t)g->pid);
	wire_put_u64(m, g->start);
	assert_int_equal(msg_add_fd(m, g->pidfd), 0);
	assert_int_equal(msg_add_fd(m, console), 0);
	send_out();
}

static inline void serve_launch(const char *id, uint64_t boot, uint32_t seq)
{
	struct rig_guest *g = guest_find(id);

	rig->launches++;
	if (g) {
		answer(seq, EEXIST);
		return;
	}
	g = guest_add(id, boot);
	g->pid = fork();
	assert_true(g->pid >= 0);
	if (g->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)close_range(3, ~0u, 0);
		for (;;)
			(void)pause();
	}
	g->pidfd = (int)syscall(SYS_pidfd_open, g->pid, 0);
	assert_int_equal(pid_start_time(g->pid, &g->start, NULL), 0);
	if (!rig->holds_launches)
		send_launched(g, seq);
}

static inline void serve_adopt(const char *id, uint64_t boot, struct wire *w, uint32_t seq)
{
	struct rig_guest *g;
	uint32_t pid = wire_get_u32(w);
	uint64_t start = wire_get_u64(w), now;

	rig->adopts++;
	if (rig->refuses_adoption || guest_find(id)) {
		answer(seq, rig->refuses_adoption ? EIO : EEXIST);
		return;
	}
	if (pid_start_time((pid_t)pid, &now, NULL) < 0 || now != start) {
		answer(seq, ESRCH);
		return;
	}
	g = guest_add(id, boot);
	g->pid = (pid_t)pid;
	g->start = start;
	g->pidfd = (int)syscall(SYS_pidfd_open, g->pid, 0);
	send_launched(g, seq);
}

static inline void serve_list(uint32_t seq)
{
	struct msg *m;

	rig->lists++;
	for (size_t i = 0; i < rig->n_guests; i++) {
		const struct rig_guest *g = &rig->guests[i];
		const struct keeper_guest info = {.boot = g->boot,
						  .pid = (uint32_t)g->pid,
						  .start = g->start,
						  .ready = g->ready,
						  .how = (uint8_t)g->how,
						  .status = g->status};
		struct keeper_guest copy = info;

		(void)str_copy(copy.id, sizeof(copy.id), g->id);
		m = begin(KEEPER_LIST_ITEM, seq);
		keeper_guest_put(m, &copy);
		if (g->how == KEEPER_EXIT_NONE)
			assert_int_equal(msg_add_fd(m, g->pidfd), 0);
		send_out();
	}
	if (rig->ends_while_listed)
		guest_ends(rig->guests[0].id, KEEPER_EXIT_POWEROFF, SIGINT);
	rig->ends_while_listed = false;
	m = begin(KEEPER_LIST_END, seq);
	wire_put_u32(m, (uint32_t)rig->n_guests);
	send_out();
}

static inline void serve_forget(const char *id, uint64_t boot, uint32_t seq)
{
	struct rig_guest *g = guest_find(id);

	rig->forgets++;
	if (!g || g->boot != boot) {
		answer(seq, ESRCH);
		return;
	}
	if (g->how == KEEPER_EXIT_NONE) {
		answer(seq, EBUSY);
		return;
	}
	guest_drop(g);
	answer(seq, 0);
}

static inline void serve(struct msg *in)
{
	char id[ID_TEXT] = "";
	uint64_t boot = 0;
	struct wire w;
	struct msg *m;

	wire_init(&w, in);
	if (in->type == KEEPER_HELLO) {
		m = begin(KEEPER_HELLO_ACK, in->seq);
		wire_put_u32(m, KEEPER_PROTOCOL);
		wire_put_u32(m, (uint32_t)getpid());
		wire_put_str(m, "rig");
		send_out();
		return;
	}
	if (in->type == KEEPER_LIST) {
		serve_list(in->seq);
		return;
	}
	wire_get_str_to(&w, id, sizeof(id));
	boot = wire_get_u64(&w);
	if (in->type == KEEPER_LAUNCH) {
		serve_launch(id, boot, in->seq);
	} else if (in->type == KEEPER_ADOPT) {
		serve_adopt(id, boot, &w, in->seq);
	} else if (in->type == KEEPER_FORGET) {
		serve_forget(id, boot, in->seq);
	} else {
		assert_int_equal(in->type, KEEPER_SIGNAL);
		rig->signals++;
		rig->last_signal = (int)wire_get_u32(&w);
		answer(in->seq, 0);
	}
}

static inline void peer_drop(void)
{
	rig->on_peer = sd_event_source_disable_unref(rig->on_peer);
	cleanup_close(&rig->peer);
	rig->peer = -1;
}

static inline int on_peer(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	(void)s;
	(void)fd;
	(void)revents;
	(void)arg;
	if (msg_recv(rig->peer, rig->in, NULL) == 1)
		serve(rig->in);
	else
		peer_drop();
	return 0;
}

static inline int on_listener(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	(void)s;
	(void)revents;
	(void)arg;
	peer_drop();
	rig->peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(rig->peer >= 0);
	assert_true(sd_event_add_io(rig->event, &rig->on_peer, rig->peer, EPOLLIN, on_peer, NULL) >=
		    0);
	return 0;
}

static inline void keeper_up(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	assert_true(str_fmt(sa.sun_path, sizeof(sa.sun_path), "%s/keeper.sock", rig->dir) >= 0);
	(void)unlink(sa.sun_path);
	rig->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(rig->listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(rig->listener, 4), 0);
	assert_true(sd_event_add_io(rig->event, &rig->on_listener, rig->listener, EPOLLIN,
				    on_listener, NULL) >= 0);
}

static inline void keeper_down(void)
{
	peer_drop();
	rig->on_listener = sd_event_source_disable_unref(rig->on_listener);
	cleanup_close(&rig->listener);
	rig->listener = -1;
}

/* Another keeper, which knows nobody: guests go on, and those that end have no one to tell it. */
static inline void keeper_forgets_all(void)
{
	for (size_t i = 0; i < rig->n_guests; i++)
		cleanup_close(&rig->guests[i].pidfd);
	rig->n_guests = 0;
}

/* --- waiting --------------------------------------------------------------------------------- */

static inline uint64_t rig_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static inline void turn(void)
{
	assert_true(sd_event_run(rig->event, 20000) >= 0);
}

static inline void pass(uint64_t usec)
{
	uint64_t end = rig_now() + usec;

	while (rig_now() < end)
		turn();
}

/* Until the condition holds. */
#define AWAIT(condition)                                                                           \
	do {                                                                                       \
		uint64_t await_end = rig_now() + PATIENCE_USEC;                                    \
		while (!(condition)) {                                                             \
			if (rig_now() > await_end)                                                 \
				fail_msg("in vain: %s", #condition);                               \
			turn();                                                                    \
		}                                                                                  \
	} while (0)

/* --- the manager ----------------------------------------------------------------------------- */

static inline const char *rig_path(const char *name)
{
	assert_true(str_fmt(rig->path, sizeof(rig->path), "%s/%s", rig->dir, name) >= 0);
	return rig->path;
}

static inline bool rig_has(const char *name)
{
	return access(rig_path(name), F_OK) == 0;
}

static inline void rig_put(const char *name, const char *text, mode_t mode)
{
	int fd = open(rig_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)close(fd);
}

static inline void rig_unput(const char *name)
{
	assert_int_equal(unlink(rig_path(name)), 0);
}

/* Runs SQL beside the daemon: triggers make commits fail. */
static inline void rig_sql(const char *sql)
{
	sqlite3 *db = NULL;
	char *why = NULL;

	assert_int_equal(sqlite3_open(rig_path("vpsd.db"), &db), SQLITE_OK);
	(void)sqlite3_busy_timeout(db, 5000);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
	(void)sqlite3_close(db);
}

static inline void commits_fail(const char *event, const char *when)
{
	char sql[300];

	assert_true(str_fmt(sql, sizeof(sql),
			    "CREATE TRIGGER full BEFORE %s WHEN %s BEGIN SELECT "
			    "RAISE(ABORT, 'disk full'); END",
			    event, when) >= 0);
	rig_sql(sql);
}

static inline void commits_work(void)
{
	rig_sql("DROP TRIGGER full");
}

/* The first column of the first row as a number, -1 = no row. */
static inline int64_t rig_number(const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *s = NULL;
	int64_t v = -1;

	assert_int_equal(sqlite3_open(rig_path("vpsd.db"), &db), SQLITE_OK);
	(void)sqlite3_busy_timeout(db, 5000);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
	if (sqlite3_step(s) == SQLITE_ROW)
		v = sqlite3_column_int64(s, 0);
	(void)sqlite3_finalize(s);
	(void)sqlite3_close(db);
	return v;
}

static inline void on_ready(void *arg, const struct err *err)
{
	(void)arg;
	rig->is_ready = !err;
	if (err)
		rig->not_ready = *err;
}

static inline int on_store(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	(void)s;
	(void)fd;
	(void)revents;
	(void)arg;
	store_dispatch(rig->store);
	return 0;
}

/* The program vps-job. Files beside it steer it: hold-VERB, fail-VERB, die-VERB. */
static const char job_script[] =
	"#!/bin/sh\n"
	"d=${0%/*}\n"
	"echo \"$*\" >>$d/jobs\n"
	"while [ -e $d/hold-$1 ]; do sleep 0.01; done\n"
	"[ ! -e $d/die-$1 ] || kill -9 $$\n"
	"[ ! -e $d/fail-$1 ] || { echo '{\"error\": {\"code\": \"no-space\", \"message\": "
	"\"full\"}}'; exit 1; }\n"
	"case $1 in\n"
	"seccomp) printf 12345678; exit ;;\n"
	"prepare) mkdir -p $d/pool/instances/$5/fs ;;\n"
	"remove-instance) rm -rf $d/pool/instances/$5 ;;\n"
	"remove-image) rm -rf $d/pool/images/$5 ;;\n"
	"import) read x; i=$d/pool/images/$x; mkdir -p $i/rootfs\n"
	"  sed s/DIGEST/$x/ <$d/image.json >$i/image.json\n"
	"  while [ -e $d/hold-result ]; do sleep 0.01; done\n"
	"  echo '{\"result\": {\"digest\": \"'$x'\", \"existed\": false}}'; exit ;;\n"
	"esac\n"
	"echo '{\"result\": {}}'\n";

static inline void make_pool(void)
{
	struct img_store *s = NULL;
	struct err err = ERR_INIT;
	struct img_manifest m = {.format = "tar", .created = 1, .entries = 1};
	_cleanup_free_ char *text = NULL;

	assert_int_equal(img_store_open(rig->host.pool, &s, &err), 0);
	img_store_free(s);
	/* A name of the catalogue that the tests use. */
	(void)str_copy(m.digest, sizeof(m.digest), "DIGEST");
	assert_int_equal(img_manifest_print(&m, &text, &err), 0);
	rig_put("image.json", text, 0600);
}

static inline void put_first_image(void)
{
	char command[400];

	assert_true(str_fmt(command, sizeof(command),
			    "echo " DIGEST " | %s/vps-job import >/dev/null", rig->dir) >= 0);
	/* NOLINTNEXTLINE: the test's own words */
	assert_int_equal(system(command), 0);
}

static inline void read_host(void)
{
	_cleanup_problems_ struct problems *p = problems_new();
	const struct json_where w = {.file = "", .path = "", .problems = p};
	_cleanup_sbuf_ struct sbuf text = SBUF_INIT;
	_cleanup_json_ json_t *doc = NULL;

	sbuf_addf(&text,
		  "{\"state\": \"%s\", \"pool\": \"%s/pool\", \"run\": \"%s/run\", \"reserve\": "
		  "{\"cores\": 0, \"memory\": \"0\", \"disk\": \"0\"}, \"overcommit\": {\"cpu\": "
		  "1000, \"memory\": 1000, \"disk\": 1000}, \"idmap\": {\"base\": 100000000, "
		  "\"count\": 16}, \"required_controllers\": [], \"tolerate_unsupported\": "
		  "[\"*\"], \"stop_timeout\": \"20s\"}",
		  rig->dir, rig->dir, rig->dir);
	doc = json_loads(sbuf_str(&text), 0, NULL);
	assert_non_null(doc);
	if (spec_host_from_json(&rig->host, doc, &w) < 0) {
		_cleanup_sbuf_ struct sbuf out = SBUF_INIT;

		problems_format(p, &out);
		fail_msg("%s", sbuf_str(&out));
	}
}

static inline void vpsd_start(void)
{
	_cleanup_free_ char *note = NULL;
	struct err err = ERR_INIT;
	char job[128], socket_path[128];
	const struct inst_config c = {.event = rig->event,
				      .host = &rig->host,
				      .keeper_path = "/bin/false",
				      .keeper_socket = socket_path,
				      .job_path = job};
	struct inst_config config = c;

	(void)str_copy(job, sizeof(job), rig_path("vps-job"));
	(void)str_copy(socket_path, sizeof(socket_path), rig_path("keeper.sock"));
	if (store_open(rig->dir, &rig->store, &note, &err) < 0)
		fail_msg("%s", err_text(&err));
	config.store = rig->store;
	if (inst_manager_new(&config, &rig->m, &err) < 0)
		fail_msg("%s", err_text(&err));
	assert_int_equal(store_start(rig->store, &err), 0);
	assert_true(sd_event_add_io(rig->event, &rig->on_store, store_fd(rig->store), EPOLLIN,
				    on_store, NULL) >= 0);
	rig->is_ready = false;
	assert_int_equal(inst_manager_start(rig->m, on_ready, NULL, &err), 0);
}

static inline void vpsd_up(void)
{
	vpsd_start();
	AWAIT(rig->is_ready);
}

/* It dies: nothing that is under way is waited for. */
static inline void vpsd_down(void)
{
	rig->on_store = sd_event_source_disable_unref(rig->on_store);
	inst_manager_free(rig->m);
	store_close(rig->store);
	rig->m = NULL;
	rig->store = NULL;
	peer_drop();
}

static inline void on_op_ended(void *arg, struct op *op)
{
	struct op *copy = arg;

	*copy = *op;
}

/* Waits for an operation and gives a copy of it as it ended. */
static inline struct op ended(struct op *op)
{
	struct op copy = {.status = OP_RUNNING};

	assert_int_equal(op_watch(op, OP_WHEN_ENDED, on_op_ended, &copy, NULL, NULL), 0);
	AWAIT(copy.status != OP_RUNNING);
	return copy;
}

static inline void apply_text(enum spec_kind kind, const char *text)
{
	_cleanup_spec_set_ struct spec_set set = SPEC_SET_INIT;
	_cleanup_problems_ struct problems *p = problems_new();
	struct inst_apply req = {.set = &set};
	struct err err = ERR_INIT;
	struct op *op = NULL;

	assert_int_equal(spec_set_add_text(&set, kind, text, strlen(text), "d.json", p), 0);
	if (inst_apply(rig->m, &req, &op, &err) < 0)
		fail_msg("%s", err_text(&err));
	assert_int_equal(ended(op).status, OP_DONE);
}

static inline int rig_setup(void **state)
{
	rig = calloc(1, sizeof(*rig));
	*state = rig;
	rig->listener = rig->peer = -1;
	(void)str_copy(rig->dir, sizeof(rig->dir), "/tmp/rig.XXXXXX");
	if (!mkdtemp(rig->dir) || sd_event_new(&rig->event) < 0)
		return -1;
	(void)signal(SIGPIPE, SIG_IGN);
	rig->in = msg_new(0, 0);
	rig->out = msg_new(0, 0);
	read_host();
	make_pool();
	rig_put("vps-job", job_script, 0755);
	keeper_up();
	vpsd_up();
	apply_text(SPEC_KIND_PLAN,
		   "{\"plan\": \"tiny\", \"version\": 1, \"cpu\": {\"cores\": 1}, \"memory\": "
		   "{\"limit\": \"64MiB\"}, \"pids\": 64, \"disk\": {\"size\": null, \"inodes\": "
		   "null}, \"network\": {\"connections\": null}}");
	apply_text(SPEC_KIND_TENANT, "{\"tenant\": \"t\"}");
	rig_sql("INSERT INTO images (name, digest, created) VALUES ('img', '" DIGEST "', 1)");
	vpsd_down();
	put_first_image();
	vpsd_up();
	return 0;
}

static inline int rig_teardown(void **state)
{
	int tmp;

	(void)state;
	if (rig->m)
		vpsd_down();
	keeper_down();
	while (rig->n_guests)
		guest_drop(&rig->guests[0]);
	msg_free(rig->in);
	msg_free(rig->out);
	spec_host_done(&rig->host);
	sd_event_unref(rig->event);
	tmp = path_open_dir("/tmp", NULL);
	(void)path_remove_tree(tmp, strrchr(rig->dir, '/') + 1, NULL);
	(void)close(tmp);
	free(rig);
	rig = NULL;
	return 0;
}

/* --- instances ------------------------------------------------------------------------------- */

static inline struct inst *find(const char *name)
{
	return inst_find(rig->m, "t", name);
}

/* NULL = refused, with *err. */
static inline struct op *create_begin(const char *name, bool start, struct err *err)
{
	_cleanup_spec_instance_ struct spec_instance spec = {0};
	_cleanup_problems_ struct problems *p = problems_new();
	const struct json_where w = {.file = "", .path = "", .problems = p};
	_cleanup_json_ json_t *doc =
		json_pack("{s:s, s:s, s:s}", "name", name, "plan", "tiny", "image", "img");
	const struct inst_create req = {.tenant = "t", .spec = &spec, .start = start};
	struct op *op = NULL;

	assert_int_equal(spec_instance_from_json(&spec, doc, &w), 0);
	return inst_create(rig->m, &req, &op, err) < 0 ? NULL : op;
}

/* A running one. */
static inline struct inst *create(const char *name)
{
	struct err err = ERR_INIT;
	struct op *op = create_begin(name, true, &err), end;

	if (!op)
		fail_msg("%s", err_text(&err));
	end = ended(op);
	if (end.status != OP_DONE)
		fail_msg("%s", err_text(&end.err));
	assert_int_equal(find(name)->state, INST_RUNNING);
	return find(name);
}

static inline struct op *stop_begin(struct inst *i, bool force)
{
	struct op *op = NULL;
	struct err err = ERR_INIT;

	if (inst_stop(i, 0, force, &op, &err) < 0)
		fail_msg("%s", err_text(&err));
	return op;
}

static inline struct op *start_begin(struct inst *i)
{
	struct op *op = NULL;
	struct err err = ERR_INIT;

	if (inst_start(i, &op, &err) < 0)
		fail_msg("%s", err_text(&err));
	return op;
}

static inline struct op *delete_begin(struct inst *i, bool force)
{
	struct op *op = NULL;
	struct err err = ERR_INIT;

	if (inst_delete(i, force, &op, &err) < 0)
		fail_msg("%s", err_text(&err));
	return op;
}

static inline bool has_loose_ends(void)
{
	if (op_count_running(inst_ops(rig->m)) > 0)
		return true;
	for (size_t i = 0; i < rig->n_guests; i++) {
		const struct inst *x = inst_find_by_id(rig->m, rig->guests[i].id);

		if (!x || rig->guests[i].how != KEEPER_EXIT_NONE || !inst_is_up(x) ||
		    rig->guests[i].boot != x->boot)
			return true;
	}
	for (size_t i = 0; i < rig->n_cgroups; i++) {
		const struct inst *x = inst_find_by_id(rig->m, rig->cgroups[i].id);

		if (!x || !inst_is_up(x))
			return true;
	}
	return false;
}

/* Nothing goes on any more, and what is left belongs to instances that run. */
static inline void is_sound(void)
{
	AWAIT(!has_loose_ends());
}
