/* SPDX-License-Identifier: Apache-2.0 */
/* Suspensions: what they do, what they withstand, and what interrupts them. */
#include "tests/unit/instance/rig.h"

#include "runtime/instance/private.h"

static struct op *suspend_begin(struct inst *i, enum inst_suspend mode, const char *reason)
{
	struct op *op = NULL;
	struct err err = ERR_INIT;

	if (inst_suspend(i, mode, reason, &op, &err) < 0)
		fail_msg("%s", err_text(&err));
	return op;
}

static bool is_frozen(const struct inst *i)
{
	const struct rig_cgroup *c = cgroup_find(i->id);

	return c && c->is_frozen;
}

static void freeze(struct inst *i)
{
	assert_int_equal(ended(suspend_begin(i, INST_SUSPEND_FREEZE, "unpaid")).status, OP_DONE);
	assert_int_equal(i->state, INST_SUSPENDED);
	assert_true(is_frozen(i));
}

static struct op *resume_begin(struct inst *i)
{
	struct op *op = NULL;
	struct err err = ERR_INIT;

	if (inst_resume(i, &op, &err) < 0)
		fail_msg("%s", err_text(&err));
	return op;
}

static int64_t running_operations(void)
{
	return rig_number("SELECT count(*) FROM operations WHERE status = 0");
}

static void test_freeze(void **state)
{
	char word[] = "true";
	char *const argv[] = {word, NULL};
	const struct inst_exec exec = {.argv = argv};
	struct inst *i = create("a");
	pid_t pid = i->pid;
	struct err err = ERR_INIT;
	struct op *op = NULL;
	int fds;

	(void)state;
	freeze(i);
	assert_int_equal(ended(resume_begin(i)).status, OP_DONE);
	(void)running_operations(); /* SQLite keeps its file */
	fds = count_fds();
	freeze(i);
	assert_int_equal(i->pid, pid);
	assert_int_equal(i->desired, INST_WANT_RUNNING);
	assert_int_equal(rig_number("SELECT suspend FROM instances"), INST_SUSPEND_FREEZE);
	assert_int_equal(inst_start(i, &op, &err), -EBUSY);
	assert_non_null(strstr(err_text(&err), "cannot start 't/a': it is suspended (freeze)"));
	assert_non_null(strstr(err_text(&err), ": unpaid"));
	assert_string_equal(err.hint, "'vps resume t/a' ends that");
	assert_int_equal(inst_restart(i, 0, true, &op, &err), -EBUSY);
	assert_non_null(strstr(err_text(&err), "unpaid"));
	assert_int_equal(inst_exec_check(i, &exec, &err), -EBUSY);
	assert_non_null(strstr(err_text(&err), "cannot enter 't/a': it is suspended"));
	assert_int_equal(inst_console_check(i, &err), -EBUSY);
	assert_int_equal(inst_delete(i, false, &op, &err), -EBUSY);
	assert_non_null(strstr(err_text(&err), "its guest is frozen"));
	/* A change is made, and what it has said before is not lost. */
	assert_int_equal(inst_protect(i, true, &op, &err), 0);
	assert_int_equal(ended(op).status, OP_DONE);
	guest_ready(i->id);
	AWAIT(i->p->has_said_ready);
	assert_int_equal(i->state, INST_SUSPENDED);
	assert_int_equal(ended(resume_begin(i)).status, OP_DONE);
	assert_int_equal(i->state, INST_READY);
	assert_int_equal(i->pid, pid);
	assert_int_equal(i->boot, 1);
	assert_false(is_frozen(i));
	assert_int_equal(rig_number("SELECT suspend FROM instances"), 0);
	assert_int_equal(inst_resume(i, &op, &err), -EBUSY);
	assert_non_null(strstr(err_text(&err), "it is not suspended"));
	assert_int_equal(count_fds(), fds);
	is_sound();
}

