/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers and quantities: the one place where text becomes a number and back.
 * Every parser takes the whole string or fails (-EINVAL malformed, -ERANGE outside) and leaves
 * *ret untouched on failure. Quantities are unsigned integers in the unit that the name says.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

int num_parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
int num_parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret);
/* Base 10 digits at the start of s up to a delimiter; *end is set behind them. For kernel text. */
int num_scan_u64(const char *s, const char **end, uint64_t *ret);
/* "512MiB", "1GiB", "4096" is not a size, "0" is; units B KiB MiB GiB TiB PiB, fractions not. */
int num_parse_size(const char *s, uint64_t *ret_bytes);
/* "100MiB/s". */
int num_parse_byterate(const char *s, uint64_t *ret_bytes_per_s);
/* "100Mbit", units bit kbit Mbit Gbit, decimal. */
int num_parse_bitrate(const char *s, uint64_t *ret_bits_per_s);
/* "20ms", "5s", "500us", "2min", "1h". */
int num_parse_duration(const char *s, uint64_t *ret_usec);
/* Names of the units that the parsers above take, smallest first; NULL behind the last. */
const char *num_size_unit(size_t i);
const char *num_bit_unit(size_t i);
const char *num_time_unit(size_t i);
/* Shortest exact text: 536870912 -> "512MiB". dst of NUM_TEXT bytes is always enough. */
#define NUM_TEXT 32
void num_format_size(char dst[NUM_TEXT], uint64_t bytes);
/* Rounded for people: "1.5GiB". */
void num_format_size_short(char dst[NUM_TEXT], uint64_t bytes);
void num_format_duration(char dst[NUM_TEXT], uint64_t usec);
