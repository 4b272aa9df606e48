/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers: tables of text and value; what fails leaves the result alone. */
#include "base/num.h"

#include "tests/unit/base/util.h"

#define UNTOUCHED 0xdeadbeefu

struct row {
	const char *text;
	int result;
	uint64_t value;
};

static void check(const char *what, int (*parse)(const char *, uint64_t *), const struct row *rows,
		  size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t v = UNTOUCHED;
		int r = parse(rows[i].text, &v);
		uint64_t expected = rows[i].result < 0 ? UNTOUCHED : rows[i].value;

		if (r != rows[i].result || v != expected)
			fail_msg("%s('%s') = %d, %llu", what, rows[i].text, r,
				 (unsigned long long)v);
	}
}

#define CHECK(parse, rows) check(#parse, parse, rows, sizeof(rows) / sizeof((rows)[0]))

static int parse_any_u64(const char *s, uint64_t *ret)
{
	return num_parse_u64(s, 0, UINT64_MAX, ret);
}

static void test_u64(void **state)
{
	static const struct row rows[] = {
		{"0", 0, 0},
		{"007", 0, 7},
		{"18446744073709551615", 0, UINT64_MAX},
		{"18446744073709551616", -ERANGE, 0},
		{"99999999999999999999999999", -ERANGE, 0},
		{"99999999999999999999999999x", -EINVAL, 0},
		{"", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"1\n", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"1e3", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"1.0", -EINVAL, 0},
		{"1,000", -EINVAL, 0},
		{"\xd9\xa1", -EINVAL, 0}, /* an Arabic digit one */
	};

	(void)state;
	CHECK(parse_any_u64, rows);
}

static void test_u64_range(void **state)
{
	uint64_t v = UNTOUCHED;

	(void)state;
	assert_int_equal(num_parse_u64("4", 5, 10, &v), -ERANGE);
	assert_int_equal(num_parse_u64("11", 5, 10, &v), -ERANGE);
	assert_int_equal(v, UNTOUCHED);
	assert_int_equal(num_parse_u64("5", 5, 10, &v), 0);
	assert_int_equal(v, 5);
	assert_int_equal(num_parse_u64("10", 5, 10, &v), 0);
	assert_int_equal(v, 10);
}

static void test_i64(void **state)
{
	int64_t v = 42;

	(void)state;
	assert_int_equal(num_parse_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &v), 0);
	assert_true(v == INT64_MIN);
	assert_int_equal(num_parse_i64("9223372036854775807", INT64_MIN, INT64_MAX, &v), 0);
	assert_true(v == INT64_MAX);
	v = 42;
	assert_int_equal(num_parse_i64("9223372036854775808", INT64_MIN, INT64_MAX, &v), -ERANGE);
	assert_int_equal(num_parse_i64("-9223372036854775809", INT64_MIN, INT64_MAX, &v), -ERANGE);
	assert_int_equal(num_parse_i64("-", INT64_MIN, INT64_MAX, &v), -EINVAL);
	assert_int_equal(num_parse_i64("--1", INT64_MIN, INT64_MAX, &v), -EINVAL);
	assert_int_equal(num_parse_i64("+1", INT64_MIN, INT64_MAX, &v), -EINVAL);
	assert_int_equal(num_parse_i64("-6", -5, 5, &v), -ERANGE);
	assert_int_equal(v, 42);
	assert_int_equal(num_parse_i64("-0", -5, 5, &v), 0);
	assert_int_equal(v, 0);
}

static void test_scan(void **state)
{
	const char *text = "123 456", *end = NULL;
	uint64_t v = UNTOUCHED;

	(void)state;
	assert_int_equal(num_scan_u64(text, &end, &v), 0);
	assert_int_equal(v, 123);
	assert_ptr_equal(end, text + 3);
	assert_int_equal(num_scan_u64(end, &end, &v), -EINVAL);
	assert_ptr_equal(end, text + 3);
	assert_int_equal(num_scan_u64("18446744073709551616 ", &end, &v), -ERANGE);
	assert_ptr_equal(end, text + 3);
	assert_int_equal(v, 123);
}

static void test_size(void **state)
{
	static const struct row rows[] = {
		{"0", 0, 0},
		{"0B", 0, 0},
		{"1B", 0, 1},
		{"512MiB", 0, 512ull << 20},
		{"1GiB", 0, 1ull << 30},
		{"20TiB", 0, 20ull << 40},
		{"16383PiB", 0, 16383ull << 50},
		{"16384PiB", -ERANGE, 0},
		{"18446744073709551615B", 0, UINT64_MAX},
		{"18446744073709551616B", -ERANGE, 0},
		{"18446744073709551615KiB", -ERANGE, 0},
		{"4096", -EINVAL, 0},
		{"00", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"MiB", -EINVAL, 0},
		{"2 GB", -EINVAL, 0},
		{"2GB", -EINVAL, 0},
		{"2G", -EINVAL, 0},
		{"1GiB ", -EINVAL, 0},
		{" 1GiB", -EINVAL, 0},
		{"1 GiB", -EINVAL, 0},
		{"1gib", -EINVAL, 0},
		{"1.5GiB", -EINVAL, 0},
		{"-1GiB", -EINVAL, 0},
		{"+1GiB", -EINVAL, 0},
		{"1e3MiB", -EINVAL, 0},
		{"1GiBGiB", -EINVAL, 0},
		{"1MiB/s", -EINVAL, 0},
	};

	(void)state;
	CHECK(num_parse_size, rows);
}

