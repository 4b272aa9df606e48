/* SPDX-License-Identifier: Apache-2.0 */
/* From archive bytes to an image in the store: hash, jail, manifest, one rename. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "images/limits.h"
#include "images/manifest.h"
#include "images/store.h"

struct import {
	struct img_store *store;
	int fd;			   /* the archive, read to its end */
	uint64_t size;		   /* bytes to come, 0 = not known; for progress */
	uint32_t range_base;	   /* 65536 host ids of nobody */
	const char *expect_digest; /* NULL = any */
	struct img_limits limits;
	bool allow_no_init;
};

/* *ret_existed: the store had that digest already, and the manifest is the one it has. Whatever
 * goes wrong, the store is as before. */
int import_run(const struct import *in, struct img_manifest *ret, bool *ret_existed,
	       struct err *err);
