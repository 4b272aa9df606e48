/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptions as records. The receiver trusts nothing: every count is bounded before it is used,
 * every fd index must name an fd of the record that nobody else took, and the result goes through
 * the same check as a local description.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/msg.h"
#include "runtime/sandbox/check.h"
#include "runtime/sandbox/sandbox.h"

#define NO_FD 0xffffffffu

/* An fd is its index in the record, so that others may put theirs before or behind. */
static void put_fd(struct msg *m, int fd, int *result)
{
	if (fd < 0) {
		wire_put_u32(m, NO_FD);
		return;
	}
	wire_put_u32(m, (uint32_t)m->n_fds);
	if (*result >= 0)
		*result = msg_add_fd(m, fd);
}

static int get_fd(struct wire *w, struct msg *m)
{
	uint32_t i = wire_get_u32(w);

	if (w->bad || i == NO_FD)
		return -1;
	int fd = msg_take_fd(m, i);
	if (fd < 0)
		w->bad = true;
	return fd < 0 ? -1 : fd;
}

static void put_words(struct msg *m, char *const *words, int n)
{
	wire_put_u32(m, (uint32_t)n);
	for (int i = 0; i < n; i++)
		wire_put_str(m, words[i]);
}

static void put_limits(struct msg *m, const struct rlimit *limits)
{
	wire_put_u32(m, RLIM_NLIMITS);
	for (unsigned i = 0; i < RLIM_NLIMITS; i++) {
		wire_put_u64(m, limits[i].rlim_cur);
		wire_put_u64(m, limits[i].rlim_max);
	}
}

static void get_limits(struct wire *w, struct rlimit *limits)
{
	if (wire_get_u32(w) != RLIM_NLIMITS)
		w->bad = true;
	for (unsigned i = 0; i < RLIM_NLIMITS; i++) {
		limits[i].rlim_cur = wire_get_u64(w);
		limits[i].rlim_max = wire_get_u64(w);
	}
}

/* Everything that strings of a description point into. Bounded: a record's strings fit a payload.
 */
struct strings {
	char *argv[SBX_ARGS_MAX + 1];
	char *envp[SBX_ARGS_MAX + 1];
	size_t used;
	char text[MSG_PAYLOAD_MAX];
};

static char *get_str(struct wire *w, struct strings *s)
{
	const char *from = wire_get_str(w);
	size_t len = strlen(from) + 1;
	char *to = s->text + s->used;

	if (len > sizeof(s->text) - s->used) { /* "" after a bad field, again and again */
		w->bad = true;
		to = s->text;
		len = 0;
	}
	memcpy(to, from, len);
	s->used += len;
	return to;
}

static char **get_words(struct wire *w, struct strings *s, char *words[SBX_ARGS_MAX + 1])
{
	uint32_t n = wire_get_u32(w);

	if (n > SBX_ARGS_MAX)
		w->bad = true;
	for (uint32_t i = 0; i < n && !w->bad; i++)
		words[i] = get_str(w, s);
	return words;
}

/* The number of words of both lists, or an error. */
static int count_words(char *const *argv, char *const *envp, int *ret_argc, int *ret_envc,
		       struct err *err)
{
	*ret_argc = sbx_words_count(argv);
	*ret_envc = sbx_words_count(envp);
	if (*ret_argc < 0 || *ret_envc < 0)
		return err_set(err, E2BIG, "more than %d arguments or environment variables",
			       SBX_ARGS_MAX);
	return 0;
}

static void put_nodes(struct msg *m, const struct sbx_launch *l)
{
	wire_put_u32(m, l->n_nodes);
	for (unsigned i = 0; i < l->n_nodes; i++) {
		wire_put_str(m, l->nodes[i].path);
		wire_put_u32(m, l->nodes[i].major);
		wire_put_u32(m, l->nodes[i].minor);
		wire_put_u32(m, l->nodes[i].mode);
	}
}

