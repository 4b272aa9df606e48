/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Schemas of the documents, made from the rows that decode them. */
#pragma once

#include <jansson.h>

#include "config/check.h"

/* What the "$id" of a schema starts with; the name of the kind follows. */
#define SPEC_SCHEMA_ID "urn:vpsd:schema:"

/* Kind by its name ("host", "plan", "tenant"); SPEC_KIND_AUTO for others. */
enum spec_kind spec_kind_by_name(const char *name);
/* Rows of a kind's document; NULL for SPEC_KIND_AUTO. */
const struct json_table *spec_kind_table(enum spec_kind kind);
/* Complete schema (draft 2020-12) of a kind that has a table. New reference; NULL when memory is
 * short. */
json_t *spec_schema(enum spec_kind kind);
