/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs on images, plans, tenants, the host, and help. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"

/* GET path; JSON is printed here, and *ret stays NULL then. */
static int list(struct cli *cli, int argc, char **argv, const char *path, json_t **ret)
{
	int code, n = cli_parse(cli, argc, argv, NULL, 0, 0, &code);
	if (n < 0)
		return code;
	code = cli_call(cli, "GET", path, NULL, ret);
	if (code == CLI_OK && cli->json) {
		cli_print_json(*ret);
		json_decref(*ret);
		*ret = NULL;
	}
	return code;
}

static int show(struct cli *cli, int argc, char **argv, const char *prefix, const char *query)
{
	int code, n = cli_parse(cli, argc, argv, NULL, 1, 1, &code);
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_free_ char *name = n > 0 ? url_escape(argv[0]) : NULL, *path = NULL;
	if (n < 0)
		return code;
	if (!name || asprintf(&path, "%s%s%s", prefix, name, query) < 0)
		return CLI_FAILED;
	code = cli_call(cli, "GET", path, NULL, &answer);
	if (code == CLI_OK) {
		_cleanup_free_ char *text = json_dumps(
			answer, JSON_DUMP_FLAGS | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0) |
					(cli->json ? JSON_COMPACT : JSON_INDENT(2)));
		puts(text ? text : "null");
	}
	return code;
}

/* --- images -------------------------------------------------------------------------------- */

int cmd_image_ls(struct cli *cli, int argc, char **argv)
{
	_cleanup_json_ json_t *answer = NULL;
	int code = list(cli, argc, argv, "/v1/images", &answer);
	static const char *const heads[] = {"NAME",  "DIGEST",	"OS",	   "SIZE",
					    "FILES", "USED BY", "CREATED", NULL};
	struct table *t = answer ? table_new(heads) : NULL;
	size_t i;
	json_t *v;
	json_array_foreach (json_object_get(answer, "images"), i, v) {
		char size[CLI_TEXT];
		const json_t *os = json_object_get(v, "os");
		size_of(size, json_object_get(v, "size_bytes"));
		table_cell(t, "%s", text_of(v, "name"));
		table_cell(t, "%.12s", text_of(v, "digest"));
		table_cell(t, "%s",
			   json_is_true(json_object_get(v, "missing")) ? "MISSING"
								       : text_of(os, "name"));
		table_cell(t, "%s", size);
		table_cell(t, "%lld", (long long)json_integer_value(json_object_get(v, "entries")));
		table_cell(t, "%lld", (long long)json_integer_value(json_object_get(v, "used_by")));
		table_cell(t, "%s", text_of(v, "created"));
	}
	if (t)
		table_print(t);
	return code;
}

static void on_upload(void *arg, size_t done, size_t total)
{
	const struct cli *cli = arg;
	if (!cli->quiet)
		progress_show("sending", done, total, true);
}

int cmd_image_import(struct cli *cli, int argc, char **argv)
{
	const char *digest = NULL;
	const struct cli_opt opts[] = {{"digest", 0, 's', &digest}, {NULL, 0, 0, NULL}};
	int code, n = cli_parse(cli, argc, argv, opts, 2, 2, &code);
	struct err err = ERR_INIT;
	if (n < 0)
		return code;
	_cleanup_close_ int opened = -1;
	int fd = STDIN_FILENO;
	if (strcmp(argv[1], "-") != 0) {
		fd = opened = open(argv[1], O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			(void)err_sys(&err, "cannot open '%s'", argv[1]);
			return cli_fail(cli, &err);
		}
	}
	_cleanup_free_ char *name = url_escape(argv[0]), *hex = digest ? url_escape(digest) : NULL,
			    *path = NULL;
	if (!name || (digest && !hex) ||
	    asprintf(&path, hex ? "/v1/images?name=%s&digest=%s" : "/v1/images?name=%s", name,
		     hex) < 0)
		return CLI_FAILED;
	_cleanup_client_ struct client c = CLIENT_INIT;
	_cleanup_json_ json_t *answer = NULL;
	const struct client_request rq = {
		.method = "POST",
		.path = path,
		.body_fd = fd,
		.has_fd = true,
		.progress = on_upload,
		.arg = cli,
	};
	int r = client_send(cli->socket, &rq, &c, &err);
	if (r == 0)
		r = client_json(&c, &answer, &err);
	progress_clear();
	if (r < 0)
		return cli_fail_answer(cli, &err, answer);
	if (cli->json)
		cli_print_json(answer);
	else if (!cli->quiet)
		cli_say(stdout, "%s is %s%s\n", argv[0], text_of(answer, "digest"),
			json_is_true(json_object_get(answer, "existed")) ? " (was there already)"
									 : "");
	return CLI_OK;
}

