/* SPDX-License-Identifier: Apache-2.0 */
/* vps-job build, archive, releases: images of distributions. */
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "runtime/jobs/bootstrap.h"
#include "runtime/jobs/import.h"
#include "runtime/jobs/job.h"

struct options {
	const char *pool, *release, *mirror, *cache;
	uint64_t range_base;
};

#define OPT(name, type, required, member)                                                          \
	{                                                                                          \
		name, type, required, offsetof(struct options, member), 0, 0                       \
	}

static const struct job_opt build_rows[] = {
	OPT("--pool", JOB_OPT_PATH, true, pool),
	{"--range-base", JOB_OPT_U64, true, offsetof(struct options, range_base), JOB_RANGE_MIN,
	 JOB_RANGE_MAX},
	OPT("--release", JOB_OPT_STRING, true, release),
	OPT("--mirror", JOB_OPT_STRING, false, mirror),
	OPT("--cache", JOB_OPT_PATH, false, cache),
	{0},
};

static const struct job_opt archive_rows[] = {
	OPT("--release", JOB_OPT_STRING, true, release),
	OPT("--mirror", JOB_OPT_STRING, false, mirror),
	OPT("--cache", JOB_OPT_PATH, true, cache),
	{0},
};

static const struct job_opt no_rows[] = {{0}};

static int import_archive(struct img_store *store, const struct options *o, int fd,
			  struct img_manifest *man, bool *existed, struct err *err)
{
	struct import in = {
		.store = store,
		.fd = fd,
		.range_base = (uint32_t)o->range_base,
		.limits = IMG_LIMITS_DEFAULT,
	};
	struct stat st;

	if (fstat(fd, &st) == 0)
		in.size = (uint64_t)st.st_size;
	return import_run(&in, man, existed, err);
}

static int build(struct img_store *store, const struct options *o, struct img_manifest *man,
		 bool *existed, struct err *err)
{
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int fd = -1;
	const struct release *rel;
	char tmp_name[64] = "";
	int r;

	r = release_find(o->release, &rel, err);
	if (r < 0)
		return r;
	dir = o->cache ? path_make_dir(o->cache, 0755, err)
		       : img_store_tmp_make(store, "build", tmp_name, err);
	if (dir < 0)
		return dir;
	fd = bootstrap_archive(rel, o->mirror, dir, err);
	r = fd < 0 ? fd : import_archive(store, o, fd, man, existed, err);
	if (tmp_name[0] != '\0')
		(void)path_remove_tree(img_store_tmp_fd(store), tmp_name, NULL);
	return r;
}

int job_build(int argc, char **argv)
{
	_cleanup_free_ struct img_manifest *man = calloc(1, sizeof(*man));
	_cleanup_img_store_ struct img_store *store = NULL;
	struct options o = {0};
	struct err err = ERR_INIT;
	bool existed = false;
	json_t *result;

	if (!man)
		return job_error(&(struct err){.code = ENOMEM, .msg = "out of memory"});
	if (job_args(argc, argv, build_rows, &o, &err) < 0 ||
	    img_store_open(o.pool, &store, &err) < 0 || build(store, &o, man, &existed, &err) < 0)
		return job_error(&err);
	result = job_image_json(man, existed);
	if (result)
		(void)json_object_set_new(result, "release", json_string(o.release));
	return job_result(result);
}

int job_archive(int argc, char **argv)
{
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int fd = -1;
	const struct release *rel;
	struct options o = {0};
	struct err err = ERR_INIT;
	char path[4096];

	if (job_args(argc, argv, archive_rows, &o, &err) < 0 ||
	    release_find(o.release, &rel, &err) < 0)
		return job_error(&err);
	dir = path_make_dir(o.cache, 0755, &err);
	if (dir < 0)
		return job_error(&err);
	fd = bootstrap_archive(rel, o.mirror, dir, &err);
	if (fd < 0)
		return job_error(&err);
	if (str_fmt(path, sizeof(path), "%s/%s.tar", o.cache, rel->name) < 0)
		return job_error(&(struct err){.code = EINVAL, .msg = "the path is too long"});
	return job_result(json_pack("{s:s}", "path", path));
}

int job_releases(int argc, char **argv)
{
	json_t *list = json_array();
	struct err err = ERR_INIT;
	int dummy;

	if (job_args(argc, argv, no_rows, &dummy, &err) < 0) {
		json_decref(list);
		return job_error(&err);
	}
	for (size_t i = 0; release_at(i); i++)
		(void)json_array_append_new(list, json_string(release_at(i)->name));
	return job_result(json_pack("{s:o}", "releases", list));
}
