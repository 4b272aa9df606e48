/* SPDX-License-Identifier: Apache-2.0 */
/* The content of a guest's /dev: see devices.h. */
#include "runtime/sandbox/devices.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "runtime/sandbox/sandbox.h"

#define GROUP_TTY 5 /* Debian, Fedora, Arch and Alpine agree */

/* The same list is in the device program of the cgroup: two fences. A guest may delete or chmod
 * these nodes, and can never make one (mknod(2) of a device needs the host's CAP_MKNOD). */
const struct sbx_device sbx_devices[] = {
	{"null", 1, 3, 0666, 0, 0},
	{"zero", 1, 5, 0666, 0, 0},
	{"full", 1, 7, 0666, 0, 0},
	{"random", 1, 8, 0666, 0, 0},
	{"urandom", 1, 9, 0666, 0, 0},
	{"tty", 5, 0, 0666, 0, GROUP_TTY},
	{"net/tun", 10, 200, 0666, SBX_FEATURE_TUN, 0},
	{"fuse", 10, 229, 0666, SBX_FEATURE_FUSE, 0},
};
const unsigned sbx_devices_count = sizeof(sbx_devices) / sizeof(sbx_devices[0]);

static const struct {
	const char *name, *target;
} links[] = {
	{"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
	{"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"},
};

/* Mount points, and the parents of nodes. */
static const struct {
	const char *name;
	mode_t mode;
	unsigned features;
} directories[] = {
	{"pts", 0755, 0},
	{"shm", 0755, 0},
	{"mqueue", 0755, 0},
	{"net", 0755, SBX_FEATURE_TUN},
	{".vps", 0700, SBX_FEATURE_NESTING},
	{".vps/proc", 0700, SBX_FEATURE_NESTING},
	{".vps/sys", 0700, SBX_FEATURE_NESTING},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

int sbx_devices_make(int dev, uint32_t base, unsigned features, struct err *err)
{
	for (size_t i = 0; i < COUNT(directories); i++)
		if ((directories[i].features & ~features) == 0 &&
		    mkdirat(dev, directories[i].name, directories[i].mode) < 0)
			return err_sys(err, "cannot create '/dev/%s'", directories[i].name);
	for (unsigned i = 0; i < sbx_devices_count; i++) {
		const struct sbx_device *d = &sbx_devices[i];

		if (d->features & ~features)
			continue;
		if (mknodat(dev, d->path, S_IFCHR | d->mode, makedev(d->major, d->minor)) < 0)
			return err_sys(err, "cannot create '/dev/%s'", d->path);
		if (d->group &&
		    fchownat(dev, d->path, (uid_t)-1, base + d->group, AT_SYMLINK_NOFOLLOW) < 0)
			return err_sys(err, "cannot change the group of '/dev/%s'", d->path);
	}
	for (size_t i = 0; i < COUNT(links); i++)
		if (symlinkat(links[i].target, dev, links[i].name) < 0)
			return err_sys(err, "cannot create '/dev/%s'", links[i].name);
	/* The place where the console's pty is mounted. */
	if (mknodat(dev, "console", S_IFREG | 0600, 0) < 0)
		return err_sys(err, "cannot create '/dev/console'");
	return 0;
}
