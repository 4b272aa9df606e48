/* SPDX-License-Identifier: Apache-2.0 */
/* image.json: one row per key serves parser and printer. */
#include "images/manifest.h"

#include <jansson.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

enum field_type {
	FIELD_TEXT,
	FIELD_COUNT,
};

struct field {
	const char *key;
	enum field_type type;
	size_t offset;
	size_t size; /* of a text */
};

#define TEXT(key, member)                                                                          \
	{                                                                                          \
		key, FIELD_TEXT, offsetof(struct img_manifest, member),                            \
			sizeof(((struct img_manifest *)NULL)->member)                              \
	}
#define COUNT(key, member)                                                                         \
	{                                                                                          \
		key, FIELD_COUNT, offsetof(struct img_manifest, member), 0                         \
	}

static const struct field fields[] = {
	TEXT("digest", digest),		 TEXT("format", format),
	COUNT("created", created),	 COUNT("archive_bytes", archive_bytes),
	COUNT("size_bytes", size_bytes), COUNT("entries", entries),
};

static const struct field os_fields[] = {
	TEXT("id", os.id),
	TEXT("version", os.version),
	TEXT("name", os.name),
};

#define N_ROWS(rows) (sizeof(rows) / sizeof((rows)[0]))

static void cleanup_json(json_t **j)
{
	json_decref(*j);
}
#define _cleanup_json_ _cleanup_(cleanup_json)

static int parse_field(const json_t *value, const struct field *f, struct img_manifest *m,
		       struct err *err)
{
	char *at = (char *)m + f->offset;

	if (f->type == FIELD_TEXT) {
		const char *s = json_string_value(value);

		if (!s || strlen(s) != json_string_length(value) || !str_is_clean_utf8(s) ||
		    str_copy(at, f->size, s) < 0)
			return err_set(err, EBADMSG, "image manifest: '%s' is not a short text",
				       f->key);
		return 0;
	}
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return err_set(err, EBADMSG, "image manifest: '%s' is not a count", f->key);
	*(uint64_t *)(void *)at = (uint64_t)json_integer_value(value);
	return 0;
}

/* All rows must be there, and nothing beside them but 'extra' keys that the caller reads. */
static int parse_rows(const json_t *object, const struct field *rows, size_t n, size_t extra,
		      struct img_manifest *m, struct err *err)
{
	if (json_object_size(object) != n + extra)
		return err_set(err, EBADMSG, "image manifest: keys are missing or unknown");
	for (size_t i = 0; i < n; i++) {
		const json_t *value = json_object_get(object, rows[i].key);
		int r;

		if (!value)
			return err_set(err, EBADMSG, "image manifest: '%s' is missing",
				       rows[i].key);
		r = parse_field(value, &rows[i], m, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_warnings(const json_t *list, struct img_manifest *m, struct err *err)
{
	if (!json_is_array(list) || json_array_size(list) > IMG_WARNINGS_MAX)
		return err_set(err, EBADMSG, "image manifest: 'warnings' is not a short list");
	m->n_warnings = json_array_size(list);
	for (size_t i = 0; i < m->n_warnings; i++) {
		const struct field row = {"warnings", FIELD_TEXT,
					  offsetof(struct img_manifest, warnings) +
						  i * IMG_WARNING_TEXT,
					  IMG_WARNING_TEXT};
		int r = parse_field(json_array_get(list, i), &row, m, err);

		if (r < 0)
			return r;
	}
	return 0;
}

int img_manifest_parse(const char *text, size_t len, struct img_manifest *ret, struct err *err)
{
	_cleanup_free_ struct img_manifest *m = calloc(1, sizeof(*m));
	_cleanup_json_ json_t *root = NULL;
	const json_t *os;
	json_error_t je;
	int r;

	if (!m)
		return err_set(err, ENOMEM, "cannot read image manifest: out of memory");
	if (len > IMG_MANIFEST_MAX)
		return err_set(err, EBADMSG, "image manifest: too long");
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
	if (!json_is_object(root))
		return err_set(err, EBADMSG, "image manifest: not a JSON object");
	r = parse_rows(root, fields, N_ROWS(fields), 2, m, err);
	if (r < 0)
		return r;
	os = json_object_get(root, "os");
	if (!json_is_object(os))
		return err_set(err, EBADMSG, "image manifest: 'os' is not an object");
	r = parse_rows(os, os_fields, N_ROWS(os_fields), 0, m, err);
	if (r < 0)
		return r;
	r = parse_warnings(json_object_get(root, "warnings"), m, err);
	if (r < 0)
		return r;
	if (!str_is_digest(m->digest))
		return err_set(err, EBADMSG, "image manifest: 'digest' is not a digest");
	*ret = *m;
	return 0;
}

/* Adds all rows to an object; a failed allocation shows as false. */
static bool print_rows(json_t *object, const struct field *rows, size_t n,
		       const struct img_manifest *m)
{
	for (size_t i = 0; i < n; i++) {
		const char *at = (const char *)m + rows[i].offset;
		json_t *value =
			rows[i].type == FIELD_TEXT
				? json_string(at)
				: json_integer((json_int_t) * (const uint64_t *)(const void *)at);

		if (json_object_set_new(object, rows[i].key, value) < 0)
			return false;
	}
	return true;
}

json_t *img_manifest_json(const struct img_manifest *m)
{
	_cleanup_json_ json_t *root = json_object();
	json_t *os = json_object();
	json_t *warnings = json_array();

	/* The _set_new functions take os and warnings in any case. */
	if (json_object_set_new(root, "os", os) < 0 ||
	    json_object_set_new(root, "warnings", warnings) < 0 ||
	    !print_rows(root, fields, N_ROWS(fields), m) ||
	    !print_rows(os, os_fields, N_ROWS(os_fields), m))
		return NULL;
	for (size_t i = 0; i < m->n_warnings; i++)
		if (json_array_append_new(warnings, json_string(m->warnings[i])) < 0)
			return NULL;
	return take_ptr(root);
}

int img_manifest_print(const struct img_manifest *m, char **ret, struct err *err)
{
	_cleanup_json_ json_t *root = img_manifest_json(m);
	_cleanup_free_ char *text = root ? json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	_cleanup_sbuf_ struct sbuf line = SBUF_INIT;

	if (text) {
		sbuf_adds(&line, text);
		sbuf_addc(&line, '\n');
	}
	if (!text || !sbuf_ok(&line))
		return err_set(err, ENOMEM, "cannot print image manifest: out of memory");
	*ret = sbuf_take(&line);
	return 0;
}

void img_manifest_warn(struct img_manifest *m, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (m->n_warnings >= IMG_WARNINGS_MAX)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* cut is fine */
	va_end(ap);
	str_escape(m->warnings[m->n_warnings++], IMG_WARNING_TEXT, text);
}
