/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vps apply: documents -> difference -> steps -> outcome of each. The difference is computed by
 * apply_diff.c (pure); the steps are operations of manager.h, those of different instances side by
 * side. Applying the same documents again changes nothing.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "config/check.h"
#include "runtime/instance/op.h"

struct inst_manager;

struct inst_apply {
	const struct spec_set *set; /* checked by spec_set_check(); borrowed, copied as needed */
	bool prune;		    /* delete instances that a file created and no document has */
	bool take_over;		    /* overwrite what the API wrote last */
};

/* Dry run: *ret is {"changes": [{"kind": "plan"|"tenant"|"instance", "target", "action":
 * "create"|"change"|"delete"|"drift"|"refused", "fields": [{"field", "from", "to"}], "reason"}]}.
 * What is as wanted is not listed. */
int inst_apply_preview(struct inst_manager *m, const struct inst_apply *req, json_t **ret,
		       struct err *err);
/* The operation's result is the same list, with "outcome": "done"|"failed"|"skipped" and "error"
 * in each; it fails when one of them failed. */
int inst_apply(struct inst_manager *m, const struct inst_apply *req, struct op **ret,
	       struct err *err);
