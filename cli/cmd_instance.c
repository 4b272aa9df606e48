/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs on instances: create, list, show, start, stop, suspend, delete, wait. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/num.h"
#include "cli/cli.h"
#include "cli/client.h"

static json_t *limit_of(const json_t *instance, const char *name)
{
	size_t i;
	json_t *l;
	json_array_foreach (json_object_get(instance, "limits"), i, l)
		if (str_eq(json_string_value(json_object_get(l, "limit")), name))
			return l;
	return NULL;
}

/* "45.2MiB/512MiB"; the limit has a '!' when the kernel does not hold it while a guest lives. */
static void used_of_limit(char dst[CLI_TEXT], const json_t *instance, const char *use,
			  const char *limit, bool bytes)
{
	const json_t *u = json_object_get(json_object_get(instance, "usage"), use);
	const json_t *l = limit_of(instance, limit), *configured = json_object_get(l, "configured");
	char have[CLI_TEXT] = "-", most[CLI_TEXT] = "max";
	if (bytes) {
		size_of(have, u);
		if (json_is_integer(configured))
			size_of(most, configured);
	} else {
		if (json_is_integer(u))
			(void)str_fmt(have, sizeof(have), "%lld", (long long)json_integer_value(u));
		if (json_is_integer(configured))
			(void)str_fmt(most, sizeof(most), "%lld",
				      (long long)json_integer_value(configured));
	}
	(void)str_fmt(dst, CLI_TEXT, "%.40s/%.40s%s", have, most,
		      json_is_true(json_object_get(l, "effective")) ||
				      !json_is_integer(json_object_get(instance, "pid"))
			      ? ""
			      : "!");
}

/* What is not enforced, items of one kind together: "cpu.burst,disk,network". */
static void unsupported_of(char dst[CLI_TEXT], const json_t *instance)
{
	_cleanup_sbuf_ struct sbuf b = SBUF_INIT;
	const json_t *items = json_object_get(instance, "unsupported");
	const size_t n = json_array_size(items);
	size_t same;
	for (size_t i = 0; i < n; i += same) {
		const char *item = text_of(json_array_get(items, i), "item");
		const size_t len = strcspn(item, ".");
		for (same = 1; i + same < n; same++) {
			const char *next = text_of(json_array_get(items, i + same), "item");
			if (strcspn(next, ".") != len || memcmp(next, item, len) != 0)
				break;
		}
		sbuf_addf(&b, "%s%.*s", b.len ? "," : "", (int)(same > 1 ? len : strlen(item)),
			  item);
	}
	if (str_fmt(dst, CLI_TEXT, "%s", b.len ? sbuf_str(&b) : "-") < 0)
		(void)str_copy(dst, CLI_TEXT, "many");
}

/* Why those that failed did: below the table, as a reason is longer than a column. */
static void print_errors(const json_t *instances)
{
	const json_t *v;
	size_t i;

	json_array_foreach (instances, i, v)
		if (json_is_string(json_object_get(v, "error")))
			cli_say(stdout, "%s/%s: %s\n", text_of(v, "tenant"), text_of(v, "name"),
				text_of(v, "error"));
}

int cmd_ls(struct cli *cli, int argc, char **argv)
{
	_cleanup_json_ json_t *answer = NULL;
	int code = cli_list_of_tenant(cli, argc, argv, "instances", &answer);
	if (code != CLI_OK || cli->json)
		return code;
	static const char *const heads[] = {"NAME", "STATE",	"PLAN", "IMAGE",       "MEMORY",
					    "PIDS", "CPU TIME", "UP",	"UNSUPPORTED", NULL};
	struct table *t = table_new(heads);
	size_t i;
	json_t *v;
	json_array_foreach (json_object_get(answer, "instances"), i, v) {
		char memory[CLI_TEXT], pids[CLI_TEXT], up[CLI_TEXT], missing[CLI_TEXT];
		const json_t *cpu = json_object_get(json_object_get(v, "usage"), "cpu_usec");
		used_of_limit(memory, v, "memory", "memory.limit", true);
		used_of_limit(pids, v, "pids", "pids", false);
		age_of(up, json_object_get(v, "started"));
		unsupported_of(missing, v);
		table_cell(t, "%s/%s", text_of(v, "tenant"), text_of(v, "name"));
		table_cell(t, "%s", text_of(v, "state"));
		table_cell(t, "%s", text_of(v, "plan"));
		table_cell(t, "%s", text_of(v, "image"));
		table_cell(t, "%s", memory);
		table_cell(t, "%s", pids);
		if (cpu)
			table_cell(t, "%.1fs", (double)json_integer_value(cpu) / 1e6);
		else
			table_cell(t, "-");
		table_cell(t, "%s", up);
		table_cell(t, "%s", missing);
	}
	table_print(t);
	print_errors(json_object_get(answer, "instances"));
	return CLI_OK;
}

