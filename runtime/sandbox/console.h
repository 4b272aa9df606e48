/* SPDX-License-Identifier: Apache-2.0 */
/* Pseudo terminals of a guest's own devpts. */
#pragma once

#include <stdbool.h>

#include "base/err.h"

/* Opens a new pty by the ptmx node at dirfd/path, which must lie on a devpts: both ends, without
 * making either a controlling terminal. The slave comes by TIOCGPTPEER, never by a path. */
int sbx_pty_open(int dirfd, const char *path, int *ret_master, int *ret_slave, struct err *err);
/* Makes 'terminal' the controlling terminal of the calling session leader when 'controlling', and
 * 0, 1, 2 from fds[]. */
int sbx_stdio(const int fds[3], bool controlling, struct err *err);
