/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk under a file system, as the io controller names it: limits of input and output are keyed
 * by a whole disk, never by a partition, and weights count only where something heeds them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define CG_DISK_SYSFS "/sys/dev/block"
#define CG_DISK_WEIGHT_MAX 10000u    /* of io.weight */
#define CG_DISK_WEIGHT_MAX_BFQ 1000u /* of io.bfq.weight */

struct cg_disk {
	unsigned major, minor;	 /* of the whole disk; 0:0 = none */
	char name[32];		 /* "vda", for people */
	char why_not[160];	 /* why there is none; "" otherwise */
	const char *weight_file; /* "io.bfq.weight", "io.weight": what is heeded; NULL = nothing */
	unsigned weight_max; /* that file's largest: of more so much is held; 0 = there is none */
	char why_no_weight[160]; /* why nothing is heeded; "" otherwise */
};

/* Finds the disk under the file system of fd: a partition's whole disk; a device of the device
 * mapper or a loop device stands for itself. Whether weights are heeded is looked up anew with each
 * call: the scheduler of a disk and io.cost change at the operator's will. 'sysfs' is
 * CG_DISK_SYSFS or a directory like it, 'cgroup_mount' the top of cgroup2, where alone io.cost.qos
 * stands. Never fails: what is missing is said in *ret. */
void cg_disk_find(int fd, const char *sysfs, const char *cgroup_mount, struct cg_disk *ret);
/* The same for a device number. 'fs' names the file system in reasons; NULL = unknown. */
void cg_disk_find_dev(unsigned major, unsigned minor, const char *fs, const char *sysfs,
		      const char *cgroup_mount, struct cg_disk *ret);

/* The value of a key in the line of a disk, in a file like io.max ("254:0 rbps=1048576 wbps=max").
 * -ENOENT where the disk has no line or the line no such key, -ERANGE when it does not fit. */
int cg_disk_value(const struct cg_disk *d, const char *text, const char *key, char *dst,
		  size_t size);
