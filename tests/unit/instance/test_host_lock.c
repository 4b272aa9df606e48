/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps things as they are: the lock of the host, the protection of an instance. */
#include "tests/unit/instance/rig.h"

struct outcome {
	bool is_done;
	int code;
};

static void on_done(void *arg, const struct err *err)
{
	struct outcome *o = arg;

	o->is_done = true;
	o->code = err ? err->code : 0;
}

static int lock(const char *reason)
{
	struct outcome o = {0};
	struct err err = ERR_INIT;

	if (inst_lock_host(rig->m, reason, on_done, &o, &err) < 0)
		fail_msg("%s", err_text(&err));
	AWAIT(o.is_done);
	return o.code;
}

static int unlock(void)
{
	struct outcome o = {0};
	struct err err = ERR_INIT;

	if (inst_unlock_host(rig->m, on_done, &o, &err) < 0)
		fail_msg("%s", err_text(&err));
	AWAIT(o.is_done);
	return o.code;
}

static void test_lock(void **state)
{
	struct inst *i = create("a");
	struct err err = ERR_INIT;
	uint64_t since;

	(void)state;
	assert_false(inst_host_lock(rig->m)->is_locked);
	assert_int_equal(lock("disk is replaced"), 0);
	since = inst_host_lock(rig->m)->since;
	assert_true(since > 1000);
	assert_null(create_begin("b", true, &err));
	assert_int_equal(err.code, EPERM);
	assert_non_null(strstr(err_text(&err), "this host is locked"));
	assert_non_null(strstr(err_text(&err), "disk is replaced"));
	assert_non_null(strstr(err.hint, "vps host unlock"));
	assert_null(find("b"));
	/* What is there lives on. */
	assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	assert_int_equal(ended(start_begin(i)).status, OP_DONE);
	vpsd_down();
	vpsd_up();
	assert_true(inst_host_lock(rig->m)->is_locked);
	assert_int_equal(inst_host_lock(rig->m)->since, since);
	assert_string_equal(inst_host_lock(rig->m)->reason, "disk is replaced");
	assert_null(create_begin("b", true, &err));
	/* Again: the reason is replaced, or stays. */
	assert_int_equal(lock("full"), 0);
	assert_int_equal(lock(NULL), 0);
	assert_string_equal(inst_host_lock(rig->m)->reason, "full");
	assert_int_equal(inst_lock_host(rig->m, "a\tb", on_done, NULL, &err), -EINVAL);
	assert_int_equal(unlock(), 0);
	assert_int_equal(unlock(), 0);
	assert_int_equal(rig_number("SELECT count(*) FROM meta WHERE key LIKE 'lock%'"), 0);
	(void)create("b");
	vpsd_down();
	vpsd_up();
	assert_false(inst_host_lock(rig->m)->is_locked);
	is_sound();
}

static void test_lock_cannot_be_written(void **state)
{
	(void)state;
	commits_fail("INSERT ON meta", "1");
	assert_int_not_equal(lock("full"), 0);
	assert_false(inst_host_lock(rig->m)->is_locked);
	commits_work();
	assert_int_equal(lock("full"), 0);
	commits_fail("DELETE ON meta", "1");
	assert_int_not_equal(unlock(), 0);
	assert_true(inst_host_lock(rig->m)->is_locked);
	commits_work();
}

static bool has_field(const struct inst *i)
{
	return i->file_fields & 1u << INST_FIELD_PROTECTED;
}

static void test_protect(void **state)
{
	struct err err = ERR_INIT;
	struct op *op = NULL;
	struct inst *i;

	(void)state;
	apply_text(SPEC_KIND_TENANT, "{\"tenant\": \"t\", \"instances\": [{\"name\": \"a\", "
				     "\"plan\": \"tiny\", \"image\": \"img\"}]}");
	i = find("a");
	assert_true(has_field(i));
	assert_int_equal(inst_protect(i, true, &op, &err), 0);
	assert_int_equal(ended(op).status, OP_DONE);
	assert_true(i->spec.protected);
	/* It is the API's now: a document that does not name it leaves it. */
	assert_false(has_field(i));
	apply_text(SPEC_KIND_TENANT, "{\"tenant\": \"t\", \"instances\": [{\"name\": \"a\", "
				     "\"plan\": \"tiny\", \"image\": \"img\", \"labels\": "
				     "{\"x\": \"y\"}}]}");
	assert_int_equal(i->spec.labels.n, 1);
	assert_true(i->spec.protected);
	assert_int_equal(inst_delete(i, true, &op, &err), -EPERM);
	assert_non_null(strstr(err.hint, "vps protect --off t/a"));
	vpsd_down();
	vpsd_up();
	i = find("a");
	assert_true(i->spec.protected);
	assert_false(has_field(i));
	assert_int_equal(inst_protect(i, false, &op, &err), 0);
	assert_int_equal(ended(op).status, OP_DONE);
	assert_int_equal(i->spec.labels.n, 1);
	assert_int_equal(ended(delete_begin(i, true)).status, OP_DONE);
	is_sound();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_lock),
		T(test_lock_cannot_be_written),
		T(test_protect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
