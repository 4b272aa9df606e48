/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error objects. The text is kept to one line of valid UTF-8 whatever the arguments held (names
 * made by guests end up here, and from here in JSON, logs and terminals), also where it had to be
 * cut.
 */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* Replaces every byte that is a control character or no valid UTF-8. */
static void make_one_line(char *s)
{
	while (*s) {
		size_t n = str_utf8_char(s);

		if (n == 0)
			*s = '?';
		s += n ? n : 1;
	}
}

/* By hand, and not "%s: %s": the result may be cut, which is fine here, and gcc warns of it. */
static void append(char *dst, size_t size, const char *s)
{
	size_t used = strlen(dst);
	size_t n = strlen(s);

	if (n > size - 1 - used)
		n = size - 1 - used;
	memcpy(dst + used, s, n);
	dst[used + n] = '\0';
}

int err_vset(struct err *err, int code, const char *fmt, va_list ap)
{
	char text[sizeof(err->msg)];

	if (code <= 0)
		code = EIO;
	if (!err)
		return -code;
	/* Through a copy: an argument may be the old text of the same object. */
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	make_one_line(text);
	err->code = code;
	memcpy(err->msg, text, sizeof(text));
	err->hint[0] = '\0';
	return -code;
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = err_vset(err, code, fmt, ap);
	va_end(ap);
	return r;
}

int err_set_errno(struct err *err, int code, const char *fmt, ...)
{
	char number[32];
	const char *text;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = err_vset(err, code, fmt, ap);
	va_end(ap);
	if (!err)
		return r;
	/* Not strerror(): it allocates and reads translations for unknown numbers. */
	text = strerrordesc_np(err->code);
	if (!text) {
		(void)snprintf(number, sizeof(number), "error %d", err->code);
		text = number;
	}
	append(err->msg, sizeof(err->msg), ": ");
	append(err->msg, sizeof(err->msg), text);
	return r;
}

int err_ctx(struct err *err, const char *fmt, ...)
{
	char text[sizeof(err->msg)];
	va_list ap;
	int n;

	if (!err)
		return -EIO;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		text[0] = '\0';
	append(text, sizeof(text), ": ");
	append(text, sizeof(text), err_text(err));
	make_one_line(text);
	memcpy(err->msg, text, sizeof(text));
	if (err->code <= 0)
		err->code = EIO;
	return -err->code;
}

int err_hint(struct err *err, const char *fmt, ...)
{
	char text[sizeof(err->hint)];
	va_list ap;
	int n;

	if (!err)
		return -EIO;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		text[0] = '\0';
	make_one_line(text);
	memcpy(err->hint, text, sizeof(text));
	return err->code > 0 ? -err->code : -EIO;
}

const char *err_text(const struct err *err)
{
	return err && err->msg[0] ? err->msg : "unknown error";
}
