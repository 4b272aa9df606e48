/* SPDX-License-Identifier: Apache-2.0 */
/* Documents and what is -> changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "runtime/instance/apply_diff.h"

#define PLAN                                                                                       \
	"{\"plan\": \"small\", \"version\": 1, \"cpu\": {\"cores\": 1}, \"memory\": {\"limit\": "  \
	"\"1GiB\"}}"
#define TENANT(instances) "{\"tenant\": \"acme\", \"instances\": [" instances "]}"
#define WEB1(more) "{\"name\": \"web1\", \"plan\": \"small\", \"image\": \"debian-12\"" more "}"

struct world {
	struct spec_set set;
	struct catalog catalog;
	struct spec_set have; /* where the existing instances come from */
	struct diff_inst insts[4];
	struct diff_input in;
};

static void load(struct spec_set *set, const char *text)
{
	struct problems *p = problems_new();
	struct sbuf out = SBUF_INIT;

	assert_non_null(p);
	if (spec_set_add_text(set, SPEC_KIND_AUTO, text, strlen(text), "test.json", p) < 0) {
		problems_format(p, &out);
		fail_msg("%s", sbuf_str(&out));
	}
	problems_free(p);
}

static void know_image(struct catalog *c)
{
	struct inst_image *i = calloc(1, sizeof(*i));

	assert_non_null(i);
	(void)str_copy(i->name, sizeof(i->name), "debian-12");
	assert_int_equal(catalog_add_image(c, i, NULL), 0);
}

/* The catalogue as it is after 'have' was applied, with all its instances. */
static void know(struct world *w, bool by_file, uint32_t file_fields)
{
	for (size_t i = 0; i < w->have.plans.n; i++) {
		struct inst_plan *p = calloc(1, sizeof(*p));

		assert_non_null(p);
		assert_int_equal(
			json_rows_copy(&spec_plan_table, &p->spec, &w->have.plans.items[i]), 0);
		assert_int_equal(catalog_add_plan(&w->catalog, p, NULL), 0);
	}
	for (size_t i = 0; i < w->have.tenants.n; i++) {
		const struct spec_tenant *spec = &w->have.tenants.items[i];
		struct inst_tenant *t = calloc(1, sizeof(*t));

		assert_non_null(t);
		assert_int_equal(json_rows_copy(&spec_tenant_table, &t->spec, spec), 0);
		assert_int_equal(catalog_add_tenant(&w->catalog, t, NULL), 0);
		for (size_t n = 0; n < spec->instances.n; n++)
			w->insts[w->in.n_insts++] =
				(struct diff_inst){.tenant = spec->name,
						   .spec = &spec->instances.items[n],
						   .plan = "small",
						   .plan_version = 1,
						   .by_file = by_file,
						   .file_fields = file_fields};
	}
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->in = (struct diff_input){.set = &w->set, .catalog = &w->catalog, .insts = w->insts};
	know_image(&w->catalog);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	catalog_done(&w->catalog);
	spec_set_done(&w->set);
	spec_set_done(&w->have);
	free(w);
	return 0;
}

/* "action kind target[fields]; ..." */
static void check(const struct world *w, const char *want)
{
	_cleanup_diff_ struct diff d = {0};
	_cleanup_sbuf_ struct sbuf text = SBUF_INIT;
	struct err err = ERR_INIT;

	assert_int_equal(diff_compute(&w->in, &d, &err), 0);
	for (size_t i = 0; i < d.n; i++) {
		const struct diff_change *c = &d.items[i];
		json_t *doc = diff_to_json(c), *row;
		size_t n;

		sbuf_addf(&text, "%s%s %s %s", i ? "; " : "", diff_action_name(c->action),
			  diff_kind_name(c->kind), c->target);
		json_array_foreach (json_object_get(doc, "fields"), n, row)
			sbuf_addf(&text, "%c%s", n ? ',' : '[',
				  json_string_value(json_object_get(row, "field")));
		if (json_array_size(json_object_get(doc, "fields")))
			sbuf_addc(&text, ']');
		if (c->action == DIFF_REFUSED || c->action == DIFF_DRIFT)
			assert_true(c->reason[0] != '\0');
		json_decref(doc);
	}
	assert_string_equal(sbuf_str(&text), want);
}

#define ALL ((1u << INST_FIELD_MAX) - 1)

static void test_all_new(void **state)
{
	struct world *w = *state;

	load(&w->set, PLAN);
	load(&w->set, TENANT(WEB1("")));
	check(w, "create plan small@1; create tenant acme; create instance acme/web1");
}

static void test_same_again(void **state)
{
	struct world *w = *state;

	load(&w->have, PLAN);
	load(&w->have, TENANT(WEB1("")));
	know(w, true, ALL);
	load(&w->set, PLAN);
	load(&w->set, TENANT(WEB1("")));
	check(w, "");
}

/* A failed write is made up for by the next apply. */
static void test_unwritten(void **state)
{
	struct world *w = *state;

	load(&w->have, PLAN);
	load(&w->have, TENANT(WEB1("")));
	know(w, true, ALL);
	w->catalog.plans[0]->is_unwritten = true;
	w->catalog.tenants[0]->is_unwritten = true;
	load(&w->set, PLAN);
	load(&w->set, TENANT(WEB1("")));
	check(w, "create plan small@1; change tenant acme");
}

