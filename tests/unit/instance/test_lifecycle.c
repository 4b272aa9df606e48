/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an instance: what it is asked for, what it does by itself, and both at once. */
#include "tests/unit/instance/rig.h"

static void test_create_and_start(void **state)
{
	struct inst *i = create("a");
	int fds;

	(void)state;
	assert_int_equal(i->desired, INST_WANT_RUNNING);
	assert_int_equal(i->boot, 1);
	assert_int_equal(i->pid, guest_pid(i->id));
	assert_int_equal(rig->launches, 1);
	assert_true(rig_has("pool/instances"));
	assert_int_equal(rig_number("SELECT phase FROM instances"), INST_PHASE_PRESENT);
	guest_ready(i->id);
	AWAIT(i->state == INST_READY);
	assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	is_sound();
	/* A start and a stop cost no descriptors. */
	fds = count_fds();
	for (int n = 0; n < 3; n++) {
		assert_int_equal(ended(start_begin(i)).status, OP_DONE);
		assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	}
	is_sound();
	assert_int_equal(count_fds(), fds);
}

static void test_stop(void **state)
{
	struct inst *i = create("a");
	struct op *op = stop_begin(i, false);

	(void)state;
	AWAIT(rig->signals == 1);
	assert_int_equal(i->state, INST_STOPPING);
	assert_int_equal(i->desired, INST_WANT_STOPPED);
	/* Too late. */
	guest_ready(i->id);
	guest_ends(i->id, KEEPER_EXIT_POWEROFF, SIGINT);
	assert_int_equal(ended(op).status, OP_DONE);
	assert_int_equal(i->state, INST_STOPPED);
	assert_int_equal(i->last_exit, KEEPER_EXIT_POWEROFF);
	assert_int_equal(rig->n_cgroups, 0);
	assert_int_equal(rig_number("SELECT exit_boot FROM instances"), 1);
	pass(20000);
	is_sound();
}

static void test_stop_limit_and_force(void **state)
{
	struct inst *i = create("a");
	struct op *op = NULL;

	(void)state;
	assert_int_equal(inst_stop(i, 50000, false, &op, NULL), 0);
	assert_int_equal(ended(op).status, OP_DONE);
	assert_int_equal(i->last_exit, KEEPER_EXIT_KILLED);
	assert_int_equal(ended(start_begin(i)).status, OP_DONE);
	op = stop_begin(i, false);
	AWAIT(i->state == INST_STOPPING);
	/* A second client loses patience: the same operation. */
	assert_ptr_equal(stop_begin(i, true), op);
	assert_int_equal(ended(op).status, OP_DONE);
	is_sound();
}

/* "", "0 ", "1 2 ". */
static const char *set_text(const cpu_set_t *cpus)
{
	static char text[CG_CPUS_TEXT];

	text[0] = '\0';
	for (int n = 0; cpus && n < 10; n++)
		if (CPU_ISSET((size_t)n, cpus))
			(void)str_fmt(text + strlen(text), sizeof(text) - strlen(text), "%d ", n);
	return text;
}

/* Where it was put. */
static const char *cpus_of(const struct inst *i)
{
	const struct rig_cgroup *c = cgroup_find(i->id);

	return set_text(c ? &c->cpus : NULL);
}

static bool are_apart(const struct inst *a, const struct inst *b)
{
	const struct rig_cgroup *x = cgroup_find(a->id), *y = cgroup_find(b->id);

	return x && y && CPU_COUNT(&x->cpus) == 1 && !CPU_EQUAL(&x->cpus, &y->cpus);
}

static void put_on(const struct inst *i, size_t cpu)
{
	struct rig_cgroup *c = cgroup_find(i->id);

	if (!c)
		fail_msg("'%s' has no cgroup", i->full_name);
	else {
		CPU_ZERO(&c->cpus);
		CPU_SET(cpu, &c->cpus);
	}
}

