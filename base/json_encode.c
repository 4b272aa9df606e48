/* SPDX-License-Identifier: Apache-2.0 */
/* From structs to JSON by rows, and deep copies of structs. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/json_value.h"

/* --- encoding ------------------------------------------------------------------------------ */

static bool is_zero(const struct json_row *row, const void *field)
{
	static const char zero[sizeof(uint64_t)];

	if (row->kind == JSON_KIND_BOOL)
		return !*(const bool *)field;
	return memcmp(field, zero, row->kind == JSON_KIND_ENUM ? sizeof(int) : sizeof(uint64_t)) ==
	       0;
}

static bool is_unlimited(const struct json_row *row, const void *field)
{
	uint64_t v;

	if (!(row->flags & JSON_ROW_LIMIT))
		return false;
	memcpy(&v, field, sizeof(v));
	return v == JSON_UNLIMITED;
}

static json_t *write_strings(const struct json_row *row, const void *field)
{
	_cleanup_json_ json_t *list = json_array();
	struct json_list l = json_list_get(field);

	if ((row->flags & JSON_ROW_SINGLE) && l.n == 1)
		return json_string(*(char **)l.items);
	for (size_t i = 0; list && i < l.n; i++)
		if (json_array_append_new(list, json_string(((char **)l.items)[i])) < 0)
			return NULL;
	return take_ptr(list);
}

static json_t *write_objects(const struct json_row *row, const void *field, unsigned flags)
{
	_cleanup_json_ json_t *list = json_array();
	struct json_list l = json_list_get(field);

	for (size_t i = 0; list && i < l.n; i++)
		if (json_array_append_new(
			    list, json_rows_encode(row->sub, (char *)l.items + i * row->sub->size,
						   flags)) < 0)
			return NULL;
	return take_ptr(list);
}

static json_t *write_labels(const struct json_labels *labels)
{
	_cleanup_json_ json_t *o = json_object();

	for (size_t i = 0; o && i < labels->n; i++)
		if (json_object_set_new(o, labels->items[i].key,
					json_string(labels->items[i].value)) < 0)
			return NULL;
	return take_ptr(o);
}

static json_t *write_field(const struct json_row *row, const void *field, unsigned flags)
{
	if (is_unlimited(row, field))
		return json_null();
	if (json_row_is_number(row))
		return json_number_write(row, field);
	if (row->kind == JSON_KIND_STRINGS)
		return write_strings(row, field);
	if (row->kind == JSON_KIND_OBJECTS)
		return write_objects(row, field, flags);
	if (row->kind == JSON_KIND_LABELS)
		return write_labels(field);
	if (row->kind == JSON_KIND_OBJECT)
		return json_rows_encode(row->sub, field, flags);
	if (row->kind == JSON_KIND_PARTIAL)
		return *(json_t *const *)field ? json_deep_copy(*(json_t *const *)field)
					       : json_null();
	return *(char *const *)field ? json_string(*(char *const *)field) : json_null();
}

/* Whether a key that no document had is shown among the defaults. */
static bool is_shown(const struct json_row *row, const void *field)
{
	if (row->def || (row->flags & (JSON_ROW_NULL | JSON_ROW_LIMIT)))
		return true;
	if (row->kind == JSON_KIND_STRING)
		return *(char *const *)field != NULL;
	if (row->kind == JSON_KIND_PARTIAL)
		return *(json_t *const *)field != NULL;
	return !json_row_is_number(row) || !is_zero(row, field);
}

json_t *json_rows_encode(const struct json_table *t, const void *obj, unsigned flags)
{
	_cleanup_json_ json_t *o = json_object();
	const struct json_seen *seen = obj;

	for (size_t i = 0; o && i < t->n_rows; i++) {
		const struct json_row *row = &t->rows[i];
		const void *field = json_field_const(row, obj);
		bool is_set = seen->set & 1ull << i, is_null = seen->null & 1ull << i;
		_cleanup_json_ json_t *v = NULL;

		if (!is_set && !is_null && !((flags & JSON_ENCODE_ALL) && is_shown(row, field)))
			continue;
		/* Normalised, null says what it means: the defaults of an object are spelled out.
		 */
		if (is_null && !(flags & JSON_ENCODE_ALL))
			v = json_null();
		else
			v = write_field(row, field, flags);
		if (!v)
			return NULL;
		if (row->kind == JSON_KIND_OBJECT && !is_set && json_object_size(v) == 0)
			continue;
		if (json_object_set(o, row->key, v) < 0)
			return NULL;
	}
	return take_ptr(o);
}

