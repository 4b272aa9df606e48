/* SPDX-License-Identifier: Apache-2.0 */
/* Documents whose instances need the room of others. */
#include "tests/unit/instance/rig.h"

/* The set is gone before the operation ends, as in the daemon. */
static struct op apply_begun(const char *text, bool prune)
{
	_cleanup_problems_ struct problems *p = problems_new();
	struct spec_set set = SPEC_SET_INIT;
	struct inst_apply req = {.set = &set, .prune = prune};
	struct err err = ERR_INIT;
	struct op *op = NULL;

	assert_int_equal(spec_set_add_text(&set, SPEC_KIND_TENANT, text, strlen(text), "t.json", p),
			 0);
	if (inst_apply(rig->m, &req, &op, &err) < 0)
		fail_msg("%s", err_text(&err));
	spec_set_done(&set);
	return ended(op);
}

#define I(name) "{\"name\": \"" name "\", \"plan\": \"tiny\", \"image\": \"img\"}"
#define DOC(quota, instances)                                                                      \
	"{\"tenant\": \"t\", \"quota\": {" quota "}, \"instances\": [" instances "]}"
#define TWO "\"instances\": 2"

/* "create t/c done", ... */
static void check_row(const struct op *op, size_t at, const char *want)
{
	const json_t *row = json_array_get(json_object_get(op->result, "changes"), at);
	char is[200];

	assert_non_null(row);
	(void)str_fmt(is, sizeof(is), "%s %s %s", json_string_value(json_object_get(row, "action")),
		      json_string_value(json_object_get(row, "target")),
		      json_string_value(json_object_get(row, "outcome")));
	assert_string_equal(is, want);
}

static const char *error_of(const struct op *op, size_t at, const char *key)
{
	const json_t *row = json_array_get(json_object_get(op->result, "changes"), at);

	return json_string_value(json_object_get(json_object_get(row, "error"), key));
}

static void test_replaced_at_the_quota(void **state)
{
	struct op op = apply_begun(DOC(TWO, I("a") "," I("b")), true);

	(void)state;
	assert_int_equal(op.status, OP_DONE);
	op = apply_begun(DOC(TWO, I("a") "," I("c")), true);
	assert_int_equal(op.status, OP_DONE);
	assert_int_equal(json_array_size(json_object_get(op.result, "changes")), 2);
	check_row(&op, 0, "delete t/b done");
	check_row(&op, 1, "create t/c done");
	assert_null(find("b"));
	assert_int_equal(find("c")->state, INST_RUNNING);
	/* All of them. */
	op = apply_begun(DOC(TWO, I("x") "," I("y")), true);
	assert_int_equal(op.status, OP_DONE);
	assert_non_null(find("x"));
	assert_non_null(find("y"));
	is_sound();
}

static void test_room_is_not_made(void **state)
{
	struct op op = apply_begun(DOC(TWO, I("a") "," I("b")), true);

	(void)state;
	assert_int_equal(op.status, OP_DONE);
	rig_put("fail-remove-instance", "", 0600);
	op = apply_begun(DOC(TWO, I("a") "," I("c")), true);
	assert_int_equal(op.status, OP_FAILED);
	assert_string_equal(op.error_code, "apply-failed");
	check_row(&op, 0, "delete t/b failed");
	check_row(&op, 1, "create t/c failed");
	assert_string_equal(error_of(&op, 1, "code"), "no-capacity");
	assert_non_null(strstr(error_of(&op, 1, "message"), "'t/b' could not be deleted"));
	assert_non_null(strstr(error_of(&op, 1, "message"), "not enough instances"));
	assert_null(find("c"));
	/* What did not wait for room is told as it is. */
	rig_unput("fail-remove-instance");
	op = apply_begun(DOC(TWO, I("a") "," I("c")), false);
	assert_int_equal(op.status, OP_FAILED);
	assert_ptr_equal(strstr(error_of(&op, 0, "message"), "not enough instances"),
			 error_of(&op, 0, "message"));
	is_sound();
}

/* A change that takes less comes behind what needs it. */
static void test_room_of_a_change(void **state)
{
	struct op op = apply_begun(DOC("\"memory\": \"96MiB\"", I("z")), true);

	(void)state;
	assert_int_equal(op.status, OP_DONE);
	op = apply_begun(DOC("\"memory\": \"96MiB\"",
			     I("c") ",{\"name\": \"z\", \"plan\": \"tiny\", \"image\": \"img\", "
				    "\"overrides\": {\"memory\": {\"limit\": \"32MiB\"}}}"),
			 true);
	assert_int_equal(op.status, OP_DONE);
	check_row(&op, 0, "create t/c done");
	check_row(&op, 1, "change t/z done");
	is_sound();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_replaced_at_the_quota),
		T(test_room_is_not_made),
		T(test_room_of_a_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
