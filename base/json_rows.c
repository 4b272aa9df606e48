/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From JSON to structs by rows: defaults, decoding and freeing. The way back is in json_encode.c,
 * the scalars are in json_value.c.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/json_value.h"

#define PATH_TEXT 512

/* --- freeing ------------------------------------------------------------------------------- */

static void field_done(const struct json_row *row, void *field)
{
	struct json_list l;

	switch (row->kind) {
	case JSON_KIND_STRING:
		free(*(char **)field);
		*(char **)field = NULL;
		break;
	case JSON_KIND_STRINGS:
		l = json_list_get(field);
		for (size_t i = 0; i < l.n; i++)
			free(((char **)l.items)[i]);
		free(l.items);
		json_list_put(field, (struct json_list){NULL, 0});
		break;
	case JSON_KIND_OBJECTS:
		l = json_list_get(field);
		for (size_t i = 0; i < l.n; i++)
			json_rows_done(row->sub, (char *)l.items + i * row->sub->size);
		free(l.items);
		json_list_put(field, (struct json_list){NULL, 0});
		break;
	case JSON_KIND_LABELS: {
		struct json_labels *labels = field;

		for (size_t i = 0; i < labels->n; i++) {
			free(labels->items[i].key);
			free(labels->items[i].value);
		}
		free(labels->items);
		*labels = (struct json_labels){NULL, 0};
		break;
	}
	case JSON_KIND_OBJECT:
		json_rows_done(row->sub, field);
		break;
	case JSON_KIND_PARTIAL:
		json_decref(*(json_t **)field);
		*(json_t **)field = NULL;
		break;
	case JSON_KIND_BOOL:
	case JSON_KIND_U64:
	case JSON_KIND_I64:
	case JSON_KIND_SIZE:
	case JSON_KIND_BYTERATE:
	case JSON_KIND_BITRATE:
	case JSON_KIND_RATE:
	case JSON_KIND_DURATION:
	case JSON_KIND_MILLI:
	case JSON_KIND_ENUM:
	case JSON_KIND_MAX:
	default:
		break;
	}
}

void json_rows_done(const struct json_table *t, void *obj)
{
	for (size_t i = 0; i < t->n_rows; i++)
		field_done(&t->rows[i], json_field(&t->rows[i], obj));
	memset(obj, 0, t->size);
}

/* --- decoding ------------------------------------------------------------------------------ */

static int decode_onto(const struct json_table *t, const json_t *doc, unsigned flags, void *obj,
		       const struct json_where *w);
static int set_defaults(const struct json_table *t, void *obj);

/* Path one level down; what is too long for people to read becomes "...". */
static struct json_where where_below(const struct json_where *w, const char *key,
				     char buf[PATH_TEXT])
{
	const char *path = w->path ? w->path : "";

	if (str_fmt(buf, PATH_TEXT, "%s%s%s", path, path[0] && key[0] != '[' ? "." : "", key) < 0)
		(void)str_copy(buf, PATH_TEXT, "...");
	return (struct json_where){.file = w->file, .path = buf, .problems = w->problems};
}

static void item_key(char dst[PATH_TEXT], const char *key, size_t i)
{
	(void)str_fmt(dst, PATH_TEXT, "%s[%zu]", key, i);
}

static int read_strings(const struct json_row *row, const json_t *value, void *field,
			const struct json_where *w)
{
	struct json_list l = {NULL, json_array_size(value)};
	char key[PATH_TEXT];
	int bad = 0;

	for (size_t i = 0; i < l.n; i++) {
		item_key(key, row->key, i);
		if (json_string_check(row, json_array_get(value, i), key, w) < 0)
			bad = -EINVAL;
	}
	if (bad < 0 || l.n == 0)
		return bad;
	l.items = calloc(l.n, sizeof(char *));
	if (!l.items)
		return -ENOMEM;
	json_list_put(field, l);
	for (size_t i = 0; i < l.n; i++) {
		((char **)l.items)[i] = strdup(json_string_value(json_array_get(value, i)));
		if (!((char **)l.items)[i])
			return -ENOMEM;
	}
	return 0;
}

