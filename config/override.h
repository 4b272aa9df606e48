/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One-off changes of overrides: a value at a dotted path of the plan, "memory.limit". Whether the
 * result makes sense is spec_plan_override()'s to say.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "base/json.h"

#define SPEC_OVERRIDE_PATH 128

/* Puts the value at path into overrides (an object), which grows objects on the way as needed.
 * Text stands for what its row wants: "1.5" for a number of cores, "true", "null" where null is
 * accepted. -EINVAL with a problem at w->path: path is no key of a plan; -ENOMEM. */
int spec_override_set(json_t *overrides, const char *path, const json_t *value,
		      const struct json_where *w);
/* Takes away what is at path, and objects that are empty then. Nothing there is success; -EINVAL
 * with a problem when path is no key of a plan. */
int spec_override_unset(json_t *overrides, const char *path, const struct json_where *w);

/* What differs between two objects, key by key down to what is no object: {"field": "memory.limit",
 * "from", "to"} for each, appended to list. -ENOMEM. */
int spec_compare(const json_t *from, const json_t *to, json_t *list);
