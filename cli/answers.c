/* SPDX-License-Identifier: Apache-2.0 */
/* Calls, their failures in one line, and operations that are waited for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"

static void print_line(FILE *out, const char *prefix, const char *text)
{
	char clean[1024];
	str_escape(clean, sizeof(clean), text);
	fprintf(out, "%s%s\n", prefix, clean);
}

int cli_fail(const struct cli *cli, const struct err *err)
{
	progress_clear();
	(void)cli;
	print_line(stderr, "vps: ", err_text(err));
	if (err->hint[0])
		print_line(stderr, "     ", err->hint);
	return CLI_FAILED;
}

int cli_fail_answer(const struct cli *cli, const struct err *err, const json_t *answer)
{
	const char *text =
		json_string_value(json_object_get(json_object_get(answer, "error"), "text"));
	if (!text || !*text)
		return cli_fail(cli, err);
	progress_clear();
	cli_say(stderr, "%s", text); /* one problem a line, as a compiler would print them */
	return CLI_FAILED;
}

int cli_put(json_t *body, const char *key, const char *text, const char *what)
{
	if (!text || json_object_set_new(body, key, json_string(text)) == 0)
		return 0;
	fprintf(stderr, "vps: %s must be UTF-8 text\n", what);
	return -1;
}

char *cli_instance_path(const struct cli *cli, const char *name, const char *suffix)
{
	const char *slash = strchr(name, '/');
	struct err err = ERR_INIT;
	char *path = NULL;
	if (!slash || slash == name || !slash[1] || strchr(slash + 1, '/')) {
		char shown[80];
		str_escape(shown, sizeof(shown), name);
		(void)err_set(&err, EINVAL, "'%s' is not an instance; write it as TENANT/NAME",
			      shown);
		(void)cli_fail(cli, &err);
		return NULL;
	}
	_cleanup_free_ char *tenant = strndup(name, (size_t)(slash - name));
	_cleanup_free_ char *t = tenant ? url_escape(tenant) : NULL, *n = url_escape(slash + 1);
	if (!t || !n || asprintf(&path, "/v1/instances/%s/%s%s", t, n, suffix) < 0) {
		(void)err_set(&err, ENOMEM, "no memory");
		(void)cli_fail(cli, &err);
		return NULL;
	}
	return path;
}

int cli_call(const struct cli *cli, const char *method, const char *path, json_t *body,
	     json_t **ret)
{
	struct err err = ERR_INIT;
	_cleanup_json_ json_t *answer = NULL;
	if (client_call(cli->socket, method, path, body, &answer, &err) < 0)
		return cli_fail_answer(cli, &err, answer);
	if (ret)
		*ret = take_ptr(answer);
	return CLI_OK;
}

static bool is_running(const json_t *op)
{
	return str_eq(json_string_value(json_object_get(op, "status")), "running");
}

/* Asks until it has ended; the server keeps each question for up to 'wait' seconds. */
static int wait_op(const struct cli *cli, json_t **op, struct err *err)
{
	const bool live = isatty(STDERR_FILENO) && !cli->quiet;
	const char *id = json_string_value(json_object_get(*op, "id"));
	char path[80];
	if (!id || str_fmt(path, sizeof(path), "/v1/operations/%s?wait=%d", id, live ? 1 : 60) < 0)
		return err_set(err, EPROTO, "vpsd's answer has no operation");
	while (is_running(*op)) {
		json_t *answer = NULL;
		int r = client_call(cli->socket, "GET", path, NULL, &answer, err);
		json_t *next = r == 0 ? json_incref(json_object_get(answer, "operation")) : NULL;
		json_decref(answer);
		if (r < 0)
			return r;
		if (!next)
			return err_set(err, EPROTO, "vpsd's answer has no operation");
		json_decref(*op);
		*op = next;
		const json_t *p = json_object_get(*op, "progress");
		const char *what = json_string_value(json_object_get(p, "what"));
		if (live)
			progress_show(
				what ? what : "",
				(uint64_t)json_integer_value(json_object_get(p, "done")),
				(uint64_t)json_integer_value(json_object_get(p, "total")),
				str_eq(json_string_value(json_object_get(p, "unit")), "bytes"));
	}
	return 0;
}

void cli_add_query(struct sbuf *path, const char *key, const char *value)
{
	_cleanup_free_ char *escaped = value ? url_escape(value) : NULL;

	if (!value)
		return;
	sbuf_addf(path, "%c%s=%s", strchr(sbuf_str(path), '?') ? '&' : '?', key,
		  escaped ? escaped : "");
	path->failed |= !escaped;
}

int cli_list_of_tenant(struct cli *cli, int argc, char **argv, const char *what, json_t **ret)
{
	int code, n = cli_parse(cli, argc, argv, NULL, 0, 1, &code);
	_cleanup_free_ char *path = NULL, *tenant = n > 0 ? url_escape(argv[0]) : NULL;

	if (n < 0)
		return code;
	if ((n > 0 && !tenant) ||
	    asprintf(&path, "/v1/%s%s%s", what, tenant ? "?tenant=" : "", tenant ? tenant : "") < 0)
		return CLI_FAILED;
	code = cli_call(cli, "GET", path, NULL, ret);
	if (code == CLI_OK && cli->json)
		cli_print_json(*ret);
	return code == CLI_OK ? CLI_OK : CLI_FAILED;
}

int cli_call_op(const struct cli *cli, const char *method, const char *path, json_t *body,
		json_t **ret)
{
	struct err err = ERR_INIT;
	_cleanup_json_ json_t *answer = NULL, *op = NULL;
	if (client_call(cli->socket, method, path, body, &answer, &err) < 0)
		return cli_fail_answer(cli, &err, answer);
	op = json_incref(json_object_get(answer, "operation"));
	int r = wait_op(cli, &op, &err);
	progress_clear();
	if (r == 0 && !str_eq(json_string_value(json_object_get(op, "status")), "done")) {
		const json_t *e = json_object_get(op, "error");
		const char *hint = json_string_value(json_object_get(e, "hint"));
		r = err_set(&err, EREMOTEIO, "%s %s: %s", text_of(op, "kind"),
			    text_of(op, "target"), text_of(e, "message"));
		if (hint)
			err_hint(&err, "%s", hint);
	}
	if (r < 0)
		(void)cli_fail(cli, &err);
	if (ret)
		*ret = take_ptr(op);
	return r < 0 ? CLI_FAILED : CLI_OK;
}

bool cli_confirm(const char *act, const char *name)
{
	char line[16] = "", shown[160];
	str_escape(shown, sizeof(shown), name);
	if (!isatty(STDIN_FILENO)) {
		fprintf(stderr, "vps: this would %s '%s'; confirm with --yes\n", act, shown);
		return false;
	}
	fprintf(stderr, "%s '%s'? [y/N] ", act, shown);
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}
