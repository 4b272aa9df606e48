/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the files of a launch into the guest's root. */
#pragma once

#include "base/err.h"
#include "runtime/sandbox/sandbox.h"

/* Applies the rules of all l->files below 'root' (a mount, ids as the host sees them). All are
 * tried; the error is of the first that could not be written, and names it. Nothing in the root is
 * followed, waited for or trusted. */
int sbx_files_write(const struct sbx_launch *l, int root, struct err *err);
