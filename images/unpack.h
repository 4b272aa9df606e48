/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacks a root filesystem archive into "/". To be called only in a process whose root directory
 * is the target and that may do nothing else (runtime/jobs/jail.h): symbolic links of the archive
 * are followed inside. Needs libarchive; not for vpsd.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "images/limits.h"
#include "images/os_release.h"

struct img_unpack {
	int fd; /* the archive: read to its end */
	struct img_limits limits;
	bool allow_no_init;
};

/* What was skipped or dropped, one counter each; IMG_DROPPED_NAMES has the words. */
enum img_dropped {
	IMG_DROPPED_DEVICES,
	IMG_DROPPED_XATTRS,
	IMG_DROPPED_DETAILS,
	IMG_DROPPED_MAX,
};

struct img_unpacked {
	char format[16];
	struct img_usage usage;
	uint64_t dropped[IMG_DROPPED_MAX];
	struct img_os os;
};

/* "device nodes" ... for messages: "8 device nodes were skipped". */
const char *img_dropped_text(enum img_dropped what);

/*
 * Loads what libarchive would load later: character set conversion opens files of the C library on
 * first use, and after the chroot those would be the archive's own. Also sets LC_CTYPE, by which
 * names stay the bytes that they are. Call before entering the jail.
 */
void img_unpack_preload(void);

/*
 * 0, or -EBADMSG (damaged, truncated, trailing bytes, not a tar), -EXDEV (".."), -EOVERFLOW (a
 * limit), -ENOEXEC (no init inside), or the errno of a failed write. The target is then incomplete.
 */
int img_unpack_run(const struct img_unpack *in, struct img_unpacked *ret, struct err *err);
