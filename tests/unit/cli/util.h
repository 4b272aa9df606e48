/* SPDX-License-Identifier: Apache-2.0 */
/* What the unit tests of the client share: servers that follow a script, and captured output. */
#pragma once

#include "tests/unit/base/util.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

/* A process that accepts one connection, reads a request and does what the test says. */
struct fake {
	char dir[256], path[300];
	pid_t pid;
	int listener;
};

/* In the child: the connection, and the request's header (and what came with it). */
typedef void (*fake_fn)(int fd, const char *request, void *arg);

static inline void fake_serve(int listener, fake_fn fn, void *arg)
{
	static char request[1 << 17];
	size_t n = 0;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		_exit(1);
	while (n < sizeof(request) - 1 && !strstr(request, "\r\n\r\n")) {
		ssize_t r = recv(fd, request + n, sizeof(request) - 1 - n, 0);
		if (r <= 0)
			break;
		n += (size_t)r;
	}
	fn(fd, request, arg);
	close(fd);
	_exit(0);
}

static inline void fake_start(struct fake *f, fake_fn fn, void *arg)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	close(scratch_dir(f->dir));
	assert_int_equal(str_fmt(f->path, sizeof(f->path), "%s/sock", f->dir), 0);
	assert_int_equal(str_copy(a.sun_path, sizeof(a.sun_path), f->path), 0);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(f->listener, 5), 0);
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (f->pid == 0)
		fake_serve(f->listener, fn, arg);
}

/* Returns the exit code of the server. */
static inline int fake_stop(struct fake *f)
{
	int status = -1;
	close(f->listener);
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	remove_scratch(f->dir);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline void put(int fd, const void *data, size_t len)
{
	const char *p = data;
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
		if (n <= 0)
			_exit(2);
		p += n;
		len -= (size_t)n;
	}
}

/* Bytes and descriptors in one message. */
static inline void put_fds(int fd, const void *data, size_t len, const int *fds, size_t n)
{
	union {
		char space[CMSG_SPACE(16 * sizeof(int))];
		struct cmsghdr align;
	} control = {.space = ""};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(n * sizeof(int)),
	};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(h), fds, n * sizeof(int));
	if (sendmsg(fd, &m, MSG_NOSIGNAL) != (ssize_t)len)
		_exit(3);
}

/* Sends one of the standard descriptors to a memory file; capture_end() gives what was written. */
struct capture {
	int target, saved, file;
};

static inline struct capture capture_begin(int target)
{
	struct capture c = {.target = target};
	fflush(NULL);
	c.saved = fcntl(target, F_DUPFD_CLOEXEC, 10);
	c.file = memfd_create("captured", MFD_CLOEXEC);
	assert_true(c.saved >= 0 && c.file >= 0);
	assert_int_equal(dup2(c.file, target), target);
	return c;
}

static inline char *capture_end(struct capture *c)
{
	struct stat st;
	fflush(NULL);
	assert_int_equal(dup2(c->saved, c->target), c->target);
	assert_int_equal(fstat(c->file, &st), 0);
	char *text = calloc(1, (size_t)st.st_size + 1);
	assert_non_null(text);
	assert_int_equal(pread(c->file, text, (size_t)st.st_size, 0), st.st_size);
	close(c->saved);
	close(c->file);
	return text;
}
