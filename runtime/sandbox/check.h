/* SPDX-License-Identifier: Apache-2.0 */
/* Is a description complete and possible? Before anything is started, and on what came over a
 * socket. */
#pragma once

#include "base/err.h"
#include "runtime/sandbox/sandbox.h"

int sbx_launch_check(const struct sbx_launch *l, struct err *err);
int sbx_join_check(const struct sbx_join *j, struct err *err);
/* Number of words before the NULL; -E2BIG when there are more than SBX_ARGS_MAX. */
int sbx_words_count(char *const *words);
