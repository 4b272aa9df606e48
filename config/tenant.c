/* SPDX-License-Identifier: Apache-2.0 */
/* The tenant document: rows, and checks between its instances. */
#include "config/tenant.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "config/firewall.h"
#include "config/network.h"
#include "config/plan.h"
#include "config/valid.h"

#define ROW(type, member, key_, kind_, ...)                                                        \
	{                                                                                          \
		.key = (key_), .kind = JSON_KIND_##kind_, .offset = offsetof(struct type, member), \
		__VA_ARGS__                                                                        \
	}
#define NAME_EXPECT "a name (1 to 63 of a-z 0-9 - .)"
#define SSH_KEY_EXPECT "a public ssh key without options"
#define SIZE_LIMIT (1ull << 60)

static const char *const protocol_names[] = {"all", "tcp", "udp", "icmp", NULL};

static const struct json_row quota_rows[] = {
	ROW(spec_quota, instances, "instances", U64, .flags = JSON_ROW_LIMIT,
	    .expect = "a number of instances", .example = "10"),
	/* Of what cpu.max takes, and far below what it counts in 44 bits of microseconds. */
	ROW(spec_quota, cores, "cores", MILLI, .flags = JSON_ROW_LIMIT, .min = 10,
	    .max = 1000000000, .expect = "a number of cores with at most 3 decimals",
	    .example = "16"),
	ROW(spec_quota, memory, "memory", SIZE, .flags = JSON_ROW_LIMIT, .max = SIZE_LIMIT,
	    .expect = "a size", .example = "32GiB"),
	/* pids.max of the kernel ends at PID_MAX_LIMIT. */
	ROW(spec_quota, pids, "pids", U64, .flags = JSON_ROW_LIMIT, .max = 4194304,
	    .expect = "a number of processes and threads", .example = "8192"),
	ROW(spec_quota, disk, "disk", SIZE, .flags = JSON_ROW_LIMIT, .max = SIZE_LIMIT,
	    .expect = "a size", .example = "400GiB"),
	ROW(spec_quota, ipv4, "ipv4", U64, .flags = JSON_ROW_LIMIT,
	    .expect = "a number of addresses", .example = "4"),
	ROW(spec_quota, transfer, "transfer", SIZE, .flags = JSON_ROW_LIMIT, .max = SIZE_LIMIT,
	    .expect = "a size", .example = "20TiB"),
};
static const struct json_table quota_table = JSON_TABLE("a quota", struct spec_quota, quota_rows);

static const struct json_row attach_rows[] = {
	ROW(spec_attach, network, "network", STRING, .flags = JSON_ROW_REQUIRED,
	    .is_valid = str_is_name, .expect = "the name of a network", .example = "nat0"),
	ROW(spec_attach, ipv4, "ipv4", STRINGS, .flags = JSON_ROW_SINGLE, .def = "\"auto\"",
	    .min = 1, .max = SPEC_WISHES_MAX, .is_valid = spec_is_wish4,
	    .expect = "an IPv4 address, \"auto\" or \"none\"", .example = "auto"),
	ROW(spec_attach, ipv6, "ipv6", STRINGS, .flags = JSON_ROW_SINGLE, .def = "\"auto\"",
	    .min = 1, .max = SPEC_WISHES_MAX, .is_valid = spec_is_wish6,
	    .expect = "an IPv6 address or prefix, \"auto\", \"auto/64\" or \"none\"",
	    .example = "auto"),
	ROW(spec_attach, ports, "ports", STRINGS, .max = 1000, .is_valid = spec_is_port_forward,
	    .expect = "a port forward", .example = "8080:80/tcp"),
};
const struct json_table spec_attach_table =
	JSON_TABLE("an interface of an instance", struct spec_attach, attach_rows);

static const struct json_row rule_rows[] = {
	ROW(spec_firewall_rule, allow, "allow", ENUM, .names = protocol_names,
	    .expect = "a protocol"),
	ROW(spec_firewall_rule, deny, "deny", ENUM, .names = protocol_names,
	    .expect = "a protocol"),
	ROW(spec_firewall_rule, ports, "ports", STRING, .flags = JSON_ROW_NULL,
	    .is_valid = spec_is_port_list, .expect = "a list of ports",
	    .example = "22,80,8000-8100"),
	ROW(spec_firewall_rule, from, "from", STRING, .flags = JSON_ROW_NULL,
	    .is_valid = spec_is_source, .expect = "an address or a range of them",
	    .example = "203.0.113.0/24"),
};
const struct json_table spec_rule_table =
	JSON_TABLE("a firewall rule", struct spec_firewall_rule, rule_rows);

