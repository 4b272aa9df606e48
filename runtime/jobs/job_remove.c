/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vps-job remove-instance, remove-image, clean-tmp. What is removed moves into tmp/ first, in one
 * rename: from then on it does not exist, however long the deletion takes and whether it ends.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "images/store.h"
#include "runtime/jobs/job.h"

struct options {
	const char *pool, *id, *digest;
};

#define POOL                                                                                       \
	{                                                                                          \
		"--pool", JOB_OPT_PATH, true, offsetof(struct options, pool), 0, 0                 \
	}

static const struct job_opt instance_rows[] = {
	POOL,
	{"--id", JOB_OPT_ID, true, offsetof(struct options, id), 0, 0},
	{0},
};

static const struct job_opt image_rows[] = {
	POOL,
	{"--digest", JOB_OPT_DIGEST, true, offsetof(struct options, digest), 0, 0},
	{0},
};

static const struct job_opt clean_rows[] = {POOL, {0}};

/* Returns 1 when it was there. */
static int remove_from(const struct img_store *store, int dirfd, const char *name, struct err *err)
{
	int tmp = img_store_tmp_fd(store);
	_cleanup_close_ int work = -1;
	char work_name[64];
	struct stat st;
	int r;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "cannot find '%s'", name);
	work = img_store_tmp_make(store, "remove", work_name, err);
	if (work < 0)
		return work;
	if (renameat2(dirfd, name, work, name, RENAME_NOREPLACE) < 0)
		return errno == ENOENT ? path_remove_tree(tmp, work_name, err)
				       : err_sys(err, "cannot remove '%s'", name);
	if (fsync(dirfd) < 0 || fsync(work) < 0)
		return err_sys(err, "cannot write the removal of '%s' to disk", name);
	r = path_remove_tree(tmp, work_name, err);
	return r < 0 ? r : 1;
}

static int finish(int r, const struct err *err)
{
	return r < 0 ? job_error(err) : job_result(json_pack("{s:b}", "removed", r));
}

int job_remove_instance(int argc, char **argv)
{
	_cleanup_img_store_ struct img_store *store = NULL;
	struct options o = {0};
	struct err err = ERR_INIT;

	if (job_args(argc, argv, instance_rows, &o, &err) < 0 ||
	    img_store_open(o.pool, &store, &err) < 0)
		return job_error(&err);
	return finish(remove_from(store, img_store_instances_fd(store), o.id, &err), &err);
}

int job_remove_image(int argc, char **argv)
{
	_cleanup_img_store_ struct img_store *store = NULL;
	struct options o = {0};
	struct err err = ERR_INIT;

	if (job_args(argc, argv, image_rows, &o, &err) < 0 ||
	    img_store_open(o.pool, &store, &err) < 0)
		return job_error(&err);
	return finish(remove_from(store, img_store_images_fd(store), o.digest, &err), &err);
}

int job_clean_tmp(int argc, char **argv)
{
	_cleanup_img_store_ struct img_store *store = NULL;
	struct options o = {0};
	struct err err = ERR_INIT;
	unsigned removed = 0;

	if (job_args(argc, argv, clean_rows, &o, &err) < 0 ||
	    img_store_open(o.pool, &store, &err) < 0 ||
	    img_store_clean_tmp(store, &removed, &err) < 0)
		return job_error(&err);
	return job_result(json_pack("{s:i}", "removed", (int)removed));
}
