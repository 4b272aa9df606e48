/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls of the jail. */
#pragma once

#include "base/err.h"

/* Loads the filter into the calling process; needs no_new_privs. Everything outside the list fails
 * with EPERM. */
int jail_seccomp_load(struct err *err);