static const struct json_row autostart_rows[] = {
	ROW(spec_autostart, enabled, "enabled", BOOL, .def = "true", .expect = "true or false"),
	ROW(spec_autostart, priority, "priority", U64, .def = "100", .max = 1000,
	    .expect = "a number from 0 (first) to 1000", .example = "10"),
};
static const struct json_table autostart_table =
	JSON_TABLE("autostart", struct spec_autostart, autostart_rows);

static const struct json_row instance_rows[] = {
	ROW(spec_instance, name, "name", STRING, .flags = JSON_ROW_REQUIRED,
	    .is_valid = str_is_name, .expect = NAME_EXPECT, .example = "web1"),
	ROW(spec_instance, plan, "plan", STRING, .flags = JSON_ROW_REQUIRED,
	    .is_valid = spec_is_plan_ref, .expect = "a plan, PLAN or PLAN@VERSION",
	    .example = "small@1"),
	ROW(spec_instance, image, "image", STRING, .flags = JSON_ROW_REQUIRED,
	    .is_valid = spec_is_image, .expect = "an image, a name or sha256:DIGEST",
	    .example = "debian-12"),
	ROW(spec_instance, hostname, "hostname", STRING, .is_valid = str_is_hostname,
	    .expect = "a host name", .example = "web1.acme.example"),
	ROW(spec_instance, labels, "labels", LABELS, .is_valid = spec_is_label_key,
	    .expect = "an object of strings", .example = "{\"billing\": \"C-1042\"}"),
	ROW(spec_instance, protected, "protected", BOOL, .def = "false", .expect = "true or false"),
	ROW(spec_instance, network, "network", OBJECTS, .max = SPEC_NICS_MAX,
	    .sub = &spec_attach_table, .expect = "a list of interfaces"),
	ROW(spec_instance, firewall, "firewall", OBJECTS, .max = SPEC_FIREWALL_MAX,
	    .sub = &spec_rule_table, .expect = "a list of firewall rules"),
	ROW(spec_instance, autostart, "autostart", OBJECT, .sub = &autostart_table,
	    .expect = "an object"),
	ROW(spec_instance, ssh_keys, "ssh_keys", STRINGS, .max = 100, .is_valid = spec_is_ssh_key,
	    .expect = SSH_KEY_EXPECT, .example = "\"ssh-ed25519 AAAA... ops@acme\""),
	ROW(spec_instance, user_data, "user_data", STRING, .flags = JSON_ROW_NULL | JSON_ROW_TEXT,
	    .max = 65536, .expect = "a text"),
	ROW(spec_instance, password_hash, "password_hash", STRING, .flags = JSON_ROW_NULL,
	    .is_valid = spec_is_password_hash, .expect = "a password hash of crypt(5)",
	    .example = "$y$j9T$..."),
	ROW(spec_instance, timezone, "timezone", STRING, .def = "\"UTC\"",
	    .is_valid = spec_is_timezone, .expect = "a time zone", .example = "Europe/Berlin"),
	ROW(spec_instance, overrides, "overrides", PARTIAL, .sub = &spec_plan_table,
	    .expect = "a part of a plan", .example = "{\"memory\": {\"limit\": \"2GiB\"}}"),
};
const struct json_table spec_instance_table =
	JSON_TABLE("an instance", struct spec_instance, instance_rows);

