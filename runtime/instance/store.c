/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database and its committer thread. The connection belongs to the opening thread until
 * store_start(), then to the committer alone; the two share only the queues under 'lock'.
 */
#include "runtime/instance/store.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/str.h"
#include "runtime/instance/store_file.h"

#define PARAMS_MAX 24
#define STATEMENTS_CACHED 96
/* Checkpoint once the log holds this many transactions, or when the thread has been idle. */
#define CHECKPOINT_AFTER 256
#define IDLE_SECONDS 2
/* A backup is written in a quiet moment after a change, this long after the one before. */
#define BACKUP_SECONDS 600

struct param {
	char type; /* 's' or 'i' */
	bool null;
	int64_t i;
	char *s;
};

struct statement {
	struct statement *next;
	const char *sql; /* literal */
	unsigned n_params;
	struct param params[];
};

struct store_txn {
	struct store_txn *next;
	struct store *store;
	struct statement *first, **last;
	bool failed; /* no memory while it was filled */
	void (*done)(void *arg, const struct err *err);
	void *arg;
	struct err result; /* code 0 = durable */
};

struct queue {
	struct store_txn *first, **last;
};

struct store {
	sqlite3 *db;
	char *dir;
	struct {
		const char *sql;
		sqlite3_stmt *stmt;
	} cache[STATEMENTS_CACHED];
	unsigned n_cached;
	int event;
	bool started;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;	/* queue, stop or backup changed */
	pthread_cond_t drained; /* nothing queued or being committed */
	struct queue queue;	/* submitted */
	struct queue completed; /* to be dispatched */
	bool busy, stop, backup;
	char id[ID_TEXT];
	/* Committer only. */
	unsigned since_checkpoint;
	bool is_changed;    /* since the last backup */
	time_t next_backup; /* monotonic seconds */
};

struct store_row {
	sqlite3_stmt *stmt;
};

static void queue_init(struct queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void queue_add(struct queue *q, struct store_txn *t)
{
	t->next = NULL;
	*q->last = t;
	q->last = &t->next;
}

static struct queue queue_take(struct queue *q)
{
	struct queue taken = *q;
	if (!taken.first)
		taken.last = &taken.first;
	queue_init(q);
	return taken;
}

static int take_id(void *arg, const struct store_row *r, struct err *err)
{
	return str_copy(arg, ID_TEXT, store_row_text(r, 0)) == 0 && *(char *)arg
		       ? 0
		       : err_set(err, EBADMSG, "database: its id is damaged");
}

/* What was restored has lost rows, so it is another database than the one that wrote the pool. */
static int read_id(struct store *s, bool is_other, struct err *err)
{
	int r = is_other ? db_exec(s->db, "DELETE FROM meta WHERE key = 'id'", err) : 0;

	if (r == 0)
		r = db_exec(
			s->db,
			"INSERT INTO meta (key, value) VALUES ('id', lower(hex(randomblob(8)))) "
			"ON CONFLICT (key) DO NOTHING",
			err);
	return r < 0 ? r
		     : store_load(s, "SELECT value FROM meta WHERE key = 'id'", take_id, s->id,
				  err);
}

const char *store_id(const struct store *s)
{
	return s->id;
}

int store_open(const char *dir, struct store **ret, char **ret_note, struct err *err)
{
	_cleanup_free_ char *note = NULL;
	struct store *s = calloc(1, sizeof(*s));
	mode_t old = umask(0077);
	bool is_other = false;
	int r;

	if (!s || !(s->dir = strdup(dir))) {
		r = err_set(err, ENOMEM, "cannot open the database");
		goto failed;
	}
	s->event = -1;
	queue_init(&s->queue);
	queue_init(&s->completed);
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attr);
	pthread_cond_init(&s->drained, &attr);
	pthread_condattr_destroy(&attr);

	r = db_open(dir, &s->db, &is_other, &note, err);
	if (r == 0)
		r = db_migrate(s->db, err);
	if (r == 0)
		r = read_id(s, is_other, err);
	if (r == 0) {
		s->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (s->event < 0)
			r = err_sys(err, "cannot make an eventfd");
	}
	if (r < 0)
		goto failed;
	(void)umask(old);
	if (ret_note)
		*ret_note = take_ptr(note);
	*ret = s;
	return 0;
failed:
	(void)umask(old);
	store_close(s);
	return r;
}