static void test_hostname_default(void **state)
{
	struct world *w = *state;

	load(&w->have, PLAN);
	load(&w->have, TENANT(WEB1(", \"hostname\": \"web1\"")));
	know(w, true, ALL);
	load(&w->set, TENANT(WEB1("")));
	check(w, "");
}

static void test_changed_fields(void **state)
{
	struct world *w = *state;

	load(&w->have, PLAN);
	load(&w->have, TENANT(WEB1(", \"labels\": {\"a\": \"1\"}")));
	know(w, true, ALL);
	load(&w->set, TENANT(WEB1(", \"labels\": {\"a\": \"2\"}, \"protected\": true")));
	check(w, "change instance acme/web1[labels,protected]");
}

static void test_drift(void **state)
{
	struct world *w = *state;

	load(&w->have, PLAN);
	load(&w->have, TENANT(WEB1(", \"labels\": {\"a\": \"1\"}, \"protected\": true")));
	know(w, true, ALL & ~(1u << INST_FIELD_LABELS) & ~(1u << INST_FIELD_PROTECTED));
	/* labels: the document says otherwise; protected: it does not say. */
	load(&w->set, TENANT(WEB1(", \"labels\": {\"a\": \"2\"}")));
	check(w, "drift instance acme/web1[labels]");
	w->in.take_over = true;
	check(w, "change instance acme/web1[labels]");
}

static void test_refused(void **state)
{
	struct world *w = *state;

	load(&w->have, PLAN);
	load(&w->have, TENANT(WEB1("")));
	know(w, true, ALL);
	load(&w->set, "{\"plan\": \"small\", \"version\": 1, \"cpu\": {\"cores\": 2}, "
		      "\"memory\": {\"limit\": \"1GiB\"}}");
	load(&w->set, TENANT("{\"name\": \"web1\", \"plan\": \"small\", \"image\": \"other\"},"
			     "{\"name\": \"a\", \"plan\": \"none\", \"image\": \"debian-12\"},"
			     "{\"name\": \"b\", \"plan\": \"small\", \"image\": \"none\"}"));
	check(w, "refused plan small@1; refused instance acme/web1[image]; "
		 "refused instance acme/a; refused instance acme/b");
}

static void test_plan_versions(void **state)
{
	struct world *w = *state;

	load(&w->have, PLAN);
	load(&w->have, TENANT(WEB1("")));
	know(w, true, ALL);
	load(&w->set, "{\"plan\": \"small\", \"version\": 2, \"cpu\": {\"cores\": 2}, "
		      "\"memory\": {\"limit\": \"1GiB\"}}");
	load(&w->set, TENANT(WEB1("")));
	/* A new version moves nobody by itself. */
	check(w, "create plan small@2");
	w->insts[0].plan_version = 2;
	spec_set_done(&w->set);
	w->set = SPEC_SET_INIT;
	load(&w->set,
	     TENANT("{\"name\": \"web1\", \"plan\": \"small@1\", \"image\": \"debian-12\"}"));
	check(w, "change instance acme/web1[plan]");
}

static void test_prune(void **state)
{
	struct world *w = *state;

	load(&w->have, PLAN);
	load(&w->have, TENANT(WEB1("") ", {\"name\": \"safe\", \"plan\": \"small\", \"image\": "
				       "\"debian-12\", \"protected\": true}"));
	load(&w->have,
	     "{\"tenant\": \"other\", \"instances\": [{\"name\": \"x\", \"plan\": \"small\", "
	     "\"image\": \"debian-12\"}]}");
	know(w, true, ALL);
	load(&w->set, TENANT(""));
	check(w, "");
	w->in.prune = true;
	/* Another tenant's instances are not this document's business. */
	check(w, "delete instance acme/web1; refused instance acme/safe");
	w->insts[0].by_file = false;
	check(w, "refused instance acme/safe");
}

static void test_merge(void **state)
{
	struct world *w = *state;
	struct spec_instance merged = {0};
	struct err err = ERR_INIT;

	load(&w->have, TENANT(WEB1(", \"labels\": {\"a\": \"1\"}, \"protected\": true")));
	load(&w->set, TENANT(WEB1(", \"labels\": {\"a\": \"2\"}")));
	assert_int_equal(diff_merge(&w->have.tenants.items[0].instances.items[0],
				    &w->set.tenants.items[0].instances.items[0],
				    1u << INST_FIELD_LABELS, &merged, &err),
			 0);
	assert_true(merged.protected);
	assert_string_equal(merged.labels.items[0].value, "2");
	spec_instance_done(&merged);
}

static void test_every_field_is_a_key(void **state)
{
	(void)state;
	for (int f = 0; f < INST_FIELD_MAX; f++)
		assert_non_null(
			json_rows_find(&spec_instance_table, diff_field_name((enum inst_field)f)));
	/* All but the name, which identifies it. */
	assert_int_equal(spec_instance_table.n_rows, INST_FIELD_MAX + 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_new),
		TEST(test_same_again),
		TEST(test_unwritten),
		TEST(test_hostname_default),
		TEST(test_changed_fields),
		TEST(test_drift),
		TEST(test_refused),
		TEST(test_plan_versions),
		TEST(test_prune),
		TEST(test_merge),
		cmocka_unit_test(test_every_field_is_a_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
