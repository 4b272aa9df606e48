/* SPDX-License-Identifier: Apache-2.0 */
/* Values at dotted paths of a plan, differences, and a plan as a document again. */
#include "doc.h"

#include "config/override.h"
#include "config/plan.h"

/* overrides with path = value (NULL: taken away), as text; or the problem. */
static void expect(const char *overrides, const char *path, const char *value, const char *want)
{
	_cleanup_problems_ struct problems *p = problems_new();
	const struct json_where w = {.file = "", .path = "overrides", .problems = p};
	_cleanup_json_ json_t *o = doc_json(overrides);
	_cleanup_json_ json_t *v = value ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;
	_cleanup_free_ char *text = NULL;
	_cleanup_sbuf_ struct sbuf out = SBUF_INIT;
	int r = value ? spec_override_set(o, path, v, &w) : spec_override_unset(o, path, &w);

	if (r < 0) {
		problems_format(p, &out);
		assert_string_equal(sbuf_str(&out), want);
		text = json_dumps(o, JSON_COMPACT | JSON_DUMP_FLAGS);
		assert_string_equal(text, overrides);
		return;
	}
	assert_int_equal(problems_count(p), 0);
	text = json_dumps(o, JSON_COMPACT | JSON_DUMP_FLAGS);
	assert_string_equal(text, want);
}

static void set(void **state)
{
	(void)state;
	expect("{}", "memory.limit", "\"2GiB\"", "{\"memory\":{\"limit\":\"2GiB\"}}");
	expect("{\"memory\":{\"swap\":\"0\"}}", "memory.limit", "\"2GiB\"",
	       "{\"memory\":{\"swap\":\"0\",\"limit\":\"2GiB\"}}");
	expect("{\"pids\":70}", "pids", "80", "{\"pids\":80}");
	expect("{}", "network.transfer.over.throttle", "\"1Mbit\"",
	       "{\"network\":{\"transfer\":{\"over\":{\"throttle\":\"1Mbit\"}}}}");
}

/* Text is what its row wants: a size stays text, a number becomes one. */
static void text(void **state)
{
	(void)state;
	expect("{}", "cpu.cores", "\"1.5\"", "{\"cpu\":{\"cores\":1.5}}");
	expect("{}", "pids", "\"80\"", "{\"pids\":80}");
	expect("{}", "memory.swap", "\"0\"", "{\"memory\":{\"swap\":\"0\"}}");
	expect("{}", "features.tun", "\"true\"", "{\"features\":{\"tun\":true}}");
	expect("{}", "disk.size", "\"null\"", "{\"disk\":{\"size\":null}}");
	expect("{}", "devices", "\"[\\\"/dev/x\\\"]\"", "{\"devices\":[\"/dev/x\"]}");
	/* What it is not is for the rows to refuse. */
	expect("{}", "pids", "\"many\"", "{\"pids\":\"many\"}");
}

static void unset(void **state)
{
	(void)state;
	expect("{\"memory\":{\"limit\":\"1GiB\"},\"pids\":70}", "memory.limit", NULL,
	       "{\"pids\":70}");
	expect("{\"memory\":{\"limit\":\"1GiB\",\"swap\":\"0\"}}", "memory.limit", NULL,
	       "{\"memory\":{\"swap\":\"0\"}}");
	expect("{\"memory\":{\"limit\":\"1GiB\",\"swap\":\"0\"}}", "memory", NULL, "{}");
	expect("{\"pids\":70}", "memory.limit", NULL, "{\"pids\":70}");
}

static void unknown(void **state)
{
	(void)state;
	for (int n = 0; n < 2; n++) {
		const char *value = n ? "\"1\"" : NULL;

		expect("{}", "memory.limt", value,
		       "overrides.memory.limt: unknown key; did you mean \"memory.limit\"?\n");
		expect("{}", "cores", value,
		       "overrides.cores: unknown key; did you mean \"cpu.cores\"?\n");
		expect("{}", "memory.limit.", value,
		       "overrides.memory.limit.: unknown key; did you mean \"memory.limit\"?\n");
		expect("{}", "version", value,
		       "overrides.version: cannot be changed here; it names a plan\n");
	}
}