static void test_byterate(void **state)
{
	static const struct row rows[] = {
		{"100MiB/s", 0, 100ull << 20},
		{"0", 0, 0},
		{"0B/s", 0, 0},
		{"1B/s", 0, 1},
		{"100MiB", -EINVAL, 0},
		{"100MiB/", -EINVAL, 0},
		{"100MiB/sec", -EINVAL, 0},
		{"100MB/s", -EINVAL, 0},
		{"100/s", -EINVAL, 0},
		{"16384PiB/s", -ERANGE, 0},
	};

	(void)state;
	CHECK(num_parse_byterate, rows);
}

static void test_bitrate(void **state)
{
	static const struct row rows[] = {
		{"1bit", 0, 1},
		{"64kbit", 0, 64000},
		{"100Mbit", 0, 100000000},
		{"10Gbit", 0, 10000000000},
		{"0", 0, 0},
		{"18446744074Gbit", -ERANGE, 0},
		{"100mbit", -EINVAL, 0},
		{"100Kbit", -EINVAL, 0},
		{"100Mbit/s", -EINVAL, 0},
		{"100Mib", -EINVAL, 0},
		{"100", -EINVAL, 0},
	};

	(void)state;
	CHECK(num_parse_bitrate, rows);
}

static void test_duration(void **state)
{
	static const struct row rows[] = {
		{"500us", 0, 500},
		{"20ms", 0, 20000},
		{"5s", 0, 5000000},
		{"2min", 0, 120000000},
		{"1h", 0, 3600000000},
		{"0", 0, 0},
		{"0s", 0, 0},
		{"5", -EINVAL, 0},
		{"5m", -EINVAL, 0},
		{"5 s", -EINVAL, 0},
		{"5sec", -EINVAL, 0},
		{"1h30min", -EINVAL, 0},
		{"5124095577h", -ERANGE, 0},
	};

	(void)state;
	CHECK(num_parse_duration, rows);
}

static void test_format_size_is_exact(void **state)
{
	static const struct row rows[] = {
		{"0", 0, 0},
		{"1B", 0, 1},
		{"1023B", 0, 1023},
		{"1KiB", 0, 1024},
		{"4097B", 0, 4097},
		{"512MiB", 0, 536870912},
		{"1536MiB", 0, 1536ull << 20},
		{"16383PiB", 0, 16383ull << 50},
		{"18446744073709551615B", 0, UINT64_MAX},
	};
	char text[NUM_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t back = UNTOUCHED;

		num_format_size(text, rows[i].value);
		assert_string_equal(text, rows[i].text);
		assert_int_equal(num_parse_size(text, &back), 0);
		assert_true(back == rows[i].value);
	}
}

static void test_format_size_short(void **state)
{
	static const struct row rows[] = {
		{"0", 0, 0},
		{"1023B", 0, 1023},
		{"1KiB", 0, 1024},
		{"1.5KiB", 0, 1536},
		{"1MiB", 0, 1048575},
		{"1023.9KiB", 0, 1048474},
		{"1.5GiB", 0, 1610612736},
		{"16384PiB", 0, UINT64_MAX},
	};
	char text[NUM_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		num_format_size_short(text, rows[i].value);
		assert_string_equal(text, rows[i].text);
	}
}

static void test_format_duration(void **state)
{
	static const struct row rows[] = {
		{"0s", 0, 0},	       {"1us", 0, 1},
		{"1500us", 0, 1500},   {"20ms", 0, 20000},
		{"90s", 0, 90000000},  {"2min", 0, 120000000},
		{"1h", 0, 3600000000}, {"18446744073709551615us", 0, UINT64_MAX},
	};
	char text[NUM_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t back = UNTOUCHED;

		num_format_duration(text, rows[i].value);
		assert_string_equal(text, rows[i].text);
		assert_int_equal(num_parse_duration(text, &back), 0);
		assert_true(back == rows[i].value);
	}
}

static void test_units(void **state)
{
	uint64_t v;
	char text[NUM_TEXT];

	(void)state;
	for (size_t i = 0; num_size_unit(i); i++) {
		(void)snprintf(text, sizeof(text), "1%s", num_size_unit(i));
		assert_int_equal(num_parse_size(text, &v), 0);
	}
	for (size_t i = 0; num_bit_unit(i); i++) {
		(void)snprintf(text, sizeof(text), "1%s", num_bit_unit(i));
		assert_int_equal(num_parse_bitrate(text, &v), 0);
	}
	for (size_t i = 0; num_time_unit(i); i++) {
		(void)snprintf(text, sizeof(text), "1%s", num_time_unit(i));
		assert_int_equal(num_parse_duration(text, &v), 0);
	}
	assert_string_equal(num_size_unit(0), "B");
	assert_string_equal(num_time_unit(4), "h");
	assert_null(num_time_unit(5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_u64_range),
		cmocka_unit_test(test_i64),
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_byterate),
		cmocka_unit_test(test_bitrate),
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_format_size_is_exact),
		cmocka_unit_test(test_format_size_short),
		cmocka_unit_test(test_format_duration),
		cmocka_unit_test(test_units),
	};

	return cmocka_run_group_tests_name("num", tests, NULL, NULL);
}
