/* SPDX-License-Identifier: Apache-2.0 */
/* The content of a guest's /dev. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct sbx_launch;

/* One device node. */
struct sbx_device {
	const char *path; /* below /dev */
	unsigned major, minor;
	mode_t mode;
	unsigned features; /* needs all of enum sbx_features; 0 = always */
	gid_t group;	   /* inside */
};

extern const struct sbx_device sbx_devices[];
extern const unsigned sbx_devices_count;

/* Whether the path (below /dev) is that of something in every guest's /dev, or leads into it. */
bool sbx_device_is_taken(const char *path);

/* Fills an empty tmpfs, given by the fd of its mount, with nodes, links and mount points. The
 * caller's file system ids own everything, its umask must be 0. */
int sbx_devices_make(int dev, const struct sbx_launch *l, struct err *err);