static const struct json_row tenant_rows[] = {
	ROW(spec_tenant, name, "tenant", STRING, .flags = JSON_ROW_REQUIRED,
	    .is_valid = str_is_name, .expect = NAME_EXPECT, .example = "acme"),
	ROW(spec_tenant, labels, "labels", LABELS, .is_valid = spec_is_label_key,
	    .expect = "an object of strings", .example = "{\"billing\": \"C-1042\"}"),
	ROW(spec_tenant, quota, "quota", OBJECT, .sub = &quota_table, .expect = "an object"),
	ROW(spec_tenant, ssh_keys, "ssh_keys", STRINGS, .max = 100, .is_valid = spec_is_ssh_key,
	    .expect = SSH_KEY_EXPECT, .example = "\"ssh-ed25519 AAAA... ops@acme\""),
	ROW(spec_tenant, instances, "instances", OBJECTS, .sub = &spec_instance_table,
	    .expect = "a list of instances"),
};
const struct json_table spec_tenant_table =
	JSON_TABLE("a tenant", struct spec_tenant, tenant_rows, .is_document = true);

/* Checks between fields, and the host name that follows from the name. */
static int finish_instance(struct spec_instance *i, const struct json_where *w)
{
	int bad = 0;

	if (spec_firewall_check(i, w) < 0)
		bad = -EINVAL;
	if (spec_attach_check(i, w) < 0)
		bad = -EINVAL;
	if (i->hostname)
		return bad;
	if (!str_is_hostname(i->name))
		return problems_add(w, "name", NULL,
				    "\"%s\" is not a host name as well; add \"hostname\"", i->name);
	i->hostname = strdup(i->name);
	return i->hostname ? bad : -ENOMEM;
}

static int check_names(const struct spec_tenant *t, const struct json_where *w)
{
	_cleanup_json_ json_t *first = json_object(); /* name -> index of its first instance */
	char key[48];
	int bad = 0;

	if (!first)
		return -ENOMEM;
	for (size_t i = 0; i < t->instances.n; i++) {
		const char *name = t->instances.items[i].name;
		const json_t *at = json_object_get(first, name);

		(void)snprintf(key, sizeof(key), "instances[%zu].name", i);
		if (at)
			bad = problems_add(w, key, NULL,
					   "\"%s\" is the name of instances[%lld] already", name,
					   (long long)json_integer_value(at));
		else if (json_object_set_new(first, name, json_integer((json_int_t)i)) < 0)
			return -ENOMEM;
	}
	return bad;
}

static int finish_tenant(struct spec_tenant *t, const struct json_where *w)
{
	int bad = check_names(t, w);

	for (size_t i = 0; i < t->instances.n; i++) {
		char path[48];
		struct json_where below = {w->file, path, w->problems};
		int r;

		(void)snprintf(path, sizeof(path), "instances[%zu]", i);
		r = finish_instance(&t->instances.items[i], &below);
		bad = r < 0 ? r : bad;
	}
	if (bad == 0)
		bad = spec_claims_check(t->instances.items, t->instances.n, true, w);
	if (t->instances.n > t->quota.instances)
		bad = problems_add(w, "quota.instances", NULL,
				   "the document has %zu instances; the quota is %llu",
				   t->instances.n, (unsigned long long)t->quota.instances);
	return bad;
}

int spec_tenant_from_json(struct spec_tenant *t, const json_t *doc, const struct json_where *w)
{
	int r = json_rows_decode(&spec_tenant_table, doc, 0, t, w);

	if (r == 0)
		r = finish_tenant(t, w);
	if (r < 0)
		spec_tenant_done(t);
	return r < 0 && w->problems->oom ? -ENOMEM : r;
}

int spec_instance_from_json(struct spec_instance *i, const json_t *doc, const struct json_where *w)
{
	int r = json_rows_decode(&spec_instance_table, doc, 0, i, w);

	if (r == 0)
		r = finish_instance(i, w);
	if (r == 0)
		r = spec_claims_check(i, 1, false, w);
	if (r < 0)
		spec_instance_done(i);
	return r < 0 && w->problems->oom ? -ENOMEM : r;
}

void spec_tenant_done(struct spec_tenant *t)
{
	json_rows_done(&spec_tenant_table, t);
}

void spec_instance_done(struct spec_instance *i)
{
	json_rows_done(&spec_instance_table, i);
}

json_t *spec_tenant_to_json(const struct spec_tenant *t)
{
	return json_rows_encode(&spec_tenant_table, t, JSON_ENCODE_ALL);
}

json_t *spec_instance_to_json(const struct spec_instance *i)
{
	return json_rows_encode(&spec_instance_table, i, JSON_ENCODE_ALL);
}
