/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What documents configure and a host cannot enforce: each item by its dotted name, with the reason
 * and whether the host document tolerates it. Pure: the caller says what is supported.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct spec_host;
struct spec_instance;
struct spec_plan;
struct spec_tenant;

/* What the host can enforce. First match decides; a name without a match is "not supported by this
 * build". */
struct spec_support {
	const char *name;    /* dotted name, '*' as in tolerate_unsupported */
	const char *why_not; /* NULL = supported; else the reason, "no memory controller" */
};

/* One configured item that cannot be enforced. */
struct spec_item {
	char name[48]; /* "disk.read", "features.nesting", "ssh_keys" */
	char reason[160];
	bool is_tolerated; /* named in the host's tolerate_unsupported */
};

#define SPEC_ITEMS_MAX 64
struct spec_items {
	struct spec_item items[SPEC_ITEMS_MAX];
	size_t n;
	size_t n_refused; /* not tolerated */
};

/* Lists what plan (after overrides), instance and tenant configure and the host cannot enforce.
 * Values that switch something off do not count. Defaults count for cpu, memory and pids (a host
 * without the pids controller must not run a plan that is silent about pids unnoticed), for all
 * others only what a document has. plan, instance and tenant may be NULL. 'support' ends with a row
 * whose name is NULL. Never fails. */
void spec_unsupported(const struct spec_plan *plan, const struct spec_instance *instance,
		      const struct spec_tenant *tenant, const struct spec_host *host,
		      const struct spec_support *support, struct spec_items *ret);
/* The same for the host document itself: what it has and this build does not do. The default of
 * "sharing" is among it, tolerated unless the document has the key. */
void spec_host_unsupported(const struct spec_host *host, struct spec_items *ret);
/* EOPNOTSUPP that names every refused item, and as hint the way out; 0 when none is refused. */
int spec_items_to_err(const struct spec_items *items, struct err *err);
/* Whether a name with '*' in it matches a dotted name. "disk.*" matches "disk" too. */
bool spec_name_matches(const char *pattern, const char *name);
/* Whether some item exists that the pattern matches: finds typing errors in tolerate_unsupported.
 */
bool spec_name_is_known(const char *pattern);
/* Dotted name of item i; NULL behind the last. For documentation and tests. */
const char *spec_item_name(size_t i);
