/* SPDX-License-Identifier: Apache-2.0 */
/* The database's file, for store.c. All run in the thread that owns the connection. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>

#include "base/err.h"

#define DB_NAME "vpsd.db"
#define DB_BACKUP_NAME "vpsd.db.backup"

/* Says what SQLite's result 'rc' means: "database: cannot <what>: ..."; returns the negative errno
 * of it. 'db' may be NULL. */
int db_err(sqlite3 *db, int rc, struct err *err, const char *what);
/* Runs statements without rows. */
int db_exec(sqlite3 *db, const char *sql, struct err *err);
/* Opens DB_NAME in 'dir', or what can be had instead: the backup where it is missing or damaged,
 * without its id, else an empty one; logs of what it replaces are set aside with it. *ret_is_other:
 * it is not the database of before. *ret_note (heap, may be NULL) says what happened to that. The
 * caller closes *ret. */
int db_open(const char *dir, sqlite3 **ret, bool *ret_is_other, char **ret_note, struct err *err);
/* Brings the tables to this program's version, each step in a transaction; a newer one is ENOTSUP.
 */
int db_migrate(sqlite3 *db, struct err *err);
/* Writes a consistent, compact copy as 'name' in 'dir', mode 0600; it appears there when whole and
 * durable. It is without the id, so that it passes for another database, wherever it is put. */
int db_copy(sqlite3 *db, const char *dir, const char *name, struct err *err);
