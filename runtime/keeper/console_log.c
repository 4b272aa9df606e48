/* SPDX-License-Identifier: Apache-2.0 */
/* The console log. */
#include "runtime/keeper/console_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define LOG_NAME "console.log"
#define LOG_OLD "console.log.1"

void console_log_init(struct console_log *l, int dir, uint64_t max)
{
	*l = CONSOLE_LOG_INIT;
	if (max == 0) {
		cleanup_close(&dir);
		return;
	}
	l->dir = dir;
	l->max = max < CONSOLE_LOG_MIN ? CONSOLE_LOG_MIN : max;
}

void console_log_done(struct console_log *l)
{
	cleanup_close(&l->fd);
	cleanup_close(&l->dir);
	*l = CONSOLE_LOG_INIT;
}

static int log_open(struct console_log *l, struct err *err)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	/* The directory is vpsd's, not the guest's; NOFOLLOW and NONBLOCK are for mistakes. */
	fd = openat(l->dir, LOG_NAME,
		    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
		    0600);
	if (fd < 0)
		return err_sys(err, "cannot open '%s'", LOG_NAME);
	if (fstat(fd, &st) < 0)
		return err_sys(err, "cannot examine '%s'", LOG_NAME);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "'%s' is not a regular file", LOG_NAME);
	l->size = (uint64_t)st.st_size;
	l->fd = take_fd(&fd);
	return 0;
}

static int log_rotate(struct console_log *l, struct err *err)
{
	cleanup_close(&l->fd);
	if (renameat(l->dir, LOG_NAME, l->dir, LOG_OLD) < 0)
		return err_sys(err, "cannot rename '%s'", LOG_NAME);
	return log_open(l, err);
}

/* Returns how much was written, or a failure. */
static ssize_t write_some(struct console_log *l, const char *data, size_t len, struct err *err)
{
	ssize_t n;
	int r = 0;

	if (l->fd < 0)
		r = log_open(l, err);
	if (r == 0 && l->size >= l->max)
		r = log_rotate(l, err);
	if (r < 0)
		return r;
	if (len > l->max - l->size)
		len = (size_t)(l->max - l->size);
	n = write(l->fd, data, len);
	if (n < 0)
		return err_sys(err, "cannot write '%s'", LOG_NAME);
	if (n == 0)
		return err_set(err, EIO, "cannot write '%s': nothing was taken", LOG_NAME);
	l->size += (uint64_t)n;
	return n;
}

int console_log_write(struct console_log *l, const void *data, size_t len, struct err *err)
{
	const char *p = data;

	while (len > 0 && l->dir >= 0) {
		ssize_t n = write_some(l, p, len, err);

		if (n < 0) {
			bool is_news = !l->is_failing;

			l->lost += len;
			l->is_failing = true;
			return is_news ? (int)n : 0;
		}
		l->is_failing = false;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}
