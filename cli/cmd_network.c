/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs on networks, addresses and port forwards. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/num.h"
#include "cli/cli.h"
#include "cli/client.h"

/* A number, or "many" where it is beyond counting. */
static void count_cell(struct table *t, const json_t *row, const char *key)
{
	const json_t *v = json_object_get(row, key);

	if (json_is_integer(v))
		table_cell(t, "%lld", (long long)json_integer_value(v));
	else
		table_cell(t, "many");
}

static void print_networks(const json_t *networks)
{
	static const char *const heads[] = {"NETWORK", "MODE",	   "UPLINK", "POOL", "SIZE",
					    "USED",    "RESERVED", "FREE",   NULL};
	struct table *t = table_new(heads);
	size_t i, k;
	json_t *n, *pool;

	json_array_foreach (networks, i, n)
		json_array_foreach (json_object_get(n, "pools"), k, pool) {
			table_cell(t, "%s", text_of(n, "network"));
			table_cell(t, "%s", text_of(n, "mode"));
			table_cell(t, "%s", text_of(n, "uplink"));
			table_cell(t, "%s", text_of(pool, "pool"));
			count_cell(t, pool, "size");
			count_cell(t, pool, "used");
			count_cell(t, pool, "reserved");
			count_cell(t, pool, "free");
		}
	table_print(t);
}

int cmd_network_ls(struct cli *cli, int argc, char **argv)
{
	int code, n = cli_parse(cli, argc, argv, NULL, 0, 0, &code);
	_cleanup_json_ json_t *answer = NULL;

	if (n < 0)
		return code;
	if (cli_call(cli, "GET", "/v1/networks", NULL, &answer) != CLI_OK)
		return CLI_FAILED;
	if (cli->json)
		cli_print_json(answer);
	else
		print_networks(json_object_get(answer, "networks"));
	return CLI_OK;
}

static void print_addresses(const json_t *addresses)
{
	static const char *const heads[] = {"ADDRESS", "NETWORK", "INSTANCE", "NIC",
					    "CHOSEN",  "IN POOL", NULL};
	struct table *t = table_new(heads);
	json_t *a;
	size_t i;

	json_array_foreach (addresses, i, a) {
		table_cell(t, "%s", text_of(a, "address"));
		table_cell(t, "%s", text_of(a, "network"));
		table_cell(t, "%s", text_of(a, "instance"));
		table_cell(t, "eth%lld", (long long)json_integer_value(json_object_get(a, "nic")));
		table_cell(t, json_is_true(json_object_get(a, "auto")) ? "auto" : "by document");
		table_cell(t, json_is_true(json_object_get(a, "outside")) ? "no" : "yes");
	}
	table_print(t);
}

int cmd_ip_ls(struct cli *cli, int argc, char **argv)
{
	_cleanup_json_ json_t *answer = NULL;
	int code = cli_list_of_tenant(cli, argc, argv, "addresses", &answer);

	if (code == CLI_OK && !cli->json)
		print_addresses(json_object_get(answer, "addresses"));
	return code;
}

static void print_ports(const json_t *ports)
{
	static const char *const heads[] = {"PORT", "TO", "INSTANCE", "NIC", "NETWORK", NULL};
	struct table *t = table_new(heads);
	json_t *p;
	size_t i;

	json_array_foreach (ports, i, p) {
		table_cell(t, "%lld/%s", (long long)json_integer_value(json_object_get(p, "port")),
			   text_of(p, "protocol"));
		table_cell(t, "%lld",
			   (long long)json_integer_value(json_object_get(p, "guest_port")));
		table_cell(t, "%s", text_of(p, "instance"));
		table_cell(t, "eth%lld", (long long)json_integer_value(json_object_get(p, "nic")));
		table_cell(t, "%s", text_of(p, "network"));
	}
	table_print(t);
}

int cmd_port_ls(struct cli *cli, int argc, char **argv)
{
	_cleanup_json_ json_t *answer = NULL;
	int code = cli_list_of_tenant(cli, argc, argv, "ports", &answer);

	if (code == CLI_OK && !cli->json)
		print_ports(json_object_get(answer, "ports"));
	return code;
}

/* --- changes --------------------------------------------------------------------------------- */

/* In which list of the request a word goes. "auto" alone may be of either family. */
static const char *list_of_address(const char *word, bool is_ipv6)
{
	bool is_6 = is_ipv6 || strchr(word, ':') || str_has_prefix(word, "auto/");

	return is_6 ? "ipv6" : "ipv4";
}

