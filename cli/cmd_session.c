/* SPDX-License-Identifier: Apache-2.0 */
/* exec, shell, console, logs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/defuse.h"

static void add_terminal(json_t *body)
{
	struct winsize w;
	const char *term = getenv("TERM");
	json_t *env = json_object_get(body, "env");
	(void)json_object_set_new(body, "tty", json_true());
	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &w) == 0) {
		(void)json_object_set_new(body, "rows", json_integer(w.ws_row));
		(void)json_object_set_new(body, "cols", json_integer(w.ws_col));
	}
	if (env && !json_object_get(env, "TERM"))
		(void)json_object_set_new(env, "TERM", json_string(term && *term ? term : "linux"));
}

static int add_env(json_t *body, const struct cli_list *list)
{
	json_t *env = json_object();
	(void)json_object_set_new(body, "env", env);
	for (size_t i = 0; i < list->n; i++) {
		const char *equal = strchr(list->items[i], '=');
		_cleanup_free_ char *key =
			equal ? strndup(list->items[i], (size_t)(equal - list->items[i])) : NULL;
		if (!key || !*key) {
			fputs("vps: --env wants KEY=VALUE\n", stderr);
			return -1;
		}
		if (cli_put(env, key, equal + 1, "--env") < 0)
			return -1;
	}
	return 0;
}

int cmd_exec(struct cli *cli, int argc, char **argv)
{
	bool tty = false, interactive = false;
	const char *user = NULL, *cwd = NULL;
	struct cli_list env = {.n = 0};
	const struct cli_opt opts[] = {
		{"tty", 't', 'b', &tty},   {"interactive", 'i', 'b', &interactive},
		{"user", 'u', 's', &user}, {"cwd", 'w', 's', &cwd},
		{"env", 'e', 'l', &env},   {NULL, 0, 0, NULL},
	};
	int code, n = cli_parse(cli, argc, argv, opts, 2, -1, &code);
	if (n < 0)
		return code;
	_cleanup_free_ char *path = cli_instance_path(cli, argv[0], "/exec");
	if (!path)
		return CLI_USAGE;
	_cleanup_json_ json_t *body = json_object(), *words = json_array();
	for (int i = 1; i < n; i++) {
		if (json_array_append_new(words, json_string(argv[i])) < 0) {
			fputs("vps: the command's words must be UTF-8\n", stderr);
			return CLI_USAGE;
		}
	}
	(void)json_object_set(body, "argv", words);
	if (add_env(body, &env) < 0 || cli_put(body, "user", user, "--user") < 0 ||
	    cli_put(body, "cwd", cwd, "--cwd") < 0)
		return CLI_USAGE;
	if (tty)
		add_terminal(body);
	const struct session_exec s = {.body = body, .tty = tty, .interactive = interactive};
	return session_exec(cli, path, &s);
}

int cmd_shell(struct cli *cli, int argc, char **argv)
{
	int code, n = cli_parse(cli, argc, argv, NULL, 1, 1, &code);
	if (n < 0)
		return code;
	_cleanup_free_ char *path = cli_instance_path(cli, argv[0], "/exec");
	if (!path)
		return CLI_USAGE;
	const bool tty = isatty(STDIN_FILENO);
	_cleanup_json_ json_t *body =
		json_pack("{s:[s,s,s], s:s, s:{s:s}}", "argv", "/bin/sh", "-c",
			  "cd ~ 2>/dev/null; if [ -x /bin/bash ]; then exec /bin/bash -l; fi; exec "
			  "/bin/sh -l",
			  "cwd", "/", "env", "HOME", "/root");
	if (tty)
		add_terminal(body);
	const struct session_exec s = {.body = body, .tty = tty, .interactive = true};
	return session_exec(cli, path, &s);
}

int cmd_console(struct cli *cli, int argc, char **argv)
{
	bool readonly = false;
	const struct cli_opt opts[] = {{"readonly", 0, 'b', &readonly}, {NULL, 0, 0, NULL}};
	int code, n = cli_parse(cli, argc, argv, opts, 1, 1, &code);
	if (n < 0)
		return code;
	_cleanup_free_ char *path = cli_instance_path(cli, argv[0], "/console");
	return path ? session_console(cli, path, readonly) : CLI_USAGE;
}

/* --- logs ---------------------------------------------------------------------------------- */

int cmd_logs(struct cli *cli, int argc, char **argv)
{
	bool follow = false, raw = false;
	const struct cli_opt opts[] = {
		{"follow", 'f', 'b', &follow},
		{"raw", 0, 'b', &raw},
		{NULL, 0, 0, NULL},
	};
	int code, n = cli_parse(cli, argc, argv, opts, 1, 1, &code);
	struct err err = ERR_INIT;
	if (n < 0)
		return code;
	_cleanup_free_ char *path =
		cli_instance_path(cli, argv[0], follow ? "/log?follow=true" : "/log");
	_cleanup_free_ char *buf = malloc(CLIENT_BUFFER);
	_cleanup_client_ struct client c = CLIENT_INIT;
	if (!path)
		return CLI_USAGE;
	const struct client_request rq = {.method = "GET", .path = path};
	int r = buf ? client_send(cli->socket, &rq, &c, &err) : err_set(&err, ENOMEM, "no memory");
	if (r == 0 && c.status != 200) {
		_cleanup_json_ json_t *answer = NULL;
		r = client_json(&c, &answer, &err);
	}
	struct defuser d = {0};
	ssize_t got = 0;
	while (r == 0 && (got = client_read(&c, buf, CLIENT_BUFFER, &err)) > 0)
		r = file_write_all(STDOUT_FILENO, buf,
				   raw ? (size_t)got : defuse(&d, buf, (size_t)got), &err);
	if (got < 0)
		r = (int)got;
	return r < 0 ? cli_fail(cli, &err) : CLI_OK;
}
