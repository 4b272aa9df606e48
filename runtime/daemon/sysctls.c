/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel settings that all guests share, or that bound each: one row for each. */
#include "runtime/daemon/sysctls.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"

#define TEXT_MAX 4096u

/* Shown; any value does. */
#define CEILING(file)                                                                              \
	{                                                                                          \
		"user." file, "user/" file, 0, "", false, true                                     \
	}
/* Each guest has one of its own. */
#define NAMESPACES(kind)                                                                           \
	{                                                                                          \
		"user.max_" kind "_namespaces", "user/max_" kind "_namespaces", 1,                 \
			"no guest can start", false, true                                          \
	}

/* The values are those of packaging/sysctl.d/vpsd.conf, or what is enough. */
static const struct {
	const char *name, *path;
	uint64_t wanted;
	const char *why;
	bool when_piped; /* matters only where cores go to a program */
	bool per_instance;
} rows[SYSCTL_MAX] = {
	/* A devpts that is not the host's first may use what pty.reserve leaves of pty.max, and
	 * root of a guest can mount one more that takes a million. */
	[SYSCTL_PTY_MAX] = {"kernel.pty.max", "kernel/pty/max", 1048576,
			    "one guest can take the terminals that all others need to start", false,
			    false},
	[SYSCTL_AIO_MAX_NR] = {"fs.aio-max-nr", "fs/aio-max-nr", 134217728,
			       "one guest can take the asynchronous I/O of all others", false,
			       false},
	/* 0 is no limit: proc_sys_kernel(5). */
	[SYSCTL_CORE_PIPE_LIMIT] =
		{"kernel.core_pipe_limit", "kernel/core_pipe_limit", 1,
		 "core_pattern starts a program on the host, as root and outside "
		 "the limits of a guest, for each process of a guest that "
		 "crashes",
		 true, false},
	/* The names of user.max_inotify_* in the kernel's first user namespace. */
	[SYSCTL_INOTIFY_INSTANCES] = {"fs.inotify.max_user_instances",
				      "fs/inotify/max_user_instances", 1024,
				      "a guest with a few containers runs out of them", false,
				      true},
	[SYSCTL_INOTIFY_WATCHES] = {"fs.inotify.max_user_watches", "fs/inotify/max_user_watches",
				    65536, "a guest that watches a source tree runs out of them",
				    false, true},
	[SYSCTL_FANOTIFY_GROUPS] = CEILING("max_fanotify_groups"),
	[SYSCTL_FANOTIFY_MARKS] = CEILING("max_fanotify_marks"),
	[SYSCTL_USER_NAMESPACES] = NAMESPACES("user"),
	[SYSCTL_PID_NAMESPACES] = NAMESPACES("pid"),
	[SYSCTL_MNT_NAMESPACES] = NAMESPACES("mnt"),
	[SYSCTL_NET_NAMESPACES] = NAMESPACES("net"),
	[SYSCTL_IPC_NAMESPACES] = NAMESPACES("ipc"),
	[SYSCTL_UTS_NAMESPACES] = NAMESPACES("uts"),
	[SYSCTL_CGROUP_NAMESPACES] = NAMESPACES("cgroup"),
	[SYSCTL_TIME_NAMESPACES] = NAMESPACES("time"),
};

/* The first line of a file. */
static int read_text(const char *proc_sys, const char *name, char dst[TEXT_MAX])
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	size_t len = 0;
	int r = str_fmt(path, sizeof(path), "%s/%s", proc_sys, name);

	if (r >= 0)
		r = file_read_at(AT_FDCWD, path, TEXT_MAX - 1, &text, &len, NULL);
	if (r < 0)
		return r;
	memcpy(dst, text, len);
	dst[len] = '\0';
	dst[strcspn(dst, "\n")] = '\0';
	return 0;
}

void sysctls_read(const char *proc_sys, struct sysctl_status ret[SYSCTL_MAX])
{
	char text[TEXT_MAX];
	bool piped = read_text(proc_sys, "kernel/core_pattern", text) == 0 && text[0] == '|';

	for (size_t i = 0; i < SYSCTL_MAX; i++) {
		struct sysctl_status *s = &ret[i];

		*s = (struct sysctl_status){.name = rows[i].name,
					    .why = rows[i].why,
					    .wanted = rows[i].wanted,
					    .per_instance = rows[i].per_instance};
		s->is_known = read_text(proc_sys, rows[i].path, text) == 0 &&
			      num_parse_u64(text, 0, UINT64_MAX, &s->value) == 0;
		s->is_good =
			!s->is_known || s->value >= s->wanted || (rows[i].when_piped && !piped);
	}
}

void sysctls_warn(void)
{
	struct sysctl_status all[SYSCTL_MAX];

	sysctls_read(SYSCTL_ROOT, all);
	for (size_t i = 0; i < SYSCTL_MAX; i++)
		if (!all[i].is_good)
			log_warning("%s is %llu, at least %llu would be right: %s", all[i].name,
				    (unsigned long long)all[i].value,
				    (unsigned long long)all[i].wanted, all[i].why);
}
