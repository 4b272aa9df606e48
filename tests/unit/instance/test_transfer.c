/* SPDX-License-Identifier: Apache-2.0 */
/* Transfers of plans: warned of, held, and released, by whichever vpsd. */
#include "tests/unit/instance/rig.h"

#include "runtime/instance/private.h"

#define MONTHLY 10000u

static struct inst *create_with(const char *plan)
{
	struct err err = ERR_INIT;
	struct op *op = create_of_plan("a", plan, true, &err);
	struct inst *i;

	if (!op)
		fail_msg("%s", err_text(&err));
	assert_int_equal(ended(op).status, OP_DONE);
	i = find("a");
	i->net.n = 1;
	return i;
}

#define PLAN(name, over)                                                                           \
	"{\"plan\": \"" name "\", \"version\": 1, \"cpu\": {\"cores\": 1}, \"memory\": {"          \
	"\"limit\": \"64MiB\"}, \"pids\": 64, \"disk\": {\"size\": null, \"inodes\": null}, "      \
	"\"network\": {\"connections\": null, \"transfer\": {\"monthly\": \"10000B\", \"count\": " \
	"\"out\", \"over\": " over "}}}"

static int setup(void **state)
{
	int r = rig_setup(state);

	apply_text(SPEC_KIND_PLAN, PLAN("bill", "{\"bill\": true}"));
	apply_text(SPEC_KIND_PLAN, PLAN("slow", "{\"throttle\": \"64kbit\"}"));
	apply_text(SPEC_KIND_PLAN, PLAN("cut", "{\"suspend\": true}"));
	return r;
}

static void sends(struct inst *i, uint64_t bytes)
{
	const struct net_usage more = {
		.v4 = {[NET_OUT_PUBLIC] = {bytes, 1}, [NET_IN_PUBLIC] = {bytes, 1}},
		.v6 = {[NET_OUT_PRIVATE] = {bytes, 1}}};
	struct err err = ERR_INIT;

	assert_int_equal(usage_book_add(i->manager->book, i, now_seconds(), &more, &err), 0);
}

static void tick(void)
{
	usage_tick(rig->m);
	store_flush(rig->store);
	is_sound();
}

/* The period is over. */
static void reset(const struct inst *i)
{
	struct usage_row like, *row;

	row = usage_book_period(rig->m->book, i, now_seconds(), &like);
	assert_non_null(row);
	store_flush(rig->store);
	rig_sql("DELETE FROM usage WHERE kind = 1"); /* it begins at another time */
	row->end = now_seconds() - 1;
	row->start -= 86400;
	row->is_dirty = true;
}

static void restart_vpsd(void)
{
	store_flush(rig->store);
	vpsd_down();
	vpsd_up();
	find("a")->net.n = 1;
}

static unsigned count_events(const char *kind)
{
	unsigned n = 0;

	for (const struct event *e = inst_event_next(rig->m, 0); e;
	     e = inst_event_next(rig->m, e->cursor))
		n += str_eq(e->kind, kind);
	return n;
}

static json_int_t last_percent(void)
{
	json_int_t v = 0;

	for (const struct event *e = inst_event_next(rig->m, 0); e;
	     e = inst_event_next(rig->m, e->cursor))
		if (str_eq(e->kind, "transfer"))
			v = json_integer_value(json_object_get(e->details, "percent"));
	return v;
}

static void test_warns(void **state)
{
	struct inst *i = create_with("bill");

	(void)state;
	sends(i, 7999);
	tick();
	assert_int_equal(count_events("transfer"), 0);
	sends(i, 1);
	tick();
	tick();
	assert_int_equal(count_events("transfer"), 1);
	assert_int_equal(last_percent(), 80);
	restart_vpsd();
	i = find("a");
	tick();
	assert_int_equal(count_events("transfer"), 1);
	sends(i, 1999);
	tick();
	assert_false(transfer_is_over(i));
	sends(i, 1);
	tick();
	tick();
	assert_true(transfer_is_over(i));
	assert_int_equal(count_events("transfer"), 2);
	assert_int_equal(last_percent(), 100);
	/* Billing is all that is done. */
	assert_int_equal(i->state, INST_RUNNING);
	assert_true(i->p->throttle == JSON_UNLIMITED);
	/* Of the next period again; and when it was raised, of what it is then. */
	reset(i);
	tick();
	sends(i, 8000);
	tick();
	assert_int_equal(count_events("transfer"), 3);
	i->effective.network.transfer.monthly = 20000;
	tick();
	sends(i, 8000);
	tick();
	assert_int_equal(count_events("transfer"), 4);
	assert_int_equal(last_percent(), 80);
}

static void test_throttles(void **state)
{
	struct inst *i = create_with("slow");

	(void)state;
	sends(i, MONTHLY - 1);
	tick();
	assert_true(i->p->throttle == JSON_UNLIMITED);
	rig->deaf_shaper = true;
	sends(i, 1);
	tick();
	assert_true(i->p->throttle == JSON_UNLIMITED);
	rig->deaf_shaper = false;
	tick();
	assert_int_equal(i->p->throttle, 64000);
	restart_vpsd();
	i = find("a");
	assert_int_equal(transfer_throttle(i), 64000);
	/* The plan is another for a moment. */
	i->effective.network.transfer.monthly = 2 * MONTHLY;
	tick();
	assert_true(i->p->throttle == JSON_UNLIMITED);
	i->effective.network.transfer.monthly = MONTHLY;
	tick();
	assert_int_equal(i->p->throttle, 64000);
	reset(i);
	tick();
	assert_true(i->p->throttle == JSON_UNLIMITED);
	assert_int_equal(i->state, INST_RUNNING);
}

