/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records over SOCK_SEQPACKET. The socket keeps record boundaries, so one sendmsg(2) is one record
 * and one recvmsg(2) takes one, whole or marked as truncated. Everything that is received is
 * foreign: it is used after its header, its length and its fds were checked against each other.
 */
#include "base/msg.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"

#define MSG_MAGIC 0x4d535056u /* "VPSM" */
#define MSG_VERSION 1u
#define ERRNO_MAX 4095u

struct header {
	uint32_t magic;
	uint32_t version;
	uint32_t type;
	uint32_t seq;
	uint32_t len;
};

static void close_fds(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
}

struct msg *msg_new(uint32_t type, uint32_t seq)
{
	struct msg *m = malloc(sizeof(*m));

	if (!m)
		return NULL;
	/* The payload is left as it is: only its first len bytes are ever looked at. */
	m->n_fds = 0;
	m->received = false;
	msg_reset(m, type, seq);
	return m;
}

void msg_free(struct msg *m)
{
	int saved = errno;

	if (!m)
		return;
	msg_reset(m, 0, 0);
	free(m);
	errno = saved;
}

void msg_freep(struct msg **m)
{
	msg_free(*m);
}

void msg_reset(struct msg *m, uint32_t type, uint32_t seq)
{
	if (m->received)
		close_fds(m->fds, m->n_fds);
	m->type = type;
	m->seq = seq;
	m->len = 0;
	m->n_fds = 0;
	m->received = false;
}

int msg_add_fd(struct msg *m, int fd)
{
	if (fd < 0)
		return -EBADF;
	if (m->received && m->n_fds > 0)
		return -EINVAL;
	if (m->n_fds >= MSG_FDS_MAX)
		return -E2BIG;
	m->received = false;
	m->fds[m->n_fds++] = fd;
	return 0;
}

int msg_take_fd(struct msg *m, size_t i)
{
	if (!m->received || i >= m->n_fds || m->fds[i] < 0)
		return -EBADF;
	return take_fd(&m->fds[i]);
}

int msg_socketpair(int ret[2], struct err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "cannot make a socket pair");
	ret[0] = pair[0];
	ret[1] = pair[1];
	return 0;
}

int msg_send(int sock, const struct msg *m, struct err *err)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * MSG_FDS_MAX)];
		struct cmsghdr align;
	} control = {0};
	struct header h = {MSG_MAGIC, MSG_VERSION, m->type, m->seq, (uint32_t)m->len};
	struct iovec iov[2] = {{&h, sizeof(h)}, {0}};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	if (m->type == 0)
		return err_set(err, EINVAL, "cannot send a record without a type");
	if (m->len > MSG_PAYLOAD_MAX)
		return err_set(err, EMSGSIZE, "cannot send record %u: longer than %u bytes",
			       m->type, MSG_PAYLOAD_MAX);
	if (m->n_fds > MSG_FDS_MAX)
		return err_set(err, E2BIG, "cannot send record %u: more than %u fds", m->type,
			       MSG_FDS_MAX);
	/* iovec has no const; sendmsg(2) does not write through it. */
	iov[1] = (struct iovec){(void *)(uintptr_t)m->payload, m->len};
	if (m->n_fds > 0) {
		struct cmsghdr *c;

		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * m->n_fds);
		c = CMSG_FIRSTHDR(&mh);
		assert(c);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * m->n_fds);
		memcpy(CMSG_DATA(c), m->fds, sizeof(int) * m->n_fds);
	}
	do {
		n = sendmsg(sock, &mh, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "cannot send record %u", m->type);
	if ((size_t)n != sizeof(h) + m->len)
		return err_set(err, EPROTO, "cannot send record %u: cut by the socket", m->type);
	return 0;
}

/* Collects the fds of all control messages; those beyond MSG_FDS_MAX are closed. Returns how many
 * came. */
static size_t collect_fds(struct msghdr *mh, int fds[MSG_FDS_MAX])
{
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (n < MSG_FDS_MAX)
				fds[n] = fd;
			else
				(void)close(fd);
			n++;
		}
	}
	return n;
}

/* What is wrong with a received record; NULL when nothing is. */
static const char *record_fault(const struct header *h, size_t n, size_t n_fds, int flags)
{
	if (n_fds > MSG_FDS_MAX)
		return "too many fds";
	if (flags & MSG_CTRUNC)
		return "fds were lost";
	if (flags & MSG_TRUNC)
		return "too long";
	if (n < sizeof(*h))
		return "too short";
	if (h->magic != MSG_MAGIC)
		return "not of this protocol";
	if (h->version != MSG_VERSION)
		return "of another version of the protocol";
	if (h->type == 0)
		return "without a type";
	if (h->len != n - sizeof(*h))
		return "of another length than it says";
	return NULL;
}