/* --- reading at start-up ------------------------------------------------------------------- */

int store_load(struct store *s, const char *sql,
	       int (*row)(void *arg, const struct store_row *r, struct err *err), void *arg,
	       struct err *err)
{
	struct store_row current = {0};
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &current.stmt, NULL);
	int r = rc == SQLITE_OK ? 0 : db_err(s->db, rc, err, sql);

	while (r >= 0 && (rc = sqlite3_step(current.stmt)) == SQLITE_ROW)
		r = row(arg, &current, err);
	if (r >= 0 && rc != SQLITE_DONE)
		r = db_err(s->db, rc, err, sql);
	sqlite3_finalize(current.stmt);
	return r < 0 ? r : 0;
}

int64_t store_row_int(const struct store_row *r, int column)
{
	return sqlite3_column_int64(r->stmt, column);
}

const char *store_row_text(const struct store_row *r, int column)
{
	const char *text = (const char *)sqlite3_column_text(r->stmt, column);
	return text ? text : "";
}

/* --- transactions -------------------------------------------------------------------------- */

struct store_txn *store_txn_new(struct store *s)
{
	struct store_txn *t = calloc(1, sizeof(*t));
	if (t) {
		t->store = s;
		t->last = &t->first;
	}
	return t;
}

static void statement_free(struct statement *st)
{
	for (unsigned i = 0; i < st->n_params; i++)
		free(st->params[i].s);
	free(st);
}

void store_txn_free(struct store_txn *t)
{
	if (!t)
		return;
	for (struct statement *st = t->first, *next; st; st = next) {
		next = st->next;
		statement_free(st);
	}
	free(t);
}

void store_txn_add(struct store_txn *t, const char *sql, const char *types, ...)
{
	size_t n = strlen(types);
	if (!t || t->failed)
		return;
	struct statement *st =
		n <= PARAMS_MAX ? calloc(1, sizeof(*st) + n * sizeof(struct param)) : NULL;
	if (!st) {
		t->failed = true;
		return;
	}
	st->sql = sql;
	st->n_params = (unsigned)n;
	va_list ap;
	va_start(ap, types);
	for (size_t i = 0; i < n; i++) {
		struct param *p = &st->params[i];
		p->type = types[i];
		if (types[i] == 'i') {
			p->i = va_arg(ap, int64_t);
			continue;
		}
		const char *text = va_arg(ap, const char *);
		p->null = !text;
		if (text && !(p->s = strdup(text)))
			t->failed = true;
	}
	va_end(ap);
	*t->last = st;
	t->last = &st->next;
}

static void wake_loop(struct store *s)
{
	uint64_t one = 1;
	/* EAGAIN means that it is readable already. */
	(void)!write(s->event, &one, sizeof(one));
}

