/* SPDX-License-Identifier: Apache-2.0 */
/* vpsd: reads the host document, opens the state, serves the API. */
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "cgroups/tree.h"
#include "config/check.h"
#include "runtime/daemon/api.h"
#include "runtime/daemon/documents.h"
#include "runtime/daemon/idcheck.h"
#include "runtime/daemon/scope.h"
#include "runtime/daemon/sysctls.h"
#include "runtime/instance/host_down.h"
#include "runtime/instance/store.h"

#define CONFIG_DEFAULT VPS_SYSCONFDIR "/vpsd/vpsd.json"
#define FILES_WANTED 262144u
#define LOCK_WAIT_MS 3000
#define LOCK_STEP_MS 20
#define HELPERS_DEFAULT VPS_PREFIX "/libexec/vpsd"
#define SECCOMP_OWN VPS_SYSCONFDIR "/vpsd/seccomp/default.json"

struct options {
	const char *config;
	const char *helpers; /* directory of vps-keeper and vps-job */
	const char *seccomp; /* profile; NULL = the shipped one */
	const char *filter;  /* rules of the packet filter; NULL = the shipped ones */
	enum log_level level;
	const char *schema; /* kind of document whose schema is wanted */
	bool config_given;
	bool stop_guests;
	bool validate; /* the operands */
	int n_operands;
	char **operands; /* documents, or ids of guests to stop */
};

struct daemon {
	struct api api;
	struct spec_host host;
	struct store *store;
	struct server *server;
	struct scope *scope; /* NULL = no systemd */
	int lock;
	int exit_code;
};

static void usage(FILE *out)
{
	fputs("usage: vpsd [--config FILE] [--helpers DIR] [--seccomp FILE] [--filter FILE]\n"
	      "            [--log-level error|warning|info|debug]\n"
	      "       vpsd [--config FILE] --stop-guests [ID...]\n"
	      "                                             as the host goes down, while no vpsd "
	      "runs\n"
	      "       vpsd --validate FILE|DIR...           check documents; needs no root, "
	      "changes "
	      "nothing\n"
	      "       vpsd --schema host|plan|tenant        print the JSON Schema of a document\n"
	      "The daemon of the VPS host: see vpsd(8) and vpsd.json(5).\n",
	      out);
}

static int check_ids(const struct options *o)
{
	for (int i = 0; i < o->n_operands; i++) {
		if (img_is_instance_id(o->operands[i]))
			continue;
		fprintf(stderr, "vpsd: '%s' is not the id of an instance: 16 digits, 0-9 and a-f\n",
			o->operands[i]);
		return -EINVAL;
	}
	return 0;
}

