/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions about life and death of guests, as tables and pure functions. */
#include "runtime/instance/policy.h"

#include <stddef.h>

uint32_t policy_delay(uint32_t failures)
{
	uint32_t delay = 1;

	while (failures > 1 && delay < POLICY_DELAY_MAX_SECONDS) {
		delay *= 2;
		failures--;
	}
	return delay < POLICY_DELAY_MAX_SECONDS ? delay : POLICY_DELAY_MAX_SECONDS;
}

static struct policy_verdict count_failure(const struct policy_end *end)
{
	uint32_t before = end->uptime >= POLICY_QUICK_SECONDS ? 0 : end->failures;
	struct policy_verdict v = {
		.action = POLICY_RETRY,
		.desired = INST_WANT_RUNNING,
		.failures = before + 1,
		.delay = policy_delay(before + 1),
	};

	if (v.failures >= POLICY_FAILURES_MAX)
		v.action = POLICY_GIVE_UP;
	return v;
}

/* A guest that reboots again and again is a customer's right, but not at the neighbours' cost. */
static struct policy_verdict after_reboot(const struct policy_end *end)
{
	struct policy_verdict v = {.action = POLICY_START, .desired = INST_WANT_RUNNING};

	if (end->uptime >= POLICY_REBOOT_SECONDS)
		return v;
	v.action = POLICY_RETRY;
	v.failures = end->failures;
	v.delay = policy_delay(end->failures + 1);
	return v;
}

static struct policy_verdict decide(const struct policy_end *end)
{
	struct policy_verdict v = {.action = POLICY_STAY, .desired = end->desired};

	if (end->is_asked || end->desired == INST_WANT_STOPPED)
		return v;
	switch (end->how) {
	case KEEPER_EXIT_REBOOT:
		return after_reboot(end);
	case KEEPER_EXIT_POWEROFF:
		v.desired = INST_WANT_STOPPED;
		return v;
	case KEEPER_EXIT_UNKNOWN:
		/* Whoever waited for it is gone: neither its fault nor its wish is known. */
		v.action = POLICY_START;
		v.failures = end->uptime >= POLICY_QUICK_SECONDS ? 0 : end->failures;
		return v;
	case KEEPER_EXIT_NONE:
	case KEEPER_EXIT_KILLED:
	case KEEPER_EXIT_CODE:
	case KEEPER_EXIT_MAX:
		break;
	}
	return count_failure(end);
}

struct policy_verdict policy_decide(const struct policy_end *end)
{
	struct policy_verdict v = decide(end);

	/* What it would do is done when it is resumed. */
	if (end->is_suspended) {
		v.action = POLICY_STAY;
		v.delay = 0;
		v.failures = end->failures;
	}
	return v;
}

const char *policy_verb_name(enum policy_verb verb)
{
	static const char *const names[] = {
		[POLICY_VERB_START] = "start",	   [POLICY_VERB_STOP] = "stop",
		[POLICY_VERB_FORCE_STOP] = "stop", [POLICY_VERB_RESTART] = "restart",
		[POLICY_VERB_DELETE] = "delete",   [POLICY_VERB_FORCE_DELETE] = "delete",
		[POLICY_VERB_CHANGE] = "change",   [POLICY_VERB_EXEC] = "enter",
		[POLICY_VERB_SUSPEND] = "suspend", [POLICY_VERB_RESUME] = "resume",
	};
	_Static_assert(sizeof(names) / sizeof(names[0]) == POLICY_VERB_MAX, "one name a verb");

	return (unsigned)verb < POLICY_VERB_MAX ? names[verb] : NULL;
}

#define STARTING "it is starting"
#define STOPPING "it is stopping"
#define RUNS "it runs already"
#define DOWN "it does not run"
#define FREE "it is not suspended"
#define SUSPENDED "it is suspended"

static const char *const refusals[INST_STATE_MAX][POLICY_VERB_MAX] = {
	[INST_STOPPED] = {[POLICY_VERB_EXEC] = DOWN, [POLICY_VERB_RESUME] = FREE},
	[INST_FAILED] = {[POLICY_VERB_EXEC] = DOWN, [POLICY_VERB_RESUME] = FREE},
	[INST_STARTING] = {[POLICY_VERB_START] = STARTING,
			   [POLICY_VERB_STOP] = STARTING,
			   [POLICY_VERB_FORCE_STOP] = STARTING,
			   [POLICY_VERB_RESTART] = STARTING,
			   [POLICY_VERB_DELETE] = STARTING,
			   [POLICY_VERB_FORCE_DELETE] = STARTING,
			   [POLICY_VERB_CHANGE] = STARTING,
			   [POLICY_VERB_EXEC] = STARTING,
			   [POLICY_VERB_SUSPEND] = STARTING,
			   [POLICY_VERB_RESUME] = STARTING},
	[INST_RUNNING] = {[POLICY_VERB_START] = RUNS,
			  [POLICY_VERB_DELETE] = "it runs",
			  [POLICY_VERB_RESUME] = FREE},
	[INST_READY] = {[POLICY_VERB_START] = RUNS,
			[POLICY_VERB_DELETE] = "it runs",
			[POLICY_VERB_RESUME] = FREE},
	[INST_STOPPING] = {[POLICY_VERB_START] = STOPPING,
			   [POLICY_VERB_RESTART] = STOPPING,
			   [POLICY_VERB_DELETE] = STOPPING,
			   [POLICY_VERB_CHANGE] = STOPPING,
			   [POLICY_VERB_SUSPEND] = STOPPING,
			   [POLICY_VERB_RESUME] = STOPPING},
	[INST_SUSPENDED] = {[POLICY_VERB_START] = SUSPENDED,
			    [POLICY_VERB_RESTART] = SUSPENDED,
			    [POLICY_VERB_EXEC] = SUSPENDED},
};

const char *policy_refuses(enum inst_state state, enum policy_verb verb)
{
	if ((unsigned)state >= INST_STATE_MAX || (unsigned)verb >= POLICY_VERB_MAX)
		return "its state is not known";
	return refusals[state][verb];
}
