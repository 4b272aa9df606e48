/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mmdebstrap runs as root and installs packages that apt has verified: its result is as trusted as
 * the distribution. It is imported like any other archive all the same.
 */
#include "runtime/jobs/bootstrap.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/str.h"
#include "runtime/jobs/job.h"
#include "runtime/jobs/tool.h"

#define SOURCES_MAX (64u * 1024)
#define ARG_TEXT 512
#define ARGS_MAX 32

/* A server that behaves like one, and no more: logins, time zone and network come from outside. */
#define PACKAGES                                                                                   \
	"systemd,systemd-sysv,dbus,libpam-systemd,iproute2,iputils-ping,procps,openssh-server,"    \
	"ca-certificates,netbase,tzdata,less,nano"

/* What belongs to one machine, ours or the one that is built on: gone before the archive is made.
 * The shell of this literal line is mmdebstrap's. */
#define STRIP_HOOK                                                                                 \
	"--customize-hook=rm -f \"$1\"/etc/resolv.conf \"$1\"/etc/hostname "                       \
	"\"$1\"/etc/ssh/ssh_host_* \"$1\"/var/lib/systemd/random-seed"

struct args {
	char texts[ARGS_MAX][ARG_TEXT];
	const char *argv[ARGS_MAX + 1];
	size_t n;
	bool failed;
};

static void add_arg(struct args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add_arg(struct args *a, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (a->n >= ARGS_MAX) {
		a->failed = true;
		return;
	}
	va_start(ap, fmt);
	n = vsnprintf(a->texts[a->n], ARG_TEXT, fmt, ap);
	va_end(ap);
	if (n < 0 || n >= ARG_TEXT)
		a->failed = true;
	a->argv[a->n] = a->texts[a->n];
	a->argv[++a->n] = NULL;
}

/* Calls visit for each plain file name in an apt directory; a missing directory has none. */
static bool each_file(const char *dir, bool (*visit)(int dirfd, const char *name, void *arg),
		      void *arg)
{
	_cleanup_close_ int fd = path_open_dir(dir, NULL);
	int list_fd = fd < 0 ? -1 : path_open_beneath(fd, ".", O_RDONLY | O_DIRECTORY, 0, NULL);
	DIR *d = list_fd < 0 ? NULL : fdopendir(list_fd);
	struct dirent *e;
	bool done = false;

	if (!d) {
		if (list_fd >= 0)
			(void)close(list_fd);
		return false;
	}
	while (!done && (e = readdir(d)))
		done = e->d_name[0] != '.' && visit(fd, e->d_name, arg);
	(void)closedir(d);
	return done;
}

struct mirror_search {
	const char *what;
	char url[256];
};

static bool visit_source(int dirfd, const char *name, void *arg)
{
	struct mirror_search *s = arg;
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (!str_has_suffix(name, ".list") && !str_has_suffix(name, ".sources"))
		return false;
	return file_read_at(dirfd, name, SOURCES_MAX, &text, &len, NULL) == 0 &&
	       release_mirror_in(text, s->what, s->url, sizeof(s->url));
}

/* The host's own choice of a mirror. */
static bool find_mirror(struct mirror_search *s)
{
	return each_file("/etc/apt", visit_source, s) ||
	       each_file("/etc/apt/sources.list.d", visit_source, s);
}

static bool visit_proxy(int dirfd, const char *name, void *arg)
{
	(void)dirfd;
	/* By convention the host's proxy has a file of that name: 02proxy, apt-proxy.conf.
	 * mmdebstrap copies the file's content into its own configuration. */
	if (strstr(name, "proxy") && path_is_plain_relative(name) && str_is_clean_utf8(name))
		add_arg(arg, "--aptopt=/etc/apt/apt.conf.d/%s", name);
	return false;
}

static int make_args(struct args *a, const struct release *rel, const char *mirror,
		     const char *output, struct err *err)
{
	struct mirror_search main = {.what = "debian"}, security = {.what = "debian-security"};

	if (mirror && !release_is_mirror(mirror))
		return err_set(err, EINVAL, "'%s' is not the address of a mirror", mirror);
	add_arg(a, "mmdebstrap");
	add_arg(a, "--mode=root");
	add_arg(a, "--variant=minbase");
	add_arg(a, "--format=tar");
	add_arg(a, "--include=%s", PACKAGES);
	add_arg(a, "--aptopt=Apt::Install-Recommends \"false\"");
	add_arg(a, "--dpkgopt=path-exclude=/usr/share/man/*");
	add_arg(a, STRIP_HOOK);
	(void)each_file("/etc/apt/apt.conf.d", visit_proxy, a);
	add_arg(a, "--");
	add_arg(a, "%s", rel->suite);
	add_arg(a, "%s", output);
	if (!mirror && find_mirror(&main))
		mirror = main.url;
	/* Given the bare suite and no source, mmdebstrap knows Debian's own mirrors. */
	if (mirror) {
		add_arg(a, "deb %s %s main", mirror, rel->suite);
		add_arg(a, "deb %s %s-updates main", mirror, rel->suite);
		if (find_mirror(&security))
			add_arg(a, "deb %s %s-security main", security.url, rel->suite);
	}
	return a->failed ? err_set(err, EINVAL, "cannot run mmdebstrap: too many arguments") : 0;
}

/* Durable before it has its name: a cut archive in the cache would fail every later build. */
static int keep_archive(int scratch, int dirfd, const char *file, struct err *err)
{
	_cleanup_close_ int fd = path_open_beneath(scratch, file, O_RDONLY, 0, err);

	if (fd < 0)
		return fd;
	if (fsync(fd) < 0 || renameat(scratch, file, dirfd, file) < 0)
		return err_sys(err, "cannot keep the archive '%s'", file);
	return 0;
}

/* What mmdebstrap writes, the tree and then the archive, is here, where a killed job's remains are
 * looked for, and not in /tmp. */
static int make_scratch(int dirfd, const char *name, struct err *err)
{
	_cleanup_close_ int fd = -1;
	int r = path_remove_tree(dirfd, name, err);

	if (r < 0)
		return r;
	if (mkdirat(dirfd, name, 0700) < 0)
		return err_sys(err, "cannot make directory '%s'", name);
	fd = path_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY, 0, err);
	/* The user _apt, who downloads, comes through it. */
	if (fd >= 0 && fchmod(fd, 0755) < 0)
		return err_sys(err, "cannot open up directory '%s'", name);
	return fd < 0 ? fd : take_fd(&fd);
}

