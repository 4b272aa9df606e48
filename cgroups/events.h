/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens in a cgroup, and stopping it: fds to poll, kill, freeze. Nothing here sleeps; what
 * waits does so by poll(2) and with a bound.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct cg_events {
	bool populated; /* processes live in it or below */
	bool frozen;
};

/* An fd of cgroup.events: poll for POLLPRI (EPOLLPRI); each change is seen until the next read.
 * Read it once before the first poll. A removed cgroup: read gives -ENODEV. */
int cg_events_open(int dirfd, struct err *err);
int cg_events_read(int fd, struct cg_events *ret, struct err *err);
/* Opens, reads, closes. */
int cg_events_get(int dirfd, struct cg_events *ret, struct err *err);
int cg_events_parse(const char *text, struct cg_events *ret);

/* An fd of memory.events (the cgroup and all below), same rules; -ENOENT without the controller. */
int cg_oom_open(int dirfd, struct err *err);
/* Number of processes that the out-of-memory killer has ended there so far. */
int cg_oom_read(int fd, uint64_t *ret_kills, struct err *err);

/* Kills everything below, whatever it is (frozen too), and thaws, because a process that is born
 * into a cgroup that stayed frozen hangs. Does not wait. */
int cg_kill(int dirfd, struct err *err);
/* Waits until nothing lives below: 0, or -ETIMEDOUT. 0 ms = just looks. */
int cg_wait_empty(int dirfd, int timeout_ms, struct err *err);
/* Stops all processes; -ETIMEDOUT when not all have stopped in time (the request stays). 0 ms =
 * asks and does not wait: watch cg_events_open(). */
int cg_freeze(int dirfd, int timeout_ms, struct err *err);
int cg_thaw(int dirfd, int timeout_ms, struct err *err);
