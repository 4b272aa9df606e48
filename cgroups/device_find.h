/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of the host for guests: which node a name is, and whether what is behind it may be given
 * away. The name of a node says nothing: what counts is its number, and the driver that the kernel
 * has for it. (config/device.h refuses names that give the host away on any machine, when a plan is
 * written; here the machine itself is asked, when a guest is to get one.)
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* One character device. */
struct cg_device {
	uint32_t major, minor;
	mode_t mode; /* permissions of the host's node, 0666 at most */
};

/* What the kernel says of its devices: the texts of /proc/devices, /proc/misc, /proc/consoles. */
struct cg_device_lists {
	char *devices, *misc, *consoles;
};

/* Reads them; on failure they are empty. The caller's: cg_device_lists_done(). */
int cg_device_lists_read(struct cg_device_lists *ret, struct err *err);
void cg_device_lists_done(struct cg_device_lists *l);

/* Looks up 'name' below 'dev', a dirfd of the host's /dev; the device is not opened. -ENOENT: there
 * is none; -ENOTSUP: it is no character device, or a symlink; -EPERM: it gives the host away. The
 * text begins with the path below /dev. */
int cg_device_find(int dev, const struct cg_device_lists *lists, const char *name,
		   struct cg_device *ret, struct err *err);

/* Why no guest gets this character device; NULL = it may. 'devices' and 'misc' are the texts of
 * /proc/devices and /proc/misc. Pure. */
const char *cg_device_why_not(const char *devices, const char *misc, uint32_t major,
			      uint32_t minor);

/* Whether the kernel has it for a console: 'consoles' is the text of /proc/consoles. Pure. */
bool cg_device_is_console(const char *consoles, uint32_t major, uint32_t minor);