/* --- copying ------------------------------------------------------------------------------- */

static int copy_string(char **dst, const char *src)
{
	*dst = src ? strdup(src) : NULL;
	return !src || *dst ? 0 : -ENOMEM;
}

static int copy_strings(void *dst, const void *src)
{
	struct json_list from = json_list_get(src);
	struct json_list to = {from.n ? calloc(from.n, sizeof(char *)) : NULL, from.n};

	if (from.n > 0 && !to.items)
		return -ENOMEM;
	json_list_put(dst, to);
	for (size_t i = 0; i < from.n; i++)
		if (copy_string(&((char **)to.items)[i], ((char **)from.items)[i]) < 0)
			return -ENOMEM;
	return 0;
}

static int copy_rows(const struct json_table *t, void *dst, const void *src);

static int copy_objects(const struct json_row *row, void *dst, const void *src)
{
	struct json_list from = json_list_get(src);
	struct json_list to = {from.n ? calloc(from.n, row->sub->size) : NULL, from.n};

	if (from.n > 0 && !to.items)
		return -ENOMEM;
	json_list_put(dst, to);
	for (size_t i = 0; i < from.n; i++) {
		size_t at = i * row->sub->size;

		if (copy_rows(row->sub, (char *)to.items + at, (char *)from.items + at) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int copy_labels(struct json_labels *dst, const struct json_labels *src)
{
	if (src->n == 0)
		return 0;
	dst->items = calloc(src->n, sizeof(dst->items[0]));
	if (!dst->items)
		return -ENOMEM;
	for (; dst->n < src->n; dst->n++)
		if (copy_string(&dst->items[dst->n].key, src->items[dst->n].key) < 0 ||
		    copy_string(&dst->items[dst->n].value, src->items[dst->n].value) < 0) {
			dst->n++;
			return -ENOMEM;
		}
	return 0;
}

static int copy_field(const struct json_row *row, void *dst, const void *src)
{
	if (row->kind == JSON_KIND_BOOL) {
		*(bool *)dst = *(const bool *)src;
		return 0;
	}
	if (json_row_is_number(row)) {
		memcpy(dst, src, row->kind == JSON_KIND_ENUM ? sizeof(int) : sizeof(uint64_t));
		return 0;
	}
	if (row->kind == JSON_KIND_STRING)
		return copy_string(dst, *(char *const *)src);
	if (row->kind == JSON_KIND_STRINGS)
		return copy_strings(dst, src);
	if (row->kind == JSON_KIND_OBJECTS)
		return copy_objects(row, dst, src);
	if (row->kind == JSON_KIND_LABELS)
		return copy_labels(dst, src);
	if (row->kind == JSON_KIND_OBJECT)
		return copy_rows(row->sub, dst, src);
	*(json_t **)dst = json_deep_copy(*(json_t *const *)src);
	return *(json_t *const *)src && !*(json_t **)dst ? -ENOMEM : 0;
}

/* dst is zero. */
static int copy_rows(const struct json_table *t, void *dst, const void *src)
{
	*(struct json_seen *)dst = *(const struct json_seen *)src;
	for (size_t i = 0; i < t->n_rows; i++)
		if (copy_field(&t->rows[i], json_field(&t->rows[i], dst),
			       json_field_const(&t->rows[i], src)) < 0)
			return -ENOMEM;
	return 0;
}

int json_rows_copy(const struct json_table *t, void *dst, const void *src)
{
	memset(dst, 0, t->size);
	if (copy_rows(t, dst, src) == 0)
		return 0;
	json_rows_done(t, dst);
	return -ENOMEM;
}