int cmd_image_build(struct cli *cli, int argc, char **argv)
{
	const char *name = NULL;
	const struct cli_opt opts[] = {{"name", 0, 's', &name}, {NULL, 0, 0, NULL}};
	int code, n = cli_parse(cli, argc, argv, opts, 1, 1, &code);
	_cleanup_json_ json_t *op = NULL;
	if (n < 0)
		return code;
	_cleanup_json_ json_t *body = json_object();
	if (cli_put(body, "release", argv[0], "the release") < 0 ||
	    cli_put(body, "name", name ? name : argv[0], "the name") < 0)
		return CLI_USAGE;
	code = cli_call_op(cli, "POST", "/v1/images/build", body, &op);
	if (cli->json && op)
		cli_print_json(op);
	else if (code == CLI_OK && !cli->quiet)
		cli_say(stdout, "%s is %s\n", name ? name : argv[0],
			text_of(json_object_get(op, "result"), "digest"));
	return code;
}

int cmd_image_delete(struct cli *cli, int argc, char **argv)
{
	bool yes = false;
	const struct cli_opt opts[] = {{"yes", 'y', 'b', &yes}, {NULL, 0, 0, NULL}};
	int code, n = cli_parse(cli, argc, argv, opts, 1, 1, &code);
	if (n < 0)
		return code;
	_cleanup_free_ char *name = url_escape(argv[0]), *path = NULL;
	if (!name || asprintf(&path, "/v1/images/%s", name) < 0)
		return CLI_FAILED;
	if (!yes && !cli_confirm("delete the image", argv[0]))
		return CLI_FAILED;
	code = cli_call_op(cli, "DELETE", path, NULL, NULL);
	if (code == CLI_OK && !cli->quiet && !cli->json)
		printf("%s deleted\n", argv[0]);
	return code;
}

/* --- plans and tenants --------------------------------------------------------------------- */

int cmd_plan_ls(struct cli *cli, int argc, char **argv)
{
	_cleanup_json_ json_t *answer = NULL;
	int code = list(cli, argc, argv, "/v1/plans", &answer);
	static const char *const heads[] = {"PLAN", "CORES", "GUARANTEED", "MEMORY", "GUARANTEED",
					    "PIDS", "DISK",  "USED BY",	   NULL};
	struct table *t = answer ? table_new(heads) : NULL;
	size_t i;
	json_t *v;
	json_array_foreach (json_object_get(answer, "plans"), i, v) {
		const json_t *cpu = json_object_get(v, "cpu"),
			     *memory = json_object_get(v, "memory");
		table_cell(t, "%s@%lld", text_of(v, "plan"),
			   (long long)json_integer_value(json_object_get(v, "version")));
		table_cell(t, "%g", json_number_value(json_object_get(cpu, "cores")));
		table_cell(t, "%g", json_number_value(json_object_get(cpu, "guarantee")));
		table_cell(t, "%s", text_of(memory, "limit"));
		table_cell(t, "%s", text_of(memory, "guarantee"));
		table_cell(t, "%lld", (long long)json_integer_value(json_object_get(v, "pids")));
		table_cell(t, "%s", text_of(json_object_get(v, "disk"), "size"));
		table_cell(t, "%lld", (long long)json_integer_value(json_object_get(v, "used_by")));
	}
	if (t)
		table_print(t);
	return code;
}

int cmd_plan_show(struct cli *cli, int argc, char **argv)
{
	return show(cli, argc, argv, "/v1/plans/", "?document=true");
}

int cmd_tenant_ls(struct cli *cli, int argc, char **argv)
{
	_cleanup_json_ json_t *answer = NULL;
	int code = list(cli, argc, argv, "/v1/tenants", &answer);
	static const char *const heads[] = {"TENANT", "INSTANCES", "CREATED", NULL};
	struct table *t = answer ? table_new(heads) : NULL;
	size_t i;
	json_t *v;
	json_array_foreach (json_object_get(answer, "tenants"), i, v) {
		table_cell(t, "%s", text_of(v, "tenant"));
		table_cell(t, "%lld",
			   (long long)json_integer_value(json_object_get(v, "instance_count")));
		table_cell(t, "%s", text_of(v, "created"));
	}
	if (t)
		table_print(t);
	return code;
}

