/* SPDX-License-Identifier: Apache-2.0 */
/* Tables, sizes, ages, progress: how things look to people. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/num.h"
#include "cli/cli.h"

#define COLUMNS_MAX 16

struct table {
	unsigned columns;
	size_t width[COLUMNS_MAX];
	char **cells; /* row by row, heads first */
	size_t n, cap;
	bool failed;
};

/* Cells on a screen, for UTF-8: every byte that does not continue a character counts. */
static size_t cell_width(const char *s)
{
	size_t n = 0;
	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void add_cell(struct table *t, const char *text)
{
	char clean[512];
	str_escape(clean, sizeof(clean), text);
	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		char **more = reallocarray(t->cells, cap, sizeof(*more));
		if (!more) {
			t->failed = true;
			return;
		}
		t->cells = more;
		t->cap = cap;
	}
	unsigned column = (unsigned)(t->n % t->columns);
	size_t width = cell_width(clean);
	if (width > t->width[column])
		t->width[column] = width;
	t->cells[t->n++] = strdup(clean);
}

struct table *table_new(const char *const *heads)
{
	struct table *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	while (heads[t->columns] && t->columns < COLUMNS_MAX)
		t->columns++;
	for (unsigned i = 0; i < t->columns; i++)
		add_cell(t, heads[i]);
	return t;
}

void table_cell(struct table *t, const char *fmt, ...)
{
	_cleanup_sbuf_ struct sbuf b = SBUF_INIT;
	va_list ap;
	if (!t)
		return;
	va_start(ap, fmt);
	sbuf_vaddf(&b, fmt, ap);
	va_end(ap);
	add_cell(t, sbuf_str(&b));
}

void table_print(struct table *t)
{
	if (!t || t->failed)
		fputs("vps: no memory for the table\n", stderr);
	for (size_t i = 0; t && i < t->n; i++) {
		unsigned column = (unsigned)(i % t->columns);
		const char *text = t->cells[i] ? t->cells[i] : "";
		bool last = column + 1 == t->columns;
		if (i < t->columns && column == 0 && is_colourful())
			fputs("\033[1m", stdout);
		fputs(text, stdout);
		for (size_t w = cell_width(text); !last && w < t->width[column] + 2; w++)
			putchar(' ');
		if (last) {
			if (i < t->columns && is_colourful())
				fputs("\033[0m", stdout);
			putchar('\n');
		}
		free(t->cells[i]);
	}
	if (t)
		free(t->cells);
	free(t);
}

void cli_say(FILE *out, const char *fmt, ...)
{
	_cleanup_sbuf_ struct sbuf b = SBUF_INIT;
	va_list ap;
	va_start(ap, fmt);
	sbuf_vaddf(&b, fmt, ap);
	va_end(ap);
	for (const char *s = sbuf_str(&b); *s;) {
		size_t n = str_utf8_char(s);
		if (n == 0 && *s != '\n' && *s != '\t') {
			fprintf(out, "\\x%02x", (unsigned char)*s++);
			continue;
		}
		n = n ? n : 1;
		(void)fwrite(s, 1, n, out);
		s += n;
	}
}

bool is_colourful(void)
{
	return isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
}

/* How much is done: of bytes in the unit that fits. */
static void amount(char dst[NUM_TEXT], uint64_t v, bool is_bytes)
{
	if (is_bytes)
		num_format_size_short(dst, v);
	else
		(void)str_fmt(dst, NUM_TEXT, "%llu", (unsigned long long)v);
}

void progress_show(const char *what, uint64_t done, uint64_t total, bool is_bytes)
{
	char have[NUM_TEXT], all[NUM_TEXT], shown[80];
	if (!isatty(STDERR_FILENO) || !*what)
		return;
	str_escape(shown, sizeof(shown), what);
	amount(have, done, is_bytes);
	amount(all, total, is_bytes);
	if (total && done <= total) {
		int filled = (int)((double)done / (double)total * 30);
		fprintf(stderr, "\r\033[K%s [%.*s%*s] %s of %s", shown, filled,
			"##############################", 30 - filled, "", have, all);
	} else if (done) {
		fprintf(stderr, "\r\033[K%s %s", shown, have);
	} else {
		fprintf(stderr, "\r\033[K%s ...", shown);
	}
	fflush(stderr);
}

void progress_clear(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s && *s ? s : "-";
}

void size_of(char dst[CLI_TEXT], const json_t *number)
{
	char text[NUM_TEXT] = "-";
	if (json_is_integer(number) && json_integer_value(number) >= 0)
		num_format_size_short(text, (uint64_t)json_integer_value(number));
	(void)str_copy(dst, CLI_TEXT, text);
}

void age_of(char dst[CLI_TEXT], const json_t *since)
{
	struct tm tm = {0};
	const char *text = json_string_value(since),
		   *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) : NULL;
	(void)str_copy(dst, CLI_TEXT, "-");
	if (!end || *end)
		return;
	long s = (long)(time(NULL) - timegm(&tm));
	if (s < 0)
		s = 0;
	if (s < 60)
		(void)str_fmt(dst, CLI_TEXT, "%lds", s);
	else if (s < 3600)
		(void)str_fmt(dst, CLI_TEXT, "%ldm%lds", s / 60, s % 60);
	else if (s < 86400)
		(void)str_fmt(dst, CLI_TEXT, "%ldh%ldm", s / 3600, s / 60 % 60);
	else
		(void)str_fmt(dst, CLI_TEXT, "%ldd%ldh", s / 86400, s / 3600 % 24);
}

void cli_print_json(const json_t *j)
{
	/* A terminal acts on U+009B as on ESC [, and JSON does not escape it by itself. */
	const size_t flags =
		isatty(STDOUT_FILENO) ? JSON_INDENT(2) | JSON_ENSURE_ASCII : JSON_COMPACT;
	_cleanup_free_ char *text = json_dumps(j, JSON_ENCODE_ANY | JSON_DUMP_FLAGS | flags);
	puts(text ? text : "null");
}
