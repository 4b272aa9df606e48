/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a guest's console: console.log and, when that is full, console.log.1, in a directory
 * given as an fd (afterwards no path of the host is needed). Together they are at most twice the
 * limit. Failures never stop a guest: what cannot be written is lost and counted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define CONSOLE_LOG_MIN 4096u /* a smaller limit is taken as this */

struct console_log {
	int dir;       /* owned; -1 = no log */
	int fd;	       /* owned; -1 = not open now */
	uint64_t size; /* of console.log */
	uint64_t max;
	uint64_t lost;	 /* bytes that could not be written */
	bool is_failing; /* the last write failed, and that was reported */
};

#define CONSOLE_LOG_INIT ((struct console_log){.dir = -1, .fd = -1})

/* Takes dir (-1 or max 0: no log is kept). An existing console.log is continued. */
void console_log_init(struct console_log *l, int dir, uint64_t max);
void console_log_done(struct console_log *l);
/* Appends. A failure is returned when it is news: once for each time that writing stops working. */
int console_log_write(struct console_log *l, const void *data, size_t len, struct err *err);
