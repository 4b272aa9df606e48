/* SPDX-License-Identifier: Apache-2.0 */
/* Helper of the config tests: one document in, the lines of its problems out. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/check.h"

/* Where VPS_TEST_DOCUMENTS names a file, each document goes there with what the decoder said of it,
 * one JSON object a line: tests/integration/schema_agrees.py asks an independent validator. */
static inline void doc_record(enum spec_kind kind, const char *doc, const struct problems *p)
{
	const char *file = getenv("VPS_TEST_DOCUMENTS");
	_cleanup_json_ json_t *o = NULL;
	const char *name = spec_kind_name(kind);
	FILE *out;

	if (!file)
		return;
	o = json_pack("{s:s, s:s, s:o}", "kind", name ? name : "auto", "text", doc, "problems",
		      problems_to_json(p));
	out = fopen(file, "ae");
	assert_non_null(o);
	assert_non_null(out);
	assert_int_equal(json_dumpf(o, out, JSON_COMPACT), 0);
	assert_int_equal(fputc('\n', out), '\n');
	assert_int_equal(fclose(out), 0);
}

struct doc_case {
	const char *doc;
	const char *problems; /* all lines; "" = valid */
};

static inline void doc_expect(enum spec_kind kind, const char *doc, const char *problems)
{
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_sbuf_ struct sbuf out = SBUF_INIT;
	int r;

	assert_non_null(p);
	r = spec_validate_text(kind, doc, strlen(doc), "f.json", p);
	problems_format(p, &out);
	doc_record(kind, doc, p);
	if (strcmp(sbuf_str(&out), problems) != 0)
		print_error("document: %s\n", doc);
	assert_string_equal(sbuf_str(&out), problems);
	assert_int_equal(r, problems[0] ? -EINVAL : 0);
}

static inline void doc_expect_all(enum spec_kind kind, const struct doc_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++)
		doc_expect(kind, cases[i].doc, cases[i].problems);
}

#define DOC_EXPECT_ALL(kind, cases) doc_expect_all(kind, cases, sizeof(cases) / sizeof((cases)[0]))

/* Parses text that is known to be JSON. */
static inline json_t *doc_json(const char *text)
{
	json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(j);
	return j;
}

/* Every row of a table and of the tables below it is complete, and its default fits itself. */
static inline void doc_walk(const struct json_table *t, int depth)
{
	assert_true(depth < 8);
	assert_true(t->n_rows > 0 && t->n_rows <= 64);
	assert_non_null(t->what);
	for (size_t i = 0; i < t->n_rows; i++) {
		const struct json_row *row = &t->rows[i];
		bool has_sub = row->kind == JSON_KIND_OBJECT || row->kind == JSON_KIND_OBJECTS ||
			       row->kind == JSON_KIND_PARTIAL;

		assert_non_null(row->key);
		assert_ptr_equal(json_rows_find(t, row->key), row); /* no key twice */
		assert_true((unsigned)row->kind < JSON_KIND_MAX);
		assert_non_null(row->expect);
		assert_true(row->offset >= sizeof(struct json_seen) && row->offset < t->size);
		assert_true(row->max == 0 || row->max >= row->min);
		assert_true(row->kind == JSON_KIND_ENUM
				    ? row->names != NULL
				    : !row->names || row->kind == JSON_KIND_STRINGS);
		assert_int_equal(has_sub, row->sub != NULL);
		/* What is no text of several lines has a positive list of characters. */
		if (row->kind == JSON_KIND_STRING || row->kind == JSON_KIND_STRINGS ||
		    row->kind == JSON_KIND_LABELS)
			assert_true(row->is_valid || (row->flags & JSON_ROW_TEXT));
		for (size_t k = 0; k < t->n_rows; k++)
			assert_true(k == i || t->rows[k].offset != row->offset);
		if (row->def) {
			_cleanup_problems_ struct problems *p = problems_new();
			_cleanup_free_ void *obj = calloc(1, t->size);
			json_t *def = json_loads(row->def, JSON_DECODE_ANY, NULL);
			_cleanup_json_ json_t *doc = json_pack("{s:o}", row->key, def);
			struct json_where w = {"", "", p};

			assert_int_equal(json_rows_decode(t, doc, JSON_DECODE_PARTIAL | 0, obj, &w),
					 row->flags & JSON_ROW_FIXED ? -EINVAL : 0);
			json_rows_done(t, obj);
		}
		if (has_sub)
			doc_walk(row->sub, depth + 1);
	}
}
