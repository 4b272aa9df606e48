/* SPDX-License-Identifier: Apache-2.0 */
/* What breaks in the middle: the keeper, the disk under the database, vpsd itself. */
#include "tests/unit/instance/rig.h"

/* --- the keeper ------------------------------------------------------------------------------ */

/* The connection is lost while the guest is launched; the guest is there, or has ended again. */
static void test_keeper_lost_while_starting(void **state)
{
	(void)state;
	for (int ends = 0; ends < 2; ends++) {
		struct err err = ERR_INIT;
		struct op *op;
		struct inst *i;

		rig->holds_launches = true;
		op = create_begin(ends ? "b" : "a", true, &err);
		assert_non_null(op);
		i = find(ends ? "b" : "a");
		AWAIT(guest_lives(i->id));
		rig->holds_launches = false;
		peer_drop();
		if (ends)
			guest_ends(i->id, KEEPER_EXIT_POWEROFF, SIGINT);
		assert_int_equal(ended(op).status, OP_DONE);
		AWAIT(i->state == (ends ? INST_STOPPED : INST_RUNNING));
		assert_int_equal(i->last_exit, ends ? KEEPER_EXIT_POWEROFF : KEEPER_EXIT_NONE);
		is_sound();
	}
}

/* The keeper dies before it has launched anything: the start fails, and can be asked for again. */
static void test_keeper_gone_while_starting(void **state)
{
	struct err err = ERR_INIT;
	struct op *op;

	(void)state;
	rig->holds_launches = true;
	op = create_begin("a", true, &err);
	assert_non_null(op);
	AWAIT(guest_lives(find("a")->id));
	guest_lose(find("a")->id);
	rig->holds_launches = false;
	peer_drop();
	assert_int_equal(ended(op).status, OP_FAILED);
	assert_int_equal(find("a")->state, INST_FAILED);
	assert_int_equal(ended(start_begin(find("a"))).status, OP_DONE);
	is_sound();
}

/* It is away when a restart needs it: the start waits. */
static void test_keeper_away_for_a_restart(void **state)
{
	struct inst *i = create("a");
	struct err err = ERR_INIT;
	struct op *op = NULL;

	(void)state;
	assert_int_equal(inst_restart(i, 0, true, &op, &err), 0);
	AWAIT(i->state == INST_STOPPING);
	AWAIT(!guest_lives(i->id));
	while (inst_is_up(i))
		(void)sd_event_run(rig->event, 0);
	keeper_down();
	keeper_forgets_all();
	pass(300000);
	keeper_up();
	assert_int_equal(ended(op).status, OP_DONE);
	assert_int_equal(i->state, INST_RUNNING);
	assert_int_equal(i->boot, 2);
	is_sound();
}

static void test_keeper_lost_while_stopping(void **state)
{
	struct inst *i = create("a");
	pid_t pid = i->pid;
	struct op *op = NULL;

	(void)state;
	assert_int_equal(inst_stop(i, 600000, false, &op, NULL), 0);
	AWAIT(rig->signals == 1);
	keeper_down();
	keeper_forgets_all();
	keeper_up();
	AWAIT(rig->adopts == 1);
	assert_int_equal(i->state, INST_STOPPING);
	/* The time limit still holds. */
	assert_int_equal(ended(op).status, OP_DONE);
	assert_int_equal(i->state, INST_STOPPED);
	assert_int_equal(kill(pid, 0), -1);
	is_sound();
}

/* A keeper that does not take a guest: vpsd itself sees its end. */
static void test_adoption_refused(void **state)
{
	struct inst *i = create("a");
	pid_t pid = i->pid;

	(void)state;
	keeper_down();
	keeper_forgets_all();
	rig->refuses_adoption = true;
	keeper_up();
	AWAIT(rig->adopts == 1);
	pass(50000);
	assert_int_equal(i->state, INST_RUNNING);
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	AWAIT(i->boot == 2 && i->state == INST_RUNNING);
	is_sound();
}

/* With many guests a list is long: one may end behind its own item. */
static void test_end_while_listed(void **state)
{
	struct inst *i = create("a");

	(void)state;
	rig->ends_while_listed = true;
	peer_drop();
	AWAIT(i->state == INST_STOPPED);
	assert_int_equal(i->last_exit, KEEPER_EXIT_POWEROFF);
	is_sound();
}

