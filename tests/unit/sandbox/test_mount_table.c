/* SPDX-License-Identifier: Apache-2.0 */
/* The table of mounts: complete, in a possible order, and nothing looser than it has to be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>

#include <cmocka.h>

#include "base/str.h"
#include "runtime/sandbox/devices.h"
#include "runtime/sandbox/mount_table.h"

/* A row that is missing comes back without a path. */
static const struct sbx_mount_row *find(enum sbx_place in, const char *path)
{
	static const struct sbx_mount_row missing = {.type = "missing"};

	for (unsigned i = 0; i < sbx_mount_rows_count; i++)
		if (sbx_mount_rows[i].in == in && str_eq(sbx_mount_rows[i].path, path))
			return &sbx_mount_rows[i];
	return &missing;
}

static void rows_are_well_formed(void **state)
{
	bool open[SBX_PLACE_MAX] = {[SBX_PLACE_ROOT] = true};
	enum sbx_mount_stage stage = SBX_STAGE_HOST;

	(void)state;
	for (unsigned i = 0; i < sbx_mount_rows_count; i++) {
		const struct sbx_mount_row *row = &sbx_mount_rows[i];

		assert_true(row->kind < SBX_MOUNT_KIND_MAX);
		assert_true(row->in > SBX_PLACE_NONE && row->in < SBX_PLACE_MAX);
		assert_true(open[row->in]); /* its tree exists by then */
		assert_true(row->stage >= stage);
		stage = row->stage;
		assert_non_null(row->path);
		assert_true(row->path[0] != '/' && row->path[0] != '\0');
		assert_true((row->type != NULL) == (row->kind == SBX_MOUNT_FS));
		assert_true(row->options == NULL || row->kind == SBX_MOUNT_FS);
		if (row->opens != SBX_PLACE_NONE) {
			assert_false(open[row->opens]);
			open[row->opens] = true;
		}
		for (unsigned k = 0; k < i; k++)
			assert_false(sbx_mount_rows[k].in == row->in &&
				     str_eq(sbx_mount_rows[k].path, row->path));
	}
	for (int p = SBX_PLACE_ROOT; p < SBX_PLACE_MAX; p++)
		assert_true(open[p]);
}

/* What lies in it is the guest's memory; a full one is an error that programs understand, a cgroup
 * without memory is a kill. */
static void every_tmpfs_has_bounds(void **state)
{
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < sbx_mount_rows_count; i++) {
		const struct sbx_mount_row *row = &sbx_mount_rows[i];

		if (row->kind != SBX_MOUNT_FS || !str_eq(row->type, "tmpfs"))
			continue;
		n++;
		assert_true(row->stage == SBX_STAGE_HOST); /* so it cannot be remounted larger */
		assert_non_null(strstr(row->options, ",size="));
		assert_non_null(strstr(row->options, ",nr_inodes="));
	}
	assert_int_equal(n, 3);
}

/* nosuid everywhere; devices work in /dev and its pty only; masks and kernel file systems run
 * nothing. */
static void attributes_are_tight(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sbx_mount_rows_count; i++) {
		const struct sbx_mount_row *row = &sbx_mount_rows[i];

		if (row->kind == SBX_MOUNT_CONSOLE)
			continue; /* a clone of the devpts mount, with its attributes */
		assert_true(row->attrs & MOUNT_ATTR_NOSUID);
		if (row->opens != SBX_PLACE_DEV && row->opens != SBX_PLACE_PTS)
			assert_true(row->attrs & MOUNT_ATTR_NODEV);
		if (row->stage == SBX_STAGE_GUEST)
			assert_true(row->attrs & MOUNT_ATTR_NOEXEC);
		if (row->kind == SBX_MOUNT_MASK_FILE || row->kind == SBX_MOUNT_MASK_DIR ||
		    row->kind == SBX_MOUNT_READ_ONLY || row->kind == SBX_MOUNT_VIEW ||
		    (row->type && str_eq(row->type, "sysfs")))
			assert_true(row->attrs & MOUNT_ATTR_RDONLY);
	}
}

