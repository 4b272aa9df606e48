/* SPDX-License-Identifier: Apache-2.0 */
/* Problems of documents, and the step from text to JSON. Rows: json_rows.c, scalars: json_value.c.
 */
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_value.h"
#include "base/num.h"

struct problems *problems_new(void)
{
	return calloc(1, sizeof(struct problems));
}

void problems_free(struct problems *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++) {
		free(p->items[i].file);
		free(p->items[i].path);
		free(p->items[i].value);
		free(p->items[i].text);
	}
	free(p);
}

void problems_freep(struct problems **p)
{
	problems_free(*p);
}

size_t problems_count(const struct problems *p)
{
	return p->n + p->n_more;
}

/* Adds what is in the strings; they are escaped here, so that no caller can forget it: documents
 * and file names come from others and are printed to terminals. */
static void add(const struct json_where *w, const char *path, const char *value, const char *text,
		bool is_syntax)
{
	struct problems *p = w->problems;
	char file[512], where[512], what[800];
	struct problem item;

	if (p->n >= PROBLEMS_MAX) {
		p->n_more++;
		return;
	}
	str_escape(file, sizeof(file), w->file ? w->file : "");
	str_escape(where, sizeof(where), path);
	str_escape(what, sizeof(what), text);
	item = (struct problem){
		.file = strdup(file),
		.path = strdup(where),
		.value = strdup(value),
		.text = strdup(what),
		.is_syntax = is_syntax,
	};
	if (!item.file || !item.path || !item.value || !item.text) {
		free(item.file);
		free(item.path);
		free(item.value);
		free(item.text);
		p->oom = true;
		p->n_more++;
		return;
	}
	p->items[p->n++] = item;
}

int problems_add(const struct json_where *w, const char *key, const json_t *value, const char *fmt,
		 ...)
{
	_cleanup_sbuf_ struct sbuf path = SBUF_INIT;
	_cleanup_sbuf_ struct sbuf text = SBUF_INIT;
	char shown[JSON_VALUE_TEXT] = "";
	va_list ap;

	sbuf_adds(&path, w->path ? w->path : "");
	if (key) {
		if (sbuf_str(&path)[0] && key[0] != '[')
			sbuf_addc(&path, '.');
		sbuf_adds(&path, key);
	}
	if (value) {
		json_value_text(shown, value);
		sbuf_addf(&text, "%s ", shown);
	}
	va_start(ap, fmt);
	sbuf_vaddf(&text, fmt, ap);
	va_end(ap);
	add(w, sbuf_str(&path), shown, sbuf_str(&text), false);
	return -EINVAL;
}

static void format_one(const struct problem *p, struct sbuf *out)
{
	if (p->file[0])
		sbuf_addf(out, p->is_syntax ? "%s:" : "%s: ", p->file);
	if (p->path[0])
		sbuf_addf(out, "%s: ", p->path);
	sbuf_adds(out, p->text);
}

void problems_format(const struct problems *p, struct sbuf *out)
{
	for (size_t i = 0; i < p->n; i++) {
		format_one(&p->items[i], out);
		sbuf_addc(out, '\n');
	}
	if (p->n_more > 0)
		sbuf_addf(out, "... and %zu more\n", p->n_more);
}

int problems_to_err(const struct problems *p, struct err *err)
{
	_cleanup_sbuf_ struct sbuf text = SBUF_INIT;
	size_t n = problems_count(p);

	if (p->n == 0)
		return err_set(err, p->oom ? ENOMEM : EINVAL, "the document is not valid");
	format_one(&p->items[0], &text);
	if (n > 1)
		return err_set(err, EINVAL, "%s (and %zu more)", sbuf_str(&text), n - 1);
	return err_set(err, EINVAL, "%s", sbuf_str(&text));
}

json_t *problems_to_json(const struct problems *p)
{
	_cleanup_json_ json_t *list = json_array();

	for (size_t i = 0; list && i < p->n; i++) {
		const struct problem *item = &p->items[i];
		json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "file", item->file, "path",
				      item->path, "value", item->value, "message", item->text);

		if (!o || json_array_append_new(list, o) < 0)
			return NULL;
	}
	return take_ptr(list);
}

void json_decref_p(json_t **j)
{
	json_decref(*j);
}

static int add_syntax(const struct json_where *w, int line, int column, const char *text)
{
	char place[32];

	(void)snprintf(place, sizeof(place), "%d:%d", line < 1 ? 1 : line, column < 1 ? 1 : column);
	add(w, place, "", text, true);
	return -EINVAL;
}

/* jansson recurses up to a depth that is fixed when it is built (2048): the text is measured
 * before it sees it. Brackets inside strings do not count; malformed text is jansson's to refuse.
 */
static int check_depth(const char *text, size_t len, const struct json_where *w)
{
	bool in_string = false;
	unsigned depth = 0;
	int line = 1, column = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		column += ((unsigned char)c & 0xc0) != 0x80;
		if (c == '\n') {
			line++;
			column = 0;
		} else if (in_string) {
			if (c == '\\')
				i++, column++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > JSON_DEPTH_MAX)
				return add_syntax(w, line, column,
						  "nested too deeply; at most 32 levels are read");
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
	}
	return 0;
}

/* The text need not end with a NUL. */
static bool is_blank(const char *text, size_t len)
{
	while (len > 0 && memchr(" \t\r\n", text[len - 1], 4))
		len--;
	return len == 0;
}

int json_text_load(const char *text, size_t len, size_t max, const struct json_where *w,
		   json_t **ret)
{
	json_error_t e;
	json_t *doc;
	int r;

	if (max == 0)
		max = JSON_TEXT_MAX;
	if (len > max) {
		char size[NUM_TEXT];

		num_format_size(size, max);
		return problems_add(w, NULL, NULL,
				    "the document has %zu bytes; at most %s are read", len, size);
	}
	if (is_blank(text, len))
		return problems_add(w, NULL, NULL, "the document is empty");
	r = check_depth(text, len, w);
	if (r < 0)
		return r;
	doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e);
	if (!doc && json_error_code(&e) == json_error_out_of_memory)
		return -ENOMEM;
	if (!doc)
		return add_syntax(w, e.line, e.column,
				  json_error_code(&e) == json_error_null_character
					  ? "\\u0000 is not allowed in strings"
					  : e.text);
	*ret = doc;
	return 0;
}
