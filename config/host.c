/* SPDX-License-Identifier: Apache-2.0 */
/* The host document: rows with their defaults, and checks between fields. */
#include "config/host.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "config/network.h"
#include "config/support.h"
#include "config/valid.h"

#define ROW(type, member, key_, kind_, ...)                                                        \
	{                                                                                          \
		.key = (key_), .kind = JSON_KIND_##kind_, .offset = offsetof(struct type, member), \
		__VA_ARGS__                                                                        \
	}
#define PATH_EXPECT "an absolute path without . and .."
#define SIZE_LIMIT (1ull << 60)
/* The last range of 32-bit ids stays free: (uid_t)-1 means "no change" to the kernel. */
#define IDMAP_END ((1ull << 32) - SPEC_IDMAP_RANGE)
#define IDMAP_BASE_MIN 1000000u

static const char *const serve_names[] = {"api", "metrics", NULL};
static const char *const placement_names[] = {"spread", "float", NULL};
static const char *const sharing_names[] = {"none", "tenant", "host", NULL};
static const char *const mode_names[] = {"nat", "routed", NULL};

static const char *const thrash_names[] = {"none", "reclaim", "throttle", "kill", NULL};

static const char *const controller_names[] = {"cpu",	  "cpuset", "memory", "io", "pids",
					       "hugetlb", "rdma",   "misc",   NULL};

static bool is_controller(const char *s)
{
	for (size_t i = 0; controller_names[i]; i++)
		if (str_eq(s, controller_names[i]))
			return true;
	return false;
}

static const struct json_row tls_rows[] = {
	ROW(spec_tls, cert, "cert", STRING, .flags = JSON_ROW_REQUIRED, .is_valid = spec_is_path,
	    .expect = PATH_EXPECT, .example = "/etc/vpsd/tls/cert.pem"),
	ROW(spec_tls, key, "key", STRING, .flags = JSON_ROW_REQUIRED, .is_valid = spec_is_path,
	    .expect = PATH_EXPECT, .example = "/etc/vpsd/tls/key.pem"),
};
static const struct json_table tls_table =
	JSON_TABLE("the tls part of a listener", struct spec_tls, tls_rows);

static const struct json_row listen_rows[] = {
	ROW(spec_listen, unix_path, "unix", STRING, .is_valid = spec_is_socket_path,
	    .expect = "an absolute path of at most 107 bytes", .example = "/run/vpsd/vpsd.sock"),
	ROW(spec_listen, group, "group", STRING, .flags = JSON_ROW_NULL, .is_valid = spec_is_word,
	    .expect = "the name of a group", .example = "vps"),
	ROW(spec_listen, tcp, "tcp", STRING, .is_valid = spec_is_endpoint, .expect = "ADDRESS:PORT",
	    .example = "127.0.0.1:9180"),
	ROW(spec_listen, serve, "serve", ENUM, .def = "\"api\"", .names = serve_names,
	    .expect = "what is served"),
	ROW(spec_listen, tls, "tls", OBJECT, .sub = &tls_table, .expect = "an object"),
};
static const struct json_table listen_table =
	JSON_TABLE("a listener", struct spec_listen, listen_rows);

static const struct json_row reserve_rows[] = {
	ROW(spec_reserve, cores, "cores", MILLI, .def = "1", .max = 4096000,
	    .expect = "a number of cores with at most 3 decimals", .example = "1"),
	ROW(spec_reserve, memory, "memory", SIZE, .def = "\"2GiB\"", .max = SIZE_LIMIT,
	    .expect = "a size", .example = "2GiB"),
	ROW(spec_reserve, disk, "disk", SIZE, .def = "\"20GiB\"", .max = SIZE_LIMIT,
	    .expect = "a size", .example = "20GiB"),
};
static const struct json_table reserve_table =
	JSON_TABLE("the reserve", struct spec_reserve, reserve_rows);

static const struct json_row overcommit_rows[] = {
	ROW(spec_overcommit, cpu, "cpu", MILLI, .def = "4", .min = 100, .max = 1000000,
	    .expect = "a factor", .example = "4"),
	ROW(spec_overcommit, memory, "memory", MILLI, .def = "1", .min = 100, .max = 1000000,
	    .expect = "a factor", .example = "1"),
	ROW(spec_overcommit, disk, "disk", MILLI, .def = "1", .min = 100, .max = 1000000,
	    .expect = "a factor", .example = "1.5"),
};
static const struct json_table overcommit_table =
	JSON_TABLE("overcommit", struct spec_overcommit, overcommit_rows);

static const struct json_row autostart_rows[] = {
	ROW(spec_host_autostart, parallel, "parallel", U64, .def = "0", .max = 1000,
	    .expect = "a number of starts, 0 for one for each CPU", .example = "8"),
	ROW(spec_host_autostart, settle, "settle", DURATION, .def = "\"5s\"", .max = 600000000,
	    .expect = "a duration", .example = "5s"),
};
static const struct json_table autostart_table =
	JSON_TABLE("the autostart", struct spec_host_autostart, autostart_rows);

