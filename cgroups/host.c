/* SPDX-License-Identifier: Apache-2.0 */
/* The host's cgroup2 mount: where it is, what it offers, its options. */
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/path.h"
#include "base/str.h"
#include "cgroups/names.h"
#include "cgroups/tree.h"

#define MOUNTINFO_MAX (16u << 20)
#define FIELDS_MAX 32

/* Where systemd and its friends mount it: alone, or beside version 1. First is best. */
static const char *const mount_points[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

/* Cuts a line of mountinfo into fields, see proc(5). Returns their number. */
static size_t split(char *line, char *field[FIELDS_MAX])
{
	size_t n = 0;

	while (line && n < FIELDS_MAX)
		field[n++] = strsep(&line, " ");
	return n;
}

/* One line: ID PARENT DEV ROOT POINT OPTIONS [OPTIONAL...] - TYPE SOURCE SUPER-OPTIONS. Returns
 * the rank of its mount point, or -1 when it is no whole cgroup2 hierarchy at such a place. */
static int parse_line(char *line, char **ret_options)
{
	char *field[FIELDS_MAX];
	size_t n = split(line, field), dash = 6;

	while (dash < n && !str_eq(field[dash], "-"))
		dash++;
	if (dash + 3 >= n || !str_eq(field[dash + 1], "cgroup2") || !str_eq(field[3], "/"))
		return -1;
	*ret_options = field[dash + 3];
	for (size_t i = 0; i < sizeof(mount_points) / sizeof(mount_points[0]); i++)
		if (str_eq(field[4], mount_points[i]))
			return (int)i;
	return -1;
}

int cg_host_parse(const char *mountinfo, struct cg_host *ret, struct err *err)
{
	struct cg_host h = {0};
	int best = -1;

	while (*mountinfo) {
		size_t len = strcspn(mountinfo, "\n");
		char line[1024], *options = NULL;
		int rank = -1;

		/* A longer line is an overlay with many layers, never ours. */
		if (len < sizeof(line)) {
			memcpy(line, mountinfo, len);
			line[len] = '\0';
			rank = parse_line(line, &options);
		}
		/* Of several mounts at one place the last is on top. */
		if (rank >= 0 && (best < 0 || rank <= best)) {
			if (str_copy(h.options, sizeof(h.options), options) < 0)
				return err_set(err, EBADMSG, "cannot read the options of '%s'",
					       mount_points[rank]);
			(void)str_copy(h.mount, sizeof(h.mount), mount_points[rank]);
			best = rank;
		}
		mountinfo += len;
		mountinfo += *mountinfo == '\n';
	}
	if (best < 0) {
		(void)err_set(err, ENOENT, "cannot find a cgroup2 mount at '%s' or '%s'",
			      mount_points[0], mount_points[1]);
		(void)err_hint(err, "mount it: mount -t cgroup2 -o "
				    "nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup");
		return -ENOENT;
	}
	h.nsdelegate = cg_names_has(h.options, "nsdelegate");
	h.memory_recursiveprot = cg_names_has(h.options, "memory_recursiveprot");
	h.memory_localevents = cg_names_has(h.options, "memory_localevents");
	*ret = h;
	return 0;
}

int cg_host_probe(struct cg_host *ret, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	struct cg_host h = {0};
	_cleanup_close_ int dir = -1;
	ssize_t n;
	int r = file_read_at(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL, err);

	if (r < 0)
		return r;
	r = cg_host_parse(text, &h, err);
	if (r < 0)
		return r;
	dir = path_open_dir(h.mount, err);
	if (dir < 0)
		return dir;
	n = file_read_short_at(dir, "cgroup.controllers", h.controllers, sizeof(h.controllers),
			       err);
	if (n < 0)
		return (int)n;
	*ret = h;
	return 0;
}

/* Options of cgroup2; a security module adds others to mountinfo that it does not take back. */
static const char *const known_options[] = {"nsdelegate",
					    "favordynmods",
					    "memory_localevents",
					    "memory_recursiveprot",
					    "memory_hugetlb_accounting",
					    "pids_localevents"};

/* fspick(2) changes the superblock alone; a remount by mount(2) would set the flags of the mount
 * (nosuid, noexec) anew as well. Options that are not named are turned off, so all are. */
static int reconfigure(const char *mount_point, const char *options, struct err *err)
{
	_cleanup_close_ int fs = fspick(AT_FDCWD, mount_point, FSPICK_CLOEXEC);

	if (fs < 0)
		return err_sys(err, "cannot open the mount '%s' to change it", mount_point);
	for (size_t i = 0; i < sizeof(known_options) / sizeof(known_options[0]); i++) {
		if (!cg_names_has(options, known_options[i]))
			continue;
		if (fsconfig(fs, FSCONFIG_SET_FLAG, known_options[i], NULL, 0) < 0)
			return err_sys(err, "cannot set option '%s' of '%s'", known_options[i],
				       mount_point);
	}
	if (fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
		return err_sys(err, "cannot change the options of '%s'", mount_point);
	return 0;
}

int cg_host_set_options(struct cg_host *h, struct err *err)
{
	char options[CG_NAMES_MAX + 64];
	struct cg_host now;
	int r;

	if (h->nsdelegate && h->memory_recursiveprot)
		return 0;
	r = str_fmt(options, sizeof(options), "%s%s%s", h->options,
		    h->nsdelegate ? "" : ",nsdelegate",
		    h->memory_recursiveprot ? "" : ",memory_recursiveprot");
	if (r < 0)
		return err_set(err, -r, "cannot set the options of '%s': too many", h->mount);
	r = reconfigure(h->mount, options, err);
	if (r < 0)
		return r;
	r = cg_host_probe(&now, err);
	if (r < 0)
		return r;
	/* Both are ignored without an error in any but the first cgroup namespace. */
	if (!now.nsdelegate || !now.memory_recursiveprot)
		return err_set(err, EPERM, "cannot set the options of '%s': still '%s'", h->mount,
			       now.options);
	*h = now;
	return 0;
}

bool cg_host_has(const struct cg_host *h, const char *controller)
{
	return cg_names_has(h->controllers, controller);
}
