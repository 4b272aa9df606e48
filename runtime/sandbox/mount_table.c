/* SPDX-License-Identifier: Apache-2.0 */
/* What is mounted in a guest: see mount_table.h. */
#include "runtime/sandbox/mount_table.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "runtime/sandbox/console.h"
#include "runtime/sandbox/devices.h"
#include "runtime/sandbox/rootfs.h"

#define NO_SUID_DEV (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define NO_SUID_DEV_EXEC (NO_SUID_DEV | MOUNT_ATTR_NOEXEC)
#define MASK (NO_SUID_DEV_EXEC | MOUNT_ATTR_RDONLY)

#define HOST_FS(in, path, type, options, attrs, opens)                                             \
	{                                                                                          \
		SBX_STAGE_HOST, SBX_MOUNT_FS, SBX_PLACE_##in, path, type, options, attrs,          \
			SBX_PLACE_##opens, 0                                                       \
	}
#define GUEST_FS(in, path, type, attrs, opens, features)                                           \
	{                                                                                          \
		SBX_STAGE_GUEST, SBX_MOUNT_FS, SBX_PLACE_##in, path, type, NULL, attrs,            \
			SBX_PLACE_##opens, features                                                \
	}
#define MASK_FILE(in, path)                                                                        \
	{                                                                                          \
		SBX_STAGE_GUEST, SBX_MOUNT_MASK_FILE, SBX_PLACE_##in, path, NULL, NULL, MASK,      \
			SBX_PLACE_NONE, 0                                                          \
	}
#define MASK_DIR(in, path)                                                                         \
	{                                                                                          \
		SBX_STAGE_GUEST, SBX_MOUNT_MASK_DIR, SBX_PLACE_##in, path, NULL, NULL, MASK,       \
			SBX_PLACE_NONE, 0                                                          \
	}
#define READ_ONLY(in, path)                                                                        \
	{                                                                                          \
		SBX_STAGE_GUEST, SBX_MOUNT_READ_ONLY, SBX_PLACE_##in, path, NULL, NULL, MASK,      \
			SBX_PLACE_NONE, 0                                                          \
	}
#define VIEW(in, path)                                                                             \
	{                                                                                          \
		SBX_STAGE_GUEST, SBX_MOUNT_VIEW, SBX_PLACE_##in, path, NULL, NULL, MASK,           \
			SBX_PLACE_NONE, 0                                                          \
	}

/*
 * All superblocks of the host's stage belong to the host: a guest cannot remount them larger. All
 * mounts are locked for the guest (see spawn.c), and locked masks also refuse it a fresh procfs or
 * sysfs. Ids in options are the host's.
 */
