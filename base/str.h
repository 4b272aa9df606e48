/* SPDX-License-Identifier: Apache-2.0 */
/* Strings: a growing buffer with a sticky failure, checked formatting, tests on names. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

/* Growing byte buffer, always NUL-terminated. After a failed allocation all calls are no-ops and
 * sbuf_ok() is false, so a caller checks once at the end. */
struct sbuf {
	char *data; /* NULL while empty */
	size_t len;
	size_t cap;
	bool failed;
};

#define SBUF_INIT ((struct sbuf){0})
#define _cleanup_sbuf_ _cleanup_(sbuf_done)

void sbuf_done(struct sbuf *b);
void sbuf_add(struct sbuf *b, const void *data, size_t len);
void sbuf_adds(struct sbuf *b, const char *s);
void sbuf_addc(struct sbuf *b, char c);
void sbuf_addf(struct sbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sbuf_vaddf(struct sbuf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void sbuf_clear(struct sbuf *b);
/* True when nothing failed so far. */
bool sbuf_ok(const struct sbuf *b);
/* The text; "" while empty. Owned by the buffer. */
const char *sbuf_str(const struct sbuf *b);
/* Hands the text over (heap, free(3)); NULL after a failure. The buffer is empty afterwards. */
char *sbuf_take(struct sbuf *b);

bool str_eq(const char *a, const char *b); /* NULL equals only NULL */
bool str_has_prefix(const char *s, const char *prefix);
bool str_has_suffix(const char *s, const char *suffix);
/* snprintf with a checked result: 0, or -ENAMETOOLONG with dst set to "". */
int str_fmt(char *dst, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int str_copy(char *dst, size_t size, const char *src); /* same result rule */
/* A name of ours (tenant, instance, plan, image): 1..63 of [a-z0-9-.], first a letter or a digit,
 * last not '-' or '.'; no "..". */
bool str_is_name(const char *s);
/* A host name by RFC 1123: labels of 1..63 [A-Za-z0-9-] joined by dots, 253 at the most. */
bool str_is_hostname(const char *s);
/* True when every byte is printable ASCII or part of valid UTF-8, without control characters. */
bool str_is_clean_utf8(const char *s);
/* Bytes of the one printable character (ASCII or valid UTF-8) at s; 0 for a control character, the
 * terminating NUL, or a byte that is no valid UTF-8. */
size_t str_utf8_char(const char *s);
/* 64 lower-case hex digits. */
bool str_is_digest(const char *s);
/* Lower-case hex of n bytes; dst has room for 2n+1. */
void str_hex(char *dst, const void *bytes, size_t n);
/* Nearest of a NULL-terminated list of candidates by edit distance (at most 2), for "did you mean";
 * NULL when none is near. */
const char *str_nearest(const char *s, const char *const *candidates);
/* Writes s to dst with control characters as \xNN, cut to size, for logs and terminals. */
void str_escape(char *dst, size_t size, const char *s);
