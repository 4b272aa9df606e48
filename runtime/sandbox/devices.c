/* SPDX-License-Identifier: Apache-2.0 */
/* The content of a guest's /dev: see devices.h. */
#include "runtime/sandbox/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/str.h"
#include "runtime/sandbox/sandbox.h"

#define GROUP_TTY 5 /* Debian, Fedora, Arch and Alpine agree */
#define CONSOLE "console"

/* The same list is in the device program of the cgroup: two fences. Devices of the plan come on
 * top, in both. All nodes are the guest's own: it may delete or chmod them, and can never make one
 * (mknod(2) of a device needs the host's CAP_MKNOD). */
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
	bool is_mounted; /* it, or something in it, is mounted over */
} directories[] = {
	{"pts", 0755, 0, true},
	{"shm", 0755, 0, true},
	{"mqueue", 0755, 0, true},
	{"net", 0755, SBX_FEATURE_TUN, false},
	{".vps", 0700, SBX_FEATURE_NESTING, true},
	{".vps/proc", 0700, SBX_FEATURE_NESTING, true},
	{".vps/sys", 0700, SBX_FEATURE_NESTING, true},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Whether path is name, or leads through it. */
static bool is_within(const char *path, const char *name)
{
	size_t n = strlen(name);

	return strncmp(path, name, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

bool sbx_device_is_taken(const char *path)
{
	for (size_t i = 0; i < COUNT(directories); i++)
		if (directories[i].is_mounted && is_within(path, directories[i].name))
			return true;
	for (unsigned i = 0; i < sbx_devices_count; i++)
		if (!sbx_devices[i].features && is_within(path, sbx_devices[i].path))
			return true;
	for (size_t i = 0; i < COUNT(links); i++)
		if (is_within(path, links[i].name))
			return true;
	return is_within(path, CONSOLE);
}

static int make_directories(int dev, unsigned features, struct err *err)
{
	for (size_t i = 0; i < COUNT(directories); i++)
		if ((directories[i].features & ~features) == 0 &&
		    mkdirat(dev, directories[i].name, directories[i].mode) < 0)
			return err_sys(err, "cannot create '/dev/%s'", directories[i].name);
	return 0;
}

static int make_devices(int dev, uint32_t base, unsigned features, struct err *err)
{
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
	return 0;
}

/* Whether a feature has brought the very same device. */
static bool is_made(const struct sbx_node *node, unsigned features)
{
	for (unsigned i = 0; i < sbx_devices_count; i++)
		if ((sbx_devices[i].features & ~features) == 0 &&
		    str_eq(sbx_devices[i].path, node->path))
			return true;
	return false;
}

/* What was made here a moment ago is the only thing in this tmpfs, so paths are safe. */
static int make_node(int dev, const struct sbx_node *node, struct err *err)
{
	char parent[SBX_NODE_PATH];

	for (const char *s = strchr(node->path, '/'); s; s = strchr(s + 1, '/')) {
		(void)str_fmt(parent, sizeof(parent), "%.*s", (int)(s - node->path), node->path);
		if (mkdirat(dev, parent, 0755) < 0 && errno != EEXIST)
			return err_sys(err, "cannot create '/dev/%s'", parent);
	}
	if (mknodat(dev, node->path, S_IFCHR | node->mode, makedev(node->major, node->minor)) < 0)
		return err_sys(err, "cannot create '/dev/%s'", node->path);
	return 0;
}

int sbx_devices_make(int dev, const struct sbx_launch *l, struct err *err)
{
	int r = make_directories(dev, l->features, err);

	if (r >= 0)
		r = make_devices(dev, l->base, l->features, err);
	for (unsigned i = 0; r >= 0 && i < l->n_nodes; i++)
		if (!is_made(&l->nodes[i], l->features))
			r = make_node(dev, &l->nodes[i], err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < COUNT(links); i++)
		if (symlinkat(links[i].target, dev, links[i].name) < 0)
			return err_sys(err, "cannot create '/dev/%s'", links[i].name);
	/* The place where the console's pty is mounted. */
	if (mknodat(dev, CONSOLE, S_IFREG | 0600, 0) < 0)
		return err_sys(err, "cannot create '/dev/" CONSOLE "'");
	return 0;
}