const struct sbx_mount_row sbx_mount_rows[] = {
	/* Without nodev: its device nodes are ours. */
	HOST_FS(ROOT, "dev", "tmpfs", "mode=0755,uid=$base,gid=$base,size=4m,nr_inodes=4096",
		MOUNT_ATTR_NOSUID, DEV),
	/* An instance of its own is what a mount of devpts always is. max bounds what is opened
	 * here only: root of a guest may mount another with a larger one, so that kernel.pty.max is
	 * the bound for all guests together (runtime/daemon/sysctls.c). */
	HOST_FS(DEV, "pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=$tty,max=256",
		MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, PTS),
	{SBX_STAGE_HOST, SBX_MOUNT_CONSOLE, SBX_PLACE_DEV, "console", NULL, NULL, 0, SBX_PLACE_NONE,
	 0},
	HOST_FS(DEV, "shm", "tmpfs", "mode=1777,uid=$base,gid=$base,size=$shm,nr_inodes=100000",
		NO_SUID_DEV, NONE),
	/* Not left to the guest's init, which could make it any size; holds the notify socket. */
	HOST_FS(ROOT, "run", "tmpfs", "mode=0755,uid=$base,gid=$base,size=$run,nr_inodes=100000",
		NO_SUID_DEV, RUN),

	GUEST_FS(DEV, "mqueue", "mqueue", NO_SUID_DEV_EXEC, NONE, 0),
	/* /proc/sys stays writable: the kernel decides for each file by the owner of its namespace.
	 */
	GUEST_FS(ROOT, "proc", "proc", NO_SUID_DEV_EXEC, PROC, 0),
	GUEST_FS(ROOT, "sys", "sysfs", NO_SUID_DEV_EXEC | MOUNT_ATTR_RDONLY, SYS, 0),
	GUEST_FS(SYS, "fs/cgroup", "cgroup2", NO_SUID_DEV_EXEC, NONE, 0),
	/* Docker in the guest mounts procfs and sysfs in new namespaces, which the kernel permits
	 * only if an instance without masks is visible somewhere. Guest root can read it: with
	 * nesting, the masks below are a convention and ownership is the fence. */
	GUEST_FS(DEV, ".vps/proc", "proc", NO_SUID_DEV_EXEC, NONE, SBX_FEATURE_NESTING),
	GUEST_FS(DEV, ".vps/sys", "sysfs", NO_SUID_DEV_EXEC | MOUNT_ATTR_RDONLY, NONE,
		 SBX_FEATURE_NESTING),

	MASK_FILE(PROC, "kcore"),	  /* the host's memory */
	MASK_FILE(PROC, "keys"),	  /* keyrings are not namespaced */
	MASK_FILE(PROC, "key-users"),	  /* the same, by user */
	MASK_FILE(PROC, "kallsyms"),	  /* kernel addresses */
	MASK_FILE(PROC, "timer_list"),	  /* processes of the host */
	MASK_FILE(PROC, "sched_debug"),	  /* the same; gone since Linux 5.13 */
	MASK_FILE(PROC, "latency_stats"), /* the same */
	MASK_FILE(PROC, "iomem"),	  /* physical addresses */
	MASK_FILE(PROC, "ioports"),	  /* hardware */
	MASK_FILE(PROC, "kmsg"),	  /* the host's log */
	MASK_FILE(PROC, "sysrq-trigger"), /* reboots the host */
	MASK_FILE(PROC, "config.gz"),	  /* which bugs the kernel can have */
	MASK_DIR(PROC, "acpi"),		  /* hardware; CVE-2018-10892 */
	MASK_DIR(PROC, "scsi"),		  /* CVE-2017-16539 */
	MASK_DIR(PROC, "asound"),	  /* hardware */
	READ_ONLY(PROC, "bus"),		  /* PCI configuration space */
	READ_ONLY(PROC, "fs"),		  /* knobs of the host's file systems */
	READ_ONLY(PROC, "irq"),		  /* interrupt affinity */

	MASK_DIR(SYS, "firmware"),		   /* EFI variables, ACPI tables, DMI */
	MASK_DIR(SYS, "kernel/debug"),		   /* debugfs, should the host have it there */
	MASK_DIR(SYS, "kernel/tracing"),	   /* tracefs */
	MASK_DIR(SYS, "kernel/config"),		   /* configfs */
	MASK_DIR(SYS, "kernel/security"),	   /* securityfs */
	MASK_DIR(SYS, "kernel/slab"),		   /* allocation patterns of all guests */
	MASK_DIR(SYS, "fs/pstore"),		   /* the host's crashes */
	MASK_DIR(SYS, "fs/bpf"),		   /* pinned programs */
	MASK_DIR(SYS, "module"),		   /* modules and their parameters */
	MASK_DIR(SYS, "devices/virtual/powercap"), /* RAPL counters; CVE-2020-8694 */

	/* The guest's CPUs, not the machine's; locked as the masks are. */
	VIEW(PROC, "cpuinfo"),
	VIEW(SYS, "devices/system/cpu/online"),
};
const unsigned sbx_mount_rows_count = sizeof(sbx_mount_rows) / sizeof(sbx_mount_rows[0]);

/* Value of a "$name" in a row's options; -EINVAL when there is no such name. */
static int variable(const char *name, const struct sbx_launch *l, uint64_t *ret)
{
	if (str_eq(name, "$base"))
		*ret = l->base;
	else if (str_eq(name, "$tty"))
		*ret = l->base + 5u;
	else if (str_eq(name, "$shm"))
		*ret = l->shm_size ? l->shm_size : SBX_TMPFS_SIZE;
	else if (str_eq(name, "$run"))
		*ret = l->run_size ? l->run_size : SBX_TMPFS_SIZE;
	else
		return -EINVAL;
	return 0;
}