int msg_recv(int sock, struct msg *m, struct err *err)
{
	/* Room for credentials too, so that a socket with SO_PASSCRED does not cost us fds. */
	union {
		char buf[CMSG_SPACE(sizeof(int) * MSG_FDS_MAX) + CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	struct header h = {0};
	struct iovec iov[2] = {{&h, sizeof(h)}, {m->payload, MSG_PAYLOAD_MAX}};
	struct msghdr mh = {
		.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	const char *fault;
	size_t n_fds;
	ssize_t n;

	msg_reset(m, 0, 0);
	do {
		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "cannot receive a record");
	n_fds = collect_fds(&mh, m->fds);
	m->n_fds = n_fds < MSG_FDS_MAX ? n_fds : MSG_FDS_MAX;
	m->received = true;
	/* An empty record looks like the end; no peer of ours sends one. */
	if (n == 0 && n_fds == 0 && !(mh.msg_flags & MSG_CTRUNC))
		return 0;
	fault = record_fault(&h, (size_t)n, n_fds, mh.msg_flags);
	if (fault) {
		msg_reset(m, 0, 0);
		return err_set(err, EPROTO, "received a record that is %s", fault);
	}
	m->type = h.type;
	m->seq = h.seq;
	m->len = h.len;
	return 1;
}

/* Turns the peer's failure record into an error here. */
static int failure_received(const struct msg *m, struct err *err)
{
	struct wire w;
	uint32_t code;
	const char *text;
	int r;

	wire_init(&w, m);
	code = wire_get_u32(&w);
	text = wire_get_str(&w);
	r = wire_done(&w, err);
	if (r < 0)
		return r;
	return err_set(err, code > 0 && code <= ERRNO_MAX ? (int)code : EIO, "%s", text);
}

int msg_expect(int sock, struct msg *m, uint32_t type, uint32_t failed, struct err *err)
{
	int r = msg_recv(sock, m, err);

	if (r < 0)
		return r;
	if (r == 0)
		return err_set(err, EPIPE, "the peer closed the connection");
	if (m->type == type)
		return 0;
	if (failed != 0 && m->type == failed)
		r = failure_received(m, err);
	else
		r = err_set(err, EPROTO, "expected record %u, received %u", type, m->type);
	msg_reset(m, 0, 0);
	return r;
}

static void put(struct msg *m, const void *data, size_t len)
{
	if (m->len > MSG_PAYLOAD_MAX || len > MSG_PAYLOAD_MAX - m->len) {
		m->len = MSG_PAYLOAD_MAX + 1;
		return;
	}
	if (len > 0)
		memcpy(m->payload + m->len, data, len);
	m->len += len;
}

static void put_le(struct msg *m, uint64_t v, size_t size)
{
	uint8_t b[8];

	for (size_t i = 0; i < size; i++)
		b[i] = (uint8_t)(v >> (8 * i));
	put(m, b, size);
}

void wire_put_u8(struct msg *m, uint8_t v)
{
	put_le(m, v, 1);
}

void wire_put_u32(struct msg *m, uint32_t v)
{
	put_le(m, v, 4);
}

void wire_put_u64(struct msg *m, uint64_t v)
{
	put_le(m, v, 8);
}

void wire_put_bytes(struct msg *m, const void *data, size_t len)
{
	/* Checked before it is written as 32 bits. */
	if (len > MSG_PAYLOAD_MAX) {
		m->len = MSG_PAYLOAD_MAX + 1;
		return;
	}
	wire_put_u32(m, (uint32_t)len);
	put(m, data, len);
}

void wire_put_str(struct msg *m, const char *s)
{
	if (!s)
		s = "";
	wire_put_bytes(m, s, strlen(s) + 1);
}

void wire_init(struct wire *w, const struct msg *m)
{
	*w = (struct wire){.p = m->payload, .left = m->len};
	if (m->len > MSG_PAYLOAD_MAX)
		*w = (struct wire){.p = m->payload, .left = 0, .bad = true};
}

/* The next len bytes, or NULL. */
static const uint8_t *get(struct wire *w, size_t len)
{
	const uint8_t *p = w->p;

	if (w->bad || len > w->left) {
		w->bad = true;
		return NULL;
	}
	w->p += len;
	w->left -= len;
	return p;
}

static uint64_t get_le(struct wire *w, size_t size)
{
	const uint8_t *p = get(w, size);
	uint64_t v = 0;

	for (size_t i = 0; p && i < size; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

uint8_t wire_get_u8(struct wire *w)
{
	return (uint8_t)get_le(w, 1);
}

uint32_t wire_get_u32(struct wire *w)
{
	return (uint32_t)get_le(w, 4);
}

uint64_t wire_get_u64(struct wire *w)
{
	return get_le(w, 8);
}

const uint8_t *wire_get_bytes(struct wire *w, size_t *ret_len)
{
	static const uint8_t nothing[1];
	size_t len = wire_get_u32(w);
	const uint8_t *p = get(w, len);

	*ret_len = p ? len : 0;
	return p ? p : nothing;
}

const char *wire_get_str(struct wire *w)
{
	size_t len;
	const uint8_t *p = wire_get_bytes(w, &len);

	if (w->bad || len == 0 || memchr(p, '\0', len) != p + len - 1) {
		w->bad = true;
		return "";
	}
	return (const char *)p;
}

void wire_get_str_to(struct wire *w, char *dst, size_t size)
{
	const char *s = wire_get_str(w);
	size_t n = strlen(s);

	if (size == 0) {
		w->bad = true;
		return;
	}
	if (w->bad || n >= size) {
		w->bad = true;
		dst[0] = '\0';
		return;
	}
	memcpy(dst, s, n + 1);
}

int wire_done(const struct wire *w, struct err *err)
{
	if (w->bad)
		return err_set(err, EPROTO, "received a malformed record");
	if (w->left > 0)
		return err_set(err, EPROTO, "received a record with %zu surplus bytes", w->left);
	return 0;
}
