/* SPDX-License-Identifier: Apache-2.0 */
/* The database: durability order, atomic transactions, damage, backup. */
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/rand.h"
#include "base/str.h"
#include "runtime/instance/store.h"
#include "runtime/instance/store_file.h"

#define INSERT_PLAN "INSERT INTO plans (name, version, doc, created) VALUES (?, ?, ?, 1)"

struct fixture {
	char dir[64];
	struct store *store;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	strcpy(f->dir, "/tmp/vps-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	store_close(f->store);
	int tmp = path_open_dir("/tmp", NULL);
	assert_true(tmp >= 0);
	assert_int_equal(path_remove_tree(tmp, f->dir + strlen("/tmp/"), NULL), 0);
	(void)close(tmp);
	free(f);
	return 0;
}

static void open_started(struct fixture *f, char **note)
{
	struct err err = ERR_INIT;
	if (store_open(f->dir, &f->store, note, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(store_start(f->store, &err), 0);
}

static void reopen(struct fixture *f, char **note)
{
	store_close(f->store);
	f->store = NULL;
	struct err err = ERR_INIT;
	if (store_open(f->dir, &f->store, note, &err) < 0)
		fail_msg("%s", err.msg);
}

struct outcome {
	int calls;
	int code;
	int order;
};

static int next_order;

static void done(void *arg, const struct err *err)
{
	struct outcome *o = arg;
	o->calls++;
	o->code = err ? err->code : 0;
	o->order = next_order++;
}

static int count_row(void *arg, const struct store_row *r, struct err *err)
{
	(void)err;
	*(int64_t *)arg = store_row_int(r, 0);
	return 0;
}

static int64_t count_plans(struct fixture *f)
{
	int64_t n = -1;
	struct err err = ERR_INIT;
	assert_int_equal(store_load(f->store, "SELECT count(*) FROM plans", count_row, &n, &err),
			 0);
	return n;
}

static void put_plan(struct fixture *f, const char *name, int64_t version, struct outcome *o)
{
	struct store_txn *t = store_txn_new(f->store);
	store_txn_add(t, INSERT_PLAN, "sis", name, version, "{}");
	assert_int_equal(store_submit(t, done, o, NULL), 0);
}

static void test_commit_and_reload(void **state)
{
	struct fixture *f = *state;
	struct outcome o[50] = {0};
	open_started(f, NULL);
	next_order = 0;
	for (int i = 0; i < 50; i++)
		put_plan(f, "small", i, &o[i]);
	store_flush(f->store);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(o[i].calls, 1);
		assert_int_equal(o[i].code, 0);
		assert_int_equal(o[i].order, i);
	}
	reopen(f, NULL);
	assert_int_equal(count_plans(f), 50);
}

static void test_fd_announces(void **state)
{
	struct fixture *f = *state;
	struct outcome o = {0};
	open_started(f, NULL);
	put_plan(f, "a", 1, &o);
	struct pollfd p = {.fd = store_fd(f->store), .events = POLLIN};
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(o.calls, 0); /* only from dispatch */
	store_dispatch(f->store);
	assert_int_equal(o.calls, 1);
	assert_int_equal(poll(&p, 1, 0), 0);
}

/* A refused statement undoes its own transaction whole, and no other of the batch. */
static void test_atomic(void **state)
{
	struct fixture *f = *state;
	struct outcome o[3] = {0};
	open_started(f, NULL);
	put_plan(f, "a", 1, &o[0]);
	struct store_txn *t = store_txn_new(f->store);
	store_txn_add(t, INSERT_PLAN, "sis", "b", (int64_t)1, "{}");
	store_txn_add(t, INSERT_PLAN, "sis", "a", (int64_t)1, "{}");
	assert_int_equal(store_submit(t, done, &o[1], NULL), 0);
	put_plan(f, "c", 1, &o[2]);
	store_flush(f->store);
	assert_int_equal(o[0].code, 0);
	assert_int_equal(o[1].code, EEXIST);
	assert_int_equal(o[2].code, 0);
	reopen(f, NULL);
	assert_int_equal(count_plans(f), 2);
}

static void test_null_and_types(void **state)
{
	struct fixture *f = *state;
	struct outcome o = {0};
	open_started(f, NULL);
	put_plan(f, NULL, 1, &o); /* NOT NULL column */
	store_flush(f->store);
	assert_int_equal(o.code, EEXIST);
}

static void test_kill_loses_nothing(void **state)
{
	struct fixture *f = *state;
	int pipefd[2];
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct outcome o;
		open_started(f, NULL);
		for (int64_t i = 0;; i++) {
			put_plan(f, "k", i, &o);
			store_flush(f->store);
			if (write(pipefd[1], &i, sizeof(i)) != sizeof(i))
				_exit(1);
		}
	}
	int64_t acknowledged = -1, one;
	(void)close(pipefd[1]);
	for (int i = 0; i < 40 && read(pipefd[0], &one, sizeof(one)) == sizeof(one); i++)
		acknowledged = one;
	kill(pid, SIGKILL);
	while (read(pipefd[0], &one, sizeof(one)) == sizeof(one))
		acknowledged = one;
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)close(pipefd[0]);
	reopen(f, NULL);
	assert_true(count_plans(f) >= acknowledged + 1);
}

