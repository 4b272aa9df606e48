/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scalars of the JSON rows. A wrong value is answered with the right form of it where that can be
 * guessed: "2 GB" -> 2GiB.
 */
#include "base/json_value.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/num.h"

/* What all number-like kinds share: uint64_t in the struct, text with a unit in JSON. */
struct quantity {
	const char *noun;
	const char *example;
	int (*parse)(const char *s, uint64_t *ret); /* NULL = not written as text */
	void (*format)(char dst[NUM_TEXT], uint64_t v);
	const char *(*unit)(size_t i); /* NULL = no units, and no bare "0" */
	const char *suffix;	       /* behind the unit */
};

static int parse_rate(const char *s, uint64_t *ret)
{
	const char *end;
	uint64_t v;
	int r = num_scan_u64(s, &end, &v);

	if (r < 0)
		return r;
	if (strcmp(end, "/s") != 0)
		return -EINVAL;
	*ret = v;
	return 0;
}

static void format_rate(char dst[NUM_TEXT], uint64_t v)
{
	(void)snprintf(dst, NUM_TEXT, "%llu/s", (unsigned long long)v);
}

static void format_byterate(char dst[NUM_TEXT], uint64_t v)
{
	num_format_size(dst, v);
	if (v > 0)
		(void)strncat(dst, "/s", NUM_TEXT - strlen(dst) - 1);
}

static void format_bitrate(char dst[NUM_TEXT], uint64_t v)
{
	size_t i = 0;

	for (; v > 0 && v % 1000 == 0 && num_bit_unit(i + 1); i++)
		v /= 1000;
	(void)snprintf(dst, NUM_TEXT, "%llu%s", (unsigned long long)v,
		       v > 0 ? num_bit_unit(i) : "");
}

static const struct quantity quantities[JSON_KIND_MAX] = {
	[JSON_KIND_BOOL] = {.noun = "true or false", .example = "true"},
	[JSON_KIND_STRING] = {.noun = "a string"},
	[JSON_KIND_U64] = {.noun = "a whole number"},
	[JSON_KIND_I64] = {.noun = "a whole number"},
	[JSON_KIND_SIZE] = {"a size", "2GiB", num_parse_size, num_format_size, num_size_unit, ""},
	[JSON_KIND_BYTERATE] = {"a rate in bytes", "100MiB/s", num_parse_byterate, format_byterate,
				num_size_unit, "/s"},
	[JSON_KIND_BITRATE] = {"a rate in bits", "100Mbit", num_parse_bitrate, format_bitrate,
			       num_bit_unit, ""},
	[JSON_KIND_RATE] = {"a rate per second", "500/s", parse_rate, format_rate, NULL, "/s"},
	[JSON_KIND_DURATION] = {"a duration", "5s", num_parse_duration, num_format_duration,
				num_time_unit, ""},
	[JSON_KIND_MILLI] = {.noun = "a number with at most 3 decimals", .example = "0.25"},
	[JSON_KIND_ENUM] = {.noun = "one of the words"},
	[JSON_KIND_LABELS] = {.noun = "an object of strings"},
	[JSON_KIND_STRINGS] = {.noun = "a list of strings"},
	[JSON_KIND_OBJECT] = {.noun = "an object"},
	[JSON_KIND_OBJECTS] = {.noun = "a list of objects"},
	[JSON_KIND_PARTIAL] = {.noun = "an object"},
};

const char *json_kind_noun(enum json_kind kind)
{
	return (unsigned)kind < JSON_KIND_MAX ? quantities[kind].noun : "a value";
}

const char *json_row_expect(const struct json_row *row)
{
	return row->expect ? row->expect : json_kind_noun(row->kind);
}

const char *json_row_example(const struct json_row *row)
{
	return row->example ? row->example : quantities[row->kind].example;
}

bool json_row_is_quantity(const struct json_row *row)
{
	return quantities[row->kind].parse;
}

