/* SPDX-License-Identifier: Apache-2.0 */
/* Strings. Character classes are spelled out: <ctype.h> depends on the locale. */
#include "base/str.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 63
#define HOSTNAME_MAX_LEN 253
#define LABEL_MAX_LEN 63
#define DIGEST_LEN 64
#define NEAREST_MAX_LEN 64
#define NEAREST_MAX_DISTANCE 2

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

void sbuf_done(struct sbuf *b)
{
	free(b->data);
	*b = SBUF_INIT;
}

/* Makes room for extra bytes and a NUL. */
static bool sbuf_reserve(struct sbuf *b, size_t extra)
{
	size_t need, cap;
	char *p;

	if (b->failed)
		return false;
	if (__builtin_add_overflow(b->len, extra, &need) ||
	    __builtin_add_overflow(need, 1, &need) || need > PTRDIFF_MAX) {
		b->failed = true;
		return false;
	}
	if (need <= b->cap)
		return true;
	cap = b->cap ? b->cap : 64;
	while (cap < need)
		cap = cap > PTRDIFF_MAX / 2 ? need : cap * 2;
	p = realloc(b->data, cap);
	if (!p) {
		b->failed = true;
		return false;
	}
	b->data = p;
	b->cap = cap;
	b->data[b->len] = '\0';
	return true;
}

