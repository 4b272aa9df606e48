/* SPDX-License-Identifier: Apache-2.0 */
/* Private to cgroups/: controllers of which guests get nothing. */
#pragma once

#include "base/err.h"

/* Sets hugetlb, rdma and misc of a cgroup, and so of all below it, to 0 where they are there, and
 * reads back; -EIO when the kernel holds something else. */
int cg_zero_controllers(int dirfd, struct err *err);
