/* SPDX-License-Identifier: Apache-2.0 */
/* What is done about guests that are stuck at their memory limit. */
#include "tests/unit/instance/rig.h"

#include "runtime/instance/events.h"
#include "runtime/instance/private.h"

#define AFTER 40000  /* microseconds */
#define WINDOW 11000 /* between readings, at least */

static void rule(enum spec_thrash_action action)
{
	rig->host.thrash = (struct spec_thrash){.action = action,
						.pressure = 50,
						.cache = 10,
						.refaults = 100,
						.after = AFTER,
						.read_iops = 7};
}

static const struct event *find_event(const char *kind, uint64_t since)
{
	const struct event *e = inst_event_next(rig->m, since);

	while (e && !str_eq(e->kind, kind))
		e = inst_event_next(rig->m, e->cursor);
	return e;
}

static struct rig_cgroup *cg_of(const struct inst *i)
{
	struct rig_cgroup *c = cgroup_find(i->id);

	assert_non_null(c);
	return c;
}

/* Some time in which nothing in it gets on, and the look at it. */
static void be_hot(struct inst *i)
{
	struct rig_cgroup *c = cg_of(i);

	pass(WINDOW);
	c->stall.memory += USEC_PER_SEC;
	c->refaults.pages += 1000;
	c->refaults.hits++;
	thrash_look(i);
}

static void be_calm(struct inst *i)
{
	pass(WINDOW);
	thrash_look(i);
}

static const char *detail(const struct event *e, const char *key)
{
	return json_string_value(json_object_get(e->details, key));
}

static uint64_t reads(const struct inst *i)
{
	const struct rig_cgroup *c = cgroup_find(i->id);

	return c ? c->limits.value[CG_LIMIT_DISK_READ_IOPS] : 0;
}

/* Until it is acted on: not before its time. */
static const struct event *until_acted(struct inst *i, uint64_t since)
{
	const uint64_t begin = rig_now();
	const unsigned actions = i->thrash.actions;

	for (unsigned n = 0; n < 100 && i->thrash.actions == actions; n++)
		be_hot(i);
	assert_true(rig_now() - begin >= AFTER);
	AWAIT(find_event("thrash", since));
	return find_event("thrash", since);
}

static uint64_t until_over(struct inst *i, uint64_t since)
{
	const struct event *e = NULL;

	for (unsigned n = 0; n < 100 && !(e = find_event("thrash-over", since)); n++)
		be_calm(i);
	assert_non_null(e);
	return e->cursor;
}

static bool job_said(const char *text)
{
	_cleanup_free_ char *jobs = NULL;

	return file_read_at(AT_FDCWD, rig_path("jobs"), 1 << 20, &jobs, NULL, NULL) == 0 &&
	       strstr(jobs, text);
}

static void test_kill(void **state)
{
	struct inst *i = create("a"), *b = create("b");
	const struct event *e;
	char words[200];

	(void)state;
	rule(SPEC_THRASH_KILL);
	e = until_acted(i, 0);
	assert_string_equal(e->name, "t/a");
	assert_string_equal(e->instance_id, i->id);
	assert_string_equal(detail(e, "action"), "kill");
	assert_string_equal(json_string_value(json_object_get(json_object_get(e->details, "killed"),
							      "command")),
			    "hog");
	assert_non_null(strstr(e->message, "killed 'hog', which held 1MiB"));
	assert_true(str_fmt(words, sizeof(words),
			    "relieve --cgroup /cg/%s/%s --init %d --start %llu\n", i->tenant->id,
			    i->id, (int)i->pid, (unsigned long long)i->pid_start) >= 0);
	assert_true(job_said(words));
	assert_true(i->thrash.since > 1000);
	assert_int_equal(i->thrash.actions, 1);
	/* The neighbour was only looked at. */
	be_calm(b);
	assert_int_equal(b->thrash.last, 0);
	(void)until_over(i, e->cursor);
	assert_int_equal(i->thrash.since, 0);
	assert_int_equal(i->state, INST_RUNNING);
	assert_true(rig_number("SELECT count(*) FROM events WHERE kind = 'thrash'") == 1);
}

static void test_job_fails(void **state)
{
	struct inst *i = create("a");
	const struct event *e;

	(void)state;
	rule(SPEC_THRASH_KILL);
	rig_put("fail-relieve", "", 0600);
	e = until_acted(i, 0);
	assert_string_equal(detail(e, "error"), "full");
	assert_non_null(strstr(e->message, "nothing could be won: full"));
}

/* A guest that ends, or goes for good, while somebody is being killed in it. */
static void test_job_is_dropped(void **state)
{
	struct inst *i = create("a");

	(void)state;
	rule(SPEC_THRASH_KILL);
	rig_put("hold-relieve", "", 0600);
	for (unsigned n = 0; n < 100 && !i->p->thrash_job; n++)
		be_hot(i);
	assert_non_null(i->p->thrash_job);
	assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	assert_int_equal(ended(start_begin(i)).status, OP_DONE);
	thrash_look(i);
	assert_null(i->p->thrash_job);
	for (unsigned n = 0; n < 100 && !i->p->thrash_job; n++)
		be_hot(i);
	assert_int_equal(ended(delete_begin(i, true)).status, OP_DONE);
	rig_unput("hold-relieve");
	pass(50000);
	assert_null(find_event("thrash", 0));
	is_sound();
}

