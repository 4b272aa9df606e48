/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests end because the host goes down, or because nobody knows them any more. That is not a stop:
 * what is wanted of each instance stays as it is, and those that should run are started after the
 * next boot. So it is done without the daemon, which would record a guest's poweroff as its owner's
 * wish: by another run of the program, which holds the daemon's locks. It asks nobody who the
 * guests are, neither database nor keeper, which may be lost: they are what lives in the cgroups.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "cgroups/tree.h"

struct host_down {
	const struct cg_root *roots; /* of all guests; locked by the caller */
	size_t n_roots;
	const char *const *ids; /* of the guests that are meant; n_ids 0 = all */
	size_t n_ids;
	uint64_t stop_timeout; /* usec */
};

/* Signals each guest's init to shut down, waits for the stop_timeout, kills the rest. Success when
 * nothing of them lives. -ENOENT, with nothing done: an id whose guest does not run. -ETIMEDOUT:
 * what lives on is named, by its cgroup. */
int inst_host_down(const struct host_down *h, struct err *err);