static int read_single(const struct json_row *row, const json_t *value, void *field,
		       const struct json_where *w)
{
	struct json_list l = {NULL, 1};
	int r = json_string_check(row, value, row->key, w);

	if (r < 0)
		return r;
	l.items = calloc(1, sizeof(char *));
	if (!l.items)
		return -ENOMEM;
	json_list_put(field, l);
	*(char **)l.items = strdup(json_string_value(value));
	return *(char **)l.items ? 0 : -ENOMEM;
}

static int read_objects(const struct json_row *row, const json_t *value, void *field,
			const struct json_where *w)
{
	struct json_list l = {NULL, json_array_size(value)};
	char key[PATH_TEXT], path[PATH_TEXT];
	int bad = 0;

	if (l.n == 0)
		return 0;
	l.items = calloc(l.n, row->sub->size);
	if (!l.items)
		return -ENOMEM;
	json_list_put(field, l);
	for (size_t i = 0; i < l.n; i++) {
		struct json_where below;
		int r;

		item_key(key, row->key, i);
		below = where_below(w, key, path);
		r = json_rows_decode(row->sub, json_array_get(value, i), 0,
				     (char *)l.items + i * row->sub->size, &below);
		if (r == -ENOMEM)
			return r;
		bad = r < 0 ? r : bad;
	}
	return bad;
}

static int check_label(const struct json_row *row, const char *key, const json_t *value,
		       const struct json_where *w)
{
	const char *s = json_string_value(value);

	if (!row->is_valid(key))
		return problems_add(w, key, NULL,
				    "the key is not a label; use 1 to 63 of a-z A-Z 0-9 . _ / -");
	if (!s)
		return problems_add(w, key, value, "is not a string");
	if (strlen(s) > JSON_ROW_LABEL_VALUE_MAX || !str_is_clean_utf8(s))
		return problems_add(
			w, key, value,
			"is not the value of a label; at most 255 bytes, no control characters");
	return 0;
}

static int read_labels(const struct json_row *row, const json_t *value, struct json_labels *ret,
		       const struct json_where *w)
{
	size_t n = json_object_size(value);
	char path[PATH_TEXT];
	struct json_where below = where_below(w, row->key, path);
	const char *key;
	json_t *v;
	int bad = 0;

	if (n > JSON_ROW_LABELS_MAX)
		return problems_add(w, row->key, NULL, "has %zu labels; at most %u are kept", n,
				    JSON_ROW_LABELS_MAX);
	/* The iteration macros of jansson want a non-const object; nothing is changed. */
	json_object_foreach ((json_t *)(uintptr_t)value, key, v) {
		if (check_label(row, key, v, &below) < 0)
			bad = -EINVAL;
	}
	if (bad < 0 || n == 0)
		return bad;
	ret->items = calloc(n, sizeof(ret->items[0]));
	if (!ret->items)
		return -ENOMEM;
	json_object_foreach ((json_t *)(uintptr_t)value, key, v) {
		struct json_label *l = &ret->items[ret->n++];

		l->key = strdup(key);
		l->value = strdup(json_string_value(v));
		if (!l->key || !l->value)
			return -ENOMEM;
	}
	return 0;
}

/* The document is checked by decoding it into a struct that is thrown away. */
static int read_partial(const struct json_row *row, const json_t *value, json_t **ret,
			const struct json_where *w)
{
	_cleanup_free_ void *scratch = calloc(1, row->sub->size);
	char path[PATH_TEXT];
	struct json_where below = where_below(w, row->key, path);
	int r;

	if (!scratch)
		return -ENOMEM;
	r = decode_onto(row->sub, value, JSON_DECODE_PARTIAL, scratch, &below);
	json_rows_done(row->sub, scratch);
	if (r < 0)
		return r;
	*ret = json_deep_copy(value);
	return *ret ? 0 : -ENOMEM;
}

static int check_list_length(const struct json_row *row, const json_t *value,
			     const struct json_where *w)
{
	size_t n = json_array_size(value);
	size_t max = row->max ? row->max : JSON_ROW_LIST_MAX;

	if (!json_is_array(value))
		return json_value_wrong(row, value, row->key, w);
	if (n < row->min || n > max)
		return problems_add(w, row->key, NULL, "has %zu items; %zu to %zu are accepted", n,
				    (size_t)row->min, max);
	return 0;
}

