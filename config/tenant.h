/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tenant document, vps-tenant(5): who it is sold to, with the instances wanted. The rows of an
 * instance also read the body of an API request that creates one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"

/* What a tenant may have in sum; JSON_UNLIMITED where absent or null. */
struct spec_quota {
	struct json_seen seen;
	uint64_t instances;
	uint64_t cores; /* thousandths */
	uint64_t memory;
	uint64_t pids;
	uint64_t disk;
	uint64_t ipv4;
	uint64_t transfer;
};

struct spec_attach {
	struct json_seen seen;
	char *network;
	JSON_LIST(char *) ipv4;	 /* "auto", "none", addresses: spec_attach_wishes() */
	JSON_LIST(char *) ipv6;	 /* the same, and prefixes */
	JSON_LIST(char *) ports; /* "8080:80/tcp": spec_forward_parse() */
};

enum spec_protocol {
	SPEC_PROTOCOL_ALL,
	SPEC_PROTOCOL_TCP,
	SPEC_PROTOCOL_UDP,
	SPEC_PROTOCOL_ICMP,
	SPEC_PROTOCOL_MAX,
};

/* Exactly one of allow and deny is there: json_rows_has(). */
struct spec_firewall_rule {
	struct json_seen seen;
	enum spec_protocol allow;
	enum spec_protocol deny;
	char *ports; /* "22,80,8000-8100": spec_ports_next(); NULL = all */
	char *from;  /* an address or CIDR; NULL = anywhere, in both families */
};

struct spec_autostart {
	struct json_seen seen;
	bool enabled;
	uint64_t priority; /* lower starts earlier */
};

struct spec_instance {
	struct json_seen seen;
	char *name;
	char *plan; /* "small" or "small@1": spec_plan_ref_parse() */
	char *image;
	char *hostname; /* the instance name where the document has none */
	struct json_labels labels;
	bool protected;
	JSON_LIST(struct spec_attach) network;
	JSON_LIST(struct spec_firewall_rule) firewall;
	struct spec_autostart autostart;
	JSON_LIST(char *) ssh_keys; /* besides those of the tenant */
	char *user_data;	    /* several lines */
	char *password_hash;	    /* crypt(5) */
	char *timezone;
	json_t *overrides; /* partial plan or NULL: spec_plan_override() */
};

struct spec_tenant {
	struct json_seen seen;
	char *name;
	struct json_labels labels;
	struct spec_quota quota;
	JSON_LIST(char *) ssh_keys;
	JSON_LIST(struct spec_instance) instances;
};

extern const struct json_table spec_tenant_table;
extern const struct json_table spec_instance_table;
extern const struct json_table spec_attach_table;
extern const struct json_table spec_rule_table;

/* Fills from a parsed document and checks it; 0, -EINVAL with problems added, or -ENOMEM. On
 * failure the struct is empty (all zero). */
int spec_tenant_from_json(struct spec_tenant *t, const json_t *doc, const struct json_where *w);
int spec_instance_from_json(struct spec_instance *i, const json_t *doc, const struct json_where *w);
void spec_tenant_done(struct spec_tenant *t);
void spec_instance_done(struct spec_instance *i);
#define _cleanup_spec_tenant_ _cleanup_(spec_tenant_done)
#define _cleanup_spec_instance_ _cleanup_(spec_instance_done)
/* New references with all defaults, normalised; NULL when memory is short. */
json_t *spec_tenant_to_json(const struct spec_tenant *t);
json_t *spec_instance_to_json(const struct spec_instance *i);