int cmd_tenant_show(struct cli *cli, int argc, char **argv)
{
	return show(cli, argc, argv, "/v1/tenants/", "");
}

/* --- host, operations, help ---------------------------------------------------------------- */

static void words_of(char dst[CLI_TEXT], const json_t *list_)
{
	_cleanup_sbuf_ struct sbuf b = SBUF_INIT;
	size_t i;
	json_t *v;
	json_array_foreach (list_, i, v)
		sbuf_addf(&b, "%s%s", b.len ? " " : "",
			  json_is_string(v) ? json_string_value(v) : "?");
	if (str_fmt(dst, CLI_TEXT, "%s", b.len ? sbuf_str(&b) : "none") < 0)
		(void)str_copy(dst, CLI_TEXT, "many");
}

/* What all guests share of the kernel, what each may have of it, and what would be right. */
static void print_sysctls(const json_t *list_)
{
	static const char *const heads[] = {"SETTING", "VALUE", "FOR", "AT LEAST", "GOOD", NULL};
	struct table *t = table_new(heads);
	size_t i;
	json_t *v;
	json_array_foreach (list_, i, v) {
		const json_t *value = json_object_get(v, "value");
		const bool good = json_is_true(json_object_get(v, "good"));
		table_cell(t, "%s", text_of(v, "setting"));
		if (json_is_integer(value))
			table_cell(t, "%lld", (long long)json_integer_value(value));
		else
			table_cell(t, "-");
		table_cell(t, json_is_true(json_object_get(v, "per_instance")) ? "each guest"
									       : "all guests");
		table_cell(t, "%lld", (long long)json_integer_value(json_object_get(v, "wanted")));
		table_cell(t, good ? "yes" : "no (%s)", text_of(v, "reason"));
	}
	putchar('\n');
	table_print(t);
}

/* An amount in the unit of its row; a dash where there is none. */
static void amount_cell(struct table *t, const json_t *row, const char *key)
{
	const json_t *v = json_object_get(row, key);
	char text[CLI_TEXT];
	if (!json_is_number(v)) {
		table_cell(t, "-");
	} else if (strcmp(text_of(row, "unit"), "bytes") == 0) {
		size_of(text, v);
		table_cell(t, "%s", text);
	} else {
		table_cell(t, "%.10g", json_number_value(v));
	}
}

/* One row for each resource, as admission sees it. */
static void print_capacity(const json_t *resources)
{
	static const char *const heads[] = {"RESOURCE",	  "TOTAL", "RESERVE", "OVERCOMMIT",
					    "SELLABLE",	  "SOLD",  "FREE",    "GUARANTEED",
					    "GUAR. FREE", "USED",  NULL};
	static const char *const keys[] = {"total",	 "reserve",	   NULL,
					   "sellable",	 "sold",	   "free",
					   "guaranteed", "guarantee_free", "used"};
	struct table *t = table_new(heads);
	size_t i;
	json_t *v;
	json_array_foreach (resources, i, v) {
		const json_t *factor = json_object_get(v, "overcommit");
		table_cell(t, "%s", text_of(v, "resource"));
		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
			if (keys[k])
				amount_cell(t, v, keys[k]);
			else if (json_is_number(factor))
				table_cell(t, "%.10g", json_number_value(factor));
			else
				table_cell(t, "-");
	}
	table_print(t);
	putchar('\n');
}