static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option rows[] = {
		{"config", required_argument, NULL, 'c'},
		{"helpers", required_argument, NULL, 'H'},
		{"seccomp", required_argument, NULL, 's'},
		{"filter", required_argument, NULL, 'f'},
		{"log-level", required_argument, NULL, 'l'},
		{"stop-guests", no_argument, NULL, 'S'},
		{"validate", no_argument, NULL, 'v'},
		{"schema", required_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	int c, level;
	while ((c = getopt_long(argc, argv, "c:h", rows, NULL)) >= 0) {
		switch (c) {
		case 'c':
			o->config = optarg;
			o->config_given = true;
			break;
		case 'H':
			o->helpers = optarg;
			break;
		case 's':
			o->seccomp = optarg;
			break;
		case 'f':
			o->filter = optarg;
			break;
		case 'l':
			level = log_level_from_string(optarg);
			if (level < 0) {
				fprintf(stderr, "vpsd: '%s' is not a log level\n", optarg);
				return -EINVAL;
			}
			o->level = (enum log_level)level;
			break;
		case 'S':
			o->stop_guests = true;
			break;
		case 'v':
			o->validate = true;
			break;
		case 'j':
			o->schema = optarg;
			break;
		case 'h':
			usage(stdout);
			return 1;
		case 'V':
			puts("vpsd " VPS_VERSION);
			return 1;
		default:
			usage(stderr);
			return -EINVAL;
		}
	}
	o->n_operands = argc - optind;
	o->operands = argv + optind;
	if (o->validate ? o->n_operands == 0 || o->schema || o->stop_guests
			: o->n_operands > 0 && (!o->stop_guests || o->schema)) {
		usage(stderr);
		return -EINVAL;
	}
	return o->stop_guests ? check_ids(o) : 0;
}

/* What is done without being a daemon: an exit code, or -1 when there is nothing of that kind. */
static int run_tool(const struct options *o)
{
	if (o->schema) {
		int r = documents_print_schema(o->schema);
		return r == -EINVAL ? 2 : r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	if (!o->validate)
		return -1;
	return documents_validate((size_t)o->n_operands, o->operands) < 0 ? EXIT_FAILURE
									  : EXIT_SUCCESS;
}

/* The document, or all defaults where the default file does not exist. */
static int load_host(const struct options *o, struct spec_host *host, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *doc = NULL;
	_cleanup_problems_ struct problems *problems = problems_new();
	size_t len = 0;
	if (!problems)
		return err_set(err, ENOMEM, "no memory");
	int r = file_read_at(AT_FDCWD, o->config, JSON_TEXT_MAX, &text, &len, err);
	if (r == -ENOENT && !o->config_given) {
		*err = ERR_INIT;
		return spec_host_default(host) < 0 ? err_set(err, ENOMEM, "no memory") : 0;
	}
	if (r < 0)
		return r;
	const struct json_where where = {.file = o->config, .path = "", .problems = problems};
	r = json_text_load(text, len, 0, &where, &doc);
	if (r == 0)
		r = spec_host_from_json(host, doc, &where);
	if (r == 0)
		return 0;
	_cleanup_sbuf_ struct sbuf lines = SBUF_INIT;
	problems_format(problems, &lines);
	fputs(sbuf_str(&lines), stderr);
	return problems_count(problems) ? problems_to_err(problems, err)
					: err_set(err, -r, "cannot read '%s'", o->config);
}

/* Host items that this build does not have: refused unless the document tolerates them. */
static int check_host(const struct spec_host *host, struct err *err)
{
	struct spec_items items = {0};
	spec_host_unsupported(host, &items);
	for (size_t i = 0; i < items.n; i++)
		if (items.items[i].is_tolerated)
			log_warning("%s is not in force: %s", items.items[i].name,
				    items.items[i].reason);
	return spec_items_to_err(&items, err);
}

/* flock(2), waiting a moment: a daemon that was just killed holds its locks until the last of its
 * threads is gone, which is after its main thread looks dead. -EWOULDBLOCK when it stays held. */
static int lock_soon(int fd)
{
	for (int left = LOCK_WAIT_MS; flock(fd, LOCK_EX | LOCK_NB) < 0; left -= LOCK_STEP_MS) {
		if (errno != EWOULDBLOCK || left <= 0)
			return -errno;
		(void)poll(NULL, 0, LOCK_STEP_MS);
	}
	return 0;
}

/* One vpsd for a run directory: flock(2) on a file there, held until the process ends. */
static int lock_run(struct daemon *d, struct err *err)
{
	_cleanup_close_ int run = path_make_dir(d->host.run, 0755, err);
	if (run < 0)
		return run;
	d->lock = path_open_beneath(run, "vpsd.lock", O_RDWR | O_CREAT, 0600, err);
	if (d->lock < 0)
		return d->lock;
	int r = lock_soon(d->lock);
	if (r == -EWOULDBLOCK)
		return err_set(err, EBUSY, "another vpsd runs already ('%s/vpsd.lock' is held)",
			       d->host.run);
	if (r < 0)
		return err_set_errno(err, -r, "cannot lock '%s/vpsd.lock'", d->host.run);
	return 0;
}

/* One vpsd for a tree of cgroups, whatever its run directory: recovery removes what belongs to
 * nobody, and the guests of another vpsd would be nobody's. The lock ends with the process. */
static int lock_cgroups(const struct cg_root *root, struct err *err)
{
	int r = lock_soon(root->fd);
	if (r == 0)
		return 0;
	if (r != -EWOULDBLOCK)
		return err_set_errno(err, -r, "cannot lock '%s'", root->path);
	(void)err_set(err, EBUSY, "another vpsd keeps its guests in '%s'", root->path);
	return err_hint(err, "stop it first; one host has one vpsd");
}

static int on_store(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	(void)s;
	(void)fd;
	(void)revents;
	store_dispatch(userdata);
	return 0;
}

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata)
{
	struct daemon *d = userdata;
	(void)si;
	(void)sd_notify(0, "STOPPING=1");
	log_info("stopping; the guests go on");
	return sd_event_exit(sd_event_source_get_event(s), d->exit_code);
}

static void on_ready(void *arg, const struct err *err)
{
	struct daemon *d = arg;
	if (err) {
		log_error("cannot run guests on this host: %s", err_text(err));
		if (err->hint[0])
			log_error("%s", err->hint);
		d->exit_code = EXIT_FAILURE;
		(void)sd_event_exit(d->api.event, EXIT_FAILURE);
		return;
	}
	log_info("ready: %zu instances", inst_count(d->api.manager));
	(void)sd_notify(0, "READY=1");
}

/* After each turn of the loop: a new keeper has a new pid. */
static int on_turn(sd_event_source *s, void *userdata)
{
	struct daemon *d = userdata;
	(void)s;
	scope_put_keeper(d->scope, inst_keeper_pid(d->api.manager));
	return 0;
}

/* The operator's profile where there is one; NULL = the shipped one. */
static const char *find_seccomp(const struct options *o)
{
	return !o->seccomp && access(SECCOMP_OWN, F_OK) == 0 ? SECCOMP_OWN : o->seccomp;
}

static int start(struct daemon *d, const struct options *o, struct err *err)
{
	_cleanup_free_ char *keeper = NULL, *job = NULL, *note = NULL;
	const struct spec_listen *api = spec_host_api(&d->host);
	if (asprintf(&keeper, "%s/vps-keeper", o->helpers) < 0 ||
	    asprintf(&job, "%s/vps-job", o->helpers) < 0)
		return err_set(err, ENOMEM, "no memory");
	_cleanup_close_ int state = path_make_dir(d->host.state, 0700, err);
	if (state < 0)
		return state;
	int r = scope_open(&d->scope, err);
	if (r == 0)
		r = store_open(d->host.state, &d->store, &note, err);
	if (r < 0)
		return r;
	if (note)
		log_error("%s", note);
	const struct inst_config config = {
		.event = d->api.event,
		.host = &d->host,
		.store = d->store,
		.keeper_path = keeper,
		.job_path = job,
		.seccomp_profile = find_seccomp(o),
		.filter_rules = o->filter,
		.cgroup_root = scope_cgroup(d->scope),
	};
	r = inst_manager_new(&config, &d->api.manager, err);
	if (r == 0)
		r = lock_cgroups(inst_cgroups(d->api.manager), err);
	if (r == 0)
		r = store_start(d->store, err);
	if (r == 0) {
		r = sd_event_add_io(d->api.event, NULL, store_fd(d->store), EPOLLIN, on_store,
				    d->store);
		if (r < 0)
			(void)err_set(err, -r, "cannot watch the database");
	}
	if (r >= 0)
		r = server_new(d->api.event, api->unix_path, api->group, api_routes, &d->api,
			       &d->server, err);
	if (r >= 0 && d->scope) {
		r = sd_event_add_post(d->api.event, NULL, on_turn, d);
		if (r < 0)
			(void)err_set(err, -r, "cannot watch the event loop");
	}
	if (r >= 0)
		r = inst_manager_start(d->api.manager, on_ready, d, err);
	return r < 0 ? r : 0;
}

static int setup_loop(struct daemon *d, struct err *err)
{
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	(void)sigaction(SIGPIPE, &ignore, NULL);
	int r = sd_event_default(&d->api.event);
	if (r >= 0)
		r = sd_event_add_signal(d->api.event, NULL, SIGTERM, on_signal, d);
	if (r >= 0)
		r = sd_event_add_signal(d->api.event, NULL, SIGINT, on_signal, d);
	if (r >= 0)
		r = sd_event_set_watchdog(d->api.event, true);
	return r < 0 ? err_set(err, -r, "cannot set the event loop up: %s", strerrordesc_np(-r))
		     : 0;
}

/* The daemon's life from its lock to the end of its loop. */
static int serve(struct daemon *d, const struct options *o, struct err *err)
{
	int r = setup_loop(d, err);
	sysctls_warn();
	if (r == 0)
		r = start(d, o, err);
	if (r < 0)
		return r;
	r = sd_event_loop(d->api.event);
	if (r < 0)
		return err_set(err, -r, "the event loop failed: %s", strerrordesc_np(-r));
	return r == 0 ? 0 : -EIO;
}

#define ROOTS 2 /* below systemd, and without it */

/* Those that there are. The lock shuts out a vpsd with another run directory. */
static int find_roots(struct cg_root roots[ROOTS], size_t *n, struct err *err)
{
	char scope[CG_PATH_MAX];
	int r = scope_usual_cgroup(scope, err);

	for (size_t i = 0; r >= 0 && i < ROOTS; i++) {
		r = cg_root_find(i == 0 ? scope : NULL, &roots[*n], err);
		if (r == -ENOENT) {
			*err = ERR_INIT;
			r = 0;
			continue;
		}
		if (r >= 0)
			r = lock_cgroups(&roots[(*n)++], err);
	}
	return r < 0 ? r : 0;
}

static int stop_guests(const struct options *o, uint64_t stop_timeout, struct err *err)
{
	struct cg_root roots[ROOTS] = {CG_ROOT_INIT, CG_ROOT_INIT};
	struct host_down h = {.roots = roots,
			      .ids = (const char *const *)o->operands,
			      .n_ids = (size_t)o->n_operands,
			      .stop_timeout = stop_timeout};
	int r = find_roots(roots, &h.n_roots, err);

	if (r >= 0)
		r = inst_host_down(&h, err);
	for (size_t i = 0; i < ROOTS; i++)
		cg_root_done(&roots[i]);
	return r;
}

/* What runs is stopped in order whatever the document promises, and without one. */
static int go_down(struct daemon *d, const struct options *o, struct err *err)
{
	int r = load_host(o, &d->host, err);

	if (r >= 0) {
		r = lock_run(d, err);
		return r < 0 ? r : stop_guests(o, d->host.stop_timeout, err);
	}
	log_error("%s", err_text(err));
	log_warning("the guests get the time that is the default of stop_timeout");
	*err = ERR_INIT;
	if (spec_host_default(&d->host) < 0)
		return err_set(err, ENOMEM, "no memory");
	return stop_guests(o, d->host.stop_timeout, err);
}

/* What is to start is judged first. */
static int come_up(struct daemon *d, const struct options *o, struct err *err)
{
	int r = load_host(o, &d->host, err);

	if (r == 0)
		r = check_host(&d->host, err);
	if (r == 0)
		r = idcheck_host((struct id_span){.first = d->host.idmap.base,
						  .count = d->host.idmap.count * SPEC_IDMAP_RANGE},
				 err);
	if (r == 0)
		r = lock_run(d, err);
	return r == 0 ? serve(d, o, err) : r;
}

/* About sixteen descriptors for each running guest (cgroup files, pidfd, console). */
static void raise_files(void)
{
	struct rlimit have, want = {.rlim_cur = FILES_WANTED, .rlim_max = FILES_WANTED};
	if (getrlimit(RLIMIT_NOFILE, &have) < 0 || have.rlim_cur >= FILES_WANTED)
		return;
	if (have.rlim_max > FILES_WANTED)
		want.rlim_max = have.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &want) == 0)
		return;
	have.rlim_cur = have.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &have) < 0 || have.rlim_max < FILES_WANTED)
		log_warning("only %llu open files are allowed: enough for about %llu guests",
			    (unsigned long long)have.rlim_cur,
			    (unsigned long long)have.rlim_cur / 16);
}

