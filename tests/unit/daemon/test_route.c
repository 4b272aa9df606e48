/* SPDX-License-Identifier: Apache-2.0 */
/* Which request meets which row: the table of the API, and what hostile paths become. */
#include "runtime/daemon/route.h"

#include "runtime/daemon/api.h"
#include "tests/unit/base/util.h"

static int look(const char *method, const char *path, struct route_match *m)
{
	struct err err = ERR_INIT;
	int r = route_find(api_routes, method, path, m, &err);
	assert_int_equal(r, r < 0 ? -err.code : 0);
	return r;
}

static void assert_none(const char *method, const char *path, int code)
{
	struct route_match m;
	int r = look(method, path, &m);
	if (r != -code)
		fail_msg("%s %s: %d, not %d", method, path, r, -code);
	assert_null(m.route);
	route_match_done(&m);
}

static void assert_row(const char *method, const char *path, const char *row, const char *a,
		       const char *b)
{
	struct route_match m;
	int r = look(method, path, &m);
	if (r < 0)
		fail_msg("%s %s: %d", method, path, r);
	assert_string_equal(m.route->path, row);
	assert_string_equal(m.route->method, method);
	assert_true(str_eq(m.params[0], a));
	assert_true(str_eq(m.params[1], b));
	route_match_done(&m);
}

/* Every row has what its flags want, and is reached by its own path. */
static void test_table(void **state)
{
	(void)state;
	for (const struct route *r = api_routes; r->method; r++) {
		char path[200];
		size_t n = 0;
		struct route_match m;
		assert_non_null(r->handle);
		assert_true(str_has_prefix(r->path, "/v1/"));
		assert_int_equal(r->flags & ROUTE_STREAM ? 1 : 0, r->begin && r->on_body);
		for (const char *p = r->path; *p; p++) {
			if (*p == '{') {
				path[n++] = 'x';
				p = strchr(p, '}');
			} else {
				path[n++] = *p;
			}
		}
		path[n] = '\0';
		assert_int_equal(look(r->method, path, &m), 0);
		assert_ptr_equal(m.route, r);
		route_match_done(&m);
		for (const struct route *o = api_routes; o < r; o++)
			assert_false(str_eq(o->method, r->method) && str_eq(o->path, r->path));
	}
}

static void test_parameters(void **state)
{
	(void)state;
	assert_row("GET", "/v1/host", "/v1/host", NULL, NULL);
	assert_row("GET", "/v1/instances/acme/web1", "/v1/instances/{tenant}/{name}", "acme",
		   "web1");
	assert_row("POST", "/v1/instances/a/b/start", "/v1/instances/{tenant}/{name}/start", "a",
		   "b");
	assert_row("GET", "/v1/instances/acme/w%C3%A9b", "/v1/instances/{tenant}/{name}", "acme",
		   "w\xc3\xa9"
		   "b");
	assert_row("GET", "/v1/plans/small%401", "/v1/plans/{name}", "small@1", NULL);
	/* A name that is also a fixed word of another method. */
	assert_row("POST", "/v1/images/build", "/v1/images/build", NULL, NULL);
	assert_row("GET", "/v1/images/build", "/v1/images/{name}", "build", NULL);
	assert_row("DELETE", "/v1/images/build", "/v1/images/{name}", "build", NULL);
}

/* An escaped slash or NUL is part of a name: no lookup finds such a one, and none is cut there. */
static void test_escapes(void **state)
{
	(void)state;
	assert_row("GET", "/v1/instances/acme/a%2fb", "/v1/instances/{tenant}/{name}", "acme",
		   "a/b");
	assert_none("GET", "/v1/instances/acme%2fweb1", ENOENT);
	assert_row("GET", "/v1/plans/..%2F..", "/v1/plans/{name}", "../..", NULL);
	assert_none("DELETE", "/v1/instances/acme/web1%00", EINVAL);
	assert_none("DELETE", "/v1/instances/acme/web1%00%2fstart", EINVAL);
	assert_none("GET", "/v1/instances/acme/%", EINVAL);
	assert_none("GET", "/v1/instances/acme/%4", EINVAL);
	assert_none("GET", "/v1/instances/acme/%zz", EINVAL);
	assert_none("GET", "/v1/instances/acme/%-1", EINVAL);
	assert_none("GET", "/v1/instances/acme/%1b[2J", EINVAL);
	assert_none("GET", "/v1/instances/acme/%c2%9b", EINVAL);
	assert_none("GET", "/v1/instances/acme/%ff", EINVAL);
	assert_none("GET", "/v1/instances/%fe/x", EINVAL);
	assert_none("GET", "/v1%2fhost", ENOENT);
}

static void test_unknown(void **state)
{
	static const char *const paths[] = {
		"",
		"/",
		"*",
		"/v1",
		"/v1/",
		"/v1/host/",
		"/v1/hosts",
		"/v1/hos",
		"//v1/host",
		"/V1/host",
		"/v1/instances/",
		"/v1/instances/acme",
		"/v1/instances/acme/",
		"/v1/instances//web1",
		"/v1/instances/acme/web1/",
		"/v1/instances/acme//start",
		"/v1/instances/acme/web1/start/",
		"/v1/instances/acme/web1/start/x",
		"/v1/instances/acme/web1/nothing",
		"/v1/instances/{tenant}/",
		"http://vpsd/v1/host",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		assert_none("GET", paths[i], ENOENT);
}

static void test_method(void **state)
{
	struct route_match m;
	(void)state;
	assert_int_equal(look("PUT", "/v1/host", &m), -EPROTONOSUPPORT);
	assert_string_equal(m.allow, "GET");
	route_match_done(&m);
	assert_int_equal(look("POST", "/v1/instances/a/b", &m), -EPROTONOSUPPORT);
	assert_string_equal(m.allow, "GET, DELETE, PATCH");
	route_match_done(&m);
	assert_none("get", "/v1/host", EPROTONOSUPPORT);
	assert_none("", "/v1/host", EPROTONOSUPPORT);
	/* A broken name of a wrong method is not looked at. */
	assert_none("PUT", "/v1/instances/a/%zz", EPROTONOSUPPORT);
}

static void test_decode(void **state)
{
	char *text = NULL;
	(void)state;
	assert_int_equal(route_decode("a%41%7ez", 8, &text), 0);
	assert_string_equal(text, "aA~z");
	free(text);
	assert_int_equal(route_decode("%41", 3, &text), 0);
	assert_string_equal(text, "A");
	free(text);
	assert_int_equal(route_decode("%41", 2, &text), -EINVAL);
	assert_int_equal(route_decode("%41", 1, &text), -EINVAL);
	assert_int_equal(route_decode("a\0b", 3, &text), -EINVAL);
	assert_int_equal(route_decode("", 0, &text), 0);
	assert_string_equal(text, "");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),	cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_escapes), cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_method),	cmocka_unit_test(test_decode),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