static void test_modes_and_reasons(void **state)
{
	struct inst *i = create("a");
	char long_reason[INST_REASON_TEXT + 1];
	struct err err = ERR_INIT;
	struct op *op = NULL;

	(void)state;
	memset(long_reason, 'x', sizeof(long_reason));
	long_reason[INST_REASON_TEXT] = '\0';
	assert_int_equal(inst_suspend(i, INST_SUSPEND_NETWORK, NULL, &op, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err_text(&err), "has no network"));
	assert_int_equal(inst_suspend(i, INST_SUSPEND_FREEZE, long_reason, &op, &err), -EINVAL);
	assert_int_equal(inst_suspend(i, INST_SUSPEND_FREEZE, "a\nb", &op, &err), -EINVAL);
	assert_int_equal(i->suspension.mode, INST_SUSPEND_NONE);
	long_reason[INST_REASON_TEXT - 1] = '\0';
	freeze(i);
	i->suspension.since = 1000;
	assert_int_equal(ended(suspend_begin(i, INST_SUSPEND_FREEZE, long_reason)).status, OP_DONE);
	assert_string_equal(i->suspension.reason, long_reason);
	assert_int_equal(ended(suspend_begin(i, INST_SUSPEND_FREEZE, NULL)).status, OP_DONE);
	assert_string_equal(i->suspension.reason, long_reason);
	/* Another mode: what is frozen must be able to shut down. */
	op = suspend_begin(i, INST_SUSPEND_STOP, "abuse");
	AWAIT(rig->signals == 1);
	assert_false(is_frozen(i));
	guest_ends(i->id, KEEPER_EXIT_POWEROFF, SIGINT);
	assert_int_equal(ended(op).status, OP_DONE);
	assert_int_equal(i->state, INST_SUSPENDED);
	assert_int_equal(i->suspension.mode, INST_SUSPEND_STOP);
	assert_int_equal(i->suspension.since, 1000);
	assert_int_equal(ended(suspend_begin(i, INST_SUSPEND_FREEZE, NULL)).status, OP_DONE);
	vpsd_down();
	vpsd_up();
	i = find("a");
	assert_int_equal(i->state, INST_SUSPENDED);
	assert_int_equal(i->suspension.mode, INST_SUSPEND_FREEZE);
	assert_int_equal(i->suspension.since, 1000);
	assert_string_equal(i->suspension.reason, "abuse");
	assert_int_equal(rig->launches, 1);
	is_sound();
}

/* It goes on without its network, and has it again. */
static void test_network_mode(void **state)
{
	struct inst *i = create("a");
	struct op end;

	(void)state;
	i->net.n = 1;
	assert_int_equal(ended(suspend_begin(i, INST_SUSPEND_NETWORK, "unpaid")).status, OP_DONE);
	assert_int_equal(i->state, INST_SUSPENDED);
	assert_true(inst_is_up(i) && rig->is_cut && !is_frozen(i));
	freeze(i);
	assert_false(rig->is_cut);
	assert_int_equal(ended(suspend_begin(i, INST_SUSPEND_NETWORK, NULL)).status, OP_DONE);
	assert_true(rig->is_cut && !is_frozen(i));
	/* Who cannot be connected again stays suspended. */
	rig->deaf_filter = true;
	end = ended(resume_begin(i));
	assert_int_equal(end.status, OP_FAILED);
	assert_non_null(strstr(err_text(&end.err), "does not hear"));
	assert_int_equal(i->suspension.mode, INST_SUSPEND_NETWORK);
	rig->deaf_filter = false;
	assert_int_equal(ended(resume_begin(i)).status, OP_DONE);
	assert_false(rig->is_cut);
	/* Who cannot be cut off is not suspended. */
	rig->deaf_filter = true;
	end = ended(suspend_begin(i, INST_SUSPEND_NETWORK, "unpaid"));
	assert_int_equal(end.status, OP_FAILED);
	assert_int_equal(i->suspension.mode, INST_SUSPEND_NONE);
	assert_int_equal(rig_number("SELECT suspend FROM instances"), 0);
	rig->deaf_filter = false;
	i->net.n = 0;
	is_sound();
}

static void test_stop_mode(void **state)
{
	struct inst *i = create("a");
	struct op *op = suspend_begin(i, INST_SUSPEND_STOP, NULL);
	struct err err = ERR_INIT;

	(void)state;
	AWAIT(rig->signals == 1);
	guest_ends(i->id, KEEPER_EXIT_POWEROFF, SIGINT);
	assert_int_equal(ended(op).status, OP_DONE);
	assert_int_equal(i->state, INST_SUSPENDED);
	assert_int_equal(i->desired, INST_WANT_RUNNING);
	assert_int_equal(inst_start(i, &op, &err), -EBUSY);
	vpsd_down();
	vpsd_up();
	pass(100000);
	assert_int_equal(rig->launches, 1);
	i = find("a");
	assert_int_equal(i->state, INST_SUSPENDED);
	assert_int_equal(ended(resume_begin(i)).status, OP_DONE);
	assert_int_equal(i->state, INST_RUNNING);
	assert_int_equal(i->boot, 2);
	/* What did not run before does not run behind it. */
	assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	assert_int_equal(ended(suspend_begin(i, INST_SUSPEND_STOP, NULL)).status, OP_DONE);
	assert_int_equal(i->state, INST_SUSPENDED);
	assert_int_equal(ended(resume_begin(i)).status, OP_DONE);
	assert_int_equal(i->state, INST_STOPPED);
	assert_int_equal(rig->launches, 2);
	is_sound();
}

