/* SPDX-License-Identifier: Apache-2.0 */
/* Is a description complete and possible? See check.h. */
#include "runtime/sandbox/check.h"

#include <string.h>

#include "base/path.h"
#include "base/str.h"
#include "runtime/sandbox/devices.h"
#include "runtime/sandbox/idmap.h"

#define FEATURES_ALL (SBX_FEATURE_NESTING | SBX_FEATURE_TUN | SBX_FEATURE_FUSE)

int sbx_words_count(char *const *words)
{
	for (int n = 0; n <= (int)SBX_ARGS_MAX; n++)
		if (!words[n])
			return n;
	return -E2BIG;
}

static int check_words(char *const *argv, char *const *envp, struct err *err)
{
	if (!argv || !argv[0] || argv[0][0] == '\0')
		return err_set(err, EINVAL, "no program to run");
	if (!envp)
		return err_set(err, EINVAL, "no environment");
	if (sbx_words_count(argv) < 0 || sbx_words_count(envp) < 0)
		return err_set(err, E2BIG, "more than %d arguments or environment variables",
			       SBX_ARGS_MAX);
	return 0;
}

static int check_limits(const struct rlimit limits[RLIM_NLIMITS], struct err *err)
{
	for (unsigned i = 0; i < RLIM_NLIMITS; i++)
		if (limits[i].rlim_cur > limits[i].rlim_max)
			return err_set(err, EINVAL,
				       "resource limit %u: soft limit above hard limit", i);
	return 0;
}

static int check_root(const struct sbx_launch *l, struct err *err)
{
	if (l->rootfs_plain >= 0)
		return 0;
	if (l->n_layers < 1 || l->n_layers > SBX_LAYERS_MAX)
		return err_set(err, EINVAL, "%u image layers, not 1..%d", l->n_layers,
			       SBX_LAYERS_MAX);
	for (unsigned i = 0; i < l->n_layers; i++)
		if (l->layers[i] < 0)
			return err_set(err, EINVAL, "image layer %u is missing", i);
	if (l->upper < 0)
		return err_set(err, EINVAL, "the writable layer is missing");
	return 0;
}

#define PATH_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.,:+@/-"
/* The kernel's dev_t has 12 and 20 bits. */
#define MAJOR_MAX 0xfffu
#define MINOR_MAX 0xfffffu

static int check_node(const struct sbx_node *n, struct err *err)
{
	if (memchr(n->path, '\0', sizeof(n->path)) == NULL || !path_is_plain_relative(n->path) ||
	    n->path[strspn(n->path, PATH_CHARACTERS)] != '\0')
		return err_set(err, EINVAL, "a device has no path below /dev");
	if (sbx_device_is_taken(n->path))
		return err_set(err, EINVAL, "'/dev/%s' is in every guest already", n->path);
	if (n->major > MAJOR_MAX || n->minor > MINOR_MAX || (n->mode & ~0666u))
		return err_set(err, EINVAL, "'/dev/%s' cannot be device %u:%u with mode %#o",
			       n->path, n->major, n->minor, n->mode);
	return 0;
}

static int check_nodes(const struct sbx_launch *l, struct err *err)
{
	if (l->n_nodes > SBX_NODES_MAX)
		return err_set(err, E2BIG, "%u devices, not at most %d", l->n_nodes, SBX_NODES_MAX);
	for (unsigned i = 0; i < l->n_nodes; i++) {
		int r = check_node(&l->nodes[i], err);

		if (r < 0)
			return r;
		for (unsigned k = 0; k < i; k++)
			if (str_eq(l->nodes[k].path, l->nodes[i].path))
				return err_set(err, EINVAL, "'/dev/%s' is there twice",
					       l->nodes[i].path);
	}
	return 0;
}

static int check_file(const struct sbx_file *f, struct err *err)
{
	size_t mark;

	if (!path_is_plain_relative(f->path) || strlen(f->path) >= SBX_FILE_PATH ||
	    f->path[strspn(f->path, PATH_CHARACTERS)] != '\0')
		return err_set(err, EINVAL, "a file has no path below the guest's root");
	mark = f->text ? strcspn(f->text, "\n") : 0;
	if (mark == 0 || f->text[mark] == '\0')
		return err_set(err, EINVAL, "'/%s' has no mark in its first line", f->path);
	if (strlen(f->text) > SBX_FILE_TEXT)
		return err_set(err, E2BIG, "'/%s' has more than %u bytes", f->path, SBX_FILE_TEXT);
	if ((f->mode & ~0777u) || f->rule >= SBX_FILE_RULE_MAX)
		return err_set(err, EINVAL, "'/%s' has an unknown rule, or mode %#o", f->path,
			       f->mode);
	return 0;
}

static int check_files(const struct sbx_launch *l, struct err *err)
{
	if (l->n_files > SBX_FILES_MAX)
		return err_set(err, E2BIG, "%u files, not at most %d", l->n_files, SBX_FILES_MAX);
	for (unsigned i = 0; i < l->n_files; i++) {
		int r = check_file(&l->files[i], err);

		if (r < 0)
			return r;
		for (unsigned k = 0; k < i; k++)
			if (str_eq(l->files[k].path, l->files[i].path))
				return err_set(err, EINVAL, "'/%s' is there twice",
					       l->files[i].path);
	}
	return 0;
}

int sbx_launch_check(const struct sbx_launch *l, struct err *err)
{
	int r = sbx_idmap_check(l->base, err);

	if (r < 0)
		return r;
	if (!l->hostname || !str_is_hostname(l->hostname))
		return err_set(err, EINVAL, "'%s' is not a host name",
			       l->hostname ? l->hostname : "");
	/* sethostname(2) takes 64 bytes. */
	if (strlen(l->hostname) > 64)
		return err_set(err, EINVAL, "host name '%s' is longer than 64 characters",
			       l->hostname);
	r = check_words(l->argv, l->envp, err);
	if (r < 0)
		return r;
	if (l->argv[0][0] != '/')
		return err_set(err, EINVAL, "init '%s' is not an absolute path", l->argv[0]);
	if (l->features & ~FEATURES_ALL)
		return err_set(err, EINVAL, "unknown features 0x%x", l->features & ~FEATURES_ALL);
	if (l->cgroup < 0)
		return err_set(err, EINVAL, "the cgroup is missing");
	r = check_nodes(l, err);
	if (r >= 0)
		r = check_files(l, err);
	if (r >= 0)
		r = check_root(l, err);
	return r < 0 ? r : check_limits(l->rlimits, err);
}

int sbx_join_check(const struct sbx_join *j, struct err *err)
{
	int r = sbx_idmap_check(j->base, err);

	if (r < 0)
		return r;
	if (j->uid >= SBX_ID_RANGE || j->gid >= SBX_ID_RANGE)
		return err_set(err, EINVAL, "user %u:%u does not exist in a guest", j->uid, j->gid);
	r = check_words(j->argv, j->envp, err);
	if (r < 0)
		return r;
	if (j->cwd && j->cwd[0] != '\0' && j->cwd[0] != '/')
		return err_set(err, EINVAL, "working directory '%s' is not an absolute path",
			       j->cwd);
	if (j->pidfd < 0 || j->cgroup < 0)
		return err_set(err, EINVAL, "the guest's process or cgroup is missing");
	for (int i = 0; i < 3 && !j->tty; i++)
		if (j->stdio[i] < 0)
			return err_set(err, EINVAL, "standard file descriptor %d is missing", i);
	return check_limits(j->rlimits, err);
}
