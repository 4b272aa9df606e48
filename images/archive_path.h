/* SPDX-License-Identifier: Apache-2.0 */
/* Names of archive entries, brought into the one form in which they may be used. */
#pragma once

#include <stddef.h>

#include "base/err.h"

#define IMG_PATH_MAX 4096 /* bytes of a name with its NUL: PATH_MAX */

/*
 * Normalises the name of an entry, or the target of a hard link, to a relative path without empty
 * and "." components: leading slashes go (a name always means a place inside the image), "./a//b/"
 * becomes "a/b", the root becomes ".". -EXDEV for a ".." component, -EBADMSG for an empty name,
 * -EOVERFLOW for more than max_depth components or too long a name.
 */
int img_archive_path(const char *name, unsigned max_depth, char ret[IMG_PATH_MAX], struct err *err);
