/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON by rows: one table per object says each key, its kind, where it goes, its default and what
 * is expected of it. Decoding, encoding, defaults and freeing walk the same table. All problems of
 * a document are collected, in the order of the document, with file, JSON path and value:
 *
 *   tenants/acme.json: instances[2].overrides.memory.limit: "2 GB" is not a size; write it as 2GiB
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"

/* --- problems ----------------------------------------------------------------------------- */

#define PROBLEMS_MAX 100

struct problem {
	char *file;  /* display name of the document; never NULL */
	char *path;  /* JSON path, or "LINE:COLUMN" for text that is no JSON; "" = whole document */
	char *value; /* as written, escaped and cut; "" = does not apply */
	char *text;  /* the whole sentence, value included */
	bool is_syntax; /* path is LINE:COLUMN */
};

struct problems {
	struct problem items[PROBLEMS_MAX];
	size_t n;
	size_t n_more; /* found beyond PROBLEMS_MAX, not kept */
	bool oom;      /* memory ran out while adding */
};

/* Heap, because of its size: problems_free(). NULL when memory is short. */
struct problems *problems_new(void);
void problems_free(struct problems *p);
void problems_freep(struct problems **p);
#define _cleanup_problems_ _cleanup_(problems_freep)
/* All found so far, those not kept included: compare before and after to see whether a step failed.
 */
size_t problems_count(const struct problems *p);
/* One line per problem, "FILE: PATH: TEXT\n" (syntax: "FILE:LINE:COLUMN: TEXT\n"), and a last line
 * that counts those not kept. Free of control characters. */
void problems_format(const struct problems *p, struct sbuf *out);
/* First problem as an error (EINVAL) with "(and N more)"; returns -EINVAL. Needs one problem. */
int problems_to_err(const struct problems *p, struct err *err);
/* Array of {"file", "path", "value", "message"} for answers; NULL when memory is short. */
json_t *problems_to_json(const struct problems *p);

/* Where something stands, and where its problems go. */
struct json_where {
	const char *file; /* display name, "" = none (an API request) */
	const char *path; /* JSON path so far, "" at the top */
	struct problems *problems;
};

/* Adds a problem at w->path + "." + key (key may be NULL, or start with '['). 'value' is put before
 * the text as written, NULL = no value. Returns -EINVAL. */
int problems_add(const struct json_where *w, const char *key, const json_t *value, const char *fmt,
		 ...) __attribute__((format(printf, 4, 5)));

/* --- text to JSON -------------------------------------------------------------------------- */

#define JSON_TEXT_MAX (1024u * 1024u)
#define JSON_DEPTH_MAX 32u

/* Parses text: size and depth limits, valid UTF-8, no duplicate keys, no NUL in strings, nothing
 * behind the value. max 0 = JSON_TEXT_MAX. -EINVAL with exactly one problem (line:column), -ENOMEM.
 */
int json_text_load(const char *text, size_t len, size_t max, const struct json_where *w,
		   json_t **ret);
void json_decref_p(json_t **j);
#define _cleanup_json_ _cleanup_(json_decref_p)

/* --- rows ---------------------------------------------------------------------------------- */

enum json_kind {
	JSON_KIND_BOOL,	    /* bool */
	JSON_KIND_STRING,   /* char *, heap, NULL = absent or null */
	JSON_KIND_U64,	    /* uint64_t */
	JSON_KIND_I64,	    /* int64_t */
	JSON_KIND_SIZE,	    /* uint64_t bytes, "2GiB" */
	JSON_KIND_BYTERATE, /* uint64_t bytes per second, "100MiB/s" */
	JSON_KIND_BITRATE,  /* uint64_t bits per second, "100Mbit" */
	JSON_KIND_RATE,	    /* uint64_t per second, "500/s" */
	JSON_KIND_DURATION, /* uint64_t microseconds, "20ms" */
	JSON_KIND_MILLI,    /* uint64_t thousandths, a number with at most 3 decimals (cores) */
	JSON_KIND_ENUM,	    /* int: index in names */
	JSON_KIND_LABELS,   /* struct json_labels: {"key": "value"} */
	JSON_KIND_STRINGS,  /* JSON_LIST(char *): ["a", "b"] */
	JSON_KIND_OBJECT,   /* a struct with its own table, embedded */
	JSON_KIND_OBJECTS,  /* JSON_LIST(struct x): [{...}, {...}] */
	JSON_KIND_PARTIAL,  /* json_t *: checked against the table as a partial document, carried as
			       it is */
	JSON_KIND_MAX,
};