/* One CPU each, as few on each as can be; who stays is not moved without need. */
static void test_cpus(void **state)
{
	struct inst *a = create("a"), *b = create("b"), *c;

	(void)state;
	assert_string_equal(cpus_of(a), "0 ");
	assert_string_equal(cpus_of(b), "1 ");
	assert_int_equal(ended(stop_begin(a, true)).status, OP_DONE);
	assert_string_equal(cpus_of(b), "1 ");
	c = create("c");
	assert_string_equal(cpus_of(c), "0 ");
	/* A bigger one. A change that was not written moved nobody for good. */
	assert_int_equal(ended(cores_begin(c, 2.5)).status, OP_DONE);
	assert_string_equal(cpus_of(c), "0 2 3 ");
	commits_fail("INSERT ON operations", "NEW.kind = 5");
	assert_int_equal(ended(cores_begin(c, 4)).status, OP_FAILED);
	commits_work();
	assert_string_equal(cpus_of(c), "0 2 3 ");
	/* The next vpsd takes them as they are, and makes room for who came between. */
	put_on(b, 3);
	vpsd_down();
	vpsd_up();
	AWAIT(inst_is_ready(rig->m));
	assert_string_equal(cpus_of(find("b")), "3 ");
	assert_string_equal(cpus_of(find("c")), "0 1 2 ");
	/* A CPU goes: found at the next occasion. */
	rig->cpus = 2;
	(void)create("d");
	assert_string_equal(cpus_of(find("c")), "0 1 ");
	assert_string_equal(cpus_of(find("b")), "0 ");
	assert_string_equal(cpus_of(find("d")), "1 ");
	is_sound();
}

static void add_own_plan(void)
{
	apply_text(SPEC_KIND_PLAN,
		   "{\"plan\": \"own\", \"version\": 1, \"cpu\": {\"cores\": 2, \"dedicated\": "
		   "true}, \"memory\": {\"limit\": \"64MiB\"}, \"pids\": 64, \"disk\": {\"size\": "
		   "null, \"inodes\": null}, \"network\": {\"connections\": null}}");
}

/* A guest with CPUs of its own: the others leave them, and get them back. */
static void test_own_cpus(void **state)
{
	struct inst *a = create("a"), *b = create("b"), *own;
	struct err err = ERR_INIT;
	struct op *op;

	(void)state;
	add_own_plan();
	assert_string_equal(cpus_of(a), "0 ");
	op = create_of_plan("own", "own", true, &err);
	assert_non_null(op);
	assert_int_equal(ended(op).status, OP_DONE);
	own = find("own");
	/* The first one is the host's. */
	assert_string_equal(set_text(&rig->partition), "1 2 3 ");
	assert_string_equal(set_text(&rig->dedicated), "2 3 ");
	assert_string_equal(cpus_of(own), "2 3 ");
	assert_string_equal(cgroup_find(own->id)->tenant, CG_DEDICATED);
	assert_string_equal(cpus_of(a), "1 ");
	assert_string_equal(cpus_of(b), "1 ");
	/* No CPU is left for one more. */
	assert_null(create_of_plan("late", "own", true, &err));
	assert_non_null(strstr(err_text(&err), "dedicated cores: 2.000 wanted, 0.000 left"));
	vpsd_down();
	vpsd_up();
	own = find("own");
	AWAIT(own->state == INST_RUNNING);
	assert_string_equal(cpus_of(own), "2 3 ");
	assert_string_equal(set_text(&rig->dedicated), "2 3 ");
	assert_int_equal(ended(stop_begin(own, true)).status, OP_DONE);
	assert_string_equal(set_text(&rig->dedicated), "");
	assert_null(cgroup_find(own->id));
	assert_true(are_apart(find("a"), find("b")));
	/* The kernel does not take it: not started, and nobody has lost a CPU. */
	rig->refuses_partitions = true;
	assert_int_equal(ended(start_begin(own)).status, OP_FAILED);
	assert_true(are_apart(find("a"), find("b")));
	rig->refuses_partitions = false;
	assert_int_equal(ended(start_begin(own)).status, OP_DONE);
	assert_string_equal(cpus_of(own), "2 3 ");
	/* Another plan: from its next start on. */
	assert_int_equal(ended(field_begin(own, "plan", json_string("tiny"))).status, OP_DONE);
	assert_true(own->restart_needed);
	assert_string_equal(cpus_of(own), "2 3 ");
	assert_int_equal(ended(stop_begin(own, true)).status, OP_DONE);
	assert_int_equal(ended(start_begin(own)).status, OP_DONE);
	assert_string_equal(set_text(&rig->dedicated), "");
	assert_string_equal(cgroup_find(own->id)->tenant, own->tenant->id);
	/* A host that cannot, and a document that tolerates it: it shares like the others, and
	 * waits for nothing. */
	rig->has_no_partitions = true;
	vpsd_down();
	vpsd_up();
	own = find("own");
	assert_int_equal(ended(field_begin(own, "plan", json_string("own"))).status, OP_DONE);
	assert_false(own->restart_needed);
	assert_int_equal(ended(stop_begin(own, true)).status, OP_DONE);
	assert_int_equal(ended(start_begin(own)).status, OP_DONE);
	assert_string_equal(cgroup_find(own->id)->tenant, own->tenant->id);
	assert_string_equal(set_text(&rig->dedicated), "");
	is_sound();
}