static void get_nodes(struct wire *w, struct sbx_launch *l)
{
	uint32_t n = wire_get_u32(w);

	if (n > SBX_NODES_MAX)
		w->bad = true;
	l->n_nodes = w->bad ? 0 : n;
	for (unsigned i = 0; i < l->n_nodes; i++) {
		struct sbx_node *node = &l->nodes[i];

		wire_get_str_to(w, node->path, sizeof(node->path));
		node->major = wire_get_u32(w);
		node->minor = wire_get_u32(w);
		node->mode = wire_get_u32(w);
	}
}

static void put_files(struct msg *m, const struct sbx_launch *l)
{
	wire_put_u32(m, l->n_files);
	for (unsigned i = 0; i < l->n_files; i++) {
		wire_put_str(m, l->files[i].path);
		wire_put_u32(m, l->files[i].mode);
		wire_put_u8(m, (uint8_t)l->files[i].rule);
		wire_put_str(m, l->files[i].text);
	}
}

static void get_files(struct wire *w, struct sbx_launch *l, struct strings *s)
{
	uint32_t n = wire_get_u32(w);

	if (n > SBX_FILES_MAX)
		w->bad = true;
	l->n_files = w->bad ? 0 : n;
	for (unsigned i = 0; i < l->n_files; i++) {
		struct sbx_file *f = &l->files[i];

		f->path = get_str(w, s);
		f->mode = wire_get_u32(w);
		f->rule = wire_get_u8(w);
		f->text = get_str(w, s);
	}
}

static int packed(const struct msg *m, int fds, struct err *err)
{
	if (fds < 0)
		return err_set(err, -fds, "a description has too many file descriptors");
	if (m->len > MSG_PAYLOAD_MAX)
		return err_set(err, E2BIG, "arguments, environment and files are too long");
	return 0;
}

int sbx_launch_pack(const struct sbx_launch *l, struct msg *m, struct err *err)
{
	int argc, envc, fds = 0;
	int r = sbx_launch_check(l, err);

	if (r >= 0)
		r = count_words(l->argv, l->envp, &argc, &envc, err);
	if (r < 0)
		return r;
	wire_put_str(m, l->id);
	wire_put_u32(m, l->base);
	wire_put_str(m, l->hostname);
	put_words(m, l->argv, argc);
	put_words(m, l->envp, envc);
	wire_put_u64(m, l->capabilities);
	wire_put_u32(m, l->features);
	wire_put_u64(m, l->shm_size);
	wire_put_u64(m, l->run_size);
	wire_put_u64(m, l->mem_limit);
	put_limits(m, l->rlimits);
	put_fd(m, l->cgroup, &fds);
	put_fd(m, l->upper, &fds);
	put_fd(m, l->seccomp, &fds);
	put_fd(m, l->rootfs_plain, &fds);
	put_fd(m, l->views, &fds);
	put_fd(m, l->gate, &fds);
	wire_put_u32(m, l->n_layers);
	for (unsigned i = 0; i < l->n_layers; i++)
		put_fd(m, l->layers[i], &fds);
	put_nodes(m, l);
	put_files(m, l);
	return packed(m, fds, err);
}

static void get_launch(struct wire *w, struct msg *m, struct sbx_launch *l, struct strings *s)
{
	wire_get_str_to(w, l->id, sizeof(l->id));
	l->base = wire_get_u32(w);
	l->hostname = get_str(w, s);
	l->argv = get_words(w, s, s->argv);
	l->envp = get_words(w, s, s->envp);
	l->capabilities = wire_get_u64(w);
	l->features = wire_get_u32(w);
	l->shm_size = wire_get_u64(w);
	l->run_size = wire_get_u64(w);
	l->mem_limit = wire_get_u64(w);
	get_limits(w, l->rlimits);
	l->cgroup = get_fd(w, m);
	l->upper = get_fd(w, m);
	l->seccomp = get_fd(w, m);
	l->rootfs_plain = get_fd(w, m);
	l->views = get_fd(w, m);
	l->gate = get_fd(w, m);
	l->n_layers = wire_get_u32(w);
	if (l->n_layers > SBX_LAYERS_MAX)
		w->bad = true;
	if (w->bad)
		l->n_layers = 0;
	for (unsigned i = 0; i < l->n_layers; i++)
		l->layers[i] = get_fd(w, m);
	get_nodes(w, l);
	get_files(w, l, s);
}