/* "eth0 has 10.77.0.10, fd77::10 and forwards 8080:80/tcp" */
static void print_nic(const char *name, const json_t *nic)
{
	const json_t *addresses = json_object_get(nic, "addresses");
	const json_t *ports = json_object_get(nic, "ports");
	size_t i;
	json_t *v;

	cli_say(stdout, "%s: eth%lld has", name,
		(long long)json_integer_value(json_object_get(nic, "nic")));
	json_array_foreach (addresses, i, v)
		cli_say(stdout, " %s", text_of(v, "address"));
	if (json_array_size(addresses) == 0)
		cli_say(stdout, " no address");
	json_array_foreach (ports, i, v)
		cli_say(stdout, "%s %s", i ? "" : ", forwards", json_string_value(v));
	cli_say(stdout, "\n");
}

static int show_nic(const struct cli *cli, const char *name, uint64_t nic, bool is_late)
{
	_cleanup_free_ char *path = cli_instance_path(cli, name, "");
	_cleanup_json_ json_t *answer = NULL;

	if (!path || cli_call(cli, "GET", path, NULL, &answer) != CLI_OK)
		return CLI_FAILED;
	print_nic(name, json_array_get(json_object_get(answer, "network"), nic));
	if (is_late)
		cli_say(stdout, "%s: a part of it is in force after its next start\n", name);
	return CLI_OK;
}

/* What the words "TENANT/NAME WORD..." of a verb ask for. */
static int change_nic(struct cli *cli, int argc, char **argv, const char *what, bool is_port)
{
	const char *nic = "0";
	bool is_ipv6 = false;
	const struct cli_opt opts[] = {
		{"nic", 0, 's', &nic},
		{is_port ? NULL : "ipv6", '6', 'b', &is_ipv6},
		{NULL, 0, 0, NULL},
	};
	int code, n = cli_parse(cli, argc, argv, opts, 2, -1, &code);
	_cleanup_free_ char *path = n < 0 ? NULL : cli_instance_path(cli, argv[0], "/network");
	_cleanup_json_ json_t *body = NULL, *op = NULL;
	json_t *words = json_object();
	const json_t *result;
	uint64_t number;

	body = json_pack("{s:o}", what, words);
	if (n < 0)
		return code;
	if (num_parse_u64(str_has_prefix(nic, "eth") ? nic + 3 : nic, 0, 9, &number) < 0) {
		cli_say(stderr, "vps: '%s' is not an interface; write --nic 0 for its eth0\n", nic);
		return CLI_USAGE;
	}
	if (!path || json_object_set_new(body, "nic", json_integer((json_int_t)number)) < 0)
		return CLI_USAGE;
	for (int i = 1; i < n; i++) {
		const char *key = is_port ? "ports" : list_of_address(argv[i], is_ipv6);
		json_t *word = json_string(argv[i]);

		if (!word) {
			fprintf(stderr, "vps: addresses and ports must be UTF-8 text\n");
			return CLI_USAGE;
		}
		if (!json_object_get(words, key))
			(void)json_object_set_new(words, key, json_array());
		(void)json_array_append_new(json_object_get(words, key), word);
	}
	code = cli_call_op(cli, "PATCH", path, body, &op);
	if (cli->json && op)
		cli_print_json(op);
	if (code != CLI_OK)
		return code;
	result = json_object_get(op, "result");
	if (json_object_get(result, "warning")) {
		cli_say(stderr, "vps: %s: not all of it is in force: %s\n", argv[0],
			text_of(result, "warning"));
		return CLI_FAILED;
	}
	return cli->json || cli->quiet
		       ? CLI_OK
		       : show_nic(cli, argv[0], number,
				  json_is_true(json_object_get(result, "restart_needed")));
}

int cmd_ip_add(struct cli *cli, int argc, char **argv)
{
	return change_nic(cli, argc, argv, "add", false);
}

int cmd_ip_del(struct cli *cli, int argc, char **argv)
{
	return change_nic(cli, argc, argv, "remove", false);
}

int cmd_port_add(struct cli *cli, int argc, char **argv)
{
	return change_nic(cli, argc, argv, "add", true);
}

int cmd_port_del(struct cli *cli, int argc, char **argv)
{
	return change_nic(cli, argc, argv, "remove", true);
}
