/* SPDX-License-Identifier: Apache-2.0 */
/* The id map of a guest: see idmap.h. */
#include "runtime/sandbox/idmap.h"

#include <fcntl.h>

#include "base/file.h"
#include "base/str.h"
#include "runtime/sandbox/sandbox.h"

int sbx_idmap_check(uint32_t base, struct err *err)
{
	/* Root in a user namespace that maps host uid 0 passes every permission check of /proc/sys;
	 * a range among the host's own users would own their files. (uid_t)-1 is no id. */
	if (base < SBX_BASE_MIN || base > UINT32_MAX - SBX_ID_RANGE)
		return err_set(err, EINVAL, "base id %u is outside %u..%u", base, SBX_BASE_MIN,
			       UINT32_MAX - SBX_ID_RANGE);
	return 0;
}

int sbx_idmap_write(pid_t pid, uint32_t base, struct err *err)
{
	static const char *const files[] = {"uid_map", "gid_map"};
	char path[64], map[64];
	int r = sbx_idmap_check(base, err);

	if (r < 0)
		return r;
	(void)str_fmt(map, sizeof(map), "0 %u %u\n", base, SBX_ID_RANGE);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		(void)str_fmt(path, sizeof(path), "/proc/%d/%s", pid, files[i]);
		r = file_write_at(AT_FDCWD, path, map, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int sbx_idmap_open(pid_t pid, struct err *err)
{
	char path[64];

	(void)str_fmt(path, sizeof(path), "/proc/%d/ns/user", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "cannot open '%s'", path) : fd;
}
