/* SPDX-License-Identifier: Apache-2.0 */
/* Frames cut out of a stream, whatever pieces it comes in. */
#include "cli/frame.h"
#include "tests/unit/base/util.h"

static void add(struct frame_reader *r, const void *data, size_t len)
{
	struct err err = ERR_INIT;
	assert_int_equal(frame_reader_add(r, data, len, &err), 0);
}

static int next(struct frame_reader *r, struct frame *f)
{
	struct err err = ERR_INIT;
	int n = frame_reader_next(r, f, &err);
	assert_int_equal(n < 0 ? -err.code : 0, n < 0 ? n : 0);
	return n;
}

/* Three frames, one of them empty; returns their length. */
static size_t three(char *dst)
{
	frame_head(dst, FRAME_STDOUT, 5);
	memcpy(dst + 8, "hello", 5);
	frame_head(dst + 13, FRAME_STDIN, 0);
	frame_head(dst + 21, FRAME_EXIT, 4);
	frame_put_u32((uint8_t *)dst + 29, 0xdeadbeef);
	return 33;
}

static void check_three(struct frame_reader *r)
{
	struct frame f;
	assert_int_equal(next(r, &f), 1);
	assert_int_equal(f.type, FRAME_STDOUT);
	assert_int_equal(f.len, 5);
	assert_memory_equal(f.payload, "hello", 5);
	assert_int_equal(next(r, &f), 1);
	assert_int_equal(f.type, FRAME_STDIN);
	assert_int_equal(f.len, 0);
	assert_int_equal(next(r, &f), 1);
	assert_int_equal(f.type, FRAME_EXIT);
	assert_int_equal(frame_u32(f.payload), 0xdeadbeef);
	assert_int_equal(next(r, &f), 0);
}

static void test_every_cut(void **state)
{
	char data[40];
	size_t len = three(data);
	(void)state;
	for (size_t cut = 0; cut <= len; cut++) {
		struct frame_reader r = {0};
		add(&r, data, cut);
		add(&r, data + cut, len - cut);
		check_three(&r);
		frame_reader_done(&r);
	}
}

/* Byte by byte, asked after each one. */
static void test_bytes(void **state)
{
	char data[40];
	size_t len = three(data);
	struct frame_reader r = {0};
	struct frame f;
	unsigned n = 0;
	(void)state;
	assert_int_equal(next(&r, &f), 0);
	for (size_t i = 0; i < len; i++) {
		add(&r, data + i, 1);
		while (next(&r, &f) > 0)
			n++;
		assert_int_equal(n, i + 1 < 13 ? 0 : i + 1 < 21 ? 1 : i + 1 < 33 ? 2 : 3);
	}
	frame_reader_done(&r);
	frame_reader_done(&r);
}

static void test_largest(void **state)
{
	static char data[FRAME_HEAD + KEEPER_FRAME_MAX + 1];
	struct frame_reader r = {0};
	struct frame f;
	(void)state;
	for (int round = 0; round < 50; round++) { /* and it does not grow with the stream */
		frame_head(data, FRAME_STDERR, KEEPER_FRAME_MAX);
		for (size_t at = 0; at < FRAME_HEAD + KEEPER_FRAME_MAX;) {
			size_t n = FRAME_HEAD + KEEPER_FRAME_MAX - at;
			n = n < 7777 ? n : 7777;
			add(&r, data + at, n);
			at += n;
			assert_int_equal(next(&r, &f), at == FRAME_HEAD + KEEPER_FRAME_MAX);
		}
		assert_int_equal(f.len, KEEPER_FRAME_MAX);
	}
	assert_true(r.cap < 2 * KEEPER_FRAME_MAX);
	frame_reader_done(&r);
}

static void test_malformed(void **state)
{
	static const unsigned char heads[][FRAME_HEAD] = {
		{0, 0, 0, 0, 0, 0, 0, 1},
		{1, 1, 0, 0, 0, 0, 0, 1},
		{1, 0, 1, 0, 0, 0, 0, 1},
		{1, 0, 0, 1, 0, 0, 0, 1},
		{1, 0, 0, 0, 0, 1, 0, 1},
		{1, 0, 0, 0, 1, 0, 0, 0},
		{1, 0, 0, 0, 0x80, 0, 0, 0},
		{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff},
		{'H', 'T', 'T', 'P', '/', '1', '.', '1'},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		struct frame_reader r = {0};
		struct frame f;
		add(&r, heads[i], FRAME_HEAD - 1);
		assert_int_equal(next(&r, &f), 0);
		add(&r, heads[i] + FRAME_HEAD - 1, 1);
		assert_int_equal(next(&r, &f), -EPROTO);
		assert_int_equal(next(&r, &f), -EPROTO); /* and so it stays */
		frame_reader_done(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_malformed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
