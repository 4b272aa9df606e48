/* SPDX-License-Identifier: Apache-2.0 */
/* Options, error codes, releases and mirrors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "runtime/jobs/job.h"
#include "runtime/jobs/release.h"

struct options {
	const char *pool, *digest, *id, *hostname, *text;
	uint64_t n;
	bool flag;
};

#define OPT(name, type, required, member, ...)                                                     \
	{                                                                                          \
		name, type, required, offsetof(struct options, member), __VA_ARGS__                \
	}

static const struct job_opt rows[] = {
	OPT("--pool", JOB_OPT_PATH, true, pool, 0, 0),
	OPT("--digest", JOB_OPT_DIGEST, false, digest, 0, 0),
	OPT("--id", JOB_OPT_ID, false, id, 0, 0),
	OPT("--hostname", JOB_OPT_HOSTNAME, false, hostname, 0, 0),
	OPT("--text", JOB_OPT_STRING, false, text, 0, 0),
	OPT("--n", JOB_OPT_U64, false, n, 5, 10),
	OPT("--flag", JOB_OPT_FLAG, false, flag, 0, 0),
	{0},
};

/* Splits at blanks. */
static int parse(const char *line, struct options *o, struct err *err)
{
	static char text[1024];
	char *argv[32], *p = text;
	int argc = 0;

	*o = (struct options){0};
	(void)str_copy(text, sizeof(text), line);
	while (*p) {
		argv[argc++] = p;
		p += strcspn(p, " ");
		if (*p)
			*p++ = '\0';
	}
	return job_args(argc, argv, rows, o, err);
}

static void test_args(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(
		parse("verb --pool /p --n 7 --flag --hostname a.b --id 0123456789abcdef", &o, NULL),
		0);
	assert_string_equal(o.pool, "/p");
	assert_string_equal(o.hostname, "a.b");
	assert_string_equal(o.id, "0123456789abcdef");
	assert_int_equal(o.n, 7);
	assert_true(o.flag);
	assert_null(o.digest);
}

static void test_args_refused(void **state)
{
	static const char *const bad[] = {
		"verb",
		"verb --n 7",
		"verb --pool",
		"verb --pool rel",
		"verb --pool /p --pool /q",
		"verb --pool /p --n 4",
		"verb --pool /p --n 11",
		"verb --pool /p --n -7",
		"verb --pool /p --n 7x",
		"verb --pool /p --unknown 1",
		"verb --pool /p extra",
		"verb --pool /p --id ../x",
		"verb --pool /p --id 0123456789ABCDEF",
		"verb --pool /p --digest 00",
		"verb --pool /p --hostname -a",
		"verb --pool /p --hostname a_b",
		"verb --pool /p --text \x1b[0m",
		"verb --pool=/p",
		"verb --pool /p --flag --flag",
	};
	struct options o;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err = ERR_INIT;
		assert_int_equal(parse(bad[i], &o, &err), -EINVAL);
		assert_true(err.msg[0] != '\0');
	}
}

static void test_error_codes(void **state)
{
	(void)state;
	assert_string_equal(job_error_code(EBADMSG), "archive-invalid");
	assert_string_equal(job_error_code(EDQUOT), job_error_code(ENOSPC));
	assert_string_equal(job_error_code(EIO), "internal");
	assert_string_equal(job_error_code(0), "internal");
}

static void test_releases(void **state)
{
	const struct release *rel;
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; release_at(i); i++) {
		assert_int_equal(release_find(release_at(i)->name, &rel, NULL), 0);
		assert_ptr_equal(rel, release_at(i));
		assert_true(str_is_name(rel->name) && str_is_name(rel->suite));
		assert_true(rel->epoch > 1600000000);
	}
	assert_int_equal(release_find("debian-12; rm -rf /", &rel, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "debian-11, debian-12, debian-13"));
}

static void test_mirrors(void **state)
{
	static const struct {
		const char *text, *what, *url;
	} table[] = {
		{"deb http://deb.debian.org/debian bookworm main\n", "debian",
		 "http://deb.debian.org/debian"},
		{"# deb http://a/debian x\ndeb-src http://b/debian x\n"
		 "deb [arch=amd64 signed-by=/k] https://c.example/debian/ bookworm main",
		 "debian", "https://c.example/debian"},
		{"Types: deb\nURIs: http://x/debian-security http://y/debian\nSuites: s\n",
		 "debian", "http://y/debian"},
		{"URIs: http://x/debian-security\n", "debian", NULL},
		{"URIs: http://x/debian-security\n", "debian-security", "http://x/debian-security"},
		{"deb http://x/notdebian bookworm main\n", "debian", NULL},
		{"deb file:/srv/debian bookworm main\n", "debian", NULL},
		{"deb http://x/$(id)/debian bookworm\n", "debian", NULL},
		{"", "debian", NULL},
		{"deb ", "debian", NULL},
		{"URIs:", "debian", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char url[256] = "";

		assert_int_equal(release_mirror_in(table[i].text, table[i].what, url, sizeof(url)),
				 table[i].url != NULL);
		assert_string_equal(url, table[i].url ? table[i].url : "");
	}
	assert_true(release_is_mirror("http://[::1]:3142/debian"));
	assert_false(release_is_mirror("http://x/ y"));
	assert_false(release_is_mirror("--option"));
	assert_false(release_is_mirror("http://x/\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_args),	    cmocka_unit_test(test_args_refused),
		cmocka_unit_test(test_error_codes), cmocka_unit_test(test_releases),
		cmocka_unit_test(test_mirrors),
	};

	return cmocka_run_group_tests_name("jobs", tests, NULL, NULL);
}
