/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that is mounted in a guest besides its root: one table, and the loop that applies it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "runtime/sandbox/mounts.h"
#include "runtime/sandbox/sandbox.h"

#define SBX_TMPFS_SIZE (UINT64_C(64) << 20) /* of /run and /dev/shm unless the launch says else */

/* Trees that later rows are mounted in. */
enum sbx_place {
	SBX_PLACE_NONE,
	SBX_PLACE_ROOT, /* the guest's own files: hostile, opened with care */
	SBX_PLACE_DEV,	/* all others were made a moment ago and nobody has touched them */
	SBX_PLACE_PTS,
	SBX_PLACE_RUN,
	SBX_PLACE_PROC,
	SBX_PLACE_SYS,
	SBX_PLACE_MAX,
};

enum sbx_mount_kind {
	SBX_MOUNT_FS,	     /* a new file system */
	SBX_MOUNT_CONSOLE,   /* the slave of a new pty of SBX_PLACE_PTS */
	SBX_MOUNT_MASK_FILE, /* an empty file; a missing target is no error */
	SBX_MOUNT_MASK_DIR,  /* an empty directory; likewise */
	SBX_MOUNT_READ_ONLY, /* what is there, read-only; likewise */
	SBX_MOUNT_VIEW,	     /* the file of the same name of the launch's views, read-only; a
				missing one, or a missing target, is no error */
	SBX_MOUNT_KIND_MAX,
};

/* Which process applies a row: superblocks of proc, sysfs, mqueue and cgroup2 belong to the
 * namespaces of their mounter, hence to the helper's child inside the guest's namespaces. */
enum sbx_mount_stage {
	SBX_STAGE_HOST,
	SBX_STAGE_GUEST,
};

struct sbx_mount_row {
	enum sbx_mount_stage stage;
	enum sbx_mount_kind kind;
	enum sbx_place in;    /* the tree ... */
	const char *path;     /* ... and where in it */
	const char *type;     /* file system, for SBX_MOUNT_FS */
	const char *options;  /* "key=value,flag"; $base, $tty, $shm, $run are filled in */
	uint64_t attrs;	      /* MOUNT_ATTR_* */
	enum sbx_place opens; /* the tree that it becomes */
	unsigned features;    /* needs all of enum sbx_features; 0 = always */
};

extern const struct sbx_mount_row sbx_mount_rows[];
extern const unsigned sbx_mount_rows_count;

/* A tree under construction. */
struct sbx_tree {
	const struct sbx_launch *launch;
	int place[SBX_PLACE_MAX]; /* mounts, -1 = not there yet */
	int console;		  /* master, and ... */
	int console_slave;	  /* ... slave of /dev/console */
};

#define SBX_TREE_INIT                                                                              \
	((struct sbx_tree){                                                                        \
		.place = {-1, -1, -1, -1, -1, -1, -1}, .console = -1, .console_slave = -1})

/* Applies the rows of one stage, in the table's order. */
int sbx_mount_table_apply(struct sbx_tree *t, enum sbx_mount_stage stage, struct err *err);
/* Splits and fills in a row's options; 'storage' holds the text. For the loop and for tests. */
int sbx_mount_row_options(const struct sbx_mount_row *row, const struct sbx_launch *l,
			  char storage[256], struct sbx_mount_option ret[SBX_MOUNT_OPTIONS_MAX],
			  struct err *err);