/* A shutdown that takes its time is hastened; what is wanted stays. */
static void test_stop_mode_hastened(void **state)
{
	struct inst *i = create("a");
	struct op *op = suspend_begin(i, INST_SUSPEND_STOP, NULL);

	(void)state;
	AWAIT(i->state == INST_STOPPING);
	assert_ptr_equal(stop_begin(i, true), op);
	assert_int_equal(ended(op).status, OP_DONE);
	assert_int_equal(i->state, INST_SUSPENDED);
	assert_int_equal(i->desired, INST_WANT_RUNNING);
	is_sound();
}

static void test_never_freezes(void **state)
{
	struct inst *i = create("a");
	struct op end;

	(void)state;
	rig->never_freezes = true;
	rig->m->freeze_limit = 50000;
	end = ended(suspend_begin(i, INST_SUSPEND_FREEZE, NULL));
	assert_int_equal(end.status, OP_FAILED);
	assert_string_equal(end.error_code, "timeout");
	assert_non_null(strstr(end.err.hint, "--mode stop"));
	assert_int_equal(i->state, INST_RUNNING);
	assert_int_equal(i->suspension.mode, INST_SUSPEND_NONE);
	assert_false(is_frozen(i));
	assert_int_equal(rig_number("SELECT suspend FROM instances"), 0);
	/* What cannot be undone in the database holds. */
	commits_fail("UPDATE ON instances", "OLD.suspend <> 0 AND NEW.suspend = 0");
	end = ended(suspend_begin(i, INST_SUSPEND_FREEZE, NULL));
	assert_int_equal(end.status, OP_FAILED);
	assert_int_equal(i->state, INST_SUSPENDED);
	assert_true(is_frozen(i));
	commits_work();
	rig->never_freezes = false;
	assert_int_equal(ended(resume_begin(i)).status, OP_DONE);
	is_sound();
}

/* Its end comes while it is waited for. */
static void test_ends_while_freezing(void **state)
{
	struct inst *i = create("a");
	struct op *op;

	(void)state;
	rig->never_freezes = true;
	op = suspend_begin(i, INST_SUSPEND_FREEZE, NULL);
	AWAIT(is_frozen(i));
	guest_ends(i->id, KEEPER_EXIT_REBOOT, SIGHUP);
	pass(50000);
	rig->never_freezes = false;
	assert_int_equal(ended(op).status, OP_DONE);
	AWAIT(!inst_is_up(i) && i->state == INST_SUSPENDED);
	pass(1500000);
	assert_int_equal(rig->launches, 1);
	assert_int_equal(ended(resume_begin(i)).status, OP_DONE);
	assert_int_equal(i->boot, 2);
	is_sound();
}

/* Somebody kills it, or the host runs out of memory. */
static void test_ends_while_frozen(void **state)
{
	struct inst *i = create("a");

	(void)state;
	freeze(i);
	guest_ends(i->id, KEEPER_EXIT_KILLED, SIGKILL);
	AWAIT(!inst_is_up(i) && i->state == INST_SUSPENDED);
	pass(1500000);
	assert_int_equal(rig->launches, 1);
	vpsd_down();
	vpsd_up();
	i = find("a");
	pass(50000);
	assert_int_equal(i->state, INST_SUSPENDED);
	assert_int_equal(rig->launches, 1);
	assert_int_equal(ended(resume_begin(i)).status, OP_DONE);
	assert_int_equal(i->state, INST_RUNNING);
	is_sound();
}

