/* SPDX-License-Identifier: Apache-2.0 */
/* The list of events: seen when written, kept over restarts, bounded. */
#include "tests/unit/instance/rig.h"

#include "runtime/instance/events.h"
#include "runtime/instance/private.h"

/* Kinds of all events of an instance since a cursor: "created started ". */
static const char *kinds(const char *name, uint64_t since)
{
	static char text[400];
	const struct event *e = inst_event_next(rig->m, since);

	text[0] = '\0';
	for (; e; e = inst_event_next(rig->m, e->cursor))
		if (str_eq(e->name, name))
			(void)str_fmt(text + strlen(text), sizeof(text) - strlen(text), "%s ",
				      e->kind);
	return text;
}

static void test_states(void **state)
{
	struct inst *i = create("a");
	struct op *op = NULL;

	(void)state;
	AWAIT(str_eq(kinds("t/a", 0), "created started "));
	guest_ready(i->id);
	AWAIT(str_eq(kinds("t/a", 0), "created started ready "));
	assert_int_equal(inst_suspend(i, INST_SUSPEND_FREEZE, "unpaid", &op, NULL), 0);
	assert_int_equal(ended(op).status, OP_DONE);
	assert_int_equal(inst_resume(i, &op, NULL), 0);
	assert_int_equal(ended(op).status, OP_DONE);
	assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	AWAIT(str_eq(kinds("t/a", 0), "created started ready suspended resumed stopped "));
	assert_int_equal(ended(delete_begin(i, true)).status, OP_DONE);
	AWAIT(str_eq(kinds("t/a", 0), "created started ready suspended resumed stopped deleted "));
}

/* What a new vpsd finds has not happened then; cursors go on where they were. */
static void test_restart(void **state)
{
	struct inst *i = create("a");
	uint64_t newest;
	char source[ID_TEXT];

	(void)state;
	inst_note(i, "thrash", "a 'quoted' line", json_pack("{s:i}", "seconds", 60));
	AWAIT(str_eq(kinds("t/a", 0), "created started thrash "));
	newest = inst_event_newest(rig->m);
	(void)str_copy(source, sizeof(source), inst_event_source(rig->m));
	vpsd_down();
	vpsd_up();
	i = find("a");
	AWAIT(i->state == INST_RUNNING);
	pass(20000);
	assert_string_equal(kinds("t/a", 0), "created started thrash ");
	assert_int_equal(inst_event_newest(rig->m), newest);
	assert_string_equal(inst_event_source(rig->m), source);
	assert_string_equal(inst_event_next(rig->m, newest - 1)->message, "a 'quoted' line");
	assert_int_equal(json_integer_value(json_object_get(
				 inst_event_next(rig->m, newest - 1)->details, "seconds")),
			 60);
	inst_note(i, "thrash", "", NULL);
	AWAIT(inst_event_newest(rig->m) == newest + 1);
}

static unsigned count(const char *kind)
{
	unsigned n = 0;

	for (const struct event *e = inst_event_next(rig->m, 0); e;
	     e = inst_event_next(rig->m, e->cursor))
		n += str_eq(e->kind, kind);
	return n;
}

/* One that starts and ends all the time leaves room for what others do. */
static void test_one_is_not_all(void **state)
{
	struct inst *i = create("a");
	const struct event *e;
	uint64_t newest;

	(void)state;
	AWAIT(str_eq(kinds("t/a", 0), "created started "));
	for (unsigned n = 0; n < 500; n++)
		inst_note_state(i, INST_STARTING);
	AWAIT(count("started") >= 60);
	pass(20000);
	assert_int_equal(count("started"), 60);
	/* What others did to it is noted all the same. */
	inst_note(i, "thrash", "", NULL);
	AWAIT(count("thrash") == 1);
	newest = inst_event_newest(rig->m);
	i->p->notes_since -= 600;
	for (unsigned n = 0; n < 5; n++)
		inst_note_state(i, INST_STARTING);
	AWAIT(inst_event_newest(rig->m) == newest + 2);
	e = inst_event_next(rig->m, newest);
	assert_string_equal(e->message, "441 before this are left out");
	assert_string_equal(inst_event_next(rig->m, newest + 1)->message, "");
	/* Forgotten after a while. */
	i->p->notes_since -= 86400;
	inst_note_state(i, INST_STARTING);
	AWAIT(inst_event_newest(rig->m) == newest + 3);
	assert_string_equal(inst_event_next(rig->m, newest + 2)->message,
			    "3 before this are left out");
	assert_int_equal(i->p->notes_spent, 1);
}

/* What is not in the database is not seen, and those behind it are. */
static void test_not_written(void **state)
{
	struct inst *i = create("a");
	uint64_t newest;

	(void)state;
	AWAIT(str_eq(kinds("t/a", 0), "created started "));
	newest = inst_event_newest(rig->m);
	commits_fail("INSERT ON events", "NEW.kind = 'bad'");
	inst_note(i, "bad", "", NULL);
	inst_note(i, "good", "", NULL);
	assert_null(inst_event_next(rig->m, newest));
	AWAIT(str_eq(kinds("t/a", newest), "good "));
	assert_int_equal(inst_event_newest(rig->m), newest + 2);
	assert_int_equal(rig_number("SELECT count(*) FROM events WHERE kind = 'bad'"), 0);
}

static void test_bound(void **state)
{
	struct inst *i = create("a");
	uint64_t newest;

	(void)state;
	for (unsigned n = 0; n < EVENTS_MAX + 10; n++)
		inst_note(i, "many", "", NULL);
	/* None is seen before all before it are: the first ones were given up in memory. */
	AWAIT(inst_event_newest(rig->m) == EVENTS_MAX + 12);
	newest = inst_event_newest(rig->m);
	assert_int_equal(inst_event_oldest(rig->m), newest - EVENTS_MAX + 1);
	assert_int_equal(rig_number("SELECT count(*) FROM events"), EVENTS_MAX);
	assert_int_equal(rig_number("SELECT min(cursor) FROM events"), newest - EVENTS_MAX + 1);
	vpsd_down();
	vpsd_up();
	assert_int_equal(inst_event_oldest(rig->m), newest - EVENTS_MAX + 1);
	assert_int_equal(inst_event_newest(rig->m), newest);
}

/* vpsd dies with events that are under way. */
static void test_under_way(void **state)
{
	struct inst *i = create("a");

	(void)state;
	for (unsigned n = 0; n < 20; n++)
		inst_note(i, "many", "", NULL);
	vpsd_down();
	vpsd_up();
	assert_int_equal(rig_number("SELECT count(*) FROM events WHERE kind = 'many'"), 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)
		TEST(test_states),	TEST(test_one_is_not_all), TEST(test_restart),
		TEST(test_not_written), TEST(test_bound),	   TEST(test_under_way),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
