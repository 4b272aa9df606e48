/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forks of the keeper without exec that handle what others send: they give up all that the keeper
 * has but the fds they work with.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define SMALL_FD 3 /* the first of them */
#define SMALL_FDS_MAX 8u

/*
 * fds[i] becomes SMALL_FD + i, non-blocking (-1 = none), and all others above stderr are closed. No
 * capabilities, no ptrace, no signal blocked, a dozen system calls: to read, write, poll and end.
 * 'name' is seen by administrators. False: something failed, and the process is to end.
 */
bool small_become(const char *name, const int *fds, size_t n);
