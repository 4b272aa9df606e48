/* SPDX-License-Identifier: Apache-2.0 */
/* The recovery planner: rows, guests, cgroups and directories in, actions out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "runtime/instance/recover.h"

#define A "aaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbb"
#define C "cccccccccccccccc"
#define T "1111111111111111"

/* "kind:a kind:b" of the plan, with ids shortened. */
static char *plan(const struct recover_input *in)
{
	struct recover_action *actions = NULL;
	struct sbuf text = SBUF_INIT;
	struct err err = ERR_INIT;
	size_t n = 0;

	assert_int_equal(recover_plan(in, &actions, &n, &err), 0);
	for (size_t i = 0; i < n; i++)
		sbuf_addf(&text, "%s%s:%c", i ? " " : "", recover_kind_name(actions[i].kind),
			  actions[i].id[0]);
	free(actions);
	return sbuf_take(&text);
}

static void check(const struct recover_input *in, const char *want)
{
	char *got = plan(in);

	assert_string_equal(got ? got : "", want);
	free(got);
}

static const struct recover_row running = {.id = A,
					   .phase = INST_PHASE_PRESENT,
					   .desired = INST_WANT_RUNNING,
					   .autostart = true,
					   .boot = 3,
					   .exit_boot = 2};

static struct recover_input one(const struct recover_row *row)
{
	return (struct recover_input){.rows = row, .n_rows = 1};
}

static void test_running_is_kept(void **state)
{
	struct recover_row row = running;
	struct recover_input in = one(&row);
	const struct recover_guest guest = {.id = A, .boot = 3};
	const struct recover_cgroup cgroup = {T, A, true};
	const char *const dir = A;

	(void)state;
	in.guests = &guest;
	in.n_guests = 1;
	in.cgroups = &cgroup;
	in.n_cgroups = 1;
	in.dirs = &dir;
	in.n_dirs = 1;
	check(&in, "keep:a");
	row.desired = INST_WANT_STOPPED;
	row.is_stopping = true;
	check(&in, "keep:a stop:a");
	/* It was started after this copy of the database was taken. */
	row.is_stopping = false;
	check(&in, "keep:a want-running:a");
	row.desired = INST_WANT_RUNNING;
	row.suspend = INST_SUSPEND_FREEZE;
	check(&in, "keep:a");
	row.suspend = INST_SUSPEND_STOP;
	check(&in, "keep:a stop:a");
	row.suspend = INST_SUSPEND_NONE;
	row.is_restarting = true;
	check(&in, "keep:a restart:a");
}

static void test_keeper_died(void **state)
{
	struct recover_row row = running;
	struct recover_input in = one(&row);
	const struct recover_state st = {A, 3};
	const struct recover_cgroup cgroup = {T, A, true};

	(void)state;
	in.cgroups = &cgroup;
	in.n_cgroups = 1;
	/* Its process is not known again: whatever lives there goes. */
	check(&in, "lost:a kill-cgroup:a start:a");
	row.suspend = INST_SUSPEND_FREEZE;
	check(&in, "lost:a kill-cgroup:a");
	row.suspend = INST_SUSPEND_NONE;
	in.states = &st;
	in.n_states = 1;
	check(&in, "adopt:a");
	/* A state file of a boot whose end is recorded is no proof. */
	row.exit_boot = 3;
	check(&in, "kill-cgroup:a start:a");
}

static void test_ended_meanwhile(void **state)
{
	struct recover_row row = running;
	struct recover_input in = one(&row);
	struct recover_guest guest = {.id = A, .boot = 3, .has_ended = true};

	(void)state;
	in.guests = &guest;
	in.n_guests = 1;
	check(&in, "exited:a");
	row.exit_boot = 3;
	check(&in, "forget:a start:a");
	row.desired = INST_WANT_STOPPED;
	check(&in, "forget:a");
}

static void test_host_booted(void **state)
{
	struct recover_row rows[3] = {running, running, running};
	struct recover_input in = {.rows = rows, .n_rows = 3, .is_new_boot = true};

	(void)state;
	rows[0].priority = 30;
	rows[1].id = B;
	rows[1].priority = 10;
	rows[2].id = C;
	rows[2].autostart = false;
	check(&in, "lost:a lost:b lost:c want-stopped:c start:b start:a");
	rows[0].is_failed = true;
	in.is_new_boot = false;
	check(&in, "lost:a lost:b lost:c start:c start:b");
}

static void test_interrupted(void **state)
{
	struct recover_row rows[2] = {running, running};
	struct recover_input in = {.rows = rows, .n_rows = 2};
	const struct recover_guest guest = {.id = B, .boot = 3};
	const struct recover_cgroup cgroups[] = {{T, A, false}, {T, B, true}};
	const char *const dirs[] = {A, B};

	(void)state;
	rows[0].phase = INST_PHASE_CREATING;
	rows[1].id = B;
	rows[1].phase = INST_PHASE_DELETING;
	in.guests = &guest;
	in.n_guests = 1;
	in.cgroups = cgroups;
	in.n_cgroups = 2;
	in.dirs = dirs;
	in.n_dirs = 2;
	check(&in, "undo-create:a finish-delete:b");
}

/* A creation whose directory is there went well, however old the row that says it has begun. */
static void test_prepared(void **state)
{
	struct recover_row row = running;
	struct recover_input in = one(&row);
	struct recover_guest guest = {.id = A, .boot = 3};
	const struct recover_cgroup cgroup = {T, A, true};

	(void)state;
	row.phase = INST_PHASE_CREATING;
	row.is_prepared = true;
	row.boot = 0;
	row.exit_boot = 0;
	check(&in, "finish-create:a start:a");
	in.cgroups = &cgroup;
	in.n_cgroups = 1;
	in.guests = &guest;
	in.n_guests = 1;
	check(&in, "finish-create:a keep:a");
	guest.has_ended = true;
	check(&in, "finish-create:a exited:a");
	in.n_guests = 0;
	row.desired = INST_WANT_STOPPED;
	check(&in, "finish-create:a kill-cgroup:a");
}

static void test_strays(void **state)
{
	const struct recover_guest guests[] = {{.id = A, .boot = 1, .has_ended = true},
					       {.id = B, .boot = 1}};
	const struct recover_cgroup cgroups[] = {{T, B, true}, {T, C, false}};
	const char *const dirs[] = {C};
	const struct recover_input in = {.guests = guests,
					 .n_guests = 2,
					 .cgroups = cgroups,
					 .n_cgroups = 2,
					 .dirs = dirs,
					 .n_dirs = 1};

	(void)state;
	/* A living guest is left alone, whoever knows it. */
	check(&in, "forget:a kill-cgroup:c remove-dir:c");
}

static void test_nothing(void **state)
{
	const struct recover_row row = {.id = A,
					.phase = INST_PHASE_PRESENT,
					.desired = INST_WANT_STOPPED,
					.boot = 2,
					.exit_boot = 2};
	struct recover_input in = one(&row);

	(void)state;
	check(&in, "");
	for (int k = 0; k < RECOVER_KIND_MAX; k++)
		assert_non_null(recover_kind_name((enum recover_kind)k));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_running_is_kept), cmocka_unit_test(test_keeper_died),
		cmocka_unit_test(test_ended_meanwhile), cmocka_unit_test(test_host_booted),
		cmocka_unit_test(test_interrupted),	cmocka_unit_test(test_strays),
		cmocka_unit_test(test_prepared),	cmocka_unit_test(test_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
