/* SPDX-License-Identifier: Apache-2.0 */
/* apply and validate: the files are read here, judged by vpsd; `validate` finds a judge also where
 * no vpsd runs. */
#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"

/* A host document is vpsd's own: it lies beside plans/ and tenants/ and is not applied. */
static bool is_host_document(const char *text, size_t len)
{
	json_t *j = json_loadb(text, len, 0, NULL);
	bool host =
		json_is_object(j) && !json_object_get(j, "plan") && !json_object_get(j, "tenant");
	json_decref(j);
	return host;
}

static int add_file(json_t *documents, const char *path, bool skip_host, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = file_read_at(AT_FDCWD, path, CLI_DOCUMENT_MAX, &text, &len, err);
	if (r < 0)
		return r;
	if (skip_host && is_host_document(text, len))
		return 0;
	json_t *d = json_pack("{s:s, s:s%}", "name", path, "text", text, len);
	if (!d)
		return err_set(err, EINVAL, "'%s' is not UTF-8 text", path);
	(void)json_array_append_new(documents, d);
	return 0;
}

static int is_json_name(const struct dirent *e)
{
	return e->d_name[0] != '.' && str_has_suffix(e->d_name, ".json");
}

static int add_dir(json_t *documents, const char *path, bool skip_host, struct err *err)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, is_json_name, alphasort), r = 0;
	if (n < 0)
		return err_sys(err, "cannot read the directory '%s'", path);
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *file = NULL;
		if (r == 0)
			r = asprintf(&file, "%s/%s", path, names[i]->d_name) < 0
				    ? err_set(err, ENOMEM, "no memory")
				    : add_file(documents, file, skip_host, err);
		free(names[i]);
	}
	free(names);
	return r;
}

static int add_path(json_t *documents, const char *path, bool skip_host, struct err *err)
{
	static const char *const parts[] = {"plans", "tenants"};
	struct stat st;
	if (stat(path, &st) < 0)
		return err_sys(err, "cannot open '%s'", path);
	if (!S_ISDIR(st.st_mode))
		return add_file(documents, path, false, err);
	int r = add_dir(documents, path, skip_host, err);
	for (size_t i = 0; r == 0 && i < sizeof(parts) / sizeof(*parts); i++) {
		_cleanup_free_ char *sub = NULL;
		if (asprintf(&sub, "%s/%s", path, parts[i]) < 0)
			return err_set(err, ENOMEM, "no memory");
		if (stat(sub, &st) == 0 && S_ISDIR(st.st_mode))
			r = add_dir(documents, sub, skip_host, err);
	}
	return r;
}

static int read_all(struct cli *cli, int n, char **paths, bool skip_host, json_t **ret)
{
	struct err err = ERR_INIT;
	_cleanup_json_ json_t *documents = json_array();
	int r = 0;
	for (int i = 0; r == 0 && i < n; i++)
		r = add_path(documents, paths[i], skip_host, &err);
	if (r == 0 && json_array_size(documents) == 0) {
		r = err_set(&err, ENOENT, "there are no plan or tenant documents");
		err_hint(&err, "a directory stands for its *.json files and those of its plans/ "
			       "and tenants/");
	}
	if (r < 0)
		return cli_fail(cli, &err);
	*ret = take_ptr(documents);
	return CLI_OK;
}

/* --- without a vpsd that runs ---------------------------------------------------------------- */

/* The vpsd that was built or installed with this vps: beside it, or in the sbin beside its bin.
 * Heap; NULL when there is none. */
static char *find_vpsd(void)
{
	static const char *const places[] = {"vpsd", "../sbin/vpsd"};
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		return NULL;
	self[n] = '\0';
	*(strrchr(self, '/') + 1) = '\0'; /* an absolute path always */
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		_cleanup_free_ char *path = NULL;
		if (asprintf(&path, "%s%s", self, places[i]) < 0)
			return NULL;
		if (access(path, X_OK) == 0)
			return take_ptr(path);
	}
	return NULL;
}

/* Starts it; stdout is for what went well. */
static int spawn_vpsd(const struct cli *cli, char **argv, pid_t *ret, struct err *err)
{
	posix_spawn_file_actions_t actions;
	int r = posix_spawn_file_actions_init(&actions);
	if (r != 0)
		return err_set_errno(err, r, "cannot run '%s'", argv[0]);
	if (cli->json || cli->quiet)
		r = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY,
						     0);
	if (r == 0)
		r = posix_spawn(ret, argv[0], &actions, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	return r == 0 ? 0 : err_set_errno(err, r, "cannot run '%s'", argv[0]);
}

/* 'vpsd --validate' with the files of the documents. Its exit code, or an error. */
static int run_vpsd(const struct cli *cli, char *vpsd, const json_t *documents, struct err *err)
{
	const size_t n = json_array_size(documents);
	char option[] = "--validate", end[] = "--";
	_cleanup_free_ char **argv = calloc(n + 4, sizeof(*argv));
	int status = 0;
	pid_t pid = 0;
	if (!argv)
		return err_set(err, ENOMEM, "no memory");
	argv[0] = vpsd;
	argv[1] = option;
	argv[2] = end;
	/* exec takes pointers to what it does not change. */
	for (size_t i = 0; i < n; i++)
		argv[i + 3] = (char *)(uintptr_t)text_of(json_array_get(documents, i), "name");
	int r = spawn_vpsd(cli, argv, &pid, err);
	if (r < 0)
		return r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(err, "cannot wait for '%s'", vpsd);
	if (!WIFEXITED(status) || WEXITSTATUS(status) > CLI_FAILED)
		return err_set(err, EIO, "'%s --validate' did not work", vpsd);
	return WEXITSTATUS(status);
}