int store_submit(struct store_txn *t, void (*done)(void *arg, const struct err *err), void *arg,
		 struct err *err)
{
	if (!t || t->failed) {
		store_txn_free(t);
		return err_set(err, ENOMEM, "no memory for a database transaction");
	}
	struct store *s = t->store;
	t->done = done;
	t->arg = arg;
	pthread_mutex_lock(&s->lock);
	queue_add(&s->queue, t);
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

/* --- the committer thread ------------------------------------------------------------------ */

static int prepare_cached(struct store *s, const char *sql, sqlite3_stmt **ret, struct err *err)
{
	for (unsigned i = 0; i < s->n_cached; i++) {
		if (s->cache[i].sql == sql) {
			*ret = s->cache[i].stmt;
			return 0;
		}
	}
	if (s->n_cached == STATEMENTS_CACHED)
		return err_set(err, E2BIG, "database: too many different statements");
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
	if (rc != SQLITE_OK)
		return db_err(s->db, rc, err, sql);
	s->cache[s->n_cached].sql = sql;
	s->cache[s->n_cached++].stmt = stmt;
	*ret = stmt;
	return 0;
}

static int run_statement(struct store *s, const struct statement *st, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int r = prepare_cached(s, st->sql, &stmt, err);
	if (r < 0)
		return r;
	int rc = SQLITE_OK;
	for (unsigned i = 0; rc == SQLITE_OK && i < st->n_params; i++) {
		const struct param *p = &st->params[i];
		if (p->type == 'i')
			rc = sqlite3_bind_int64(stmt, (int)i + 1, p->i);
		else if (p->null)
			rc = sqlite3_bind_null(stmt, (int)i + 1);
		else
			rc = sqlite3_bind_text(stmt, (int)i + 1, p->s, -1, SQLITE_STATIC);
	}
	if (rc == SQLITE_OK) {
		do
			rc = sqlite3_step(stmt);
		while (rc == SQLITE_ROW);
	}
	r = rc == SQLITE_DONE ? 0 : db_err(s->db, rc, err, st->sql);
	(void)sqlite3_reset(stmt);
	(void)sqlite3_clear_bindings(stmt);
	return r;
}

static void run_txn(struct store *s, struct store_txn *t)
{
	int r = db_exec(s->db, "SAVEPOINT txn", &t->result);
	if (r < 0)
		return;
	for (const struct statement *st = t->first; r == 0 && st; st = st->next)
		r = run_statement(s, st, &t->result);
	/* A savepoint that cannot be undone must not be kept in part: all of it goes, and the
	 * caller sees that no transaction is left. */
	if (r < 0 && db_exec(s->db, "ROLLBACK TO txn", NULL) < 0) {
		(void)db_exec(s->db, "ROLLBACK", NULL);
		return;
	}
	struct err release = ERR_INIT;
	if (db_exec(s->db, "RELEASE txn", &release) < 0 && r == 0)
		t->result = release;
}

/* One transaction of SQLite, hence one fsync, for all that wait; each is a savepoint in it. */
static void commit_batch(struct store *s, struct queue *batch)
{
	struct err whole = ERR_INIT;
	int r = db_exec(s->db, "BEGIN IMMEDIATE", &whole);
	for (struct store_txn *t = batch->first; r == 0 && t; t = t->next) {
		run_txn(s, t);
		/* Some failures (disk full, I/O) roll back the whole transaction by themselves. */
		if (sqlite3_get_autocommit(s->db)) {
			whole = t->result;
			r = whole.code ? -whole.code
				       : err_set(&whole, EIO, "database: transaction lost");
		}
	}
	if (r == 0)
		r = db_exec(s->db, "COMMIT", &whole);
	if (r < 0) {
		if (!sqlite3_get_autocommit(s->db))
			(void)db_exec(s->db, "ROLLBACK", NULL);
		for (struct store_txn *t = batch->first; t; t = t->next)
			if (!t->result.code)
				t->result = whole;
	}
	s->since_checkpoint++;
	s->is_changed = true;
}

static void checkpoint(struct store *s, int mode)
{
	if (s->since_checkpoint &&
	    sqlite3_wal_checkpoint_v2(s->db, NULL, mode, NULL, NULL) == SQLITE_OK)
		s->since_checkpoint = 0;
}

static time_t monotonic_seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void write_backup(struct store *s)
{
	struct err err = ERR_INIT;

	s->next_backup = monotonic_seconds() + BACKUP_SECONDS;
	if (db_copy(s->db, s->dir, DB_BACKUP_NAME, &err) < 0)
		log_warning("the backup of the database failed: %s", err_text(&err));
	else
		s->is_changed = false;
}

/* What is done when nobody waits for a commit. */
static void use_quiet_moment(struct store *s)
{
	checkpoint(s, SQLITE_CHECKPOINT_TRUNCATE);
	if (s->is_changed && monotonic_seconds() >= s->next_backup)
		write_backup(s);
}

static void *committer(void *arg)
{
	struct store *s = arg;
	pthread_mutex_lock(&s->lock);
	for (;;) {
		while (!s->queue.first && !s->stop && !s->backup) {
			struct timespec until;
			clock_gettime(CLOCK_MONOTONIC, &until);
			until.tv_sec += IDLE_SECONDS;
			if (!s->since_checkpoint && !s->is_changed) {
				pthread_cond_wait(&s->wake, &s->lock);
			} else if (pthread_cond_timedwait(&s->wake, &s->lock, &until) ==
				   ETIMEDOUT) {
				pthread_mutex_unlock(&s->lock);
				use_quiet_moment(s);
				pthread_mutex_lock(&s->lock);
			}
		}
		if (!s->queue.first && s->stop && !s->backup)
			break;
		struct queue batch = queue_take(&s->queue);
		bool backup = s->backup && !batch.first;
		if (backup)
			s->backup = false;
		s->busy = true;
		pthread_mutex_unlock(&s->lock);

		if (batch.first)
			commit_batch(s, &batch);
		if (s->since_checkpoint >= CHECKPOINT_AFTER)
			checkpoint(s, SQLITE_CHECKPOINT_PASSIVE);
		if (backup)
			write_backup(s);

		pthread_mutex_lock(&s->lock);
		for (struct store_txn *t = batch.first, *next; t; t = next) {
			next = t->next;
			queue_add(&s->completed, t);
		}
		s->busy = false;
		wake_loop(s);
		pthread_cond_broadcast(&s->drained);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int store_start(struct store *s, struct err *err)
{
	sigset_t all, old;
	sigfillset(&all);
	/* Signals are the event loop's. */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int e = pthread_create(&s->thread, NULL, committer, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (e)
		return err_set(err, e, "cannot start the database thread: %s", strerror(e));
	s->started = true;
	return 0;
}

int store_fd(const struct store *s)
{
	return s->event;
}

void store_dispatch(struct store *s)
{
	uint64_t n;
	(void)!read(s->event, &n, sizeof(n));
	pthread_mutex_lock(&s->lock);
	struct queue done = queue_take(&s->completed);
	pthread_mutex_unlock(&s->lock);
	for (struct store_txn *t = done.first, *next; t; t = next) {
		next = t->next;
		if (t->done)
			t->done(t->arg, t->result.code ? &t->result : NULL);
		else if (t->result.code)
			log_error("a change was not stored: %s", err_text(&t->result));
		store_txn_free(t);
	}
}

void store_flush(struct store *s)
{
	bool is_more = true;

	/* What is told may submit more. */
	while (s->started && is_more) {
		pthread_mutex_lock(&s->lock);
		while (s->queue.first || s->busy)
			pthread_cond_wait(&s->drained, &s->lock);
		is_more = s->completed.first != NULL;
		pthread_mutex_unlock(&s->lock);
		store_dispatch(s);
	}
}

void store_backup(struct store *s)
{
	pthread_mutex_lock(&s->lock);
	s->backup = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

void store_close(struct store *s)
{
	if (!s)
		return;
	if (s->started) {
		pthread_mutex_lock(&s->lock);
		s->backup = true;
		s->stop = true;
		pthread_cond_signal(&s->wake);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->thread, NULL);
		store_dispatch(s);
	}
	for (unsigned i = 0; i < s->n_cached; i++)
		sqlite3_finalize(s->cache[i].stmt);
	if (s->db) {
		checkpoint(s, SQLITE_CHECKPOINT_TRUNCATE);
		sqlite3_close(s->db);
	}
	if (s->event >= 0)
		(void)close(s->event);
	if (s->dir) {
		pthread_mutex_destroy(&s->lock);
		pthread_cond_destroy(&s->wake);
		pthread_cond_destroy(&s->drained);
	}
	free(s->dir);
	free(s);
}