/* --- info ---------------------------------------------------------------------------------- */

static void line(const char *key, const char *value)
{
	char clean[700];
	str_escape(clean, sizeof(clean), value);
	printf("%-13s %s\n", key, clean);
}

static void rate_of(char dst[CLI_TEXT], const json_t *bytes)
{
	char size[CLI_TEXT];
	size_of(size, bytes);
	(void)str_fmt(dst, CLI_TEXT, "%.40s/s", size);
}

static void quantity(char dst[CLI_TEXT], const char *limit, const json_t *v)
{
	if (!json_is_integer(v))
		(void)str_copy(dst, CLI_TEXT, "max");
	else if (str_has_prefix(limit, "memory."))
		size_of(dst, v);
	else if (str_eq(limit, "disk.read") || str_eq(limit, "disk.write"))
		rate_of(dst, v);
	else if (str_eq(limit, "cpu.cores"))
		(void)str_fmt(dst, CLI_TEXT, "%g", (double)json_integer_value(v) / 1000);
	else
		(void)str_fmt(dst, CLI_TEXT, "%lld", (long long)json_integer_value(v));
}

static void print_limits(const json_t *instance)
{
	static const char *const heads[] = {"LIMIT", "CONFIGURED", "IN FORCE", "EFFECTIVE", NULL};
	struct table *t = table_new(heads);
	size_t i;
	json_t *l;
	json_array_foreach (json_object_get(instance, "limits"), i, l) {
		const char *name = text_of(l, "limit");
		const bool effective = json_is_true(json_object_get(l, "effective"));
		char configured[CLI_TEXT], actual[CLI_TEXT];
		quantity(configured, name, json_object_get(l, "configured"));
		quantity(actual, name, json_object_get(l, "actual"));
		table_cell(t, "%s", str_eq(name, "cpu.guarantee") ? "cpu.weight" : name);
		table_cell(t, "%s", configured);
		table_cell(t, "%s", effective ? actual : "-");
		table_cell(t, effective ? "yes" : "no (%s)", text_of(l, "reason"));
	}
	json_array_foreach (json_object_get(instance, "unsupported"), i, l) {
		if (limit_of(instance, text_of(l, "item"))) /* stands above already */
			continue;
		table_cell(t, "%s", text_of(l, "item"));
		table_cell(t, "-");
		table_cell(t, "-");
		table_cell(t, "unsupported (%s)", text_of(l, "reason"));
	}
	table_print(t);
}

static void print_usage(const json_t *usage)
{
	const struct {
		const char *key, *label;
		char kind; /* b bytes, t microseconds, n number */
	} rows[] = {
		{"cpu_usec", "cpu time", 't'},	    {"throttled_usec", "throttled", 't'},
		{"memory", "memory", 'b'},	    {"memory_peak", "memory peak", 'b'},
		{"memory_file", "page cache", 'b'}, {"swap", "swap", 'b'},
		{"oom_kills", "oom kills", 'n'},    {"pids", "processes", 'n'},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const json_t *v = json_object_get(usage, rows[i].key);
		char text[CLI_TEXT];
		if (!json_is_integer(v))
			continue;
		if (rows[i].kind == 'b')
			size_of(text, v);
		else if (rows[i].kind == 't')
			(void)str_fmt(text, sizeof(text), "%.2fs",
				      (double)json_integer_value(v) / 1e6);
		else
			(void)str_fmt(text, sizeof(text), "%lld", (long long)json_integer_value(v));
		line(rows[i].label, text);
	}
}

