/* SPDX-License-Identifier: Apache-2.0 */
/* From rows to JSON Schema: what json_rows.c reads, said to editors and to other programs. */
#include <stdint.h>

#include "base/json.h"
#include "base/json_value.h"

/* Control characters (C0, DEL, C1) as the inside of a bracket expression; in texts of several
 * lines newline and tab are none. */
#define CONTROLS "\\u0000-\\u001f\\u007f-\\u009f"
#define CONTROLS_OF_TEXT "\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f"

/* How the walk stands. */
struct walk {
	const char *(*pattern_of)(bool (*is_valid)(const char *));
	bool is_partial; /* below a PARTIAL: nothing is required, nothing has a default */
};

static json_t *table_schema(const struct json_table *t, const struct walk *w);

/* Both take the value, which may be NULL for want of memory; -1 is how jansson says so. */
static int put(json_t *o, const char *key, json_t *value)
{
	return json_object_set_new(o, key, value);
}

static int put_text(json_t *o, const char *key, struct sbuf *text)
{
	return put(o, key, sbuf_ok(text) ? json_string(sbuf_str(text)) : NULL);
}

static bool takes_null(const struct json_row *row)
{
	return row->flags & (JSON_ROW_NULL | JSON_ROW_LIMIT);
}

static int put_type(json_t *o, const struct json_row *row, const char *type)
{
	return put(o, "type",
		   takes_null(row) ? json_pack("[s, s]", type, "null") : json_string(type));
}

static int put_words(json_t *o, const struct json_row *row)
{
	_cleanup_json_ json_t *words = json_array();

	for (size_t i = 0; row->names[i]; i++)
		if (json_array_append_new(words, json_string(row->names[i])) < 0)
			return -1;
	if (takes_null(row) && json_array_append_new(words, json_null()) < 0)
		return -1;
	return put(o, "enum", take_ptr(words));
}

/* --- values of each kind ------------------------------------------------------------------- */

static int put_string(json_t *o, const struct json_row *row, const struct walk *w)
{
	const char *pattern = row->is_valid ? w->pattern_of(row->is_valid) : NULL;

	if (row->kind == JSON_KIND_STRINGS && row->names)
		return put_words(o, row);
	if (!pattern)
		pattern = row->flags & JSON_ROW_TEXT ? "^[^" CONTROLS_OF_TEXT "]*$"
						     : "^[^" CONTROLS "]*$";
	/* The decoder counts bytes, a schema characters: never more of them. */
	if (put(o, "minLength", json_integer(1)) < 0 ||
	    put(o, "maxLength", json_integer((json_int_t)json_row_length_max(row))) < 0)
		return -1;
	return put(o, "pattern", json_string(pattern));
}

static int put_quantity(json_t *o, const struct json_row *row)
{
	_cleanup_sbuf_ struct sbuf pattern = SBUF_INIT;

	json_row_pattern(row, &pattern);
	return put_text(o, "pattern", &pattern);
}

static json_t *bound(const struct json_row *row, uint64_t v)
{
	if (row->kind == JSON_KIND_MILLI && v % 1000 != 0)
		return json_real((double)v / 1000);
	return json_integer((json_int_t)(row->kind == JSON_KIND_MILLI ? v / 1000 : v));
}

/* No multipleOf for thousandths: validators divide in binary, and 0.3 would not pass. Numbers
 * beyond 63 bits are no JSON to the decoder, so without a maximum none is said. */
static int put_range(json_t *o, const struct json_row *row)
{
	bool is_bounded = row->kind != JSON_KIND_I64 || row->max != 0;

	if (is_bounded && put(o, "minimum", bound(row, row->min)) < 0)
		return -1;
	return row->max ? put(o, "maximum", bound(row, row->max)) : 0;
}

