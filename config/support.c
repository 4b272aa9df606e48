/* SPDX-License-Identifier: Apache-2.0 */
/* What cannot be enforced: one row per item, looked up in the documents by its JSON path. */
#include "config/support.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "config/host.h"
#include "config/plan.h"
#include "config/tenant.h"

enum item_source {
	FROM_PLAN,
	FROM_INSTANCE,
	FROM_TENANT,
	FROM_HOST,
	FROM_KERNEL, /* of no document: the host has it or not */
	FROM_MAX,
};

enum item_flags {
	COUNT_DEFAULT = 1u << 0, /* a default is a limit as well, not only what a document has */
	COUNT_ZERO = 1u << 1,	 /* 0 is a limit, not "off" */
};

struct item_row {
	const char *name;
	const char *path; /* in the document; NULL = the name */
	enum item_source source;
	unsigned flags;
};

/* In the order in which they are shown. Names of limits are those of cg_limit_name(). */
static const struct item_row item_rows[] = {
	{"cpu.cores", NULL, FROM_PLAN, COUNT_DEFAULT},
	{"cpu.guarantee", NULL, FROM_PLAN, COUNT_DEFAULT},
	{"cpu.burst", NULL, FROM_PLAN, COUNT_DEFAULT},
	{"cpu.dedicated", NULL, FROM_PLAN, COUNT_DEFAULT},
	{"memory.limit", NULL, FROM_PLAN, COUNT_DEFAULT},
	{"memory.high", NULL, FROM_PLAN, 0},
	{"memory.guarantee", NULL, FROM_PLAN, COUNT_DEFAULT},
	{"memory.swap", NULL, FROM_PLAN, COUNT_DEFAULT | COUNT_ZERO},
	{"pids", NULL, FROM_PLAN, COUNT_DEFAULT},
	{"disk.size", NULL, FROM_PLAN, 0},
	{"disk.inodes", NULL, FROM_PLAN, 0},
	{"disk.read", NULL, FROM_PLAN, 0},
	{"disk.write", NULL, FROM_PLAN, 0},
	{"disk.read_iops", NULL, FROM_PLAN, 0},
	{"disk.write_iops", NULL, FROM_PLAN, 0},
	{"disk.weight", NULL, FROM_PLAN, 0},
	{"network.in", NULL, FROM_PLAN, 0},
	{"network.out", NULL, FROM_PLAN, 0},
	{"network.pps", NULL, FROM_PLAN, 0},
	{"network.connections", NULL, FROM_PLAN, 0},
	{"network.new_connections", NULL, FROM_PLAN, 0},
	{"network.block_smtp", NULL, FROM_PLAN, 0},
	{"network.transfer", "network.transfer.monthly", FROM_PLAN, 0},
	{"features.nesting", NULL, FROM_PLAN, 0},
	{"features.tun", NULL, FROM_PLAN, 0},
	{"features.fuse", NULL, FROM_PLAN, 0},
	{"devices", NULL, FROM_PLAN, 0},
	{"snapshots", NULL, FROM_PLAN, 0},
	{"backups", NULL, FROM_PLAN, 0},
	{"network", NULL, FROM_INSTANCE, 0},
	{"firewall", NULL, FROM_INSTANCE, 0},
	{"autostart", "autostart.enabled", FROM_INSTANCE, 0},
	{"ssh_keys", NULL, FROM_INSTANCE, 0},
	{"ssh_keys", NULL, FROM_TENANT, 0},
	{"user_data", NULL, FROM_INSTANCE, 0},
	{"password_hash", NULL, FROM_INSTANCE, 0},
	{"timezone", NULL, FROM_INSTANCE, 0},
	{"quota.instances", NULL, FROM_TENANT, COUNT_ZERO},
	{"quota.cores", NULL, FROM_TENANT, COUNT_ZERO},
	{"quota.memory", NULL, FROM_TENANT, COUNT_ZERO},
	{"quota.pids", NULL, FROM_TENANT, COUNT_ZERO},
	{"quota.disk", NULL, FROM_TENANT, COUNT_ZERO},
	{"quota.ipv4", NULL, FROM_TENANT, COUNT_ZERO},
	{"quota.transfer", NULL, FROM_TENANT, COUNT_ZERO},
	{"device_program", NULL, FROM_KERNEL, 0},
	{"listen.tcp", NULL, FROM_HOST, 0},
	{"sharing", NULL, FROM_HOST, 0},
	{"networks", NULL, FROM_HOST, 0},
	{"sample", NULL, FROM_HOST, 0},
	{"webhooks", NULL, FROM_HOST, 0},
	{"backup_targets", NULL, FROM_HOST, 0},
};
#define N_ITEMS (sizeof(item_rows) / sizeof(item_rows[0]))

