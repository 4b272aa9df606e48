/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console log of an instance as one stream: what was rotated away first, then the present file;
 * with follow, what is appended later, over rotations.
 */
#include "runtime/daemon/api.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"

#define LOG_NAME "console.log"
#define LOG_OLD_NAME "console.log.1"
/* A follower looks this often; the kernel has no event for "somebody wrote" that costs less than
 * one fstat(2) in this time. */
#define FOLLOW_USEC 200000u

struct log_reader {
	struct request *rq;
	sd_event_source *timer;
	int dir;
	int fd;	  /* file being read; -1 = none */
	bool old; /* it is the rotated one: the present one is next */
	bool follow;
};

static void log_release(struct request *rq, void *data)
{
	(void)rq;
	struct log_reader *l = data;
	sd_event_source_disable_unref(l->timer);
	cleanup_close(&l->fd);
	cleanup_close(&l->dir);
	free(l);
}

static void open_log(struct log_reader *l, const char *name)
{
	cleanup_close(&l->fd);
	l->fd = path_open_beneath(l->dir, name, O_RDONLY | O_NONBLOCK, 0, NULL);
}

/* True when another file has taken the present one's name. */
static bool is_rotated(const struct log_reader *l)
{
	struct stat mine, present;
	if (l->fd < 0)
		return fstatat(l->dir, LOG_NAME, &present, AT_SYMLINK_NOFOLLOW) == 0;
	if (fstat(l->fd, &mine) < 0 || fstatat(l->dir, LOG_NAME, &present, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	return mine.st_ino != present.st_ino || mine.st_dev != present.st_dev;
}

/* True when the directory was removed: the instance is gone. */
static bool is_gone(const struct log_reader *l)
{
	struct stat st;
	return fstat(l->dir, &st) < 0 || st.st_nlink == 0;
}

static ssize_t log_read(void *data, char *buf, size_t max)
{
	struct log_reader *l = data;
	for (int tries = 0; tries < 3; tries++) {
		ssize_t n = l->fd >= 0 ? read(l->fd, buf, max) : 0;
		if (n > 0)
			return n;
		if (n < 0)
			return -1;
		if (!l->old && !(l->follow && is_rotated(l)))
			break;
		l->old = false;
		open_log(l, LOG_NAME);
	}
	return l->follow && !is_gone(l) ? 0 : -1;
}

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct log_reader *l = userdata;
	(void)sd_event_source_set_time(s, usec + FOLLOW_USEC);
	request_wake(l->rq);
	return 0;
}

int api_instance_log(struct request *rq, struct err *err)
{
	struct inst *i = NULL;
	int r = api_find_instance(rq, &i, err);
	if (r < 0)
		return r;
	struct log_reader *l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(err, ENOMEM, "no memory for the log");
	l->rq = rq;
	l->fd = -1;
	l->old = true;
	l->follow = request_query_bool(rq, "follow");
	l->dir = inst_log_dir(i, err);
	request_set_data(rq, l, log_release);
	if (l->dir < 0)
		return l->dir;
	open_log(l, LOG_OLD_NAME);
	if (l->follow) {
		r = sd_event_add_time_relative(api_of(rq)->event, &l->timer, CLOCK_MONOTONIC,
					       FOLLOW_USEC, 10000, on_tick, l);
		if (r >= 0)
			r = sd_event_source_set_enabled(l->timer, SD_EVENT_ON);
		if (r < 0)
			return err_set(err, -r, "cannot set a timer");
	}
	return request_stream(rq, "text/plain; charset=utf-8", log_read, err);
}
