/* SPDX-License-Identifier: Apache-2.0 */
/* vpsd-guests.scope: asked for by D-Bus, entered through cgroupfs. */
#include "runtime/daemon/scope.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "cgroups/tree.h"

#define UNIT "vpsd-guests.scope"
#define LEAF "keeper"
#define SYSTEMD "org.freedesktop.systemd1"
#define USEC_PER_SEC UINT64_C(1000000)
#define LIMIT (30 * USEC_PER_SEC)
#define CALL_LIMIT (10 * USEC_PER_SEC)
#define PAUSE (20 * USEC_PER_SEC / 1000)
#define STOP_LIMIT (10 * USEC_PER_SEC)

struct scope {
	char path[CG_PATH_MAX];
	int leaf;	   /* <scope>/keeper */
	pid_t placeholder; /* our child */
	pid_t keeper;	   /* the last one that was put into the leaf */
};

enum scope_state {
	SCOPE_ABSENT,
	SCOPE_CHANGING, /* starting or stopping */
	SCOPE_ACTIVE,
};

static void bus_done(sd_bus **bus)
{
	*bus = sd_bus_flush_close_unref(*bus);
}

#define _cleanup_bus_ _cleanup_(bus_done)
#define _cleanup_bus_error_ _cleanup_(sd_bus_error_free)

static uint64_t now_usec(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

static int bus_failed(struct err *err, int r, const char *what, const sd_bus_error *e)
{
	(void)err_set(err, -r, "cannot %s " UNIT ": %s", what,
		      e && e->message ? e->message : strerrordesc_np(-r));
	return err_hint(err, "systemd has to answer on the system bus: try 'busctl status " SYSTEMD
			     "', see 'journalctl -b -u " UNIT " -u dbus'");
}

/* --- the placeholder ------------------------------------------------------------------------- */

/* Async-signal-safe calls only. It holds no fd: neither locks nor sockets live on in it. */
static _Noreturn void wait_for_end(pid_t parent)
{
	sigset_t none;

	(void)sigemptyset(&none);
	(void)prctl(PR_SET_NAME, "vpsd-scope");
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	(void)setsid();
	(void)close_range(0, ~0u, 0);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	for (;;)
		(void)pause();
}

static int start_placeholder(struct scope *s, struct err *err)
{
	pid_t parent = getpid();

	s->placeholder = fork();
	if (s->placeholder < 0) {
		s->placeholder = 0;
		return err_sys(err, "cannot start the placeholder of " UNIT);
	}
	if (s->placeholder == 0)
		wait_for_end(parent);
	return 0;
}

/* --- systemd --------------------------------------------------------------------------------- */

/* 'ret_cgroup' (free(3)) is set for SCOPE_ACTIVE only. A unit that does not exist is inactive. */
static int read_state(sd_bus *bus, enum scope_state *ret, char **ret_cgroup, struct err *err)
{
	_cleanup_free_ char *object = NULL, *state = NULL;
	_cleanup_bus_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
	int r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", UNIT, &object);

	if (r >= 0)
		r = sd_bus_get_property_string(bus, SYSTEMD, object, SYSTEMD ".Unit", "ActiveState",
					       &e, &state);
	if (r < 0)
		return bus_failed(err, r, "ask for", &e);
	if (str_eq(state, "inactive") || str_eq(state, "failed")) {
		*ret = SCOPE_ABSENT;
		return 0;
	}
	if (!str_eq(state, "active")) {
		*ret = SCOPE_CHANGING;
		return 0;
	}
	r = sd_bus_get_property_string(bus, SYSTEMD, object, SYSTEMD ".Scope", "ControlGroup", &e,
				       ret_cgroup);
	if (r < 0)
		return bus_failed(err, r, "ask for", &e);
	*ret = SCOPE_ACTIVE;
	return 0;
}

static int fill_request(sd_bus_message *m, pid_t pid)
{
	/* CollectMode: a failed one does not keep the name. After=: at shutdown, file systems are
	 * unmounted when the guests are gone. */
	int r = sd_bus_message_append(m, "ss", UNIT, "fail");

	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "(sv)");
	if (r >= 0)
		r = sd_bus_message_append(
			m, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)", "Description", "s",
			"VPS guests and their keeper", "Slice", "s", "-.slice", "Delegate", "b", 1,
			"TasksMax", "t", UINT64_MAX, "PIDs", "au", 1, (uint32_t)pid,
			"RefuseManualStop", "b", 1, "TimeoutStopUSec", "t", (uint64_t)STOP_LIMIT,
			"CollectMode", "s", "inactive-or-failed", "Before", "as", 1,
			"vps-guests.service", "After", "as", 1, "local-fs.target");
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	if (r >= 0)
		r = sd_bus_message_append(m, "a(sa(sv))", 0);
	return r;
}

/* Success says that systemd has queued it. */
static int request(sd_bus *bus, pid_t pid, struct err *err)
{
	_cleanup_bus_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(bus, &m, SYSTEMD, "/org/freedesktop/systemd1",
					       SYSTEMD ".Manager", "StartTransientUnit");

	if (r >= 0)
		r = fill_request(m, pid);
	if (r >= 0)
		r = sd_bus_call(bus, m, CALL_LIMIT, &e, NULL);
	sd_bus_message_unref(m);
	/* One that is about to start or to stop: its state will say. */
	if (r < 0 && sd_bus_error_has_name(&e, SYSTEMD ".UnitExists"))
		return 0;
	return r < 0 ? bus_failed(err, r, "make", &e) : 0;
}

