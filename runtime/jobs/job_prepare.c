/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vps-job prepare, set-hostname. The directory of an instance is built in tmp/ and appears by one
 * rename, so it is either complete or not there.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "images/store.h"
#include "runtime/jobs/identity.h"
#include "runtime/jobs/job.h"

struct options {
	const char *pool, *id, *digest, *hostname;
	uint64_t project;
};

#define OPT(name, type, required, member)                                                          \
	{                                                                                          \
		name, type, required, offsetof(struct options, member), 0, 0                       \
	}

static const struct job_opt prepare_rows[] = {
	OPT("--pool", JOB_OPT_PATH, true, pool),
	OPT("--id", JOB_OPT_ID, true, id),
	OPT("--digest", JOB_OPT_DIGEST, true, digest),
	OPT("--hostname", JOB_OPT_HOSTNAME, false, hostname),
	{"--project", JOB_OPT_U64, false, offsetof(struct options, project), 1, UINT32_MAX},
	{0},
};

static const struct job_opt rename_rows[] = {
	OPT("--pool", JOB_OPT_PATH, true, pool),
	OPT("--id", JOB_OPT_ID, true, id),
	OPT("--hostname", JOB_OPT_HOSTNAME, true, hostname),
	{0},
};

static int finish(const char *id, const struct identity_warnings *w)
{
	json_t *list = json_array();

	for (size_t i = 0; i < w->list.n_warnings; i++)
		(void)json_array_append_new(list, json_string(w->list.warnings[i]));
	return job_result(json_pack("{s:s,s:o}", "id", id, "warnings", list));
}

/* Everything made below a directory with a project id inherits it. */
static int set_project(int fd, uint32_t project, struct err *err)
{
	struct fsxattr x;

	if (project == 0)
		return 0;
	if (ioctl(fd, FS_IOC_FSGETXATTR, &x) == 0) {
		x.fsx_projid = project;
		x.fsx_xflags |= FS_XFLAG_PROJINHERIT;
		if (ioctl(fd, FS_IOC_FSSETXATTR, &x) == 0)
			return 0;
	}
	if (errno == ENOTTY || errno == EOPNOTSUPP || errno == EINVAL)
		return err_set(err, EOPNOTSUPP, "the pool's file system has no project ids");
	return err_sys(err, "cannot set the project id of the instance");
}

static int make_dir(int at, const char *name, mode_t mode, uint32_t project, struct err *err)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (mkdirat(at, name, 0700) < 0)
		return err_sys(err, "cannot make directory '%s' of the instance", name);
	fd = path_open_beneath(at, name, O_RDONLY | O_DIRECTORY, 0, err);
	if (fd < 0)
		return fd;
	if (fchmod(fd, mode) < 0)
		return err_sys(err, "cannot set the mode of directory '%s'", name);
	r = set_project(fd, project, err);
	return r < 0 ? r : take_fd(&fd);
}

/* Fills work/fs and work/keys. */
static int build(const struct options *o, int lower, int work, struct identity_warnings *w,
		 struct err *err)
{
	_cleanup_close_ int fs = make_dir(work, "fs", 0700, (uint32_t)o->project, err);
	_cleanup_close_ int upper = -1;
	_cleanup_close_ int workdir = -1;
	_cleanup_close_ int scratch = -1;
	struct identity who = {.lower = lower, .hostname = o->hostname};
	char fallback[ID_TEXT + 4];
	struct stat st;
	int r;

	if (fs < 0)
		return fs;
	if (fstat(lower, &st) < 0)
		return err_sys(err, "cannot read the root directory of the image");
	upper = make_dir(fs, "upper", st.st_mode & 07777, 0, err);
	if (upper < 0)
		return upper;
	workdir = make_dir(fs, "work", 0700, 0, err);
	if (workdir < 0)
		return workdir;
	scratch = make_dir(work, "keys", 0700, 0, err);
	if (scratch < 0)
		return scratch;
	(void)str_fmt(fallback, sizeof(fallback), "vps-%s", o->id);
	if (!who.hostname)
		who.hostname = fallback;
	who.upper = upper;
	who.scratch = scratch;
	r = identity_write(&who, w, err);
	if (r < 0)
		return r;
	r = path_remove_tree(work, "keys", err);
	return r < 0 ? r : job_check(err);
}

static int prepare(const struct img_store *store, const struct options *o,
		   struct identity_warnings *w, struct err *err)
{
	int tmp = img_store_tmp_fd(store), instances = img_store_instances_fd(store);
	_cleanup_close_ int lower = img_store_tree(store, o->digest, err);
	_cleanup_close_ int work = -1;
	char work_name[64], inner[64 + ID_TEXT + 1];
	int dir, r;

	if (lower < 0)
		return lower;
	if (img_instance_has(store, o->id))
		return 0; /* it was renamed into place, so it is complete */
	work = img_store_tmp_make(store, "prepare", work_name, err);
	if (work < 0)
		return work;
	(void)str_fmt(inner, sizeof(inner), "%s/%s", work_name, o->id);
	dir = make_dir(work, o->id, 0700, 0, err);
	r = dir < 0 ? dir : build(o, lower, dir, w, err);
	cleanup_close(&dir);
	if (r == 0 && syncfs(work) < 0)
		r = err_sys(err, "cannot write the instance to disk");
	/* That took its time: who cancelled meanwhile expects no directory. */
	if (r == 0)
		r = job_check(err);
	if (r == 0 && renameat2(tmp, inner, instances, o->id, RENAME_NOREPLACE) < 0)
		r = err_sys(err, "cannot publish the directory of the instance");
	if (r == 0 && fsync(instances) < 0)
		r = err_sys(err, "cannot write the directory of instances to disk");
	(void)path_remove_tree(tmp, work_name, NULL); /* clean-tmp has it otherwise */
	return r;
}

int job_prepare(int argc, char **argv)
{
	_cleanup_free_ struct identity_warnings *w = calloc(1, sizeof(*w));
	_cleanup_img_store_ struct img_store *store = NULL;
	struct options o = {0};
	struct err err = ERR_INIT;

	if (!w)
		return job_error(&(struct err){.code = ENOMEM, .msg = "out of memory"});
	if (job_args(argc, argv, prepare_rows, &o, &err) < 0 ||
	    img_store_open(o.pool, &store, &err) < 0 || prepare(store, &o, w, &err) < 0)
		return job_error(&err);
	return finish(o.id, w);
}

static int rename_host(const struct img_store *store, const struct options *o,
		       struct identity_warnings *w, struct err *err)
{
	_cleanup_close_ int fs = img_instance_open(store, o->id, err);
	_cleanup_close_ int upper = -1;

	if (fs < 0)
		return fs;
	upper = path_open_beneath(fs, "upper", O_RDONLY | O_DIRECTORY, 0, err);
	return upper < 0 ? upper : identity_rename(upper, o->hostname, w, err);
}

int job_set_hostname(int argc, char **argv)
{
	_cleanup_free_ struct identity_warnings *w = calloc(1, sizeof(*w));
	_cleanup_img_store_ struct img_store *store = NULL;
	struct options o = {0};
	struct err err = ERR_INIT;

	if (!w)
		return job_error(&(struct err){.code = ENOMEM, .msg = "out of memory"});
	if (job_args(argc, argv, rename_rows, &o, &err) < 0 ||
	    img_store_open(o.pool, &store, &err) < 0 || rename_host(store, &o, w, &err) < 0)
		return job_error(&err);
	return finish(o.id, w);
}
