/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of memory below what is used: the kernel takes its time, and nobody else waits for it. */
#include "tests/unit/instance/rig.h"

#include "runtime/instance/private.h"
#include "runtime/instance/resize.h"

#define MIB (UINT64_C(1) << 20)

static struct op *set_begin(struct inst *i, const char *key, const char *value, bool force,
			    struct err *err)
{
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_json_ json_t *set = json_pack("{s:s}", key, value);
	const struct inst_resize req = {.set = set, .force = force, .problems = p};
	struct op *op = NULL;

	return inst_resize(i, &req, &op, err) < 0 ? NULL : op;
}

static struct op *lower(struct inst *i, const char *key, const char *value)
{
	struct err err = ERR_INIT;
	struct op *op = set_begin(i, key, value, true, &err);

	if (!op)
		fail_msg("%s", err_text(&err));
	return op;
}

static uint64_t in_kernel(const struct inst *i, enum cg_limit limit)
{
	const struct rig_cgroup *c = cgroup_find(i->id);

	return c ? c->limits.value[limit] : 0;
}

/* A guest that uses 60 MiB of its 64, and a kernel that does not come to an end. */
static struct inst *setup_busy(void)
{
	struct inst *i = create("a");

	rig->memory_used = 60 * MIB;
	rig_put("hold-write-limit", "", 0600);
	return i;
}

static void test_nobody_waits(void **state)
{
	struct inst *i = setup_busy(), *b;
	struct err err = ERR_INIT;
	struct op *op = lower(i, "memory.limit", "32MiB");

	(void)state;
	AWAIT(i->p->reclaim);
	/* Written down, under way in the kernel, and not told yet. */
	assert_int_equal(rig_number("SELECT count(*) FROM operations WHERE status = 0"), 1);
	assert_int_equal(op->status, OP_RUNNING);
	assert_int_equal(i->effective.memory.limit, 32 * MIB);
	assert_int_equal(in_kernel(i, CG_LIMIT_MEMORY_MAX), 64 * MIB);
	b = create("b");
	assert_int_equal(ended(stop_begin(b, true)).status, OP_DONE);
	assert_null(set_begin(i, "memory.limit", "50MiB", true, &err));
	assert_int_equal(err.code, EBUSY);
	assert_int_equal(op->status, OP_RUNNING);
	rig_unput("hold-write-limit");
	assert_int_equal(ended(op).status, OP_DONE);
	assert_int_equal(in_kernel(i, CG_LIMIT_MEMORY_MAX), 32 * MIB);
	assert_int_equal(i->effective.memory.limit, 32 * MIB);
	is_sound();
}

/* Both: the one that kills nobody first. */
static void test_high_goes_first(void **state)
{
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_json_ json_t *set =
		json_pack("{s:s, s:s}", "memory.limit", "40MiB", "memory.high", "32MiB");
	const struct inst_resize req = {.set = set, .force = true, .problems = p};
	struct inst *i = create("a");
	_cleanup_free_ char *jobs = NULL;
	const char *high, *max;
	struct err err = ERR_INIT;
	struct op *op = NULL;

	(void)state;
	rig->memory_used = 60 * MIB;
	assert_int_equal(inst_resize(i, &req, &op, &err), 0);
	assert_int_equal(ended(op).status, OP_DONE);
	assert_int_equal(in_kernel(i, CG_LIMIT_MEMORY_HIGH), 32 * MIB);
	assert_int_equal(in_kernel(i, CG_LIMIT_MEMORY_MAX), 40 * MIB);
	assert_int_equal(file_read_at(AT_FDCWD, rig_path("jobs"), 1 << 16, &jobs, NULL, NULL), 0);
	high = strstr(jobs, "memory.high --value 33554432\n");
	max = strstr(jobs, "memory.max --value 41943040\n");
	assert_true(high && max && high < max);
	is_sound();
}

static void test_kernel_refuses(void **state)
{
	struct inst *i = create("a");
	struct op end;

	(void)state;
	rig->memory_used = 60 * MIB;
	rig_put("deaf", "", 0600);
	end = ended(lower(i, "memory.limit", "32MiB"));
	assert_int_equal(end.status, OP_FAILED);
	assert_non_null(strstr(err_text(&end.err), "cannot set 'memory.limit'"));
	/* The old values, everywhere. */
	assert_int_equal(i->effective.memory.limit, 64 * MIB);
	assert_int_equal(in_kernel(i, CG_LIMIT_MEMORY_MAX), 64 * MIB);
	assert_int_equal(rig->m->load.memory, 64 * MIB);
	assert_false(i->restart_needed);
	vpsd_down();
	vpsd_up();
	i = find("a");
	AWAIT(inst_is_up(i));
	assert_int_equal(i->effective.memory.limit, 64 * MIB);
	rig_unput("deaf");
	assert_int_equal(ended(lower(i, "memory.limit", "32MiB")).status, OP_DONE);
	is_sound();
}