static int put_labels(json_t *o, const struct json_row *row, const struct walk *w)
{
	const char *pattern = w->pattern_of(row->is_valid);

	if (pattern && put(o, "propertyNames", json_pack("{s:s}", "pattern", pattern)) < 0)
		return -1;
	if (put(o, "maxProperties", json_integer(JSON_ROW_LABELS_MAX)) < 0)
		return -1;
	return put(o, "additionalProperties",
		   json_pack("{s:s, s:i, s:s}", "type", "string", "maxLength",
			     (int)JSON_ROW_LABEL_VALUE_MAX, "pattern", "^[^" CONTROLS "]*$"));
}

static json_t *item_schema(const struct json_row *row, const struct walk *w)
{
	_cleanup_json_ json_t *o = NULL;

	if (row->kind == JSON_KIND_OBJECTS)
		return table_schema(row->sub, &(struct walk){w->pattern_of, false});
	o = json_pack("{s:s}", "type", "string");
	return o && put_string(o, row, w) == 0 ? take_ptr(o) : NULL;
}

static int put_list(json_t *o, const struct json_row *row, const struct walk *w)
{
	uint64_t max = row->max ? row->max : JSON_ROW_LIST_MAX;

	if ((row->flags & JSON_ROW_SINGLE) &&
	    (put(o, "type", json_pack("[s, s]", "string", "array")) < 0 ||
	     put_string(o, row, w) < 0))
		return -1;
	if (row->min && put(o, "minItems", json_integer((json_int_t)row->min)) < 0)
		return -1;
	if (put(o, "maxItems", json_integer((json_int_t)max)) < 0)
		return -1;
	return put(o, "items", item_schema(row, w));
}

/* An object's schema is that of its table. */
static json_t *object_schema(const struct json_row *row, const struct walk *w)
{
	struct walk below = *w;
	_cleanup_json_ json_t *o = NULL;

	if (row->kind == JSON_KIND_PARTIAL)
		below.is_partial = true;
	else if (row->flags & JSON_ROW_WHOLE)
		below.is_partial = false;
	o = table_schema(row->sub, &below);
	return o && put_type(o, row, "object") == 0 ? take_ptr(o) : NULL;
}

static json_t *value_schema(const struct json_row *row, const struct walk *w)
{
	static const char *const types[JSON_KIND_MAX] = {
		[JSON_KIND_BOOL] = "boolean",  [JSON_KIND_U64] = "integer",
		[JSON_KIND_I64] = "integer",   [JSON_KIND_MILLI] = "number",
		[JSON_KIND_LABELS] = "object", [JSON_KIND_STRINGS] = "array",
		[JSON_KIND_OBJECTS] = "array",
	};
	_cleanup_json_ json_t *o = NULL;
	int r = 0;

	if (row->kind == JSON_KIND_OBJECT || row->kind == JSON_KIND_PARTIAL)
		return object_schema(row, w);
	o = json_object();
	if (!o || put_type(o, row, types[row->kind] ? types[row->kind] : "string") < 0)
		return NULL;
	if (row->kind == JSON_KIND_STRING)
		r = put_string(o, row, w);
	else if (row->kind == JSON_KIND_ENUM)
		r = put_words(o, row);
	else if (row->kind == JSON_KIND_LABELS)
		r = put_labels(o, row, w);
	else if (row->kind == JSON_KIND_STRINGS || row->kind == JSON_KIND_OBJECTS)
		r = put_list(o, row, w);
	else if (json_row_is_quantity(row))
		r = put_quantity(o, row);
	else if (row->kind != JSON_KIND_BOOL)
		r = put_range(o, row);
	return r == 0 ? take_ptr(o) : NULL;
}

/* --- what is said beside the value ---------------------------------------------------------- */

/* What the row expects; and the range of a quantity, of which no keyword of a schema knows. */
static int put_description(json_t *o, const struct json_row *row)
{
	_cleanup_sbuf_ struct sbuf text = SBUF_INIT;
	char at[NUM_TEXT];

	sbuf_adds(&text, json_row_expect(row));
	if (json_row_is_quantity(row) && row->min) {
		json_row_bound(row, row->min, at);
		sbuf_addf(&text, ", at least %s", at);
	}
	if (json_row_is_quantity(row) && row->max) {
		json_row_bound(row, row->max, at);
		sbuf_addf(&text, ", at most %s", at);
	}
	if (row->flags & JSON_ROW_LIMIT)
		sbuf_adds(&text, "; null for no limit");
	return put_text(o, "description", &text);
}