enum json_row_flags {
	JSON_ROW_REQUIRED = 1u << 0, /* must be there (not in a partial document) */
	JSON_ROW_NULL = 1u << 1,   /* null is accepted: the same value as absent without default */
	JSON_ROW_LIMIT = 1u << 2,  /* absent or null: JSON_UNLIMITED (numbers only; implies NULL) */
	JSON_ROW_FIXED = 1u << 3,  /* identifies the object: refused in a partial document */
	JSON_ROW_TEXT = 1u << 4,   /* string of several lines: newline and tab are accepted */
	JSON_ROW_WHOLE = 1u << 5,  /* object that a partial document replaces, not merges */
	JSON_ROW_SINGLE = 1u << 6, /* STRINGS: one string stands for a list of it, and is written
				      so */
};

#define JSON_UNLIMITED UINT64_MAX

/* Which keys a document had, by row number. First member of every struct that has a table. A value
 * whose bit is in neither is a default. */
struct json_seen {
	uint64_t set;  /* was there, with a value */
	uint64_t null; /* was there, as null */
};

#define JSON_LIST(type)                                                                            \
	struct {                                                                                   \
		type *items;                                                                       \
		size_t n;                                                                          \
	}

struct json_label {
	char *key;
	char *value;
};

struct json_labels {
	struct json_label *items; /* in the order of the document */
	size_t n;
};

struct json_table;

struct json_row {
	const char *key;
	enum json_kind kind;
	unsigned flags; /* enum json_row_flags */
	size_t offset;
	const char *expect;  /* what it should be: "a host name"; goes into problems and schemas */
	const char *example; /* right form, as text without quotes: "2GiB" */
	const char *def;     /* default as JSON text; NULL = 0, false, empty */
	uint64_t min,
		max; /* numbers (I64: cast); lengths of strings; items of lists; max 0 = none */
	bool (*is_valid)(const char *); /* strings and each of STRINGS; for LABELS: the keys */
	/* ENUM: the words, NULL-terminated. STRINGS: those that is_valid takes, for schemas; or
	 * NULL. */
	const char *const *names;
	const struct json_table *sub; /* OBJECT, OBJECTS, PARTIAL */
};

struct json_table {
	const char *what; /* "a plan" */
	const struct json_row *rows;
	size_t n_rows;	  /* at most 64 */
	size_t size;	  /* of the struct */
	bool is_document; /* may name its schema (JSON_SCHEMA_KEY), which is not looked at */
};

/* Editors look it up to help with the document. */
#define JSON_SCHEMA_KEY "$schema"

#define JSON_TABLE(what_, type, rows_, ...)                                                        \
	{                                                                                          \
		.what = (what_), .rows = (rows_), .n_rows = sizeof(rows_) / sizeof((rows_)[0]),    \
		.size = sizeof(type), __VA_ARGS__                                                  \
	}

enum json_decode_flags {
	JSON_DECODE_PARTIAL = 1u << 0, /* onto a filled struct: only keys that are there change */
};

/* Fills obj from doc. Without PARTIAL obj is overwritten (it need not be initialised) and absent
 * keys get their defaults. Returns 0, -EINVAL with problems added, or -ENOMEM. In every case obj
 * can and must be given to json_rows_done(); after a failure its content is good for nothing else.
 */
int json_rows_decode(const struct json_table *t, const json_t *doc, unsigned flags, void *obj,
		     const struct json_where *w);
/* Frees what obj owns and zeroes it. */
void json_rows_done(const struct json_table *t, void *obj);

enum json_encode_flags {
	JSON_ENCODE_ALL = 1u << 0, /* defaults too; otherwise only what a document had */
};

/* Flags for json_dumps(): 0.1 is written as 0.1. */
#define JSON_DUMP_FLAGS JSON_REAL_PRECISION(12)

/* New reference, normalised (quantities in their shortest exact form); NULL when memory is short.
 */
json_t *json_rows_encode(const struct json_table *t, const void *obj, unsigned flags);
/* Deep copy, presence included. dst need not be initialised; on failure it is empty. */
int json_rows_copy(const struct json_table *t, void *dst, const void *src);
/* Whether the document had the key, with a value / as null. Unknown keys are a programmer's error.
 */
bool json_rows_has(const struct json_table *t, const void *obj, const char *key);
bool json_rows_is_null(const struct json_table *t, const void *obj, const char *key);
/* Row by key; NULL when there is none. */
const struct json_row *json_rows_find(const struct json_table *t, const char *key);
/* Noun of a kind ("a size"). Never NULL. */
const char *json_kind_noun(enum json_kind kind);

/* --- schemas ------------------------------------------------------------------------------- */

/* JSON Schema (draft 2020-12) of what json_rows_decode() takes, without "$schema" and "$id". It
 * refuses nothing that the decoder accepts; the sizes of quantities and what depends on more than
 * one key only the code knows. 'pattern_of' gives the regular expression (ECMA-262, anchored) of a
 * validator, NULL when there is none. New reference; NULL when memory is short. */
json_t *json_rows_schema(const struct json_table *t,
			 const char *(*pattern_of)(bool (*is_valid)(const char *)));
