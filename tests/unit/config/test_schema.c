/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schemas: all rows are in them; their examples and defaults are what the decoder takes; and every
 * row with every sort of value, for tests/integration/schema_agrees.py to compare the verdicts.
 */
#include "doc.h"

#include "config/schema.h"
#include "config/valid.h"

static const enum spec_kind kinds[] = {SPEC_KIND_HOST, SPEC_KIND_PLAN, SPEC_KIND_TENANT};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static bool is_table(const struct json_row *row)
{
	return row->kind == JSON_KIND_OBJECT || row->kind == JSON_KIND_OBJECTS ||
	       row->kind == JSON_KIND_PARTIAL;
}

/* Whether the row's sub-table is read as a partial document. */
static bool is_partial_below(const struct json_row *row, bool is_partial)
{
	if (row->kind == JSON_KIND_PARTIAL)
		return true;
	return is_partial && row->kind == JSON_KIND_OBJECT && !(row->flags & JSON_ROW_WHOLE);
}

static bool list_has(const json_t *list, const char *s)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (str_eq(json_string_value(json_array_get(list, i)), s))
			return true;
	return false;
}

/* "object", also of ["object", "null"]. */
static const char *type_of(const json_t *schema)
{
	const json_t *type = json_object_get(schema, "type");

	return json_string_value(json_is_array(type) ? json_array_get(type, 0) : type);
}

static void expect_rows(const struct json_table *t, const json_t *schema, bool is_partial)
{
	const json_t *properties = json_object_get(schema, "properties");
	const json_t *required = json_object_get(schema, "required");
	size_t n = t->is_document && !is_partial, n_required = 0;

	assert_string_equal(type_of(schema), "object");
	assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
	for (size_t i = 0; i < t->n_rows; i++) {
		const struct json_row *row = &t->rows[i];
		const json_t *p = json_object_get(properties, row->key);
		const json_t *type = json_object_get(p, "type");
		bool takes_null = row->flags & (JSON_ROW_NULL | JSON_ROW_LIMIT);

		if (is_partial && (row->flags & JSON_ROW_FIXED)) {
			assert_null(p);
			continue;
		}
		assert_non_null(p);
		n++;
		assert_int_equal(json_is_array(type) && list_has(type, "null"), takes_null);
		assert_true(str_has_prefix(json_string_value(json_object_get(p, "description")),
					   row->expect));
		if (is_partial)
			assert_null(json_object_get(p, "default"));
		if (row->flags & JSON_ROW_REQUIRED && !is_partial) {
			assert_true(list_has(required, row->key));
			n_required++;
		}
		if (is_table(row))
			expect_rows(row->sub,
				    row->kind == JSON_KIND_OBJECTS ? json_object_get(p, "items")
								   : p,
				    is_partial_below(row, is_partial));
	}
	assert_int_equal(json_object_size(properties), n);
	assert_int_equal(json_array_size(required), n_required);
}

static void every_row_is_there(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_KINDS; i++) {
		_cleanup_json_ json_t *schema = spec_schema(kinds[i]);

		assert_non_null(schema);
		expect_rows(spec_kind_table(kinds[i]), schema, false);
		assert_string_equal(json_string_value(json_object_get(schema, "$schema")),
				    "https://json-schema.org/draft/2020-12/schema");
		assert_true(str_has_suffix(json_string_value(json_object_get(schema, "$id")),
					   spec_kind_name(kinds[i])));
		assert_int_equal(spec_kind_by_name(spec_kind_name(kinds[i])), kinds[i]);
	}
	assert_int_equal(spec_kind_by_name("auto"), SPEC_KIND_AUTO);
	assert_null(spec_kind_table(SPEC_KIND_AUTO));
}