static void test_reclaim_and_none(void **state)
{
	struct inst *i = create("a");
	const struct event *e;

	(void)state;
	rule(SPEC_THRASH_RECLAIM);
	e = until_acted(i, 0);
	assert_true(job_said("--reclaim 16777216\n")); /* a quarter of 64MiB */
	rule(SPEC_THRASH_NONE);
	i->p->watched = (struct thrash_watch){0};
	e = until_acted(i, e->cursor);
	assert_string_equal(detail(e, "action"), "none");
	for (unsigned n = 0; n < 12; n++)
		be_hot(i);
	assert_null(find_event("thrash", e->cursor));
}

static void test_throttle(void **state)
{
	struct inst *i = create("a");
	const struct event *e;
	struct op *op = NULL;

	(void)state;
	rule(SPEC_THRASH_THROTTLE);
	e = until_acted(i, 0);
	assert_int_equal(reads(i), 7);
	assert_true(i->thrash.is_throttled);
	/* A change of what is wanted goes on top. */
	assert_int_equal(inst_protect(i, true, &op, NULL), 0);
	assert_int_equal(ended(op).status, OP_DONE);
	assert_int_equal(reads(i), 7);
	/* What cannot be given back is tried again. */
	rig->limits_fail = 3;
	(void)until_over(i, e->cursor);
	assert_int_equal(rig->limits_fail, 0);
	assert_int_equal(reads(i), CG_UNLIMITED);
	assert_false(i->thrash.is_throttled);
	/* What cannot be held back is said. */
	rig->limits_fail = 1;
	e = until_acted(i, e->cursor);
	assert_non_null(detail(e, "error"));
	assert_false(i->thrash.is_throttled);
}

static void test_throttled_by_its_plan(void **state)
{
	struct inst *i = create("a");
	const struct event *e;

	(void)state;
	rule(SPEC_THRASH_THROTTLE);
	i->effective.disk.read_iops = 5;
	e = until_acted(i, 0);
	assert_non_null(strstr(e->message, "no more than 5 reads a second already"));
	assert_int_equal(reads(i), 5);
}

/* The next vpsd writes the plan's limits, and looks anew. */
static void test_throttled_and_vpsd_dies(void **state)
{
	struct inst *i = create("a");

	(void)state;
	rule(SPEC_THRASH_THROTTLE);
	(void)until_acted(i, 0);
	assert_int_equal(reads(i), 7);
	vpsd_down();
	vpsd_up();
	i = find("a");
	AWAIT(reads(i) == CG_UNLIMITED);
	assert_false(i->thrash.is_throttled);
	assert_int_equal(i->state, INST_RUNNING);
}

/* What is being stopped or stands still: its reads are given back, and nothing is counted. */
static void test_left_alone(void **state)
{
	struct inst *i = create("a");
	struct op *op = NULL;
	const struct event *e;

	(void)state;
	rule(SPEC_THRASH_THROTTLE);
	e = until_acted(i, 0);
	assert_int_equal(inst_suspend(i, INST_SUSPEND_FREEZE, NULL, &op, NULL), 0);
	assert_int_equal(ended(op).status, OP_DONE);
	for (unsigned n = 0; n < 10; n++)
		be_hot(i);
	assert_int_equal(reads(i), CG_UNLIMITED);
	assert_null(find_event("thrash", e->cursor));
	AWAIT(find_event("thrash-over", e->cursor));
	assert_int_equal(inst_resume(i, &op, NULL), 0);
	assert_int_equal(ended(op).status, OP_DONE);
	e = until_acted(i, e->cursor);
	op = stop_begin(i, false);
	AWAIT(i->state == INST_STOPPING);
	for (unsigned n = 0; n < 10; n++)
		be_hot(i);
	assert_int_equal(reads(i), CG_UNLIMITED);
	assert_null(find_event("thrash", e->cursor));
	guest_ends(i->id, KEEPER_EXIT_POWEROFF, SIGINT);
	assert_int_equal(ended(op).status, OP_DONE);
	thrash_look(i);
	assert_int_equal(i->thrash.last, 0);
}

/* Looks by itself, unless the kernel has nothing to say. */
static void test_timer(void **state)
{
	struct inst *i = create("a");

	(void)state;
	assert_non_null(rig->m->thrash_timer);
	rule(SPEC_THRASH_KILL);
	assert_true(sd_event_source_set_time_relative(rig->m->thrash_timer, 1000) >= 0);
	AWAIT(i->p->watched.has_last);
	vpsd_down();
	rig->strain_why_not = "no pressure";
	vpsd_up();
	assert_null(rig->m->thrash_timer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)
		TEST(test_kill),
		TEST(test_job_fails),
		TEST(test_job_is_dropped),
		TEST(test_reclaim_and_none),
		TEST(test_throttle),
		TEST(test_throttled_by_its_plan),
		TEST(test_throttled_and_vpsd_dies),
		TEST(test_left_alone),
		TEST(test_timer),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