static void test_vpsd_dies_meanwhile(void **state)
{
	struct inst *i = setup_busy();
	struct err err = ERR_INIT;

	(void)state;
	(void)lower(i, "memory.limit", "32MiB");
	AWAIT(i->p->reclaim);
	vpsd_down();
	/* What is written holds: the next one goes on with it, and is there for everybody. */
	vpsd_up();
	i = find("a");
	AWAIT(i->p->reclaim && !i->op);
	assert_int_equal(i->effective.memory.limit, 32 * MIB);
	assert_null(set_begin(i, "memory.limit", "50MiB", true, &err));
	assert_int_equal(err.code, EBUSY);
	assert_non_null(strstr(err_text(&err), "taking memory back"));
	rig_unput("hold-write-limit");
	AWAIT(in_kernel(i, CG_LIMIT_MEMORY_MAX) == 32 * MIB);
	AWAIT(!i->p->reclaim);
	assert_int_equal(rig_number("SELECT count(*) FROM operations WHERE status <> 1"), 0);
	assert_int_equal(ended(lower(i, "memory.limit", "24MiB")).status, OP_DONE);
	is_sound();
}

/* The cgroup is not removed under the write, and the guest's end is judged then. */
static void test_guest_ends_meanwhile(void **state)
{
	struct inst *i = setup_busy();
	struct op *op = lower(i, "memory.limit", "32MiB");

	(void)state;
	AWAIT(i->p->reclaim);
	rig->memory_used = 0;
	guest_ends(i->id, KEEPER_EXIT_POWEROFF, SIGINT);
	assert_int_equal(ended(op).status, OP_DONE);
	AWAIT(i->state == INST_STOPPED);
	assert_int_equal(i->desired, INST_WANT_STOPPED);
	assert_int_equal(i->effective.memory.limit, 32 * MIB);
	assert_null(i->p->reclaim);
	rig_unput("hold-write-limit");
	assert_int_equal(ended(start_begin(i)).status, OP_DONE);
	assert_int_equal(in_kernel(i, CG_LIMIT_MEMORY_MAX), 32 * MIB);
	is_sound();
}

/* With no operation of its own: a stop does not wait. */
static void test_stop_meanwhile(void **state)
{
	struct inst *i = setup_busy();

	(void)state;
	(void)lower(i, "memory.limit", "32MiB");
	AWAIT(i->p->reclaim);
	vpsd_down();
	vpsd_up();
	i = find("a");
	AWAIT(i->p->reclaim && !i->op);
	rig->memory_used = 0;
	assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	assert_int_equal(i->state, INST_STOPPED);
	assert_null(i->p->reclaim);
	assert_int_equal(ended(delete_begin(i, false)).status, OP_DONE);
	is_sound();
}

/* Going back is lowering as well, of what was raised and is used. */
static void test_undo_waits_for_nobody(void **state)
{
	struct inst *i = create("a");
	struct err err = ERR_INIT;
	struct op *op;

	(void)state;
	commits_fail("UPDATE ON instances", "1");
	op = set_begin(i, "memory.limit", "128MiB", false, &err);
	assert_non_null(op);
	assert_int_equal(in_kernel(i, CG_LIMIT_MEMORY_MAX), 128 * MIB);
	rig->memory_used = 100 * MIB;
	rig_put("hold-write-limit", "", 0600);
	AWAIT(i->p->reclaim);
	commits_work();
	assert_int_equal(i->effective.memory.limit, 64 * MIB);
	(void)create("b");
	rig_unput("hold-write-limit");
	AWAIT(in_kernel(i, CG_LIMIT_MEMORY_MAX) == 64 * MIB);
	AWAIT(!i->p->reclaim);
	is_sound();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_nobody_waits),	       T(test_high_goes_first),	     T(test_kernel_refuses),
		T(test_vpsd_dies_meanwhile),   T(test_guest_ends_meanwhile), T(test_stop_meanwhile),
		T(test_undo_waits_for_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