static void spoil(struct fixture *f)
{
	char path[96];
	assert_int_equal(str_fmt(path, sizeof(path), "%s/vpsd.db", f->dir), 0);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	char junk[8192];
	memset(junk, 0x5a, sizeof(junk));
	assert_int_equal(pwrite(fd, junk, sizeof(junk), 0), sizeof(junk));
	(void)close(fd);
}

static void test_damage_restores_backup(void **state)
{
	struct fixture *f = *state;
	struct outcome o = {0};
	char *note = NULL;
	open_started(f, NULL);
	put_plan(f, "a", 1, &o);
	store_flush(f->store);
	store_close(f->store); /* writes the backup */
	f->store = NULL;
	spoil(f);
	reopen(f, &note);
	assert_non_null(note);
	assert_non_null(strstr(note, "vpsd.db.damaged-1"));
	assert_non_null(strstr(note, "restored"));
	free(note);
	assert_int_equal(count_plans(f), 1);
}

static void test_damage_without_backup(void **state)
{
	struct fixture *f = *state;
	char *note = NULL, path[96];
	open_started(f, NULL);
	store_close(f->store);
	f->store = NULL;
	assert_int_equal(str_fmt(path, sizeof(path), "%s/vpsd.db.backup", f->dir), 0);
	assert_int_equal(unlink(path), 0);
	spoil(f);
	reopen(f, &note);
	assert_non_null(strstr(note, "starting empty"));
	free(note);
	assert_int_equal(count_plans(f), 0);
}

/* None of those that were set aside is overwritten. */
static void test_damage_and_no_name(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int dir = path_open_dir(f->dir, NULL);
	struct err err = ERR_INIT;
	char name[64];

	open_started(f, NULL);
	store_close(f->store);
	f->store = NULL;
	for (int i = 1; i < 1000; i++) {
		assert_int_equal(str_fmt(name, sizeof(name), "vpsd.db.damaged-%d", i), 0);
		assert_int_equal(file_replace_at(dir, name, "kept", 4, 0600, NULL), 0);
	}
	spoil(f);
	assert_int_equal(store_open(f->dir, &f->store, NULL, &err), -EEXIST);
	assert_non_null(strstr(err_text(&err), "damaged"));
	for (int i = 1; i < 1000; i++) {
		struct stat st;

		assert_int_equal(str_fmt(name, sizeof(name), "vpsd.db.damaged-%d", i), 0);
		assert_int_equal(fstatat(dir, name, &st, 0), 0);
		assert_int_equal(st.st_size, 4);
	}
}

static size_t count_files(const char *dir, const char *pattern)
{
	char path[128];
	glob_t g = {0};
	size_t n;

	assert_int_equal(str_fmt(path, sizeof(path), "%s/%s", dir, pattern), 0);
	n = glob(path, 0, NULL, &g) == 0 ? g.gl_pathc : 0;
	globfree(&g);
	return n;
}

/* A name to set logs aside is needed where there are some. */
static void test_missing_and_no_name(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int dir = path_open_dir(f->dir, NULL);
	struct err err = ERR_INIT;
	char name[64];

	for (int i = 1; i < 1000; i++) {
		assert_int_equal(str_fmt(name, sizeof(name), "vpsd.db.damaged-%d", i), 0);
		assert_int_equal(file_replace_at(dir, name, "kept", 4, 0600, NULL), 0);
	}
	assert_int_equal(file_replace_at(dir, "vpsd.db-wal", "log", 3, 0600, NULL), 0);
	assert_int_equal(store_open(f->dir, &f->store, NULL, &err), -EEXIST);
	assert_int_equal(unlinkat(dir, "vpsd.db-wal", 0), 0);
	err = ERR_INIT;
	assert_int_equal(store_open(f->dir, &f->store, NULL, &err), 0);
}

