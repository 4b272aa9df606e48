/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identity is written into the upper directory while nothing has it mounted, in the numbering of
 * the disk (guest ids 0..65535). The image below is foreign: it is looked at through openat2
 * without symlinks, and where it has something else than a directory on the way, nothing is written
 * there. A directory made in upper hides the one below in name only, so it gets that one's mode and
 * owner.
 */
#include "runtime/jobs/identity.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/rand.h"
#include "base/str.h"
#include "images/guest_files.h"
#include "runtime/jobs/tool.h"

#define HOSTS_MAX (64u * 1024)
#define HOST_KEY_MAX (16u * 1024)
#define HOST_KEY_PREFIX "ssh_host_"

/*
 * RSA is left out on purpose: it is the slow one to make (seconds on a small host, on the way of
 * every new instance), and every client since OpenSSH 5.7 (2011) speaks ECDSA or Ed25519.
 */
static const struct {
	const char *type;
	const char *file;
} host_keys[] = {
	{"ed25519", "ssh_host_ed25519_key"},
	{"ecdsa", "ssh_host_ecdsa_key"},
};

/* Secrets and ids of an image that all its instances would share; each daemon makes its own anew.
 */
static const struct {
	const char *dir, *name;
} not_inherited[] = {
	{"var/lib/dbus", "machine-id"},
	{"var/lib/systemd", "random-seed"},
	{"var/lib/systemd", "credential.secret"},
};

/* One level: makes name in upper like the one below. lower -1: the image has none. */
static int mirror_level(int upper, int lower, const char *name, struct err *err)
{
	_cleanup_close_ int fd = -1;
	struct stat st = {.st_mode = 0755};

	if (lower >= 0 && fstat(lower, &st) < 0)
		return err_sys(err, "cannot read directory '%s' of the image", name);
	if (mkdirat(upper, name, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "cannot make directory '%s' of the instance", name);
	fd = path_open_beneath(upper, name, O_RDONLY | O_DIRECTORY, 0, err);
	if (fd < 0)
		return fd;
	/* chown first: it clears setgid. */
	if (fchown(fd, st.st_uid, st.st_gid) < 0 || fchmod(fd, st.st_mode & 07777) < 0)
		return err_sys(err, "cannot set owner and mode of directory '%s'", name);
	return take_fd(&fd);
}

/*
 * Makes a relative directory in upper like the one of the image and returns its fd; *ret_lower gets
 * the image's own (-1 when it has none). -ENOTDIR, with a warning and no error text, when the image
 * has something else in its place.
 */
static int mirror_dir(const struct identity *in, const char *path, int *ret_lower,
		      struct identity_warnings *w, struct err *err)
{
	_cleanup_close_ int upper = fcntl(in->upper, F_DUPFD_CLOEXEC, 3);
	_cleanup_close_ int lower = fcntl(in->lower, F_DUPFD_CLOEXEC, 3);
	const char *p = path;

	if (upper < 0 || lower < 0)
		return err_sys(err, "cannot write the identity");
	while (*p) {
		size_t len = strcspn(p, "/");
		char name[64];
		int next;

		if (str_fmt(name, sizeof(name), "%.*s", (int)len, p) < 0)
			return err_set(err, EINVAL, "cannot write the identity: name too long");
		p += len + (p[len] == '/');
		next = lower < 0 ? -ENOENT
				 : path_open_beneath(lower, name, O_PATH | O_DIRECTORY, 0, NULL);
		if (next < 0 && next != -ENOENT) {
			img_manifest_warn(&w->list,
					  "the image's /%s is not a real directory: "
					  "nothing was written there",
					  path);
			return -ENOTDIR;
		}
		cleanup_close(&lower);
		lower = next < 0 ? -1 : next;
		next = mirror_level(upper, lower, name, err);
		if (next < 0)
			return next;
		cleanup_close(&upper);
		upper = next;
	}
	if (ret_lower)
		*ret_lower = take_fd(&lower);
	return take_fd(&upper);
}

/* Upper is private: what lies there is of an earlier attempt, or nothing. */
static int put_file(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
		    struct err *err)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return err_sys(err, "cannot replace '%s'", name);
	fd = path_open_beneath(dirfd, name, O_WRONLY | O_CREAT | O_EXCL, 0600, err);
	if (fd < 0)
		return fd;
	r = file_write_all(fd, data, len, err);
	if (r < 0)
		return r;
	if (fchown(fd, 0, 0) < 0 || fchmod(fd, mode) < 0)
		return err_sys(err, "cannot set owner and mode of '%s'", name);
	return 0;
}

