/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of the schemas; their bodies come from the rows (base/json_schema.c). */
#include "config/schema.h"

#include "base/str.h"
#include "config/valid.h"

static const struct json_table *const tables[SPEC_KIND_MAX] = {
	[SPEC_KIND_HOST] = &spec_host_table,
	[SPEC_KIND_PLAN] = &spec_plan_table,
	[SPEC_KIND_TENANT] = &spec_tenant_table,
};

enum spec_kind spec_kind_by_name(const char *name)
{
	for (enum spec_kind kind = SPEC_KIND_AUTO + 1; kind < SPEC_KIND_MAX; kind++)
		if (str_eq(spec_kind_name(kind), name))
			return kind;
	return SPEC_KIND_AUTO;
}

const struct json_table *spec_kind_table(enum spec_kind kind)
{
	return (unsigned)kind < SPEC_KIND_MAX ? tables[kind] : NULL;
}

json_t *spec_schema(enum spec_kind kind)
{
	_cleanup_json_ json_t *body = json_rows_schema(spec_kind_table(kind), spec_pattern);
	_cleanup_json_ json_t *o = json_pack(
		"{s:s, s:s+, s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema",
		"$id", SPEC_SCHEMA_ID, spec_kind_name(kind), "$comment",
		"made by vpsd " VPS_VERSION " from the rows that read the documents");

	return o && body && json_object_update(o, body) == 0 ? take_ptr(o) : NULL;
}