/* However a backup comes back, it is not the database that it was taken from. */
static void test_backup_has_no_id(void **state)
{
	struct fixture *f = *state;
	struct outcome o = {0};
	char id[ID_TEXT], from[128], to[128];

	open_started(f, NULL);
	(void)str_copy(id, sizeof(id), store_id(f->store));
	put_plan(f, "small", 1, &o);
	store_flush(f->store);
	store_close(f->store);
	f->store = NULL;
	assert_int_equal(str_fmt(from, sizeof(from), "%s/vpsd.db.backup", f->dir), 0);
	assert_int_equal(str_fmt(to, sizeof(to), "%s/vpsd.db", f->dir), 0);
	assert_int_equal(rename(from, to), 0);
	open_started(f, NULL);
	assert_int_equal(count_plans(f), 1);
	assert_string_not_equal(store_id(f->store), id);
	assert_int_equal(count_files(f->dir, "vpsd.db.backup*"), 0);
}

static void test_missing_directory(void **state)
{
	struct fixture *f = *state;
	struct err err = ERR_INIT;
	assert_true(store_open("/nonexistent/dir", &f->store, NULL, &err) < 0);
	assert_null(f->store);
	assert_true(err.code > 0);
}

struct chain {
	struct fixture *f;
	struct outcome last;
};

static void submit_next(void *arg, const struct err *err)
{
	struct chain *c = arg;

	assert_null(err);
	put_plan(c->f, "next", 2, &c->last);
}

/* After a flush nobody is called any more, so what callbacks point at may be freed. */
static void test_flush_waits_for_what_follows(void **state)
{
	struct fixture *f = *state;
	struct chain c = {.f = f};
	struct store_txn *t;

	open_started(f, NULL);
	t = store_txn_new(f->store);
	store_txn_add(t, INSERT_PLAN, "sis", "first", INT64_C(1), "{}");
	assert_int_equal(store_submit(t, submit_next, &c, NULL), 0);
	store_flush(f->store);
	assert_int_equal(c.last.calls, 1);
}

static bool has_backup(struct fixture *f)
{
	char path[128];

	assert_int_equal(str_fmt(path, sizeof(path), "%s/vpsd.db.backup", f->dir), 0);
	return access(path, F_OK) == 0;
}

