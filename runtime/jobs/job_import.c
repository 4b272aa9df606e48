/* SPDX-License-Identifier: Apache-2.0 */
/* vps-job import: an archive on stdin becomes an image. */
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/jobs/import.h"
#include "runtime/jobs/job.h"

struct options {
	const char *pool;
	const char *expect_digest;
	uint64_t range_base, size, max_bytes, max_entries;
	bool allow_no_init;
};

#define OPT(name, type, required, member, ...)                                                     \
	{                                                                                          \
		name, type, required, offsetof(struct options, member), __VA_ARGS__                \
	}

static const struct job_opt rows[] = {
	OPT("--pool", JOB_OPT_PATH, true, pool, 0, 0),
	OPT("--range-base", JOB_OPT_U64, true, range_base, JOB_RANGE_MIN, JOB_RANGE_MAX),
	OPT("--expect-digest", JOB_OPT_DIGEST, false, expect_digest, 0, 0),
	OPT("--max-bytes", JOB_OPT_U64, false, max_bytes, 1, INT64_MAX),
	OPT("--max-entries", JOB_OPT_U64, false, max_entries, 1, UINT32_MAX),
	OPT("--size", JOB_OPT_U64, false, size, 0, INT64_MAX),
	OPT("--allow-no-init", JOB_OPT_FLAG, false, allow_no_init, 0, 0),
	{0},
};

int job_import(int argc, char **argv)
{
	_cleanup_img_store_ struct img_store *store = NULL;
	struct options o = {
		.max_bytes = IMG_LIMITS_DEFAULT.bytes,
		.max_entries = IMG_LIMITS_DEFAULT.entries,
	};
	struct import in = {.fd = STDIN_FILENO, .limits = IMG_LIMITS_DEFAULT};
	_cleanup_free_ struct img_manifest *man = calloc(1, sizeof(*man));
	struct err err = ERR_INIT;
	struct stat st;
	bool existed;

	if (!man)
		return job_error(&(struct err){.code = ENOMEM, .msg = "out of memory"});
	if (job_args(argc, argv, rows, &o, &err) < 0 || img_store_open(o.pool, &store, &err) < 0)
		return job_error(&err);
	in.store = store;
	in.range_base = (uint32_t)o.range_base;
	in.expect_digest = o.expect_digest;
	in.allow_no_init = o.allow_no_init;
	in.limits.bytes = o.max_bytes;
	in.limits.entries = o.max_entries;
	if (in.limits.file_bytes > in.limits.bytes)
		in.limits.file_bytes = in.limits.bytes;
	in.size = o.size;
	if (in.size == 0 && fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode))
		in.size = (uint64_t)st.st_size;
	if (import_run(&in, man, &existed, &err) < 0)
		return job_error(&err);
	return job_result(job_image_json(man, existed));
}