static void test_back_off(void **state)
{
	struct inst *i = create("a");

	(void)state;
	guest_ends(i->id, KEEPER_EXIT_CODE, 3 << 8);
	AWAIT(i->retry_at);
	assert_int_equal(ended(suspend_begin(i, INST_SUSPEND_FREEZE, NULL)).status, OP_DONE);
	assert_int_equal(i->retry_at, 0);
	assert_string_equal(i->error, "");
	pass(1500000);
	assert_int_equal(rig->launches, 1);
	assert_int_equal(ended(resume_begin(i)).status, OP_DONE);
	assert_int_equal(i->state, INST_RUNNING);
	is_sound();
}

/* After a start of vpsd many wait for their turn to start. */
static void test_in_the_queue(void **state)
{
	static const char *const names[] = {"a", "b", "c", "d", "e"};
	struct err err = ERR_INIT;
	struct inst *last = NULL;

	(void)state;
	for (size_t n = 0; n < 5; n++)
		assert_int_equal(ended(create_begin(names[n], false, &err)).status, OP_DONE);
	vpsd_down();
	rig_sql("UPDATE instances SET desired = 1");
	rig->holds_launches = true;
	vpsd_up();
	AWAIT(rig->launches == 4);
	for (size_t n = 0; n < 5; n++)
		if (find(names[n])->state == INST_STOPPED)
			last = find(names[n]);
	assert_non_null(last);
	assert_int_equal(ended(suspend_begin(last, INST_SUSPEND_STOP, NULL)).status, OP_DONE);
	rig->holds_launches = false;
	peer_drop();
	AWAIT(op_count_running(inst_ops(rig->m)) == 0);
	pass(50000);
	assert_int_equal(rig->launches, 4);
	assert_int_equal(last->state, INST_SUSPENDED);
	assert_int_equal(ended(resume_begin(last)).status, OP_DONE);
	is_sound();
}

static void test_stop_and_delete_of_a_frozen_one(void **state)
{
	struct inst *i = create("a");
	struct op *op;

	(void)state;
	freeze(i);
	op = stop_begin(i, false);
	AWAIT(rig->signals == 1);
	assert_false(is_frozen(i));
	guest_ends(i->id, KEEPER_EXIT_POWEROFF, SIGINT);
	assert_int_equal(ended(op).status, OP_DONE);
	assert_int_equal(i->state, INST_SUSPENDED);
	assert_int_equal(i->desired, INST_WANT_STOPPED);
	assert_int_equal(ended(resume_begin(i)).status, OP_DONE);
	assert_int_equal(i->state, INST_STOPPED);
	assert_int_equal(ended(start_begin(i)).status, OP_DONE);
	freeze(i);
	assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	assert_int_equal(i->state, INST_SUSPENDED);
	assert_int_equal(ended(delete_begin(i, false)).status, OP_DONE);
	i = create("b");
	freeze(i);
	assert_int_equal(ended(delete_begin(i, true)).status, OP_DONE);
	assert_null(find("b"));
	is_sound();
}

/* --- what interrupts it ---------------------------------------------------------------------- */

static void test_kernel_follows_the_database(void **state)
{
	(void)state;
	freeze(create("a"));
	vpsd_down();
	/* Thawed by hand, or the vpsd before did not live to freeze it. */
	rig->cgroups[0].is_frozen = false;
	vpsd_up();
	assert_int_equal(find("a")->state, INST_SUSPENDED);
	assert_string_equal(find("a")->suspension.reason, "unpaid");
	assert_true(rig->cgroups[0].is_frozen);
	vpsd_down();
	rig_sql("UPDATE instances SET suspend = 0");
	vpsd_up();
	assert_int_equal(find("a")->state, INST_RUNNING);
	assert_false(rig->cgroups[0].is_frozen);
	assert_int_equal(rig->launches, 1);
	is_sound();
}

static void test_keeper_comes_back(void **state)
{
	struct inst *i = create("a");
	pid_t pid = i->pid;

	(void)state;
	freeze(i);
	keeper_down();
	keeper_forgets_all();
	keeper_up();
	AWAIT(rig->adopts == 1);
	pass(50000);
	assert_int_equal(i->state, INST_SUSPENDED);
	assert_true(is_frozen(i));
	assert_int_equal(ended(resume_begin(i)).status, OP_DONE);
	assert_int_equal(i->state, INST_RUNNING);
	assert_int_equal(i->pid, pid);
	is_sound();
}

