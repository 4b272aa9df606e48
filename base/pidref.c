/* SPDX-License-Identifier: Apache-2.0 */
/* Process references: what procfs says of a process, tied to a pidfd. */
#include "base/pidref.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/num.h"
#include "base/str.h"

#define BOOT_ID_LEN 36
/* Fields of /proc/PID/stat from the state (field 3, the first behind the name) to starttime (22).
 */
#define FIELDS_TO_START 19

void pidref_done(struct pidref *p)
{
	cleanup_close(&p->fd);
	*p = PIDREF_INIT;
}

int pid_start_time(pid_t pid, uint64_t *ret, struct err *err)
{
	char path[32], stat[2048];
	const char *p;
	ssize_t n;

	if (pid <= 0)
		return err_set(err, ESRCH, "no process %d", (int)pid);
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	n = file_read_short_at(AT_FDCWD, path, stat, sizeof(stat), err);
	/* The file is gone before it is opened, or the process before it is read. */
	if (n == -ENOENT || n == -ESRCH)
		return err_set(err, ESRCH, "no process %d", (int)pid);
	if (n < 0)
		return (int)n;
	/* The name is the process's own choice and may hold blanks and ')': only the last one ends
	 * it. */
	p = strrchr(stat, ')');
	for (int i = 0; p && i < FIELDS_TO_START + 1; i++) {
		p = strchr(p, ' ');
		if (p)
			p++;
	}
	if (!p || num_scan_u64(p, &p, ret) < 0)
		return err_set(err, EPROTO, "cannot find the start time in '%s'", path);
	return 0;
}

int pidref_open(pid_t pid, struct pidref *ret, struct err *err)
{
	_cleanup_close_ int fd = -1;
	uint64_t start;
	int r;

	if (pid <= 0)
		return err_set(err, ESRCH, "no process %d", (int)pid);
	fd = pidfd_open(pid, 0);
	if (fd < 0)
		return err_sys(err, "cannot open process %d", (int)pid);
	r = pid_start_time(pid, &start, err);
	if (r < 0)
		return r;
	/* If the pidfd's process is still there now, its pid was not free for another meanwhile, so
	 * the start time is its own. EPERM also means that it is there. */
	if (pidfd_send_signal(fd, 0, NULL, 0) < 0 && errno != EPERM)
		return err_sys(err, "cannot open process %d", (int)pid);
	*ret = (struct pidref){.pid = pid, .start = start, .fd = take_fd(&fd)};
	return 0;
}

int pidref_open_checked(pid_t pid, uint64_t start, struct pidref *ret, struct err *err)
{
	_cleanup_pidref_ struct pidref p = PIDREF_INIT;
	int r = pidref_open(pid, &p, err);

	if (r < 0)
		return r;
	if (p.start != start)
		return err_set(err, ESRCH, "process %d is another one than before", (int)pid);
	*ret = p;
	p.fd = -1;
	return 0;
}

int pidref_signal(const struct pidref *p, int signo, struct err *err)
{
	if (p->fd < 0)
		return err_set(err, EBADF, "cannot signal process %d: no pidfd held", (int)p->pid);
	if (pidfd_send_signal(p->fd, signo, NULL, 0) < 0)
		return err_sys(err, "cannot send signal %d to process %d", signo, (int)p->pid);
	return 0;
}

int boot_id(char ret[37], struct err *err)
{
	char text[64];
	ssize_t n = file_read_short_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", text,
				       sizeof(text), err);

	if (n < 0)
		return (int)n;
	if (n != BOOT_ID_LEN)
		return err_set(err, EPROTO, "cannot use the boot id of %zd characters", n);
	return str_copy(ret, BOOT_ID_LEN + 1, text);
}

/* The name is of whatever process has the pid; that it was ours the pidfd says afterwards. */
int pidref_open_netns(const struct pidref *p, struct err *err)
{
	_cleanup_close_ int fd = -1;
	char path[48];
	int r;

	(void)str_fmt(path, sizeof(path), "/proc/%d/ns/net", (int)p->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "cannot open the network namespace of process %d", (int)p->pid);
	r = pidref_signal(p, 0, err);
	return r < 0 ? r : take_fd(&fd);
}