/* What an earlier guest has left at the other place ends before there is a second one. */
static void test_leftover_elsewhere(void **state)
{
	struct inst *i = create("a");

	(void)state;
	add_own_plan();
	assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	(void)cgroup_add(CG_DEDICATED, i->id);
	rig->busy = 1;
	assert_int_equal(ended(start_begin(i)).status, OP_FAILED);
	assert_non_null(strstr(i->error, "processes live there"));
	assert_int_equal(ended(start_begin(i)).status, OP_DONE);
	assert_string_equal(cgroup_find(i->id)->tenant, i->tenant->id);
	/* On a host that cannot dedicate CPUs, a plan that asks for them changes nothing of it. */
	rig->has_no_partitions = true;
	vpsd_down();
	vpsd_up();
	i = find("a");
	assert_int_equal(ended(field_begin(i, "plan", json_string("own"))).status, OP_DONE);
	assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	(void)cgroup_add(CG_DEDICATED, i->id);
	rig->busy = 1;
	assert_int_equal(ended(start_begin(i)).status, OP_FAILED);
	assert_int_equal(ended(start_begin(i)).status, OP_DONE);
	assert_string_equal(cgroup_find(i->id)->tenant, i->tenant->id);
	is_sound();
}

/* A vpsd that was killed between the two partitions: said again, though nobody wants CPUs. */
static void test_half_dedicated(void **state)
{
	(void)state;
	(void)create("a");
	CPU_ZERO(&rig->dedicated);
	rig->is_half_dedicated = true;
	vpsd_down();
	vpsd_up();
	AWAIT(find("a")->state == INST_RUNNING);
	assert_false(rig->is_half_dedicated);
	is_sound();
}

static void test_cpus_float(void **state)
{
	struct inst *a = create("a");

	(void)state;
	assert_string_equal(cpus_of(a), "0 ");
	rig->host.cpu_placement = SPEC_PLACEMENT_FLOAT;
	vpsd_down();
	vpsd_up();
	AWAIT(inst_is_ready(rig->m));
	assert_string_equal(cpus_of(find("a")), "0 1 2 3 ");
	assert_string_equal(cpus_of(create("b")), "0 1 2 3 ");
	/* Where CPUs cannot be listed, guests run all the same. */
	rig->host.cpu_placement = SPEC_PLACEMENT_SPREAD;
	rig->cpus = 0;
	assert_string_equal(cpus_of(create("c")), "");
	is_sound();
}