/* Not only a clean end writes one: a machine that is never shut down has one as well. */
static void test_backup_by_itself(void **state)
{
	struct fixture *f = *state;
	struct outcome o = {0};
	struct stat st;
	char path[128];

	open_started(f, NULL);
	put_plan(f, "small", 1, &o);
	store_flush(f->store);
	for (int i = 0; i < 100 && !has_backup(f); i++)
		assert_int_equal(poll(NULL, 0, 100), 0);
	assert_true(has_backup(f));
	assert_int_equal(str_fmt(path, sizeof(path), "%s/vpsd.db.backup", f->dir), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_id_is_of_the_database(void **state)
{
	struct fixture *f = *state;
	struct outcome o = {0};
	char id[ID_TEXT], path[128], *note = NULL;
	struct err err = ERR_INIT;

	open_started(f, NULL);
	assert_int_equal(str_copy(id, sizeof(id), store_id(f->store)), 0);
	assert_int_equal(strlen(id), ID_TEXT - 1);
	put_plan(f, "small", 1, &o);
	store_flush(f->store);
	reopen(f, NULL);
	assert_string_equal(store_id(f->store), id);
	store_close(f->store);
	f->store = NULL;
	/* A crash after a damaged file was renamed: the backup, and it says so. */
	assert_int_equal(str_fmt(path, sizeof(path), "%s/vpsd.db", f->dir), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(store_open(f->dir, &f->store, &note, &err), 0);
	assert_non_null(note);
	free(note);
	assert_int_equal(count_plans(f), 1);
	assert_string_not_equal(store_id(f->store), id);
}

static void copy(const char *from, const char *to, const char *name)
{
	_cleanup_free_ char *bytes = NULL;
	char path[128];
	size_t len;
	int fd;

	assert_int_equal(str_fmt(path, sizeof(path), "%s/%s", from, name), 0);
	assert_int_equal(file_read_at(AT_FDCWD, path, 1 << 24, &bytes, &len, NULL), 0);
	assert_int_equal(str_fmt(path, sizeof(path), "%s/%s", to, name), 0);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	(void)close(fd);
}

/* Makes a directory as a killed vpsd leaves it, without its database: a backup with one plan, and a
 * log with many more. */
static void leave_killed(struct fixture *f, const char *to)
{
	struct outcome o = {0};

	open_started(f, NULL);
	put_plan(f, "a", 1, &o);
	store_flush(f->store);
	store_backup(f->store);
	for (int i = 0; i < 100 && !has_backup(f); i++)
		assert_int_equal(poll(NULL, 0, 20), 0);
	for (int64_t i = 0; i < 200; i++)
		put_plan(f, "later", i, &o);
	store_flush(f->store);
	copy(f->dir, to, "vpsd.db.backup");
	copy(f->dir, to, "vpsd.db-wal");
	copy(f->dir, to, "vpsd.db-shm");
	store_close(f->store);
	f->store = NULL;
}

/* The log of a database that is gone is not the log of the backup that takes its place. */
static void check_log_stays_out(struct fixture *f, bool is_aside)
{
	struct fixture killed = {.dir = "/tmp/vps-store-XXXXXX"};
	char path[96], *note = NULL;
	int tmp;

	assert_non_null(mkdtemp(killed.dir));
	leave_killed(f, killed.dir);
	if (is_aside) {
		assert_int_equal(str_fmt(path, sizeof(path), "%s/vpsd.db.damaged-1", killed.dir),
				 0);
		assert_int_equal(close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
	}
	reopen(&killed, &note);
	assert_int_equal(count_plans(&killed), 1);
	assert_non_null(strstr(note, "restored"));
	assert_non_null(strstr(note, is_aside ? "damaged-2-*" : "damaged-1-*"));
	free(note);
	assert_int_equal(count_files(killed.dir, "vpsd.db.damaged-*-wal"), 1);
	/* It is not met later, either. */
	reopen(&killed, NULL);
	assert_int_equal(count_plans(&killed), 1);
	store_close(killed.store);
	tmp = path_open_dir("/tmp", NULL);
	assert_int_equal(path_remove_tree(tmp, killed.dir + strlen("/tmp/"), NULL), 0);
	(void)close(tmp);
}

static void test_missing_beside_log(void **state)
{
	check_log_stays_out(*state, false);
}

/* vpsd died after it had set the damaged file aside. */
static void test_log_of_damaged(void **state)
{
	check_log_stays_out(*state, true);
}

/* Nobody takes a restored database for the one before, even if the start that restored it dies. */
static void test_restored_has_no_id(void **state)
{
	struct fixture *f = *state;
	struct outcome o = {0};
	char path[96], *note = NULL;
	struct err err = ERR_INIT;
	bool is_other = false;
	sqlite3 *db = NULL;
	sqlite3_stmt *s = NULL;

	open_started(f, NULL);
	put_plan(f, "a", 1, &o);
	store_flush(f->store);
	store_close(f->store);
	f->store = NULL;
	assert_int_equal(str_fmt(path, sizeof(path), "%s/vpsd.db", f->dir), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(db_open(f->dir, &db, &is_other, &note, &err), 0);
	free(note);
	assert_true(is_other);
	assert_int_equal(sqlite3_prepare_v2(db,
					    "SELECT count(*), (SELECT count(*) FROM plans) FROM "
					    "meta WHERE key = 'id'",
					    -1, &s, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(s, 0), 0);
	assert_int_equal(sqlite3_column_int(s, 1), 1);
	(void)sqlite3_finalize(s);
	(void)sqlite3_close(db);
	assert_int_equal(count_files(f->dir, "vpsd.db.restored*"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_commit_and_reload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fd_announces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_atomic, setup, teardown),
		cmocka_unit_test_setup_teardown(test_null_and_types, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kill_loses_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage_restores_backup, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage_without_backup, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage_and_no_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing_and_no_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_backup_has_no_id, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_backup_by_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(test_id_is_of_the_database, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flush_waits_for_what_follows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing_beside_log, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_of_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restored_has_no_id, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
