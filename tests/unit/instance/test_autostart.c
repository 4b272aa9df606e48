/* SPDX-License-Identifier: Apache-2.0 */
/* Starts that nobody waits for: their order, how many at once, and those that fail or hang. */
#include "tests/unit/instance/rig.h"

#include "runtime/instance/private.h"

static void make(const char *name, int priority, bool enabled)
{
	_cleanup_spec_instance_ struct spec_instance spec = {0};
	_cleanup_problems_ struct problems *p = problems_new();
	const struct json_where w = {.file = "", .path = "", .problems = p};
	_cleanup_json_ json_t *doc =
		json_pack("{s:s, s:s, s:s, s:{s:b, s:i}}", "name", name, "plan", "tiny", "image",
			  "img", "autostart", "enabled", (int)enabled, "priority", priority);
	const struct inst_create req = {.tenant = "t", .spec = &spec, .start = true};
	struct err err = ERR_INIT;
	struct op *op = NULL;

	assert_int_equal(spec_instance_from_json(&spec, doc, &w), 0);
	if (inst_create(rig->m, &req, &op, &err) < 0)
		fail_msg("%s", err_text(&err));
	assert_int_equal(ended(op).status, OP_DONE);
}

/* Six, whose order by priority, then by name, is "e b d a c f". */
static void make_six(void)
{
	make("f", 1000, true);
	make("a", 100, true);
	make("b", 20, true);
	make("c", 100, true);
	make("d", 20, true);
	make("e", 3, true);
}

static void starts_are(uint64_t parallel, uint64_t settle)
{
	rig->host.autostart.parallel = parallel;
	rig->host.autostart.settle = settle;
}

/* The names of the guests in the order of their launches. */
static const char *order(void)
{
	static char text[GUESTS_MAX * 2];
	size_t n = 0;

	for (size_t g = 0; g < rig->n_guests; g++)
		for (size_t i = 0; i < rig->m->n_insts; i++)
			if (str_eq(rig->m->insts[i]->id, rig->guests[g].id))
				text[n++] = rig->m->insts[i]->spec.name[0];
	text[n] = '\0';
	return text;
}

static struct inst *letter(char name)
{
	const char text[] = {name, '\0'};

	return find(text);
}

/* Takes the files of one away, and gives them back. */
static void break_files(const struct inst *i, bool broken)
{
	char from[200], to[220];

	assert_true(str_fmt(from, sizeof(from), "%s/pool/instances/%s", rig->dir, i->id) >= 0);
	assert_true(str_fmt(to, sizeof(to), "%s.away", from) >= 0);
	assert_int_equal(broken ? rename(from, to) : rename(to, from), 0);
}

static void test_by_priority(void **state)
{
	(void)state;
	make_six();
	starts_are(2, 600 * USEC_PER_SEC);
	host_down();
	vpsd_up();
	AWAIT(rig->launches == 2);
	pass(100000);
	/* A guest that runs has its slot until it is ready. */
	assert_int_equal(rig->launches, 2);
	assert_string_equal(order(), "eb");
	guest_ready(find("b")->id);
	AWAIT(rig->launches == 3);
	guest_ready(find("d")->id);
	AWAIT(rig->launches == 4);
	/* One that ends has it no longer. */
	guest_ends(find("e")->id, KEEPER_EXIT_POWEROFF, SIGINT);
	AWAIT(rig->launches == 5);
	pass(100000);
	assert_int_equal(rig->launches, 5);
	guest_ready(find("c")->id);
	AWAIT(rig->launches == 6);
	assert_int_equal(rig->m->starts.n, 0);
	guest_ready(find("a")->id);
	guest_ready(find("f")->id);
	AWAIT(rig->m->starts.n_slots == 0);
	assert_int_equal(find("e")->desired, INST_WANT_STOPPED);
	is_sound();
}

static void test_all_in_order(void **state)
{
	(void)state;
	make_six();
	/* Guests that never say that they are ready are not waited for long. */
	starts_are(1, 50000);
	host_down();
	vpsd_up();
	AWAIT(rig->launches == 6);
	assert_string_equal(order(), "ebdacf");
	AWAIT(rig->m->starts.n_slots == 0);
	/* Nor at all where that is asked for. */
	starts_are(1, 0);
	host_down();
	vpsd_up();
	AWAIT(rig->launches == 6);
	assert_string_equal(order(), "ebdacf");
	AWAIT(rig->m->starts.n_slots == 0);
	is_sound();
}