/* The order to stop, and the guest's own reboot at the same moment. */
static void test_reboot_while_stopping(void **state)
{
	struct inst *i = create("a");
	struct op *op = stop_begin(i, false);

	(void)state;
	guest_ends(i->id, KEEPER_EXIT_REBOOT, SIGHUP);
	assert_int_equal(ended(op).status, OP_DONE);
	pass(50000);
	assert_int_equal(i->state, INST_STOPPED);
	assert_int_equal(rig->launches, 1);
	is_sound();
}

static void test_reboot_and_poweroff(void **state)
{
	struct inst *i = create("a");

	(void)state;
	/* Seconds after its start: slowed down. */
	guest_ends(i->id, KEEPER_EXIT_REBOOT, SIGHUP);
	AWAIT(i->state == INST_STOPPED && i->retry_at);
	AWAIT(i->state == INST_RUNNING);
	assert_int_equal(i->boot, 2);
	guest_ends(i->id, KEEPER_EXIT_POWEROFF, SIGINT);
	AWAIT(i->state == INST_STOPPED);
	assert_int_equal(i->desired, INST_WANT_STOPPED);
	is_sound();
}

static void test_crashes_are_slowed_down(void **state)
{
	struct inst *i = create("a");

	(void)state;
	guest_ends(i->id, KEEPER_EXIT_CODE, 3 << 8);
	AWAIT(i->retry_at);
	assert_int_equal(i->failures, 1);
	AWAIT(i->state == INST_RUNNING);
	assert_int_equal(i->boot, 2);
	guest_ends(i->id, KEEPER_EXIT_CODE, 3 << 8);
	AWAIT(i->retry_at);
	assert_int_equal(i->failures, 2);
	assert_int_equal(ended(delete_begin(i, false)).status, OP_DONE);
	pass(2500000);
	assert_null(find("a"));
	assert_int_equal(rig->launches, 2);
	is_sound();
}

/* Whoever stops it while it waits for its next try is obeyed at once. */
static void test_stop_during_back_off(void **state)
{
	struct inst *i = create("a");

	(void)state;
	guest_ends(i->id, KEEPER_EXIT_CODE, 3 << 8);
	AWAIT(i->retry_at);
	assert_int_equal(ended(stop_begin(i, false)).status, OP_DONE);
	assert_int_equal(i->desired, INST_WANT_STOPPED);
	assert_int_equal(i->retry_at, 0);
	pass(1500000);
	assert_int_equal(i->state, INST_STOPPED);
	assert_int_equal(rig->launches, 1);
	is_sound();
}

/* The same while what it left is still being cleaned up. */
static void test_stop_while_ending(void **state)
{
	struct inst *i = create("a");
	struct op *op;

	(void)state;
	rig->busy = 4;
	guest_ends(i->id, KEEPER_EXIT_CODE, 3 << 8);
	AWAIT(i->state == INST_STOPPING);
	op = stop_begin(i, false);
	assert_int_equal(ended(op).status, OP_DONE);
	assert_int_equal(i->state, INST_STOPPED);
	AWAIT(rig->n_cgroups == 0);
	AWAIT(rig->n_guests == 0);
	assert_int_equal(rig_number("SELECT exit_boot FROM instances"), 1);
	pass(1200000);
	assert_int_equal(rig->launches, 1);
	assert_int_equal(ended(start_begin(i)).status, OP_DONE);
	guest_ends(i->id, KEEPER_EXIT_POWEROFF, SIGINT);
	AWAIT(i->state == INST_STOPPED);
	is_sound();
}

static void test_force_stop_while_ending(void **state)
{
	struct inst *i = create("a");

	(void)state;
	rig->busy = 2;
	guest_ends(i->id, KEEPER_EXIT_REBOOT, SIGHUP);
	AWAIT(i->state == INST_STOPPING);
	assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	AWAIT(rig->n_guests == 0);
	pass(1200000);
	assert_int_equal(i->state, INST_STOPPED);
	is_sound();
}

