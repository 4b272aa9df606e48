/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses of this machine, whatever they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "netns/own.h"

static void own(void **state)
{
	_cleanup_free_ struct addr *found = NULL;
	struct addr loopback, private4, private6;
	bool has_loopback = false;
	struct err err = ERR_INIT;
	size_t n = 0;

	(void)state;
	assert_int_equal(addr_parse("127.0.0.1", &loopback), 0);
	assert_int_equal(addr_parse("169.254.0.0/16", &private4), 0);
	assert_int_equal(addr_parse("fe80::/10", &private6), 0);
	if (netns_own_addresses(&found, &n, &err) < 0)
		fail_msg("%s", err_text(&err));
	for (size_t i = 0; i < n; i++) {
		assert_true(addr_is_single(&found[i]));
		assert_false(addr_contains(&private4, &found[i]));
		assert_false(addr_contains(&private6, &found[i]));
		has_loopback = has_loopback || addr_equal(&found[i], &loopback);
	}
	/* Absent only where nothing is up. */
	assert_true(has_loopback || n == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(own)};

	return cmocka_run_group_tests_name("own", tests, NULL, NULL);
}
