/* SPDX-License-Identifier: Apache-2.0 */
/* fds that live longer than a scope. */
#pragma once

#include "base/cleanup.h"

/* Closes what is open, and says so in the variable. */
static inline void fd_close(int *fd)
{
	cleanup_close(fd);
	*fd = -1;
}
