/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host document, vpsd.json(5): where vpsd listens and keeps its state, what it leaves to the
 * host, which limits may be missing. Every key has a default: without a file all is complete.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"

enum spec_serve {
	SPEC_SERVE_API,
	SPEC_SERVE_METRICS,
	SPEC_SERVE_MAX,
};

struct spec_tls {
	struct json_seen seen;
	char *cert; /* absolute path or NULL */
	char *key;
};

/* Either unix_path or tcp is set. One entry has a unix_path, and serves the API. A tcp entry
 * reaches the daemon only when "listen.tcp" is tolerated: skip it. */
struct spec_listen {
	struct json_seen seen;
	char *unix_path;
	char *group; /* of the unix socket; NULL = root only */
	char *tcp;   /* "127.0.0.1:9180", "[::]:8443" */
	enum spec_serve serve;
	struct spec_tls tls;
};

struct spec_reserve {
	struct json_seen seen;
	uint64_t cores; /* thousandths */
	uint64_t memory;
	uint64_t disk;
};

struct spec_overcommit {
	struct json_seen seen;
	uint64_t cpu; /* thousandths: 4000 = four times */
	uint64_t memory;
	uint64_t disk;
};

/* Starts that nobody waits for: after a boot of the host, and retries. */
struct spec_host_autostart {
	struct json_seen seen;
	uint64_t parallel; /* at once; 0 = one for each CPU, at least 4 */
	uint64_t settle;   /* microseconds: so long a start counts that does not say it is ready */
};

/* Which CPUs a shared instance may use. */
enum spec_placement {
	SPEC_PLACEMENT_SPREAD, /* as many as its cores, spread by what was sold */
	SPEC_PLACEMENT_FLOAT,  /* all; its ceiling alone holds it */
	SPEC_PLACEMENT_MAX,
};

/* Who shares the inodes (and page cache) of an unpacked image. */
enum spec_sharing {
	SPEC_SHARING_NONE,
	SPEC_SHARING_TENANT,
	SPEC_SHARING_HOST,
	SPEC_SHARING_MAX,
};

#define SPEC_IDMAP_RANGE 65536u /* ids of one instance */

/* Range i is [base + i * 65536, base + (i + 1) * 65536); range 0 belongs to jobs. */
struct spec_idmap {
	struct json_seen seen;
	uint64_t base;
	uint64_t count;
};

enum spec_network_mode {
	SPEC_NETWORK_NAT,
	SPEC_NETWORK_ROUTED,
	SPEC_NETWORK_MODE_MAX,
};

struct spec_network {
	struct json_seen seen;
	char *name;
	enum spec_network_mode mode;
	char *uplink;		/* interface or NULL */
	JSON_LIST(char *) ipv4; /* CIDR */
	JSON_LIST(char *) ipv6;
	JSON_LIST(char *) reserved; /* never given out: addr_parse_range() */
	bool uplink_proxy;
	uint64_t mtu; /* of guests' interfaces, bytes */
};

/* What is done inside a guest that is stuck at its memory limit. */
enum spec_thrash_action {
	SPEC_THRASH_NONE, /* it is only said */
	SPEC_THRASH_RECLAIM,
	SPEC_THRASH_THROTTLE,
	SPEC_THRASH_KILL,
	SPEC_THRASH_ACTION_MAX,
};

struct spec_thrash {
	struct json_seen seen;
	enum spec_thrash_action action;
	uint64_t pressure;  /* per cent of the time in which nothing in it gets on */
	uint64_t refaults;  /* pages a second that it reads again */
	uint64_t cache;	    /* per cent of its memory: with less left for files it is squeezed */
	uint64_t after;	    /* microseconds without a break */
	uint64_t read_iops; /* reads a second that a throttled one has left */
};

struct spec_webhook {
	struct json_seen seen;
	char *url;
	JSON_LIST(char *) events; /* empty = all */
	char *secret_file;
};

struct spec_backup_target {
	struct json_seen seen;
	char *name;
	char *path;
};

struct spec_host {
	struct json_seen seen;
	JSON_LIST(struct spec_listen) listen;
	char *state;
	char *pool;
	char *run;
	struct spec_reserve reserve;
	struct spec_overcommit overcommit;
	enum spec_sharing sharing;
	enum spec_placement cpu_placement;
	struct spec_idmap idmap;
	JSON_LIST(char *) required_controllers;
	JSON_LIST(char *) tolerate_unsupported; /* names with '*': spec_host_tolerates() */
	JSON_LIST(struct spec_network) networks;
	uint64_t sample;       /* microseconds */
	uint64_t stop_timeout; /* microseconds */
	struct spec_host_autostart autostart;
	uint64_t console_log; /* bytes kept of an instance's console */
	struct spec_thrash thrash;
	JSON_LIST(struct spec_webhook) webhooks;
	JSON_LIST(struct spec_backup_target) backup_targets;
};

extern const struct json_table spec_host_table;

/* Fills h from a parsed document and checks it; 0, -EINVAL with problems added, or -ENOMEM. On
 * failure h is empty (all zero). */
int spec_host_from_json(struct spec_host *h, const json_t *doc, const struct json_where *w);
/* The host document of a machine without one. -ENOMEM at the most. */
int spec_host_default(struct spec_host *h);
void spec_host_done(struct spec_host *h);
#define _cleanup_spec_host_ _cleanup_(spec_host_done)
/* New reference with all defaults; NULL when memory is short. */
json_t *spec_host_to_json(const struct spec_host *h);
/* Where the API is served: the one entry with a unix socket, which every checked document has. */
const struct spec_listen *spec_host_api(const struct spec_host *h);
/* Whether a dotted name ("disk.read") is tolerated as unsupported. "disk.*" covers "disk" itself
 * and everything below it; '*' elsewhere matches any text. */
bool spec_host_tolerates(const struct spec_host *h, const char *name);
