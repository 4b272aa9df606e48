/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery, the pure half: from what the database wants, what the keeper knows, what the run
 * directory remembers and what the cgroup tree shows, to a list of actions. The same plan is made
 * when vpsd starts and when a keeper came back. recover_act.c carries it out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/instance/instance.h"

struct recover_row {
	const char *id;
	enum inst_phase phase;
	enum inst_desired desired;
	bool is_prepared;   /* its directory is there, and no job is left that makes it */
	bool is_failed;	    /* given up: not started before the host is booted */
	bool is_restarting; /* a restart was interrupted */
	enum inst_suspend suspend;
	bool is_stopping; /* a stop was */
	bool autostart;
	uint64_t priority; /* lower starts earlier */
	uint64_t boot, exit_boot;
};

struct recover_guest {
	const char *id;
	uint64_t boot;
	bool has_ended;
};

/* A state file whose process lives: pid, start time and boot id were compared. */
struct recover_state {
	const char *id;
	uint64_t boot;
};

struct recover_cgroup {
	const char *tenant_id;
	const char *id;
	bool populated;
};

struct recover_input {
	const struct recover_row *rows;
	size_t n_rows;
	const struct recover_guest *guests;
	size_t n_guests;
	const struct recover_state *states;
	size_t n_states;
	const struct recover_cgroup *cgroups; /* valid ids only */
	size_t n_cgroups;
	const char *const *dirs; /* ids that have a directory in the pool */
	size_t n_dirs;
	bool is_new_boot; /* the host was booted since vpsd last ran */
};

enum recover_kind {
	RECOVER_FINISH_CREATE, /* creation was interrupted behind its last step */
	RECOVER_KEEP,	       /* runs and the keeper has it: take it over as it is */
	RECOVER_ADOPT,	       /* runs and no keeper knows it: give it to the keeper */
	RECOVER_EXITED,	       /* ended while nobody looked: judge it */
	RECOVER_LOST,	       /* ran by the books and is gone: record that */
	RECOVER_FORGET,	       /* the keeper remembers an end that is recorded or nobody's */
	RECOVER_KILL_CGROUP,   /* leftovers of nobody, or also processes of a guest that is gone */
	RECOVER_UNDO_CREATE,   /* creation was interrupted */
	RECOVER_FINISH_DELETE, /* deletion was interrupted */
	RECOVER_REMOVE_DIR,    /* directory of nobody */
	RECOVER_STOP,	       /* a stop was interrupted: runs, and should not */
	RECOVER_RESTART,       /* a restart was interrupted, and it still runs */
	RECOVER_WANT_RUNNING,  /* runs, and nobody was stopping it: the database is older */
	RECOVER_WANT_STOPPED,  /* no autostart, and the host was booted */
	RECOVER_START,	       /* should run */
	RECOVER_KIND_MAX,
};

struct recover_action {
	enum recover_kind kind;
	char id[ID_TEXT];
	const char *tenant_id; /* RECOVER_KILL_CGROUP; borrowed */
	size_t index;	       /* of the guest or of the state; (size_t)-1 = none */
	uint64_t priority;     /* RECOVER_START */
	size_t row;	       /* the same: of equal priority the rows' order counts */
};

/* "keep", ... for the log. */
const char *recover_kind_name(enum recover_kind kind);
/* Heap array, free(3), in the order in which it is to be carried out: what lives first, then what
 * must go, then what should start, by priority. */
int recover_plan(const struct recover_input *in, struct recover_action **ret, size_t *ret_n,
		 struct err *err);
