/* SPDX-License-Identifier: Apache-2.0 */
/* What is decided before the kernel is asked. The rest is shape.bats, on the real kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "netns/shape.h"

/* Nothing could be sent by this socket: another error would come of it. */
static void refused(void **state)
{
	static const uint64_t rates[] = {0, 1, NET_RATE_MIN - 1, NET_RATE_MAX + 1,
					 NET_RATE_NONE - 1};
	struct nl_sock nowhere = NL_SOCK_INIT;
	struct net_shape_status has;

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		const struct net_shape want = {.rate = rates[i], .mtu = 1500};
		struct err err = ERR_INIT;

		assert_int_equal(net_shape_in(&nowhere, 1, &want, &has, &err), -ERANGE);
		assert_non_null(strstr(err.msg, "8000 to 100000000000"));
		err = ERR_INIT;
		assert_int_equal(net_shape_out(&nowhere, 1, "vi0", &want, &has, &err), -ERANGE);
		assert_int_equal(err.code, ERANGE);
	}
}

static void kernel_fails(void **state)
{
	static const uint64_t rates[] = {NET_RATE_MIN, NET_RATE_MAX, NET_RATE_NONE};
	struct nl_sock nowhere = NL_SOCK_INIT;
	struct net_shape_status has = {.rate = 4711}, out = has;
	struct net_shape_list l = {.n = 3};

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		const struct net_shape want = {.rate = rates[i], .mtu = 1500};
		struct err err = ERR_INIT;

		assert_int_equal(net_shape_in(&nowhere, 1, &want, &has, &err), -EBADF);
		assert_int_equal(err.code, EBADF);
		err = ERR_INIT;
		assert_int_equal(net_shape_out(&nowhere, 1, "vi0", &want, &has, &err), -EBADF);
		assert_int_equal(err.code, EBADF);
	}
	assert_int_equal(net_shape_read(&nowhere, 1, &has, &out, NULL), -EBADF);
	assert_int_equal(net_shape_remove(&nowhere, "vi0", NULL), -EBADF);
	assert_int_equal(net_shape_list(&nowhere, &l, NULL), -EBADF);
	/* What a failure leaves alone. */
	assert_int_equal(has.rate, 4711);
	assert_int_equal(out.rate, 4711);
	assert_int_equal(l.n, 3);
}

static void effective(void **state)
{
	static const struct {
		uint64_t want, has;
		bool is_broken, is_effective;
	} rows[] = {
		{8000, 8000, false, true},
		{8007, 8000, false, true}, /* the kernel counts bytes */
		{8008, 8000, false, false},
		{8000, NET_RATE_NONE, false, false},
		{NET_RATE_NONE, 8000, false, false},
		{NET_RATE_NONE, NET_RATE_NONE, false, true},
		{8000, 8000, true, false},
		{NET_RATE_NONE, NET_RATE_NONE, true, false},
		{NET_RATE_MAX, NET_RATE_MAX, false, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct net_shape want = {.rate = rows[i].want};
		const struct net_shape_status has = {.rate = rows[i].has,
						     .is_broken = rows[i].is_broken};

		assert_int_equal(net_shape_is_effective(&want, &has), rows[i].is_effective);
	}
}

static void name(void **state)
{
	char text[IFNAMSIZ];

	(void)state;
	net_shape_name(text, "0123456789abcdef", 0);
	assert_string_equal(text, "vi0123456789ab0");
	net_shape_name(text, "ffffffffffffffff", 9);
	assert_string_equal(text, "viffffffffffff9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused),
		cmocka_unit_test(kernel_fails),
		cmocka_unit_test(effective),
		cmocka_unit_test(name),
	};

	return cmocka_run_group_tests_name("shape", tests, NULL, NULL);
}
