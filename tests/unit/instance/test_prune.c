/* SPDX-License-Identifier: Apache-2.0 */
/* The table of operations does not grow without end while vpsd runs. */
#include "tests/unit/instance/rig.h"

static void changes(struct inst *i, unsigned n)
{
	while (n-- > 0) {
		struct err err = ERR_INIT;
		struct op *op = NULL;

		assert_int_equal(inst_protect(i, n % 2 == 1, &op, &err), 0);
		assert_int_equal(ended(op).status, OP_DONE);
	}
}

static void test_while_running(void **state)
{
	struct inst *i = create("a");

	(void)state;
	/* Of a time before all others; one of them never ended. */
	rig_sql("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1500) "
		"INSERT INTO operations (id, kind, target, status, created) "
		"SELECT printf('%016x', x), 5, 't/old', x <> 7, x FROM n");
	assert_true(rig_number("SELECT count(*) FROM operations") >= 1500);
	changes(i, 70);
	assert_in_range(rig_number("SELECT count(*) FROM operations"), 1000, 1070);
	/* The newest are kept, and what has not ended. */
	assert_int_equal(rig_number("SELECT count(*) FROM operations WHERE target = 't/a' AND "
				    "kind = 5"),
			 70);
	assert_int_equal(rig_number("SELECT min(created) FROM operations WHERE status = 0"), 7);
	assert_true(rig_number("SELECT min(created) FROM operations WHERE status <> 0") > 500);
	rig_sql("UPDATE operations SET status = 1 WHERE status = 0");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_while_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
