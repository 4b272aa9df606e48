/* SPDX-License-Identifier: Apache-2.0 */
/* The host's settings, in a directory like /proc/sys/net. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/str.h"
#include "netns/host.h"

struct tree {
	char path[64];
	int dir;
};

static void put(const struct tree *t, const char *name, const char *value)
{
	char parent[128];
	char *slash;
	_cleanup_close_ int up = -1;

	assert_int_equal(str_copy(parent, sizeof(parent), name), 0);
	slash = strrchr(parent, '/');
	*slash = '\0';
	up = path_mkdirs_beneath(t->dir, parent, 0755, NULL);
	assert_true(up >= 0);
	assert_int_equal(file_replace_at(up, slash + 1, value, strlen(value), 0644, NULL), 0);
}

static void assert_value(const struct tree *t, const char *name, const char *value)
{
	char found[16];

	assert_true(file_read_short_at(t->dir, name, found, sizeof(found), NULL) >= 0);
	assert_string_equal(found, value);
}

static int make(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	(void)str_copy(t->path, sizeof(t->path), "/tmp/test_host.XXXXXX");
	assert_non_null(mkdtemp(t->path));
	t->dir = path_open_dir(t->path, NULL);
	assert_true(t->dir >= 0);
	put(t, "ipv4/ip_forward", "0\n");
	put(t, "ipv4/neigh/up0/proxy_delay", "8\n");
	put(t, "ipv6/conf/all/forwarding", "0\n");
	put(t, "ipv6/conf/all/accept_ra", "1\n");
	put(t, "ipv6/conf/default/accept_ra", "1\n");
	put(t, "ipv6/conf/lo/accept_ra", "1\n");
	put(t, "ipv6/conf/up0/accept_ra", "1\n");
	put(t, "ipv6/conf/up0/proxy_ndp", "0\n");
	put(t, "ipv6/conf/up1/accept_ra", "0\n");
	put(t, "ipv6/conf/up2/accept_ra", "1\n");
	put(t, "ipv6/neigh/up0/proxy_delay", "8\n");
	*state = t;
	return 0;
}

static int clear(void **state)
{
	struct tree *t = *state;
	_cleanup_close_ int tmp = path_open_dir("/tmp", NULL);

	(void)path_remove_tree(tmp, t->path + strlen("/tmp/"), NULL);
	cleanup_close(&t->dir);
	free(t);
	return 0;
}

static bool has(const struct net_settings *s, const char *path, const char *before, const char *now)
{
	for (size_t i = 0; i < s->n; i++)
		if (str_eq(s->items[i].path, path))
			return str_eq(s->items[i].before, before) && str_eq(s->items[i].now, now);
	return false;
}

static void prepared(void **state)
{
	const struct tree *t = *state;
	const struct net_host_wish wish = {.uplink = "up0", .has_ipv4 = true, .has_ipv6 = true};
	struct net_settings s = NET_SETTINGS_INIT;
	struct err err = ERR_INIT;
	size_t ra, forwarding;

	assert_int_equal(net_host_prepare(t->path, &wish, &s, &err), 0);
	assert_int_equal(s.n, 7);
	assert_true(has(&s, "ipv4/ip_forward", "0", "1"));
	assert_true(has(&s, "ipv6/conf/all/forwarding", "0", "1"));
	assert_true(has(&s, "ipv6/conf/up0/accept_ra", "1", "2"));
	assert_true(has(&s, "ipv6/conf/up2/accept_ra", "1", "2"));
	assert_true(has(&s, "ipv6/conf/up0/proxy_ndp", "0", "1"));
	assert_true(has(&s, "ipv4/neigh/up0/proxy_delay", "8", "0"));
	/* The kernel drops what was learned at the moment of forwarding: before it. */
	for (ra = 0; !str_eq(s.items[ra].path, "ipv6/conf/up0/accept_ra"); ra++)
		;
	for (forwarding = 0; !str_eq(s.items[forwarding].path, "ipv6/conf/all/forwarding");
	     forwarding++)
		;
	assert_true(ra < forwarding);
	assert_value(t, "ipv6/conf/up1/accept_ra", "0");
	assert_value(t, "ipv6/conf/default/accept_ra", "1");
	assert_value(t, "ipv6/conf/lo/accept_ra", "1");
	net_settings_done(&s);

	assert_int_equal(net_host_prepare(t->path, &wish, &s, &err), 0);
	assert_int_equal(s.n, 0);
	/* Where the host forwards already, 1 is the operator's "no". */
	put(t, "ipv6/conf/up0/accept_ra", "1\n");
	assert_int_equal(net_host_prepare(t->path, &wish, &s, &err), 0);
	assert_int_equal(s.n, 0);
}

static void what_is_not_wanted_is_left(void **state)
{
	const struct tree *t = *state;
	const struct net_host_wish wish = {.has_ipv4 = true};
	struct net_settings s = NET_SETTINGS_INIT;

	assert_int_equal(net_host_prepare(t->path, &wish, &s, NULL), 0);
	assert_int_equal(s.n, 1);
	net_settings_done(&s);
	assert_value(t, "ipv6/conf/all/forwarding", "0");
	assert_value(t, "ipv4/neigh/up0/proxy_delay", "8");
}

static void bad_uplinks(void **state)
{
	static const char *const bad[] = {"",  ".", "..", "a/b", "../all", "sixteen-or-longer",
					  NULL};
	const struct tree *t = *state;
	struct net_host_wish wish = {.uplink = "up7", .has_ipv4 = true};
	struct net_settings s = NET_SETTINGS_INIT;
	struct err err = ERR_INIT;

	assert_int_equal(net_host_prepare(t->path, &wish, &s, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "the uplink 'up7'"));
	/* What was done until then is told. */
	assert_int_equal(s.n, 1);
	net_settings_done(&s);
	for (size_t i = 0; bad[i]; i++) {
		wish.uplink = bad[i];
		assert_int_equal(net_host_prepare(t->path, &wish, &s, &err), -EINVAL);
		assert_int_equal(s.n, 0);
	}
	assert_int_equal(net_host_prepare("/nonexistent", &wish, &s, &err), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(prepared, make, clear),
		cmocka_unit_test_setup_teardown(what_is_not_wanted_is_left, make, clear),
		cmocka_unit_test_setup_teardown(bad_uplinks, make, clear),
	};

	return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
