/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions on the end of a guest, allowed actions, stop signals, users. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>

#include "runtime/instance/policy.h"
#include "runtime/instance/private.h"

struct row {
	struct policy_end end;
	struct policy_verdict want;
};

#define RUN INST_WANT_RUNNING
#define STOP INST_WANT_STOPPED

static const struct row rows[] = {
	/* asked for, or not wanted: stays */
	{{STOP, KEEPER_EXIT_KILLED, false, 5, 3, false}, {POLICY_STAY, STOP, 0, 0}},
	{{RUN, KEEPER_EXIT_POWEROFF, true, 5, 0, false}, {POLICY_STAY, RUN, 0, 0}},
	{{RUN, KEEPER_EXIT_REBOOT, true, 5, 0, false}, {POLICY_STAY, RUN, 0, 0}},
	/* from inside */
	{{RUN, KEEPER_EXIT_POWEROFF, false, 5, 0, false}, {POLICY_STAY, STOP, 0, 0}},
	{{RUN, KEEPER_EXIT_REBOOT, false, 60, 2, false}, {POLICY_START, RUN, 0, 0}},
	{{RUN, KEEPER_EXIT_REBOOT, false, 2, 0, false}, {POLICY_RETRY, RUN, 0, 1}},
	/* crashes */
	{{RUN, KEEPER_EXIT_KILLED, false, 5, 0, false}, {POLICY_RETRY, RUN, 1, 1}},
	{{RUN, KEEPER_EXIT_CODE, false, 5, 1, false}, {POLICY_RETRY, RUN, 2, 2}},
	{{RUN, KEEPER_EXIT_CODE, false, 5, 3, false}, {POLICY_RETRY, RUN, 4, 8}},
	{{RUN, KEEPER_EXIT_CODE, false, 5, 4, false}, {POLICY_GIVE_UP, RUN, 5, 16}},
	{{RUN, KEEPER_EXIT_CODE, false, 601, 4, false}, {POLICY_RETRY, RUN, 1, 1}},
	/* a start that failed */
	{{RUN, KEEPER_EXIT_NONE, false, 0, 0, false}, {POLICY_RETRY, RUN, 1, 1}},
	{{RUN, KEEPER_EXIT_NONE, false, 0, 4, false}, {POLICY_GIVE_UP, RUN, 5, 16}},
	/* nobody saw it */
	{{RUN, KEEPER_EXIT_UNKNOWN, false, 5, 2, false}, {POLICY_START, RUN, 2, 0}},
	{{RUN, KEEPER_EXIT_UNKNOWN, false, 700, 2, false}, {POLICY_START, RUN, 0, 0}},
	/* suspended: what it would do waits, what it wished is kept */
	{{RUN, KEEPER_EXIT_REBOOT, false, 60, 2, true}, {POLICY_STAY, RUN, 2, 0}},
	{{RUN, KEEPER_EXIT_KILLED, false, 5, 4, true}, {POLICY_STAY, RUN, 4, 0}},
	{{RUN, KEEPER_EXIT_POWEROFF, false, 5, 0, true}, {POLICY_STAY, STOP, 0, 0}},
};

static void test_decide(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policy_verdict v = policy_decide(&rows[i].end);

		if (v.action != rows[i].want.action || v.desired != rows[i].want.desired ||
		    v.failures != rows[i].want.failures || v.delay != rows[i].want.delay)
			fail_msg("row %zu: action %d desired %d failures %u delay %u", i,
				 (int)v.action, (int)v.desired, v.failures, v.delay);
	}
}

static void test_every_end_has_a_verdict(void **state)
{
	(void)state;
	for (int how = 0; how < KEEPER_EXIT_MAX; how++)
		for (int desired = 0; desired < INST_DESIRED_MAX; desired++) {
			struct policy_end end = {.desired = (enum inst_desired)desired,
						 .how = (enum keeper_exit)how};
			struct policy_verdict v = policy_decide(&end);

			assert_in_range(v.action, 0, POLICY_ACTION_MAX - 1);
			if (desired == INST_WANT_STOPPED)
				assert_int_equal(v.action, POLICY_STAY);
		}
}