static const struct json_row idmap_rows[] = {
	ROW(spec_idmap, base, "base", U64, .def = "1000000", .min = IDMAP_BASE_MIN,
	    .max = IDMAP_END, .expect = "a user id", .example = "1000000"),
	ROW(spec_idmap, count, "count", U64, .def = "10000", .min = 2, .max = 65535,
	    .expect = "a number of id ranges", .example = "10000"),
};
static const struct json_table idmap_table = JSON_TABLE("the idmap", struct spec_idmap, idmap_rows);

static const struct json_row network_rows[] = {
	ROW(spec_network, name, "network", STRING, .flags = JSON_ROW_REQUIRED,
	    .is_valid = str_is_name, .expect = "a name (1 to 63 of a-z 0-9 - .)",
	    .example = "nat0"),
	ROW(spec_network, mode, "mode", ENUM, .flags = JSON_ROW_REQUIRED, .names = mode_names,
	    .expect = "\"nat\" or \"routed\"", .example = "nat"),
	ROW(spec_network, uplink, "uplink", STRING, .is_valid = spec_is_interface,
	    .expect = "a network interface", .example = "eth0"),
	ROW(spec_network, ipv4, "ipv4", STRINGS, .max = 256, .is_valid = spec_is_cidr4,
	    .expect = "an IPv4 range without host bits", .example = "10.77.0.0/16"),
	ROW(spec_network, ipv6, "ipv6", STRINGS, .max = 256, .is_valid = spec_is_cidr6,
	    .expect = "an IPv6 range without host bits", .example = "fd77::/64"),
	ROW(spec_network, reserved, "reserved", STRINGS, .max = 256, .is_valid = spec_is_range,
	    .expect = "an address, FIRST-LAST or a range", .example = "203.0.113.1-203.0.113.9"),
	ROW(spec_network, uplink_proxy, "uplink_proxy", BOOL, .def = "false",
	    .expect = "true or false"),
	/* RFC 791 and, with IPv6, RFC 8200; the most that a veth takes. */
	ROW(spec_network, mtu, "mtu", U64, .def = "1500", .min = 576, .max = 65535,
	    .expect = "bytes of a packet", .example = "1500"),
};
static const struct json_table network_table =
	JSON_TABLE("a network", struct spec_network, network_rows);

/* pressure: a workload that stays in "full" is thrashing (Documentation/accounting/psi.rst);
 * systemd-oomd(8) acts at 60 % for 30 s. refaults: a page that is read again is up to one random
 * read, and a spinning disk does some hundred of them. */
static const struct json_row thrash_rows[] = {
	ROW(spec_thrash, action, "action", ENUM, .def = "\"kill\"", .names = thrash_names,
	    .expect = "what is done"),
	ROW(spec_thrash, pressure, "pressure", U64, .def = "50", .min = 1, .max = 100,
	    .expect = "per cent of time", .example = "50"),
	ROW(spec_thrash, refaults, "refaults", U64, .def = "100", .min = 1, .max = 1000000000,
	    .expect = "pages a second", .example = "100"),
	ROW(spec_thrash, cache, "cache", U64, .def = "10", .max = 100,
	    .expect = "per cent of memory", .example = "10"),
	ROW(spec_thrash, after, "after", DURATION, .def = "\"60s\"", .min = 1000000,
	    .max = 3600000000, .expect = "a duration", .example = "60s"),
	ROW(spec_thrash, read_iops, "read_iops", U64, .def = "50", .min = 1, .max = 1000000000,
	    .expect = "reads a second", .example = "50"),
};
static const struct json_table thrash_table = JSON_TABLE("thrash", struct spec_thrash, thrash_rows);

static const struct json_row webhook_rows[] = {
	ROW(spec_webhook, url, "url", STRING, .flags = JSON_ROW_REQUIRED, .is_valid = spec_is_url,
	    .expect = "an http or https URL", .example = "https://billing.example/vps"),
	ROW(spec_webhook, events, "events", STRINGS, .max = 64, .is_valid = spec_is_word,
	    .expect = "the name of an event", .example = "instance.started"),
	ROW(spec_webhook, secret_file, "secret_file", STRING, .is_valid = spec_is_path,
	    .expect = PATH_EXPECT, .example = "/etc/vpsd/webhook.secret"),
};
static const struct json_table webhook_table =
	JSON_TABLE("a webhook", struct spec_webhook, webhook_rows);