/* Ready stays ready: over vpsd's death, over the keeper's, and over both. */
static void test_readiness_survives(void **state)
{
	struct inst *i = create("a");

	(void)state;
	guest_ready(i->id);
	AWAIT(i->state == INST_READY);
	vpsd_down();
	vpsd_up();
	assert_int_equal(find("a")->state, INST_READY);
	keeper_down();
	keeper_forgets_all();
	keeper_up();
	AWAIT(rig->adopts == 1);
	assert_int_equal(find("a")->state, INST_READY);
	/* That keeper has not heard it, nor will it. */
	vpsd_down();
	vpsd_up();
	assert_int_equal(find("a")->state, INST_READY);
	vpsd_down();
	keeper_forgets_all();
	vpsd_up();
	AWAIT(rig->adopts == 2);
	assert_int_equal(find("a")->state, INST_READY);
	/* The next boot has its own. */
	assert_int_equal(ended(stop_begin(find("a"), true)).status, OP_DONE);
	assert_int_equal(ended(start_begin(find("a"))).status, OP_DONE);
	assert_int_equal(find("a")->state, INST_RUNNING);
	is_sound();
}

/* --- the database ---------------------------------------------------------------------------- */

static void test_create_cannot_be_written(void **state)
{
	static const char *const when[] = {"INSERT ON instances", "UPDATE ON instances"};
	struct err err = ERR_INIT;

	(void)state;
	for (size_t n = 0; n < 2; n++)
		for (int start = 0; start < 2; start++) {
			struct op *op;

			commits_fail(when[n], "1");
			op = create_begin("a", start, &err);
			assert_non_null(op);
			assert_int_equal(ended(op).status, OP_FAILED);
			assert_null(find("a"));
			commits_work();
			assert_int_equal(rig_number("SELECT count(*) FROM instances"), 0);
			is_sound();
		}
	(void)create("a");
}

/* It cannot be undone either: the name stays taken, until the disk has room again. */
static void test_create_cannot_be_undone(void **state)
{
	struct err err = ERR_INIT;
	struct op *op;

	(void)state;
	rig_put("fail-prepare", "", 0600);
	commits_fail("DELETE ON instances", "1");
	op = create_begin("a", true, &err);
	assert_non_null(op);
	assert_int_equal(ended(op).status, OP_FAILED);
	assert_non_null(find("a"));
	assert_int_equal(find("a")->state, INST_FAILED);
	op = create_begin("a", true, &err);
	assert_null(op);
	assert_int_equal(err.code, EEXIST);
	commits_work();
	rig_unput("fail-prepare");
	assert_int_equal(ended(delete_begin(find("a"), false)).status, OP_DONE);
	(void)create("a");
	is_sound();
}

static void test_start_cannot_be_written(void **state)
{
	struct inst *i = create("a");

	(void)state;
	assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	commits_fail("INSERT ON operations", "NEW.kind = 1");
	assert_int_equal(ended(start_begin(i)).status, OP_FAILED);
	/* As if nothing had been asked. */
	assert_int_equal(i->state, INST_STOPPED);
	assert_int_equal(i->desired, INST_WANT_STOPPED);
	assert_int_equal(i->boot, 1);
	commits_work();
	assert_int_equal(ended(start_begin(i)).status, OP_DONE);
	assert_int_equal(i->boot, 2);
	is_sound();
}

static void test_stop_cannot_be_written(void **state)
{
	struct inst *i = create("a");

	(void)state;
	commits_fail("INSERT ON operations", "NEW.kind = 2");
	assert_int_equal(ended(stop_begin(i, true)).status, OP_FAILED);
	assert_int_equal(i->state, INST_RUNNING);
	assert_int_equal(i->desired, INST_WANT_RUNNING);
	/* The same for one that waits for its next try: it still does. */
	guest_ends(i->id, KEEPER_EXIT_CODE, 256);
	AWAIT(i->retry_at);
	assert_int_equal(ended(stop_begin(i, true)).status, OP_FAILED);
	assert_int_equal(i->desired, INST_WANT_RUNNING);
	AWAIT(i->state == INST_RUNNING);
	commits_work();
	is_sound();
}