static void odd_paths(void **state)
{
	static const char *const paths[] = {"", ".", "..", "a.b.c.d.e.f.g.h.i.j.k.l", "zzzzzz"};
	_cleanup_sbuf_ struct sbuf longest = SBUF_INIT;

	(void)state;
	for (int n = 0; n < 300; n++)
		sbuf_adds(&longest, "z");
	for (size_t n = 0; n <= sizeof(paths) / sizeof(paths[0]); n++) {
		_cleanup_problems_ struct problems *p = problems_new();
		const struct json_where w = {.file = "", .path = "", .problems = p};
		_cleanup_json_ json_t *o = json_object();
		const char *path =
			n < sizeof(paths) / sizeof(paths[0]) ? paths[n] : sbuf_str(&longest);

		assert_int_equal(spec_override_unset(o, path, &w), -EINVAL);
		assert_int_equal(problems_count(p), 1);
		assert_non_null(strstr(p->items[0].text, "unknown key"));
	}
}

static void compare(void **state)
{
	_cleanup_json_ json_t *a =
		doc_json("{\"a\": 1, \"b\": {\"c\": \"x\", \"d\": [1]}, \"e\": 1}");
	_cleanup_json_ json_t *b =
		doc_json("{\"a\": 1, \"b\": {\"c\": \"y\", \"d\": [2]}, \"f\": 2}");
	_cleanup_json_ json_t *list = json_array();
	_cleanup_free_ char *text = NULL;

	(void)state;
	assert_int_equal(spec_compare(a, b, list), 0);
	text = json_dumps(list, JSON_COMPACT);
	assert_string_equal(text, "[{\"field\":\"b.c\",\"from\":\"x\",\"to\":\"y\"},"
				  "{\"field\":\"b.d\",\"from\":[1],\"to\":[2]},"
				  "{\"field\":\"f\",\"from\":null,\"to\":2}]");
}

#define DEDICATED                                                                                  \
	"{\"plan\": \"p\", \"version\": 1, \"cpu\": {\"cores\": 2, \"dedicated\": true}, "         \
	"\"memory\": {\"limit\": \"1GiB\"}}"
#define EXPLICIT                                                                                   \
	"{\"plan\": \"p\", \"version\": 1, \"cpu\": {\"cores\": 2, \"guarantee\": 1}, "            \
	"\"memory\": {\"limit\": \"1GiB\", \"guarantee\": \"1GiB\"}, \"network\": {\"transfer\": " \
	"{\"over\": {\"suspend\": true}}}, \"disk\": {\"size\": null}}"

/* What is shown of a plan can be given again, and means the same, also below overrides. */
static void document_again(void **state)
{
	static const char *const docs[] = {DEDICATED, EXPLICIT};

	(void)state;
	for (size_t n = 0; n < 2; n++) {
		_cleanup_problems_ struct problems *p = problems_new();
		const struct json_where w = {.file = "", .path = "", .problems = p};
		_cleanup_json_ json_t *doc = doc_json(docs[n]);
		_cleanup_json_ json_t *more = doc_json("{\"cpu\": {\"cores\": 4}}");
		_cleanup_spec_plan_ struct spec_plan one = {0}, two = {0}, three = {0}, four = {0};
		_cleanup_json_ json_t *shown = NULL, *a = NULL, *b = NULL;

		assert_int_equal(spec_plan_from_json(&one, doc, &w), 0);
		shown = spec_plan_document(&one);
		assert_int_equal(json_integer_value(json_object_get(shown, "pids")), 512);
		assert_int_equal(spec_plan_from_json(&two, shown, &w), 0);
		a = spec_plan_to_json(&one);
		b = spec_plan_to_json(&two);
		assert_true(json_equal(a, b));
		assert_int_equal(spec_plan_override(&one, more, &three, &w), 0);
		assert_int_equal(spec_plan_override(&two, more, &four, &w), 0);
		json_decref(a);
		json_decref(b);
		a = spec_plan_to_json(&three);
		b = spec_plan_to_json(&four);
		assert_true(json_equal(a, b));
		assert_int_equal(problems_count(p), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set),
		cmocka_unit_test(text),
		cmocka_unit_test(unset),
		cmocka_unit_test(unknown),
		cmocka_unit_test(compare),
		cmocka_unit_test(odd_paths),
		cmocka_unit_test(document_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