static void test_vpsd_dies_while_freezing(void **state)
{
	struct inst *i = create("a");

	(void)state;
	rig->never_freezes = true;
	(void)suspend_begin(i, INST_SUSPEND_FREEZE, "unpaid");
	AWAIT(is_frozen(i));
	vpsd_down();
	vpsd_up();
	pass(50000);
	assert_int_equal(running_operations(), 1);
	rig->never_freezes = false;
	AWAIT(!find("a")->op);
	assert_int_equal(find("a")->state, INST_SUSPENDED);
	assert_int_equal(rig_number("SELECT status FROM operations WHERE kind = 10"), OP_DONE);
	is_sound();
}

static void test_vpsd_dies_while_stopping(void **state)
{
	struct inst *i = create("a");
	char id[ID_TEXT];

	(void)state;
	for (int ends = 0; ends < 2; ends++) {
		memcpy(id, i->id, sizeof(id));
		rig->signals = 0;
		(void)suspend_begin(i, INST_SUSPEND_STOP, NULL);
		AWAIT(rig->signals == 1);
		vpsd_down();
		if (ends)
			guest_ends(id, KEEPER_EXIT_POWEROFF, SIGINT);
		vpsd_up();
		if (!ends) {
			AWAIT(rig->signals == 2);
			guest_ends(id, KEEPER_EXIT_POWEROFF, SIGINT);
		}
		i = find("a");
		AWAIT(i->state == INST_SUSPENDED && !i->op);
		assert_int_equal(i->desired, INST_WANT_RUNNING);
		assert_int_equal(rig_number("SELECT count(*) FROM operations WHERE status = 2"), 0);
		assert_int_equal(ended(resume_begin(i)).status, OP_DONE);
		assert_int_equal(i->state, INST_RUNNING);
	}
	is_sound();
}

/* A stop of a frozen one: the next vpsd must not freeze it again. */
static void test_vpsd_dies_while_stopping_a_frozen_one(void **state)
{
	struct inst *i = create("a");
	char id[ID_TEXT];

	(void)state;
	memcpy(id, i->id, sizeof(id));
	freeze(i);
	(void)stop_begin(i, false);
	AWAIT(rig->signals == 1);
	vpsd_down();
	/* As if it had died before it could thaw it. */
	rig->cgroups[0].is_frozen = true;
	vpsd_up();
	AWAIT(rig->signals == 2);
	assert_false(rig->cgroups[0].is_frozen);
	guest_ends(id, KEEPER_EXIT_POWEROFF, SIGINT);
	AWAIT(!find("a")->op);
	assert_int_equal(find("a")->state, INST_SUSPENDED);
	assert_int_equal(find("a")->desired, INST_WANT_STOPPED);
	is_sound();
}

static void test_vpsd_dies_while_resuming(void **state)
{
	struct inst *i = create("a");

	(void)state;
	freeze(i);
	(void)ended(stop_begin(i, true));
	is_sound();
	vpsd_down();
	rig_sql("UPDATE instances SET desired = 1");
	vpsd_up();
	assert_int_equal(find("a")->state, INST_SUSPENDED);
	vpsd_down();
	/* Written, and nothing else has come about. */
	rig_sql("UPDATE instances SET suspend = 0");
	rig_sql("INSERT INTO operations (id, kind, status, target, instance_id, created) "
		"SELECT '00000000000000aa', 11, 0, 't/a', id, 1 FROM instances");
	rig->holds_launches = true;
	vpsd_up();
	AWAIT(guest_lives(find("a")->id));
	/* It is not done before it runs. */
	pass(50000);
	assert_non_null(find("a")->op);
	assert_int_equal(find("a")->op->kind, OP_RESUME);
	rig->holds_launches = false;
	peer_drop();
	AWAIT(find("a")->state == INST_RUNNING && !find("a")->op);
	assert_int_equal(rig_number("SELECT status FROM operations WHERE kind = 11"), OP_DONE);
	is_sound();
}

