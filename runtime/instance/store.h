/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database: SQLite in the state directory (WAL, synchronous=FULL). One connection, used by one
 * committer thread after store_start(): the event loop submits transactions and is told when they
 * are durable, so a slow disk never stalls it. Transactions commit in the order of submission;
 * those that wait together share one fsync, and each stays atomic by itself (savepoints).
 * Readers are answered from memory by the caller; rows are read only before store_start().
 */
#pragma once

#include <stdint.h>

#include "base/err.h"

struct store;
struct store_txn;
struct store_row;

/* Opens or creates dirfd-relative "vpsd.db" in the directory 'dir' (ours, exists), checks it
 * (PRAGMA quick_check), migrates the schema. A damaged file is set aside as vpsd.db.damaged-N with
 * its -wal and -shm, and the last good backup vpsd.db.backup takes its place; *ret_note (heap, may
 * be NULL) then says so. */
int store_open(const char *dir, struct store **ret, char **ret_note, struct err *err);
/* 16 hex digits, kept in the database for its life. A database that was made anew or restored from
 * a backup, by us or by hand, has another one: it does not know everything that the one before
 * knew. */
const char *store_id(const struct store *s);
/* Commits what was submitted, stops the thread, writes the backup, closes. NULL is fine. */
void store_close(struct store *s);

/* Runs a SELECT before store_start() and calls 'row' for each row; a negative return stops. */
int store_load(struct store *s, const char *sql,
	       int (*row)(void *arg, const struct store_row *r, struct err *err), void *arg,
	       struct err *err);
/* Column access; text is "" for NULL and valid until the callback returns. */
int64_t store_row_int(const struct store_row *r, int column);
const char *store_row_text(const struct store_row *r, int column);

/* Starts the committer thread. */
int store_start(struct store *s, struct err *err);
/* An eventfd that is readable when completions wait; call store_dispatch() then. */
int store_fd(const struct store *s);
/* Calls the completions of what was committed or failed since. */
void store_dispatch(struct store *s);
/* Blocks until everything submitted is durable, then dispatches. For shutdown and start-up. */
void store_flush(struct store *s);

/* A transaction to fill; NULL when memory is short (all calls below accept NULL and submit fails).
 */
struct store_txn *store_txn_new(struct store *s);
void store_txn_free(struct store_txn *t);
/* Adds one statement. 'sql' must be a string literal (it is the key of the prepared statement).
 * 'types': one letter a parameter: 's' const char * (copied; NULL = SQL NULL), 'i' int64_t. */
void store_txn_add(struct store_txn *t, const char *sql, const char *types, ...);
/* Submits (consumes t). 'done' (may be NULL) is called from store_dispatch() with err NULL when the
 * transaction is durable, else with what went wrong and nothing of it applied. Returns a negative
 * errno only when nothing was submitted and 'done' will not be called. */
int store_submit(struct store_txn *t, void (*done)(void *arg, const struct err *err), void *arg,
		 struct err *err);

/* Writes a compact, consistent copy vpsd.db.backup in the background. That happens by itself as
 * well: in a quiet moment after a change, at most every ten minutes, and when it is closed. */
void store_backup(struct store *s);
