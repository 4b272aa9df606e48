/* SPDX-License-Identifier: Apache-2.0 */
/* vps usage: what instances have sent and received. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli.h"

static const char *const families[] = {"ipv4", "ipv6"};
static const char *const reaches[] = {"public", "private"};
static const char *const ways[] = {"in", "out"};
static const char *const units[] = {"bytes", "packets"};

static json_int_t counter_of(const json_t *row, const char *family, const char *reach,
			     const char *way, const char *unit)
{
	const json_t *o = json_object_get(json_object_get(row, family), reach);

	return json_integer_value(json_object_get(json_object_get(o, way), unit));
}

/* Of both families. */
static void sum_cell(struct table *t, const json_t *row, const char *reach, const char *way)
{
	_cleanup_json_ json_t *sum = json_integer(counter_of(row, "ipv4", reach, way, "bytes") +
						  counter_of(row, "ipv6", reach, way, "bytes"));
	char text[CLI_TEXT];

	size_of(text, sum);
	table_cell(t, "%s", text);
}

static void print_usage(const json_t *answer)
{
	static const char *const heads[] = {"INSTANCE",	  "FROM",	 "TO",	 "IN", "OUT",
					    "PRIVATE IN", "PRIVATE OUT", "NOTE", NULL};
	struct table *t = table_new(heads);
	json_t *row;
	size_t i;

	json_array_foreach (json_object_get(answer, "usage"), i, row) {
		table_cell(t, "%s", text_of(row, "instance"));
		table_cell(t, "%.10s", text_of(row, "from"));
		table_cell(t, "%.10s", text_of(row, "to"));
		for (size_t r = 0; r < 2; r++)
			for (size_t w = 0; w < 2; w++)
				sum_cell(t, row, reaches[r], ways[w]);
		table_cell(t, json_is_true(json_object_get(row, "deleted")) ? "deleted" : "-");
	}
	table_print(t);
}

/* Names, ids and times have no character that CSV would have to quote. */
static void print_csv(const json_t *answer)
{
	json_t *row;
	size_t i;

	cli_say(stdout, "instance,instance_id,deleted,from,to");
	for (unsigned k = 0; k < 16; k++)
		cli_say(stdout, ",%s_%s_%s_%s", families[k >> 3], reaches[k >> 2 & 1],
			ways[k >> 1 & 1], units[k & 1]);
	cli_say(stdout, "\n");
	json_array_foreach (json_object_get(answer, "usage"), i, row) {
		const char *to = json_string_value(json_object_get(row, "to"));

		cli_say(stdout, "%s,%s,%s,%s,%s", text_of(row, "instance"),
			text_of(row, "instance_id"),
			json_is_true(json_object_get(row, "deleted")) ? "true" : "false",
			text_of(row, "from"), to ? to : "");
		for (unsigned k = 0; k < 16; k++)
			cli_say(stdout, ",%lld",
				(long long)counter_of(row, families[k >> 3], reaches[k >> 2 & 1],
						      ways[k >> 1 & 1], units[k & 1]));
		cli_say(stdout, "\n");
	}
}

static int path_of(struct sbuf *path, const char *name, const char *month, bool periods)
{
	sbuf_adds(path, "/v1/usage");
	if (name)
		cli_add_query(path, strchr(name, '/') ? "instance" : "tenant", name);
	cli_add_query(path, "month", month);
	cli_add_query(path, "periods", periods ? "true" : NULL);
	if (sbuf_ok(path))
		return 0;
	fprintf(stderr, "vps: out of memory\n");
	return -1;
}

int cmd_usage(struct cli *cli, int argc, char **argv)
{
	const char *month = NULL;
	bool is_csv = false, periods = false;
	const struct cli_opt opts[] = {
		{"month", 0, 's', &month},
		{"periods", 0, 'b', &periods},
		{"csv", 0, 'b', &is_csv},
		{NULL, 0, 0, NULL},
	};
	int code, n = cli_parse(cli, argc, argv, opts, 0, 1, &code);
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_sbuf_ struct sbuf path = SBUF_INIT;

	if (n < 0)
		return code;
	if ((cli->json && is_csv) || (month && periods)) {
		fprintf(stderr, "vps: %s exclude each other\n",
			is_csv ? "--csv and --json" : "--month and --periods");
		return CLI_USAGE;
	}
	if (path_of(&path, n > 0 ? argv[0] : NULL, month, periods) < 0 ||
	    cli_call(cli, "GET", sbuf_str(&path), NULL, &answer) != CLI_OK)
		return CLI_FAILED;
	if (cli->json)
		cli_print_json(answer);
	else if (is_csv)
		print_csv(answer);
	else
		print_usage(answer);
	return CLI_OK;
}