void json_row_pattern(const struct json_row *row, struct sbuf *out)
{
	const struct quantity *q = &quantities[row->kind];
	bool takes_zero = row->min == 0;

	sbuf_adds(out, takes_zero && q->unit ? "^(0|" : "^(");
	sbuf_adds(out, takes_zero ? "[0-9]+" : "0*[1-9][0-9]*");
	for (size_t i = 0; q->unit && q->unit(i); i++)
		sbuf_addf(out, "%s%s", i > 0 ? "|" : "(", q->unit(i));
	sbuf_addf(out, "%s%s)$", q->unit ? ")" : "", q->suffix);
}

size_t json_row_length_max(const struct json_row *row)
{
	/* In lists min and max count the items. */
	if (row->kind == JSON_KIND_STRING && row->max)
		return row->max;
	return row->flags & JSON_ROW_TEXT ? JSON_ROW_TEXT_MAX : JSON_ROW_STRING_MAX;
}

void json_value_text(char dst[JSON_VALUE_TEXT], const json_t *value)
{
	char shown[JSON_VALUE_TEXT - 8];
	const char *s;

	switch (json_typeof(value)) {
	case JSON_OBJECT:
		s = "{...}";
		break;
	case JSON_ARRAY:
		s = "[...]";
		break;
	case JSON_STRING:
		s = json_string_value(value);
		str_escape(shown, sizeof(shown), s);
		/* str_escape() cuts; what is longer than its result was cut. */
		(void)snprintf(dst, JSON_VALUE_TEXT,
			       strlen(shown) < strlen(s) ? "\"%s...\"" : "\"%s\"", shown);
		return;
	case JSON_INTEGER:
		(void)snprintf(dst, JSON_VALUE_TEXT, "%" JSON_INTEGER_FORMAT,
			       json_integer_value(value));
		return;
	case JSON_REAL:
		(void)snprintf(dst, JSON_VALUE_TEXT, "%.15g", json_real_value(value));
		return;
	case JSON_TRUE:
		s = "true";
		break;
	case JSON_FALSE:
		s = "false";
		break;
	case JSON_NULL:
	default:
		s = "null";
		break;
	}
	(void)str_copy(dst, JSON_VALUE_TEXT, s);
}

/* "1.5" -> 1500; *end behind the digits. */
static int scan_milli(const char *s, const char **end, uint64_t *ret)
{
	uint64_t v, scale = 1000;
	int r = num_scan_u64(s, &s, &v);

	if (r < 0 || v > UINT64_MAX / 1000 - 1)
		return -EINVAL;
	v *= 1000;
	if (*s == '.' || *s == ',')
		for (s++; isdigit((unsigned char)*s); s++) {
			scale /= 10;
			v += (uint64_t)(*s - '0') * scale;
		}
	*end = s;
	*ret = v;
	return 0;
}

/* Lower case without blanks, and without a trailing "/s", "/sec" or "ps". */
static void normal_unit(char *dst, size_t size, const char *s)
{
	static const char *const tails[] = {"/second", "/sec", "/s", "ps"};
	size_t n = 0;

	for (; *s && n + 1 < size; s++)
		if (!isspace((unsigned char)*s))
			dst[n++] = (char)tolower((unsigned char)*s);
	dst[n] = '\0';
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++)
		if (str_has_suffix(dst, tails[i]) && strcmp(dst, tails[i]) != 0) {
			dst[n - strlen(tails[i])] = '\0';
			return;
		}
}

/* "gb", "gib", "g", "gbyte", "mbit" -> power of the prefix; -1 when it is none of them. */
static int unit_power(const char *unit)
{
	static const char *const rests[] = {"", "b", "ib", "byte", "bytes", "bit", "bits", "i"};
	static const char prefixes[] = "kmgtp";
	const char *p = unit[0] ? strchr(prefixes, unit[0]) : NULL;

	for (size_t i = 0; i < sizeof(rests) / sizeof(rests[0]); i++) {
		if (p && strcmp(unit + 1, rests[i]) == 0)
			return (int)(p - prefixes) + 1;
		if (strcmp(unit, rests[i]) == 0)
			return 0;
	}
	return -1;
}

