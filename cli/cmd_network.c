/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs on networks and addresses. */
#include <stdio.h>

#include "base/cleanup.h"
#include "base/json.h"
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
