/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations: everything that takes longer than an answer. An operation has an id, progress and
 * one end; it stands in the database before anybody is told of it. The running ones and the last
 * OP_RING_MAX ended ones are kept in memory.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/rand.h"

#define OP_RING_MAX 1000u

/* Numbers stand in the database: append only. */
enum op_kind {
	OP_CREATE,
	OP_START,
	OP_STOP,
	OP_RESTART,
	OP_DELETE,
	OP_CHANGE,
	OP_APPLY,
	OP_IMAGE_IMPORT,
	OP_IMAGE_BUILD,
	OP_IMAGE_DELETE,
	OP_SUSPEND,
	OP_RESUME,
	OP_RESIZE_ALL,
	OP_KIND_MAX,
};

enum op_status {
	OP_RUNNING,
	OP_DONE,
	OP_FAILED,
	OP_STATUS_MAX,
};

struct op_ring;
struct op_watch;

struct op {
	char id[ID_TEXT];
	enum op_kind kind;
	char target[160];	   /* "acme/web1", an image's name, "documents" */
	char instance_id[ID_TEXT]; /* "" = none */
	enum op_status status;
	bool is_committed; /* it is in the database: its id may be told */
	uint64_t created;  /* seconds since the epoch */
	uint64_t ended;	   /* 0 = not yet */
	struct {
		char what[48]; /* "unpack"; "" = nothing to say */
		uint64_t done;
		uint64_t total; /* 0 = not known */
		bool is_bytes;	/* else things are counted */
	} progress;
	char error_code[32]; /* "no-capacity"; "" unless failed */
	struct err err;
	json_t *result; /* NULL = none */

	/* private to op.c */
	unsigned holds;
	struct op_watch *watches;
	struct op *prev, *next;
	struct op_ring *ring;
};

/* "create", "image-import", ...; "running", "done", "failed". NULL when out of range. */
const char *op_kind_name(enum op_kind kind);
const char *op_status_name(enum op_status status);
/* The API's error code of an errno-style code: "not-found", "conflict", ...; "internal" when it is
 * in no row. */
const char *op_error_code(int code);

/* When a watcher wants to be called. */
enum op_when {
	OP_WHEN_COMMITTED, /* acknowledged, or failed before that (is_committed false) */
	OP_WHEN_ENDED,
};

/* Calls fn once, from the event loop or at once when it is true already (then *ret is NULL). The
 * operation stays in memory as long as it is watched. */
typedef void (*op_watch_fn)(void *arg, struct op *op);
int op_watch(struct op *op, enum op_when when, op_watch_fn fn, void *arg, struct op_watch **ret,
	     struct err *err);
/* The callback will not come; NULL is fine. A watch that was called is gone already. */
void op_watch_cancel(struct op_watch *w);

/* Keeps an operation in memory while somebody has a pointer to it, ended or not. */
void op_hold(struct op *op);
void op_release(struct op *op);

/* The ring: owned by the manager. */
struct op_ring *op_ring_new(void);
void op_ring_free(struct op_ring *r);
/* A new running operation with a random id; not in the database yet. */
int op_new(struct op_ring *r, enum op_kind kind, const char *target, const char *instance_id,
	   struct op **ret, struct err *err);
/* An operation as it was loaded from the database; takes 'result'. */
int op_load(struct op_ring *r, const struct op *like, json_t *result, struct err *err);
/* NULL: none of that id in memory. */
struct op *op_find(const struct op_ring *r, const char *id);
/* Walks from the newest to the oldest: op NULL = start; NULL = end. */
struct op *op_next(const struct op_ring *r, const struct op *op);
/* Numbers of operations that run. */
unsigned op_count_running(const struct op_ring *r);

/* How many of how many (0 = not known); the same in bytes. */
void op_progress(struct op *op, const char *what, uint64_t done, uint64_t total);
void op_progress_bytes(struct op *op, const char *what, uint64_t done, uint64_t total);
/* It is in the database now (err NULL), or could not be written: then it has failed. */
void op_committed(struct op *op, const struct err *err);
/* The end, for everybody to see. 'err' NULL = done; 'code' NULL = by err->code; takes 'result'
 * (may be NULL). The operation may be dropped from memory: do not use it afterwards. */
void op_end(struct op *op, const char *code, const struct err *err, json_t *result);
