/* SPDX-License-Identifier: Apache-2.0 */
/* What an instance may have: plans, moves between them, values on top of them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"

/* --- plan add ------------------------------------------------------------------------------ */

/* Problems in the words of vpsd, which says them of everything behind the syntax. */
static int complain(const struct problems *problems)
{
	_cleanup_sbuf_ struct sbuf text = SBUF_INIT;
	problems_format(problems, &text);
	cli_say(stderr, "%s", sbuf_str(&text));
	return CLI_FAILED;
}

/* What a pipe or a file gives. */
static int read_stdin(char **ret, size_t *ret_len, struct err *err)
{
	_cleanup_free_ char *text = malloc(CLI_DOCUMENT_MAX + 2);
	size_t len = 0;
	ssize_t n = 1;
	if (!text)
		return err_set(err, ENOMEM, "no memory");
	while (n > 0 && len <= CLI_DOCUMENT_MAX) {
		n = read(STDIN_FILENO, text + len, CLI_DOCUMENT_MAX + 1 - len);
		if (n < 0 && errno != EINTR)
			return err_sys(err, "cannot read stdin");
		len += n > 0 ? (size_t)n : 0;
		n = n < 0 ? 1 : n;
	}
	text[len] = '\0';
	if (len > CLI_DOCUMENT_MAX)
		return err_set(err, EFBIG, "stdin has more than %u bytes", CLI_DOCUMENT_MAX);
	*ret_len = len;
	*ret = take_ptr(text);
	return 0;
}

static int read_plan(struct cli *cli, const char *path, const char *shown, json_t **ret)
{
	_cleanup_problems_ struct problems *problems = problems_new();
	const struct json_where w = {.file = shown, .path = "", .problems = problems};
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *doc = NULL;
	struct err err = ERR_INIT;
	size_t len = 0;
	if (!problems)
		return CLI_FAILED;
	if ((str_eq(path, "-")
		     ? read_stdin(&text, &len, &err)
		     : file_read_at(AT_FDCWD, path, CLI_DOCUMENT_MAX, &text, &len, &err)) < 0)
		return cli_fail(cli, &err);
	if (json_text_load(text, len, CLI_DOCUMENT_MAX, &w, &doc) < 0)
		return complain(problems);
	if (!json_is_object(doc)) {
		(void)problems_add(&w, NULL, doc, "is not a plan; expected an object {...}");
		return complain(problems);
	}
	*ret = take_ptr(doc);
	return CLI_OK;
}

int cmd_plan_add(struct cli *cli, int argc, char **argv)
{
	int code, n = cli_parse(cli, argc, argv, NULL, 1, 1, &code);
	_cleanup_json_ json_t *doc = NULL, *answer = NULL;
	if (n < 0)
		return code;
	const char *shown = str_eq(argv[0], "-") ? "stdin" : argv[0];
	_cleanup_free_ char *name = url_escape(shown), *path = NULL;
	if (!name || asprintf(&path, "/v1/plans?name=%s", name) < 0 ||
	    read_plan(cli, argv[0], shown, &doc) != CLI_OK ||
	    cli_call(cli, "POST", path, doc, &answer) != CLI_OK)
		return CLI_FAILED;
	if (cli->json)
		cli_print_json(answer);
	else if (!cli->quiet)
		cli_say(stdout, "plan %s@%lld %s\n", text_of(doc, "plan"),
			(long long)json_integer_value(json_object_get(doc, "version")),
			json_is_true(json_object_get(answer, "added")) ? "added"
								       : "was there already");
	return CLI_OK;
}

/* --- changes ------------------------------------------------------------------------------- */

/* Shows what would be; 1 where something would be refused. */
static int preview(const struct cli *cli, const char *method, const char *path, json_t *body)
{
	_cleanup_json_ json_t *answer = NULL;
	const json_t *changes;
	json_t *c;
	size_t i;
	int code = CLI_OK;
	if (json_object_set_new(body, "dry_run", json_true()) < 0 ||
	    cli_call(cli, method, path, body, &answer) != CLI_OK)
		return CLI_FAILED;
	changes = json_object_get(answer, "changes");
	if (cli->json)
		cli_print_json(answer);
	else
		cli_print_changes(cli, changes);
	json_array_foreach (changes, i, c)
		if (str_eq(json_string_value(json_object_get(c, "action")), "refused"))
			code = CLI_FAILED;
	return code;
}

