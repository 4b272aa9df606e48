/* SPDX-License-Identifier: Apache-2.0 */
/* Whose guests and files these are, where the database does not know them, or knows less than it
 * did: another one, an older copy, one whose last commits came after the copy. */
#include "runtime/instance/private.h"
#include "tests/unit/instance/rig.h"

#define FORGET_ALL "DELETE FROM id_ranges; DELETE FROM instances"

static char id[ID_TEXT];

/* An instance, and then a database that is the same and has never heard of it. */
static void make_unknown(bool is_running)
{
	(void)str_copy(id, sizeof(id), create("a")->id);
	if (!is_running)
		assert_int_equal(ended(stop_begin(find("a"), true)).status, OP_DONE);
	vpsd_down();
	rig_sql(FORGET_ALL);
}

static const char *dir_of(const char *instance)
{
	static char path[96];

	assert_true(str_fmt(path, sizeof(path), "pool/instances/%s", instance) >= 0);
	return path;
}

static void is_refused(void)
{
	rig->not_ready = ERR_INIT;
	vpsd_start();
	AWAIT(rig->not_ready.code);
	assert_int_equal(rig->not_ready.code, EEXIST);
	assert_non_null(strstr(rig->not_ready.hint, "vpsd --stop-guests ID"));
	pass(50000);
	vpsd_down();
}

/* --- guests ---------------------------------------------------------------------------------- */

static void test_unknown_guest(void **state)
{
	pid_t pid;

	(void)state;
	make_unknown(true);
	pid = rig->guests[0].pid;
	is_refused();
	is_refused();
	assert_true(guest_lives(id));
	assert_int_equal(kill(pid, 0), 0);
	assert_int_equal(rig->n_cgroups, 1);
	assert_true(rig_has(dir_of(id)));
	/* It is gone: the rest can be managed, and the files are still the customer's. */
	guest_lose(id);
	rig->cgroups[0].is_empty = true;
	vpsd_up();
	AWAIT(rig->n_cgroups == 0);
	assert_true(rig_has(dir_of(id)));
}

static void test_refused_writes_nothing(void **state)
{
	(void)state;
	make_unknown(true);
	rig_unput("pool/owner");
	is_refused();
	assert_false(rig_has("pool/owner"));
	guest_lose(id);
	rig->cgroups[0].is_empty = true;
	vpsd_up();
	assert_true(rig_has("pool/owner"));
}

/* The row of an instance goes when its last process has gone, and not before: another vpsd would
 * not know whose they are, and another instance would get their ids. */
static void test_deletion_with_processes(void **state)
{
	struct inst *i = create("a");
	struct op *op, end;

	(void)state;
	assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	(void)cgroup_add(i->tenant->id, i->id);
	rig->busy = 1000000;
	op = delete_begin(i, false);
	AWAIT(i->p->after_clean);
	i->p->cleanup_until = 0;
	end = ended(op);
	assert_int_equal(end.status, OP_FAILED);
	assert_int_equal(end.err.code, EBUSY);
	assert_int_equal(rig_number("SELECT count(*) FROM id_ranges"), 1);
	assert_true(rig_has(dir_of(find("a")->id)));
	/* The next vpsd starts, and goes on with it. */
	vpsd_down();
	rig->busy = 3;
	vpsd_up();
	AWAIT(!find("a"));
	assert_int_equal(rig->n_cgroups, 0);
	assert_int_equal(rig_number("SELECT count(*) FROM id_ranges"), 0);
	is_sound();
}

/* A copy that was taken while it was stopped does not stop it. */
static void test_guest_of_a_stopped_row(void **state)
{
	pid_t pid = create("a")->pid;

	(void)state;
	vpsd_down();
	rig_sql("UPDATE instances SET desired = 0, exit_boot = 0, boot = 0");
	vpsd_up();
	pass(50000);
	assert_int_equal(find("a")->pid, pid);
	assert_int_equal(find("a")->state, INST_RUNNING);
	assert_int_equal(rig->signals, 0);
	AWAIT(rig_number("SELECT desired FROM instances") == INST_WANT_RUNNING);
	is_sound();
}

/* --- files ----------------------------------------------------------------------------------- */

static void test_unknown_files(void **state)
{
	char log[96];

	(void)state;
	make_unknown(false);
	assert_true(str_fmt(log, sizeof(log), "log/%s", id) >= 0);
	assert_true(rig_has(log));
	rig_sql("DELETE FROM images");
	for (int n = 0; n < 2; n++) {
		vpsd_up();
		pass(100000);
		assert_true(rig_has(dir_of(id)));
		assert_true(rig_has("pool/images/" DIGEST));
		assert_true(rig_has(log));
		vpsd_down();
	}
	/* They are given up. */
	rig_unput("pool/owner");
	vpsd_up();
	AWAIT(!rig_has(dir_of(id)) && !rig_has("pool/images/" DIGEST));
	assert_false(rig_has(log));
}

/* A row goes after its directory, which would stay for ever otherwise. */
static void test_undo_cannot_remove(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	rig_put("fail-prepare", "", 0600);
	rig_put("fail-remove-instance", "", 0600);
	assert_int_equal(ended(create_begin("a", true, &err)).status, OP_FAILED);
	assert_non_null(find("a"));
	assert_int_equal(find("a")->state, INST_FAILED);
	assert_int_equal(rig_number("SELECT count(*) FROM instances"), 1);
	rig_unput("fail-prepare");
	rig_unput("fail-remove-instance");
	assert_int_equal(ended(delete_begin(find("a"), false)).status, OP_DONE);
	(void)create("a");
	is_sound();
}

/* --- creations ------------------------------------------------------------------------------- */

/* The copy was taken while the instance was being created, or vpsd died when all was made. */
static void test_creation_that_went_well(void **state)
{
	(void)state;
	for (int n = 0; n < 3; n++) {
		struct inst *i = create("a");
		bool runs = n < 2;
		pid_t pid = i->pid;

		(void)str_copy(id, sizeof(id), i->id);
		if (n > 0)
			assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
		vpsd_down();
		rig_sql("UPDATE instances SET phase = 0, boot = 0, exit_boot = 0, hostname_done = "
			"''");
		rig_sql("UPDATE operations SET status = 0, ended = NULL WHERE kind = 0 AND "
			"instance_id IN (SELECT id FROM instances)");
		if (runs)
			rig_sql("UPDATE instances SET desired = 1");
		vpsd_up();
		i = find("a");
		assert_non_null(i);
		assert_string_equal(i->id, id);
		assert_true(rig_has(dir_of(id)));
		AWAIT(i->state == (runs ? INST_RUNNING : INST_STOPPED));
		if (n == 0)
			assert_int_equal(i->pid, pid);
		AWAIT(rig_number("SELECT count(*) FROM operations WHERE status = 0") == 0);
		assert_int_equal(rig_number("SELECT count(*) FROM operations WHERE kind = 0 AND "
					    "error_code IS NOT NULL"),
				 0);
		assert_int_equal(rig_number("SELECT phase FROM instances"), INST_PHASE_PRESENT);
		is_sound();
		assert_int_equal(ended(delete_begin(find("a"), true)).status, OP_DONE);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_unknown_guest),		 T(test_refused_writes_nothing),
		T(test_deletion_with_processes), T(test_unknown_files),
		T(test_guest_of_a_stopped_row),	 T(test_undo_cannot_remove),
		T(test_creation_that_went_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