static const struct json_row target_rows[] = {
	ROW(spec_backup_target, name, "target", STRING, .flags = JSON_ROW_REQUIRED,
	    .is_valid = str_is_name, .expect = "a name (1 to 63 of a-z 0-9 - .)", .example = "nas"),
	ROW(spec_backup_target, path, "path", STRING, .flags = JSON_ROW_REQUIRED,
	    .is_valid = spec_is_path, .expect = PATH_EXPECT, .example = "/mnt/backup"),
};
static const struct json_table target_table =
	JSON_TABLE("a backup target", struct spec_backup_target, target_rows);

static const struct json_row host_rows[] = {
	ROW(spec_host, listen, "listen", OBJECTS, .min = 1, .max = 16,
	    .def = "[{\"unix\": \"/run/vpsd/vpsd.sock\", \"group\": \"vps\"}]",
	    .sub = &listen_table, .expect = "a list of listeners"),
	ROW(spec_host, state, "state", STRING, .def = "\"/var/lib/vpsd\"", .is_valid = spec_is_path,
	    .expect = PATH_EXPECT, .example = "/var/lib/vpsd"),
	ROW(spec_host, pool, "pool", STRING, .def = "\"/var/lib/vpsd/pool\"",
	    .is_valid = spec_is_path, .expect = PATH_EXPECT, .example = "/var/lib/vpsd/pool"),
	ROW(spec_host, run, "run", STRING, .def = "\"/run/vpsd\"", .is_valid = spec_is_path,
	    .expect = PATH_EXPECT, .example = "/run/vpsd"),
	ROW(spec_host, reserve, "reserve", OBJECT, .sub = &reserve_table, .expect = "an object"),
	ROW(spec_host, overcommit, "overcommit", OBJECT, .sub = &overcommit_table,
	    .expect = "an object"),
	ROW(spec_host, sharing, "sharing", ENUM, .def = "\"tenant\"", .names = sharing_names,
	    .expect = "who shares images"),
	ROW(spec_host, cpu_placement, "cpu_placement", ENUM, .def = "\"spread\"",
	    .names = placement_names, .expect = "where instances run"),
	ROW(spec_host, idmap, "idmap", OBJECT, .sub = &idmap_table, .expect = "an object"),
	ROW(spec_host, required_controllers, "required_controllers", STRINGS,
	    .def = "[\"cpu\", \"cpuset\", \"memory\", \"io\", \"pids\"]", .max = 16,
	    .is_valid = is_controller, .names = controller_names, .expect = "a cgroup controller",
	    .example = "memory"),
	ROW(spec_host, tolerate_unsupported, "tolerate_unsupported", STRINGS, .max = 64,
	    .is_valid = spec_is_pattern, .expect = "a dotted name, * matches any text",
	    .example = "disk.*"),
	ROW(spec_host, networks, "networks", OBJECTS, .max = 256, .sub = &network_table,
	    .expect = "a list of networks"),
	ROW(spec_host, sample, "sample", DURATION, .def = "\"10s\"", .min = 1000000,
	    .max = 3600000000, .expect = "a duration", .example = "10s"),
	ROW(spec_host, stop_timeout, "stop_timeout", DURATION, .def = "\"90s\"", .max = 86400000000,
	    .expect = "a duration", .example = "90s"),
	ROW(spec_host, autostart, "autostart", OBJECT, .sub = &autostart_table,
	    .expect = "an object"),
	ROW(spec_host, console_log, "console_log", SIZE, .def = "\"1MiB\"", .min = 4096,
	    .max = 1u << 30, .expect = "a size", .example = "1MiB"),
	ROW(spec_host, thrash, "thrash", OBJECT, .sub = &thrash_table, .expect = "an object"),
	ROW(spec_host, webhooks, "webhooks", OBJECTS, .max = 64, .sub = &webhook_table,
	    .expect = "a list of webhooks"),
	ROW(spec_host, backup_targets, "backup_targets", OBJECTS, .max = 64, .sub = &target_table,
	    .expect = "a list of backup targets"),
};
const struct json_table spec_host_table =
	JSON_TABLE("a host document", struct spec_host, host_rows, .is_document = true);

/* The one socket is the API's, which is as good as root: an entry that asks for less, or for one
 * more group, must never be taken for it. Neither can be tolerated. */
static int check_unix(const struct spec_host *h, size_t i, const struct json_where *w)
{
	const struct spec_listen *l = &h->listen.items[i];
	size_t first = 0;
	char key[48];
	int bad = 0;

	while (!h->listen.items[first].unix_path)
		first++;
	if (l->serve != SPEC_SERVE_API) {
		(void)snprintf(key, sizeof(key), "listen[%zu].serve", i);
		bad = problems_add(w, key, NULL,
				   "\"%s\" cannot be served: vpsd " VPS_VERSION
				   " serves the API only; leave the entry out",
				   serve_names[l->serve]);
	}
	if (first != i) {
		(void)snprintf(key, sizeof(key), "listen[%zu].unix", i);
		bad = problems_add(w, key, NULL,
				   "\"%s\" cannot be served: vpsd " VPS_VERSION
				   " listens on one unix socket, that of listen[%zu]; leave the "
				   "entry out",
				   l->unix_path, first);
	}
	return bad;
}

