/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging. Only the programs decide level and sink; libraries log at debug level at the most.
 * One record is one write(2) of one line to the sink, so lines of several processes do not mix.
 * When stderr is a journal stream, lines carry the "<N>" syslog priority prefix of sd-daemon(3).
 */
#pragma once

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_MAX,
};

/* 'program' is kept by reference; sink is stderr. */
void log_init(const char *program, enum log_level max_level);
/* Parses "error", "warning", "info", "debug"; negative errno otherwise. */
int log_level_from_string(const char *s);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
