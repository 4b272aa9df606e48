/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scalars of the JSON rows: one JSON value to one C field and back; and how the walks over the rows
 * reach a field. Private to base/json*.
 */
#pragma once

#include <string.h>

#include "base/json.h"
#include "base/num.h"

/* Most that is read where a row has no maximum of its own: items, labels, bytes. */
#define JSON_ROW_LIST_MAX 10000u
#define JSON_ROW_LABELS_MAX 64u
#define JSON_ROW_LABEL_VALUE_MAX 255u
#define JSON_ROW_STRING_MAX 1024u
#define JSON_ROW_TEXT_MAX 65536u

/* Text of a value for people: "\"2 GB\"", "5", "{...}"; escaped, cut to about 60 bytes. */
#define JSON_VALUE_TEXT 96
void json_value_text(char dst[JSON_VALUE_TEXT], const json_t *value);
/* What the row expects, never NULL. */
const char *json_row_expect(const struct json_row *row);
/* Right form of a value, as text without quotes; NULL = none is known. */
const char *json_row_example(const struct json_row *row);
/* Whether its numbers are text with a unit. */
bool json_row_is_quantity(const struct json_row *row);
/* Regular expression for the text of a quantity; of its range only whether zero is in it. */
void json_row_pattern(const struct json_row *row, struct sbuf *out);
/* A bound of a number-like row in the form that a document has, without quotes. */
void json_row_bound(const struct json_row *row, uint64_t v, char dst[NUM_TEXT]);
/* Most bytes of a string of STRING or STRINGS. */
size_t json_row_length_max(const struct json_row *row);
/* Adds "VALUE is not EXPECTED" with the right form behind it when it can be guessed. */
int json_value_wrong(const struct json_row *row, const json_t *value, const char *key,
		     const struct json_where *w);
/* Reads a number-like, boolean or enum value into *field (uint64_t, int64_t, bool or int by the
 * row's kind); untouched on failure. */
int json_number_read(const struct json_row *row, const json_t *value, void *field,
		     const struct json_where *w);
/* Checks a string against the row: type, length, control characters, validator. 'key' is where it
 * stands ("ssh_keys[2]"). */
int json_string_check(const struct json_row *row, const json_t *value, const char *key,
		      const struct json_where *w);
/* The value of a number-like field; NULL when memory is short. */
json_t *json_number_write(const struct json_row *row, const void *field);

/* What all JSON_LIST() members look like; they are read and written by memcpy(), because their
 * pointers have other types. */
struct json_list {
	void *items;
	size_t n;
};

static inline void *json_field(const struct json_row *row, void *obj)
{
	return (char *)obj + row->offset;
}

static inline const void *json_field_const(const struct json_row *row, const void *obj)
{
	return (const char *)obj + row->offset;
}

static inline struct json_list json_list_get(const void *field)
{
	struct json_list l;

	memcpy(&l, field, sizeof(l));
	return l;
}

static inline void json_list_put(void *field, struct json_list l)
{
	memcpy(field, &l, sizeof(l));
}

static inline bool json_row_is_number(const struct json_row *row)
{
	return row->kind != JSON_KIND_STRING && row->kind < JSON_KIND_LABELS;
}