int sbx_mount_row_options(const struct sbx_mount_row *row, const struct sbx_launch *l,
			  char storage[256], struct sbx_mount_option ret[SBX_MOUNT_OPTIONS_MAX],
			  struct err *err)
{
	const char *p = row->options ? row->options : "";
	size_t used = 0, n = 0;

	for (size_t len; *p; p += len + (p[len] == ',')) {
		size_t klen = strcspn(p, "=,");
		char *key = storage + used, *value = key + klen + 1;
		uint64_t number;
		int r;

		len = strcspn(p, ",");
		if (n + 1 >= SBX_MOUNT_OPTIONS_MAX || used + len + 32 > 256)
			return err_set(err, E2BIG, "too many mount options '%s'", row->options);
		/* "key=value" becomes "key\0value\0". */
		memcpy(key, p, len);
		key[klen] = '\0';
		key[len] = '\0';
		ret[n++] = (struct sbx_mount_option){key, klen < len ? value : NULL};
		used += len + 1;
		if (klen >= len || value[0] != '$')
			continue;
		r = variable(value, l, &number);
		if (r < 0)
			return err_set(err, -r, "unknown word '%s' in mount options", value);
		r = str_fmt(value, 24, "%llu", (unsigned long long)number);
		if (r < 0)
			return err_set(err, -r, "malformed mount options '%s'", row->options);
		used = (size_t)(value - storage) + strlen(value) + 1;
	}
	ret[n] = (struct sbx_mount_option){NULL, NULL};
	return 0;
}

/* A tmpfs of this launch with an empty file and an empty directory, which are mounted over masked
 * paths. Not shared between guests: locks on a shared inode would be a channel between them. */
