/* SPDX-License-Identifier: Apache-2.0 */
/* JSON rows: every kind, good and bad; problems; text limits; presence; merge, copy and encoding.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/num.h"

struct inner {
	struct json_seen seen;
	char *name;
	uint64_t limit;
};

struct outer {
	struct json_seen seen;
	bool flag;
	char *text;
	char *lines;
	uint64_t count;
	int64_t offset;
	uint64_t size;
	uint64_t byterate;
	uint64_t bitrate;
	uint64_t rate;
	uint64_t duration;
	uint64_t cores;
	int color;
	struct json_labels labels;
	JSON_LIST(char *) tags;
	struct inner inner;
	struct inner whole;
	JSON_LIST(struct inner) list;
	json_t *part;
};

static bool not_bad(const char *s)
{
	return strcmp(s, "bad") != 0;
}

static const char *const colors[] = {"red", "green", "blue", NULL};

#define ROW(type, member, kind_, ...)                                                              \
	{                                                                                          \
		.key = #member, .kind = JSON_KIND_##kind_,                                         \
		.offset = offsetof(struct type, member), __VA_ARGS__                               \
	}

static const struct json_row inner_rows[] = {
	ROW(inner, name, STRING, .flags = JSON_ROW_REQUIRED, .expect = "a name", .example = "x"),
	ROW(inner, limit, SIZE, .flags = JSON_ROW_LIMIT),
};
static const struct json_table inner_table = JSON_TABLE("an inner thing", struct inner, inner_rows);

static const struct json_row outer_rows[] = {
	ROW(outer, flag, BOOL, .def = "true"),
	ROW(outer, text, STRING, .flags = JSON_ROW_NULL, .is_valid = not_bad,
	    .expect = "a good word"),
	ROW(outer, lines, STRING, .flags = JSON_ROW_TEXT, .max = 1000),
	ROW(outer, count, U64, .min = 2, .max = 10, .def = "5"),
	ROW(outer, offset, I64, .min = (uint64_t)-5, .max = 5),
	ROW(outer, size, SIZE, .def = "\"1MiB\""),
	ROW(outer, byterate, BYTERATE, .flags = JSON_ROW_LIMIT),
	ROW(outer, bitrate, BITRATE),
	ROW(outer, rate, RATE),
	ROW(outer, duration, DURATION, .max = 60000000),
	ROW(outer, cores, MILLI, .min = 10, .max = 8000),
	ROW(outer, color, ENUM, .def = "\"green\"", .names = colors),
	ROW(outer, labels, LABELS, .is_valid = not_bad),
	ROW(outer, tags, STRINGS, .max = 3, .is_valid = not_bad, .expect = "a tag"),
	ROW(outer, inner, OBJECT, .sub = &inner_table),
	ROW(outer, whole, OBJECT, .flags = JSON_ROW_WHOLE, .sub = &inner_table),
	ROW(outer, list, OBJECTS, .max = 4, .sub = &inner_table),
	ROW(outer, part, PARTIAL, .sub = &inner_table),
};
static const struct json_table outer_table = JSON_TABLE("an outer thing", struct outer, outer_rows);

static int decode(const char *text, size_t len, unsigned flags, struct outer *o, struct sbuf *out)
{
	_cleanup_problems_ struct problems *p = problems_new();
	struct json_where w = {"f.json", "", p};
	_cleanup_json_ json_t *doc = NULL;
	int r;

	assert_non_null(p);
	r = json_text_load(text, len, 0, &w, &doc);
	if (r == 0)
		r = json_rows_decode(&outer_table, doc, flags, o, &w);
	problems_format(p, out);
	return r;
}

static void expect(const char *text, const char *problems)
{
	_cleanup_sbuf_ struct sbuf out = SBUF_INIT;
	struct outer o = {.flag = false};
	int r = decode(text, strlen(text), 0, &o, &out);

	json_rows_done(&outer_table, &o);
	assert_string_equal(sbuf_str(&out), problems);
	assert_int_equal(r, problems[0] ? -EINVAL : 0);
}

static void good_kinds(void **state)
{
	static const char doc[] =
		"{\"flag\": false, \"text\": \"abc\", \"lines\": \"a\\n\\tb\", \"count\": 2, "
		"\"offset\": -5,"
		" \"size\": \"2GiB\", \"byterate\": \"100MiB/s\", \"bitrate\": \"100Mbit\", "
		"\"rate\": \"500/s\","
		" \"duration\": \"20ms\", \"cores\": 0.25, \"color\": \"blue\", \"labels\": "
		"{\"a\": \"b\"},"
		" \"tags\": [\"x\", \"y\"], \"inner\": {\"name\": \"n\", \"limit\": null},"
		" \"list\": [{\"name\": \"l\", \"limit\": \"1KiB\"}], \"part\": {\"limit\": "
		"\"2KiB\"}}";
	_cleanup_sbuf_ struct sbuf out = SBUF_INIT;
	_cleanup_json_ json_t *in = json_loads(doc, 0, NULL);
	_cleanup_json_ json_t *back = NULL;
	struct outer o, copy;

	(void)state;
	assert_int_equal(decode(doc, sizeof(doc) - 1, 0, &o, &out), 0);
	assert_false(o.flag);
	assert_string_equal(o.lines, "a\n\tb");
	assert_int_equal(o.count, 2);
	assert_int_equal(o.offset, -5);
	assert_int_equal(o.size, 2ull << 30);
	assert_int_equal(o.byterate, 100 << 20);
	assert_int_equal(o.bitrate, 100000000);
	assert_int_equal(o.rate, 500);
	assert_int_equal(o.duration, 20000);
	assert_int_equal(o.cores, 250);
	assert_int_equal(o.color, 2);
	assert_string_equal(o.labels.items[0].value, "b");
	assert_string_equal(o.tags.items[1], "y");
	assert_true(o.inner.limit == JSON_UNLIMITED);
	assert_true(json_rows_is_null(&inner_table, &o.inner, "limit"));
	assert_int_equal(o.list.items[0].limit, 1024);
	assert_true(json_is_object(o.part));

	/* Written back it is the same document, also from a copy. */
	assert_int_equal(json_rows_copy(&outer_table, &copy, &o), 0);
	json_rows_done(&outer_table, &o);
	back = json_rows_encode(&outer_table, &copy, 0);
	json_rows_done(&outer_table, &copy);
	assert_true(json_equal(in, back));
}

