/* SPDX-License-Identifier: Apache-2.0 */
/* Logging: what reaches stderr, as one clean line, for a terminal and for the journal. */
#include "base/log.h"

#include <stdbool.h>
#include <time.h>

#include "tests/unit/base/util.h"

/* Runs one log_write() with stderr in a file; out gets what was written. */
static void capture(bool journal, enum log_level max, enum log_level level, const char *text,
		    char *out, size_t size)
{
	FILE *f = tmpfile();
	int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	char stream[64];
	struct stat st;
	size_t n;

	assert_non_null(f);
	assert_int_equal(fstat(fileno(f), &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", journal ? stream : "1:2", 1);
	dup2(fileno(f), STDERR_FILENO);
	log_init("prog", max);
	errno = EXDEV;
	log_write(level, "%s", text);
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_int_equal(errno, EXDEV);
	rewind(f);
	n = fread(out, 1, size - 1, f);
	out[n] = '\0';
	fclose(f);
}

static void test_levels_from_text(void **state)
{
	(void)state;
	assert_int_equal(log_level_from_string("error"), LOG_LEVEL_ERROR);
	assert_int_equal(log_level_from_string("warning"), LOG_LEVEL_WARNING);
	assert_int_equal(log_level_from_string("info"), LOG_LEVEL_INFO);
	assert_int_equal(log_level_from_string("debug"), LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_from_string("Debug"), -EINVAL);
	assert_int_equal(log_level_from_string(""), -EINVAL);
	assert_int_equal(log_level_from_string(NULL), -EINVAL);
}

static void test_plain_line(void **state)
{
	char out[512], expected[128];

	(void)state;
	capture(false, LOG_LEVEL_INFO, LOG_LEVEL_INFO, "hello", out, sizeof(out));
	/* 2026-01-31T12:34:56Z prog[123] info: hello */
	assert_int_equal(out[4], '-');
	assert_int_equal(out[10], 'T');
	assert_int_equal(out[19], 'Z');
	snprintf(expected, sizeof(expected), " prog[%d] info: hello\n", (int)getpid());
	assert_string_equal(out + 20, expected);
}

static void test_time_is_utc_now(void **state)
{
	char out[512], before[32], after[32];
	time_t t = time(NULL);

	(void)state;
	strftime(before, sizeof(before), "%Y-%m-%dT%H:%M:%SZ", gmtime(&t));
	capture(false, LOG_LEVEL_INFO, LOG_LEVEL_INFO, "x", out, sizeof(out));
	t = time(NULL);
	strftime(after, sizeof(after), "%Y-%m-%dT%H:%M:%SZ", gmtime(&t));
	out[20] = '\0';
	assert_true(strcmp(before, out) <= 0 && strcmp(out, after) <= 0);
}

static void test_journal_line_has_the_priority(void **state)
{
	char out[512];

	(void)state;
	capture(true, LOG_LEVEL_INFO, LOG_LEVEL_ERROR, "bad", out, sizeof(out));
	assert_string_equal(out, "<3>bad\n");
	capture(true, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, "hm", out, sizeof(out));
	assert_string_equal(out, "<4>hm\n");
}

static void test_level_is_respected(void **state)
{
	char out[512];

	(void)state;
	capture(true, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, "quiet", out, sizeof(out));
	assert_string_equal(out, "");
}

static void test_line_cannot_be_forged(void **state)
{
	char out[512];

	(void)state;
	capture(true, LOG_LEVEL_INFO, LOG_LEVEL_INFO, "a\n<0>forged\x1b[2J", out, sizeof(out));
	assert_string_equal(out, "<6>a\\x0a<0>forged\\x1b[2J\n");
}

static void test_long_line_is_cut(void **state)
{
	static char text[10000], out[10000];

	(void)state;
	memset(text, '\n', sizeof(text) - 1);
	capture(true, LOG_LEVEL_INFO, LOG_LEVEL_INFO, text, out, sizeof(out));
	assert_in_range(strlen(out), 1000, 4096);
	assert_int_equal(out[strlen(out) - 1], '\n');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels_from_text),
		cmocka_unit_test(test_plain_line),
		cmocka_unit_test(test_time_is_utc_now),
		cmocka_unit_test(test_journal_line_has_the_priority),
		cmocka_unit_test(test_level_is_respected),
		cmocka_unit_test(test_line_cannot_be_forged),
		cmocka_unit_test(test_long_line_is_cut),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
