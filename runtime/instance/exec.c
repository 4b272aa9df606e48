/* SPDX-License-Identifier: Apache-2.0 */
/* Exec and console sessions: everything is checked here, then the keeper has the socket. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "runtime/instance/private.h"

#define ROWS_DEFAULT 24u
#define COLS_DEFAULT 80u

/* --- who ------------------------------------------------------------------------------------- */

static int parse_id(const char *text, size_t len, uint32_t *ret)
{
	char digits[8];
	uint64_t v;

	if (len == 4 && strncmp(text, "root", 4) == 0) {
		*ret = 0;
		return 0;
	}
	if (len == 0 || len >= sizeof(digits) || strspn(text, "0123456789") < len)
		return -EINVAL;
	memcpy(digits, text, len);
	digits[len] = '\0';
	if (num_parse_u64(digits, 0, SBX_ID_RANGE - 1, &v) < 0)
		return -EINVAL;
	*ret = (uint32_t)v;
	return 0;
}

int inst_user_parse(const char *text, uint32_t *ret_uid, uint32_t *ret_gid, struct err *err)
{
	const char *colon = strchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);
	uint32_t uid, gid;
	char shown[64];

	if (parse_id(text, len, &uid) < 0)
		goto bad;
	gid = uid;
	if (colon && parse_id(colon + 1, strlen(colon + 1), &gid) < 0)
		goto bad;
	*ret_uid = uid;
	*ret_gid = gid;
	return 0;
bad:
	str_escape(shown, sizeof(shown), text);
	(void)err_set(err, EINVAL, "'%s' is no user", shown);
	return err_hint(
		err,
		"write \"root\", \"UID\" or \"UID:GID\" with numbers from 0 to %u; names are "
		"the guest's, use su inside",
		SBX_ID_RANGE - 1);
}

/* --- session leaves -------------------------------------------------------------------------- */

static void session_free(struct inst_session *s)
{
	cg_session_done(&s->cg);
	free(s);
}

void inst_sessions_done(struct inst *i)
{
	struct inst_session *s = i->p->sessions;

	/* The completion of a session that is being born looks for it in the list. */
	i->p->sessions = NULL;
	while (s) {
		struct inst_session *next = s->next;

		session_free(s);
		s = next;
	}
}

/* Removes the leaves of sessions that have ended. */
static void sweep_sessions(struct inst *i)
{
	struct inst_session **at = &i->p->sessions;

	while (*at) {
		struct inst_session *s = *at;

		if (s->is_pending || cg_session_remove(&i->p->cg, &s->cg, NULL) == -EBUSY) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		session_free(s);
	}
}

static int on_leaf(void *arg, const struct cg_session *leaf)
{
	struct inst *i = arg;
	struct inst_session *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->cg = *leaf;
	s->next = i->p->sessions;
	i->p->sessions = s;
	return 0;
}

void inst_sessions_found(struct inst *i)
{
	if (cg_session_walk(&i->p->cg, on_leaf, i, NULL) < 0)
		log_warning("%s: cannot find the sessions of before", i->full_name);
	sweep_sessions(i);
}

static int new_session(struct inst *i, struct inst_session **ret, struct err *err)
{
	struct inst_session *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(err, ENOMEM, "cannot make a session: out of memory");
	sweep_sessions(i);
	s->cg = CG_SESSION_INIT;
	r = cg_session_create(&i->p->cg, &s->cg, err);
	if (r < 0) {
		free(s);
		return r;
	}
	s->is_pending = true;
	s->serial = ++i->manager->session_serial;
	s->next = i->p->sessions;
	i->p->sessions = s;
	*ret = s;
	return 0;
}

/* Finds the session by its number: the instance may be gone, or run its next boot. */
struct exec_call {
	struct inst_manager *manager;
	char id[ID_TEXT];
	uint64_t serial;
};