static void print_suspension(const json_t *s)
{
	char text[CLI_TEXT * 3];
	const char *reason = text_of(s, "reason");
	if (!json_is_object(s))
		return;
	(void)str_fmt(text, sizeof(text), "%s, since %s%s%s", text_of(s, "mode"),
		      text_of(s, "since"), *reason ? ": " : "", reason);
	line("suspended", text);
}

static void print_thrash(const json_t *t)
{
	const bool is_on = json_is_string(json_object_get(t, "since"));
	char text[CLI_TEXT * 2];
	if (!json_is_object(t))
		return;
	(void)str_fmt(text, sizeof(text), "%s%s%s (last action %s; see vps events)",
		      is_on ? "stuck at its memory limit since " : "not now",
		      is_on ? text_of(t, "since") : "",
		      json_is_true(json_object_get(t, "throttled")) ? ", reads held back" : "",
		      text_of(t, "last"));
	line("thrash", text);
}

/* As vps set takes them, but for the form. */
static void print_overrides(const json_t *overrides)
{
	_cleanup_free_ char *text = json_object_size(overrides)
					    ? json_dumps(overrides, JSON_COMPACT | JSON_DUMP_FLAGS)
					    : NULL;
	if (text)
		line("overrides", text);
}

/* "eth0 (nat0): 10.77.0.2 fd77::2 8080:80/tcp" */
static void print_nics(const json_t *nics)
{
	size_t i, k;
	json_t *nic, *v;

	json_array_foreach (nics, i, nic) {
		_cleanup_sbuf_ struct sbuf b = SBUF_INIT;

		sbuf_addf(&b, "eth%zu (%s):", i, text_of(nic, "network"));
		json_array_foreach (json_object_get(nic, "addresses"), k, v)
			sbuf_addf(&b, " %s%s", text_of(v, "address"),
				  json_is_true(json_object_get(v, "outside")) ? " (in no pool)"
									      : "");
		json_array_foreach (json_object_get(nic, "ports"), k, v)
			sbuf_addf(&b, " %s", json_string_value(v));
		line("network", sbuf_str(&b));
	}
}

/* "allow tcp 80,443 from 203.0.113.0/24", in their order. */
static void print_firewall(const json_t *rules)
{
	bool has_allow = false;
	json_t *rule;
	size_t i;

	json_array_foreach (rules, i, rule) {
		_cleanup_sbuf_ struct sbuf b = SBUF_INIT;
		const char *verb = json_object_get(rule, "allow") ? "allow" : "deny";
		const char *ports = json_string_value(json_object_get(rule, "ports"));
		const char *from = json_string_value(json_object_get(rule, "from"));

		has_allow = has_allow || str_eq(verb, "allow");
		sbuf_addf(&b, "%s %s", verb, text_of(rule, verb));
		if (ports)
			sbuf_addf(&b, " %s", ports);
		if (from)
			sbuf_addf(&b, " from %s", from);
		line("firewall", sbuf_str(&b));
	}
	if (json_array_size(rules) > 0)
		line("firewall", has_allow ? "else deny" : "else allow");
}

static void print_transfer(const json_t *t)
{
	char used[CLI_TEXT], monthly[CLI_TEXT], text[4 * CLI_TEXT];

	if (!t)
		return;
	size_of(used, json_object_get(t, "used"));
	size_of(monthly, json_object_get(t, "monthly"));
	(void)str_fmt(text, sizeof(text), "%s%s%s (public, %s) since %.16s%s%.16s%s", used,
		      json_is_null(json_object_get(t, "monthly")) ? "" : " of ",
		      json_is_null(json_object_get(t, "monthly")) ? "" : monthly,
		      text_of(t, "count"), text_of(t, "from"),
		      json_is_null(json_object_get(t, "resets")) ? ", never reset" : ", resets ",
		      json_is_null(json_object_get(t, "resets")) ? "" : text_of(t, "resets"),
		      json_is_true(json_object_get(t, "is_over")) ? "; used up" : "");
	line("transfer", text);
}

