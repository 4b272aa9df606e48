/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What instances are made of and who owns them: plans (immutable, name@version), tenants, images
 * (a name that points at a digest). In memory whole; changed through manager.h and apply.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rand.h"
#include "config/plan.h"
#include "config/tenant.h"
#include "images/manifest.h"

struct inst_plan {
	struct spec_plan spec; /* name, version, ... */
	uint64_t created;
	unsigned instances; /* that use it */
	bool is_unwritten;  /* the database may not have it as it is here */
};

struct inst_tenant {
	char id[ID_TEXT];
	struct spec_tenant spec; /* its 'instances' list is empty: see the registry */
	bool by_file;		 /* a file created it */
	uint64_t created;
	unsigned instances;	      /* those that are being deleted included */
	uint32_t filter_number;	      /* by which the packet filter knows it; 0 = not yet */
	bool is_unwritten;	      /* the database may not have it as it is here */
	struct tenant_change *newest; /* on its way to the database; tenant.c */
};

struct inst_image {
	char name[SPEC_NAME_TEXT];
	char digest[IMG_DIGEST_TEXT];
	uint64_t created;
	unsigned instances;	      /* that were made from this digest */
	bool is_missing;	      /* the pool does not have it (any more) */
	struct img_manifest manifest; /* zero when missing */
};

struct catalog {
	struct inst_plan **plans; /* sorted by name, then version */
	size_t n_plans;
	struct inst_tenant **tenants; /* sorted by name */
	size_t n_tenants;
	struct inst_image **images; /* sorted by name */
	size_t n_images;
};

void catalog_done(struct catalog *c);
/* NULL: none. version 0 = the newest. */
struct inst_plan *catalog_plan(const struct catalog *c, const char *name, uint64_t version);
struct inst_tenant *catalog_tenant(const struct catalog *c, const char *name);
struct inst_tenant *catalog_tenant_by_id(const struct catalog *c, const char *id);
struct inst_image *catalog_image(const struct catalog *c, const char *name);
/* NULL: no name points at it. */
struct inst_image *catalog_image_by_digest(const struct catalog *c, const char *digest);

/* Take ownership of the item on success; -EEXIST when the name is taken. */
int catalog_add_plan(struct catalog *c, struct inst_plan *p, struct err *err);
int catalog_add_tenant(struct catalog *c, struct inst_tenant *t, struct err *err);
int catalog_add_image(struct catalog *c, struct inst_image *i, struct err *err);
/* Remove and free. */
void catalog_drop_plan(struct catalog *c, struct inst_plan *p);
void catalog_drop_tenant(struct catalog *c, struct inst_tenant *t);
void catalog_drop_image(struct catalog *c, struct inst_image *i);

void inst_plan_free(struct inst_plan *p);
void inst_tenant_free(struct inst_tenant *t);
void inst_image_free(struct inst_image *i);
