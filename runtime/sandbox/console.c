/* SPDX-License-Identifier: Apache-2.0 */
/* Pseudo terminals of a guest's own devpts: see console.h. */
#include "runtime/sandbox/console.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"

int sbx_pty_open(int dirfd, const char *path, int *ret_master, int *ret_slave, struct err *err)
{
	const int unlocked = 0;
	struct statfs fs;
	/* Non-blocking: in a running guest the path can lead to anything, a FIFO included. */
	_cleanup_close_ int master =
		openat(dirfd, path, O_RDWR | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (master < 0)
		return err_sys(err, "cannot open a pseudo terminal at '%s'", path);
	if (fstatfs(master, &fs) < 0)
		return err_sys(err, "cannot examine '%s'", path);
	if (fs.f_type != DEVPTS_SUPER_MAGIC)
		return err_set(err, EINVAL, "'%s' is not on a devpts", path);
	if (ioctl(master, TIOCSPTLCK, &unlocked) < 0)
		return err_sys(err, "cannot unlock a pseudo terminal");
	int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return err_sys(err, "cannot open the slave of a pseudo terminal");
	*ret_master = take_fd(&master);
	*ret_slave = slave;
	return 0;
}

int sbx_stdio(const int fds[3], bool controlling, struct err *err)
{
	int high[3] = {-1, -1, -1};

	/* Through copies above 2, so that no source is overwritten before it is used; these and the
	 * sources are closed on exec. */
	for (int i = 0; i < 3; i++) {
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (high[i] < 0)
			return err_sys(err, "cannot set up standard input and output");
	}
	for (int i = 0; i < 3; i++)
		if (dup2(high[i], i) < 0)
			return err_sys(err, "cannot set up standard input and output");
	if (controlling && ioctl(0, TIOCSCTTY, 0) < 0)
		return err_sys(err, "cannot get a controlling terminal");
	return 0;
}