static void is_cut_off(const struct inst *i)
{
	assert_int_equal(i->state, INST_SUSPENDED);
	assert_int_equal(i->suspension.mode, INST_SUSPEND_NETWORK);
	assert_int_equal(i->suspension.by, INST_SUSPEND_BY_TRANSFER);
	assert_true(rig->is_cut);
}

static void is_free(const struct inst *i)
{
	assert_int_equal(i->state, INST_RUNNING);
	assert_int_equal(i->suspension.mode, INST_SUSPEND_NONE);
	assert_false(rig->is_cut);
}

static void test_suspends(void **state)
{
	struct inst *i = create_with("cut");
	pid_t pid = i->pid;
	struct err err = ERR_INIT;
	struct op *op = NULL;

	(void)state;
	sends(i, MONTHLY - 1);
	tick();
	is_free(i);
	sends(i, 1);
	tick();
	is_cut_off(i);
	assert_string_equal(i->suspension.reason, "its transfer is used up");
	assert_int_equal(inst_resume(i, &op, &err), -EBUSY);
	assert_non_null(strstr(err_text(&err), "cannot resume 't/a': its transfer is used up; it "
					       "resets: "));
	restart_vpsd();
	i = find("a");
	is_cut_off(i);
	tick();
	is_cut_off(i);
	reset(i);
	tick();
	is_free(i);
	assert_int_equal(i->pid, pid);
	/* Raised. */
	sends(i, MONTHLY);
	tick();
	is_cut_off(i);
	i->effective.network.transfer.monthly = 2 * MONTHLY;
	tick();
	is_free(i);
	/* The period ends while there is no vpsd. */
	i->effective.network.transfer.monthly = MONTHLY;
	tick();
	is_cut_off(i);
	reset(i);
	rig->m->is_ready = false; /* nothing is judged any more, only written */
	tick();
	restart_vpsd();
	i = find("a");
	tick();
	is_free(i);
}

/* The clock of a host that has just been booted may be far behind. */
static void test_clock_behind(void **state)
{
	struct inst *i = create_with("cut");
	uint64_t newest;

	(void)state;
	sends(i, MONTHLY);
	tick();
	is_cut_off(i);
	newest = rig->m->book->newest;
	rig->m->book->newest = now_seconds() + UINT64_C(40) * 86400;
	reset(i);
	tick();
	is_cut_off(i);
	rig->m->book->newest = newest;
	tick();
	is_free(i);
}

/* Without an interface there is nothing to be cut off from. */
static void test_without_interfaces(void **state)
{
	struct inst *i = create_with("cut");

	(void)state;
	sends(i, MONTHLY);
	tick();
	is_cut_off(i);
	i->net.n = 0;
	reset(i);
	tick();
	is_free(i);
	sends(i, MONTHLY);
	tick();
	is_free(i);
}

/* An operator's suspension is no quota's. */
static void test_operator(void **state)
{
	struct inst *i = create_with("cut");
	struct err err = ERR_INIT;
	struct op *op = NULL;

	(void)state;
	assert_int_equal(inst_suspend(i, INST_SUSPEND_NETWORK, "unpaid", &op, &err), 0);
	assert_int_equal(ended(op).status, OP_DONE);
	sends(i, MONTHLY);
	tick();
	assert_string_equal(i->suspension.reason, "unpaid");
	assert_int_equal(i->suspension.by, INST_SUSPEND_BY_OPERATOR);
	reset(i);
	tick();
	assert_int_equal(i->state, INST_SUSPENDED);
	assert_string_equal(i->suspension.reason, "unpaid");
	/* Resumed while it is over: it is the quota's then. */
	sends(i, MONTHLY);
	assert_int_equal(inst_resume(i, &op, &err), 0);
	assert_int_equal(ended(op).status, OP_DONE);
	tick();
	is_cut_off(i);
	/* And the operator's again, from the quota. */
	assert_int_equal(inst_suspend(i, INST_SUSPEND_FREEZE, NULL, &op, &err), 0);
	assert_int_equal(ended(op).status, OP_DONE);
	assert_string_equal(i->suspension.reason, "");
	reset(i);
	restart_vpsd();
	i = find("a");
	tick();
	assert_int_equal(i->suspension.mode, INST_SUSPEND_FREEZE);
	assert_int_equal(i->suspension.by, INST_SUSPEND_BY_OPERATOR);
	assert_int_equal(inst_resume(i, &op, &err), 0);
	assert_int_equal(ended(op).status, OP_DONE);
	tick();
	is_free(i);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_warns),	 TEST(test_throttles),
		TEST(test_clock_behind), TEST(test_without_interfaces),
		TEST(test_suspends),	 TEST(test_operator),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
