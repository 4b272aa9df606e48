/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel's settings of a network namespace must be, where no netlink message sets them:
 * the host's, before the first NIC, and a guest's, before its links are born.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* A setting that was changed. */
struct net_setting {
	char path[96]; /* below /proc/sys/net: "ipv6/conf/eth0/accept_ra" */
	char before[16], now[16];
};

struct net_settings {
	struct net_setting *items; /* heap */
	size_t n;
};

#define NET_SETTINGS_INIT ((struct net_settings){.items = NULL})

void net_settings_done(struct net_settings *s);

struct net_host_wish {
	const char *uplink;	 /* on which the host answers for guests' addresses; NULL = none */
	bool has_ipv4, has_ipv6; /* guests have such addresses */
};

/* Makes the host forward what guests send and get, and answer for them on the uplink at once. Each
 * value that it changed is in the list, for the log: nothing changes silently, what is right
 * already is not written, and nothing is set back.
 *
 * A host that forwards no longer believes router advertisements and drops the default routes that
 * it has from them, unless accept_ra is 2: interfaces with 1 get 2 before. 0 stays 0.
 *
 * 'proc_sys_net' is "/proc/sys/net", whose values are those of the caller's network namespace, or a
 * directory like it. -ENOENT: the kernel has no such setting, for example no IPv6, or there is no
 * such uplink. The list holds also what was changed before a failure. */
int net_host_prepare(const char *proc_sys_net, const struct net_host_wish *wish,
		     struct net_settings *ret, struct err *err);

/* Settings of a guest's namespace that its links are born with: no router advertisements believed,
 * no addresses made of them, no second spent on the search for duplicates; it forwards nothing
 * until its root wants that. To be called before the guest's init runs, which may set all of it as
 * it likes. The calling thread enters the namespace and comes back, as with nl_sock_open_in(). */
int net_namespace_prepare(int netns, struct err *err);
