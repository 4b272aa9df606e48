/* SPDX-License-Identifier: Apache-2.0 */
/* Private to cgroups/: lists of names in kernel text. */
#pragma once

#include <stdbool.h>

#include "base/err.h"

/* True when a list separated by spaces or commas holds the name. */
bool cg_names_has(const char *list, const char *name);
/* 16 lower-case hex digits. */
bool cg_is_id(const char *s);
/* For an error that was looked at and is none: err is set only by functions that fail. */
void cg_err_clear(struct err *err);
