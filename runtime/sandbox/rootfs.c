/* SPDX-License-Identifier: Apache-2.0 */
/* The root file system of a guest: see rootfs.h. */
#include "runtime/sandbox/rootfs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "runtime/sandbox/mounts.h"

/* fsconfig(2) takes at most 255 bytes of a value; 32 times "/l31:" fits. */
#define LOWER_TEXT 256

/* Attaches the layers at neutral paths: the kernel shows these strings in the guest's mountinfo for
 * ever, and Linux 6.1 takes no detached mounts as layers. */
static int attach_layers(const struct sbx_launch *l, int userns, char lower[LOWER_TEXT],
			 struct err *err)
{
	size_t len = 0;
	int r;

	for (unsigned i = 0; i < l->n_layers; i++) {
		char path[16];

		(void)str_fmt(path, sizeof(path), SBX_AT_LAYER, i);
		r = sbx_mount_set(l->layers[i], MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, userns, err);
		if (r >= 0)
			r = sbx_mount_attach(l->layers[i], AT_FDCWD, path, err);
		if (r < 0)
			return err_ctx(err, "image layer %u", i);
		r = str_fmt(lower + len, LOWER_TEXT - len, "%s%s", i ? ":" : "", path);
		if (r < 0)
			return err_set(err, -r, "too many image layers");
		len += strlen(lower + len);
	}
	return 0;
}

static int mount_overlay(const struct sbx_launch *l, int userns, struct err *err)
{
	char lower[LOWER_TEXT] = "";
	const struct sbx_mount_option options[] = {
		{"source", "root"},
		{"lowerdir", lower},
		{"upperdir", SBX_AT_UPPER "/upper"},
		{"workdir", SBX_AT_UPPER "/work"},
		/* Layers come from archives: their bytes decide nothing but file content. */
		{"redirect_dir", "nofollow"},
		{"metacopy", "off"},
		{NULL, NULL},
	};
	int r = attach_layers(l, userns, lower, err);

	if (r < 0)
		return r;
	r = sbx_mount_set(l->upper, MOUNT_ATTR_NODEV, userns, err);
	if (r >= 0)
		r = sbx_mount_attach(l->upper, AT_FDCWD, SBX_AT_UPPER, err);
	if (r < 0)
		return err_ctx(err, "writable layer");
	/* The overlay clones the layers' mounts for itself; the attached ones go with the old root.
	 */
	return sbx_mount_new("overlay", options, MOUNT_ATTR_NODEV, err);
}

static int plain(const struct sbx_launch *l, int userns, struct err *err)
{
	int r = sbx_mount_set(l->rootfs_plain, MOUNT_ATTR_NODEV, userns, err);

	if (r < 0)
		return r;
	int fd = fcntl(l->rootfs_plain, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? err_sys(err, "cannot duplicate a file descriptor") : fd;
}

int sbx_rootfs_mount(const struct sbx_launch *l, int userns, struct err *err)
{
	_cleanup_close_ int root =
		l->rootfs_plain >= 0 ? plain(l, userns, err) : mount_overlay(l, userns, err);

	if (root < 0)
		return root;
	int r = sbx_mount_attach(root, AT_FDCWD, SBX_AT_ROOT, err);
	return r < 0 ? r : take_fd(&root);
}