/* Changes one instance and says that it was 'done'. */
static int change(const struct cli *cli, const char *method, const char *path, json_t *body,
		  const char *name, const char *done)
{
	_cleanup_json_ json_t *op = NULL;
	int code = cli_call_op(cli, method, path, body, &op);
	const json_t *result = json_object_get(op, "result");
	if (cli->json && op)
		cli_print_json(op);
	else if (code == CLI_OK && !cli->quiet)
		cli_say(stdout, "%s %s%s\n", name, done,
			json_is_true(json_object_get(result, "restart_needed"))
				? "; a part of it is in force after its next start"
				: "");
	return code;
}

static int resize_all(const struct cli *cli, const char *from, json_t *body, bool dry)
{
	_cleanup_json_ json_t *op = NULL;
	_cleanup_free_ char *name = url_escape(from), *path = NULL;
	if (!name || asprintf(&path, "/v1/plans/%s/resize", name) < 0)
		return CLI_FAILED;
	if (dry)
		return preview(cli, "POST", path, body);
	int code = cli_call_op(cli, "POST", path, body, &op);
	const json_t *result = json_object_get(op, "result");
	if (cli->json && result)
		cli_print_json(result);
	else if (result)
		cli_print_changes(cli, json_object_get(result, "changes"));
	return code;
}

int cmd_resize(struct cli *cli, int argc, char **argv)
{
	const char *plan = NULL, *all_of = NULL;
	bool force = false, dry = false;
	const struct cli_opt opts[] = {
		{"plan", 'p', 's', &plan},   {"all-of", 0, 's', &all_of},
		{"force", 'f', 'b', &force}, {"dry-run", 'n', 'b', &dry},
		{NULL, 0, 0, NULL},
	};
	int code, n = cli_parse(cli, argc, argv, opts, 0, 1, &code);
	if (n < 0)
		return code;
	if (!plan || (n == 0) == (all_of == NULL)) {
		fprintf(stderr, "vps: resize wants --plan, and TENANT/NAME or --all-of\n");
		return CLI_USAGE;
	}
	_cleanup_json_ json_t *body = json_pack("{s:b}", "force", force);
	if (cli_put(body, "plan", plan, "--plan") < 0)
		return CLI_USAGE;
	if (all_of)
		return resize_all(cli, all_of, body, dry);
	_cleanup_free_ char *path = cli_instance_path(cli, argv[0], "/resize");
	char done[CLI_TEXT];
	if (!path)
		return CLI_USAGE;
	if (dry)
		return preview(cli, "POST", path, body);
	(void)str_fmt(done, sizeof(done), "resized to %.100s", plan);
	return change(cli, "POST", path, body, argv[0], done);
}

/* Sorts "KEY=VALUE" and "KEY=" into what is set and what is taken away. */
static int add_value(json_t *set, json_t *unset, const char *word)
{
	const char *equal = strchr(word, '=');
	_cleanup_free_ char *key = equal ? strndup(word, (size_t)(equal - word)) : NULL;
	size_t i;
	json_t *v;
	bool again = key && json_object_get(set, key);
	if (!key || !*key) {
		cli_say(stderr, "vps: '%s' is not KEY=VALUE, such as memory.limit=2GiB\n", word);
		return -1;
	}
	json_array_foreach (unset, i, v)
		again = again || str_eq(json_string_value(v), key);
	if (again) {
		cli_say(stderr, "vps: '%s' is given twice\n", key);
		return -1;
	}
	if (equal[1])
		return cli_put(set, key, equal + 1, "KEY=VALUE");
	if (json_array_append_new(unset, json_string(key)) == 0)
		return 0;
	fprintf(stderr, "vps: KEY=VALUE must be UTF-8 text\n");
	return -1;
}

int cmd_set(struct cli *cli, int argc, char **argv)
{
	bool force = false, dry = false;
	const struct cli_opt opts[] = {
		{"force", 'f', 'b', &force},
		{"dry-run", 'n', 'b', &dry},
		{NULL, 0, 0, NULL},
	};
	int code, n = cli_parse(cli, argc, argv, opts, 2, -1, &code);
	if (n < 0)
		return code;
	_cleanup_free_ char *path = cli_instance_path(cli, argv[0], "");
	json_t *set = json_object(), *unset = json_array();
	_cleanup_json_ json_t *body =
		json_pack("{s:b, s:o, s:o}", "force", force, "set", set, "unset", unset);
	if (!path || !body)
		return CLI_USAGE;
	for (int i = 1; i < n; i++)
		if (add_value(set, unset, argv[i]) < 0)
			return CLI_USAGE;
	return dry ? preview(cli, "PATCH", path, body)
		   : change(cli, "PATCH", path, body, argv[0], "changed");
}