static void print_instance(const json_t *v)
{
	char text[CLI_TEXT * 2], age[CLI_TEXT];
	const json_t *pid = json_object_get(v, "pid"), *ids = json_object_get(v, "ids");
	long long base = json_integer_value(json_object_get(ids, "base"));
	(void)str_fmt(text, sizeof(text), "%s/%s", text_of(v, "tenant"), text_of(v, "name"));
	line("name", text);
	line("id", text_of(v, "id"));
	(void)str_fmt(text, sizeof(text), "%s (wanted: %s)", text_of(v, "state"),
		      text_of(v, "desired"));
	line("state", text);
	print_suspension(json_object_get(v, "suspended"));
	if (json_is_true(json_object_get(v, "restart_needed")))
		line("restart", "needed: a changed hostname or feature takes effect at its next "
				"start");
	if (json_is_string(json_object_get(v, "error")))
		line("error", text_of(v, "error"));
	line("plan", text_of(v, "plan"));
	print_overrides(json_object_get(v, "overrides"));
	(void)str_fmt(text, sizeof(text), "%s (%.12s)", text_of(v, "image"), text_of(v, "digest"));
	line("image", text);
	line("hostname", text_of(v, "hostname"));
	line("created", text_of(v, "created"));
	age_of(age, json_object_get(v, "started"));
	(void)str_fmt(text, sizeof(text), "%s (up %s, boot %lld, last exit: %s)",
		      text_of(v, "started"), age,
		      (long long)json_integer_value(json_object_get(v, "boot")),
		      text_of(v, "last_exit"));
	line("started", text);
	if (json_is_integer(pid)) {
		(void)str_fmt(text, sizeof(text), "%lld", (long long)json_integer_value(pid));
		line("init", text);
	}
	(void)str_fmt(text, sizeof(text), "%lld-%lld", base,
		      base + (long long)json_integer_value(json_object_get(ids, "count")) - 1);
	line("ids", text);
	if (json_is_string(json_object_get(v, "cpus")))
		line("cpus", text_of(v, "cpus"));
	print_nics(json_object_get(v, "network"));
	print_firewall(json_object_get(v, "firewall"));
	if (json_array_size(json_object_get(v, "network")) > 0)
		print_transfer(json_object_get(v, "transfer"));
	line("protected", json_is_true(json_object_get(v, "protected")) ? "yes" : "no");
	print_thrash(json_object_get(v, "thrash"));
	print_usage(json_object_get(v, "usage"));
	putchar('\n');
	print_limits(v);
}

int cmd_info(struct cli *cli, int argc, char **argv)
{
	int code, n = cli_parse(cli, argc, argv, NULL, 1, 1, &code);
	_cleanup_json_ json_t *answer = NULL;
	if (n < 0)
		return code;
	_cleanup_free_ char *path = cli_instance_path(cli, argv[0], "");
	if (!path)
		return CLI_USAGE;
	if (cli_call(cli, "GET", path, NULL, &answer) != CLI_OK)
		return CLI_FAILED;
	if (cli->json)
		cli_print_json(answer);
	else
		print_instance(answer);
	return CLI_OK;
}

/* --- acting -------------------------------------------------------------------------------- */

/* What an operation did, in one line or as JSON. */
static int report(const struct cli *cli, int code, json_t *op, const char *what, const char *name)
{
	if (cli->json && op)
		cli_print_json(op);
	else if (code == CLI_OK && !cli->quiet)
		printf("%s %s\n", name, what);
	json_decref(op);
	return code;
}

static int add_labels(json_t *body, const struct cli_list *labels)
{
	json_t *o = labels->n ? json_object() : NULL;
	for (size_t i = 0; i < labels->n; i++) {
		const char *equal = strchr(labels->items[i], '=');
		_cleanup_free_ char *key =
			equal ? strndup(labels->items[i], (size_t)(equal - labels->items[i]))
			      : NULL;
		if (!key || !*key) {
			fprintf(stderr, "vps: --label wants KEY=VALUE\n");
			json_decref(o);
			return -1;
		}
		if (cli_put(o, key, equal + 1, "a label") < 0) {
			json_decref(o);
			return -1;
		}
	}
	if (o)
		(void)json_object_set_new(body, "labels", o);
	return 0;
}

/* "pub,203.0.113.7,2001:db8::7": a network, and addresses in it; where a family has none, one is
 * chosen. NULL after having said what is wrong. */