static void print_host(const json_t *h)
{
	const json_t *cg = json_object_get(h, "cgroups"), *c = json_object_get(h, "capacity");
	const json_t *pool = json_object_get(c, "pool");
	char a[CLI_TEXT], b[CLI_TEXT];
	cli_say(stdout, "version       %s, kernel %s, %s\n", text_of(h, "version"),
		text_of(h, "kernel"),
		json_is_true(json_object_get(h, "ready")) ? "ready" : "starting");
	cli_say(stdout, "instances     %lld, running %lld\n",
		(long long)json_integer_value(json_object_get(c, "instances")),
		(long long)json_integer_value(json_object_get(c, "running")));
	size_of(a, json_object_get(pool, "free_bytes"));
	size_of(b, json_object_get(pool, "total_bytes"));
	cli_say(stdout, "pool          %s: %s free of %s\n", text_of(h, "pool"), a, b);
	const json_t *lock = json_object_get(h, "lock");
	if (json_is_object(lock))
		cli_say(stdout, "locked        no new instances, since %s%s%s\n",
			text_of(lock, "since"), *text_of(lock, "reason") ? ": " : "",
			text_of(lock, "reason"));
	words_of(a, json_object_get(cg, "controllers"));
	cli_say(stdout, "cgroups       %s: %s\n", text_of(cg, "root"), a);
	words_of(a, json_object_get(h, "tolerate_unsupported"));
	cli_say(stdout, "tolerated     %s\n\n", a);
	print_capacity(json_object_get(c, "resources"));
	static const char *const heads[] = {"ITEM", "ENFORCED", NULL};
	struct table *t = table_new(heads);
	size_t i;
	json_t *v;
	json_array_foreach (json_object_get(h, "support"), i, v) {
		table_cell(t, "%s", text_of(v, "item"));
		if (json_is_true(json_object_get(v, "supported")))
			table_cell(t, "yes");
		else
			table_cell(t, "no (%s)", text_of(v, "reason"));
	}
	table_print(t);
	print_sysctls(json_object_get(h, "sysctls"));
}

int cmd_host(struct cli *cli, int argc, char **argv)
{
	_cleanup_json_ json_t *answer = NULL;
	int code = list(cli, argc, argv, "/v1/host", &answer);
	if (answer)
		print_host(answer);
	return code;
}

static int change_lock(struct cli *cli, const char *path, json_t *body, const char *what)
{
	_cleanup_json_ json_t *answer = NULL;
	if (cli_call(cli, "POST", path, body, &answer) != CLI_OK)
		return CLI_FAILED;
	if (cli->json)
		cli_print_json(answer);
	else if (!cli->quiet)
		printf("this host is %s\n", what);
	return CLI_OK;
}

int cmd_host_lock(struct cli *cli, int argc, char **argv)
{
	const char *reason = NULL;
	const struct cli_opt opts[] = {{"reason", 'r', 's', &reason}, {NULL, 0, 0, NULL}};
	int code, n = cli_parse(cli, argc, argv, opts, 0, 0, &code);
	_cleanup_json_ json_t *body = json_object();
	if (n < 0)
		return code;
	if (cli_put(body, "reason", reason, "--reason") < 0)
		return CLI_USAGE;
	return change_lock(cli, "/v1/host/lock", body, "locked");
}

int cmd_host_unlock(struct cli *cli, int argc, char **argv)
{
	int code, n = cli_parse(cli, argc, argv, NULL, 0, 0, &code);
	return n < 0 ? code : change_lock(cli, "/v1/host/unlock", NULL, "not locked any more");
}

int cmd_op_ls(struct cli *cli, int argc, char **argv)
{
	_cleanup_json_ json_t *answer = NULL;
	int code = list(cli, argc, argv, "/v1/operations", &answer);
	static const char *const heads[] = {"ID",      "KIND",	"TARGET", "STATUS",
					    "CREATED", "ERROR", NULL};
	struct table *t = answer ? table_new(heads) : NULL;
	size_t i;
	json_t *v;
	json_array_foreach (json_object_get(answer, "operations"), i, v) {
		table_cell(t, "%s", text_of(v, "id"));
		table_cell(t, "%s", text_of(v, "kind"));
		table_cell(t, "%s", text_of(v, "target"));
		table_cell(t, "%s", text_of(v, "status"));
		table_cell(t, "%s", text_of(v, "created"));
		table_cell(t, "%s", text_of(json_object_get(v, "error"), "message"));
	}
	if (t)
		table_print(t);
	return code;
}

int cmd_help(struct cli *cli, int argc, char **argv)
{
	int words = 0;
	if (argc == 0 || str_eq(argv[0], "--help") || str_eq(argv[0], "-h")) {
		verbs_help(cli);
		return CLI_OK;
	}
	const struct verb *v = verb_find(argc, argv, &words);
	if (!v)
		return verb_unknown(cli, argc, argv);
	verb_help(cli, v);
	return CLI_OK;
}
