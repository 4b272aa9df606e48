/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and quantities. Quantities are a table of units each; one function reads, one writes. */
#include "base/num.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

/* Smallest first. */
static const struct unit size_units[] = {
	{"B", 1},
	{"KiB", 1ull << 10},
	{"MiB", 1ull << 20},
	{"GiB", 1ull << 30},
	{"TiB", 1ull << 40},
	{"PiB", 1ull << 50},
};

static const struct unit bit_units[] = {
	{"bit", 1},
	{"kbit", 1000},
	{"Mbit", 1000000},
	{"Gbit", 1000000000},
};

static const struct unit time_units[] = {
	{"us", 1}, {"ms", 1000}, {"s", 1000000}, {"min", 60000000}, {"h", 3600000000},
};

#define N_OF(table) (sizeof(table) / sizeof((table)[0]))

/* Reads digits; *end is set behind them also when the value is out of range. */
static int scan(const char *s, const char **end, uint64_t *ret)
{
	bool overflow = false;
	uint64_t v = 0;

	if (*s < '0' || *s > '9')
		return -EINVAL;
	for (; *s >= '0' && *s <= '9'; s++)
		overflow |= __builtin_mul_overflow(v, 10u, &v) ||
			    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v);
	*end = s;
	if (overflow)
		return -ERANGE;
	*ret = v;
	return 0;
}

int num_scan_u64(const char *s, const char **end, uint64_t *ret)
{
	const char *behind;
	uint64_t v;
	int r = scan(s, &behind, &v);

	if (r < 0)
		return r;
	*end = behind;
	*ret = v;
	return 0;
}

int num_parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	const char *end;
	uint64_t v = 0;
	int r = scan(s, &end, &v);

	if (r == -EINVAL || *end != '\0')
		return -EINVAL;
	if (r < 0 || v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int num_parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret)
{
	bool negative = *s == '-';
	/* INT64_MIN has no positive counterpart in int64_t, so the magnitude is kept unsigned. */
	uint64_t limit = (uint64_t)INT64_MAX + negative;
	uint64_t magnitude;
	int64_t v;
	int r = num_parse_u64(s + negative, 0, limit, &magnitude);

	if (r < 0)
		return r;
	v = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	if (v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

/* Digits, one of the units, and a suffix that closes the text; or a bare "0". */
static int parse_quantity(const char *s, const struct unit *units, size_t n, const char *suffix,
			  uint64_t *ret)
{
	const char *end;
	uint64_t v = 0;
	int r = scan(s, &end, &v);

	if (r == -EINVAL)
		return r;
	if (strcmp(s, "0") == 0) {
		*ret = 0;
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(units[i].name);

		if (strncmp(end, units[i].name, len) != 0 || strcmp(end + len, suffix) != 0)
			continue;
		if (r < 0 || __builtin_mul_overflow(v, units[i].factor, &v))
			return -ERANGE;
		*ret = v;
		return 0;
	}
	return -EINVAL;
}

int num_parse_size(const char *s, uint64_t *ret_bytes)
{
	return parse_quantity(s, size_units, N_OF(size_units), "", ret_bytes);
}

int num_parse_byterate(const char *s, uint64_t *ret_bytes_per_s)
{
	return parse_quantity(s, size_units, N_OF(size_units), "/s", ret_bytes_per_s);
}

int num_parse_bitrate(const char *s, uint64_t *ret_bits_per_s)
{
	return parse_quantity(s, bit_units, N_OF(bit_units), "", ret_bits_per_s);
}

int num_parse_duration(const char *s, uint64_t *ret_usec)
{
	return parse_quantity(s, time_units, N_OF(time_units), "", ret_usec);
}

static const char *unit_name(const struct unit *units, size_t n, size_t i)
{
	return i < n ? units[i].name : NULL;
}

const char *num_size_unit(size_t i)
{
	return unit_name(size_units, N_OF(size_units), i);
}

const char *num_bit_unit(size_t i)
{
	return unit_name(bit_units, N_OF(bit_units), i);
}

const char *num_time_unit(size_t i)
{
	return unit_name(time_units, N_OF(time_units), i);
}

/* In the largest unit that divides v. */
static void format_exact(char dst[NUM_TEXT], uint64_t v, const struct unit *units, size_t n)
{
	size_t i = n - 1;

	while (i > 0 && v % units[i].factor != 0)
		i--;
	(void)snprintf(dst, NUM_TEXT, "%llu%s", (unsigned long long)(v / units[i].factor),
		       units[i].name);
}

void num_format_size(char dst[NUM_TEXT], uint64_t bytes)
{
	if (bytes == 0)
		(void)snprintf(dst, NUM_TEXT, "0");
	else
		format_exact(dst, bytes, size_units, N_OF(size_units));
}

void num_format_duration(char dst[NUM_TEXT], uint64_t usec)
{
	if (usec == 0)
		(void)snprintf(dst, NUM_TEXT, "0s");
	else
		format_exact(dst, usec, time_units, N_OF(time_units));
}

void num_format_size_short(char dst[NUM_TEXT], uint64_t bytes)
{
	size_t i = 0;
	uint64_t whole, tenths;

	while (i + 1 < N_OF(size_units) && bytes >= size_units[i + 1].factor)
		i++;
	for (;;) {
		uint64_t factor = size_units[i].factor;

		whole = bytes / factor;
		tenths = (bytes % factor * 10 + factor / 2) / factor;
		if (tenths == 10) {
			whole++;
			tenths = 0;
		}
		/* 1048575 bytes are 1MiB and not 1024KiB. */
		if (whole < 1024 || i + 1 == N_OF(size_units))
			break;
		i++;
	}
	if (bytes == 0)
		(void)snprintf(dst, NUM_TEXT, "0");
	else if (tenths)
		(void)snprintf(dst, NUM_TEXT, "%llu.%llu%s", (unsigned long long)whole,
			       (unsigned long long)tenths, size_units[i].name);
	else
		(void)snprintf(dst, NUM_TEXT, "%llu%s", (unsigned long long)whole,
			       size_units[i].name);
}
