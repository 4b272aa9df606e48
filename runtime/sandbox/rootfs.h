/* SPDX-License-Identifier: Apache-2.0 */
/* The root file system of a guest. */
#pragma once

#include "base/err.h"
#include "runtime/sandbox/sandbox.h"

/* Where a launch mounts things before the root changes; directories of the small root. */
#define SBX_AT_ROOT "/r"  /* the root to be */
#define SBX_AT_UPPER "/u" /* upper and work directory of the overlay */
#define SBX_AT_MASKS "/m" /* what masked paths show */
#define SBX_AT_VIEWS "/v" /* files that are shown instead of the kernel's */
#define SBX_AT_LAYER "/l%u"

/* Mounts the root described by a launch at SBX_AT_ROOT in the caller's mount namespace, ids mapped
 * by the user namespace 'userns'; returns its mount. */
int sbx_rootfs_mount(const struct sbx_launch *l, int userns, struct err *err);