int main(int argc, char **argv)
{
	struct options o = {
		.config = CONFIG_DEFAULT,
		.helpers = HELPERS_DEFAULT,
		.level = LOG_LEVEL_INFO,
	};
	struct daemon d = {.lock = -1};
	struct err err = ERR_INIT;
	int r = parse_options(argc, argv, &o);
	if (r != 0)
		return r < 0 ? 2 : 0;
	int code = run_tool(&o);
	if (code >= 0)
		return code;
	log_init("vpsd", o.level);
	(void)umask(0022);
	if (geteuid() != 0) {
		log_error("vpsd must run as root");
		return EXIT_FAILURE;
	}
	raise_files();
	d.api.started = (uint64_t)time(NULL);
	r = o.stop_guests ? go_down(&d, &o, &err) : come_up(&d, &o, &err);
	if (err.code) {
		log_error("%s", err_text(&err));
		if (err.hint[0])
			log_error("%s", err.hint);
	}
	/* Answers that wait for a commit go out before their connections close. */
	if (d.store && d.api.manager)
		store_flush(d.store);
	server_free(d.server);
	inst_manager_free(d.api.manager);
	store_close(d.store);
	scope_free(d.scope);
	json_rows_done(&spec_host_table, &d.host);
	sd_event_unref(d.api.event);
	cleanup_close(&d.lock);
	return r < 0 || err.code ? EXIT_FAILURE : d.exit_code;
}