static void masks_are_complete(void **state)
{
	static const struct {
		enum sbx_place in;
		enum sbx_mount_kind kind;
		const char *path;
	} wanted[] = {
		{SBX_PLACE_PROC, SBX_MOUNT_MASK_FILE, "kcore"},
		{SBX_PLACE_PROC, SBX_MOUNT_MASK_FILE, "keys"},
		{SBX_PLACE_PROC, SBX_MOUNT_MASK_FILE, "key-users"},
		{SBX_PLACE_PROC, SBX_MOUNT_MASK_FILE, "kallsyms"},
		{SBX_PLACE_PROC, SBX_MOUNT_MASK_FILE, "timer_list"},
		{SBX_PLACE_PROC, SBX_MOUNT_MASK_FILE, "sched_debug"},
		{SBX_PLACE_PROC, SBX_MOUNT_MASK_FILE, "latency_stats"},
		{SBX_PLACE_PROC, SBX_MOUNT_MASK_FILE, "iomem"},
		{SBX_PLACE_PROC, SBX_MOUNT_MASK_FILE, "ioports"},
		{SBX_PLACE_PROC, SBX_MOUNT_MASK_FILE, "kmsg"},
		{SBX_PLACE_PROC, SBX_MOUNT_MASK_FILE, "sysrq-trigger"},
		{SBX_PLACE_PROC, SBX_MOUNT_MASK_FILE, "config.gz"},
		{SBX_PLACE_PROC, SBX_MOUNT_MASK_DIR, "acpi"},
		{SBX_PLACE_PROC, SBX_MOUNT_MASK_DIR, "scsi"},
		{SBX_PLACE_PROC, SBX_MOUNT_MASK_DIR, "asound"},
		{SBX_PLACE_PROC, SBX_MOUNT_READ_ONLY, "bus"},
		{SBX_PLACE_PROC, SBX_MOUNT_READ_ONLY, "fs"},
		{SBX_PLACE_PROC, SBX_MOUNT_READ_ONLY, "irq"},
		{SBX_PLACE_SYS, SBX_MOUNT_MASK_DIR, "firmware"},
		{SBX_PLACE_SYS, SBX_MOUNT_MASK_DIR, "kernel/debug"},
		{SBX_PLACE_SYS, SBX_MOUNT_MASK_DIR, "kernel/tracing"},
		{SBX_PLACE_SYS, SBX_MOUNT_MASK_DIR, "kernel/config"},
		{SBX_PLACE_SYS, SBX_MOUNT_MASK_DIR, "kernel/security"},
		{SBX_PLACE_SYS, SBX_MOUNT_MASK_DIR, "kernel/slab"},
		{SBX_PLACE_SYS, SBX_MOUNT_MASK_DIR, "fs/pstore"},
		{SBX_PLACE_SYS, SBX_MOUNT_MASK_DIR, "fs/bpf"},
		{SBX_PLACE_SYS, SBX_MOUNT_MASK_DIR, "module"},
		{SBX_PLACE_SYS, SBX_MOUNT_MASK_DIR, "devices/virtual/powercap"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		const struct sbx_mount_row *row = find(wanted[i].in, wanted[i].path);

		assert_non_null(row->path);
		assert_int_equal(row->kind, wanted[i].kind);
		assert_int_equal(row->features, 0); /* no feature takes a mask away */
	}
}

/* Each under a name of its own: the last of its path says which file it is. */
static void views_are_complete(void **state)
{
	static const struct {
		enum sbx_place in;
		const char *path;
	} wanted[] = {
		{SBX_PLACE_PROC, "cpuinfo"},
		{SBX_PLACE_SYS, "devices/system/cpu/online"},
	};
	unsigned n = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		const struct sbx_mount_row *row = find(wanted[i].in, wanted[i].path);

		assert_non_null(row->path);
		assert_int_equal(row->kind, SBX_MOUNT_VIEW);
		assert_int_equal(row->features, 0);
		assert_true(row->stage == SBX_STAGE_GUEST);
	}
	for (unsigned i = 0; i < sbx_mount_rows_count; i++)
		n += sbx_mount_rows[i].kind == SBX_MOUNT_VIEW;
	assert_int_equal(n, sizeof(wanted) / sizeof(wanted[0]));
}

