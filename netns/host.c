/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of network namespaces that exist only as files. */
#include "netns/host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/str.h"
#include "netns/netlink.h"

#define PROC_SYS_NET "/proc/sys/net"

void net_settings_done(struct net_settings *s)
{
	free(s->items);
	*s = NET_SETTINGS_INIT;
}

/* --- the host -------------------------------------------------------------------------------- */

struct host {
	int dir;
	struct net_settings *changed;
};

static int note(struct host *h, const char *path, const char *before, const char *now,
		struct err *err)
{
	struct net_setting *grown =
		reallocarray(h->changed->items, h->changed->n + 1, sizeof(*grown));

	if (!grown)
		return err_set(err, ENOMEM, "cannot note the setting '%s': out of memory", path);
	h->changed->items = grown;
	grown += h->changed->n++;
	(void)str_copy(grown->path, sizeof(grown->path), path);
	(void)str_copy(grown->before, sizeof(grown->before), before);
	(void)str_copy(grown->now, sizeof(grown->now), now);
	return 0;
}

/* Writes what is not so already. */
static int set(struct host *h, const char *path, const char *value, struct err *err)
{
	char before[16];
	ssize_t n = file_read_short_at(h->dir, path, before, sizeof(before), err);
	int r;

	if (n < 0)
		return (int)n;
	if (str_eq(before, value))
		return 0;
	r = file_write_at(h->dir, path, value, err);
	return r < 0 ? r : note(h, path, before, value, err);
}

/* An interface that believes router advertisements goes on to do so when the host forwards. */
static int keep_accept_ra(struct host *h, const char *name, struct err *err)
{
	char path[96], value[16];
	ssize_t n;

	if (str_fmt(path, sizeof(path), "ipv6/conf/%s/accept_ra", name) < 0)
		return err_set(err, ENAMETOOLONG, "'%s' is too long a name", name);
	n = file_read_short_at(h->dir, path, value, sizeof(value), NULL);
	/* One that went meanwhile has nothing to keep. */
	return n < 0 || !str_eq(value, "1") ? 0 : set(h, path, "2", err);
}

static int keep_all_accept_ra(struct host *h, struct err *err)
{
	static const char *const others[] = {"all", "default", "lo", NULL};
	int fd = path_open_beneath(h->dir, "ipv6/conf", O_RDONLY | O_DIRECTORY, 0, err);
	_cleanup_closedir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	int r = fd < 0 ? fd : 0;

	if (r == 0 && !d) {
		r = err_sys(err, "cannot list the interfaces that have IPv6");
		cleanup_close(&fd);
	}
	while (r == 0 && (e = readdir(d))) {
		bool is_other = e->d_name[0] == '.';

		for (size_t i = 0; others[i]; i++)
			is_other |= str_eq(e->d_name, others[i]);
		if (!is_other)
			r = keep_accept_ra(h, e->d_name, err);
	}
	return r;
}

static int forward_ipv6(struct host *h, struct err *err)
{
	char value[16];
	ssize_t n =
		file_read_short_at(h->dir, "ipv6/conf/all/forwarding", value, sizeof(value), err);
	int r;

	if (n < 0)
		return (err_ctx(err, "guests have IPv6, which the host needs, too"), (int)n);
	/* Of a host that forwards already the operator has decided: 1 means "no" there. */
	if (str_eq(value, "1"))
		return 0;
	r = keep_all_accept_ra(h, err);
	return r < 0 ? r : set(h, "ipv6/conf/all/forwarding", "1", err);
}

static int set_uplink(struct host *h, const struct net_host_wish *wish, struct err *err)
{
	const struct {
		bool is_wanted;
		const char *dir, *file, *value;
	} rows[] = {
		{wish->has_ipv6, "ipv6/conf", "proxy_ndp", "1"},
		/* Else each answer waits up to 0.8 s, at random. */
		{wish->has_ipv6, "ipv6/neigh", "proxy_delay", "0"},
		{wish->has_ipv4, "ipv4/neigh", "proxy_delay", "0"},
	};
	char path[96];
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!rows[i].is_wanted)
			continue;
		(void)str_fmt(path, sizeof(path), "%s/%s/%s", rows[i].dir, wish->uplink,
			      rows[i].file);
		r = set(h, path, rows[i].value, err);
	}
	return r < 0 ? (err_ctx(err, "cannot prepare the uplink '%s'", wish->uplink), r) : 0;
}

int net_host_prepare(const char *proc_sys_net, const struct net_host_wish *wish,
		     struct net_settings *ret, struct err *err)
{
	_cleanup_close_ int dir = path_open_dir(proc_sys_net, err);
	struct host h = {.dir = dir, .changed = ret};
	int r = dir;

	if (r < 0)
		return r;
	*ret = NET_SETTINGS_INIT;
	if (wish->uplink &&
	    (strchr(wish->uplink, '/') || str_eq(wish->uplink, "..") || str_eq(wish->uplink, ".") ||
	     !*wish->uplink || strlen(wish->uplink) >= IFNAMSIZ))
		return err_set(err, EINVAL, "'%s' is no name of an interface", wish->uplink);
	if (wish->has_ipv4)
		r = set(&h, "ipv4/ip_forward", "1", err);
	if (r >= 0 && wish->has_ipv6)
		r = forward_ipv6(&h, err);
	if (r >= 0 && wish->uplink)
		r = set_uplink(&h, wish, err);
	return r < 0 ? r : 0;
}

/* --- a guest --------------------------------------------------------------------------------- */

static const struct {
	const char *path, *value;
	bool is_ipv6; /* not there on a kernel without IPv6 */
} guest_settings[] = {
	/* A new namespace has the host's values of IPv4, whatever these are. */
	{"ipv4/ip_forward", "0", false},
	{"ipv4/conf/default/accept_redirects", "0", false},
	{"ipv4/conf/default/accept_source_route", "0", false},
	{"ipv6/conf/default/accept_ra", "0", true},
	{"ipv6/conf/default/autoconf", "0", true},
	{"ipv6/conf/default/dad_transmits", "0", true},
	{"ipv6/conf/default/accept_redirects", "0", true},
};

/* Within the namespace: what /proc/sys/net shows is chosen when a name is looked up, by who looks.
 */
static int write_guest_settings(void *arg, struct err *err)
{
	_cleanup_close_ int dir = path_open_dir(PROC_SYS_NET, err);
	int r = dir;

	(void)arg;
	for (size_t i = 0; r >= 0 && i < sizeof(guest_settings) / sizeof(guest_settings[0]); i++) {
		r = file_write_at(dir, guest_settings[i].path, guest_settings[i].value, err);
		if (r == -ENOENT && guest_settings[i].is_ipv6)
			r = 0;
	}
	return r < 0 ? r : 0;
}

int net_namespace_prepare(int netns, struct err *err)
{
	return nl_run_in(netns, write_guest_settings, NULL, err);
}
