/* SPDX-License-Identifier: Apache-2.0 */
/* The disk under a file system: found through sysfs, by numbers alone. */
#include "cgroups/disk.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/num.h"
#include "base/str.h"

#define ZFS_SUPER_MAGIC 0x2fc12fc1
#define QOS_MAX 65536u

/* File systems without a block device of their own, which one therefore meets by name. */
static const struct {
	unsigned long magic;
	const char *name;
} anonymous[] = {
	{BTRFS_SUPER_MAGIC, "btrfs"}, {OVERLAYFS_SUPER_MAGIC, "overlay"}, {TMPFS_MAGIC, "tmpfs"},
	{NFS_SUPER_MAGIC, "nfs"},     {ZFS_SUPER_MAGIC, "zfs"},
};

static const char *name_of_fs(int fd)
{
	struct statfs s;

	if (fstatfs(fd, &s) < 0)
		return NULL;
	for (size_t i = 0; i < sizeof(anonymous) / sizeof(anonymous[0]); i++)
		if ((unsigned long)s.f_type == anonymous[i].magic)
			return anonymous[i].name;
	return NULL;
}

/* "254:0" */
static int parse_dev(const char *text, unsigned *ret_major, unsigned *ret_minor)
{
	const char *end;
	uint64_t major, minor;

	if (num_scan_u64(text, &end, &major) < 0 || *end != ':' ||
	    num_scan_u64(end + 1, &end, &minor) < 0 || (*end != '\0' && *end != '\n') ||
	    major > UINT_MAX || minor > UINT_MAX)
		return -EBADMSG;
	*ret_major = (unsigned)major;
	*ret_minor = (unsigned)minor;
	return 0;
}

/* DEVNAME=vda in the directory's uevent; the numbers where there is none. */
static void read_name(int dir, struct cg_disk *d)
{
	char text[1024] = "";
	const char *p;

	(void)str_fmt(d->name, sizeof(d->name), "%u:%u", d->major, d->minor);
	if (file_read_short_at(dir, "uevent", text, sizeof(text), NULL) < 0)
		return;
	p = strstr(text, "DEVNAME=");
	if (!p || (p != text && p[-1] != '\n'))
		return;
	p += strlen("DEVNAME=");
	if (strcspn(p, "\n") < sizeof(d->name))
		(void)str_fmt(d->name, sizeof(d->name), "%.*s", (int)strcspn(p, "\n"), p);
}

/* The scheduler in force stands in brackets: "none mq-deadline [bfq]". */
static void read_scheduler(int dir, char *dst, size_t size)
{
	char text[256] = "";
	const char *open;

	(void)str_copy(dst, size, "none");
	if (file_read_short_at(dir, "queue/scheduler", text, sizeof(text), NULL) < 0)
		return;
	open = strchr(text, '[');
	if (open)
		(void)str_fmt(dst, size, "%.*s", (int)strcspn(open + 1, "]"), open + 1);
}

/* Whether io.cost is on for the disk: Documentation/admin-guide/cgroup-v2.rst, io.cost.qos. */
static bool has_cost(const struct cg_disk *d, const char *cgroup_mount)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX], on[8];

	return str_fmt(path, sizeof(path), "%s/io.cost.qos", cgroup_mount) == 0 &&
	       file_read_at(AT_FDCWD, path, QOS_MAX, &text, NULL, NULL) == 0 &&
	       cg_disk_value(d, text, "enable", on, sizeof(on)) == 0 && str_eq(on, "1");
}

static void find_weight(int dir, const char *cgroup_mount, struct cg_disk *d)
{
	char scheduler[32];

	read_scheduler(dir, scheduler, sizeof(scheduler));
	if (str_eq(scheduler, "bfq")) {
		d->weight_file = "io.bfq.weight";
		d->weight_max = CG_DISK_WEIGHT_MAX_BFQ;
	} else if (has_cost(d, cgroup_mount)) {
		d->weight_file = "io.weight";
		d->weight_max = CG_DISK_WEIGHT_MAX;
	} else {
		(void)str_fmt(d->why_no_weight, sizeof(d->why_no_weight),
			      "nothing on %s heeds weights: its scheduler is %s, not bfq, and "
			      "io.cost.qos does not enable io.cost for it",
			      d->name, scheduler);
	}
}

/* The directory of the whole disk. */
static int open_disk(const char *sysfs, struct cg_disk *d)
{
	_cleanup_close_ int dir = -1;
	char path[PATH_MAX], text[32] = "";

	if (str_fmt(path, sizeof(path), "%s/%u:%u", sysfs, d->major, d->minor) < 0)
		return -ENAMETOOLONG;
	/* A link of the kernel's own. */
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	if (faccessat(dir, "partition", F_OK, 0) == 0) {
		int whole = openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (whole < 0)
			return -errno;
		cleanup_close(&dir);
		dir = whole;
		if (file_read_short_at(dir, "dev", text, sizeof(text), NULL) < 0 ||
		    parse_dev(text, &d->major, &d->minor) < 0)
			return -ENOENT;
	}
	return take_fd(&dir);
}

void cg_disk_find_dev(unsigned major, unsigned minor, const char *fs, const char *sysfs,
		      const char *cgroup_mount, struct cg_disk *ret)
{
	struct cg_disk d = {.major = major, .minor = minor};
	_cleanup_close_ int dir = -1;

	/* Number 0 is given to what has no device (Documentation/admin-guide/devices.txt). */
	if (major == 0)
		(void)str_fmt(d.why_not, sizeof(d.why_not),
			      "the file system of the instances, %s, names no disk",
			      fs ? fs : "of an unknown kind");
	else if ((dir = open_disk(sysfs, &d)) < 0)
		(void)str_fmt(d.why_not, sizeof(d.why_not),
			      "the disk of the instances, %u:%u, is not in '%s'", major, minor,
			      sysfs);
	if (d.why_not[0]) {
		d.major = d.minor = 0;
		memcpy(d.why_no_weight, d.why_not, sizeof(d.why_no_weight));
	} else {
		read_name(dir, &d);
		find_weight(dir, cgroup_mount, &d);
	}
	*ret = d;
}

void cg_disk_find(int fd, const char *sysfs, const char *cgroup_mount, struct cg_disk *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		memset(&st, 0, sizeof(st));
	cg_disk_find_dev(major(st.st_dev), minor(st.st_dev), name_of_fs(fd), sysfs, cgroup_mount,
			 ret);
}

int cg_disk_value(const struct cg_disk *d, const char *text, const char *key, char *dst,
		  size_t size)
{
	char dev[32];
	const size_t key_len = strlen(key);
	size_t dev_len;

	(void)str_fmt(dev, sizeof(dev), "%u:%u ", d->major, d->minor);
	dev_len = strlen(dev);
	while (*text && strncmp(text, dev, dev_len) != 0) {
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	if (!*text)
		return -ENOENT;
	text += dev_len;
	while (*text && *text != '\n') {
		size_t n = strcspn(text, " \n");

		if (strncmp(text, key, key_len) == 0 && text[key_len] == '=') {
			n -= key_len + 1;
			if (n >= size)
				return -ERANGE;
			memcpy(dst, text + key_len + 1, n);
			dst[n] = '\0';
			return 0;
		}
		text += n;
		text += *text == ' ';
	}
	return -ENOENT;
}
