/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A manager in the test's event loop, without root and without guests: the database is real, the
 * keeper is played here at the other end of its socket, jobs are a shell script, and cgroups are a
 * list. The functions of cgroups/ and open_tree(2) that need a kernel's help are defined here and
 * win over those of the archive when the test is linked.
 */
#pragma once

#include "tests/unit/instance/rig_cgroups.h"
#include "tests/unit/instance/rig_keeper.h"
#include "tests/unit/instance/rig_network.h"
#include "tests/unit/instance/rig_world.h"

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
	"remove-image) rm -rf $d/pool/images/$5\n"
	"  while [ -e $d/hold-removed ]; do sleep 0.01; done ;;\n"
	"import) read x; i=$d/pool/images/$x; mkdir -p $i/rootfs\n"
	"  sed s/DIGEST/$x/ <$d/image.json >$i/new; mv $i/new $i/image.json\n"
	"  while [ -e $d/hold-result ]; do sleep 0.01; done\n"
	"  echo '{\"result\": {\"digest\": \"'$x'\", \"existed\": false}}'; exit ;;\n"
	"relieve) echo '{\"result\": {\"killed\": {\"pid\": 7, \"command\": \"hog\", "
	"\"memory\": 1048576}}}'; exit ;;\n"
	"write-limit) [ -e $d/deaf ] || printf %s $5 >$d/wrote-${3##*/} ;;\n"
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
	char job[128], socket_path[128], cpu_dir[128], cpuinfo[128];
	const struct inst_config c = {.event = rig->event,
				      .host = &rig->host,
				      .keeper_path = "/bin/false",
				      .keeper_socket = socket_path,
				      .job_path = job,
				      .cpu_dir = cpu_dir,
				      .cpuinfo_path = cpuinfo};
	struct inst_config config = c;

	(void)str_copy(job, sizeof(job), rig_path("vps-job"));
	(void)str_copy(socket_path, sizeof(socket_path), rig_path("keeper.sock"));
	(void)str_copy(cpu_dir, sizeof(cpu_dir), rig_path("cpu"));
	(void)str_copy(cpuinfo, sizeof(cpuinfo), rig_path("cpuinfo"));
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
	/* The boot of the host is noted when it is past. */
	AWAIT(rig_has("run/boot-id"));
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

/* What the keeper has. */
static inline void all_drop(void)
{
	while (rig->n_guests)
		guest_drop(&rig->guests[0]);
	while (rig->n_held)
		held_drop(&rig->held[0]);
}

/* The machine goes down with all that runs; vpsd_up() follows. */
static inline void host_down(void)
{
	store_flush(rig->store);
	vpsd_down();
	all_drop();
	rig->n_cgroups = 0;
	rig->launches = 0;
	rig_unput("run/boot-id");
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

/* Changes one field as a document would. Takes the value. */
static inline struct op *field_begin(struct inst *i, const char *key, json_t *value)
{
	_cleanup_problems_ struct problems *problems = problems_new();
	const struct json_where w = {.file = "", .path = "", .problems = problems};
	_cleanup_json_ json_t *doc = json_rows_encode(&spec_instance_table, &i->spec, 0);
	_cleanup_spec_instance_ struct spec_instance spec = {0};
	struct err err = ERR_INIT;
	struct op *op = NULL;

	(void)json_object_set_new(doc, key, value);
	assert_int_equal(spec_instance_from_json(&spec, doc, &w), 0);
	if (inst_change(i, &spec, 0, &op, &err) < 0)
		fail_msg("%s", err_text(&err));
	return op;
}

static inline struct op *cores_begin(struct inst *i, double cores)
{
	return field_begin(i, "overrides", json_pack("{s:{s:f}}", "cpu", "cores", cores));
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
	rig->cpus = 4;
	assert_int_equal(mkdir(rig_path("cpu"), 0700), 0);
	rig_put("cpu/online", "0-3\n", 0600);
	rig_put("cpuinfo",
		"processor\t: 0\nname\t: a\n\nprocessor\t: 1\nname\t: b\n\n"
		"processor\t: 2\nname\t: c\n\nprocessor\t: 3\nname\t: d\n\n",
		0600);
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
	if (rig->m) {
		store_flush(rig->store);
		vpsd_down();
	}
	keeper_down();
	all_drop();
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
static inline struct op *create_of_plan(const char *name, const char *plan, bool start,
					struct err *err)
{
	_cleanup_spec_instance_ struct spec_instance spec = {0};
	_cleanup_problems_ struct problems *p = problems_new();
	const struct json_where w = {.file = "", .path = "", .problems = p};
	_cleanup_json_ json_t *doc =
		json_pack("{s:s, s:s, s:s}", "name", name, "plan", plan, "image", "img");
	const struct inst_create req = {.tenant = "t", .spec = &spec, .start = start};
	struct op *op = NULL;

	assert_int_equal(spec_instance_from_json(&spec, doc, &w), 0);
	return inst_create(rig->m, &req, &op, err) < 0 ? NULL : op;
}

static inline struct op *create_begin(const char *name, bool start, struct err *err)
{
	return create_of_plan(name, "tiny", start, err);
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
	for (size_t i = 0; i < rig->n_held; i++) {
		const struct inst *x = inst_find_by_id(rig->m, rig->held[i].key + strlen("views-"));

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