int sbx_launch_unpack(struct wire *w, struct msg *m, struct sbx_launch *ret, void **ret_mem,
		      struct err *err)
{
	_cleanup_free_ struct strings *s = calloc(1, sizeof(*s));
	struct sbx_launch l;
	int r;

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	sbx_launch_init(&l);
	get_launch(w, m, &l, s);
	r = w->bad ? err_set(err, EPROTO, "a launch description is malformed")
		   : sbx_launch_check(&l, err);
	if (r < 0) {
		sbx_launch_close(&l);
		return r;
	}
	*ret = l;
	*ret_mem = take_ptr(s);
	return 0;
}

void sbx_launch_close(struct sbx_launch *l)
{
	cleanup_close(&l->cgroup);
	cleanup_close(&l->upper);
	cleanup_close(&l->seccomp);
	cleanup_close(&l->rootfs_plain);
	cleanup_close(&l->views);
	cleanup_close(&l->gate);
	for (unsigned i = 0; i < SBX_LAYERS_MAX; i++)
		cleanup_close(&l->layers[i]);
}

int sbx_join_pack(const struct sbx_join *j, struct msg *m, struct err *err)
{
	int argc, envc, fds = 0;
	int r = sbx_join_check(j, err);

	if (r >= 0)
		r = count_words(j->argv, j->envp, &argc, &envc, err);
	if (r < 0)
		return r;
	wire_put_u32(m, j->base);
	put_words(m, j->argv, argc);
	put_words(m, j->envp, envc);
	wire_put_str(m, j->cwd);
	wire_put_u32(m, j->uid);
	wire_put_u32(m, j->gid);
	wire_put_u64(m, j->capabilities);
	wire_put_u8(m, j->tty);
	wire_put_u32(m, j->rows);
	wire_put_u32(m, j->cols);
	put_limits(m, j->rlimits);
	put_fd(m, j->pidfd, &fds);
	put_fd(m, j->cgroup, &fds);
	put_fd(m, j->seccomp, &fds);
	for (int i = 0; i < 3; i++)
		put_fd(m, j->tty ? -1 : j->stdio[i], &fds);
	return packed(m, fds, err);
}

static void get_join(struct wire *w, struct msg *m, struct sbx_join *j, struct strings *s)
{
	uint32_t tty, rows, cols;

	j->base = wire_get_u32(w);
	j->argv = get_words(w, s, s->argv);
	j->envp = get_words(w, s, s->envp);
	j->cwd = get_str(w, s);
	j->uid = wire_get_u32(w);
	j->gid = wire_get_u32(w);
	j->capabilities = wire_get_u64(w);
	tty = wire_get_u8(w);
	rows = wire_get_u32(w);
	cols = wire_get_u32(w);
	if (tty > 1 || rows > UINT16_MAX || cols > UINT16_MAX)
		w->bad = true;
	j->tty = tty == 1;
	j->rows = (uint16_t)rows;
	j->cols = (uint16_t)cols;
	get_limits(w, j->rlimits);
	j->pidfd = get_fd(w, m);
	j->cgroup = get_fd(w, m);
	j->seccomp = get_fd(w, m);
	for (int i = 0; i < 3; i++)
		j->stdio[i] = get_fd(w, m);
}

int sbx_join_unpack(struct wire *w, struct msg *m, struct sbx_join *ret, void **ret_mem,
		    struct err *err)
{
	_cleanup_free_ struct strings *s = calloc(1, sizeof(*s));
	struct sbx_join j = {.pidfd = -1, .cgroup = -1, .seccomp = -1, .stdio = {-1, -1, -1}};
	int r;

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	get_join(w, m, &j, s);
	r = w->bad ? err_set(err, EPROTO, "a join description is malformed")
		   : sbx_join_check(&j, err);
	if (r < 0) {
		sbx_join_close(&j);
		return r;
	}
	*ret = j;
	*ret_mem = take_ptr(s);
	return 0;
}

void sbx_join_close(struct sbx_join *j)
{
	cleanup_close(&j->pidfd);
	cleanup_close(&j->cgroup);
	cleanup_close(&j->seccomp);
	for (int i = 0; i < 3; i++)
		cleanup_close(&j->stdio[i]);
}
