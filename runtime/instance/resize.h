/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another plan, other overrides: wishes of the API, carried out as changes of manager.h. What they
 * write is the API's from then on: an apply shows it as drift (apply_diff.h).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/json.h"
#include "runtime/instance/manager.h"

struct inst_resize {
	const char *plan;    /* "small": its newest version, "small@2"; NULL = the one it has */
	const json_t *set;   /* overrides by path, {"memory.limit": "2GiB"}; NULL = none */
	const json_t *unset; /* paths of those to be taken away, before; NULL = none */
	bool force;	     /* below what is in use, too */
	struct problems *problems; /* all that is wrong, with -EINVAL; never NULL */
};

/* The overrides that are not named stay and lie over the new plan. */
int inst_resize(struct inst *i, const struct inst_resize *req, struct op **ret, struct err *err);
/* Dry run: *ret is {"changes": [row]}, empty where nothing would change. A row has the form of
 * inst_apply_preview()'s; its fields are "plan" and each that changes in the plan with the
 * overrides on top, with "at_next_start": true where a living guest keeps the old value until then.
 * Refused: "action" is "refused", "reason" and "hint" say why. An error is what is wrong with the
 * request itself. */
int inst_resize_preview(struct inst *i, const struct inst_resize *req, json_t **ret,
			struct err *err);

struct inst_resize_all {
	const char *from; /* all that have "small@1", or any version of "small" */
	const char *to;
	bool force;
};

/* One instance after the other; -EBUSY while another of these runs. The operation's result is
 * {"changes": [row]} with "outcome": "done"|"failed" and "error" in each; it fails when one of them
 * failed. What was deleted or left the plan meanwhile is not in it. */
int inst_resize_all(struct inst_manager *m, const struct inst_resize_all *req, struct op **ret,
		    struct err *err);
/* Each as if those before it were done. */
int inst_resize_all_preview(struct inst_manager *m, const struct inst_resize_all *req, json_t **ret,
			    struct err *err);