static int check_listen(const struct spec_host *h, size_t i, const struct json_where *w)
{
	const struct spec_listen *l = &h->listen.items[i];
	char key[48];

	(void)snprintf(key, sizeof(key), "listen[%zu]", i);
	if (!l->unix_path == !l->tcp)
		return problems_add(
			w, key, NULL,
			"expected either \"unix\" with a path or \"tcp\" with ADDRESS:PORT");
	if (l->group && !l->unix_path)
		return problems_add(w, key, NULL,
				    "only a unix socket has a group; leave \"group\" out");
	if (l->tls.cert && !l->tcp)
		return problems_add(w, key, NULL, "only a tcp listener has tls; leave \"tls\" out");
	if (l->unix_path)
		return check_unix(h, i, w);
	if (spec_host_tolerates(h, "listen.tcp"))
		return 0;
	(void)snprintf(key, sizeof(key), "listen[%zu].tcp", i);
	return problems_add(w, key, NULL,
			    "\"%s\" cannot be served: vpsd " VPS_VERSION
			    " listens on unix sockets only; leave the entry out, or skip it with "
			    "\"tolerate_unsupported\": [\"listen.tcp\"]",
			    l->tcp);
}

static int check_idmap(const struct spec_idmap *m, const struct json_where *w)
{
	uint64_t most = (IDMAP_END - m->base) / SPEC_IDMAP_RANGE;

	if (m->count <= most)
		return 0;
	return problems_add(w, "idmap.count", NULL,
			    "%llu ranges of 65536 ids from %llu pass the end of the 32-bit ids; at "
			    "most %llu fit",
			    (unsigned long long)m->count, (unsigned long long)m->base,
			    (unsigned long long)most);
}

static int check_tolerated(const struct spec_host *h, const struct json_where *w)
{
	char key[48];
	int bad = 0;

	for (size_t i = 0; i < h->tolerate_unsupported.n; i++) {
		const char *pattern = h->tolerate_unsupported.items[i];

		if (spec_name_is_known(pattern))
			continue;
		(void)snprintf(key, sizeof(key), "tolerate_unsupported[%zu]", i);
		bad = problems_add(
			w, key, NULL,
			"\"%s\" matches nothing that can be unsupported; see vpsd.json(5)",
			pattern);
	}
	return bad;
}

static int check(const struct spec_host *h, const struct json_where *w)
{
	int bad = 0;

	for (size_t i = 0; i < h->listen.n; i++)
		if (check_listen(h, i, w) < 0)
			bad = -EINVAL;
	if (bad == 0 && !spec_host_api(h))
		bad = problems_add(w, "listen", NULL,
				   "has no unix socket, so nobody could reach vpsd; add {\"unix\": "
				   "\"/run/vpsd/vpsd.sock\"}");
	if (check_idmap(&h->idmap, w) < 0)
		bad = -EINVAL;
	if (check_tolerated(h, w) < 0)
		bad = -EINVAL;
	if (spec_networks_check(h, w) < 0)
		bad = -EINVAL;
	return bad;
}

int spec_host_from_json(struct spec_host *h, const json_t *doc, const struct json_where *w)
{
	int r = json_rows_decode(&spec_host_table, doc, 0, h, w);

	if (r == 0)
		r = check(h, w);
	if (r < 0)
		spec_host_done(h);
	return r < 0 && w->problems->oom ? -ENOMEM : r;
}

int spec_host_default(struct spec_host *h)
{
	_cleanup_problems_ struct problems *problems = problems_new();
	_cleanup_json_ json_t *doc = json_object();
	struct json_where w = {"", "", problems};

	memset(h, 0, sizeof(*h));
	return problems && doc ? spec_host_from_json(h, doc, &w) : -ENOMEM;
}

void spec_host_done(struct spec_host *h)
{
	json_rows_done(&spec_host_table, h);
}

json_t *spec_host_to_json(const struct spec_host *h)
{
	return json_rows_encode(&spec_host_table, h, JSON_ENCODE_ALL);
}

const struct spec_listen *spec_host_api(const struct spec_host *h)
{
	for (size_t i = 0; i < h->listen.n; i++)
		if (h->listen.items[i].unix_path)
			return &h->listen.items[i];
	return NULL;
}

bool spec_host_tolerates(const struct spec_host *h, const char *name)
{
	for (size_t i = 0; i < h->tolerate_unsupported.n; i++)
		if (spec_name_matches(h->tolerate_unsupported.items[i], name))
			return true;
	return false;
}
