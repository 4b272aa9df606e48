/* SPDX-License-Identifier: Apache-2.0 */
/* The releases that "build" knows, and where their packages come from. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct release {
	const char *name;  /* "debian-12" */
	const char *suite; /* "bookworm" */
	long long epoch;   /* SOURCE_DATE_EPOCH: the day of the release */
};

/* By name; -EINVAL lists the known ones. */
int release_find(const char *name, const struct release **ret, struct err *err);
/* Row i, NULL behind the last. */
const struct release *release_at(size_t i);

/*
 * Finds in one apt source text (one-line or deb822 format) the first address whose path ends in
 * "/<what>", such as "debian" or "debian-security", that is_mirror_url() accepts. False: none.
 */
bool release_mirror_in(const char *text, const char *what, char *ret, size_t size);
/* http or https, of plain URL characters, shorter than 256. */
bool release_is_mirror(const char *url);
