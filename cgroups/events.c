/* SPDX-License-Identifier: Apache-2.0 */
/* Events of a cgroup, kill and freeze. */
#include "cgroups/events.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/num.h"

#define EVENTS_TEXT 512

/* The number behind "key " at the beginning of a line; -ENOENT when there is no such line. */
static int find_number(const char *text, const char *key, uint64_t *ret)
{
	size_t len = strlen(key);
	const char *end;
	uint64_t v;

	while (!(strncmp(text, key, len) == 0 && text[len] == ' ')) {
		text = strchr(text, '\n');
		if (!text)
			return -ENOENT;
		text++;
	}
	if (num_scan_u64(text + len + 1, &end, &v) < 0 || (*end != '\n' && *end != '\0'))
		return -EBADMSG;
	*ret = v;
	return 0;
}

static int open_file(int dirfd, const char *name, struct err *err)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return err_sys(err, "cannot open '%s'", name);
	return fd;
}

static int read_text(int fd, const char *name, char dst[EVENTS_TEXT], struct err *err)
{
	ssize_t n = pread(fd, dst, EVENTS_TEXT - 1, 0);

	if (n < 0)
		return err_sys(err, "cannot read '%s'", name);
	dst[n] = '\0';
	return 0;
}

int cg_events_parse(const char *text, struct cg_events *ret)
{
	uint64_t populated, frozen = 0;

	/* Kernels before 5.2 have no 'frozen'. */
	if (find_number(text, "populated", &populated) < 0 || populated > 1 ||
	    find_number(text, "frozen", &frozen) == -EBADMSG || frozen > 1)
		return -EBADMSG;
	*ret = (struct cg_events){.populated = populated, .frozen = frozen};
	return 0;
}

int cg_events_open(int dirfd, struct err *err)
{
	return open_file(dirfd, "cgroup.events", err);
}

int cg_events_read(int fd, struct cg_events *ret, struct err *err)
{
	char text[EVENTS_TEXT] = "";
	int r = read_text(fd, "cgroup.events", text, err);

	if (r < 0)
		return r;
	if (cg_events_parse(text, ret) < 0)
		return err_set(err, EBADMSG, "cannot understand 'cgroup.events'");
	return 0;
}

int cg_events_get(int dirfd, struct cg_events *ret, struct err *err)
{
	_cleanup_close_ int fd = cg_events_open(dirfd, err);

	return fd < 0 ? fd : cg_events_read(fd, ret, err);
}

int cg_oom_open(int dirfd, struct err *err)
{
	return open_file(dirfd, "memory.events", err);
}

int cg_oom_read(int fd, uint64_t *ret_kills, struct err *err)
{
	char text[EVENTS_TEXT] = "";
	int r = read_text(fd, "memory.events", text, err);

	if (r < 0)
		return r;
	if (find_number(text, "oom_kill", ret_kills) < 0)
		return err_set(err, EBADMSG, "cannot understand 'memory.events'");
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock */
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool is_empty(const struct cg_events *e)
{
	return !e->populated;
}

static bool is_frozen(const struct cg_events *e)
{
	return e->frozen;
}

static bool is_thawed(const struct cg_events *e)
{
	return !e->frozen;
}

static int wait_for(int dirfd, bool (*reached)(const struct cg_events *e), const char *what,
		    int timeout_ms, struct err *err)
{
	_cleanup_close_ int fd = cg_events_open(dirfd, err);
	int64_t end = now_ms() + timeout_ms;
	struct cg_events e;

	if (fd < 0)
		return fd;
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLPRI};
		int r = cg_events_read(fd, &e, err);
		int64_t left = end - now_ms();

		if (r < 0)
			return r;
		if (reached(&e))
			return 0;
		if (left <= 0)
			return err_set(err, ETIMEDOUT, "waited %d ms, but the cgroup is not %s yet",
				       timeout_ms, what);
		if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
			return err_sys(err, "cannot wait for 'cgroup.events'");
	}
}

int cg_kill(int dirfd, struct err *err)
{
	int r = file_write_at(dirfd, "cgroup.kill", "1", err);

	return r < 0 ? r : file_write_at(dirfd, "cgroup.freeze", "0", err);
}

int cg_wait_empty(int dirfd, int timeout_ms, struct err *err)
{
	return wait_for(dirfd, is_empty, "empty", timeout_ms, err);
}

int cg_freeze(int dirfd, int timeout_ms, struct err *err)
{
	int r = file_write_at(dirfd, "cgroup.freeze", "1", err);

	if (r < 0 || timeout_ms == 0)
		return r;
	return wait_for(dirfd, is_frozen, "frozen", timeout_ms, err);
}

int cg_thaw(int dirfd, int timeout_ms, struct err *err)
{
	int r = file_write_at(dirfd, "cgroup.freeze", "0", err);

	if (r < 0 || timeout_ms == 0)
		return r;
	return wait_for(dirfd, is_thawed, "thawed", timeout_ms, err);
}
