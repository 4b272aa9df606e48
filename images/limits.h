/* SPDX-License-Identifier: Apache-2.0 */
/* What an archive may cost. libarchive has no limits of its own. */
#pragma once

#include <stdint.h>

#include "base/err.h"

struct img_limits {
	uint64_t bytes;	      /* file content of the whole image */
	uint64_t entries;     /* entries read, skipped ones as well */
	uint64_t file_bytes;  /* apparent size of one file, holes included */
	uint64_t xattr_entry; /* bytes of names and values, of one entry */
	uint64_t xattr_total; /* of the whole image */
	uint64_t ratio;	      /* unpacked stream : archive, looked at beyond IMG_RATIO_FREE bytes */
	unsigned depth;	      /* directories above an entry, itself included */
};

#define IMG_RATIO_FREE (64ull << 20)
/* A full desktop has 300,000 entries; Debian's archives shrink to a fifth, zeros by gzip to 1/1030.
 */
#define IMG_LIMITS_DEFAULT                                                                         \
	((struct img_limits){                                                                      \
		.bytes = 32ull << 30,                                                              \
		.entries = 500000,                                                                 \
		.file_bytes = 32ull << 30,                                                         \
		.xattr_entry = 64ull << 10,                                                        \
		.xattr_total = 64ull << 20,                                                        \
		.ratio = 200,                                                                      \
		.depth = 128,                                                                      \
	})

struct img_usage {
	uint64_t bytes;
	uint64_t entries;
	uint64_t xattr_bytes;
	uint64_t stream; /* bytes of the unpacked stream: headers, padding, skipped content as well
			  */
};

/* Each adds to the usage, or returns -EOVERFLOW with the limit in the text and adds nothing. */
int img_usage_entry(struct img_usage *u, const struct img_limits *l, struct err *err);
int img_usage_data(struct img_usage *u, const struct img_limits *l, uint64_t n, struct err *err);
int img_usage_xattrs(struct img_usage *u, const struct img_limits *l, uint64_t n, struct err *err);
/* n more bytes came out of the decompressor after 'archive' bytes had gone in. */
int img_usage_stream(struct img_usage *u, const struct img_limits *l, uint64_t n, uint64_t archive,
		     struct err *err);
/* Apparent size of one file. */
int img_limits_file(const struct img_limits *l, int64_t size, struct err *err);
