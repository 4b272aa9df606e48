/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a ready-made system call filter: the compiler of filters is elsewhere. */
#pragma once

#include <linux/filter.h>

#include "base/err.h"

/* Maps the struct sock_filter[] in a memfd; fd -1 gives an empty program. The mapping stays until
 * the process executes another program. */
int sbx_seccomp_map(int fd, struct sock_fprog *ret, struct err *err);
/* Installs it for the caller. Needs CAP_SYS_ADMIN in the caller's user namespace: no_new_privs must
 * stay off, or set-user-id programs would not work in the guest. An empty program is no filter. */
int sbx_seccomp_load(const struct sock_fprog *program, struct err *err);