/* Each check of a string is known to schemas: a new one needs its row in config/valid.c. */
static void expect_patterns(const struct json_table *t)
{
	for (size_t i = 0; i < t->n_rows; i++) {
		const struct json_row *row = &t->rows[i];

		if (row->is_valid && !row->names && !spec_pattern(row->is_valid))
			fail_msg("the validator of \"%s\" has no pattern in config/valid.c",
				 row->key);
		if (is_table(row))
			expect_patterns(row->sub);
	}
}

static void every_validator_has_a_pattern(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_KINDS; i++)
		expect_patterns(spec_kind_table(kinds[i]));
	assert_null(spec_pattern(NULL));
}

/* The decoder has nothing against this value of this key. */
static void expect_fits(const struct json_table *t, const char *key, json_t *value)
{
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_free_ void *obj = calloc(1, t->size);
	_cleanup_json_ json_t *doc = json_pack("{s:O}", key, value);
	struct json_where w = {"", "", p};

	assert_non_null(doc);
	(void)json_rows_decode(t, doc, 0, obj, &w);
	json_rows_done(t, obj);
	for (size_t i = 0; i < p->n; i++)
		if (str_eq(p->items[i].path, key) || strchr(p->items[i].path, '['))
			fail_msg("%s", p->items[i].text);
}

static size_t expect_examples(const struct json_table *t, const json_t *schema)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_rows; i++) {
		const struct json_row *row = &t->rows[i];
		const json_t *p = json_object_get(json_object_get(schema, "properties"), row->key);
		const json_t *items = json_object_get(p, "items");
		json_t *def = json_object_get(p, "default");
		json_t *example = json_array_get(json_object_get(items ? items : p, "examples"), 0);
		_cleanup_json_ json_t *list = items ? json_pack("[O*]", example) : NULL;

		if (!p) /* not in a partial document */
			continue;
		if (row->example)
			assert_non_null(example);
		if (example)
			expect_fits(t, row->key, list ? list : example);
		if (def)
			expect_fits(t, row->key, def);
		n += example != NULL;
		if (is_table(row))
			n += expect_examples(row->sub, items ? items : p);
	}
	return n;
}

static void examples_and_defaults_fit(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_KINDS; i++) {
		_cleanup_json_ json_t *schema = spec_schema(kinds[i]);

		assert_true(expect_examples(spec_kind_table(kinds[i]), schema) > 20);
	}
}

/* What editors show: not only that something is there. */
static void in_words(void **state)
{
	static const struct {
		const char *path[6];
		const char *json;
	} cases[] = {
		{{"cpu", "cores", NULL},
		 "{\"type\": \"number\", \"minimum\": 0.01, \"maximum\": 4096, \"description\": "
		 "\"a number of cores with at most 3 decimals\", \"examples\": [1.5]}"},
		{{"memory", "limit", NULL},
		 "{\"type\": \"string\", \"pattern\": "
		 "\"^(0*[1-9][0-9]*(B|KiB|MiB|GiB|TiB|PiB))$\", \"description\": \"a size, at "
		 "least 4MiB, at most 1024PiB\", \"examples\": [\"2GiB\"]}"},
		{{"memory", "swap", NULL},
		 "{\"type\": \"string\", \"pattern\": \"^(0|[0-9]+(B|KiB|MiB|GiB|TiB|PiB))$\", "
		 "\"description\": \"a size, at most 1024PiB\", \"default\": \"0\", "
		 "\"examples\": [\"512MiB\"]}"},
		{{"network", "new_connections", NULL},
		 "{\"type\": [\"string\", \"null\"], \"pattern\": \"^(0*[1-9][0-9]*/s)$\", "
		 "\"description\": \"a rate per second, at least 1/s; null for no limit\", "
		 "\"default\": null, \"examples\": [\"500/s\"]}"},
		{{"network", "block_smtp", NULL},
		 "{\"type\": \"boolean\", \"description\": \"true or false\", \"default\": "
		 "false}"},
		{{"network", "transfer", "count", NULL},
		 "{\"type\": \"string\", \"enum\": [\"total\", \"in\", \"out\", \"max\"], "
		 "\"description\": \"what is counted\", \"default\": \"total\"}"},
		{{"features", "tun", NULL},
		 "{\"type\": \"boolean\", \"description\": \"true or false\", \"default\": "
		 "false}"},
	};
	_cleanup_json_ json_t *schema = spec_schema(SPEC_KIND_PLAN);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_json_ json_t *want = doc_json(cases[i].json);
		const json_t *got = schema;

		for (size_t k = 0; cases[i].path[k]; k++)
			got = json_object_get(json_object_get(got, "properties"), cases[i].path[k]);
		if (!json_equal(got, want))
			fail_msg("%s", json_dumps(got, 0));
	}
}

