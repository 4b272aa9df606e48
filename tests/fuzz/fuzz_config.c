/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target for documents: first byte = kind, the rest = text. What is valid is written
 * back, and must be valid again.
 *
 * clang -g -O1 -std=gnu17 -D_GNU_SOURCE -I. -DVPS_VERSION='"fuzz"'
 * -fsanitize=fuzzer,address,undefined tests/fuzz/fuzz_config.c base/[!m]*.c
 * config/{check,host,load,plan,support,tenant,valid}.c -ljansson
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The normalised form of the one document of a set. */
static json_t *encode(const struct spec_set *s)
{
	if (s->host)
		return spec_host_to_json(s->host);
	return s->plans.n > 0 ? spec_plan_to_json(&s->plans.items[0])
			      : spec_tenant_to_json(&s->tenants.items[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_spec_set_ struct spec_set first = SPEC_SET_INIT, second = SPEC_SET_INIT;
	_cleanup_problems_ struct problems *problems = problems_new();
	_cleanup_sbuf_ struct sbuf out = SBUF_INIT;
	_cleanup_json_ json_t *doc = NULL;
	_cleanup_free_ char *text = NULL;

	if (size == 0)
		return 0;
	if (spec_set_add_text(&first, (enum spec_kind)(data[0] % SPEC_KIND_MAX),
			      (const char *)data + 1, size - 1, "fuzz.json", problems) == 0) {
		doc = encode(&first);
		text = json_dumps(doc, JSON_DUMP_FLAGS);
		if (spec_set_add_text(&second, SPEC_KIND_AUTO, text, strlen(text), "again.json",
				      problems) < 0) {
			problems_format(problems, &out);
			(void)fprintf(stderr, "%s\n%s", text, sbuf_str(&out));
			abort();
		}
	}
	problems_format(problems, &out);
	return 0;
}