static void test_delete_cannot_be_written(void **state)
{
	struct inst *i = create("a");

	(void)state;
	commits_fail("INSERT ON operations", "NEW.kind = 4");
	assert_int_equal(ended(delete_begin(i, true)).status, OP_FAILED);
	assert_int_equal(i->state, INST_RUNNING);
	assert_int_equal(i->phase, INST_PHASE_PRESENT);
	assert_int_equal(i->desired, INST_WANT_RUNNING);
	/* One whose deletion has failed half-way does not come back to life. */
	rig_put("fail-remove-instance", "", 0600);
	commits_work();
	assert_int_equal(ended(delete_begin(i, true)).status, OP_FAILED);
	commits_fail("INSERT ON operations", "NEW.kind = 4");
	assert_int_equal(ended(delete_begin(i, true)).status, OP_FAILED);
	assert_int_equal(i->phase, INST_PHASE_DELETING);
	assert_int_equal(i->state, INST_FAILED);
	commits_work();
	rig_unput("fail-remove-instance");
	assert_int_equal(ended(delete_begin(i, true)).status, OP_DONE);
	is_sound();
}

/* The guest reboots and that cannot be written: it is started as soon as it can. */
static void test_end_cannot_be_recorded(void **state)
{
	struct inst *i = create("a");
	struct op *op;

	(void)state;
	commits_fail("UPDATE ON instances", "NEW.exit_boot = 1 AND OLD.boot = NEW.boot");
	op = stop_begin(i, true);
	assert_int_equal(ended(op).status, OP_FAILED);
	assert_int_equal(i->state, INST_STOPPED);
	assert_int_equal(rig->forgets, 0);
	commits_work();
	/* The keeper takes no new boot before the end of the last is recorded. */
	assert_int_equal(ended(start_begin(i)).status, OP_DONE);
	assert_int_equal(i->state, INST_RUNNING);
	assert_int_equal(rig->forgets, 1);
	is_sound();
}

/* A guest ends while a change of it is being written, and that fails. */
static void test_end_while_change_fails(void **state)
{
	struct inst *i = create("a");
	_cleanup_spec_instance_ struct spec_instance spec = {0};
	struct err err = ERR_INIT;
	struct op *op = NULL;

	(void)state;
	commits_fail("INSERT ON operations", "NEW.kind = 5");
	assert_int_equal(json_rows_copy(&spec_instance_table, &spec, &i->spec), 0);
	spec.protected = true;
	assert_int_equal(inst_change(i, &spec, 0, &op, &err), 0);
	/* The end arrives before the news from the disk. */
	assert_true(sd_event_source_set_enabled(rig->on_store, SD_EVENT_OFF) >= 0);
	guest_ends(i->id, KEEPER_EXIT_POWEROFF, SIGINT);
	pass(50000);
	assert_true(sd_event_source_set_enabled(rig->on_store, SD_EVENT_ON) >= 0);
	assert_int_equal(ended(op).status, OP_FAILED);
	AWAIT(i->state == INST_STOPPED);
	assert_false(i->spec.protected);
	commits_work();
	is_sound();
}

static struct op *rename_begin(struct inst *i, const char *hostname)
{
	_cleanup_spec_instance_ struct spec_instance spec = {0};
	struct err err = ERR_INIT;
	struct op *op = NULL;

	assert_int_equal(json_rows_copy(&spec_instance_table, &spec, &i->spec), 0);
	free(spec.hostname);
	spec.hostname = strdup(hostname);
	assert_non_null(spec.hostname);
	assert_int_equal(inst_change(i, &spec, 0, &op, &err), 0);
	return op;
}

/* A changed hostname waits for the next start of the guest: the database knows, whoever runs, and a
 * change that was not written waits for nothing. */
static void test_change_that_waits_for_a_start(void **state)
{
	struct inst *i = create("a");

	(void)state;
	commits_fail("INSERT ON operations", "NEW.kind = 5");
	assert_int_equal(ended(rename_begin(i, "other")).status, OP_FAILED);
	assert_false(i->restart_needed);
	commits_work();
	assert_int_equal(ended(rename_begin(i, "other")).status, OP_DONE);
	assert_true(i->restart_needed);
	vpsd_down();
	vpsd_up();
	AWAIT(inst_is_ready(rig->m));
	i = find("a");
	assert_int_equal(i->state, INST_RUNNING);
	assert_true(i->restart_needed);
	(void)ended(stop_begin(i, true));
	(void)ended(start_begin(i));
	assert_false(i->restart_needed);
	assert_int_equal(rig_number("SELECT restart_needed FROM instances"), 0);
	is_sound();
}