/* What absence means, where that is a value; NULL = it is none. */
static json_t *default_of(const struct json_row *row)
{
	if (row->def)
		return json_loads(row->def, JSON_DECODE_ANY, NULL);
	if (takes_null(row) && row->kind != JSON_KIND_OBJECT)
		return json_null();
	if (row->kind == JSON_KIND_BOOL)
		return json_false();
	if (row->kind == JSON_KIND_STRINGS || row->kind == JSON_KIND_OBJECTS)
		return json_array();
	return row->kind == JSON_KIND_LABELS ? json_object() : NULL;
}

static int put_default(json_t *o, const struct json_row *row, const struct walk *w)
{
	json_t *def;

	if (w->is_partial || (row->flags & JSON_ROW_REQUIRED))
		return 0;
	def = default_of(row);
	if (!def)
		return row->def ? -1 : 0;
	return put(o, "default", def);
}

/* Examples of text have no quotes in the rows, unless blanks in them ask for some. */
static json_t *example_of(const struct json_row *row)
{
	const char *s = json_row_example(row);
	bool is_text = row->kind == JSON_KIND_STRING || row->kind == JSON_KIND_STRINGS ||
		       row->kind == JSON_KIND_ENUM || json_row_is_quantity(row);

	return is_text && s[0] != '"' ? json_string(s) : json_loads(s, JSON_DECODE_ANY, NULL);
}

static int put_example(json_t *o, const struct json_row *row)
{
	if (!json_row_example(row) || row->kind == JSON_KIND_BOOL)
		return 0;
	/* The example of a list of strings is one of them. */
	if (row->kind == JSON_KIND_STRINGS)
		o = json_object_get(o, "items");
	return put(o, "examples", json_pack("[o]", example_of(row)));
}

static json_t *row_schema(const struct json_row *row, const struct walk *w)
{
	_cleanup_json_ json_t *o = value_schema(row, w);

	if (!o || put_description(o, row) < 0 || put_default(o, row, w) < 0 ||
	    put_example(o, row) < 0)
		return NULL;
	return take_ptr(o);
}

static int put_rows(const struct json_table *t, const struct walk *w, json_t *properties,
		    json_t *required)
{
	for (size_t i = 0; i < t->n_rows; i++) {
		const struct json_row *row = &t->rows[i];

		if (w->is_partial && (row->flags & JSON_ROW_FIXED))
			continue;
		if (put(properties, row->key, row_schema(row, w)) < 0)
			return -1;
		if (!w->is_partial && (row->flags & JSON_ROW_REQUIRED) &&
		    json_array_append_new(required, json_string(row->key)) < 0)
			return -1;
	}
	return 0;
}

static json_t *table_schema(const struct json_table *t, const struct walk *w)
{
	_cleanup_json_ json_t *o = json_pack("{s:s, s:s, s:b}", "title", t->what, "type", "object",
					     "additionalProperties", 0);
	_cleanup_json_ json_t *properties = json_object();
	_cleanup_json_ json_t *required = json_array();

	if (t->is_document && !w->is_partial &&
	    put(properties, JSON_SCHEMA_KEY,
		json_pack("{s:s, s:s}", "type", "string", "description",
			  "where this schema is, for editors")) < 0)
		return NULL;
	if (!o || put_rows(t, w, properties, required) < 0)
		return NULL;
	if (json_array_size(required) > 0 && json_object_set(o, "required", required) < 0)
		return NULL;
	return json_object_set(o, "properties", properties) == 0 ? take_ptr(o) : NULL;
}

json_t *json_rows_schema(const struct json_table *t,
			 const char *(*pattern_of)(bool (*is_valid)(const char *)))
{
	return table_schema(t, &(struct walk){pattern_of, false});
}
