/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec and console: checked here, then the client's socket goes to the keeper and this daemon is
 * out of the way.
 */
#include "runtime/daemon/api.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "runtime/daemon/wire.h"
#include "runtime/sandbox/sandbox.h"

struct session {
	struct inst_manager *manager;
	char id[ID_TEXT];
	bool console, readonly;
	struct inst_exec exec;
	char **argv, **envp;
};

static void words_free(char **words)
{
	for (char **w = words; w && *w; w++)
		free(*w);
	free(words);
}

static void session_release(struct request *rq, void *data)
{
	(void)rq;
	struct session *s = data;
	words_free(s->argv);
	words_free(s->envp);
	free(s);
}

static struct session *session_new(struct request *rq, const struct inst *i, struct err *err)
{
	struct session *s = calloc(1, sizeof(*s));
	if (!s) {
		(void)err_set(err, ENOMEM, "no memory for the session");
		return NULL;
	}
	s->manager = api_of(rq)->manager;
	memcpy(s->id, i->id, sizeof(s->id));
	request_set_data(rq, s, session_release);
	return s;
}

/* The instance may have gone between the answer and this call. */
static void on_upgraded(void *data, int sock, const void *early, size_t early_len)
{
	struct session *s = data;
	struct inst *i = inst_find_by_id(s->manager, s->id);
	struct err err = ERR_INIT;
	int r;
	if (!i) {
		(void)close(sock);
		return;
	}
	if (s->console)
		r = inst_console(i, s->readonly, sock, early, early_len, &err);
	else
		r = inst_exec(i, &s->exec, sock, early, early_len, &err);
	if (r < 0)
		log_warning("%s: session: %s", i->full_name, err_text(&err));
}

static bool is_word(const json_t *v)
{
	return json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v);
}

static int take_argv(struct session *s, const json_t *list, struct err *err)
{
	size_t n = json_array_size(list), i;
	json_t *v;
	if (!json_is_array(list) || n == 0 || n >= SBX_ARGS_MAX)
		return err_set(err, EINVAL, "\"argv\" must be a list of 1 to %u strings",
			       SBX_ARGS_MAX - 1);
	s->argv = calloc(n + 1, sizeof(*s->argv));
	if (!s->argv)
		return err_set(err, ENOMEM, "no memory for the session");
	json_array_foreach (list, i, v) {
		if (!is_word(v))
			return err_set(err, EINVAL, "argv[%zu] must be a string without NUL", i);
		if (!(s->argv[i] = strdup(json_string_value(v))))
			return err_set(err, ENOMEM, "no memory for the session");
	}
	if (!s->argv[0][0])
		return err_set(err, EINVAL, "argv[0] is empty; it names the program");
	return 0;
}

static int take_env(struct session *s, json_t *env, struct err *err)
{
	size_t n = 0;
	const char *key;
	json_t *v;
	s->envp = calloc(json_object_size(env) + 1, sizeof(*s->envp));
	if (!s->envp)
		return err_set(err, ENOMEM, "no memory for the session");
	json_object_foreach (env, key, v) {
		if (!*key || strchr(key, '=') || !is_word(v))
			return err_set(err, EINVAL,
				       "\"env\" must map names without '=' to strings");
		if (asprintf(&s->envp[n], "%s=%s", key, json_string_value(v)) < 0) {
			s->envp[n] = NULL;
			return err_set(err, ENOMEM, "no memory for the session");
		}
		n++;
	}
	if (n >= SBX_ARGS_MAX)
		return err_set(err, EINVAL, "\"env\" has more than %u entries", SBX_ARGS_MAX - 1);
	return 0;
}

int api_instance_exec(struct request *rq, struct err *err)
{
	struct inst *i = NULL;
	json_t *argv = NULL, *env = NULL;
	int64_t rows = 0, cols = 0;
	int r = api_find_instance(rq, &i, err);
	struct session *s = r == 0 ? session_new(rq, i, err) : NULL;
	if (!s)
		return -err->code;
	const struct api_arg args[] = {
		{"argv", 'j', true, &argv},	   {"env", 'o', false, &env},
		{"cwd", 's', false, &s->exec.cwd}, {"user", 's', false, &s->exec.user},
		{"tty", 'b', false, &s->exec.tty}, {"rows", 'i', false, &rows},
		{"cols", 'i', false, &cols},
	};
	r = API_ARGS(rq, args, err);
	if (r == 0)
		r = take_argv(s, argv, err);
	if (r == 0 && env)
		r = take_env(s, env, err);
	if (r == 0 && (rows < 0 || rows > UINT16_MAX || cols < 0 || cols > UINT16_MAX))
		r = err_set(err, EINVAL, "\"rows\" and \"cols\" must be from 0 to %d", UINT16_MAX);
	if (r < 0)
		return r;
	s->exec.argv = s->argv;
	s->exec.envp = s->envp;
	s->exec.rows = (uint16_t)rows;
	s->exec.cols = (uint16_t)cols;
	s->exec.pass_fds = str_eq(request_header(rq, VPS_SESSION_HEADER), "fds");
	r = inst_exec_check(i, &s->exec, err);
	return r < 0 ? r : request_upgrade(rq, on_upgraded, err);
}

int api_instance_console(struct request *rq, struct err *err)
{
	struct inst *i = NULL;
	int r = api_find_instance(rq, &i, err);
	struct session *s = r == 0 ? session_new(rq, i, err) : NULL;
	if (!s)
		return -err->code;
	const struct api_arg args[] = {{"readonly", 'b', false, &s->readonly}};
	s->console = true;
	r = API_ARGS(rq, args, err);
	if (r == 0)
		r = inst_console_check(i, err);
	return r < 0 ? r : request_upgrade(rq, on_upgraded, err);
}