static uint64_t duration_factor(const char *unit)
{
	static const struct {
		const char *name;
		uint64_t factor;
	} units[] = {
		{"us", 1},
		{"usec", 1},
		{"ms", 1000},
		{"msec", 1000},
		{"", 1000000},
		{"s", 1000000},
		{"sec", 1000000},
		{"secs", 1000000},
		{"second", 1000000},
		{"seconds", 1000000},
		{"m", 60000000},
		{"mins", 60000000},
		{"min", 60000000},
		{"minute", 60000000},
		{"minutes", 60000000},
		{"h", 3600000000},
		{"hour", 3600000000},
		{"hours", 3600000000},
		{"d", 86400000000},
		{"day", 86400000000},
		{"days", 86400000000},
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(unit, units[i].name) == 0)
			return units[i].factor;
	return 0;
}

/* Factor of a unit as people write it; 0 = no idea. */
static uint64_t guess_factor(enum json_kind kind, const char *written)
{
	bool is_bits = kind == JSON_KIND_BITRATE;
	uint64_t factor = 1;
	char unit[16];
	int power;

	if (kind == JSON_KIND_DURATION) {
		/* No tail is cut here: "5ps" is no duration. */
		normal_unit(unit, sizeof(unit), written);
		return duration_factor(unit);
	}
	normal_unit(unit, sizeof(unit), written);
	if (kind == JSON_KIND_RATE)
		return unit[0] == '\0' || strcmp(unit, "/s") == 0 ? 1 : 0;
	power = unit_power(unit);
	if (power < 0 || (!is_bits && strstr(unit, "bit")))
		return 0;
	/* In rates of bits a capital B, an i or the word byte means bytes. */
	if (is_bits && (strchr(written, 'B') || strstr(unit, "byte") || strstr(unit, "ib")))
		factor = 8;
	for (int i = 0; i < power; i++)
		factor *= is_bits && !strstr(unit, "ib") ? 1000 : 1024;
	return factor;
}

/* The right form of a quantity that was written in another way. */
static bool guess_quantity(const struct json_row *row, const char *s, char dst[NUM_TEXT])
{
	const struct quantity *q = &quantities[row->kind];
	const char *end;
	uint64_t milli, factor, v;

	s += strspn(s, " \t");
	if (scan_milli(s, &end, &milli) < 0)
		return false;
	factor = guess_factor(row->kind, end);
	if (factor == 0 || __builtin_mul_overflow(milli, factor, &v) || v % 1000 != 0)
		return false;
	q->format(dst, v / 1000);
	return q->parse(dst, &v) == 0;
}

static bool is_yes(const char *s)
{
	return strcasecmp(s, "yes") == 0 || strcasecmp(s, "on") == 0 ||
	       strcasecmp(s, "true") == 0 || strcmp(s, "1") == 0;
}

static bool is_no(const char *s)
{
	return strcasecmp(s, "no") == 0 || strcasecmp(s, "off") == 0 ||
	       strcasecmp(s, "false") == 0 || strcmp(s, "0") == 0;
}

/* The right form of a value, as it is to be written (with quotes where 'quote' says so). */
static bool guess(const struct json_row *row, const json_t *value, char *dst, size_t size)
{
	char shown[JSON_VALUE_TEXT], quantity[NUM_TEXT];
	const char *s = json_string_value(value);
	const char *end;
	uint64_t v;

	json_value_text(shown, value);
	if (quantities[row->kind].parse) {
		if (!json_is_string(value) && !json_is_number(value))
			return false;
		if (!guess_quantity(row, s ? s : shown, quantity))
			return false;
		return str_fmt(dst, size, s ? "%s" : "\"%s\"", quantity) == 0;
	}
	if (row->kind == JSON_KIND_STRING || row->kind == JSON_KIND_STRINGS)
		return json_is_number(value) && str_fmt(dst, size, "\"%s\"", shown) == 0;
	if (row->kind == JSON_KIND_BOOL) {
		bool yes = is_yes(s ? s : shown);

		return (yes || is_no(s ? s : shown)) &&
		       str_copy(dst, size, yes ? "true" : "false") == 0;
	}
	if (row->kind == JSON_KIND_ENUM) {
		const char *near = s ? str_nearest(s, row->names) : NULL;

		for (size_t i = 0; s && !near && row->names[i]; i++)
			near = strcasecmp(s, row->names[i]) == 0 ? row->names[i] : NULL;
		return near && str_copy(dst, size, near) == 0;
	}
	if (s && scan_milli(s, &end, &v) == 0 && *end == '\0')
		return str_fmt(dst, size, "%s without quotes", s) == 0;
	return false;
}