static void test_delay(void **state)
{
	static const uint32_t want[] = {1, 1, 2, 4, 8, 16, 32, 60, 60};

	(void)state;
	for (uint32_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_int_equal(policy_delay(i), want[i]);
	assert_int_equal(policy_delay(UINT32_MAX), POLICY_DELAY_MAX_SECONDS);
}

static void test_verbs(void **state)
{
	(void)state;
	for (int v = 0; v < POLICY_VERB_MAX; v++)
		assert_non_null(policy_verb_name((enum policy_verb)v));
	assert_null(policy_refuses(INST_STOPPED, POLICY_VERB_START));
	assert_null(policy_refuses(INST_FAILED, POLICY_VERB_START));
	assert_null(policy_refuses(INST_STOPPED, POLICY_VERB_STOP));
	assert_non_null(policy_refuses(INST_READY, POLICY_VERB_START));
	assert_non_null(policy_refuses(INST_READY, POLICY_VERB_DELETE));
	assert_null(policy_refuses(INST_READY, POLICY_VERB_FORCE_DELETE));
	assert_null(policy_refuses(INST_STOPPING, POLICY_VERB_FORCE_STOP));
	assert_non_null(policy_refuses(INST_STOPPED, POLICY_VERB_EXEC));
	assert_null(policy_refuses(INST_RUNNING, POLICY_VERB_EXEC));
	assert_non_null(policy_refuses(INST_STATE_MAX, POLICY_VERB_EXEC));
	for (int s = 0; s < INST_STATE_MAX; s++)
		if (s != INST_SUSPENDED)
			assert_non_null(policy_refuses((enum inst_state)s, POLICY_VERB_RESUME));
	assert_non_null(policy_refuses(INST_SUSPENDED, POLICY_VERB_START));
	assert_non_null(policy_refuses(INST_SUSPENDED, POLICY_VERB_RESTART));
	assert_null(policy_refuses(INST_SUSPENDED, POLICY_VERB_STOP));
	assert_null(policy_refuses(INST_SUSPENDED, POLICY_VERB_CHANGE));
	assert_null(policy_refuses(INST_SUSPENDED, POLICY_VERB_FORCE_DELETE));
}

static void test_names(void **state)
{
	(void)state;
	for (int s = 0; s < INST_STATE_MAX; s++)
		assert_int_equal(inst_state_from_name(inst_state_name((enum inst_state)s)), s);
	assert_null(inst_state_name(INST_STATE_MAX));
	assert_int_equal(inst_state_from_name("asleep"), -EINVAL);
	for (int s = INST_SUSPEND_NONE + 1; s < INST_SUSPEND_MAX; s++)
		assert_int_equal(inst_suspend_from_name(inst_suspend_name((enum inst_suspend)s)),
				 s);
	assert_null(inst_suspend_name(INST_SUSPEND_NONE));
	assert_null(inst_suspend_name(INST_SUSPEND_MAX));
	assert_int_equal(inst_suspend_from_name("none"), -EINVAL);
	for (int e = 0; e < KEEPER_EXIT_MAX; e++)
		assert_non_null(inst_exit_name((enum keeper_exit)e));
}

static void test_stop_signal(void **state)
{
	(void)state;
	assert_int_equal(stop_signal_choose(0), 38);
	assert_int_equal(stop_signal_choose(UINT64_MAX), 38);
	assert_int_equal(stop_signal_choose(UINT64_C(1) << (SIGTERM - 1)), SIGTERM);
	assert_int_equal(
		stop_signal_choose(UINT64_C(1) << (SIGTERM - 1) | UINT64_C(1) << (SIGPWR - 1)),
		SIGPWR);
}

static void test_user(void **state)
{
	static const struct {
		const char *text;
		bool is_good;
		uint32_t uid, gid;
	} users[] = {
		{"root", true, 0, 0},	     {"0", true, 0, 0},
		{"1000", true, 1000, 1000},  {"1000:100", true, 1000, 100},
		{"root:5", true, 0, 5},	     {"65535", true, 65535, 65535},
		{"", false, 0, 0},	     {":", false, 0, 0},
		{"1:", false, 0, 0},	     {":1", false, 0, 0},
		{"-1", false, 0, 0},	     {"+1", false, 0, 0},
		{" 1", false, 0, 0},	     {"1 ", false, 0, 0},
		{"1:2:3", false, 0, 0},	     {"0x0", false, 0, 0},
		{"65536", false, 0, 0},	     {"4294967295", false, 0, 0},
		{"4294967296", false, 0, 0}, {"2147483648", false, 0, 0},
		{"www-data", false, 0, 0},   {"rootx", false, 0, 0},
		{"roo", false, 0, 0},	     {"1\n", false, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		uint32_t uid = 77, gid = 77;
		struct err err = ERR_INIT;
		int r = inst_user_parse(users[i].text, &uid, &gid, &err);

		if (users[i].is_good != (r == 0))
			fail_msg("'%s' gives %d", users[i].text, r);
		assert_int_equal(uid, users[i].is_good ? users[i].uid : 77);
		assert_int_equal(gid, users[i].is_good ? users[i].gid : 77);
		assert_int_equal(err.code, users[i].is_good ? 0 : EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decide), cmocka_unit_test(test_every_end_has_a_verdict),
		cmocka_unit_test(test_delay),  cmocka_unit_test(test_verbs),
		cmocka_unit_test(test_names),  cmocka_unit_test(test_stop_signal),
		cmocka_unit_test(test_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
