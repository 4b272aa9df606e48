/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mount namespace with almost no mounts. A launch copies its caller's mount namespace, so the
 * cost of each launch is the number of mounts here; and no path of the host can be reached by
 * mistake.
 */
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "runtime/sandbox/mounts.h"
#include "runtime/sandbox/rootfs.h"
#include "runtime/sandbox/sandbox.h"

/* Mount points of a launch (names below "/"). */
static int make_directories(int root, struct err *err)
{
	static const char *const names[] = {"/proc", SBX_AT_ROOT, SBX_AT_UPPER, SBX_AT_MASKS,
					    SBX_AT_VIEWS};
	char layer[16];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (mkdirat(root, names[i] + 1, 0700) < 0)
			return err_sys(err, "cannot create '%s'", names[i]);
	for (unsigned i = 0; i < SBX_LAYERS_MAX; i++) {
		(void)str_fmt(layer, sizeof(layer), SBX_AT_LAYER, i);
		if (mkdirat(root, layer + 1, 0700) < 0)
			return err_sys(err, "cannot create '%s'", layer);
	}
	return 0;
}

int sbx_enter_small_root(struct err *err)
{
	static const struct sbx_mount_option options[] = {
		{"source", "none"},  {"mode", "0700"}, {"size", "64k"},
		{"nr_inodes", "64"}, {NULL, NULL},
	};
	const uint64_t attrs = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	_cleanup_close_ int root = -1, proc = -1;
	int r = sbx_mount_unshare(err);

	if (r < 0)
		return r;
	root = sbx_mount_new("tmpfs", options, attrs, err);
	if (root < 0)
		return root;
	r = make_directories(root, err);
	if (r < 0)
		return r;
	proc = sbx_mount_new("proc", NULL, attrs, err);
	if (proc < 0)
		return proc;
	r = sbx_mount_set(root, MOUNT_ATTR_RDONLY, -1, err);
	/* Anywhere will do: the place goes with the old root. */
	if (r >= 0)
		r = sbx_mount_attach(root, -1, "/", err);
	if (r >= 0)
		r = sbx_mount_attach(proc, root, "proc", err);
	if (r >= 0)
		r = sbx_mount_pivot(root, err);
	return r < 0 ? err_ctx(err, "entering a small root") : 0;
}
