/* SPDX-License-Identifier: Apache-2.0 */
/* What makes an instance one of its own: host name, machine id, ssh host keys. */
#pragma once

#include "base/err.h"
#include "images/manifest.h"

struct identity {
	int lower;	      /* root directory of the image, O_PATH */
	int upper;	      /* upper directory, of nobody else while this runs */
	int scratch;	      /* private directory of ours for key generation */
	const char *hostname; /* valid */
};

/* Texts for the result; only 'warnings' of it is used. */
struct identity_warnings {
	struct img_manifest list;
};

/* Writes everything into upper. What stands in the way in the image is left out with a warning. */
int identity_write(const struct identity *in, struct identity_warnings *warnings, struct err *err);
/* Changes the host name of an instance that has been used: 'upper' is the guest's. */
int identity_rename(int upper, const char *hostname, struct identity_warnings *warnings,
		    struct err *err);
