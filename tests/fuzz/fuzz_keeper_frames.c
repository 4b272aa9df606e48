/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target for what the keeper reads from customers: first byte = which types are allowed,
 * second = how the rest is cut. However a stream is cut, the same bytes and requests come out of
 * it.
 *
 * clang -g -O1 -std=gnu17 -D_GNU_SOURCE -I. -fsanitize=fuzzer,address,undefined
 * tests/fuzz/fuzz_keeper_frames.c runtime/keeper/frame.c base/err.c base/str.c base/cleanup.c
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/keeper/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct digest {
	uint64_t sum; /* over bytes of stdin and over requests, in their order; pieces do not count
		       */
	int end;
};

static void mix(struct digest *d, uint64_t v)
{
	d->sum = (d->sum ^ v) * 1099511628211u;
}

static void take(struct digest *d, unsigned allowed, const struct frame_piece *f)
{
	if (!(allowed & FRAME_BIT(f->type)))
		abort();
	if (f->type == FRAME_STDIN) {
		for (size_t i = 0; i < f->len; i++)
			mix(d, f->data[i]);
		if (f->len == 0)
			mix(d, 256);
	} else if (f->type == FRAME_SIGNAL) {
		if (f->signo < 1 || f->signo > 64)
			abort();
		mix(d, 512 + f->signo);
	} else if (f->type == FRAME_WINSIZE) {
		mix(d, 1024 + ((uint64_t)f->rows << 16 | f->cols));
	} else {
		abort();
	}
}

static struct digest read_all(const uint8_t *data, size_t size, unsigned allowed, size_t piece)
{
	struct frame_parser parser = {0};
	struct digest d = {.sum = 14695981039346656037u};
	for (size_t at = 0; d.end == 0 && at < size;) {
		size_t n = piece && piece < size - at ? piece : size - at;
		const uint8_t *p = data + at;
		struct frame_piece f;
		at += n;
		while ((d.end = frame_next(&parser, allowed, &p, &n, &f, NULL)) > 0)
			take(&d, allowed, &f);
		if (d.end == 0 && n > 0)
			abort(); /* all bytes are used up */
	}
	return d;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	const unsigned allowed = (unsigned)data[0] << 1;
	const struct digest a = read_all(data + 2, size - 2, allowed, 0),
			    b = read_all(data + 2, size - 2, allowed, 1u + data[1] % 64u);
	if (a.sum != b.sum || a.end != b.end)
		abort();
	return 0;
}