/* Reads a value that is not null into a field that is empty. */
static int read_field(const struct json_row *row, const json_t *value, unsigned flags, void *obj,
		      const struct json_where *w)
{
	void *field = json_field(row, obj);
	char path[PATH_TEXT];
	struct json_where below;
	int r;

	if (json_row_is_number(row))
		return json_number_read(row, value, field, w);
	if ((row->flags & JSON_ROW_SINGLE) && json_is_string(value))
		return read_single(row, value, field, w);
	if (row->kind == JSON_KIND_STRINGS || row->kind == JSON_KIND_OBJECTS) {
		r = check_list_length(row, value, w);
		if (r < 0)
			return r;
		return row->kind == JSON_KIND_STRINGS ? read_strings(row, value, field, w)
						      : read_objects(row, value, field, w);
	}
	if (row->kind == JSON_KIND_STRING) {
		r = json_string_check(row, value, row->key, w);
		if (r < 0)
			return r;
		*(char **)field = strdup(json_string_value(value));
		return *(char **)field ? 0 : -ENOMEM;
	}
	if (!json_is_object(value))
		return json_value_wrong(row, value, row->key, w);
	if (row->kind == JSON_KIND_LABELS)
		return read_labels(row, value, field, w);
	if (row->kind == JSON_KIND_PARTIAL)
		return read_partial(row, value, field, w);
	below = where_below(w, row->key, path);
	return decode_onto(row->sub, value, flags, field, &below);
}

static void set_unlimited(const struct json_row *row, void *field)
{
	uint64_t unlimited = JSON_UNLIMITED;

	if (row->flags & JSON_ROW_LIMIT)
		memcpy(field, &unlimited, sizeof(unlimited));
}

/* Empties a field and gives it the value that null or absence without a default means. */
static int clear_field(const struct json_row *row, void *field)
{
	field_done(row, field);
	if (row->kind == JSON_KIND_OBJECT)
		return set_defaults(row->sub, field);
	if (json_row_is_number(row) && row->kind != JSON_KIND_BOOL)
		memset(field, 0, row->kind == JSON_KIND_ENUM ? sizeof(int) : sizeof(uint64_t));
	else if (row->kind == JSON_KIND_BOOL)
		*(bool *)field = false;
	set_unlimited(row, field);
	return 0;
}

/* obj is zero. */
static int set_defaults(const struct json_table *t, void *obj)
{
	for (size_t i = 0; i < t->n_rows; i++) {
		const struct json_row *row = &t->rows[i];
		_cleanup_json_ json_t *def = NULL;
		/* A default that does not fit its own row is found by the walk over the tables in
		 * the tests; here it would be an assertion. */
		struct json_where nowhere = {"", "", NULL};
		int r;

		if (row->kind == JSON_KIND_OBJECT) {
			r = set_defaults(row->sub, json_field(row, obj));
			if (r < 0)
				return r;
			continue;
		}
		set_unlimited(row, json_field(row, obj));
		if (!row->def)
			continue;
		def = json_loads(row->def, JSON_DECODE_ANY, NULL);
		if (!def)
			return -ENOMEM;
		r = read_field(row, def, 0, obj, &nowhere);
		if (r < 0)
			return r;
	}
	return 0;
}

static int unknown_key(const struct json_table *t, const char *key, const struct json_where *w)
{
	_cleanup_sbuf_ struct sbuf known = SBUF_INIT;
	const char *names[65] = {NULL};
	const char *near;
	char shown[64];

	for (size_t i = 0; i < t->n_rows; i++) {
		names[i] = t->rows[i].key;
		sbuf_addf(&known, "%s%s", i > 0 ? ", " : "", names[i]);
	}
	str_escape(shown, sizeof(shown), key);
	near = str_nearest(key, names);
	for (size_t i = 0; !near && i < t->n_rows; i++)
		near = strcasecmp(key, names[i]) == 0 ? names[i] : NULL;
	if (near)
		return problems_add(w, shown, NULL, "unknown key; did you mean \"%s\"?", near);
	return problems_add(w, shown, NULL, "unknown key; %s has %s", t->what, sbuf_str(&known));
}