static void defaults_and_presence(void **state)
{
	_cleanup_sbuf_ struct sbuf out = SBUF_INIT;
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *few = NULL;
	_cleanup_json_ json_t *all = NULL;
	struct outer o;

	(void)state;
	assert_int_equal(decode("{\"count\": 5, \"text\": null}", 26, 0, &o, &out), 0);
	assert_true(o.flag);
	assert_int_equal(o.size, 1 << 20);
	assert_int_equal(o.color, 1);
	assert_true(o.byterate == JSON_UNLIMITED);
	assert_true(json_rows_has(&outer_table, &o, "count"));
	assert_false(json_rows_has(&outer_table, &o, "size"));
	assert_false(json_rows_has(&outer_table, &o, "text"));
	assert_true(json_rows_is_null(&outer_table, &o, "text"));
	assert_false(json_rows_is_null(&outer_table, &o, "byterate"));
	few = json_rows_encode(&outer_table, &o, 0);
	all = json_rows_encode(&outer_table, &o, JSON_ENCODE_ALL);
	json_rows_done(&outer_table, &o);
	assert_int_equal(json_object_size(few), 2);
	assert_string_equal(json_string_value(json_object_get(all, "size")), "1MiB");
	assert_true(json_is_null(json_object_get(all, "byterate")));
	text = json_dumps(few, JSON_COMPACT | JSON_DUMP_FLAGS);
	assert_string_equal(text, "{\"text\":null,\"count\":5}");
}

