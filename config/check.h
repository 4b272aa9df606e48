/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks beyond one document: kind by its keys, and a set of documents against each other. Needs no
 * daemon: `vps validate` and vpsd run the same code.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/host.h"
#include "config/plan.h"
#include "config/support.h"
#include "config/tenant.h"

enum spec_kind {
	SPEC_KIND_AUTO, /* by its top-level keys: "plan", "tenant", else a host document */
	SPEC_KIND_HOST,
	SPEC_KIND_PLAN,
	SPEC_KIND_TENANT,
	SPEC_KIND_MAX,
};

/* "host", "plan", "tenant"; NULL for others. */
const char *spec_kind_name(enum spec_kind kind);
/* Kind of a parsed document; SPEC_KIND_HOST when it is neither plan nor tenant. */
enum spec_kind spec_kind_of(const json_t *doc);
/* Checks one document by itself. 0, -EINVAL with problems added, or -ENOMEM. 'name' is shown. */
int spec_validate_text(enum spec_kind kind, const char *text, size_t len, const char *name,
		       struct problems *problems);

/* Documents that belong together: at most one host, plans, tenants. */
struct spec_set {
	struct spec_host *host; /* NULL = none */
	char *host_file;
	struct {
		struct spec_plan *items;
		char **files;
		size_t n;
	} plans;
	struct {
		struct spec_tenant *items;
		char **files;
		size_t n;
	} tenants;
};

#define SPEC_SET_INIT ((struct spec_set){0})
void spec_set_done(struct spec_set *s);
#define _cleanup_spec_set_ _cleanup_(spec_set_done)

/* Parses, checks and adds a document. 0, -EINVAL with problems added (nothing is added), -ENOMEM.
 */
int spec_set_add_text(struct spec_set *s, enum spec_kind kind, const char *text, size_t len,
		      const char *name, struct problems *problems);
/* Adds NAME.json files, whatever kind they are by content: of dirfd itself, of its "plans" and its
 * "tenants", each sorted by name. Names are shown as "prefix/plans/small.json"; prefix may be "".
 * Files that cannot be read are problems too. -EINVAL, -ENOMEM, or an error of the directory itself
 * in err. */
int spec_set_load_dir(struct spec_set *s, int dirfd, const char *prefix, struct problems *problems,
		      struct err *err);
/* As above for one file, read from an open fd. */
int spec_set_load_fd(struct spec_set *s, enum spec_kind kind, int fd, const char *name,
		     struct problems *problems);
/* Checks documents against each other, and a host document against what this build does:
 * plan@version twice with different content, tenant twice, missing plan or version, overrides on
 * the plan, instances over their tenant's quota, interfaces that the networks of the host do not
 * have; a key of the host that is not supported. When the
 * set holds no plan at all, plans are taken as known elsewhere and are not missed. */
int spec_set_check(const struct spec_set *s, struct problems *problems);
/* Plan by name and version (0 = newest); NULL when it is not in the set. */
const struct spec_plan *spec_set_find_plan(const struct spec_set *s, const char *name,
					   uint64_t version);
