/* SPDX-License-Identifier: Apache-2.0 */
/* Dotted paths: a walk over the rows of the plan. */
#include "config/override.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "config/plan.h"

#define DEPTH_MAX 8u
#define LEAVES_MAX 128u

/* --- keys ------------------------------------------------------------------------------------ */

/* All keys that are no objects, by their paths. */
struct leaves {
	char text[LEAVES_MAX][SPEC_OVERRIDE_PATH];
	const char *names[LEAVES_MAX + 1];
	size_t n;
};

static void collect(const struct json_table *t, const char *prefix, struct leaves *ret)
{
	for (size_t i = 0; i < t->n_rows; i++) {
		const struct json_row *row = &t->rows[i];
		char path[SPEC_OVERRIDE_PATH];

		if ((row->flags & JSON_ROW_FIXED) || ret->n >= LEAVES_MAX ||
		    str_fmt(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "", row->key) < 0)
			continue;
		if (row->kind == JSON_KIND_OBJECT) {
			collect(row->sub, path, ret);
			continue;
		}
		(void)str_copy(ret->text[ret->n], SPEC_OVERRIDE_PATH, path);
		ret->names[ret->n] = ret->text[ret->n];
		ret->n++;
	}
}

/* "limit" is most likely memory.limit; else what is written nearly alike. */
static const char *nearest(const struct leaves *l, const char *path)
{
	for (size_t i = 0; i < l->n; i++) {
		const char *last = strrchr(l->names[i], '.');

		if (last && str_eq(last + 1, path))
			return l->names[i];
	}
	return str_nearest(path, l->names);
}

static int unknown(const char *path, const struct json_where *w)
{
	_cleanup_sbuf_ struct sbuf known = SBUF_INIT;
	struct leaves l = {.n = 0};
	char shown[SPEC_OVERRIDE_PATH];
	const char *near;

	collect(&spec_plan_table, "", &l);
	str_escape(shown, sizeof(shown), path);
	near = nearest(&l, path);
	if (near)
		return problems_add(w, shown, NULL, "unknown key; did you mean \"%s\"?", near);
	for (size_t i = 0; i < l.n; i++)
		sbuf_addf(&known, "%s%s", i ? ", " : "", l.names[i]);
	return problems_add(w, shown, NULL, "unknown key; a plan has %s", sbuf_str(&known));
}

/* The words of a path, and the row that the last one names. */
struct walk {
	char text[SPEC_OVERRIDE_PATH];
	const char *words[DEPTH_MAX];
	size_t n;
	const struct json_row *row;
};

static int find(const char *path, struct walk *ret, const struct json_where *w)
{
	const struct json_table *t = &spec_plan_table;
	char *rest = ret->text, *word;

	if (str_copy(ret->text, sizeof(ret->text), path) < 0)
		return unknown(path, w);
	for (ret->n = 0; (word = strsep(&rest, ".")); ret->n++) {
		if (!t || ret->n == DEPTH_MAX)
			return unknown(path, w);
		ret->words[ret->n] = word;
		ret->row = json_rows_find(t, word);
		if (!ret->row)
			return unknown(path, w);
		t = ret->row->kind == JSON_KIND_OBJECT ? ret->row->sub : NULL;
	}
	if (ret->row->flags & JSON_ROW_FIXED)
		return problems_add(w, path, NULL, "cannot be changed here; it names a plan");
	return 0;
}

/* --- values ---------------------------------------------------------------------------------- */

/* Quantities with a unit are text in documents, too. */
static bool is_text(enum json_kind kind)
{
	return kind == JSON_KIND_SIZE || kind == JSON_KIND_BYTERATE || kind == JSON_KIND_BITRATE ||
	       kind == JSON_KIND_RATE || kind == JSON_KIND_DURATION || kind == JSON_KIND_ENUM ||
	       kind == JSON_KIND_STRING;
}

/* New reference. Text that is not what the row wants stays text, to be refused as such. */
static json_t *as_wanted(const struct json_row *row, const json_t *value)
{
	const char *text = json_string_value(value);
	json_t *read;

	if (!text || (is_text(row->kind) && !str_eq(text, "null")))
		return json_deep_copy(value);
	read = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	return read ? read : json_deep_copy(value);
}

int spec_override_set(json_t *overrides, const char *path, const json_t *value,
		      const struct json_where *w)
{
	struct walk at;
	json_t *o = overrides;
	int r = find(path, &at, w);

	if (r < 0)
		return r;
	for (size_t i = 0; i + 1 < at.n; i++) {
		json_t *next = json_object_get(o, at.words[i]);

		if (!json_is_object(next)) {
			next = json_object();
			if (json_object_set_new(o, at.words[i], next) < 0)
				return -ENOMEM;
		}
		o = next;
	}
	return json_object_set_new(o, at.words[at.n - 1], as_wanted(at.row, value)) < 0 ? -ENOMEM
											: 0;
}

/* Takes words[0..n-1] away below o. */
static void take_away(json_t *o, const char *const *words, size_t n)
{
	json_t *below = json_object_get(o, words[0]);

	if (n == 1) {
		(void)json_object_del(o, words[0]);
		return;
	}
	if (!json_is_object(below))
		return;
	take_away(below, words + 1, n - 1);
	if (json_object_size(below) == 0)
		(void)json_object_del(o, words[0]);
}

int spec_override_unset(json_t *overrides, const char *path, const struct json_where *w)
{
	struct walk at;
	int r = find(path, &at, w);

	if (r >= 0)
		take_away(overrides, at.words, at.n);
	return r;
}

/* --- differences ----------------------------------------------------------------------------- */

static int compare_below(const json_t *from, const json_t *to, const char *prefix, json_t *list)
{
	const char *key;
	json_t *b;

	json_object_foreach ((json_t *)(uintptr_t)to, key, b) {
		json_t *a = json_object_get(from, key), *row;
		char path[SPEC_OVERRIDE_PATH];

		if (a && json_equal(a, b))
			continue;
		if (str_fmt(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "", key) < 0)
			continue;
		if (json_is_object(a) && json_is_object(b)) {
			int r = compare_below(a, b, path, list);

			if (r < 0)
				return r;
			continue;
		}
		row = json_pack("{s:s, s:O?, s:O}", "field", path, "from", a, "to", b);
		if (json_array_append_new(list, row) < 0)
			return -ENOMEM;
	}
	return 0;
}

int spec_compare(const json_t *from, const json_t *to, json_t *list)
{
	return compare_below(from, to, "", list);
}
