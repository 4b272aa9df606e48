/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The difference between documents and what is: a list of changes, computed without touching
 * anything. What is as wanted is not in it.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "config/check.h"
#include "runtime/instance/catalog.h"
#include "runtime/instance/instance.h"

enum diff_kind {
	DIFF_PLAN,
	DIFF_TENANT,
	DIFF_INSTANCE,
	DIFF_KIND_MAX,
};

enum diff_action {
	DIFF_CREATE,
	DIFF_CHANGE,
	DIFF_DELETE,
	DIFF_DRIFT,   /* somebody else wrote the field last: left alone */
	DIFF_REFUSED, /* cannot be done; the reason says why */
	DIFF_ACTION_MAX,
};

/* An instance as it is. */
struct diff_inst {
	const char *tenant;
	const struct spec_instance *spec;
	const char *plan;
	uint64_t plan_version;
	bool by_file;
	uint32_t file_fields; /* bits 1u << enum inst_field */
};

struct diff_input {
	const struct spec_set *set;
	const struct catalog *catalog;
	const struct diff_inst *insts;
	size_t n_insts;
	bool prune, take_over;
};

struct diff_change {
	enum diff_kind kind;
	enum diff_action action;
	char target[130];
	char tenant[64];		       /* instances */
	const struct spec_plan *plan;	       /* create: borrowed from the set */
	const struct spec_tenant *tenant_spec; /* create, change */
	const struct spec_instance *instance;  /* create, change: as the document has it */
	uint32_t fields;		       /* change: bits that are to be written */
	json_t *json_fields;		       /* [{"field", "from", "to"}]; owned; may be NULL */
	char reason[400];
};

struct diff {
	struct diff_change *items;
	size_t n;
};

void diff_done(struct diff *d);
#define _cleanup_diff_ _cleanup_(diff_done)

/* Key of a field in an instance's document. */
const char *diff_field_name(enum inst_field field);
const char *diff_kind_name(enum diff_kind kind);
const char *diff_action_name(enum diff_action action);
int diff_compute(const struct diff_input *in, struct diff *ret, struct err *err);
/* The document with only 'fields' taken from 'want' and all others from 'have': what a change
 * writes. *ret is for spec_instance_done(). */
int diff_merge(const struct spec_instance *have, const struct spec_instance *want, uint32_t fields,
	       struct spec_instance *ret, struct err *err);
/* {"kind", "target", "action", "fields", "reason"}; new reference, NULL when memory is short. */
json_t *diff_to_json(const struct diff_change *c);