static json_t *network_json(const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	_cleanup_json_ json_t *o = json_object();
	char *rest = copy, *word = copy ? strsep(&rest, ",") : NULL;

	if (!word || !o || cli_put(o, "network", word, "--network") < 0)
		return NULL;
	while ((word = strsep(&rest, ","))) {
		const char *key = strchr(word, ':') ? "ipv6" : "ipv4";
		json_t *v = json_string(word);

		if (!v) {
			fprintf(stderr, "vps: --network must be UTF-8 text\n");
			return NULL;
		}
		if (!json_object_get(o, key))
			(void)json_object_set_new(o, key, json_array());
		(void)json_array_append_new(json_object_get(o, key), v);
	}
	return take_ptr(o);
}

static int add_networks(json_t *body, const struct cli_list *networks)
{
	_cleanup_json_ json_t *list = json_array();

	for (size_t i = 0; i < networks->n; i++)
		if (json_array_append_new(list, network_json(networks->items[i])) < 0)
			return -1;
	return networks->n ? json_object_set(body, "network", list) : 0;
}

int cmd_create(struct cli *cli, int argc, char **argv)
{
	const char *plan = NULL, *image = NULL, *hostname = NULL;
	bool no_start = false;
	struct cli_list labels = {.n = 0}, networks = {.n = 0};
	const struct cli_opt opts[] = {
		{"plan", 'p', 's', &plan},
		{"image", 'i', 's', &image},
		{"hostname", 0, 's', &hostname},
		{"label", 0, 'l', &labels},
		{"network", 'N', 'l', &networks},
		{"no-start", 0, 'b', &no_start},
		{NULL, 0, 0, NULL},
	};
	int code, n = cli_parse(cli, argc, argv, opts, 1, 1, &code);
	if (n < 0)
		return code;
	const char *slash = strchr(argv[0], '/');
	_cleanup_free_ char *checked = cli_instance_path(cli, argv[0], "");
	if (!checked || !slash)
		return CLI_USAGE;
	if (!plan || !image) {
		fprintf(stderr, "vps: create wants --plan and --image\n");
		return CLI_USAGE;
	}
	_cleanup_json_ json_t *body = json_pack("{s:b}", "start", !no_start);
	_cleanup_free_ char *tenant = strndup(argv[0], (size_t)(slash - argv[0]));
	if (cli_put(body, "tenant", tenant, "the name") < 0 ||
	    cli_put(body, "name", slash + 1, "the name") < 0 ||
	    cli_put(body, "plan", plan, "--plan") < 0 ||
	    cli_put(body, "image", image, "--image") < 0 ||
	    cli_put(body, "hostname", hostname, "--hostname") < 0 ||
	    add_labels(body, &labels) < 0 || add_networks(body, &networks) < 0)
		return CLI_USAGE;
	json_t *op = NULL;
	code = cli_call_op(cli, "POST", "/v1/instances", body, &op);
	return report(cli, code, op, no_start ? "created" : "created and started", argv[0]);
}

int cmd_start(struct cli *cli, int argc, char **argv)
{
	int code, n = cli_parse(cli, argc, argv, NULL, 1, 1, &code);
	if (n < 0)
		return code;
	_cleanup_free_ char *path = cli_instance_path(cli, argv[0], "/start");
	json_t *op = NULL;
	if (!path)
		return CLI_USAGE;
	code = cli_call_op(cli, "POST", path, NULL, &op);
	return report(cli, code, op, "started", argv[0]);
}

static int stop_like(struct cli *cli, int argc, char **argv, const char *suffix, const char *what)
{
	const char *timeout = NULL;
	bool force = false;
	const struct cli_opt opts[] = {
		{"timeout", 't', 's', &timeout},
		{"force", 'f', 'b', &force},
		{NULL, 0, 0, NULL},
	};
	int code, n = cli_parse(cli, argc, argv, opts, 1, 1, &code);
	if (n < 0)
		return code;
	_cleanup_free_ char *path = cli_instance_path(cli, argv[0], suffix);
	if (!path)
		return CLI_USAGE;
	_cleanup_json_ json_t *body = json_pack("{s:b}", "force", force);
	if (cli_put(body, "timeout", timeout, "--timeout") < 0)
		return CLI_USAGE;
	json_t *op = NULL;
	code = cli_call_op(cli, "POST", path, body, &op);
	return report(cli, code, op, what, argv[0]);
}

int cmd_stop(struct cli *cli, int argc, char **argv)
{
	return stop_like(cli, argc, argv, "/stop", "stopped");
}

