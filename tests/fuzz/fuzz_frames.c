/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target for the client's frame reader: first byte = how the rest is cut. However a
 * stream is cut, the same frames come out of it, and the same end.
 *
 * clang -g -O1 -std=gnu17 -D_GNU_SOURCE -I. -fsanitize=fuzzer,address,undefined
 * tests/fuzz/fuzz_frames.c cli/frame.c base/err.c base/str.c base/cleanup.c
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Frames of a stream as one number; *ret_end = 0, or the error that ended it. */
static uint64_t read_all(const uint8_t *data, size_t size, size_t piece, int *ret_end)
{
	struct frame_reader r = {0};
	struct frame f;
	uint64_t sum = 14695981039346656037u;
	int n = 0;
	for (size_t at = 0; n == 0 && at < size;) {
		size_t take = piece && piece < size - at ? piece : size - at;
		if (frame_reader_add(&r, data + at, take, NULL) < 0)
			abort();
		at += take;
		while ((n = frame_reader_next(&r, &f, NULL)) > 0) {
			if (f.type == 0 || f.len > KEEPER_FRAME_MAX)
				abort();
			sum = (sum ^ f.type ^ f.len << 8) * 1099511628211u;
			for (size_t i = 0; i < f.len; i++)
				sum = (sum ^ f.payload[i]) * 1099511628211u;
		}
	}
	frame_reader_done(&r);
	*ret_end = n;
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int whole = 0, cut = 0;
	if (size == 0)
		return 0;
	uint64_t a = read_all(data + 1, size - 1, 0, &whole);
	uint64_t b = read_all(data + 1, size - 1, 1u + data[0] % 64u, &cut);
	if (a != b || whole != cut)
		abort();
	return 0;
}
