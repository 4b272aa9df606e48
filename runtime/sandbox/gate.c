/* SPDX-License-Identifier: Apache-2.0 */
/* A launch's gate, both sides: see sandbox.h and handshake.h. */
#include "runtime/sandbox/gate.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/msg.h"
#include "runtime/sandbox/handshake.h"
#include "runtime/sandbox/sandbox.h"

#define CONF "/proc/sys/net/ipv6/conf/"

/* What netlink cannot set. A link takes the values of 'default' when it is born, so they are there
 * before anybody else can make one. An address of ours is on one link alone: nothing to detect. */
static const struct {
	const char *path, *value;
} sysctls[] = {
	{CONF "all/accept_ra", "0"},	 {CONF "default/accept_ra", "0"},
	{CONF "all/autoconf", "0"},	 {CONF "default/autoconf", "0"},
	{CONF "all/dad_transmits", "0"}, {CONF "default/dad_transmits", "0"},
};

/* /proc/sys/net shows the namespace of who opens it, whoever mounted the procfs. */
static int write_sysctls(struct err *err)
{
	for (size_t i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]); i++) {
		int r = file_write_at(AT_FDCWD, sysctls[i].path, sysctls[i].value, err);

		if (r < 0 && r != -ENOENT)
			return r;
		if (r < 0 && err) /* no IPv6 */
			*err = ERR_INIT;
	}
	return 0;
}

int sbx_gate_offer(int gate, int pidfd, struct err *err)
{
	int r;

	/* By the pidfd, and then our own: no pid is looked up that could be another's by now. */
	if (setns(pidfd, CLONE_NEWNET) < 0)
		return err_sys(err, "cannot join the guest's network namespace");
	r = write_sysctls(err);
	if (r < 0)
		return r;
	_cleanup_close_ int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		return err_sys(err, "cannot open the guest's network namespace");
	return sbx_send(gate, SBX_RECORD_NETWORK, &netns, 1, err);
}

/* A peer that closes with something unread makes one ECONNRESET, which comes before what it had
 * sent (unix(7)); behind it are that, and the end. */
static int expect(int sock, struct msg *m, uint32_t type, uint32_t failed, struct err *err)
{
	int r = msg_expect(sock, m, type, failed, err);

	if (r != -ECONNRESET)
		return r;
	if (err)
		*err = ERR_INIT;
	return msg_expect(sock, m, type, failed, err);
}

/* The new process has nothing to say before GO but that it failed. */
static int child_ended(int child, struct msg *m, struct err *err)
{
	int r = msg_expect(child, m, SBX_RECORD_READY, SBX_RECORD_FAILED, err);

	if (r == -EPIPE)
		return err_set(err, ECONNABORTED,
			       "the new process ended before it ran the program");
	return r < 0 ? r : err_set(err, EPROTO, "unexpected record");
}

int sbx_gate_await(int gate, int child, struct err *err)
{
	struct pollfd fds[] = {{.fd = gate, .events = POLLIN}, {.fd = child, .events = POLLIN}};
	_cleanup_msg_ struct msg *m = msg_new(0, 0);
	int r;

	if (!m)
		return err_set(err, ENOMEM, "out of memory");
	do {
		r = poll(fds, 2, -1);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_sys(err, "cannot wait");
	if (fds[1].revents)
		return child_ended(child, m, err);
	r = expect(gate, m, SBX_RECORD_GO, SBX_RECORD_FAILED, err);
	if (r == -EPIPE)
		return err_set(err, ECONNABORTED, "nobody is there any more to set it up");
	return r;
}

int sbx_gate_pair(int *ret_ours, int *ret_theirs, struct err *err)
{
	int pair[2];
	int r = msg_socketpair(pair, err);

	if (r < 0)
		return r;
	_cleanup_close_ int ours = pair[0];
	_cleanup_close_ int theirs = pair[1];
	if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, "cannot make a socket non-blocking");
	*ret_ours = take_fd(&ours);
	*ret_theirs = take_fd(&theirs);
	return 0;
}

int sbx_gate_receive(int ours, struct err *err)
{
	_cleanup_msg_ struct msg *m = msg_new(0, 0);
	int r;

	if (!m)
		return err_set(err, ENOMEM, "out of memory");
	r = expect(ours, m, SBX_RECORD_NETWORK, 0, err);
	if (r == -EPIPE)
		return err_set(err, EPIPE, "the launch ended before its network was set up");
	if (r < 0)
		return r;
	_cleanup_close_ int netns = msg_take_fd(m, 0);
	if (m->len != 0 || m->n_fds != 1 || ioctl(netns, NS_GET_NSTYPE) != CLONE_NEWNET)
		return err_set(err, EPROTO, "received something else than a network namespace");
	return take_fd(&netns);
}

int sbx_gate_go(int ours, struct err *err)
{
	return sbx_send(ours, SBX_RECORD_GO, NULL, 0, err);
}

void sbx_gate_fail(int ours, const struct err *why)
{
	sbx_send_failed(ours, why);
}