static void partial_merges(void **state)
{
	static const char base[] = "{\"count\": 3, \"tags\": [\"x\"], \"inner\": {\"name\": \"n\", "
				   "\"limit\": \"1KiB\"},"
				   " \"whole\": {\"name\": \"n\", \"limit\": \"1KiB\"}}";
	static const char part[] = "{\"tags\": [\"y\", \"z\"], \"inner\": {\"limit\": null}, "
				   "\"whole\": {\"name\": \"m\"}}";
	_cleanup_sbuf_ struct sbuf out = SBUF_INIT;
	struct outer o;

	(void)state;
	assert_int_equal(decode(base, sizeof(base) - 1, 0, &o, &out), 0);
	assert_int_equal(decode(part, sizeof(part) - 1, JSON_DECODE_PARTIAL, &o, &out), 0);
	assert_int_equal(o.count, 3);
	assert_int_equal(o.tags.n, 2);
	assert_string_equal(o.tags.items[0], "y");
	assert_string_equal(o.inner.name, "n");
	assert_true(o.inner.limit == JSON_UNLIMITED);
	assert_string_equal(o.whole.name, "m");
	assert_true(o.whole.limit == JSON_UNLIMITED);
	json_rows_done(&outer_table, &o);
}

static const struct {
	const char *value;
	const char *problem;
} wrong[] = {
	{"\"size\": \"2 GB\"", "size: \"2 GB\" is not a size; write it as 2GiB"},
	{"\"size\": \"2G\"", "size: \"2G\" is not a size; write it as 2GiB"},
	{"\"size\": \"2gb\"", "size: \"2gb\" is not a size; write it as 2GiB"},
	{"\"size\": \"1.5GiB\"", "size: \"1.5GiB\" is not a size; write it as 1536MiB"},
	{"\"size\": 1073741824", "size: 1073741824 is not a size; write it as \"1GiB\""},
	{"\"size\": \"lots\"", "size: \"lots\" is not a size; write it like 2GiB"},
	{"\"size\": \"-1GiB\"", "size: \"-1GiB\" is not a size; write it like 2GiB"},
	{"\"size\": true", "size: true is not a size; write it like 2GiB"},
	{"\"size\": null", "size: null is not a size; leave the key out for the default"},
	{"\"size\": {}", "size: {...} is not a size; write it like 2GiB"},
	{"\"size\": \"99999999PiB\"",
	 "size: \"99999999PiB\" is too large; the largest is 9223372036854775807B"},
	{"\"size\": \"18446744073709551615B\"",
	 "size: \"18446744073709551615B\" is too large; the largest is "
	 "9223372036854775807B"},
	{"\"size\": \"\\u001b[31m\"", "size: \"\\x1b[31m\" is not a size; write it like 2GiB"},
	{"\"byterate\": \"100MB/s\"",
	 "byterate: \"100MB/s\" is not a rate in bytes; write it as 100MiB/s"},
	{"\"byterate\": \"100MiB\"",
	 "byterate: \"100MiB\" is not a rate in bytes; write it as 100MiB/s"},
	{"\"byterate\": \"8Mbit\"",
	 "byterate: \"8Mbit\" is not a rate in bytes; write it like 100MiB/s"},
	{"\"bitrate\": \"100M\"", "bitrate: \"100M\" is not a rate in bits; write it as 100Mbit"},
	{"\"bitrate\": \"100mbps\"",
	 "bitrate: \"100mbps\" is not a rate in bits; write it as 100Mbit"},
	{"\"bitrate\": \"100MB/s\"",
	 "bitrate: \"100MB/s\" is not a rate in bits; write it as 800Mbit"},
	{"\"rate\": 500", "rate: 500 is not a rate per second; write it as \"500/s\""},
	{"\"duration\": \"20 sec\"", "duration: \"20 sec\" is not a duration; write it as 20s"},
	{"\"duration\": 5", "duration: 5 is not a duration; write it as \"5s\""},
	{"\"duration\": \"2min\"", "duration: \"2min\" is too large; the largest is 1min"},
	{"\"cores\": \"2\"", "cores: \"2\" is not a number with at most 3 decimals; write "
			     "it as 2 without quotes"},
	{"\"cores\": 0.0005", "cores: 0.0005 has more than 3 decimals"},
	{"\"cores\": -1", "cores: -1 is too small; the smallest is 0.01"},
	{"\"cores\": 1e300", "cores: 1e+300 is too large; the largest is 8"},
	{"\"count\": \"5\"", "count: \"5\" is not a whole number; write it as 5 without quotes"},
	{"\"count\": 5.5", "count: 5.5 is not a whole number"},
	{"\"count\": -1", "count: -1 is too small; the smallest is 2"},
	{"\"count\": 11", "count: 11 is too large; the largest is 10"},
	{"\"offset\": -6", "offset: -6 is too small; the smallest is -5"},
	{"\"offset\": 6", "offset: 6 is too large; the largest is 5"},
	{"\"flag\": \"yes\"", "flag: \"yes\" is not true or false; write it as true"},
	{"\"flag\": 0", "flag: 0 is not true or false; write it as false"},
	{"\"flag\": \"maybe\"", "flag: \"maybe\" is not true or false; write it like true"},
	{"\"text\": \"bad\"", "text: \"bad\" is not a good word"},
	{"\"text\": 7", "text: 7 is not a good word; write it as \"7\""},
	{"\"text\": \"\"", "text: \"\" is empty; expected a good word"},
	{"\"text\": \"a\\nb\"", "text: \"a\\x0ab\" contains control characters"},
	{"\"text\": \"a\\u007fb\"", "text: \"a\\x7fb\" contains control characters"},
	{"\"lines\": \"a\\rb\"", "lines: \"a\\x0db\" contains control characters"},
	{"\"color\": \"gren\"", "color: \"gren\" is not one of \"red\", \"green\", "
				"\"blue\"; did you mean \"green\"?"},
	{"\"color\": \"BLUE\"", "color: \"BLUE\" is not one of \"red\", \"green\", "
				"\"blue\"; did you mean \"blue\"?"},
	{"\"color\": 1", "color: 1 is not one of \"red\", \"green\", \"blue\""},
	{"\"labels\": []", "labels: [...] is not an object of strings"},
	{"\"labels\": {\"a\": 1}", "labels.a: 1 is not a string"},
	{"\"labels\": {\"bad\": \"x\"}",
	 "labels.bad: the key is not a label; use 1 to 63 of a-z A-Z 0-9 . _ / -"},
	{"\"labels\": {\"a\": \"\\n\"}", "labels.a: \"\\x0a\" is not the value of a label; "
					 "at most 255 bytes, no control characters"},
	{"\"tags\": \"x\"", "tags: \"x\" is not a tag"},
	{"\"tags\": [\"x\", 5]", "tags[1]: 5 is not a tag; write it as \"5\""},
	{"\"tags\": [\"a\", \"b\", \"c\", \"d\"]", "tags: has 4 items; 0 to 3 are accepted"},
	{"\"inner\": 5", "inner: 5 is not an object"},
	{"\"inner\": {}", "inner.name: missing; expected a name such as x"},
	{"\"list\": [{\"name\": \"a\"}, {\"nam\": \"b\"}]",
	 "list[1].nam: unknown key; did you mean \"name\"?\nf.json: list[1].name: missing; "
	 "expected a name such as x"},
	{"\"list\": [7]", "list[0]: 7 is not an inner thing; expected an object {...}"},
	{"\"part\": {\"limit\": \"5 M\"}", "part.limit: \"5 M\" is not a size; write it as 5MiB"},
	{"\"COUNT\": 1", "COUNT: unknown key; did you mean \"count\"?"},
};

