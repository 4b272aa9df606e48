/* SPDX-License-Identifier: Apache-2.0 */
/* CPUs of its own that a guest is to give up are taken until it has given them up. */
#include "tests/unit/instance/rig.h"

#include "runtime/instance/private.h"
#include "runtime/instance/resize.h"

#define PLAN(name, cpu)                                                                            \
	"{\"plan\": \"" name "\", \"version\": 1, \"cpu\": {" cpu "}, \"memory\": {\"limit\": "    \
	"\"64MiB\"}, \"pids\": 64, \"disk\": {\"size\": null, \"inodes\": null}, \"network\": "    \
	"{\"connections\": null}}"

/* Of four CPUs the host keeps one, and one is for all that share: two are left. */
static struct inst *make(const char *name, const char *plan)
{
	struct err err = ERR_INIT;
	struct op *op = create_of_plan(name, plan, true, &err);

	if (!op)
		fail_msg("%s", err_text(&err));
	assert_int_equal(ended(op).status, OP_DONE);
	return find(name);
}

static void make_plans(void)
{
	apply_text(SPEC_KIND_PLAN, PLAN("two", "\"cores\": 2, \"dedicated\": true"));
	apply_text(SPEC_KIND_PLAN, PLAN("one", "\"cores\": 1, \"dedicated\": true"));
}

static int resize(struct inst *i, const char *plan, struct err *err)
{
	_cleanup_problems_ struct problems *p = problems_new();
	const struct inst_resize req = {.plan = plan, .problems = p};
	struct op *op = NULL;
	int r = inst_resize(i, &req, &op, err);

	if (r >= 0)
		assert_int_equal(ended(op).status, OP_DONE);
	return r;
}

/* A plan with CPUs of its own is refused. */
static void is_full(const char *plan, const char *left)
{
	struct err err = ERR_INIT;

	assert_null(create_of_plan("late", plan, true, &err));
	assert_int_equal(err.code, ENOSPC);
	if (!strstr(err_text(&err), left))
		fail_msg("%s", err_text(&err));
	assert_null(find("late"));
}

static uint64_t cores_sold(void)
{
	struct inst_capacity c = {0};
	struct err err = ERR_INIT;

	assert_int_equal(inst_capacity(rig->m, &c, &err), 0);
	return c.resources[ADMISSION_DEDICATED].sold;
}

static void test_until_the_next_start(void **state)
{
	struct inst *a, *b;
	struct err err = ERR_INIT;

	(void)state;
	make_plans();
	a = make("a", "two");
	b = create("b");
	assert_int_equal(cores_sold(), 2000);
	assert_int_equal(resize(a, "tiny", &err), 0);
	assert_true(a->restart_needed);
	assert_int_equal(CPU_COUNT(&rig->dedicated), 2);
	/* It has them still: nobody else gets them, in none of the ways there are. */
	assert_int_equal(cores_sold(), 2000);
	is_full("one", "1.000 wanted, 0.000 left of 2.000");
	assert_int_equal(resize(b, "one", &err), -ENOSPC);
	assert_non_null(strstr(err_text(&err), "dedicated cores: 1.000 wanted, 0.000 left"));
	/* Back to what it has is nothing more. */
	assert_int_equal(resize(a, "two", &err), 0);
	assert_int_equal(cores_sold(), 2000);
	assert_int_equal(resize(a, "tiny", &err), 0);
	/* The next vpsd knows as well. */
	vpsd_down();
	vpsd_up();
	a = find("a");
	AWAIT(inst_is_up(a));
	is_full("one", "0.000 left");
	assert_int_equal(ended(stop_begin(a, true)).status, OP_DONE);
	assert_int_equal(cores_sold(), 0);
	(void)make("late", "two");
	assert_int_equal(ended(start_begin(a)).status, OP_DONE);
	assert_int_equal(CPU_COUNT(&rig->dedicated), 2);
	is_sound();
}

static void test_fewer_of_them(void **state)
{
	struct inst *a;
	struct err err = ERR_INIT;

	(void)state;
	make_plans();
	a = make("a", "two");
	assert_int_equal(resize(a, "one", &err), 0);
	assert_int_equal(cores_sold(), 2000);
	is_full("one", "0.000 left");
	assert_int_equal(ended(stop_begin(a, true)).status, OP_DONE);
	assert_int_equal(cores_sold(), 1000);
	(void)make("b", "one");
	/* Both fit, in any order. */
	assert_int_equal(ended(start_begin(a)).status, OP_DONE);
	assert_int_equal(CPU_COUNT(&rig->dedicated), 2);
	is_full("one", "0.000 left");
	is_sound();
}

/* A guest that is gone has its CPUs until its last process is. */
static void test_until_the_last_process(void **state)
{
	struct inst *a;
	struct err err = ERR_INIT;
	struct op *op;

	(void)state;
	make_plans();
	a = make("a", "two");
	assert_int_equal(resize(a, "tiny", &err), 0);
	rig->busy = 1000000;
	op = stop_begin(a, true);
	AWAIT(!guest_lives(a->id));
	AWAIT(a->p->cg.fd < 0);
	/* Somebody comes and goes meanwhile. */
	(void)create("b");
	assert_int_equal(CPU_COUNT(&rig->dedicated), 2);
	is_full("one", "0.000 left");
	rig->busy = 0;
	assert_int_equal(ended(op).status, OP_DONE);
	assert_int_equal(CPU_COUNT(&rig->dedicated), 0);
	assert_int_equal(cores_sold(), 0);
	(void)make("late", "two");
	is_sound();
}

/* A start that fails keeps nothing. */
static void test_start_fails(void **state)
{
	struct inst *a;
	struct err err = ERR_INIT;

	(void)state;
	make_plans();
	a = make("a", "two");
	assert_int_equal(ended(stop_begin(a, true)).status, OP_DONE);
	rig->refuses_partitions = true;
	assert_int_equal(ended(start_begin(a)).status, OP_FAILED);
	rig->refuses_partitions = false;
	assert_int_equal(resize(a, "tiny", &err), 0);
	assert_int_equal(cores_sold(), 0);
	(void)make("late", "two");
	is_sound();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_until_the_next_start),
		T(test_fewer_of_them),
		T(test_until_the_last_process),
		T(test_start_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
