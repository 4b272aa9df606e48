/* SPDX-License-Identifier: Apache-2.0 */
/* What a launch is when nobody says anything else. */
#include <string.h>

#include "runtime/sandbox/caps.h"
#include "runtime/sandbox/sandbox.h"

#define MIB (UINT64_C(1) << 20)

/* One row per resource; a test checks that none is missing. */
static const struct {
	unsigned resource;
	rlim_t soft, hard;
} limits[] = {
	{RLIMIT_CPU, RLIM_INFINITY, RLIM_INFINITY},
	{RLIMIT_FSIZE, RLIM_INFINITY, RLIM_INFINITY},
	{RLIMIT_DATA, RLIM_INFINITY, RLIM_INFINITY},
	{RLIMIT_STACK, 8 * MIB, RLIM_INFINITY},
	/* No core files unless the guest asks for them, which its quota then pays. */
	{RLIMIT_CORE, 0, RLIM_INFINITY},
	{RLIMIT_RSS, RLIM_INFINITY, RLIM_INFINITY},
	{RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY}, /* pids.max holds it */
	{RLIMIT_NOFILE, 1024, 524288},		      /* as systemd on a machine of its own */
	{RLIMIT_MEMLOCK, 8 * MIB, 8 * MIB},
	{RLIMIT_AS, RLIM_INFINITY, RLIM_INFINITY},
	{RLIMIT_LOCKS, RLIM_INFINITY, RLIM_INFINITY},
	{RLIMIT_SIGPENDING, 65536, 65536}, /* kernel memory: counted by user */
	{RLIMIT_MSGQUEUE, 819200, 819200}, /* the kernel's default */
	{RLIMIT_NICE, 0, 0},
	{RLIMIT_RTPRIO, 0, 0}, /* realtime in a guest would starve the others */
	{RLIMIT_RTTIME, RLIM_INFINITY, RLIM_INFINITY},
};

_Static_assert(sizeof(limits) / sizeof(limits[0]) == RLIM_NLIMITS, "a resource has no limit");

void sbx_launch_init(struct sbx_launch *l)
{
	static char *const no_words[] = {NULL};

	memset(l, 0, sizeof(*l));
	l->argv = no_words;
	l->envp = no_words;
	l->capabilities = sbx_caps_default();
	l->mem_limit = UINT64_MAX;
	l->cgroup = -1;
	l->upper = -1;
	for (unsigned i = 0; i < SBX_LAYERS_MAX; i++)
		l->layers[i] = -1;
	l->views = -1;
	l->gate = -1;
	l->seccomp = -1;
	l->rootfs_plain = -1;
	for (unsigned i = 0; i < RLIM_NLIMITS; i++)
		l->rlimits[limits[i].resource] = (struct rlimit){limits[i].soft, limits[i].hard};
}
