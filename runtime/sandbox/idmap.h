/* SPDX-License-Identifier: Apache-2.0 */
/* The id map of a guest: one extent, 0..65535 inside to base..base+65535 on the host. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* -EINVAL unless all ids of the range are above the host's own and valid. */
int sbx_idmap_check(uint32_t base, struct err *err);
/* Writes uid_map and gid_map of a process in a new user namespace; needs procfs at /proc. */
int sbx_idmap_write(pid_t pid, uint32_t base, struct err *err);
/* Opens the user namespace of a process, for idmapped mounts. */
int sbx_idmap_open(pid_t pid, struct err *err);