static void file_systems_are_complete(void **state)
{
	(void)state;
	assert_string_equal(find(SBX_PLACE_ROOT, "dev")->type, "tmpfs");
	assert_string_equal(find(SBX_PLACE_DEV, "pts")->type, "devpts");
	assert_string_equal(find(SBX_PLACE_DEV, "shm")->type, "tmpfs");
	assert_string_equal(find(SBX_PLACE_DEV, "mqueue")->type, "mqueue");
	assert_string_equal(find(SBX_PLACE_ROOT, "run")->type, "tmpfs");
	assert_string_equal(find(SBX_PLACE_ROOT, "proc")->type, "proc");
	assert_string_equal(find(SBX_PLACE_ROOT, "sys")->type, "sysfs");
	assert_string_equal(find(SBX_PLACE_SYS, "fs/cgroup")->type, "cgroup2");
	assert_int_equal(find(SBX_PLACE_DEV, "console")->kind, SBX_MOUNT_CONSOLE);
	/* The unmasked copies are for nesting only. */
	assert_int_equal(find(SBX_PLACE_DEV, ".vps/proc")->features, SBX_FEATURE_NESTING);
	assert_int_equal(find(SBX_PLACE_DEV, ".vps/sys")->features, SBX_FEATURE_NESTING);
}

static const char *value_of(const struct sbx_mount_option *o, const char *key)
{
	for (; o->key; o++)
		if (str_eq(o->key, key))
			return o->value ? o->value : "(flag)";
	return NULL;
}

static void options_are_filled_in(void **state)
{
	struct sbx_mount_option o[SBX_MOUNT_OPTIONS_MAX];
	struct sbx_launch l;
	char storage[256];
	struct err err = ERR_INIT;

	(void)state;
	sbx_launch_init(&l);
	l.base = 4294901759u; /* the longest */
	l.run_size = UINT64_MAX;
	for (unsigned i = 0; i < sbx_mount_rows_count; i++)
		assert_int_equal(sbx_mount_row_options(&sbx_mount_rows[i], &l, storage, o, &err),
				 0);
	assert_int_equal(sbx_mount_row_options(find(SBX_PLACE_DEV, "pts"), &l, storage, o, &err),
			 0);
	assert_string_equal(value_of(o, "gid"), "4294901764");
	assert_string_equal(value_of(o, "newinstance"), "(flag)");
	assert_string_equal(value_of(o, "max"), "256");
	assert_int_equal(sbx_mount_row_options(find(SBX_PLACE_ROOT, "run"), &l, storage, o, &err),
			 0);
	assert_string_equal(value_of(o, "size"), "18446744073709551615");
	assert_string_equal(value_of(o, "nr_inodes"), "100000");
	assert_int_equal(sbx_mount_row_options(find(SBX_PLACE_DEV, "shm"), &l, storage, o, &err),
			 0);
	assert_string_equal(value_of(o, "size"), "67108864");
	assert_string_equal(value_of(o, "uid"), "4294901759");
	assert_null(value_of(o, "nonesuch"));
}

static void bad_options_are_refused(void **state)
{
	struct sbx_mount_option o[SBX_MOUNT_OPTIONS_MAX];
	struct sbx_mount_row row = {.path = "x", .options = "size=$nonesuch"};
	struct sbx_launch l;
	struct err err = ERR_INIT;
	char storage[256];

	(void)state;
	sbx_launch_init(&l);
	assert_int_equal(sbx_mount_row_options(&row, &l, storage, o, &err), -EINVAL);
	row.options = "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p";
	assert_int_equal(sbx_mount_row_options(&row, &l, storage, o, &err), -E2BIG);
	row.options = NULL;
	assert_int_equal(sbx_mount_row_options(&row, &l, storage, o, &err), 0);
	assert_null(o[0].key);
}

static void devices_are_the_allowed_ones(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sbx_devices_count; i++) {
		const struct sbx_device *d = &sbx_devices[i];

		assert_true((d->major == 1 && strchr("\3\5\7\10\11", (int)d->minor)) ||
			    (d->major == 5 && d->minor == 0) ||
			    (d->major == 10 && d->minor == 200 && d->features == SBX_FEATURE_TUN) ||
			    (d->major == 10 && d->minor == 229 && d->features == SBX_FEATURE_FUSE));
		assert_int_equal(d->mode, 0666);
	}
	assert_int_equal(sbx_devices_count, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_well_formed),
		cmocka_unit_test(every_tmpfs_has_bounds),
		cmocka_unit_test(attributes_are_tight),
		cmocka_unit_test(masks_are_complete),
		cmocka_unit_test(views_are_complete),
		cmocka_unit_test(file_systems_are_complete),
		cmocka_unit_test(options_are_filled_in),
		cmocka_unit_test(bad_options_are_refused),
		cmocka_unit_test(devices_are_the_allowed_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