/* --- cgroupfs -------------------------------------------------------------------------------- */

static int put(int leaf, pid_t pid, struct err *err)
{
	char text[16];
	int r = str_fmt(text, sizeof(text), "%d", (int)pid);

	return r < 0 ? err_set(err, -r, "a pid is too long")
		     : file_write_at(leaf, "cgroup.procs", text, err);
}

/* -ENOENT, -ENODEV: the scope has ended meanwhile. */
static int enter(struct scope *s, const char *cgroup, struct err *err)
{
	_cleanup_close_ int top = -1, leaf = -1;
	struct cg_host host;
	int r = cg_host_probe(&host, err);

	if (r < 0)
		return r;
	r = str_fmt(s->path, sizeof(s->path), "%s%s", host.mount, cgroup);
	if (r < 0)
		return err_set(err, -r, "the path of " UNIT " is too long");
	top = path_open_dir(s->path, err);
	if (top < 0)
		return top;
	leaf = path_mkdirs_beneath(top, LEAF, 0755, err);
	if (leaf < 0)
		return leaf;
	r = put(leaf, s->placeholder, err);
	if (r < 0)
		return r;
	s->leaf = take_fd(&leaf);
	return 0;
}

/* --- both ------------------------------------------------------------------------------------ */

/* One look at the scope and one step towards it. 1 = there. */
static int step(struct scope *s, sd_bus *bus, struct err *err)
{
	_cleanup_free_ char *cgroup = NULL;
	enum scope_state state = SCOPE_ABSENT;
	int r = read_state(bus, &state, &cgroup, err);

	if (r < 0)
		return r;
	if (state == SCOPE_ABSENT)
		return request(bus, s->placeholder, err);
	/* No cgroup: not yet. */
	if (state != SCOPE_ACTIVE || !cgroup || !cgroup[0])
		return 0;
	r = enter(s, cgroup, err);
	if (r == -ENOENT || r == -ENODEV) {
		*err = ERR_INIT;
		return 0;
	}
	return r < 0 ? r : 1;
}

static int find_or_make(struct scope *s, sd_bus *bus, struct err *err)
{
	const uint64_t until = now_usec() + LIMIT;

	for (;;) {
		int r = step(s, bus, err);

		if (r != 0)
			return r < 0 ? r : 0;
		if (now_usec() >= until)
			return bus_failed(err, -ETIMEDOUT, "make", NULL);
		/* Nobody calls us: this is a pause. */
		r = sd_bus_wait(bus, PAUSE);
		if (r > 0)
			r = sd_bus_process(bus, NULL);
		if (r < 0 && r != -EINTR)
			return bus_failed(err, r, "make", NULL);
	}
}

/* 0 = there is no bus, so there is no scope either. */
static int ask_systemd(struct scope *s, struct err *err)
{
	_cleanup_bus_ sd_bus *bus = NULL;
	int r = sd_bus_open_system(&bus);

	if (r == -ENOENT) {
		log_warning("systemd runs here but no system bus: the guests' cgroups stand at the "
			    "top, where systemd does not know them; install dbus");
		return 0;
	}
	if (r < 0)
		return bus_failed(err, r, "ask for", NULL);
	(void)sd_bus_set_method_call_timeout(bus, CALL_LIMIT);
	r = find_or_make(s, bus, err);
	return r < 0 ? r : 1;
}

int scope_open(struct scope **ret, struct err *err)
{
	struct scope *s;
	int r;

	if (sd_booted() <= 0) {
		*ret = NULL;
		return 0;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, ENOMEM, "no memory");
	s->leaf = -1;
	r = start_placeholder(s, err);
	if (r < 0) {
		scope_free(s);
		return r;
	}
	/* While guests live in it, a restart depends on no other program. */
	r = enter(s, "/" UNIT, NULL) == 0 ? 1 : ask_systemd(s, err);
	if (r <= 0) {
		scope_free(s);
		s = NULL;
	}
	if (r >= 0)
		*ret = s;
	return r < 0 ? r : 0;
}

const char *scope_cgroup(const struct scope *s)
{
	return s ? s->path : NULL;
}

int scope_usual_cgroup(char ret[CG_PATH_MAX], struct err *err)
{
	struct cg_host host;
	int r = cg_host_probe(&host, err);

	if (r >= 0 && str_fmt(ret, CG_PATH_MAX, "%s/" UNIT, host.mount) < 0)
		r = err_set(err, ENAMETOOLONG, "the path of " UNIT " is too long");
	return r < 0 ? r : 0;
}

void scope_put_keeper(struct scope *s, pid_t pid)
{
	struct err err = ERR_INIT;

	if (!s || pid <= 0 || pid == s->keeper)
		return;
	/* It may be gone again; the next one comes here as well. */
	if (put(s->leaf, pid, &err) < 0)
		log_warning("cannot move the keeper to %s/" LEAF ": %s", s->path, err_text(&err));
	s->keeper = pid;
}

void scope_free(struct scope *s)
{
	if (!s)
		return;
	if (s->placeholder > 0) {
		(void)kill(s->placeholder, SIGKILL);
		(void)waitpid(s->placeholder, NULL, 0);
	}
	cleanup_close(&s->leaf);
	free(s);
}