/* Of the host document; what has no row is "not supported by this build". */
static const struct spec_support host_support[] = {
	{"sharing", "image files are shared by all instances of the host"},
	{"networks", NULL},
	{"sample", NULL},
	{NULL, NULL},
};

_Static_assert(N_ITEMS <= SPEC_ITEMS_MAX, "every item has room in struct spec_items");

const char *spec_item_name(size_t i)
{
	return i < N_ITEMS ? item_rows[i].name : NULL;
}

bool spec_name_matches(const char *pattern, const char *name)
{
	size_t n = strlen(pattern);

	if (n > 2 && strcmp(pattern + n - 2, ".*") == 0 && strlen(name) == n - 2 &&
	    strncmp(pattern, name, n - 2) == 0)
		return true;
	return fnmatch(pattern, name, FNM_NOESCAPE) == 0;
}

bool spec_name_is_known(const char *pattern)
{
	for (size_t i = 0; i < N_ITEMS; i++)
		if (spec_name_matches(pattern, item_rows[i].name))
			return true;
	return false;
}

/* Whether a value does something: not off, not empty, not unlimited. */
static bool is_active(const struct json_row *row, const void *field, unsigned flags)
{
	struct {
		void *items;
		size_t n;
	} list;
	const char *s;
	uint64_t v;

	if (row->kind == JSON_KIND_BOOL)
		return *(const bool *)field;
	if (row->kind == JSON_KIND_STRING) {
		s = *(char *const *)field;
		/* The default of a string is written as JSON, with quotes. */
		return s && !(row->def && strncmp(row->def + 1, s, strlen(s)) == 0 &&
			      strlen(row->def) == strlen(s) + 2);
	}
	if (row->kind == JSON_KIND_STRINGS || row->kind == JSON_KIND_OBJECTS) {
		memcpy(&list, field, sizeof(list));
		return list.n > 0;
	}
	memcpy(&v, field, sizeof(v));
	return v != JSON_UNLIMITED && (v > 0 || (flags & COUNT_ZERO));
}

/* Follows a dotted path through the rows. */
static bool is_configured(const struct json_table *t, const void *obj, const char *path,
			  unsigned flags)
{
	for (;;) {
		const char *dot = strchrnul(path, '.');
		const struct json_row *row = NULL;
		const void *field;

		for (size_t i = 0; i < t->n_rows && !row; i++)
			if (strncmp(t->rows[i].key, path, (size_t)(dot - path)) == 0 &&
			    t->rows[i].key[dot - path] == '\0')
				row = &t->rows[i];
		if (!row)
			return false;
		field = (const char *)obj + row->offset;
		if (*dot == '\0')
			return ((flags & COUNT_DEFAULT) || json_rows_has(t, obj, row->key)) &&
			       is_active(row, field, flags);
		t = row->sub;
		obj = field;
		path = dot + 1;
	}
}

static const char *why_not(const struct spec_support *support, const char *name)
{
	for (; support->name; support++)
		if (spec_name_matches(support->name, name))
			return support->why_not;
	return "not supported by this build";
}

/* A default that this build does not keep is shown; a document that does not name it need not
 * tolerate it either. */
static bool is_tolerated(const struct spec_host *host, const char *name)
{
	return spec_host_tolerates(host, name) ||
	       (strcmp(name, "sharing") == 0 && !json_rows_has(&spec_host_table, host, "sharing"));
}