/* --- vpsd itself ----------------------------------------------------------------------------- */

/* vpsd dies while an instance is created, then while it is deleted. */
static void test_death_in_create_and_delete(void **state)
{
	struct err err = ERR_INIT;
	struct op *op;

	(void)state;
	rig_put("hold-prepare", "", 0600);
	op = create_begin("a", true, &err);
	assert_non_null(op);
	AWAIT(op && op->is_committed);
	vpsd_down();
	rig_unput("hold-prepare");
	vpsd_up();
	AWAIT(!find("a"));
	assert_int_equal(rig_number("SELECT count(*) FROM id_ranges"), 0);
	(void)create("a");
	rig_put("hold-remove-instance", "", 0600);
	op = delete_begin(find("a"), true);
	AWAIT(op->progress.what[0]);
	vpsd_down();
	rig_unput("hold-remove-instance");
	vpsd_up();
	AWAIT(!find("a"));
	assert_int_equal(rig_number("SELECT count(*) FROM operations WHERE status = 0"), 0);
	is_sound();
}

static void test_death_in_restart(void **state)
{
	struct inst *i = create("a");
	struct op *op = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(inst_restart(i, 0, false, &op, &err), 0);
	AWAIT(rig->signals == 1);
	vpsd_down();
	guest_ends(rig->guests[0].id, KEEPER_EXIT_POWEROFF, SIGINT);
	vpsd_up();
	AWAIT(find("a")->boot == 2 && find("a")->state == INST_RUNNING);
	is_sound();
	/* It is over: a keeper that dies later is no reason to do it again. */
	peer_drop();
	pass(200000);
	AWAIT(inst_is_ready(rig->m) && find("a")->state == INST_RUNNING);
	assert_int_equal(find("a")->boot, 2);
	assert_int_equal(rig->signals, 1);
	is_sound();
}

/* Processes of a guest that is gone, and a cgroup of nobody: nothing waits for them, and nothing
 * that is asked meanwhile is lost. */
static void test_leftovers_do_not_block(void **state)
{
	struct inst *i;

	(void)state;
	(void)create("a");
	vpsd_down();
	guest_lose(rig->guests[0].id);
	cgroup_add("1111111111111111", "2222222222222222")->is_empty = true;
	rig->busy = 12;
	rig->timeout_ms = 0;
	vpsd_up();
	assert_int_equal(rig->timeout_ms, 0);
	/* It is started when the way is free. */
	AWAIT(find("a")->state == INST_RUNNING);
	assert_int_equal(find("a")->boot, 2);
	AWAIT(rig->n_cgroups == 1);
	is_sound();
	/* The same, with an order in between. */
	vpsd_down();
	guest_lose(rig->guests[0].id);
	rig->busy = 6;
	vpsd_up();
	assert_int_equal(ended(stop_begin(find("a"), false)).status, OP_DONE);
	i = find("a");
	assert_non_null(i);
	assert_int_equal(i->state, INST_STOPPED);
	AWAIT(rig->n_cgroups == 0);
	assert_int_equal(ended(start_begin(i)).status, OP_DONE);
	is_sound();
}

/* An end that the keeper kept for an instance whose deletion was interrupted is forgotten too. */
static void test_end_of_deleted(void **state)
{
	struct op *op;

	(void)state;
	(void)create("a");
	rig_put("hold-remove-instance", "", 0600);
	commits_fail("UPDATE ON instances", "NEW.exit_boot = 1");
	op = delete_begin(find("a"), true);
	AWAIT(op->progress.what[0]);
	assert_int_equal(rig->n_guests, 1);
	vpsd_down();
	commits_work();
	rig_unput("hold-remove-instance");
	vpsd_up();
	AWAIT(!find("a"));
	AWAIT(rig->n_guests == 0);
	is_sound();
}

/* --- the device program ---------------------------------------------------------------------- */