static void bad_values(void **state)
{
	char doc[256], problem[512];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(str_fmt(doc, sizeof(doc), "{%s}", wrong[i].value), 0);
		assert_int_equal(
			str_fmt(problem, sizeof(problem), "f.json: %s\n", wrong[i].problem), 0);
		expect(doc, problem);
	}
}

static void bad_text(void **state)
{
	static const struct {
		const char *text;
		const char *problem;
	} cases[] = {
		{"", "f.json: the document is empty\n"},
		{" \n\t ", "f.json: the document is empty\n"},
		{"[]", "f.json: [...] is not an outer thing; expected an object {...}\n"},
		{"{\n \"count\": 3,\n \"count\": 4}",
		 "f.json:3:8: duplicate object key near '\"count\"'\n"},
		{"{\"count\": 1e400}", "f.json:1:15: real number overflow near '1e400'\n"},
		{"{\"count\": 99999999999999999999}",
		 "f.json:1:30: too big integer near '99999999999999999999'\n"},
		{"{\"text\": \"a\\u0000b\"}", "f.json:1:19: \\u0000 is not allowed in strings\n"},
		{"{\"text\": \"\xff\"}", "f.json:1:10: unable to decode byte 0xff near '\"'\n"},
		{"{\"count\": 3} x", "f.json:1:14: end of file expected near 'x'\n"},
		{"{\"count\": \x1b}", "f.json:1:11: invalid token near '\\x1b'\n"},
	};
	_cleanup_free_ char *huge = malloc(2u << 20);
	_cleanup_sbuf_ struct sbuf out = SBUF_INIT;
	struct outer o;
	char deep[80];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect(cases[i].text, cases[i].problem);
	assert_non_null(huge);
	memset(huge, ' ', 2u << 20);
	assert_int_equal(decode(huge, 2u << 20, 0, &o, &out), -EINVAL);
	assert_string_equal(sbuf_str(&out),
			    "f.json: the document has 2097152 bytes; at most 1MiB are read\n");
	memset(deep, '[', 40);
	memset(deep + 40, ']', 40);
	sbuf_clear(&out);
	assert_int_equal(decode(deep, 80, 0, &o, &out), -EINVAL);
	assert_string_equal(sbuf_str(&out),
			    "f.json:1:33: nested too deeply; at most 32 levels are read\n");
	/* 32 levels are fine for the reader; brackets in strings are no levels. */
	sbuf_clear(&out);
	assert_int_equal(decode(deep + 8, 64, 0, &o, &out), -EINVAL);
	assert_string_equal(sbuf_str(&out),
			    "f.json: [...] is not an outer thing; expected an object {...}\n");
	expect("{\"text\": \"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"{{{\"}", "");
}

static void many_problems(void **state)
{
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_sbuf_ struct sbuf out = SBUF_INIT;
	_cleanup_json_ json_t *doc = json_object();
	_cleanup_json_ json_t *list = NULL;
	struct json_where w = {"f\x1b.json", "", p};
	struct err err = ERR_INIT;
	struct outer o;
	char key[16];

	(void)state;
	for (int i = 0; i < 150; i++) {
		assert_int_equal(str_fmt(key, sizeof(key), "unknown%d", i), 0);
		assert_int_equal(json_object_set_new(doc, key, json_integer(i)), 0);
	}
	assert_int_equal(json_rows_decode(&outer_table, doc, 0, &o, &w), -EINVAL);
	json_rows_done(&outer_table, &o);
	assert_int_equal(p->n, PROBLEMS_MAX);
	assert_int_equal(problems_count(p), 150);
	problems_format(p, &out);
	assert_non_null(
		strstr(sbuf_str(&out),
		       "f\\x1b.json: unknown0: unknown key; an outer thing has flag, text,"));
	assert_true(str_has_suffix(sbuf_str(&out), "... and 50 more\n"));
	assert_int_equal(problems_to_err(p, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "(and 149 more)"));
	list = problems_to_json(p);
	assert_int_equal(json_array_size(list), PROBLEMS_MAX);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 7), "path")),
			    "unknown7");
}