/* Its own end comes between the order to delete it and that order's commit. */
static void test_delete_races_with_exit(void **state)
{
	(void)state;
	for (unsigned busy = 0; busy < 3; busy++) {
		struct inst *i = create("a");
		struct op *op = delete_begin(i, true);

		rig->busy = busy;
		guest_ends(i->id, KEEPER_EXIT_POWEROFF, SIGINT);
		/* The end arrives first. */
		while (inst_is_up(i))
			(void)sd_event_run(rig->event, 0);
		assert_int_equal(ended(op).status, OP_DONE);
		assert_null(find("a"));
		pass(100000);
		is_sound();
	}
}

static void test_delete_while_ending(void **state)
{
	(void)state;
	for (unsigned busy = 0; busy < 3; busy++) {
		struct inst *i = create("a");

		rig->busy = busy;
		guest_ends(i->id, KEEPER_EXIT_REBOOT, SIGHUP);
		AWAIT(i->state == INST_STOPPING);
		assert_int_equal(ended(delete_begin(i, true)).status, OP_DONE);
		pass(100000);
		assert_null(find("a"));
		assert_int_equal(rig->n_guests, 0);
		is_sound();
	}
}

static void test_two_clients(void **state)
{
	struct inst *i = create("a");
	struct op *op = stop_begin(i, false), *second = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(inst_stop(i, 0, false, &second, &err), -EBUSY);
	assert_int_equal(inst_start(i, &second, &err), -EBUSY);
	assert_int_equal(inst_restart(i, 0, false, &second, &err), -EBUSY);
	assert_int_equal(inst_delete(i, true, &second, &err), -EBUSY);
	AWAIT(i->state == INST_STOPPING);
	guest_ends(i->id, KEEPER_EXIT_POWEROFF, SIGINT);
	assert_int_equal(ended(op).status, OP_DONE);
	is_sound();
}

static void test_jobs_fail(void **state)
{
	struct err err = ERR_INIT;
	struct op *op, end;

	(void)state;
	rig_put("fail-prepare", "", 0600);
	op = create_begin("a", true, &err);
	assert_non_null(op);
	end = ended(op);
	assert_int_equal(end.status, OP_FAILED);
	assert_string_equal(end.error_code, "no-space");
	assert_null(find("a"));
	rig_unput("fail-prepare");
	rig_put("die-prepare", "", 0600);
	op = create_begin("a", true, &err);
	assert_non_null(op);
	assert_int_equal(ended(op).status, OP_FAILED);
	rig_unput("die-prepare");
	assert_int_equal(rig_number("SELECT count(*) FROM instances"), 0);
	/* A deletion that fails can be asked for again, and it is no instance to be used. */
	(void)create("a");
	rig_put("die-remove-instance", "", 0600);
	assert_int_equal(ended(delete_begin(find("a"), true)).status, OP_FAILED);
	assert_int_equal(find("a")->state, INST_FAILED);
	assert_int_equal(inst_start(find("a"), &op, &err), -EBUSY);
	rig_unput("die-remove-instance");
	assert_int_equal(ended(delete_begin(find("a"), false)).status, OP_DONE);
	is_sound();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_create_and_start),
		T(test_stop),
		T(test_stop_limit_and_force),
		T(test_cpus),
		T(test_cpus_float),
		T(test_own_cpus),
		T(test_leftover_elsewhere),
		T(test_half_dedicated),
		T(test_reboot_while_stopping),
		T(test_reboot_and_poweroff),
		T(test_crashes_are_slowed_down),
		T(test_stop_during_back_off),
		T(test_stop_while_ending),
		T(test_force_stop_while_ending),
		T(test_delete_races_with_exit),
		T(test_delete_while_ending),
		T(test_two_clients),
		T(test_jobs_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