/* The reason that is shown for its lack; NULL = it is not among what is unsupported. */
static const char *fence_item(const struct inst *i)
{
	static struct spec_items items;

	inst_unsupported(i, &items);
	for (size_t n = 0; n < items.n; n++)
		if (str_eq(items.items[n].name, "device_program"))
			return items.items[n].reason;
	return NULL;
}

/* Only that name is tolerated from now on; NULL = nothing. */
static void tolerate(const char *name)
{
	free(rig->host.tolerate_unsupported.items[0]);
	rig->host.tolerate_unsupported.items[0] = strdup(name ? name : "");
}

static void test_no_device_program(void **state)
{
	struct inst *i;
	struct op end;

	(void)state;
	/* Tolerated, and shown while it runs. */
	tolerate("device_program");
	i = create("a");
	assert_false(i->has_device_fence);
	assert_non_null(fence_item(i));
	assert_non_null(strstr(fence_item(i), "not here"));
	assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	assert_null(fence_item(i));
	/* Not tolerated: nothing is left of the start, and it says what would help. */
	tolerate(NULL);
	end = ended(start_begin(i));
	assert_int_equal(end.status, OP_FAILED);
	assert_int_equal(end.err.code, EOPNOTSUPP);
	assert_non_null(strstr(end.err.msg, "cannot enforce device_program: cannot load"));
	assert_non_null(strstr(end.err.hint, "\"tolerate_unsupported\": [\"device_program\"]"));
	assert_int_equal(i->state, INST_FAILED);
	is_sound();
	tolerate("disk.*");
	assert_int_equal(ended(start_begin(i)).status, OP_FAILED);
	/* The host has it. */
	rig->has_fences = true;
	assert_int_equal(ended(start_begin(i)).status, OP_DONE);
	assert_true(i->has_device_fence);
	assert_null(fence_item(i));
	is_sound();
}

/* A guest that vpsd finds without it gets it back; where that fails the guest goes on, and that is
 * shown. */
static void test_device_program_found_missing(void **state)
{
	struct inst *i;

	(void)state;
	tolerate(NULL);
	rig->has_fences = true;
	(void)create("a");
	assert_true(rig->cgroups[0].is_fenced);
	vpsd_down();
	rig->cgroups[0].is_fenced = false;
	vpsd_up();
	assert_true(rig->cgroups[0].is_fenced);
	assert_true(find("a")->has_device_fence);
	assert_null(fence_item(find("a")));
	vpsd_down();
	rig->cgroups[0].is_fenced = false;
	rig->has_fences = false;
	vpsd_up();
	i = find("a");
	assert_non_null(i);
	assert_int_equal(i->state, INST_RUNNING);
	assert_int_equal(i->boot, 1);
	assert_non_null(fence_item(i));
	is_sound();
}

/* --- removals -------------------------------------------------------------------------------- */

static unsigned jobs_of(const char *words)
{
	_cleanup_free_ char *text = NULL;
	int dirfd = path_open_dir(rig->dir, NULL);
	unsigned n = 0;
	size_t len;

	assert_int_equal(file_read_at(dirfd, "jobs", 1 << 20, &text, &len, NULL), 0);
	(void)close(dirfd);
	for (const char *s = text; (s = strstr(s, words)); s += strlen(words))
		n++;
	return n;
}

/* A creation with a directory would be finished, not undone. */
static void drop_dir(const char *id)
{
	int dirfd = path_open_dir(rig_path("pool/instances"), NULL);

	assert_true(path_remove_tree(dirfd, id, NULL) >= 0);
	(void)close(dirfd);
}

/* A deletion that recovery resumes, its operation being over: neither another order nor a new
 * keeper begins it a second time, as the end of one frees what the other works on. */
