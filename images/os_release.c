/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os-release(5): shell-like assignments, one a line. We take three keys and undo plain quoting;
 * whoever writes anything cleverer gets an empty value, never an interpreted one.
 */
#include "images/os_release.h"

#include <stdbool.h>
#include <string.h>

#include "base/str.h"

#define IDENTIFIER_CHARS "abcdefghijklmnopqrstuvwxyz0123456789._-"

/* Copies the value of one assignment without its quotes; false when it does not fit or is odd. */
static bool unquote(const char *v, size_t len, char *dst, size_t size)
{
	char quote = '\0';
	size_t n = 0;

	if (len > 0 && (v[0] == '"' || v[0] == '\'')) {
		quote = v[0];
		if (len < 2 || v[len - 1] != quote)
			return false;
		v++;
		len -= 2;
	}
	for (size_t i = 0; i < len; i++) {
		if (v[i] == '\\' && quote != '\'') {
			if (++i == len)
				return false;
		} else if (v[i] == quote && quote != '\0') {
			return false;
		}
		if (v[i] == '\0' || n + 1 >= size)
			return false;
		dst[n++] = v[i];
	}
	dst[n] = '\0';
	return true;
}

static bool is_identifier(const char *s)
{
	return s[strspn(s, IDENTIFIER_CHARS)] == '\0';
}

static void parse_line(const char *line, size_t len, struct img_os *os)
{
	const struct {
		const char *key;
		char *dst;
		size_t size;
		bool (*valid)(const char *s);
	} rows[] = {
		{"ID", os->id, sizeof(os->id), is_identifier},
		{"VERSION_ID", os->version, sizeof(os->version), is_identifier},
		{"PRETTY_NAME", os->name, sizeof(os->name), str_is_clean_utf8},
	};
	const char *eq = memchr(line, '=', len);

	if (!eq)
		return;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t key_len = (size_t)(eq - line);

		if (key_len != strlen(rows[i].key) || memcmp(line, rows[i].key, key_len) != 0)
			continue;
		/* As in a shell, the last assignment counts; an odd one clears the value. */
		if (!unquote(eq + 1, len - key_len - 1, rows[i].dst, rows[i].size) ||
		    !rows[i].valid(rows[i].dst))
			rows[i].dst[0] = '\0';
	}
}

void img_os_release_parse(const char *text, size_t len, struct img_os *ret)
{
	*ret = (struct img_os){0};
	if (len > IMG_OS_RELEASE_MAX)
		len = IMG_OS_RELEASE_MAX;
	while (len > 0) {
		const char *nl = memchr(text, '\n', len);
		size_t line = nl ? (size_t)(nl - text) : len;
		size_t used = line;

		while (line > 0 && (text[line - 1] == ' ' || text[line - 1] == '\r'))
			line--;
		parse_line(text, line, ret);
		used += nl != NULL;
		text += used;
		len -= used;
	}
}
