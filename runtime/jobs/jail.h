/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A jail for work on hostile bytes: a child process whose root directory is one directory of ours
 * and that has nothing else.
 *
 * - New user, mount, network, IPC, pid, UTS and cgroup namespaces. Ids 0..65535 inside are a host
 *   range that nothing else uses: outside it is nobody.
 * - Its root is an idmapped mount of the directory with that very user namespace, so files on disk
 *   get ids 0..65535. It is the only mount of its mount namespace, nosuid, nodev and noexec.
 * - No fds but the ones handed in, rlimits, only file capabilities, a list of allowed system calls;
 *   none that opens sockets, starts programs or maps executable memory.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/msg.h"

#define JAIL_IDS 65536u

struct jail_spec {
	int root_fd;	     /* the directory, owned by 0:0 on disk */
	uint32_t range_base; /* first host id */
	int input_fd;	     /* given to run(); the child's only fd beside its socket */
	uint64_t max_file_bytes;
	uint64_t max_memory; /* address space */
	uint64_t max_cpu_seconds;
	/* Runs in the jail; the exit status is of no meaning: what it has to say it sends over
	 * sock. input_fd and sock are its own numbers. */
	void (*run)(int input_fd, int sock, void *arg);
	void *arg;
};

struct jail {
	pid_t pid;
	int pidfd;
	int sock; /* the other end of run()'s socket; end of file when the child is gone */
};

#define JAIL_INIT ((struct jail){.pid = 0, .pidfd = -1, .sock = -1})
#define _cleanup_jail_ _cleanup_(jail_done)

/* Starts the child; when this returns 0 run() has been released. -EOPNOTSUPP when the file system
 * of root_fd cannot have idmapped mounts (the text names it). */
int jail_start(const struct jail_spec *spec, struct jail *ret, struct err *err);
/* Waits for the end: 0 for a normal one, -EOVERFLOW when it was killed by a limit, -EIO otherwise.
 */
int jail_wait(struct jail *j, struct err *err);
/* Kills and reaps it if it is still there, closes the fds. */
void jail_done(struct jail *j);