static void test_as_many_as_cpus(void **state)
{
	(void)state;
	make_six();
	starts_are(0, 600 * USEC_PER_SEC);
	rig_put("cpu/online", "0-4\n", 0600);
	host_down();
	vpsd_up();
	AWAIT(rig->launches == 5);
	pass(50000);
	assert_int_equal(rig->launches, 5);
	rig_put("cpu/online", "0\n", 0600);
	host_down();
	vpsd_up();
	AWAIT(rig->launches == 4);
	pass(50000);
	assert_int_equal(rig->launches, 4);
}

static void test_broken_ones(void **state)
{
	struct inst *e, *b;

	(void)state;
	make_six();
	starts_are(1, 0);
	break_files(find("e"), true);
	break_files(find("b"), true);
	host_down();
	vpsd_up();
	AWAIT(rig->launches == 4);
	assert_string_equal(order(), "dacf");
	e = find("e");
	b = find("b");
	AWAIT(e->retry_at && b->retry_at);
	assert_int_equal(e->state, INST_STOPPED);
	assert_int_equal(e->desired, INST_WANT_RUNNING);
	assert_true(e->failures >= 1);
	assert_non_null(strstr(e->error, "cannot start 't/e'"));
	break_files(find("e"), false);
	AWAIT(inst_is_up(e));
	assert_false(inst_is_up(b));
	break_files(find("b"), false);
	AWAIT(inst_is_up(b));
	assert_int_equal(rig->launches, 6);
	assert_string_equal(b->error, "");
	is_sound();
}

/* Retries wait their turn as well: many fail together when the host is the cause. */
static void test_retries_are_bounded(void **state)
{
	(void)state;
	make_six();
	starts_are(2, 600 * USEC_PER_SEC);
	for (const char *n = "abcdef"; *n; n++)
		break_files(letter(*n), true);
	host_down();
	vpsd_up();
	AWAIT(find("f")->retry_at);
	for (const char *n = "abcdef"; *n; n++)
		break_files(letter(*n), false);
	AWAIT(rig->launches == 2);
	pass(2500000);
	assert_int_equal(rig->launches, 2);
	for (const char *n = "abcdef"; *n; n++)
		if (guest_lives(letter(*n)->id))
			guest_ready(letter(*n)->id);
	AWAIT(rig->launches == 4);
	/* The first of those that wait. */
	assert_true(guest_lives(find("e")->id) && guest_lives(find("b")->id));
}

static void test_hanging_one(void **state)
{
	(void)state;
	make_six();
	starts_are(1, 0);
	host_down();
	rig->holds_launches = true;
	vpsd_start();
	rig->m->start_limit = 300000;
	AWAIT(rig->launches == 1);
	rig->holds_launches = false;
	AWAIT(rig->launches == 6);
	assert_string_equal(order(), "ebdacf");
	assert_int_equal(find("e")->state, INST_STARTING);
	for (const char *n = "abcdf"; *n; n++)
		AWAIT(inst_is_up(letter(*n)));
	AWAIT(rig->m->starts.n_slots == 0);
	/* What became of it is seen with the next keeper. */
	peer_drop();
	AWAIT(inst_is_up(find("e")));
	AWAIT(rig->m->starts.n_slots == 0);
	is_sound();
}

static void test_vpsd_dies_meanwhile(void **state)
{
	(void)state;
	make_six();
	make("n", 0, false);
	starts_are(2, 600 * USEC_PER_SEC);
	host_down();
	rig->holds_launches = true;
	vpsd_up();
	AWAIT(rig->launches == 2);
	vpsd_down();
	rig->holds_launches = false;
	/* Those that it had launched go on; the others follow in the same order. */
	vpsd_up();
	AWAIT(rig->launches == 4);
	pass(50000);
	assert_int_equal(rig->launches, 4);
	assert_string_equal(order(), "ebda");
	AWAIT(op_count_running(inst_ops(rig->m)) == 0);
	vpsd_down();
	starts_are(2, 0);
	vpsd_up();
	AWAIT(rig->launches == 6);
	assert_string_equal(order(), "ebdacf");
	for (const char *n = "abcdef"; *n; n++)
		AWAIT(inst_is_up(letter(*n)));
	/* One without autostart is not wanted any more, whenever vpsd died. */
	assert_int_equal(find("n")->state, INST_STOPPED);
	assert_int_equal(find("n")->desired, INST_WANT_STOPPED);
	is_sound();
}

