/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database's file in the state directory: what is opened, what takes the place of a missing or
 * damaged one, which version its tables have.
 */
#include "runtime/instance/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "runtime/instance/schema.sql.h"

#define DB_RESTORED_NAME "vpsd.db.restored" /* on its way to be DB_NAME */
#define ASIDE_TEXT 64
#define ASIDE_MAX 999u

/* SQLite's result as an errno-style code: what an operator can act on keeps its own number. */
static int sqlite_errno(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_CONSTRAINT:
		return EEXIST;
	case SQLITE_READONLY:
		return EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return EUCLEAN;
	default:
		return EIO;
	}
}

int db_err(sqlite3 *db, int rc, struct err *err, const char *what)
{
	int r = err_set(err, sqlite_errno(rc), "database: cannot %s: %s", what,
			db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
	if ((rc & 0xff) == SQLITE_FULL)
		err_hint(err, "free some space in the state directory");
	return r;
}

int db_exec(sqlite3 *db, const char *sql, struct err *err)
{
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : db_err(db, rc, err, sql);
}

static char *path_in(const char *dir, const char *name)
{
	char *p = NULL;
	return asprintf(&p, "%s/%s", dir, name) < 0 ? NULL : p;
}

static int check_row(void *arg, int n, char **values, char **names)
{
	(void)names;
	bool *ok = arg;
	*ok = n == 1 && values[0] && strcmp(values[0], "ok") == 0;
	return 0;
}

static int open_checked(const char *path, sqlite3 **ret, struct err *err)
{
	sqlite3 *db = NULL;
	bool ok = false;
	int rc = sqlite3_open_v2(path, &db,
				 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
					 SQLITE_OPEN_NOFOLLOW,
				 NULL);
	int r = rc == SQLITE_OK ? 0 : db_err(db, rc, err, "open it");
	if (r == 0) {
		sqlite3_busy_timeout(db, 5000);
		/* synchronous=FULL: with NORMAL an acknowledged commit can be lost on power failure
		 * (https://www.sqlite.org/pragma.html#pragma_synchronous). */
		r = db_exec(
			db,
			"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
			"PRAGMA trusted_schema=OFF; PRAGMA cache_size=-512; PRAGMA "
			"wal_autocheckpoint=0;",
			err);
	}
	if (r == 0) {
		rc = sqlite3_exec(db, "PRAGMA quick_check(1)", check_row, &ok, NULL);
		if (rc != SQLITE_OK)
			r = db_err(db, rc, err, "check it");
		else if (!ok)
			r = err_set(err, EUCLEAN, "database: '%s' is damaged", path);
	}
	if (r < 0) {
		sqlite3_close(db);
		return r;
	}
	*ret = db;
	return 0;
}

/* A copy is not the database that its id names: it lacks what comes after it, and what it does not
 * know must not pass for nobody's. It loses that before it gets its name. One of before there were
 * ids has no table of them. Without a journal: one that a crash leaves would be replayed into the
 * next copy. */
static int drop_id(const char *path, struct err *err)
{
	sqlite3 *db = NULL;
	int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL);
	int r = 0;

	if (rc == SQLITE_OK && sqlite3_table_column_metadata(db, NULL, "meta", NULL, NULL, NULL,
							     NULL, NULL, NULL) == SQLITE_OK)
		rc = sqlite3_exec(db, "PRAGMA journal_mode=OFF; DELETE FROM meta WHERE key = 'id'",
				  NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		r = db_err(db, rc, err, "take its id out of a copy");
	(void)sqlite3_close(db);
	return r;
}

/* VACUUM INTO writes a closed file without a log beside it; it appears under its name when whole.
 * The file is made first, for its mode: it holds hashes of passwords. */
int db_copy(sqlite3 *db, const char *dir, const char *name, struct err *err)
{
	_cleanup_close_ int dirfd = path_open_dir(dir, err), fd = -1;
	_cleanup_free_ char *path = NULL;
	char tmp[64];
	char *sql;
	int r;

	if (dirfd < 0)
		return dirfd;
	(void)str_fmt(tmp, sizeof(tmp), "%s.tmp", name);
	path = path_in(dir, tmp);
	if (!path)
		return err_set(err, ENOMEM, "cannot copy the database");
	if (unlinkat(dirfd, tmp, 0) < 0 && errno != ENOENT)
		return err_sys(err, "cannot remove '%s/%s'", dir, tmp);
	fd = path_open_beneath(dirfd, tmp, O_RDWR | O_CREAT | O_EXCL, 0600, err);
	if (fd < 0)
		return fd;
	sql = sqlite3_mprintf("VACUUM INTO '%q'", path);
	r = sql ? db_exec(db, sql, err) : err_set(err, ENOMEM, "cannot copy the database");
	sqlite3_free(sql);
	if (r == 0)
		r = drop_id(path, err);
	if (r == 0 && (fsync(fd) < 0 || renameat(dirfd, tmp, dirfd, name) < 0 || fsync(dirfd) < 0))
		r = err_sys(err, "cannot write '%s/%s'", dir, name);
	if (r < 0)
		(void)unlinkat(dirfd, tmp, 0);
	return r;
}

/* A copy, so that the backup stays. */
static bool restore_backup(const char *dir)
{
	_cleanup_close_ int dirfd = path_open_dir(dir, NULL);
	_cleanup_free_ char *source = path_in(dir, DB_BACKUP_NAME);
	sqlite3 *good = NULL;
	bool is_copied;

	if (dirfd < 0 || !source || faccessat(AT_FDCWD, source, F_OK, AT_SYMLINK_NOFOLLOW) < 0 ||
	    open_checked(source, &good, NULL) < 0)
		return false;
	is_copied = db_copy(good, dir, DB_RESTORED_NAME, NULL) == 0;
	sqlite3_close(good);
	return is_copied && renameat(dirfd, DB_RESTORED_NAME, dirfd, DB_NAME) == 0 &&
	       fsync(dirfd) == 0;
}

/* The logs that SQLite keeps beside the file. It replays one that it finds into whatever file has
 * the name, its own or not. */
static const char *const log_suffixes[] = {"-journal", "-wal", "-shm"};
#define N_LOGS (sizeof(log_suffixes) / sizeof(*log_suffixes))

static bool is_free(int dirfd, const char *name)
{
	char log[ASIDE_TEXT + 8];
	bool taken = faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

	for (size_t i = 0; !taken && i < N_LOGS; i++) {
		(void)str_fmt(log, sizeof(log), "%s%s", name, log_suffixes[i]);
		taken = faccessat(dirfd, log, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	}
	return !taken;
}

static int choose_aside(int dirfd, char ret[ASIDE_TEXT], struct err *err)
{
	for (unsigned n = 1; n <= ASIDE_MAX; n++) {
		(void)str_fmt(ret, ASIDE_TEXT, DB_NAME ".damaged-%u", n);
		if (is_free(dirfd, ret))
			return 0;
	}
	(void)err_set(err, EEXIST, "%u damaged databases are kept already", ASIDE_MAX);
	return err_hint(err, "move the files " DB_NAME ".damaged-* out of the state directory");
}

/* 1 = there was one, 0 = not. */
static int set_aside(int dirfd, const char *suffix, const char *to, struct err *err)
{
	char from[ASIDE_TEXT], target[ASIDE_TEXT + 8];

	(void)str_fmt(from, sizeof(from), DB_NAME "%s", suffix);
	(void)str_fmt(target, sizeof(target), "%s%s", to, suffix);
	if (renameat(dirfd, from, dirfd, target) == 0)
		return 1;
	return errno == ENOENT ? 0
			       : err_sys(err, "cannot set the damaged database '%s' aside", from);
}

static bool has_logs(int dirfd)
{
	char log[ASIDE_TEXT];

	for (size_t i = 0; i < N_LOGS; i++) {
		(void)str_fmt(log, sizeof(log), DB_NAME "%s", log_suffixes[i]);
		if (faccessat(dirfd, log, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	}
	return false;
}

/* The number of those there were. */
static int set_logs_aside(int dirfd, const char *to, struct err *err)
{
	int n = 0;

	for (size_t i = 0; i < N_LOGS; i++) {
		int r = set_aside(dirfd, log_suffixes[i], to, err);

		if (r < 0)
			return r;
		n += r;
	}
	if (n > 0 && fsync(dirfd) < 0)
		return err_sys(err, "cannot write the state directory to disk");
	return n;
}

/* Renames the damaged file with its log files to a free name, and puts the last good backup in its
 * place. The file goes first: without its log it could pass for whole, with changes missing that
 * were durable. A log that a crash leaves behind is met by restore_missing(). */
static int set_damaged_aside(const char *dir, char **ret_note, struct err *err)
{
	_cleanup_close_ int dirfd = path_open_dir(dir, err);
	char to[ASIDE_TEXT];
	int r;

	if (dirfd < 0)
		return dirfd;
	r = choose_aside(dirfd, to, err);
	if (r >= 0)
		r = set_aside(dirfd, "", to, err);
	if (r >= 0 && fsync(dirfd) < 0)
		r = err_sys(err, "cannot write the state directory to disk");
	if (r >= 0)
		r = set_logs_aside(dirfd, to, err);
	if (r < 0)
		return r;
	if (asprintf(ret_note, "the database was damaged and is kept as '%s/%s'; %s", dir, to,
		     restore_backup(dir)
			     ? "the last good backup was restored, later changes are missing"
			     : "there was no good backup: starting empty") < 0)
		*ret_note = NULL;
	return 0;
}

/* A crash while a damaged file was set aside leaves none. */
static bool is_missing(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? errno == ENOENT : st.st_size == 0;
}

/* Logs of a file that is gone are kept, away from the one that takes its place. Returns 1 when that
 * is the backup, 0 when there is none. */
static int restore_missing(const char *dir, char **ret_note, struct err *err)
{
	_cleanup_close_ int dirfd = path_open_dir(dir, err);
	char to[ASIDE_TEXT] = "";
	int n = 0;

	if (dirfd < 0)
		return dirfd;
	if (has_logs(dirfd)) {
		n = choose_aside(dirfd, to, err);
		if (n >= 0)
			n = set_logs_aside(dirfd, to, err);
	}
	if (n < 0)
		return n;
	if (!restore_backup(dir))
		return 0;
	if (asprintf(ret_note,
		     "there was no database in '%s'; the last good backup was restored, later "
		     "changes are missing%s%s%s",
		     dir, n > 0 ? "; its log is kept as " : "", n > 0 ? to : "",
		     n > 0 ? "-*" : "") < 0)
		*ret_note = NULL;
	return 1;
}

/* Opens what is there, or what can be had instead; *ret_is_other: not the database of before. */
int db_open(const char *dir, sqlite3 **ret, bool *ret_is_other, char **ret_note, struct err *err)
{
	_cleanup_free_ char *path = path_in(dir, DB_NAME);
	bool is_other = false;
	int r;

	if (!path)
		return err_set(err, ENOMEM, "cannot open the database");
	if (is_missing(path)) {
		r = restore_missing(dir, ret_note, err);
		if (r < 0)
			return r;
		is_other = r == 1;
	}
	r = open_checked(path, ret, err);
	if (r == -EUCLEAN && !is_other) {
		is_other = true;
		r = set_damaged_aside(dir, ret_note, err);
		if (r == 0)
			r = open_checked(path, ret, err);
	}
	*ret_is_other = is_other;
	return r;
}

static int schema_version(sqlite3 *db, int *ret, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL);
	if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		*ret = sqlite3_column_int(stmt, 0);
	else
		rc = db_err(db, rc, err, "read its version");
	sqlite3_finalize(stmt);
	return rc < 0 ? rc : 0;
}

int db_migrate(sqlite3 *db, struct err *err)
{
	const int newest = (int)(sizeof(store_migrations) / sizeof(*store_migrations));
	int version = 0;
	int r = schema_version(db, &version, err);
	if (r < 0)
		return r;
	if (version > newest)
		return err_set(err, ENOTSUP,
			       "database: its version is %d and this vpsd knows up to %d; use the "
			       "newer vpsd",
			       version, newest);
	for (; version < newest; version++) {
		char done[64];
		(void)str_fmt(done, sizeof(done), "PRAGMA user_version=%d", version + 1);
		r = db_exec(db, "BEGIN EXCLUSIVE", err);
		if (r < 0)
			return r;
		r = db_exec(db, store_migrations[version], err);
		if (r == 0)
			r = db_exec(db, done, err);
		if (r == 0)
			r = db_exec(db, "COMMIT", err);
		if (r < 0) {
			(void)db_exec(db, "ROLLBACK", NULL);
			return r;
		}
	}
	return 0;
}