static void expect_unknown(enum spec_kind kind, const char *doc, const char *path)
{
	_cleanup_problems_ struct problems *p = problems_new();

	assert_int_equal(spec_validate_text(kind, doc, strlen(doc), "f.json", p), -EINVAL);
	doc_record(kind, doc, p);
	assert_int_equal(p->n, 1);
	assert_string_equal(p->items[0].path, path);
	assert_true(str_has_prefix(p->items[0].text, "unknown key; "));
}

/* Editors find the schema by a key of the document; it says nothing about what is wanted. */
static void documents_may_name_their_schema(void **state)
{
#define NAMED "\"$schema\": \"/usr/share/vpsd/schemas/x.schema.json\""
#define PLAN_REST                                                                                  \
	"\"plan\": \"p\", \"version\": 1, \"cpu\": {\"cores\": 1}, \"memory\": {\"limit\": "       \
	"\"1GiB\"}"
#define INSTANCE "\"name\": \"a\", \"plan\": \"p\", \"image\": \"i\""
	static const struct doc_case hosts[] = {
		{"{" NAMED "}", ""},
		{"{\"$schema\": null}",
		 "f.json: $schema: null is not the place of a schema; write it as a string\n"},
	};
	static const struct doc_case plans[] = {
		{"{" NAMED ", " PLAN_REST "}", ""},
		{"{\"$schema\": 7, " PLAN_REST "}",
		 "f.json: $schema: 7 is not the place of a schema; write it as a string\n"},
	};
	static const struct doc_case tenants[] = {
		{"{" NAMED ", \"tenant\": \"t\", \"instances\": [{" INSTANCE "}]}", ""},
	};
	_cleanup_json_ json_t *doc = doc_json(plans[0].doc);
	_cleanup_json_ json_t *back = NULL;
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_spec_plan_ struct spec_plan plan = {0};
	struct json_where w = {"", "", p};

	(void)state;
	DOC_EXPECT_ALL(SPEC_KIND_HOST, hosts);
	DOC_EXPECT_ALL(SPEC_KIND_PLAN, plans);
	DOC_EXPECT_ALL(SPEC_KIND_TENANT, tenants);
	/* Of the document itself, and spelled like that. */
	expect_unknown(SPEC_KIND_PLAN, "{\"$Schema\": \"x\", " PLAN_REST "}", "$Schema");
	expect_unknown(SPEC_KIND_PLAN, "{" PLAN_REST ", \"disk\": {" NAMED "}}", "disk.$schema");
	expect_unknown(SPEC_KIND_TENANT,
		       "{\"tenant\": \"t\", \"instances\": [{" INSTANCE ", \"overrides\": {" NAMED
		       "}}]}",
		       "instances[0].overrides.$schema");
	/* Two plans that differ in it alone are the same plan. */
	assert_int_equal(spec_plan_from_json(&plan, doc, &w), 0);
	back = spec_plan_to_json(&plan);
	assert_null(json_object_get(back, "$schema"));
}

/* --- every row with every sort of value ------------------------------------------------------ */

