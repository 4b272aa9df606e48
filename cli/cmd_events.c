/* SPDX-License-Identifier: Apache-2.0 */
/* vps events: what happened on this host. */

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"

static void print_events(const json_t *answer)
{
	static const char *const heads[] = {"CURSOR", "TIME", "INSTANCE", "EVENT", "MESSAGE", NULL};
	struct table *t = table_new(heads);
	size_t i;
	json_t *e;
	json_array_foreach (json_object_get(answer, "events"), i, e) {
		table_cell(t, "%lld", (long long)json_integer_value(json_object_get(e, "cursor")));
		table_cell(t, "%s", text_of(e, "time"));
		table_cell(t, "%s", text_of(e, "instance"));
		table_cell(t, "%s", text_of(e, "kind"));
		table_cell(t, "%s", text_of(e, "message"));
	}
	table_print(t);
}

int cmd_events(struct cli *cli, int argc, char **argv)
{
	const char *since = NULL, *limit = NULL;
	const struct cli_opt opts[] = {
		{"since", 0, 's', &since},
		{"limit", 0, 's', &limit},
		{NULL, 0, 0, NULL},
	};
	int code, n = cli_parse(cli, argc, argv, opts, 0, 1, &code);
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_sbuf_ struct sbuf path = SBUF_INIT;
	if (n < 0)
		return code;
	if (n > 0) {
		/* Only for what it says of a name that is none. */
		_cleanup_free_ char *checked = cli_instance_path(cli, argv[0], "");
		if (!checked)
			return CLI_USAGE;
	}
	sbuf_adds(&path, "/v1/events");
	cli_add_query(&path, "instance", n > 0 ? argv[0] : NULL);
	cli_add_query(&path, "since", since);
	cli_add_query(&path, "limit", limit);
	if (!sbuf_ok(&path)) {
		fprintf(stderr, "vps: out of memory\n");
		return CLI_FAILED;
	}
	if (cli_call(cli, "GET", sbuf_str(&path), NULL, &answer) != CLI_OK)
		return CLI_FAILED;
	if (cli->json) {
		cli_print_json(answer);
		return CLI_OK;
	}
	if (json_is_true(json_object_get(answer, "missed")) && !cli->quiet)
		cli_say(stderr, "vps: events after cursor %s are not there any more\n", since);
	print_events(answer);
	return CLI_OK;
}
