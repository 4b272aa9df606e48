/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that this network namespace has on its own interfaces. */
#pragma once

#include <stddef.h>

#include "base/addr.h"
#include "base/err.h"

/* All of both families but those that are link-local, as single addresses, in no order. *ret is
 * heap, NULL for none. */
int netns_own_addresses(struct addr **ret, size_t *ret_n, struct err *err);