static void add(struct spec_items *items, const char *name, const struct spec_host *host,
		const struct spec_support *support)
{
	const char *reason = why_not(support, name);
	struct spec_item *item;

	if (!reason)
		return;
	for (size_t i = 0; i < items->n; i++)
		if (strcmp(items->items[i].name, name) == 0)
			return;
	item = &items->items[items->n++];
	(void)snprintf(item->name, sizeof(item->name), "%s", name);
	(void)snprintf(item->reason, sizeof(item->reason), "%s", reason);
	item->is_tolerated = is_tolerated(host, name);
	items->n_refused += !item->is_tolerated;
}

void spec_unsupported(const struct spec_plan *plan, const struct spec_instance *instance,
		      const struct spec_tenant *tenant, const struct spec_host *host,
		      const struct spec_support *support, struct spec_items *ret)
{
	const struct {
		const struct json_table *table;
		const void *obj;
	} sources[FROM_MAX] = {
		[FROM_PLAN] = {&spec_plan_table, plan},
		[FROM_INSTANCE] = {&spec_instance_table, instance},
		[FROM_TENANT] = {&spec_tenant_table, tenant},
	};

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < N_ITEMS; i++) {
		const struct item_row *row = &item_rows[i];
		const void *obj = sources[row->source].obj;

		if (obj && is_configured(sources[row->source].table, obj,
					 row->path ? row->path : row->name, row->flags))
			add(ret, row->name, host, support);
	}
}

static bool host_has(const struct spec_host *host, const char *name)
{
	if (strcmp(name, "sharing") == 0)
		return host->sharing != SPEC_SHARING_HOST;
	if (strcmp(name, "listen.tcp") != 0)
		return is_configured(&spec_host_table, host, name, 0);
	for (size_t i = 0; i < host->listen.n; i++)
		if (host->listen.items[i].tcp)
			return true;
	return false;
}

void spec_host_unsupported(const struct spec_host *host, struct spec_items *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < N_ITEMS; i++)
		if (item_rows[i].source == FROM_HOST && host_has(host, item_rows[i].name))
			add(ret, item_rows[i].name, host, host_support);
}

/* "disk.*" for "disk.read", "pids" for "pids". */
static void pattern_of(const char *name, char dst[48])
{
	size_t n = strcspn(name, ".");

	(void)snprintf(dst, 48, "%.*s%s", (int)n, name, name[n] ? ".*" : "");
}

/* Patterns that would tolerate all refused items, each once. */
static void add_patterns(const struct spec_items *items, struct sbuf *out)
{
	char pattern[48], quoted[52];

	for (size_t i = 0; i < items->n; i++) {
		if (items->items[i].is_tolerated)
			continue;
		pattern_of(items->items[i].name, pattern);
		(void)snprintf(quoted, sizeof(quoted), "\"%s\"", pattern);
		if (!strstr(sbuf_str(out), quoted))
			sbuf_addf(out, "%s%s", sbuf_str(out)[0] ? ", " : "", quoted);
	}
}

int spec_items_to_err(const struct spec_items *items, struct err *err)
{
	_cleanup_sbuf_ struct sbuf text = SBUF_INIT;
	_cleanup_sbuf_ struct sbuf patterns = SBUF_INIT;
	const char *reason = NULL;

	if (items->n_refused == 0)
		return 0;
	for (size_t i = 0; i < items->n; i++) {
		const struct spec_item *item = &items->items[i];

		if (item->is_tolerated)
			continue;
		/* The reason stands once behind the items that share it. */
		if (reason && strcmp(reason, item->reason) != 0)
			sbuf_addf(&text, " (%s)", reason);
		sbuf_addf(&text, "%s%s", reason ? ", " : "", item->name);
		reason = item->reason;
	}
	add_patterns(items, &patterns);
	err_set(err, EOPNOTSUPP, "this host cannot enforce %s (%s)", sbuf_str(&text), reason);
	return err_hint(err, "take them out, or put \"tolerate_unsupported\": [%s] into vpsd.json",
			sbuf_str(&patterns));
}
