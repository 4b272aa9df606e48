/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPUs that are taken out of the shared pool: <root> and <root>/dedicated are cpuset partitions.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cgroups/cpuset.h"
#include "cgroups/dirs.h"
#include "cgroups/tree.h"
#include "cgroups/zero.h"

const char *cg_dedicated_why_not(const struct cg_root *r)
{
	const char *below = r->path + strlen(r->host.mount) + 1;

	if (!cg_root_has(r, "cpuset"))
		return "the host has no cpuset controller";
	if (strchr(below, '/'))
		return "the root of all instances does not lie at the top of the cgroup tree";
	return faccessat(r->fd, "cpuset.cpus.partition", F_OK, 0) == 0
		       ? NULL
		       : "the kernel has no cpuset partitions";
}

/* Bottom up, as no partition may have another below it that it does not hold. */
static int dissolve(struct cg_root *r, const cpu_set_t *machine, struct err *err)
{
	_cleanup_close_ int place = cg_place_open(r, CG_DEDICATED, err);
	int k;

	if (place == -ENOENT)
		cg_err_clear(err);
	else if (place < 0)
		return place;
	k = place < 0 ? 0 : cg_partition_clear(place, machine, err);
	if (k == 0)
		k = cg_partition_clear(r->fd, machine, err);
	/* Not while directories of instances are left in it. */
	if (k == 0 && place >= 0)
		(void)unlinkat(r->fd, CG_DEDICATED, AT_REMOVEDIR);
	return k;
}

bool cg_dedicated_get(const struct cg_root *r, cpu_set_t *ret)
{
	_cleanup_close_ int place = cg_place_open(r, CG_DEDICATED, NULL);
	bool has_place = place >= 0 && cg_partition_is(place);

	CPU_ZERO(ret);
	if (has_place && cg_cpus_get(place, ret, NULL) < 0)
		return false;
	/* Both or none: else an earlier daemon ended half-way. */
	return (place >= 0) == has_place && has_place == cg_partition_is(r->fd);
}

int cg_dedicated_set(struct cg_root *r, const cpu_set_t *machine, const cpu_set_t *all,
		     const cpu_set_t *dedicated, struct err *err)
{
	_cleanup_close_ int place = -1;
	int k;

	if (CPU_COUNT(dedicated) == 0)
		return dissolve(r, machine, err);
	place = cg_place_make(r, CG_DEDICATED, err);
	if (place < 0)
		return place;
	k = cg_controllers_enable(place, CG_FOR_GUESTS, err);
	if (k == 0)
		k = cg_zero_controllers(place, err);
	if (k == 0)
		k = cg_partition_set(r->fd, all, err);
	return k < 0 ? k : cg_partition_set(place, dedicated, err);
}
