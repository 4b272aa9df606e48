/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a ready-made system call filter: see seccomp.h. */
#include "runtime/sandbox/seccomp.h"

#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int sbx_seccomp_map(int fd, struct sock_fprog *ret, struct err *err)
{
	struct stat st;

	if (fd < 0) {
		*ret = (struct sock_fprog){0};
		return 0;
	}
	if (fstat(fd, &st) < 0)
		return err_sys(err, "cannot read the system call filter");
	if (st.st_size <= 0 || st.st_size % (off_t)sizeof(struct sock_filter) ||
	    st.st_size / (off_t)sizeof(struct sock_filter) > BPF_MAXINSNS)
		return err_set(err, EINVAL, "the system call filter has an impossible size");
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return err_sys(err, "cannot map the system call filter");
	ret->len = (unsigned short)((size_t)st.st_size / sizeof(struct sock_filter));
	ret->filter = p;
	return 0;
}

int sbx_seccomp_load(const struct sock_fprog *program, struct err *err)
{
	if (program->len == 0)
		return 0;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program) < 0)
		return err_sys(err, "cannot install the system call filter");
	return 0;
}