static void every_kind_has_a_noun(void **state)
{
	(void)state;
	for (int k = 0; k < JSON_KIND_MAX; k++)
		assert_true(json_kind_noun((enum json_kind)k)[0]);
	assert_string_equal(json_kind_noun(JSON_KIND_MAX), "a value");
}

static const char *pattern_of(bool (*is_valid)(const char *))
{
	return is_valid == not_bad ? "^(?!bad$)" : NULL;
}

static void expect_property(const json_t *schema, const char *key, const char *json)
{
	const json_t *got = json_object_get(json_object_get(schema, "properties"), key);
	_cleanup_json_ json_t *want = json_loads(json, 0, NULL);

	assert_non_null(want);
	if (!json_equal(got, want))
		fail_msg("%s: %s", key, json_dumps(got, JSON_DUMP_FLAGS));
}

/* Every kind in a schema; the documents of config/ have their own tests. */
static void schema(void **state)
{
	static const struct {
		const char *key, *json;
	} cases[] = {
		{"flag", "{\"type\": \"boolean\", \"description\": \"true or false\", "
			 "\"default\": true}"},
		{"text",
		 "{\"type\": [\"string\", \"null\"], \"minLength\": 1, \"maxLength\": 1024, "
		 "\"pattern\": \"^(?!bad$)\", \"description\": \"a good word\", "
		 "\"default\": null}"},
		{"lines", "{\"type\": \"string\", \"minLength\": 1, \"maxLength\": 1000, "
			  "\"pattern\": "
			  "\"^[^\\\\u0000-\\\\u0008\\\\u000b-\\\\u001f\\\\u007f-\\\\u009f]*$\", "
			  "\"description\": \"a string\"}"},
		{"count", "{\"type\": \"integer\", \"minimum\": 2, \"maximum\": 10, "
			  "\"description\": \"a whole number\", \"default\": 5}"},
		{"offset", "{\"type\": \"integer\", \"minimum\": -5, \"maximum\": 5, "
			   "\"description\": \"a whole number\"}"},
		{"byterate", "{\"type\": [\"string\", \"null\"], \"pattern\": "
			     "\"^(0|[0-9]+(B|KiB|MiB|GiB|TiB|PiB)/s)$\", \"description\": \"a "
			     "rate in bytes; null for no limit\", \"default\": null, "
			     "\"examples\": [\"100MiB/s\"]}"},
		{"rate", "{\"type\": \"string\", \"pattern\": \"^([0-9]+/s)$\", \"description\": "
			 "\"a rate per second\", \"examples\": [\"500/s\"]}"},
		{"duration", "{\"type\": \"string\", \"pattern\": "
			     "\"^(0|[0-9]+(us|ms|s|min|h))$\", \"description\": \"a duration, at "
			     "most 1min\", \"examples\": [\"5s\"]}"},
		{"cores", "{\"type\": \"number\", \"minimum\": 0.01, \"maximum\": 8, "
			  "\"description\": \"a number with at most 3 decimals\", \"examples\": "
			  "[0.25]}"},
		{"color", "{\"type\": \"string\", \"enum\": [\"red\", \"green\", \"blue\"], "
			  "\"description\": \"one of the words\", \"default\": \"green\"}"},
		{"tags", "{\"type\": \"array\", \"maxItems\": 3, \"items\": {\"type\": "
			 "\"string\", \"minLength\": 1, \"maxLength\": 1024, \"pattern\": "
			 "\"^(?!bad$)\"}, \"description\": \"a tag\", \"default\": []}"},
		{"labels", "{\"type\": \"object\", \"propertyNames\": {\"pattern\": "
			   "\"^(?!bad$)\"}, \"maxProperties\": 64, \"additionalProperties\": "
			   "{\"type\": \"string\", \"maxLength\": 255, \"pattern\": "
			   "\"^[^\\\\u0000-\\\\u001f\\\\u007f-\\\\u009f]*$\"}, "
			   "\"description\": \"an object of strings\", \"default\": {}}"},
	};
	_cleanup_json_ json_t *s = json_rows_schema(&outer_table, pattern_of);
	const json_t *properties = json_object_get(s, "properties");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_property(s, cases[i].key, cases[i].json);
	assert_null(json_object_get(properties, JSON_SCHEMA_KEY)); /* it is no document */
	/* A name is required, but not where only a part is wanted. */
	assert_non_null(json_object_get(json_object_get(properties, "whole"), "required"));
	assert_non_null(json_object_get(
		json_object_get(json_object_get(properties, "list"), "items"), "required"));
	assert_null(json_object_get(json_object_get(properties, "part"), "required"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_kinds),
		cmocka_unit_test(defaults_and_presence),
		cmocka_unit_test(partial_merges),
		cmocka_unit_test(bad_values),
		cmocka_unit_test(bad_text),
		cmocka_unit_test(many_problems),
		cmocka_unit_test(every_kind_has_a_noun),
		cmocka_unit_test(schema),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