static int make_masks(struct err *err)
{
	static const struct sbx_mount_option options[] = {
		{"source", "none"}, {"mode", "0555"},	{"uid", "0"}, {"gid", "0"},
		{"size", "4k"},	    {"nr_inodes", "8"}, {NULL, NULL},
	};
	_cleanup_close_ int mnt = sbx_mount_new("tmpfs", options, NO_SUID_DEV_EXEC, err);
	int r;

	if (mnt < 0)
		return mnt;
	if (mkdirat(mnt, "empty", 0555) < 0 || mknodat(mnt, "null", S_IFREG | 0444, 0) < 0)
		return err_sys(err, "cannot create what masks show");
	/* Owned by the host: for the guest they are nobody's, and cannot be changed. */
	if (fchownat(mnt, "empty", 0, 0, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchownat(mnt, "null", 0, 0, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "cannot create what masks show");
	r = sbx_mount_set(mnt, MASK, -1, err);
	return r < 0 ? r : sbx_mount_attach(mnt, AT_FDCWD, SBX_AT_MASKS, err);
}

/* The files of the views, where they can be cloned from. Its mount stays writable: whoever launches
 * writes through it. It goes with the old root, before there is a guest. */
static int attach_views(const struct sbx_tree *t, struct err *err)
{
	int r;

	if (t->launch->views < 0)
		return 0;
	r = sbx_mount_set(t->launch->views, NO_SUID_DEV_EXEC, -1, err);
	if (r >= 0)
		r = sbx_mount_attach(t->launch->views, AT_FDCWD, SBX_AT_VIEWS, err);
	return r < 0 ? err_ctx(err, "views") : 0;
}

static int make_fs(const struct sbx_tree *t, const struct sbx_mount_row *row, struct err *err)
{
	struct sbx_mount_option options[SBX_MOUNT_OPTIONS_MAX];
	char storage[256];
	int r = sbx_mount_row_options(row, t->launch, storage, options, err);

	return r < 0 ? r : sbx_mount_new(row->type, options, row->attrs, err);
}

static int make_console(struct sbx_tree *t, struct err *err)
{
	int r = sbx_pty_open(t->place[SBX_PLACE_PTS], "ptmx", &t->console, &t->console_slave, err);

	return r < 0 ? r : sbx_mount_clone(t->console_slave, "", err);
}

static int make_read_only(int dirfd, const char *path, uint64_t attrs, struct err *err)
{
	_cleanup_close_ int mnt = sbx_mount_clone(dirfd, path, err);
	int r;

	if (mnt < 0)
		return mnt;
	r = sbx_mount_set(mnt, attrs, -1, err);
	return r < 0 ? r : take_fd(&mnt);
}

static int make_view(const struct sbx_mount_row *row, struct err *err)
{
	const char *slash = strrchr(row->path, '/');
	char path[64];
	int r = str_fmt(path, sizeof(path), SBX_AT_VIEWS "/%s", slash ? slash + 1 : row->path);

	if (r < 0)
		return err_set(err, -r, "malformed mount row");
	return make_read_only(AT_FDCWD, path, row->attrs, err);
}

/* The detached mount of a row. */
static int make_mount(struct sbx_tree *t, const struct sbx_mount_row *row, struct err *err)
{
	switch (row->kind) {
	case SBX_MOUNT_FS:
		return make_fs(t, row, err);
	case SBX_MOUNT_CONSOLE:
		return make_console(t, err);
	case SBX_MOUNT_MASK_FILE:
		return sbx_mount_clone(AT_FDCWD, SBX_AT_MASKS "/null", err);
	case SBX_MOUNT_MASK_DIR:
		return sbx_mount_clone(AT_FDCWD, SBX_AT_MASKS "/empty", err);
	case SBX_MOUNT_READ_ONLY:
		return make_read_only(t->place[row->in], row->path, row->attrs, err);
	case SBX_MOUNT_VIEW:
		return make_view(row, err);
	case SBX_MOUNT_KIND_MAX:
	default:
		return err_set(err, EINVAL, "malformed mount row");
	}
}

/* Attaches at the row's place. Only the root is hostile: there the directory is opened, or made,
 * without following anything. */
static int attach(const struct sbx_tree *t, const struct sbx_mount_row *row, int mnt,
		  struct err *err)
{
	if (row->in != SBX_PLACE_ROOT)
		return sbx_mount_attach(mnt, t->place[row->in], row->path, err);
	_cleanup_close_ int dir = path_mkdirs_beneath(t->place[row->in], row->path, 0755, err);
	return dir < 0 ? dir : sbx_mount_attach(mnt, dir, "", err);
}

/* After a row: its tree may be wanted by later ones, and /dev gets its content. */
static int opened(struct sbx_tree *t, const struct sbx_mount_row *row, int *mnt, struct err *err)
{
	if (row->opens == SBX_PLACE_NONE)
		return 0;
	t->place[row->opens] = take_fd(mnt);
	if (row->opens == SBX_PLACE_DEV)
		return sbx_devices_make(t->place[SBX_PLACE_DEV], t->launch, err);
	return 0;
}

int sbx_mount_table_apply(struct sbx_tree *t, enum sbx_mount_stage stage, struct err *err)
{
	int r = stage == SBX_STAGE_GUEST ? make_masks(err) : 0;

	if (r >= 0 && stage == SBX_STAGE_GUEST)
		r = attach_views(t, err);
	for (unsigned i = 0; r >= 0 && i < sbx_mount_rows_count; i++) {
		const struct sbx_mount_row *row = &sbx_mount_rows[i];
		bool optional = row->kind == SBX_MOUNT_MASK_FILE ||
				row->kind == SBX_MOUNT_MASK_DIR ||
				row->kind == SBX_MOUNT_READ_ONLY || row->kind == SBX_MOUNT_VIEW;

		if (row->stage != stage || (row->features & ~t->launch->features))
			continue;
		_cleanup_close_ int mnt = make_mount(t, row, err);
		r = mnt < 0 ? mnt : attach(t, row, mnt, err);
		if (r == -ENOENT && optional) {
			if (err)
				*err = ERR_INIT;
			r = 0;
			continue;
		}
		if (r >= 0)
			r = opened(t, row, &mnt, err);
		if (r < 0)
			return err_ctx(err, "mount row '%s'", row->path);
	}
	return r;
}