static void on_exec(void *userdata, struct keeper_reply *reply, const struct err *err)
{
	struct exec_call *call = userdata;
	struct inst *i =
		call->manager->is_closing ? NULL : inst_find_by_id(call->manager, call->id);

	(void)reply;
	if (i) {
		for (struct inst_session *s = i->p->sessions; s; s = s->next)
			if (s->serial == call->serial)
				s->is_pending = false;
		if (err) {
			log_debug("%s: exec failed: %s", i->full_name, err_text(err));
			if (i->p->cg.fd >= 0)
				sweep_sessions(i);
		}
	}
	free(call);
}

/* --- exec ------------------------------------------------------------------------------------ */

/* The client has its "101": what goes wrong now comes as a frame. */
static void tell_client(int client, const struct err *err)
{
	const char *text = err_text(err);
	size_t n = strlen(text);
	uint8_t frame[8 + 4 + sizeof(err->msg)] = {FRAME_ERROR};
	uint32_t length = htonl((uint32_t)(4 + n)), code = htonl((uint32_t)err->code);

	memcpy(frame + 4, &length, 4);
	memcpy(frame + 8, &code, 4);
	memcpy(frame + 12, text, n);
	/* A fresh connection has room for it; a client that is gone needs no answer. */
	(void)send(client, frame, 12 + n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int check_up(const struct inst *i, struct err *err)
{
	int r = inst_check_ready(i->manager, err);

	if (r < 0)
		return r;
	if (i->suspension.mode)
		return inst_refuse_suspended(i, POLICY_VERB_EXEC, err);
	if (!inst_is_up(i) || i->p->cg.fd < 0) {
		(void)err_set(err, EBUSY, "'%s' does not run (%s)", i->full_name,
			      inst_state_name(i->state));
		return err_hint(err, "start it first");
	}
	if (!i->manager->keeper.is_speaking)
		return err_set(err, EAGAIN, "there is no keeper at the moment; try again");
	return 0;
}

int inst_exec_check(const struct inst *i, const struct inst_exec *req, struct err *err)
{
	uint32_t uid, gid;
	size_t n = 0, bytes = 0;

	if (!req->argv || !req->argv[0] || !*req->argv[0])
		return err_set(err, EINVAL, "argv: at least one word is needed");
	for (; req->argv[n]; n++)
		bytes += strlen(req->argv[n]) + 1;
	if (n >= SBX_ARGS_MAX)
		return err_set(err, EINVAL, "argv: more than %u words", SBX_ARGS_MAX - 1);
	for (n = 0; req->envp && req->envp[n]; n++) {
		const char *eq = strchr(req->envp[n], '=');

		bytes += strlen(req->envp[n]) + 1;
		if (!eq || eq == req->envp[n])
			return err_set(err, EINVAL, "env: a variable needs a name");
	}
	if (n >= SBX_ARGS_MAX - 8)
		return err_set(err, EINVAL, "env: more than %u variables", SBX_ARGS_MAX - 9);
	if (bytes > MSG_PAYLOAD_MAX / 2)
		return err_set(err, EINVAL, "argv and env together are longer than %u bytes",
			       MSG_PAYLOAD_MAX / 2);
	if (req->cwd && *req->cwd != '/')
		return err_set(err, EINVAL, "cwd: an absolute path is needed");
	if (inst_user_parse(req->user ? req->user : "0:0", &uid, &gid, err) < 0)
		return -EINVAL;
	return check_up(i, err);
}

static bool has_variable(char *const *envp, const char *assignment)
{
	size_t n = (size_t)(strchr(assignment, '=') - assignment) + 1;

	for (size_t i = 0; envp && envp[i]; i++)
		if (strncmp(envp[i], assignment, n) == 0)
			return true;
	return false;
}

/* The fixed variables, less those that the request sets, then the request's. */
static void build_env(const struct inst_exec *req, uint32_t uid, char *ret[SBX_ARGS_MAX])
{
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		    container[] = "container=vpsd", home_root[] = "HOME=/root", home[] = "HOME=/",
		    user[] = "USER=root", term[] = "TERM=xterm-256color";
	char *const fixed[] = {path, container, uid ? home : home_root, uid ? NULL : user,
			       req->tty ? term : NULL};
	size_t n = 0;

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (fixed[i] && !has_variable(req->envp, fixed[i]))
			ret[n++] = fixed[i];
	for (size_t i = 0; req->envp && req->envp[i] && n < SBX_ARGS_MAX - 1; i++)
		ret[n++] = req->envp[i];
	ret[n] = NULL;
}

static int send_exec(struct inst *i, const struct inst_exec *req,
		     const struct keeper_stream *stream, struct err *err)
{
	struct inst_manager *m = i->manager;
	struct exec_call *call;
	struct inst_session *session = NULL;
	char *envp[SBX_ARGS_MAX];
	struct sbx_launch defaults;
	struct sbx_join j = {.pidfd = -1, .stdio = {-1, -1, -1}};
	int r = inst_exec_check(i, req, err);

	if (r < 0)
		return r;
	r = inst_user_parse(req->user ? req->user : "0:0", &j.uid, &j.gid, err);
	if (r >= 0)
		r = new_session(i, &session, err);
	if (r < 0)
		return r;
	call = calloc(1, sizeof(*call));
	if (!call) {
		session->is_pending = false;
		return err_set(err, ENOMEM, "cannot make a session: out of memory");
	}
	*call = (struct exec_call){.manager = m, .serial = session->serial};
	memcpy(call->id, i->id, sizeof(call->id));
	build_env(req, j.uid, envp);
	sbx_launch_init(&defaults);
	j.base = i->base;
	j.cgroup = session->cg.fd;
	j.argv = req->argv;
	j.envp = envp;
	j.cwd = req->cwd;
	j.capabilities = defaults.capabilities;
	j.seccomp = m->seccomp;
	j.tty = req->tty;
	j.rows = req->rows ? req->rows : ROWS_DEFAULT;
	j.cols = req->cols ? req->cols : COLS_DEFAULT;
	memcpy(j.rlimits, defaults.rlimits, sizeof(j.rlimits));
	r = keeper_client_exec(m->keeper.client, i->id, i->boot,
			       req->pass_fds ? KEEPER_MODE_PASS_FDS : KEEPER_MODE_FRAMED, stream,
			       &j, (struct keeper_call){.done = on_exec, .userdata = call}, err);
	/* The record holds a duplicate; the name is enough to remove it. */
	cg_session_done(&session->cg);
	if (r < 0) {
		session->is_pending = false;
		free(call);
	}
	keeper_link_poke(m);
	return r;
}

int inst_exec(struct inst *i, const struct inst_exec *req, int client, const void *early,
	      size_t early_len, struct err *err)
{
	_cleanup_close_ int sock = client;
	const struct keeper_stream stream = {.sock = sock, .early = early, .early_len = early_len};
	struct err local = ERR_INIT;
	struct err *e = err ? err : &local;
	int r = send_exec(i, req, &stream, e);

	if (r < 0)
		tell_client(sock, e);
	return r;
}

/* --- console --------------------------------------------------------------------------------- */

int inst_console_check(const struct inst *i, struct err *err)
{
	return check_up(i, err);
}

int inst_console(struct inst *i, bool readonly, int client, const void *early, size_t early_len,
		 struct err *err)
{
	_cleanup_close_ int sock = client;
	const struct keeper_stream stream = {.sock = sock, .early = early, .early_len = early_len};
	struct err local = ERR_INIT;
	struct err *e = err ? err : &local;
	int r = check_up(i, e);

	if (r >= 0) {
		r = keeper_client_console(i->manager->keeper.client, i->id, i->boot,
					  readonly ? KEEPER_CONSOLE_READONLY : 0, &stream,
					  (struct keeper_call){0}, e);
		keeper_link_poke(i->manager);
	}
	if (r < 0)
		tell_client(sock, e);
	return r;
}
