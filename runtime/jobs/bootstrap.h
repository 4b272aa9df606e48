/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the root filesystem archive of a release with mmdebstrap. */
#pragma once

#include "base/err.h"
#include "runtime/jobs/release.h"

/*
 * Makes NAME.tar in the directory dirfd (a file of that name stays as it is: a cache), with a lock
 * against others who do the same, and returns it opened for reading. mirror NULL: the one of the
 * host's apt sources, else mmdebstrap's own.
 */
int bootstrap_archive(const struct release *rel, const char *mirror, int dirfd, struct err *err);