static int run_mmdebstrap(const struct release *rel, const char *mirror, int scratch,
			  const char *file, struct err *err)
{
	_cleanup_free_ struct args *a = calloc(1, sizeof(*a));
	char epoch[32];
	int r;

	if (!a)
		return err_set(err, ENOMEM, "cannot run mmdebstrap: out of memory");
	if (str_fmt(epoch, sizeof(epoch), "%lld", rel->epoch) < 0 ||
	    setenv("SOURCE_DATE_EPOCH", epoch, 1) < 0)
		return err_set(err, EINVAL, "cannot run mmdebstrap: name too long");
	r = make_args(a, rel, mirror, file, err);
	if (r < 0)
		return r;
	job_progress(0, 0, "bootstrap");
	/* mmdebstrap mounts proc, sysfs and parts of /dev in the tree, and on its end by a signal
	 * they stay. */
	r = tool_run(a->argv, scratch, TOOL_OWN_TMP, err);
	if (r == -EOPNOTSUPP && err)
		(void)err_hint(err, "install mmdebstrap on the host, or import an archive");
	if (r == -ECHILD && err)
		(void)err_hint(err, "its own words are in the log of the job");
	return r;
}

static int bootstrap(const struct release *rel, const char *mirror, int dirfd, const char *file,
		     struct err *err)
{
	_cleanup_close_ int scratch = -1;
	char name[128];
	int r;

	if (str_fmt(name, sizeof(name), ".%s.tmp", file) < 0)
		return err_set(err, EINVAL, "cannot run mmdebstrap: name too long");
	scratch = make_scratch(dirfd, name, err);
	if (scratch < 0)
		return scratch;
	r = run_mmdebstrap(rel, mirror, scratch, file, err);
	if (r == 0)
		r = keep_archive(scratch, dirfd, file, err);
	(void)path_remove_tree(dirfd, name, NULL);
	return r;
}

/* Waits for whoever makes the same archive, so that it is made once. */
static int lock_for(const char *file, int dirfd, struct err *err)
{
	_cleanup_close_ int fd = -1;
	char name[128];

	if (str_fmt(name, sizeof(name), ".%s.lock", file) < 0)
		return err_set(err, EINVAL, "cannot lock '%s': name too long", file);
	fd = path_open_beneath(dirfd, name, O_RDWR | O_CREAT, 0600, err);
	if (fd < 0)
		return fd;
	while (flock(fd, LOCK_EX) < 0) {
		if (errno != EINTR)
			return err_sys(err, "cannot lock '%s'", file);
		if (job_check(err) < 0)
			return -ECANCELED;
	}
	return take_fd(&fd);
}

int bootstrap_archive(const struct release *rel, const char *mirror, int dirfd, struct err *err)
{
	_cleanup_close_ int lock = -1;
	char file[64];
	int fd, r;

	if (str_fmt(file, sizeof(file), "%s.tar", rel->name) < 0)
		return err_set(err, EINVAL, "cannot name the archive");
	lock = lock_for(file, dirfd, err);
	if (lock < 0)
		return lock;
	fd = path_open_beneath(dirfd, file, O_RDONLY, 0, NULL);
	if (fd >= 0)
		return fd;
	r = bootstrap(rel, mirror, dirfd, file, err);
	return r < 0 ? r : path_open_beneath(dirfd, file, O_RDONLY, 0, err);
}
