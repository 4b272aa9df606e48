/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of instances against accounts and subordinate ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/daemon/idcheck.h"

static const struct id_span ours = {.first = 1000000, .count = 65536 * 10};

static void test_table(void **state)
{
	static const struct {
		enum id_file kind;
		const char *text;
		const char *says; /* NULL = free */
	} rows[] = {
		{ID_FILE_ACCOUNTS, "", NULL},
		{ID_FILE_ACCOUNTS,
		 "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n", NULL},
		{ID_FILE_ACCOUNTS, "a:x:999999:1::/:/bin/sh", NULL},
		{ID_FILE_ACCOUNTS, "a:x:1000000:1::/:/bin/sh", "'a' in f (1000000 to 1000000)"},
		{ID_FILE_ACCOUNTS, "x\na:x:1655359:1::/:/bin/sh\n", "'a'"},
		{ID_FILE_ACCOUNTS, "a:x:1655360:1::/:/bin/sh\n", NULL},
		{ID_FILE_ACCOUNTS, "g:x:1000001:\n", "'g'"},
		{ID_FILE_ACCOUNTS, "a:x:\n:::\na:x:-1:1\na:x:1000000x:1\n", NULL},
		{ID_FILE_ACCOUNTS, "#a:x:1000000:1\n", NULL},
		{ID_FILE_ACCOUNTS, "a:x:18446744073709551616:1\n", NULL},
		{ID_FILE_RANGES, "u:100000:65536\n", NULL},
		{ID_FILE_RANGES, "u:934464:65536\n", NULL},
		{ID_FILE_RANGES, "u:934464:65537\n", "'u' in f (934464 to 1000000)"},
		{ID_FILE_RANGES, "u:100000:65536\nv:1655359:1\n", "'v'"},
		{ID_FILE_RANGES, "u:1655360:65536\n", NULL},
		{ID_FILE_RANGES, "u:1000000:0\n", NULL},
		{ID_FILE_RANGES, "u:5:18446744073709551615\n", "'u'"},
		{ID_FILE_RANGES, "u:1000000\n", NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct err err = ERR_INIT;
		int r = idcheck_text(rows[i].kind, "f", rows[i].text, ours, &err);
		if (!rows[i].says) {
			assert_int_equal(r, 0);
			continue;
		}
		assert_int_equal(r, -EADDRINUSE);
		assert_non_null(strstr(err.msg, rows[i].says));
		assert_non_null(strstr(err.hint, "idmap.base"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