/* Hides a name of the image: overlayfs takes a character device 0:0 for "deleted". */
static int put_whiteout(int dirfd, const char *name, struct err *err)
{
	if (mknodat(dirfd, name, S_IFCHR, makedev(0, 0)) < 0 && errno != EEXIST)
		return err_sys(err, "cannot hide '%s' of the image", name);
	return 0;
}

static int write_machine_id(int etc, struct err *err)
{
	unsigned char id[16];
	char text[2 * sizeof(id) + 2];
	int r = rand_bytes(id, sizeof(id), err);

	if (r < 0)
		return r;
	/* A version 4 UUID, as systemd makes it: machine-id(5). */
	id[6] = (unsigned char)((id[6] & 0x0f) | 0x40);
	id[8] = (unsigned char)((id[8] & 0x3f) | 0x80);
	str_hex(text, id, sizeof(id));
	text[2 * sizeof(id)] = '\n';
	return put_file(etc, "machine-id", text, 2 * sizeof(id) + 1, 0444, err);
}

/* "127.0.1.1 web1.acme.example web1" */
static void add_own_line(struct sbuf *b, const char *hostname)
{
	size_t label = strcspn(hostname, ".");

	sbuf_addf(b, "127.0.1.1\t%s", hostname);
	if (hostname[label] == '.')
		sbuf_addf(b, " %.*s", (int)label, hostname);
	sbuf_addc(b, '\n');
}

static int write_names(int etc, const char *hostname, struct err *err)
{
	const struct guest_net net = {.hostname = hostname};
	_cleanup_sbuf_ struct sbuf hosts = SBUF_INIT;
	_cleanup_sbuf_ struct sbuf name = SBUF_INIT;
	int r;

	guest_files_hosts(&hosts, &net);
	sbuf_addf(&name, "%s\n", hostname);
	if (!sbuf_ok(&hosts) || !sbuf_ok(&name))
		return err_set(err, ENOMEM, "cannot write the identity: out of memory");
	r = put_file(etc, "hosts", hosts.data, hosts.len, 0644, err);
	return r < 0 ? r : put_file(etc, "hostname", name.data, name.len, 0644, err);
}

static bool is_there(int lower, const char *path)
{
	_cleanup_close_ int fd = path_open_beneath(lower, path, O_PATH, 0, NULL);

	/* -ELOOP: a link in the place of the file counts as well. */
	return fd >= 0 || fd == -ELOOP;
}

static int move_key_part(int scratch, const char *file, const char *suffix, int ssh, mode_t mode,
			 struct err *err)
{
	_cleanup_free_ char *text = NULL;
	char name[64];
	size_t len;
	int r;

	if (str_fmt(name, sizeof(name), "%s%s", file, suffix) < 0)
		return err_set(err, EINVAL, "cannot write ssh host keys: name too long");
	/* Copied, not renamed: the upper directory may belong to another project (quota). */
	r = file_read_at(scratch, name, HOST_KEY_MAX, &text, &len, err);
	if (r == 0)
		r = put_file(ssh, name, text, len, mode, err);
	if (text)
		explicit_bzero(text, len);
	return r;
}

static int make_host_key(const struct identity *in, size_t i, int ssh, struct err *err)
{
	const char *const argv[] = {"ssh-keygen", "-q",		"-t", host_keys[i].type, "-N", "",
				    "-C",	  in->hostname, "-f", host_keys[i].file, NULL};
	int r;

	/* Of an attempt before; ssh-keygen would ask whether to overwrite. */
	(void)unlinkat(in->scratch, host_keys[i].file, 0);
	r = tool_run(argv, in->scratch, 0, err);
	if (r == -EOPNOTSUPP && err)
		return err_hint(err, "install openssh-client on the host");
	if (r == 0)
		r = move_key_part(in->scratch, host_keys[i].file, "", ssh, 0600, err);
	return r < 0 ? r : move_key_part(in->scratch, host_keys[i].file, ".pub", ssh, 0644, err);
}

/* Hides all host keys of the image; ours come in their place afterwards. */
static int hide_host_keys(int lower, int ssh, struct err *err)
{
	_cleanup_close_ int fd = path_open_beneath(lower, ".", O_RDONLY | O_DIRECTORY, 0, NULL);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d)
		return err_sys(err, "cannot list '/etc/ssh' of the image");
	(void)take_fd(&fd);
	while (r == 0 && (e = readdir(d)))
		if (str_has_prefix(e->d_name, HOST_KEY_PREFIX))
			r = put_whiteout(ssh, e->d_name, err);
	(void)closedir(d);
	return r;
}

