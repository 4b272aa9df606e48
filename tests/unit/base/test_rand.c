/* SPDX-License-Identifier: Apache-2.0 */
/* Random identifiers: right form, never twice. */
#include "base/rand.h"

#include "tests/unit/base/util.h"

static void test_ids_are_hex_and_differ(void **state)
{
	char ids[64][ID_TEXT];

	(void)state;
	for (int i = 0; i < 64; i++) {
		assert_int_equal(rand_id(ids[i], NULL), 0);
		assert_int_equal(strlen(ids[i]), 16);
		assert_int_equal(strspn(ids[i], "0123456789abcdef"), 16);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(ids[i], ids[j]);
	}
}

static void test_all_bytes_are_filled(void **state)
{
	static uint8_t big[100000], zero[64];

	(void)state;
	assert_int_equal(rand_bytes(big, sizeof(big), NULL), 0);
	assert_memory_not_equal(big, zero, sizeof(zero));
	assert_memory_not_equal(big + sizeof(big) - sizeof(zero), zero, sizeof(zero));
	assert_int_equal(rand_bytes(big, 0, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids_are_hex_and_differ),
		cmocka_unit_test(test_all_bytes_are_filled),
	};

	return cmocka_run_group_tests_name("rand", tests, NULL, NULL);
}
