/* SPDX-License-Identifier: Apache-2.0 */
/* Between resize.c and resize_all.c. */
#pragma once

#include "runtime/instance/private.h"
#include "runtime/instance/resize.h"

#define PLAN_REF_TEXT (SPEC_NAME_TEXT + 24)

/* NAME@VERSION. */
void resize_plan_ref(char dst[PLAN_REF_TEXT], const struct inst_plan *p);
/* The plan that a reference names: -EINVAL it is none, -ENOENT there is none. */
int resize_find_plan(const struct inst_manager *m, const char *ref, struct inst_plan **ret,
		     struct err *err);

/* Appends the row of one instance; *ret_change (may be NULL) gets the change where it would be
 * done. */
int resize_preview(struct inst *i, const struct inst_resize *req, json_t *rows,
		   struct inst_change **ret_change, struct err *err);
/* Rows, which are taken -> the answer. */
int resize_answer(json_t **rows, json_t **ret, struct err *err);

/* -ENOMEM with its text. */
int resize_no_memory(const struct inst *i, struct err *err);
