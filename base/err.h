/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error object: lives on the caller's stack, needs no allocation (so it works after fork and
 * when memory is short), holds an errno-style code, one line of text and an optional hint.
 *
 * Rule: a function that takes 'struct err *err' sets it if and only if it returns a negative
 * number, and that number is -err->code. 'err' may be NULL where the caller needs the code only.
 * Text: lower case, no full stop, a verb phrase with the subject quoted: "cannot open 'x': ...".
 */
#pragma once

#include <errno.h>
#include <stdarg.h>

struct err {
	int code; /* positive errno value; 0 = no error */
	char msg[600];
	char hint[200]; /* what to do next; "" = nothing to add */
};

#define ERR_INIT ((struct err){0})

/* Sets code (positive errno) and text; returns -code. A code of 0 is stored as EIO. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_vset(struct err *err, int code, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));
/* As err_set() with the current errno, and ": <strerror>" appended to the text. */
#define err_sys(err, ...) err_set_errno(err, errno, __VA_ARGS__)
int err_set_errno(struct err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Puts "<context>: " before the text of an error on its way up; returns -err->code. Without an
 * object (err NULL) the code is not known and -EIO is returned: where the code matters to a caller
 * that may pass NULL, return the number that the lower function gave. */
int err_ctx(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Sets the hint of an error that is set; returns -err->code. */
int err_hint(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Text of an error for people; "unknown error" when nothing is set. Never NULL. */
const char *err_text(const struct err *err);