/* Of an operation that cannot be written nothing has happened. */
static void test_commits_fail(void **state)
{
	struct inst *i = create("a");

	(void)state;
	for (int mode = INST_SUSPEND_FREEZE; mode <= INST_SUSPEND_STOP; mode++) {
		commits_fail("UPDATE ON instances", "NEW.suspend <> 0");
		assert_int_equal(ended(suspend_begin(i, (enum inst_suspend)mode, "unpaid")).status,
				 OP_FAILED);
		pass(20000);
		assert_int_equal(i->state, INST_RUNNING);
		assert_int_equal(i->suspension.mode, INST_SUSPEND_NONE);
		assert_int_equal(rig->freezes, 0);
		assert_int_equal(rig->signals, 0);
		commits_work();
	}
	freeze(i);
	commits_fail("UPDATE ON instances", "NEW.suspend = 0");
	assert_int_equal(ended(resume_begin(i)).status, OP_FAILED);
	pass(20000);
	assert_int_equal(i->state, INST_SUSPENDED);
	assert_string_equal(i->suspension.reason, "unpaid");
	assert_true(is_frozen(i));
	commits_work();
	/* A stop that cannot be written leaves it frozen. */
	commits_fail("UPDATE ON instances", "NEW.desired = 0");
	assert_int_equal(ended(stop_begin(i, false)).status, OP_FAILED);
	pass(20000);
	assert_int_equal(i->state, INST_SUSPENDED);
	assert_true(is_frozen(i));
	commits_work();
	/* One that does not run is not started by a resumption that cannot be written. */
	assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	i->desired = INST_WANT_RUNNING;
	commits_fail("UPDATE ON instances", "NEW.suspend = 0");
	assert_int_equal(ended(resume_begin(i)).status, OP_FAILED);
	pass(20000);
	assert_int_equal(i->state, INST_SUSPENDED);
	assert_int_equal(i->retry_at, 0);
	commits_work();
	assert_int_equal(ended(resume_begin(i)).status, OP_DONE);
	assert_int_equal(i->state, INST_RUNNING);
	is_sound();
}

/* The same, and its end comes meanwhile: it is judged like any other. */
static void test_commits_fail_while_it_ends(void **state)
{
	struct inst *i = create("a");
	sqlite3 *db = NULL;
	struct op *op;

	(void)state;
	commits_fail("UPDATE ON instances", "NEW.suspend <> 0");
	/* Its commit waits for this one. */
	assert_int_equal(sqlite3_open(rig_path("vpsd.db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	op = suspend_begin(i, INST_SUSPEND_FREEZE, NULL);
	guest_ends(i->id, KEEPER_EXIT_POWEROFF, SIGINT);
	AWAIT(i->p->has_exit);
	assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
	assert_int_equal(ended(op).status, OP_FAILED);
	AWAIT(i->state == INST_STOPPED);
	assert_int_equal(i->desired, INST_WANT_STOPPED);
	commits_work();
	is_sound();
}

/* A resumption whose start fails has ended the suspension, and says what is wrong. */
static void test_resume_does_not_start(void **state)
{
	struct inst *i = create("a");
	char away[256];

	(void)state;
	freeze(i);
	guest_ends(i->id, KEEPER_EXIT_KILLED, SIGKILL);
	AWAIT(!inst_is_up(i) && rig->n_guests == 0);
	assert_true(str_fmt(away, sizeof(away), "%s", rig_path("pool/images/" DIGEST "/away")) >=
		    0);
	assert_int_equal(rename(rig_path("pool/images/" DIGEST "/rootfs"), away), 0);
	assert_int_equal(ended(resume_begin(i)).status, OP_FAILED);
	assert_int_equal(i->state, INST_FAILED);
	assert_int_equal(i->suspension.mode, INST_SUSPEND_NONE);
	assert_true(*i->error);
	assert_int_equal(ended(suspend_begin(i, INST_SUSPEND_FREEZE, NULL)).status, OP_DONE);
	assert_true(*i->error);
	/* What was given up is given up behind it. */
	assert_int_equal(ended(resume_begin(i)).status, OP_DONE);
	assert_int_equal(i->state, INST_FAILED);
	is_sound();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_freeze),
		T(test_modes_and_reasons),
		T(test_network_mode),
		T(test_stop_mode),
		T(test_stop_mode_hastened),
		T(test_never_freezes),
		T(test_ends_while_freezing),
		T(test_ends_while_frozen),
		T(test_back_off),
		T(test_in_the_queue),
		T(test_stop_and_delete_of_a_frozen_one),
		T(test_kernel_follows_the_database),
		T(test_keeper_comes_back),
		T(test_vpsd_dies_while_freezing),
		T(test_vpsd_dies_while_stopping),
		T(test_vpsd_dies_while_stopping_a_frozen_one),
		T(test_vpsd_dies_while_resuming),
		T(test_commits_fail),
		T(test_commits_fail_while_it_ends),
		T(test_resume_does_not_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