void sbuf_add(struct sbuf *b, const void *data, size_t len)
{
	if (!sbuf_reserve(b, len))
		return;
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void sbuf_adds(struct sbuf *b, const char *s)
{
	sbuf_add(b, s, strlen(s));
}

void sbuf_addc(struct sbuf *b, char c)
{
	sbuf_add(b, &c, 1);
}

void sbuf_vaddf(struct sbuf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n < 0)
		b->failed = true;
	else if (sbuf_reserve(b, (size_t)n) && b->data) {
		(void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

void sbuf_addf(struct sbuf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	sbuf_vaddf(b, fmt, ap);
	va_end(ap);
}

void sbuf_clear(struct sbuf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->data)
		b->data[0] = '\0';
}

bool sbuf_ok(const struct sbuf *b)
{
	return !b->failed;
}

const char *sbuf_str(const struct sbuf *b)
{
	return b->data ? b->data : "";
}

char *sbuf_take(struct sbuf *b)
{
	char *text = NULL;

	if (sbuf_reserve(b, 0)) {
		text = b->data;
		b->data = NULL;
	}
	sbuf_done(b);
	return text;
}

bool str_eq(const char *a, const char *b)
{
	if (!a || !b)
		return a == b;
	return strcmp(a, b) == 0;
}

bool str_has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_has_suffix(const char *s, const char *suffix)
{
	size_t n = strlen(s);
	size_t m = strlen(suffix);

	return n >= m && strcmp(s + n - m, suffix) == 0;
}

int str_fmt(char *dst, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(dst, size, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < size)
		return 0;
	if (size > 0)
		dst[0] = '\0';
	return -ENAMETOOLONG;
}

int str_copy(char *dst, size_t size, const char *src)
{
	size_t n = strlen(src);

	if (n >= size) {
		if (size > 0)
			dst[0] = '\0';
		return -ENAMETOOLONG;
	}
	memmove(dst, src, n + 1);
	return 0;
}

bool str_is_name(const char *s)
{
	size_t n = s ? strlen(s) : 0;

	if (n == 0 || n > NAME_MAX_LEN)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (is_lower(s[i]) || is_digit(s[i]))
			continue;
		if ((s[i] != '-' && s[i] != '.') || i == 0 || i == n - 1)
			return false;
		if (s[i] == '.' && s[i - 1] == '.')
			return false;
	}
	return true;
}

/* One label of n bytes. */
static bool is_label(const char *s, size_t n)
{
	if (n == 0 || n > LABEL_MAX_LEN || s[0] == '-' || s[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_lower(s[i]) && !is_upper(s[i]) && !is_digit(s[i]) && s[i] != '-')
			return false;
	return true;
}

bool str_is_hostname(const char *s)
{
	if (!s || strlen(s) > HOSTNAME_MAX_LEN)
		return false;
	for (;;) {
		size_t n = strcspn(s, ".");

		if (!is_label(s, n))
			return false;
		if (s[n] == '\0')
			return true;
		s += n + 1;
	}
}

size_t str_utf8_char(const char *s)
{
	/* Lowest code point that needs a sequence of this length: anything below is overlong. */
	static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char c = (unsigned char)s[0];
	uint32_t code;
	size_t n;

	if (c < 0x80)
		return c >= 0x20 && c != 0x7f;
	if (c >= 0xc2 && c <= 0xdf)
		n = 2;
	else if (c >= 0xe0 && c <= 0xef)
		n = 3;
	else if (c >= 0xf0 && c <= 0xf4)
		n = 4;
	else
		return 0;
	code = c & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		/* A NUL is no continuation byte, so this does not read past the end. */
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | ((unsigned char)s[i] & 0x3f);
	}
	if (code < lowest[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	/* U+0080..U+009F are controls as well: terminals act on U+009B as on ESC [. */
	return code < 0xa0 ? 0 : n;
}

bool str_is_clean_utf8(const char *s)
{
	if (!s)
		return false;
	while (*s) {
		size_t n = str_utf8_char(s);

		if (n == 0)
			return false;
		s += n;
	}
	return true;
}

bool str_is_digest(const char *s)
{
	if (!s || strlen(s) != DIGEST_LEN)
		return false;
	for (; *s; s++)
		if (!is_digit(*s) && !(*s >= 'a' && *s <= 'f'))
			return false;
	return true;
}

void str_hex(char *dst, const void *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++) {
		dst[2 * i] = digits[p[i] >> 4];
		dst[2 * i + 1] = digits[p[i] & 15];
	}
	dst[2 * n] = '\0';
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* Edit distance with swapped neighbours counted once (optimal string alignment): "lmiit" is one
 * typing mistake away from "limit". Both at most NEAREST_MAX_LEN long. */
static size_t edit_distance(const char *a, size_t n, const char *b, size_t m)
{
	size_t rows[3][NEAREST_MAX_LEN + 1];
	size_t *before = rows[0], *last = rows[1], *cur = rows[2];

	for (size_t j = 0; j <= m; j++)
		last[j] = before[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *oldest = before;

		cur[0] = i;
		for (size_t j = 1; j <= m; j++) {
			cur[j] = min3(last[j] + 1, cur[j - 1] + 1,
				      last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < cur[j])
				cur[j] = before[j - 2] + 1;
		}
		before = last;
		last = cur;
		cur = oldest;
	}
	return last[m];
}

const char *str_nearest(const char *s, const char *const *candidates)
{
	size_t best = NEAREST_MAX_DISTANCE + 1;
	const char *nearest = NULL;
	size_t n = strlen(s);

	if (n > NEAREST_MAX_LEN)
		return NULL;
	for (; *candidates; candidates++) {
		size_t m = strlen(*candidates);
		size_t d;

		if (m > NEAREST_MAX_LEN)
			continue;
		d = edit_distance(s, n, *candidates, m);
		/* Something must be left of the word: "ip" is not near "vm". */
		if (d < best && d < m && d < n) {
			best = d;
			nearest = *candidates;
		}
	}
	return nearest;
}

void str_escape(char *dst, size_t size, const char *s)
{
	size_t used = 0;

	if (size == 0)
		return;
	while (*s) {
		size_t n = str_utf8_char(s);
		size_t need = n ? n : 4;

		if (used + need >= size)
			break;
		if (n > 0) {
			memcpy(dst + used, s, n);
			s += n;
		} else {
			dst[used] = '\\';
			dst[used + 1] = 'x';
			str_hex(dst + used + 2, s, 1);
			s++;
		}
		used += need;
	}
	dst[used] = '\0';
}
