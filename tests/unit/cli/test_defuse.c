/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing that a guest writes acts on the terminal of who reads its log. */
#include "cli/defuse.h"

#include "base/str.h"
#include "tests/unit/base/util.h"

static const struct {
	const char *in, *out;
} rows[] = {
	{"plain text\n\tand more\n", "plain text\n\tand more\n"},
	{"dos\r\nlines\r\n", "dos\nlines\n"},
	{"\033[31mred\033[0m", "red"},
	{"\033[1;31;4mx\033[K\033[?25ly", "xy"},
	{"\033]0;title\007x", "x"},
	{"\033]8;;http://x\033\\link\033]8;;\033\\.", "link."},
	{"\033P1$r\033\\x\033^pm\033\\y\033_apc\033\\z\033Xsos\033\\!", "xyz!"},
	{"\033(B\033#8\033cx", "x"},
	{"a\bb\007c\177d\001e\016f", "a?b?c?d?e?f"},
	/* U+009B and its like: as UTF-8, overlong, bare. */
	{"x\xc2\x9b"
	 "31my",
	 "x\xc2?31my"},
	{"\xc2\x80\xc2\x9f\xc2\xa0", "\xc2?\xc2?\xc2\xa0"},
	{"\xe0\x82\x9b", "\xe0??"},
	{"\xf0\x80\x82\x9b", "\xf0???"},
	{"\xc0\x9b\xc1\x9b", "????"},
	{"\x9b"
	 "31m\x9d",
	 "?31m?"},
	{"\xf5\xff\xfe", "???"},
	/* Characters that are fine. */
	{"w\xc3\xa9 \xe2\x80\x93 \xe2\x82\xac \xf0\x9f\x98\x80 \xed\x9f\xbf",
	 "w\xc3\xa9 \xe2\x80\x93 \xe2\x82\xac \xf0\x9f\x98\x80 \xed\x9f\xbf"},
	/* Cut characters, and what follows them is not lost. */
	{"\xe2\x82x", "\xe2\x82x"},
	{"\xe2\033[1mx", "\xe2x"},
	{"\xc3\xc3\xa9", "\xc3\xc3\xa9"},
	{"\xf0\x9f\n", "\xf0\x9f\n"},
	/* Unfinished sequences hide one line at the most. */
	{"\033[12\nnext", "\nnext"},
	{"\033]0;title\nnext", "\nnext"},
	{"\033\nnext", "\nnext"},
	{"\033\033[1mx", "x"},
	{"\033[1\033[2mx", "x"},
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t len = strlen(rows[i].in);
		for (size_t cut = 0; cut <= len; cut++) { /* the state goes over reads */
			struct defuser d = {0};
			char text[200], out[200];
			memcpy(text, rows[i].in, len);
			size_t n = defuse(&d, text, cut);
			memcpy(out, text, n);
			size_t m = defuse(&d, text + cut, len - cut);
			memcpy(out + n, text + cut, m);
			out[n + m] = '\0';
			if (strcmp(out, rows[i].out) != 0)
				fail_msg("row %zu, cut at %zu: '%s'", i, cut, out);
		}
	}
}

/* Of any bytes, what is left has no control character in any reading of it. */
static void test_noise(void **state)
{
	unsigned seed = 7;
	(void)state;
	for (int round = 0; round < 20000; round++) {
		static const unsigned char likely[] = {0x1b, 0x9b, 0xc2, 0xe0,
						       0xf0, 0x80, '[',	 ']'};
		struct defuser d = {0};
		char text[64];
		size_t len = (size_t)rand_r(&seed) % sizeof(text);
		for (size_t i = 0; i < len; i++) {
			unsigned x = (unsigned)rand_r(&seed) >> 3;
			text[i] = (char)(x & 1 ? likely[x / 2 % 8] : x / 2 % 256);
		}
		size_t half = len / 2, n = defuse(&d, text, half);
		memmove(text + n, text + half, len - half);
		n += defuse(&d, text + n, len - half);
		for (size_t i = 0; i < n; i++) {
			unsigned char c = (unsigned char)text[i];
			assert_true((c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t');
			if (c >= 0x80 && c <= 0x9f) { /* never where it could be a control */
				assert_true(i > 0);
				unsigned char p = (unsigned char)text[i - 1];
				assert_true(p >= 0x80 && p != 0xc2 && p != 0xc0 && p != 0xc1);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_noise),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