static void test_resumed_deletion_is_alone(void **state)
{
	/* A deletion that failed half-way; a creation whose undoing failed. */
	static const char *const phases[] = {"UPDATE instances SET phase = 2",
					     "UPDATE instances SET phase = 0"};

	(void)state;
	for (size_t n = 0; n < 2; n++) {
		struct err err = ERR_INIT;
		struct op *op = NULL;
		struct inst *i;
		unsigned lists, jobs;
		char id[ID_TEXT];

		assert_int_equal(ended(stop_begin(create("a"), true)).status, OP_DONE);
		(void)str_copy(id, sizeof(id), find("a")->id);
		vpsd_down();
		rig_sql(phases[n]);
		if (n == 1)
			drop_dir(id);
		rig_put("hold-remove-instance", "", 0600);
		jobs = jobs_of("remove-instance");
		vpsd_up();
		AWAIT(jobs_of("remove-instance") == jobs + 1);
		i = find("a");
		assert_non_null(i);
		assert_null(i->op);
		assert_int_equal(inst_delete(i, true, &op, &err), -EBUSY);
		assert_non_null(strstr(err.msg, "deleted already"));
		assert_int_equal(inst_delete(i, false, &op, &err), -EBUSY);
		assert_int_equal(inst_stop(i, 0, true, &op, &err), -EBUSY);
		assert_int_equal(inst_start(i, &op, &err), -EBUSY);
		lists = rig->lists;
		peer_drop();
		AWAIT(rig->lists == lists + 1);
		pass(50000);
		rig_unput("hold-remove-instance");
		AWAIT(!find("a"));
		pass(50000);
		assert_int_equal(jobs_of("remove-instance"), jobs + 1);
		is_sound();
	}
}

/* One that fails can be asked for again, and goes on with the next keeper at the latest. */
static void test_resumed_deletion_fails(void **state)
{
	(void)state;
	assert_int_equal(ended(stop_begin(create("a"), true)).status, OP_DONE);
	vpsd_down();
	rig_sql("UPDATE instances SET phase = 2");
	rig_put("fail-remove-instance", "", 0600);
	vpsd_up();
	AWAIT(find("a")->state == INST_FAILED);
	assert_string_equal(find("a")->error, "full");
	rig_unput("fail-remove-instance");
	assert_int_equal(ended(delete_begin(find("a"), false)).status, OP_DONE);
	assert_null(find("a"));
	is_sound();
}

/* A keeper of another version: vpsd does not start, and one that runs waits for another keeper. The
 * guests go on in any case. */
static void test_keeper_of_another_protocol(void **state)
{
	struct inst *i = create("a");
	unsigned lists = rig->lists;
	pid_t pid = i->pid;
	char said[64];

	(void)state;
	(void)str_fmt(said, sizeof(said), "the keeper speaks protocol %u, not %u",
		      KEEPER_PROTOCOL + 1, KEEPER_PROTOCOL);
	rig->protocol = KEEPER_PROTOCOL + 1;
	keeper_down();
	keeper_up();
	pass(300000);
	assert_int_equal(i->state, INST_RUNNING);
	assert_int_equal(rig->lists, lists);
	rig->protocol = 0;
	AWAIT(rig->lists > lists);
	assert_int_equal(i->pid, pid);
	rig->protocol = KEEPER_PROTOCOL + 1;
	vpsd_down();
	vpsd_start();
	AWAIT(rig->not_ready.code != 0);
	assert_false(rig->is_ready);
	assert_non_null(strstr(rig->not_ready.msg, said));
	assert_non_null(strstr(rig->not_ready.hint, "without guests it ends at SIGTERM"));
	assert_int_equal(kill(pid, 0), 0);
	vpsd_down();
	rig->protocol = 0;
	vpsd_up();
	assert_int_equal(find("a")->pid, pid);
	is_sound();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_keeper_lost_while_starting), T(test_keeper_gone_while_starting),
		T(test_keeper_away_for_a_restart),  T(test_keeper_lost_while_stopping),
		T(test_adoption_refused),	    T(test_keeper_of_another_protocol),
		T(test_end_while_listed),	    T(test_readiness_survives),
		T(test_create_cannot_be_written),   T(test_create_cannot_be_undone),
		T(test_start_cannot_be_written),    T(test_stop_cannot_be_written),
		T(test_delete_cannot_be_written),   T(test_end_cannot_be_recorded),
		T(test_end_while_change_fails),	    T(test_change_that_waits_for_a_start),
		T(test_death_in_create_and_delete), T(test_death_in_restart),
		T(test_leftovers_do_not_block),	    T(test_end_of_deleted),
		T(test_no_device_program),	    T(test_device_program_found_missing),
		T(test_resumed_deletion_is_alone),  T(test_resumed_deletion_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
