/* SPDX-License-Identifier: Apache-2.0 */
/* The mount API: see mounts.h. */
#include "runtime/sandbox/mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* What the errno of a mount call means; strerror(3) would mislead. NULL = strerror is right. */
static const char *explain(int code)
{
	switch (code) {
	case ENOSPC:
		return "the mount namespace is full (sysctl fs.mount-max)";
	case ENODEV:
		return "the kernel does not have this file system (is its module loaded?)";
	case ENOSYS:
		return "the kernel is too old for the mount API (Linux 5.12 and later have it)";
	case ELOOP:
		return "a symbolic link or too many nested mounts are in the way";
	case ENOTDIR:
		return "a file is in the place of a directory, or the other way round";
	default:
		return NULL;
	}
}

static int mount_err(struct err *err, int code, const char *doing, const char *subject)
{
	const char *why = explain(code);

	return err_set(err, code, "cannot %s '%s': %s", doing, subject, why ? why : strerror(code));
}

/* As mount_err(), with the kernel's own words, which a file system context keeps for reading. */
static int context_err(struct err *err, int context, int code, const char *doing, const char *type)
{
	char text[256];
	ssize_t n = read(context, text, sizeof(text) - 1);

	/* A message is "e TEXT", "w TEXT" or "i TEXT". */
	if (n <= 2)
		return mount_err(err, code, doing, type);
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return err_set(err, code, "cannot %s '%s': %s (%s)", doing, type, strerror(code), text + 2);
}

int sbx_mount_new(const char *type, const struct sbx_mount_option *options, uint64_t attrs,
		  struct err *err)
{
	_cleanup_close_ int context = fsopen(type, FSOPEN_CLOEXEC);

	if (context < 0)
		return mount_err(err, errno, "open file system", type);
	for (; options && options->key; options++) {
		unsigned cmd = options->value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;

		if (fsconfig(context, cmd, options->key, options->value, 0) < 0) {
			(void)context_err(err, context, errno, "set an option of", type);
			return err_ctx(err, "option '%s'", options->key);
		}
	}
	if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return context_err(err, context, errno, "create file system", type);
	int mnt = fsmount(context, FSMOUNT_CLOEXEC, (unsigned)attrs);
	if (mnt < 0)
		return context_err(err, context, errno, "mount file system", type);
	return mnt;
}

int sbx_mount_clone(int dirfd, const char *path, struct err *err)
{
	int mnt = open_tree(dirfd, path,
			    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW |
				    (path[0] == '\0' ? AT_EMPTY_PATH : 0));

	return mnt < 0 ? mount_err(err, errno, "clone the mount of", path) : mnt;
}

int sbx_mount_set(int mnt, uint64_t attrs, int userns, struct err *err)
{
	/* A clone of a shared mount is its peer, and as a root it would take the guest's mounts to
	 * the host. */
	struct mount_attr attr = {.attr_set = attrs, .propagation = MS_PRIVATE};

	if (userns >= 0) {
		attr.attr_set |= MOUNT_ATTR_IDMAP;
		attr.userns_fd = (uint64_t)userns;
	}
	if (mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) == 0)
		return 0;
	if (userns >= 0 && errno == EINVAL)
		return err_set(err, EINVAL,
			       "cannot map the ids of a mount: its file system does not support "
			       "idmapped mounts, or the mount is not detached");
	if (userns >= 0 && errno == EPERM)
		return err_set(err, EPERM, "cannot map the ids of a mount: it is mapped already");
	return err_sys(err, "cannot set the attributes of a mount");
}

int sbx_mount_attach(int mnt, int dirfd, const char *path, struct err *err)
{
	unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (path[0] == '\0' ? MOVE_MOUNT_T_EMPTY_PATH : 0);

	if (move_mount(mnt, "", dirfd, path, flags) < 0)
		return mount_err(err, errno, "mount at", path);
	return 0;
}

int sbx_mount_unshare(struct err *err)
{
	if (unshare(CLONE_NEWNS) < 0) {
		if (errno == ENOSPC)
			return err_set(err, ENOSPC,
				       "cannot create a mount namespace: limit reached (sysctl "
				       "user.max_mnt_namespaces)");
		return err_sys(err, "cannot create a mount namespace");
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, "cannot make the mount namespace private");
	return 0;
}

int sbx_mount_pivot(int root, struct err *err)
{
	if (fchdir(root) < 0)
		return err_sys(err, "cannot enter the new root");
	/* The old root ends up on top of the new one (pivot_root(2), NOTES) and is taken off; there
	 * is no need of a directory for it. */
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(err, "cannot change the root");
	if (umount2(".", MNT_DETACH) < 0)
		return err_sys(err, "cannot drop the old root");
	/* "." still is the directory under the mount that is gone. */
	if (chdir("/") < 0)
		return err_sys(err, "cannot enter '/'");
	return 0;
}
