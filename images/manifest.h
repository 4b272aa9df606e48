/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manifest of an image (image.json beside its tree): what it was made from and what is in it.
 * Written once by the import job, read by everybody; its bytes are still checked like foreign ones.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "images/os_release.h"

#define IMG_DIGEST_TEXT 65 /* 64 lower-case hex digits and a NUL */
#define IMG_WARNINGS_MAX 8
#define IMG_WARNING_TEXT 160
#define IMG_MANIFEST_MAX (64u * 1024) /* bytes of image.json */

struct img_manifest {
	char digest[IMG_DIGEST_TEXT]; /* SHA-256 of the archive file's bytes */
	char format[16];	      /* "tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst" */
	uint64_t created;	      /* seconds since the epoch: the import */
	uint64_t archive_bytes;	      /* size of the archive file */
	uint64_t size_bytes;	      /* file content unpacked, holes not counted */
	uint64_t entries;	      /* files, directories, links ... unpacked */
	struct img_os os;	      /* from /etc/os-release; empty strings where unknown */
	size_t n_warnings;
	char warnings[IMG_WARNINGS_MAX][IMG_WARNING_TEXT]; /* one line each, clean UTF-8 */
};

/* Parses image.json; every field is checked, unknown keys are refused. -EBADMSG with the reason. */
int img_manifest_parse(const char *text, size_t len, struct img_manifest *ret, struct err *err);
/* Prints it: one JSON object on one line and a newline, keys in fixed order; heap, free(3). */
int img_manifest_print(const struct img_manifest *m, char **ret, struct err *err);
/* The same as a new JSON object (jansson's json_t) to build on; NULL when memory is short. */
struct json_t *img_manifest_json(const struct img_manifest *m);
/* Adds a warning (formatted, cleaned, cut); dropped silently when there are IMG_WARNINGS_MAX. */
void img_manifest_warn(struct img_manifest *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