static int write_host_keys(const struct identity *in, struct identity_warnings *w, struct err *err)
{
	_cleanup_close_ int lower = -1;
	_cleanup_close_ int ssh = -1;
	int r = 0;

	if (!is_there(in->lower, "etc/ssh/sshd_config") && !is_there(in->lower, "usr/sbin/sshd"))
		return 0;
	ssh = mirror_dir(in, "etc/ssh", &lower, w, err);
	if (ssh < 0)
		return ssh == -ENOTDIR ? 0 : ssh;
	if (lower >= 0)
		r = hide_host_keys(lower, ssh, err);
	for (size_t i = 0; r == 0 && i < sizeof(host_keys) / sizeof(host_keys[0]); i++)
		r = make_host_key(in, i, ssh, err);
	return r;
}

static int hide_inherited(const struct identity *in, struct identity_warnings *w, struct err *err)
{
	for (size_t i = 0; i < sizeof(not_inherited) / sizeof(not_inherited[0]); i++) {
		_cleanup_close_ int dir = -1;
		char path[128];
		int r;

		(void)str_fmt(path, sizeof(path), "%s/%s", not_inherited[i].dir,
			      not_inherited[i].name);
		/* A link, usually to /etc/machine-id, may stay: it holds nothing. */
		r = path_open_beneath(in->lower, path, O_PATH | O_NOFOLLOW, 0, NULL);
		if (r < 0)
			continue;
		(void)close(r);
		dir = mirror_dir(in, not_inherited[i].dir, NULL, w, err);
		r = dir < 0 ? dir : put_whiteout(dir, not_inherited[i].name, err);
		if (r < 0 && r != -ENOTDIR)
			return r;
	}
	return 0;
}

int identity_write(const struct identity *in, struct identity_warnings *warnings, struct err *err)
{
	_cleanup_close_ int etc = mirror_dir(in, "etc", NULL, warnings, err);
	int r;

	if (etc < 0)
		return etc == -ENOTDIR ? 0 : etc;
	r = write_machine_id(etc, err);
	if (r == 0)
		r = write_names(etc, in->hostname, err);
	if (r == 0)
		r = write_host_keys(in, warnings, err);
	return r < 0 ? r : hide_inherited(in, warnings, err);
}

/* The guest's own file with the line of 127.0.1.1 exchanged, or added at the end. */
static int rename_in_hosts(int etc, const char *hostname, struct identity_warnings *w,
			   struct err *err)
{
	_cleanup_sbuf_ struct sbuf out = SBUF_INIT;
	_cleanup_free_ char *text = NULL;
	bool done = false;
	size_t len = 0;
	char *p;
	_cleanup_close_ int fd = path_open_beneath(etc, "hosts", O_RDONLY, 0, NULL);

	if (fd < 0 || file_read_fd(fd, HOSTS_MAX, &text, &len, NULL) < 0 || strlen(text) != len) {
		img_manifest_warn(&w->list, "/etc/hosts of the instance was left as it is");
		return 0;
	}
	for (p = text; *p;) {
		size_t line = strcspn(p, "\n");

		line += p[line] == '\n';
		if (str_has_prefix(p, "127.0.1.1\t") || str_has_prefix(p, "127.0.1.1 ")) {
			if (!done)
				add_own_line(&out, hostname);
			done = true;
		} else {
			sbuf_add(&out, p, line);
		}
		p += line;
	}
	if (!done) {
		if (len > 0 && text[len - 1] != '\n')
			sbuf_addc(&out, '\n');
		add_own_line(&out, hostname);
	}
	if (!sbuf_ok(&out))
		return err_set(err, ENOMEM, "cannot change the host name: out of memory");
	return file_replace_at(etc, "hosts", out.data, out.len, 0644, err);
}

int identity_rename(int upper, const char *hostname, struct identity_warnings *warnings,
		    struct err *err)
{
	_cleanup_close_ int etc = path_open_beneath(upper, "etc", O_RDONLY | O_DIRECTORY, 0, NULL);
	char text[256 + 1];
	int r;

	if (etc < 0)
		return err_set(
			err, EBUSY,
			"cannot change the host name: /etc of the instance is not a directory");
	if (str_fmt(text, sizeof(text), "%s\n", hostname) < 0)
		return err_set(err, EINVAL, "cannot change the host name: it is too long");
	r = file_replace_at(etc, "hostname", text, strlen(text), 0644, err);
	return r < 0 ? r : rename_in_hosts(etc, hostname, warnings, err);
}