static void test_who_is_started(void **state)
{
	struct err err = ERR_INIT;
	struct op *op = NULL;

	(void)state;
	make("off", 0, false);
	make("suspended", 0, true);
	make("failed", 5, true);
	make("plain", 9, true);
	assert_int_equal(inst_suspend(find("suspended"), INST_SUSPEND_FREEZE, "unpaid", &op, &err),
			 0);
	assert_int_equal(ended(op).status, OP_DONE);
	starts_are(1, 0);
	host_down();
	rig_sql("UPDATE instances SET failed = 1, failures = 9 WHERE name = 'failed'");
	rig_sql("INSERT INTO meta (key, value) VALUES ('lock_since', '5'), ('lock_reason', "
		"'disk')");
	vpsd_up();
	AWAIT(rig->launches == 2);
	pass(50000);
	assert_int_equal(rig->launches, 2);
	assert_string_equal(order(), "fp");
	/* A boot of the host is a new beginning for what was given up. */
	assert_int_equal(find("failed")->failures, 0);
	assert_int_equal(find("off")->desired, INST_WANT_STOPPED);
	assert_int_equal(find("suspended")->state, INST_SUSPENDED);
	assert_int_equal(find("suspended")->desired, INST_WANT_RUNNING);
	is_sound();
}

/* What somebody does with one that waits counts. */
static void test_asked_for_while_waiting(void **state)
{
	struct err err = ERR_INIT;
	struct op *op = NULL;

	(void)state;
	make_six();
	starts_are(1, 600 * USEC_PER_SEC);
	host_down();
	vpsd_up();
	AWAIT(rig->launches == 1);
	/* Who asks does not wait for others. */
	assert_int_equal(inst_start(find("f"), &op, &err), 0);
	assert_int_equal(ended(op).status, OP_DONE);
	assert_int_equal(ended(stop_begin(find("b"), true)).status, OP_DONE);
	assert_int_equal(ended(delete_begin(find("d"), true)).status, OP_DONE);
	assert_int_equal(ended(stop_begin(find("e"), true)).status, OP_DONE);
	AWAIT(rig->launches == 3);
	guest_ready(find("a")->id);
	AWAIT(rig->launches == 4);
	guest_ready(find("c")->id);
	AWAIT(rig->m->starts.n_slots == 0);
	assert_int_equal(rig->launches, 4);
	assert_int_equal(find("b")->state, INST_STOPPED);
	is_sound();
}

/* A keeper that is lost in the middle does not lose a slot, nor a start. */
static void test_keeper_is_lost_meanwhile(void **state)
{
	(void)state;
	make_six();
	starts_are(2, 0);
	host_down();
	rig->holds_launches = true;
	vpsd_up();
	AWAIT(rig->launches == 2);
	rig->holds_launches = false;
	peer_drop();
	AWAIT(rig->launches == 6);
	for (const char *n = "abcdef"; *n; n++)
		AWAIT(inst_is_up(letter(*n)));
	assert_string_equal(order(), "ebdacf");
	AWAIT(rig->m->starts.n_slots == 0);
	is_sound();
}

/* All guests ended with their keeper: that many starts at once are bounded, too. */
static void test_all_are_lost(void **state)
{
	(void)state;
	make_six();
	starts_are(2, 600 * USEC_PER_SEC);
	rig->launches = 0;
	while (rig->n_guests)
		guest_drop(&rig->guests[0]);
	peer_drop();
	AWAIT(rig->launches == 2);
	pass(100000);
	assert_int_equal(rig->launches, 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_by_priority),
		T(test_all_in_order),
		T(test_as_many_as_cpus),
		T(test_broken_ones),
		T(test_retries_are_bounded),
		T(test_hanging_one),
		T(test_vpsd_dies_meanwhile),
		T(test_who_is_started),
		T(test_asked_for_while_waiting),
		T(test_keeper_is_lost_meanwhile),
		T(test_all_are_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
