/* SPDX-License-Identifier: Apache-2.0 */
/* Which leaves are found again: plain directories stand for cgroups. */
#include "tests/unit/base/util.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "cgroups/tree.h"

static int visit(void *arg, const struct cg_session *s)
{
	struct sbuf *names = arg;

	assert_int_equal(s->fd, -1);
	sbuf_addf(names, "%s%s ", s->outside ? "+" : "", s->name);
	return 0;
}

static void test_walk(void **state)
{
	static const char *const others[] = {"x-", "x-a", "x-1a", "y-1", "init.scope"};
	char path[256];
	_cleanup_close_ int fd = scratch_dir(path), tmp = -1;
	struct cg_instance i = CG_INSTANCE_INIT;
	_cleanup_sbuf_ struct sbuf names = SBUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(mkdirat(fd, "guest", 0755), 0);
	i.fd = fd;
	i.guest = openat(fd, "guest", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(i.guest >= 0);
	for (size_t n = 0; n < sizeof(others) / sizeof(others[0]); n++)
		assert_int_equal(mkdirat(i.guest, others[n], 0755), 0);
	assert_int_equal(symlinkat("/", i.guest, "x-5"), 0);
	assert_int_equal(mkdirat(i.guest, "x-7", 0755), 0);
	assert_int_equal(mkdirat(fd, "x-9", 0755), 0);
	/* One of a guest's own needs another owner. */
	if (geteuid() == 0) {
		assert_int_equal(mkdirat(i.guest, "x-8", 0755), 0);
		assert_int_equal(fchownat(i.guest, "x-8", 65534, 65534, 0), 0);
	}
	assert_int_equal(cg_session_walk(&i, visit, &names, &err), 0);
	assert_string_equal(sbuf_str(&names), "x-7 +x-9 ");
	(void)close(i.guest);
	tmp = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(path_remove_tree(tmp, strrchr(path, '/') + 1, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_walk)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