static const char *const any_values[] = {
	"null",
	"true",
	"1",
	"-1",
	"2.5",
	"\"\"",
	"\"x\"",
	"[]",
	"[\"x\"]",
	"[1]",
	"{}",
	"{\"x\": 1}",
	"{\"x\": \"y\"}",
	"\"a\\u0007\"",
	"[\"x\", \"\\u0085\"]",
};
static const char *const number_values[] = {
	"0", "2", "1.0005", "100", "5000", "100000", "2000000", "1000000000000000",
};
static const char *const text_values[] = {
	"\"0\"",
	"\"00\"",
	"\"5\"",
	"\"0MiB\"",
	"\"1KiB\"",
	"\"007GiB\"",
	"\"2 GB\"",
	"\"1gib\"",
	"\"1.5GiB\"",
	"\"-1GiB\"",
	"\"99PiB/s\"",
	"\"20000PiB\"",
	"\"1MiB/s\"",
	"\"0/s\"",
	"\"5/s\"",
	"\"1Mbit\"",
	"\"9kbit\"",
	"\"2Mbps\"",
	"\"20ms\"",
	"\"5min\"",
	"\"400h\"",
	"\"A\"",
	"\"a b\"",
	"\"a..b\"",
	"\"-a\"",
	"\"a-\"",
	"\"a.example\"",
	"\"a_b\"",
	"\"*.x\"",
	"\"/a/b c\"",
	"\"/a/../b\"",
	"\"/a//b\"",
	"\"/dev/x\"",
	"\"a/b\"",
	"\"10.0.0.0/8\"",
	"\"10.0.0.1/8\"",
	"\"10.0.0.0/33\"",
	"\"256.0.0.0/8\"",
	"\"fd00::/8\"",
	"\"fd00::/129\"",
	"\"1.2.3.4\"",
	"\"01.2.3.4\"",
	"\"fd00::1\"",
	"\"auto\"",
	"\"1.2.3.4:80\"",
	"\"1.2.3.4:0\"",
	"\"[::1]:65535\"",
	"\"[::1]:65536\"",
	"\"https://a.example/b?c=[d]\"",
	"\"https:///x\"",
	"\"ftp://a\"",
	"\"eth0\"",
	"\"..\"",
	"\"small@1\"",
	"\"small@0\"",
	"\"small@\"",
	"\"sha256:00\"",
	"\"UTC\"",
	"\"../etc\"",
	"\"tcp\"",
	"\"none\"",
	"\"22,80-90\"",
	"\"80-22\"",
	"\"22,\"",
	"\"8080:80/tcp\"",
	"\"8080:80\"",
	"\"0:80/udp\"",
	"\"$6$a$b\"",
	"\"$6:a\"",
	"\"ssh-rsa AAAA x\"",
	"\"ssh-dss AAAA x\"",
	"\"ssh-rsa AAAA\\tx\"",
	"\"id ssh-rsa AAAA\"",
	"\"a\\nb\"",
	"\"\\u00e9\"",
};

static size_t n_good, n_bad;

static void emit(enum spec_kind kind, const json_t *doc)
{
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_free_ char *text = json_dumps(doc, JSON_COMPACT | JSON_DUMP_FLAGS);
	int r = spec_validate_text(kind, text, strlen(text), "f.json", p);

	assert_int_equal(r, problems_count(p) ? -EINVAL : 0);
	doc_record(kind, text, p);
	if (r < 0)
		n_bad++;
	else
		n_good++;
}

/* Where the walk stands: the document, and an object in it that belongs to a table. */
struct place {
	enum spec_kind kind;
	const json_t *doc;
	json_t *object;
	const struct json_table *table;
	bool is_partial;
};

/* STRINGS: as the only item of a list. */
static void try_values(const struct place *at, const struct json_row *row,
		       const char *const *values, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		json_t *v = json_loads(values[i], JSON_DECODE_ANY, NULL);

		assert_non_null(v);
		if (row->kind == JSON_KIND_STRINGS && json_is_string(v))
			v = json_pack("[o]", v);
		assert_int_equal(json_object_set_new(at->object, row->key, v), 0);
		emit(at->kind, at->doc);
	}
}

