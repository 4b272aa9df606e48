/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the parts of recovery: recover_look.c sees what is there, recover_act.c carries single
 * actions out, recover.c goes through with it all.
 */
#pragma once

#include "base/pidref.h"
#include "runtime/instance/private.h"
#include "runtime/instance/recover.h"

struct recover_found_cgroup {
	char tenant_id[ID_TEXT];
	char id[ID_TEXT];
	bool populated;
};

struct recover_found_state {
	char id[ID_TEXT];
	uint64_t boot;
	bool ready;
	struct pidref process;
};

struct recover_collect {
	struct keeper_item *guests; /* fds owned */
	size_t n_guests;
	struct recover_found_cgroup *cgroups;
	size_t n_cgroups;
	struct recover_found_state *states;
	size_t n_states;
	char (*dirs)[ID_TEXT];
	size_t n_dirs;
	bool is_short; /* memory ran out: nothing may be taken for a stray */
};

/* --- recover_look.c --- */

/* An item of the keeper's list; its fds are taken. userdata is the manager. */
void recover_on_item(void *userdata, struct keeper_item *item);
/* Cgroups, directories and state files. */
int recover_look(struct inst_manager *m, struct recover_collect *c, struct err *err);

/* --- recover_act.c --- */

void recover_act(struct inst_manager *m, const struct recover_action *a);
/* Ends the operations of an earlier vpsd that no action goes on with. */
void recover_settle(struct inst_manager *m);
/* Removes directories of nobody in the run or the log directory. */
void recover_sweep_dir(struct inst_manager *m, int dirfd);
/* Starts the job that removes what interrupted ones left in the pool. */
void recover_clean_tmp(struct inst_manager *m);
