/* SPDX-License-Identifier: Apache-2.0 */
/* Capabilities of a guest. */
#pragma once

#include <stdint.h>

#include "base/err.h"

/* The bounding set of a guest when the plan says nothing else. */
uint64_t sbx_caps_default(void);
/* Drops every capability that is not in 'keep' from the caller's bounding set, those included that
 * this program does not know. Inheritable and ambient sets are empty already: the kernel empties
 * them when a process enters a user namespace. */
int sbx_caps_bound(uint64_t keep, struct err *err);