static int read_key(const struct json_table *t, const char *key, const json_t *value,
		    unsigned flags, void *obj, const struct json_where *w)
{
	const struct json_row *row = json_rows_find(t, key);
	struct json_seen *seen = obj;
	uint64_t bit;
	int r;

	if (!row && t->is_document && !(flags & JSON_DECODE_PARTIAL) &&
	    str_eq(key, JSON_SCHEMA_KEY))
		return json_is_string(value) ? 0
					     : problems_add(w, key, value,
							    "is not the place of a schema; write "
							    "it as a string");
	if (!row)
		return unknown_key(t, key, w);
	bit = 1ull << (row - t->rows);
	if ((flags & JSON_DECODE_PARTIAL) && (row->flags & JSON_ROW_FIXED))
		return problems_add(w, key, value, "cannot be changed here; it names %s", t->what);
	if (json_is_null(value)) {
		if (!(row->flags & (JSON_ROW_NULL | JSON_ROW_LIMIT)))
			return json_value_wrong(row, value, row->key, w);
		r = clear_field(row, json_field(row, obj));
		seen->set &= ~bit;
		seen->null |= bit;
		return r;
	}
	/* Objects are merged, everything else is replaced. */
	if (row->kind != JSON_KIND_OBJECT) {
		field_done(row, json_field(row, obj));
	} else if (row->flags & JSON_ROW_WHOLE) {
		flags &= ~(unsigned)JSON_DECODE_PARTIAL;
		r = clear_field(row, json_field(row, obj));
		if (r < 0)
			return r;
	}
	r = read_field(row, value, flags, obj, w);
	if (r == 0) {
		seen->set |= bit;
		seen->null &= ~bit;
	}
	return r;
}

static int missing_key(const struct json_row *row, const struct json_where *w)
{
	return problems_add(w, row->key, NULL,
			    row->example ? "missing; expected %s such as %s"
					 : "missing; expected %s",
			    json_row_expect(row), row->example);
}

static int decode_onto(const struct json_table *t, const json_t *doc, unsigned flags, void *obj,
		       const struct json_where *w)
{
	const struct json_seen *seen = obj;
	int bad = 0;
	const char *key;
	json_t *value;

	if (!json_is_object(doc))
		return problems_add(w, NULL, doc, "is not %s; expected an object {...}", t->what);
	json_object_foreach ((json_t *)(uintptr_t)doc, key, value) {
		int r = read_key(t, key, value, flags, obj, w);

		if (r == -ENOMEM)
			return r;
		bad = r < 0 ? r : bad;
	}
	if (flags & JSON_DECODE_PARTIAL)
		return bad;
	for (size_t i = 0; i < t->n_rows; i++)
		if ((t->rows[i].flags & JSON_ROW_REQUIRED) && !(seen->set & 1ull << i) &&
		    !json_object_get(doc, t->rows[i].key))
			bad = missing_key(&t->rows[i], w);
	return bad;
}

int json_rows_decode(const struct json_table *t, const json_t *doc, unsigned flags, void *obj,
		     const struct json_where *w)
{
	int r;

	assert(t->n_rows <= 64);
	if (!(flags & JSON_DECODE_PARTIAL)) {
		memset(obj, 0, t->size);
		r = set_defaults(t, obj);
		if (r < 0)
			return r;
	}
	r = decode_onto(t, doc, flags, obj, w);
	return r < 0 && w->problems->oom ? -ENOMEM : r;
}

/* --- questions ----------------------------------------------------------------------------- */

const struct json_row *json_rows_find(const struct json_table *t, const char *key)
{
	for (size_t i = 0; i < t->n_rows; i++)
		if (strcmp(t->rows[i].key, key) == 0)
			return &t->rows[i];
	return NULL;
}

static uint64_t bit_of(const struct json_table *t, const char *key)
{
	const struct json_row *row = json_rows_find(t, key);

	assert(row);
	return row ? 1ull << (row - t->rows) : 0;
}

bool json_rows_has(const struct json_table *t, const void *obj, const char *key)
{
	return ((const struct json_seen *)obj)->set & bit_of(t, key);
}

bool json_rows_is_null(const struct json_table *t, const void *obj, const char *key)
{
	return ((const struct json_seen *)obj)->null & bit_of(t, key);
}