static int wrong_enum(const struct json_row *row, const json_t *value, const char *hint,
		      const struct json_where *w)
{
	_cleanup_sbuf_ struct sbuf names = SBUF_INIT;

	for (size_t i = 0; row->names[i]; i++)
		sbuf_addf(&names, "%s\"%s\"", i > 0 ? ", " : "", row->names[i]);
	return problems_add(w, row->key, value, "is not one of %s%s%s%s", sbuf_str(&names),
			    hint[0] ? "; did you mean \"" : "", hint, hint[0] ? "\"?" : "");
}

int json_value_wrong(const struct json_row *row, const json_t *value, const char *key,
		     const struct json_where *w)
{
	const char *example = json_row_example(row);
	char right[JSON_VALUE_TEXT] = "";
	bool is_guess = guess(row, value, right, sizeof(right));

	if (row->kind == JSON_KIND_ENUM)
		return wrong_enum(row, value, right, w);
	if (json_is_null(value))
		return problems_add(w, key, value, "is not %s; leave the key out%s",
				    json_row_expect(row), row->def ? " for the default" : "");
	if (is_guess)
		return problems_add(w, key, value, "is not %s; write it as %s",
				    json_row_expect(row), right);
	if (example)
		return problems_add(w, key, value, "is not %s; write it like %s",
				    json_row_expect(row), example);
	return problems_add(w, key, value, "is not %s", json_row_expect(row));
}

void json_row_bound(const struct json_row *row, uint64_t v, char dst[NUM_TEXT])
{
	if (quantities[row->kind].format)
		quantities[row->kind].format(dst, v);
	else if (row->kind == JSON_KIND_MILLI)
		(void)snprintf(dst, NUM_TEXT, "%.10g", (double)v / 1000);
	else if (row->kind == JSON_KIND_I64)
		(void)snprintf(dst, NUM_TEXT, "%lld", (long long)v);
	else
		(void)snprintf(dst, NUM_TEXT, "%llu", (unsigned long long)v);
}

static int check_range(const struct json_row *row, bool is_negative, uint64_t v,
		       const json_t *value, const struct json_where *w)
{
	/* JSON_UNLIMITED is never a value that somebody wrote. */
	uint64_t max = row->max ? row->max : INT64_MAX;
	char bound[NUM_TEXT];

	if (is_negative || v < row->min) {
		json_row_bound(row, row->min, bound);
		return problems_add(w, row->key, value, "is too small; the smallest is %s", bound);
	}
	if (v > max) {
		json_row_bound(row, max, bound);
		return problems_add(w, row->key, value, "is too large; the largest is %s", bound);
	}
	return 0;
}

static int read_text_quantity(const struct json_row *row, const json_t *value, uint64_t *ret,
			      const struct json_where *w)
{
	const char *s = json_string_value(value);
	uint64_t v = 0;
	int r = s ? quantities[row->kind].parse(s, &v) : -EINVAL;

	if (r == -ERANGE)
		v = UINT64_MAX;
	else if (r < 0)
		return json_value_wrong(row, value, row->key, w);
	r = check_range(row, false, v, value, w);
	if (r == 0)
		*ret = v;
	return r;
}

static int read_milli(const struct json_row *row, const json_t *value, uint64_t *ret,
		      const struct json_where *w)
{
	double d = json_number_value(value) * 1000;
	bool is_negative = d < 0;
	uint64_t milli;
	double rest;
	int r;

	if (!json_is_number(value))
		return json_value_wrong(row, value, row->key, w);
	if (is_negative)
		d = -d;
	/* Below 2^53 every whole number has an exact double. */
	milli = d < 1e15 ? (uint64_t)(d + 0.5) : UINT64_MAX;
	rest = d < 1e15 ? d - (double)milli : 0;
	if (rest > 1e-6 || rest < -1e-6)
		return problems_add(w, row->key, value, "has more than 3 decimals");
	r = check_range(row, is_negative, milli, value, w);
	if (r == 0)
		*ret = milli;
	return r;
}

