/* SPDX-License-Identifier: Apache-2.0 */
/* The far side of a gate, in a process of its own, for sbx_probe and keeper_probe. */
#pragma once

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/sandbox/sandbox.h"

#define GATE_USAGE                                                                                 \
	"  --gate WORD     a gate; who is behind it gets the network namespace and then: go, "     \
	"close, "                                                                                  \
	"hang, garbage,\n"                                                                         \
	"                  or any other: a shell command that is run in there; go if it is 0\n"

static inline void gate_wait(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	(void)poll(&pfd, 1, -1);
}

/* Runs a command inside the network namespace. */
static inline int gate_command(int netns, const char *command)
{
	if (setns(netns, CLONE_NEWNET) < 0)
		return -1;
	int status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline void gate_answer(int ours, const char *how)
{
	struct err e = ERR_INIT;
	int netns, code;

	do {
		gate_wait(ours);
		netns = sbx_gate_receive(ours, &e);
	} while (netns == -EAGAIN);
	if (netns < 0) {
		dprintf(2, "gate: %s\n", err_text(&e));
		return;
	}
	if (strcmp(how, "go") != 0)
		dprintf(2, "gate open\n");
	if (!strcmp(how, "close"))
		return;
	if (!strcmp(how, "hang")) {
		gate_wait(ours);
		return;
	}
	if (!strcmp(how, "garbage"))
		(void)send(ours, how, strlen(how), 0);
	code = strcmp(how, "go") == 0 || strcmp(how, "garbage") == 0 ? 0 : gate_command(netns, how);
	(void)close(netns);
	if (code != 0) {
		(void)err_set(&e, ENETDOWN, "the command ended with %d", code);
		sbx_gate_fail(ours, &e);
	} else if (strcmp(how, "garbage") != 0 && sbx_gate_go(ours, &e) < 0) {
		dprintf(2, "gate: %s\n", err_text(&e));
	}
}

/* Forks who is behind n gates, whose other ends are returned. */
static inline void gate_fork(const char *how, unsigned n, int *ret_theirs)
{
	static int ours[1000];
	struct err e = ERR_INIT;
	int r;

	for (unsigned i = 0; i < n; i++) {
		if (sbx_gate_pair(&ours[i], &ret_theirs[i], &e) < 0) {
			dprintf(2, "gate: %s\n", err_text(&e));
			exit(125);
		}
	}
	if (fork() == 0) {
		for (unsigned i = 0; i < n; i++)
			(void)close(ret_theirs[i]);
		dprintf(2, "gate pid %d\n", getpid());
		for (unsigned i = 0; i < n; i++)
			gate_answer(ours[i], how);
		if (!strcmp(how, "close"))
			_exit(0);
		/* Whoever else has the other end keeps this from being said. */
		do {
			gate_wait(ours[n - 1]);
			r = sbx_gate_receive(ours[n - 1], &e);
		} while (r == -EAGAIN);
		dprintf(2, "gate closed\n");
		_exit(0);
	}
	for (unsigned i = 0; i < n; i++)
		(void)close(ours[i]);
}