/* What a table cannot do without. */
static json_t *least(const struct json_table *t)
{
	json_t *o = json_object();

	for (size_t i = 0; i < t->n_rows; i++) {
		const struct json_row *row = &t->rows[i];
		json_t *v = NULL;

		if (!(row->flags & JSON_ROW_REQUIRED))
			continue;
		if (row->kind == JSON_KIND_OBJECT)
			v = least(row->sub);
		else if (row->kind == JSON_KIND_MILLI || row->kind == JSON_KIND_U64)
			v = json_loads(row->example, JSON_DECODE_ANY, NULL);
		else
			v = json_string(row->example);
		assert_int_equal(json_object_set_new(o, row->key, v), 0);
	}
	return o;
}

static void try_table(const struct place *at);

static void try_below(const struct place *at, const struct json_row *row)
{
	struct place below = *at;

	below.table = row->sub;
	below.is_partial = is_partial_below(row, at->is_partial);
	below.object = below.is_partial ? json_object() : least(row->sub);
	assert_int_equal(json_object_set_new(at->object, row->key,
					     row->kind == JSON_KIND_OBJECTS
						     ? json_pack("[O]", below.object)
						     : json_incref(below.object)),
			 0);
	try_table(&below);
	json_decref(below.object);
}

#define TRY(at, row, values) try_values(at, row, values, sizeof(values) / sizeof((values)[0]))

static void try_row(const struct place *at, const struct json_row *row)
{
	json_t *old = json_incref(json_object_get(at->object, row->key));

	TRY(at, row, any_values);
	if (row->kind == JSON_KIND_U64 || row->kind == JSON_KIND_MILLI)
		TRY(at, row, number_values);
	if (!is_table(row) && row->kind != JSON_KIND_BOOL && row->kind != JSON_KIND_U64 &&
	    row->kind != JSON_KIND_MILLI && row->kind != JSON_KIND_LABELS)
		TRY(at, row, text_values);
	for (size_t i = 0; row->names && row->names[i]; i++) {
		json_t *v = row->kind == JSON_KIND_STRINGS ? json_pack("[s]", row->names[i])
							   : json_string(row->names[i]);

		assert_int_equal(json_object_set_new(at->object, row->key, v), 0);
		emit(at->kind, at->doc);
	}
	if (is_table(row))
		try_below(at, row);
	(void)json_object_del(at->object, row->key);
	emit(at->kind, at->doc);
	if (old)
		assert_int_equal(json_object_set_new(at->object, row->key, old), 0);
}

static void try_table(const struct place *at)
{
	emit(at->kind, at->doc);
	for (size_t i = 0; i < at->table->n_rows; i++)
		try_row(at, &at->table->rows[i]);
	assert_int_equal(json_object_set_new(at->object, "unknown", json_true()), 0);
	emit(at->kind, at->doc);
	(void)json_object_del(at->object, "unknown");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(json_object_set_new(at->object, JSON_SCHEMA_KEY,
						     i ? json_integer(1) : json_string("x")),
				 0);
		emit(at->kind, at->doc);
	}
	(void)json_object_del(at->object, JSON_SCHEMA_KEY);
}

static void every_row_with_every_sort_of_value(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_KINDS; i++) {
		const struct json_table *t = spec_kind_table(kinds[i]);
		_cleanup_json_ json_t *doc = least(t);
		const struct place top = {kinds[i], doc, doc, t, false};

		n_good = n_bad = 0;
		try_table(&top);
		assert_true(n_good > 80);
		assert_true(n_bad > 800);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_there),
		cmocka_unit_test(every_validator_has_a_pattern),
		cmocka_unit_test(examples_and_defaults_fit),
		cmocka_unit_test(in_words),
		cmocka_unit_test(documents_may_name_their_schema),
		cmocka_unit_test(every_row_with_every_sort_of_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
