/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging to stderr. The state below is the one mutable file-scope state of the libraries. Times
 * are UTC, made by hand: gmtime_r(3) reads the time zone files, which a process in a guest's mount
 * namespace must not.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/num.h"
#include "base/str.h"

#define LINE_MAX_LEN 2048

static const struct {
	const char *name;
	int priority; /* of syslog(3) */
} levels[LOG_LEVEL_MAX] = {
	[LOG_LEVEL_ERROR] = {"error", 3},
	[LOG_LEVEL_WARNING] = {"warning", 4},
	[LOG_LEVEL_INFO] = {"info", 6},
	[LOG_LEVEL_DEBUG] = {"debug", 7},
};

static struct {
	const char *program;
	enum log_level max_level;
	bool journal;
} state = {.program = "vps", .max_level = LOG_LEVEL_WARNING};

/* JOURNAL_STREAM=device:inode names the journal's socket, see systemd.exec(5); stderr may have been
 * redirected since, so it is compared. */
static bool stderr_is_journal(void)
{
	const char *s = getenv("JOURNAL_STREAM");
	uint64_t device, inode;
	struct stat st;

	if (!s || num_scan_u64(s, &s, &device) < 0 || *s != ':' ||
	    num_parse_u64(s + 1, 0, UINT64_MAX, &inode) < 0)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_init(const char *program, enum log_level max_level)
{
	state.program = program;
	state.max_level = max_level;
	state.journal = stderr_is_journal();
}

int log_level_from_string(const char *s)
{
	for (int i = 0; i < LOG_LEVEL_MAX; i++)
		if (str_eq(s, levels[i].name))
			return i;
	return -EINVAL;
}

/* "2026-01-31T12:34:56Z" of seconds since 1970, by the days-to-date rule of the Gregorian calendar
 * with years that begin in March. */
static void format_time(char *dst, size_t size, time_t seconds)
{
	long days = (long)(seconds / 86400);
	long rest = (long)(seconds % 86400);
	long z = days + 719468; /* days since 0000-03-01 */
	long era = z / 146097;
	long day_of_era = z % 146097;
	long year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	long day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	long m = (5 * day_of_year + 2) / 153; /* 0 = March */
	long day = day_of_year - (153 * m + 2) / 5 + 1;
	long month = m < 10 ? m + 3 : m - 9;
	long year = year_of_era + era * 400 + (month <= 2);

	(void)str_fmt(dst, size, "%04ld-%02ld-%02ldT%02ld:%02ld:%02ldZ", year, month, day,
		      rest / 3600, rest / 60 % 60, rest % 60);
}

void log_write(enum log_level level, const char *fmt, ...)
{
	int saved = errno;
	char text[LINE_MAX_LEN], line[LINE_MAX_LEN + 128], when[32] = "";
	struct timespec now = {0};
	size_t used;
	va_list ap;
	int n;

	if (level > state.max_level || level >= LOG_LEVEL_MAX)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if (state.journal) {
		n = snprintf(line, sizeof(line), "<%d>", levels[level].priority);
	} else {
		(void)clock_gettime(CLOCK_REALTIME, &now);
		format_time(when, sizeof(when), now.tv_sec);
		n = snprintf(line, sizeof(line), "%s %.64s[%d] %s: ", when, state.program,
			     (int)getpid(), levels[level].name);
	}
	used = n > 0 ? (size_t)n : 0;
	/* Escaped: the text may quote a guest, which must not forge lines or drive a terminal. */
	str_escape(line + used, sizeof(line) - used - 1, text);
	used += strlen(line + used);
	line[used++] = '\n';
	/* A log that cannot be written has nowhere to be reported. */
	(void)!write(STDERR_FILENO, line, used);
	errno = saved;
}