static int read_integer(const struct json_row *row, const json_t *value, void *field,
			const struct json_where *w)
{
	json_int_t v = json_integer_value(value);
	int64_t n = v;
	int r;

	if (!json_is_integer(value))
		return json_value_wrong(row, value, row->key, w);
	if (row->kind == JSON_KIND_I64) {
		char bound[NUM_TEXT];
		bool is_small = n < (int64_t)row->min;

		if (row->max == 0 || (!is_small && n <= (int64_t)row->max)) {
			memcpy(field, &n, sizeof(n));
			return 0;
		}
		json_row_bound(row, is_small ? row->min : row->max, bound);
		return problems_add(w, row->key, value, "is too %s; the %s is %s",
				    is_small ? "small" : "large", is_small ? "smallest" : "largest",
				    bound);
	}
	r = check_range(row, v < 0, (uint64_t)v, value, w);
	if (r == 0)
		memcpy(field, &n, sizeof(n));
	return r;
}

static int read_enum(const struct json_row *row, const json_t *value, int *ret,
		     const struct json_where *w)
{
	const char *s = json_string_value(value);

	for (int i = 0; s && row->names[i]; i++)
		if (strcmp(s, row->names[i]) == 0) {
			*ret = i;
			return 0;
		}
	return json_value_wrong(row, value, row->key, w);
}

int json_number_read(const struct json_row *row, const json_t *value, void *field,
		     const struct json_where *w)
{
	if (quantities[row->kind].parse)
		return read_text_quantity(row, value, field, w);
	if (row->kind == JSON_KIND_MILLI)
		return read_milli(row, value, field, w);
	if (row->kind == JSON_KIND_ENUM)
		return read_enum(row, value, field, w);
	if (row->kind != JSON_KIND_BOOL)
		return read_integer(row, value, field, w);
	if (!json_is_boolean(value))
		return json_value_wrong(row, value, row->key, w);
	*(bool *)field = json_is_true(value);
	return 0;
}

/* Newline and tab are fine in texts, every other control character is not. */
static bool is_clean_text(const char *s)
{
	char line[256];

	while (*s) {
		size_t n = strcspn(s, "\n\t");
		size_t part = n < sizeof(line) - 1 ? n : sizeof(line) - 1;

		/* Never cut inside a character: its continuation bytes are 10xxxxxx. */
		while (part < n && part > 1 && ((unsigned char)s[part] & 0xc0) == 0x80)
			part--;
		memcpy(line, s, part);
		line[part] = '\0';
		if (!str_is_clean_utf8(line))
			return false;
		s += part;
		s += strspn(s, "\n\t");
	}
	return true;
}

int json_string_check(const struct json_row *row, const json_t *value, const char *key,
		      const struct json_where *w)
{
	const char *s = json_string_value(value);
	bool is_text = row->flags & JSON_ROW_TEXT;
	size_t max = json_row_length_max(row);

	if (!s)
		return json_value_wrong(row, value, key, w);
	if (*s == '\0')
		return problems_add(w, key, value, "is empty; expected %s", json_row_expect(row));
	if (strlen(s) > max)
		return problems_add(w, key, value, "is too long: %zu bytes, at most %zu", strlen(s),
				    max);
	if (!(is_text ? is_clean_text(s) : str_is_clean_utf8(s)))
		return problems_add(w, key, value, "contains control characters");
	if (row->is_valid && !row->is_valid(s))
		return json_value_wrong(row, value, key, w);
	return 0;
}

json_t *json_number_write(const struct json_row *row, const void *field)
{
	char text[NUM_TEXT];
	uint64_t v;
	int name;

	if (row->kind == JSON_KIND_BOOL)
		return json_boolean(*(const bool *)field);
	if (row->kind == JSON_KIND_ENUM) {
		memcpy(&name, field, sizeof(name));
		return json_string(row->names[name]);
	}
	memcpy(&v, field, sizeof(v));
	if (quantities[row->kind].format) {
		quantities[row->kind].format(text, v);
		return json_string(text);
	}
	if (row->kind == JSON_KIND_MILLI && v % 1000 != 0)
		return json_real((double)v / 1000);
	if (row->kind == JSON_KIND_MILLI)
		v /= 1000;
	return json_integer((json_int_t)v);
}
