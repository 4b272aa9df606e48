/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files. Everything is opened O_NONBLOCK, so that a FIFO under an expected name stops nobody.
 */
#include "base/file.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/rand.h"
#include "base/str.h"

#define READ_FIRST 4096u

static int check_regular(int fd, const char *what, struct stat *ret, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "cannot stat '%s'", what);
	if (!S_ISREG(st.st_mode))
		return err_set(err, S_ISDIR(st.st_mode) ? EISDIR : EINVAL,
			       "cannot read '%s': not a regular file", what);
	*ret = st;
	return 0;
}

static int open_regular(int dirfd, const char *path, struct stat *ret, struct err *err)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int r;

	if (fd < 0)
		return err_sys(err, "cannot open '%s'", path);
	r = check_regular(fd, path, ret, err);
	if (r < 0)
		return r;
	return take_fd(&fd);
}

/* pread(2) until the end of file or until size bytes are there; the offset of fd stays. */
static ssize_t read_up_to(int fd, char *buf, size_t size, size_t from)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = pread(fd, buf + len, size - len, (off_t)(from + len));

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

/* The size of kernel files is 0 or 4096 whatever they hold, so it is a first guess only. */
static int read_whole(int fd, const char *what, off_t guess, size_t max, char **ret,
		      size_t *ret_len, struct err *err)
{
	_cleanup_free_ char *data = NULL;
	size_t cap, len = 0;

	if (max > SIZE_MAX / 4)
		max = SIZE_MAX / 4;
	cap = guess > 0 && (uintmax_t)guess <= max ? (size_t)guess + 1 : READ_FIRST;
	for (;;) {
		ssize_t n;
		char *p;

		/* One byte above the limit is asked for, to see that the file is longer. */
		if (cap > max + 1)
			cap = max + 1;
		p = realloc(data, cap + 1);
		if (!p)
			return err_set(err, ENOMEM, "cannot read '%s': out of memory", what);
		data = p;
		n = read_up_to(fd, data + len, cap - len, len);
		if (n < 0)
			return err_set_errno(err, (int)-n, "cannot read '%s'", what);
		len += (size_t)n;
		if (len > max)
			return err_set(err, EFBIG, "cannot read '%s': longer than %zu bytes", what,
				       max);
		if (len < cap)
			break;
		cap *= 2;
	}
	data[len] = '\0';
	*ret = take_ptr(data);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int file_read_at(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len,
		 struct err *err)
{
	struct stat st = {0};
	_cleanup_close_ int fd = open_regular(dirfd, path, &st, err);

	if (fd < 0)
		return fd;
	return read_whole(fd, path, st.st_size, max, ret, ret_len, err);
}

int file_read_fd(int fd, size_t max, char **ret, size_t *ret_len, struct err *err)
{
	struct stat st = {0};
	int r = check_regular(fd, "open file", &st, err);

	if (r < 0)
		return r;
	return read_whole(fd, "open file", st.st_size, max, ret, ret_len, err);
}

ssize_t file_read_short_at(int dirfd, const char *path, char *buf, size_t size, struct err *err)
{
	struct stat st = {0};
	_cleanup_close_ int fd = open_regular(dirfd, path, &st, err);
	char surplus;
	ssize_t n;

	if (fd < 0)
		return fd;
	if (size == 0)
		return err_set(err, EINVAL, "cannot read '%s': no buffer", path);
	n = read_up_to(fd, buf, size - 1, 0);
	if (n == (ssize_t)(size - 1)) {
		ssize_t more = read_up_to(fd, &surplus, 1, (size_t)n);

		if (more < 0)
			n = more;
		/* A newline that would be cut anyway fits without its place. */
		else if (more > 0 && surplus != '\n')
			n = -EFBIG;
	}
	if (n < 0) {
		buf[0] = '\0';
		return err_set_errno(err, (int)-n, "cannot read '%s'", path);
	}
	if (n > 0 && buf[n - 1] == '\n')
		n--;
	buf[n] = '\0';
	return n;
}

int file_write_at(int dirfd, const char *path, const char *text, struct err *err)
{
	_cleanup_close_ int fd =
		openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	size_t len = strlen(text);
	ssize_t n;

	if (fd < 0)
		return err_sys(err, "cannot open '%s' for writing", path);
	do {
		n = write(fd, text, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "cannot write '%.*s' to '%s'", (int)strcspn(text, "\n"), text,
			       path);
	/* Kernel files take each write as one whole value: the rest cannot be sent afterwards. */
	if ((size_t)n != len)
		return err_set(err, EIO, "cannot write '%.*s' to '%s': only %zd of %zu bytes taken",
			       (int)strcspn(text, "\n"), text, path, n, len);
	return 0;
}

int file_write_all(int fd, const void *data, size_t len, struct err *err)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(err, "cannot write");
		}
		if (n == 0)
			return err_set(err, EIO, "cannot write: nothing was taken");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Makes the temporary file complete and durable; its name is the caller's to remove. */
static int fill_temporary(int dirfd, const char *temporary, const void *data, size_t len,
			  mode_t mode, struct err *err)
{
	_cleanup_close_ int fd = openat(dirfd, temporary,
					O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return err_sys(err, "cannot make a temporary file");
	r = file_write_all(fd, data, len, err);
	if (r < 0)
		return r;
	/* After the content, so that nobody reads half of it; and exact, whatever the umask is. */
	if (fchmod(fd, mode) < 0)
		return err_sys(err, "cannot set the mode");
	if (fsync(fd) < 0)
		return err_sys(err, "cannot sync");
	/* Some filesystems report a failed write (quota, network) at close only. */
	if (close(take_fd(&fd)) < 0 && errno != EINTR)
		return err_sys(err, "cannot close");
	return 0;
}

int file_replace_at(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
		    struct err *err)
{
	_cleanup_close_ int sync_fd = -1;
	char id[ID_TEXT], temporary[256];
	int r;

	if (*name == '\0' || strchr(name, '/') || str_eq(name, ".") || str_eq(name, ".."))
		return err_set(err, EINVAL, "cannot replace '%s': not a plain file name", name);
	/* dirfd may be O_PATH, which fsync(2) refuses; opened first, as nothing may fail after the
	 * rename but the sync itself. */
	sync_fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (sync_fd < 0)
		return err_sys(err, "cannot replace '%s': cannot open its directory", name);
	r = rand_id(id, err);
	if (r < 0)
		return r;
	(void)snprintf(temporary, sizeof(temporary), ".%.200s.%s", name, id);
	r = fill_temporary(sync_fd, temporary, data, len, mode, err);
	if (r == 0 && renameat(sync_fd, temporary, sync_fd, name) < 0)
		r = err_sys(err, "cannot rename the temporary file");
	if (r < 0) {
		/* -EEXIST: the file of that name is not ours. */
		if (r != -EEXIST)
			(void)unlinkat(sync_fd, temporary, 0);
		if (err)
			(void)err_ctx(err, "cannot replace '%s'", name);
		return r;
	}
	if (fsync(sync_fd) < 0)
		return err_sys(err, "cannot sync the directory of '%s'", name);
	return 0;
}

int file_memfd(const char *name, const void *data, size_t len, struct err *err)
{
	_cleanup_close_ int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return err_sys(err, "cannot make memory file '%s'", name);
	r = file_write_all(fd, data, len, err);
	if (r < 0) {
		if (err)
			(void)err_ctx(err, "memory file '%s'", name);
		return r;
	}
	if (lseek(fd, 0, SEEK_SET) < 0 || fchmod(fd, 0444) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_sys(err, "cannot seal memory file '%s'", name);
	return take_fd(&fd);
}
