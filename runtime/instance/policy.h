/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from the end of a guest, or from a start that failed. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "runtime/instance/instance.h"

#define POLICY_QUICK_SECONDS 600u /* up for longer: earlier failures are forgotten */
#define POLICY_REBOOT_SECONDS 10u /* a reboot sooner than this is slowed down */
#define POLICY_FAILURES_MAX 5u	  /* quick failures in a row until it is given up */
#define POLICY_DELAY_MAX_SECONDS 60u

enum policy_action {
	POLICY_STAY,	/* stopped, and wanted so */
	POLICY_START,	/* start again now */
	POLICY_RETRY,	/* start again after 'delay' */
	POLICY_GIVE_UP, /* state failed */
	POLICY_ACTION_MAX,
};

struct policy_end {
	enum inst_desired desired;
	enum keeper_exit how; /* KEEPER_EXIT_NONE: the start itself failed */
	bool is_asked;	      /* a stop, restart or delete of ours ended it */
	uint64_t uptime;      /* seconds */
	uint32_t failures;    /* quick ends in a row before this one */
	bool is_suspended;    /* nothing starts it */
};

struct policy_verdict {
	enum policy_action action;
	enum inst_desired desired;
	uint32_t failures;
	uint32_t delay; /* seconds, with POLICY_RETRY */
};

struct policy_verdict policy_decide(const struct policy_end *end);
/* Seconds before try number 'failures' (from 1): 1, 2, 4 ... at most POLICY_DELAY_MAX_SECONDS. */
uint32_t policy_delay(uint32_t failures);

/* Which actions a state allows; the answer to all others is -EBUSY or -EALREADY with a text. */
enum policy_verb {
	POLICY_VERB_START,
	POLICY_VERB_STOP,
	POLICY_VERB_FORCE_STOP,
	POLICY_VERB_RESTART,
	POLICY_VERB_DELETE,
	POLICY_VERB_FORCE_DELETE,
	POLICY_VERB_CHANGE,
	POLICY_VERB_EXEC,
	POLICY_VERB_SUSPEND,
	POLICY_VERB_RESUME,
	POLICY_VERB_MAX,
};

/* "start", ... for messages. */
const char *policy_verb_name(enum policy_verb verb);
/* NULL = allowed; else what stands in the way ("it runs already"). */
const char *policy_refuses(enum inst_state state, enum policy_verb verb);