/* 'why' is why no running vpsd was asked. */
static int validate_alone(const struct cli *cli, const json_t *documents, const struct err *why)
{
	struct err err = ERR_INIT;
	_cleanup_free_ char *vpsd = find_vpsd();
	if (!vpsd)
		return cli_fail(cli, why);
	int code = run_vpsd(cli, vpsd, documents, &err);
	if (code < 0)
		return cli_fail(cli, &err);
	if (code == CLI_OK && cli->json) {
		_cleanup_json_ json_t *answer = json_pack("{s:b}", "valid", 1);
		cli_print_json(answer);
	}
	return code;
}

int cmd_validate(struct cli *cli, int argc, char **argv)
{
	int code, n = cli_parse(cli, argc, argv, NULL, 1, -1, &code);
	_cleanup_json_ json_t *documents = NULL, *answer = NULL;
	struct err err = ERR_INIT;
	if (n < 0)
		return code;
	if (read_all(cli, n, argv, false, &documents) != CLI_OK)
		return CLI_FAILED;
	size_t count = json_array_size(documents);
	_cleanup_json_ json_t *body = json_pack("{s:O}", "documents", documents);
	int r = client_call(cli->socket, "POST", "/v1/validate", body, &answer, &err);
	if (r == -ENOENT || r == -ECONNREFUSED || r == -EACCES)
		return validate_alone(cli, documents, &err);
	if (r < 0)
		return cli_fail_answer(cli, &err, answer);
	if (cli->json)
		cli_print_json(answer);
	else if (!cli->quiet)
		printf("%zu %s valid\n", count, count == 1 ? "document is" : "documents are");
	return CLI_OK;
}

/* --- changes ------------------------------------------------------------------------------- */

static void print_value(const json_t *v)
{
	_cleanup_free_ char *text =
		v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_DUMP_FLAGS) : NULL;
	cli_say(stdout, "%s", text ? text : "nothing");
}

static void print_reason(const char *text)
{
	if (text && *text)
		cli_say(stdout, "    %s\n", text);
}

/* Why it would be refused, and why it was: often the same. */
static void print_reasons(const json_t *c)
{
	const json_t *error = json_object_get(c, "error");
	const char *reason = json_string_value(json_object_get(c, "reason"));
	const char *message = json_string_value(json_object_get(error, "message"));
	const char *hint = json_string_value(json_object_get(c, "hint"));
	print_reason(reason);
	if (!str_eq(message, reason))
		print_reason(message);
	print_reason(hint ? hint : json_string_value(json_object_get(error, "hint")));
}

static void print_change(const json_t *c)
{
	const char *outcome = json_string_value(json_object_get(c, "outcome"));
	size_t i;
	json_t *f;
	cli_say(stdout, "%s %s %s", text_of(c, "action"), text_of(c, "kind"), text_of(c, "target"));
	if (outcome)
		cli_say(stdout, ": %s", outcome);
	if (json_is_true(json_object_get(c, "restart_needed")))
		cli_say(stdout, ", in force after its next start");
	putchar('\n');
	json_array_foreach (json_object_get(c, "fields"), i, f) {
		cli_say(stdout, "    %s: ", text_of(f, "field"));
		print_value(json_object_get(f, "from"));
		fputs(" -> ", stdout);
		print_value(json_object_get(f, "to"));
		puts(json_is_true(json_object_get(f, "at_next_start")) ? ", at its next start"
								       : "");
	}
	print_reasons(c);
}

/* Quiet: only what was not done. */
static bool is_shown(const struct cli *cli, const json_t *change)
{
	return !cli->quiet ||
	       !str_eq(json_string_value(json_object_get(change, "outcome")), "done");
}

void cli_print_changes(const struct cli *cli, const json_t *changes)
{
	size_t i;
	json_t *c;
	json_array_foreach (changes, i, c)
		if (is_shown(cli, c))
			print_change(c);
	if (json_array_size(changes) == 0 && !cli->quiet)
		puts("nothing to change");
}

int cmd_apply(struct cli *cli, int argc, char **argv)
{
	bool dry = false, prune = false, take_over = false;
	const struct cli_opt opts[] = {
		{"dry-run", 'n', 'b', &dry},
		{"prune", 0, 'b', &prune},
		{"take-over", 0, 'b', &take_over},
		{NULL, 0, 0, NULL},
	};
	int code, n = cli_parse(cli, argc, argv, opts, 1, -1, &code);
	_cleanup_json_ json_t *documents = NULL, *answer = NULL;
	if (n < 0)
		return code;
	if (read_all(cli, n, argv, true, &documents) != CLI_OK)
		return CLI_FAILED;
	_cleanup_json_ json_t *body =
		json_pack("{s:O, s:b, s:b, s:b}", "documents", documents, "dry_run", dry, "prune",
			  prune, "take_over", take_over);
	if (dry) {
		code = cli_call(cli, "POST", "/v1/apply", body, &answer);
	} else {
		_cleanup_json_ json_t *op = NULL;
		code = cli_call_op(cli, "POST", "/v1/apply", body, &op);
		answer = json_incref(json_object_get(op, "result"));
	}
	if (cli->json && answer)
		cli_print_json(answer);
	else if (answer)
		cli_print_changes(cli, json_object_get(answer, "changes"));
	return code;
}