int cmd_restart(struct cli *cli, int argc, char **argv)
{
	return stop_like(cli, argc, argv, "/restart", "restarted");
}

int cmd_delete(struct cli *cli, int argc, char **argv)
{
	bool force = false, yes = false;
	const struct cli_opt opts[] = {
		{"force", 'f', 'b', &force},
		{"yes", 'y', 'b', &yes},
		{NULL, 0, 0, NULL},
	};
	int code, n = cli_parse(cli, argc, argv, opts, 1, 1, &code);
	if (n < 0)
		return code;
	_cleanup_free_ char *path = cli_instance_path(cli, argv[0], force ? "?force=true" : "");
	if (!path)
		return CLI_USAGE;
	if (!yes && !cli_confirm("delete", argv[0]))
		return CLI_FAILED;
	json_t *op = NULL;
	code = cli_call_op(cli, "DELETE", path, NULL, &op);
	return report(cli, code, op, "deleted", argv[0]);
}

int cmd_suspend(struct cli *cli, int argc, char **argv)
{
	const char *mode = NULL, *reason = NULL;
	const struct cli_opt opts[] = {
		{"mode", 'm', 's', &mode},
		{"reason", 'r', 's', &reason},
		{NULL, 0, 0, NULL},
	};
	int code, n = cli_parse(cli, argc, argv, opts, 1, 1, &code);
	if (n < 0)
		return code;
	_cleanup_free_ char *path = cli_instance_path(cli, argv[0], "/suspend");
	_cleanup_json_ json_t *body = json_object();
	if (!path || cli_put(body, "mode", mode, "--mode") < 0 ||
	    cli_put(body, "reason", reason, "--reason") < 0)
		return CLI_USAGE;
	json_t *op = NULL;
	code = cli_call_op(cli, "POST", path, body, &op);
	return report(cli, code, op, "suspended", argv[0]);
}

int cmd_resume(struct cli *cli, int argc, char **argv)
{
	int code, n = cli_parse(cli, argc, argv, NULL, 1, 1, &code);
	if (n < 0)
		return code;
	_cleanup_free_ char *path = cli_instance_path(cli, argv[0], "/resume");
	json_t *op = NULL;
	if (!path)
		return CLI_USAGE;
	code = cli_call_op(cli, "POST", path, NULL, &op);
	return report(cli, code, op, "resumed", argv[0]);
}

int cmd_protect(struct cli *cli, int argc, char **argv)
{
	bool off = false;
	const struct cli_opt opts[] = {{"off", 0, 'b', &off}, {NULL, 0, 0, NULL}};
	int code, n = cli_parse(cli, argc, argv, opts, 1, 1, &code);
	if (n < 0)
		return code;
	_cleanup_free_ char *path = cli_instance_path(cli, argv[0], "/protect");
	_cleanup_json_ json_t *body = json_pack("{s:b}", "protected", !off);
	json_t *op = NULL;
	if (!path)
		return CLI_USAGE;
	code = cli_call_op(cli, "POST", path, body, &op);
	return report(cli, code, op, off ? "not protected any more" : "protected", argv[0]);
}

int cmd_wait(struct cli *cli, int argc, char **argv)
{
	const char *timeout = "60";
	const struct cli_opt opts[] = {{"timeout", 't', 's', &timeout}, {NULL, 0, 0, NULL}};
	int code, n = cli_parse(cli, argc, argv, opts, 2, 2, &code);
	_cleanup_json_ json_t *answer = NULL;
	if (n < 0)
		return code;
	_cleanup_free_ char *path = cli_instance_path(cli, argv[0], "/wait"), *full = NULL;
	_cleanup_free_ char *state = url_escape(argv[1]), *limit = url_escape(timeout);
	if (!path)
		return CLI_USAGE;
	if (!state || !limit || asprintf(&full, "%s?state=%s&timeout=%s", path, state, limit) < 0)
		return CLI_FAILED;
	if (cli_call(cli, "GET", full, NULL, &answer) != CLI_OK)
		return CLI_FAILED;
	if (cli->json)
		cli_print_json(answer);
	else if (!cli->quiet)
		cli_say(stdout, "%s is %s\n", argv[0], text_of(answer, "state"));
	return CLI_OK;
}
