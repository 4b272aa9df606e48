/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of netlink requests and dumps, over libmnl. */
#include "netns/netlink.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

/* A batch of 1 MiB holds some thousand requests; the kernel copies it whole. */
#define BATCH_MAX (1u << 20)
#define BATCH_FIRST 4096u
#define REPLY_ROOM 32768u /* as libmnl advises for dumps, and more than any acknowledgement */
#define SOCKET_ROOM (1 << 20)
#define DUMP_TRIES 5
#define WHAT_MAX 96
#define TOLERATED_MAX 2

struct nl_request {
	size_t at; /* of its header in the data */
	uint32_t seq;
	int tolerated[TOLERATED_MAX]; /* 0 = none more */
	bool is_silent;
	bool is_answered;
	char what[WHAT_MAX];
};

struct nl_batch {
	char *data;
	size_t len, room;
	struct nl_request *requests;
	size_t n, n_room;
	int fault; /* errno of what could not be added */
};

/* --- sockets --------------------------------------------------------------------------------- */

static int set_option(int fd, int level, int option, int value, const char *name, struct err *err)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)) < 0)
		return err_sys(err, "cannot set '%s' of a netlink socket", name);
	return 0;
}

static int set_options(int fd, struct err *err)
{
	static const struct {
		int level, option, value;
		const char *name;
	} options[] = {
		{SOL_NETLINK, NETLINK_EXT_ACK, 1, "NETLINK_EXT_ACK"},
		{SOL_NETLINK, NETLINK_CAP_ACK, 1, "NETLINK_CAP_ACK"},
		{SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1, "NETLINK_GET_STRICT_CHK"},
		/* The answers to a whole batch wait in the socket. */
		{SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_ROOM, "SO_SNDBUFFORCE"},
		{SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_ROOM, "SO_RCVBUFFORCE"},
	};
	int r;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		r = set_option(fd, options[i].level, options[i].option, options[i].value,
			       options[i].name, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int nl_sock_open(int protocol, struct nl_sock *ret, struct err *err)
{
	const struct sockaddr_nl any = {.nl_family = AF_NETLINK};
	_cleanup_close_ int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	int r;

	if (fd < 0)
		return err_sys(err, "cannot open a netlink socket");
	r = set_options(fd, err);
	if (r < 0)
		return r;
	if (bind(fd, (const struct sockaddr *)&any, sizeof(any)) < 0)
		return err_sys(err, "cannot bind a netlink socket");
	*ret = (struct nl_sock){.fd = take_fd(&fd)};
	return 0;
}

int nl_sock_adopt(int fd, int protocol, struct nl_sock *ret, struct err *err)
{
	int domain = 0, is = 0, r;
	socklen_t len = sizeof(int);
	char rest[64];

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &is, &len) < 0)
		return err_sys(err, "cannot take over a netlink socket");
	if (domain != AF_NETLINK || is != protocol)
		return err_set(err, EPROTOTYPE,
			       "cannot take over a netlink socket: it is of another kind");
	r = set_options(fd, err);
	if (r < 0)
		return r;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, "cannot take over a netlink socket");
	/* Answers that its last owner did not read; ENOBUFS is reported once. */
	while (recv(fd, rest, sizeof(rest), 0) >= 0 || errno == EINTR || errno == ENOBUFS)
		;
	*ret = (struct nl_sock){.fd = fd};
	return 0;
}

int nl_run_in(int netns, int (*run)(void *arg, struct err *err), void *arg, struct err *err)
{
	_cleanup_close_ int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int r;

	if (home < 0)
		return err_sys(err, "cannot open the own network namespace");
	if (setns(netns, CLONE_NEWNET) < 0)
		return err_sys(err, "cannot enter the network namespace");
	r = run(arg, err);
	if (setns(home, CLONE_NEWNET) < 0)
		abort();
	return r;
}

struct opening {
	int protocol;
	struct nl_sock *ret;
};

static int open_there(void *arg, struct err *err)
{
	const struct opening *o = arg;

	return nl_sock_open(o->protocol, o->ret, err);
}

int nl_sock_open_in(int netns, int protocol, struct nl_sock *ret, struct err *err)
{
	struct opening o = {.protocol = protocol, .ret = ret};

	return nl_run_in(netns, open_there, &o, err);
}

void nl_sock_done(struct nl_sock *s)
{
	cleanup_close(&s->fd);
}

/* --- building -------------------------------------------------------------------------------- */

struct nl_batch *nl_batch_new(void)
{
	return calloc(1, sizeof(struct nl_batch));
}

void nl_batch_free(struct nl_batch *b)
{
	if (!b)
		return;
	free(b->data);
	free(b->requests);
	free(b);
}

/* Room for 'len' more bytes, zeroed; NULL when the batch cannot have them, which it remembers. */
static char *extend(struct nl_batch *b, size_t len)
{
	size_t aligned = NLMSG_ALIGN(len), room = b->room ? b->room : BATCH_FIRST;
	char *grown, *at;

	if (b->fault)
		return NULL;
	if (len > BATCH_MAX || b->len + aligned > BATCH_MAX) {
		b->fault = EMSGSIZE;
		return NULL;
	}
	while (room < b->len + aligned)
		room *= 2;
	if (room > b->room) {
		grown = realloc(b->data, room);
		if (!grown) {
			b->fault = ENOMEM;
			return NULL;
		}
		b->data = grown;
		b->room = room;
	}
	at = b->data + b->len;
	memset(at, 0, aligned);
	b->len += aligned;
	return at;
}

static struct nl_request *last_request(struct nl_batch *b)
{
	return b && !b->fault && b->n > 0 ? &b->requests[b->n - 1] : NULL;
}

/* The length of the last request is what was put since. */
static void close_request(struct nl_batch *b)
{
	struct nl_request *q = last_request(b);
	struct nlmsghdr *m;

	if (!q)
		return;
	m = (struct nlmsghdr *)(void *)(b->data + q->at);
	m->nlmsg_len = (uint32_t)(b->len - q->at);
}

void nl_batch_add(struct nl_batch *b, uint16_t type, uint16_t flags, const void *header, size_t len,
		  const char *what, ...)
{
	struct nl_request *q;
	struct nlmsghdr *m;
	size_t at;
	va_list ap;
	char *to;

	if (!b || b->fault)
		return;
	close_request(b);
	if (b->n == b->n_room) {
		size_t room = b->n_room ? b->n_room * 2 : 16;

		q = reallocarray(b->requests, room, sizeof(*q));
		if (!q) {
			b->fault = ENOMEM;
			return;
		}
		b->requests = q;
		b->n_room = room;
	}
	at = b->len;
	to = extend(b, NLMSG_HDRLEN + NLMSG_ALIGN(len));
	if (!to)
		return;
	m = (struct nlmsghdr *)(void *)to;
	m->nlmsg_type = type;
	m->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	memcpy(to + NLMSG_HDRLEN, header, len);
	q = &b->requests[b->n++];
	*q = (struct nl_request){.at = at};
	va_start(ap, what);
	(void)vsnprintf(q->what, sizeof(q->what), what, ap);
	va_end(ap);
}

void nl_batch_tolerate(struct nl_batch *b, int code)
{
	struct nl_request *q = last_request(b);
	size_t i = 0;

	while (q && i < TOLERATED_MAX && q->tolerated[i])
		i++;
	if (q && i < TOLERATED_MAX)
		q->tolerated[i] = code;
}

void nl_batch_silent(struct nl_batch *b)
{
	struct nl_request *q = last_request(b);

	if (!q)
		return;
	q->is_silent = true;
	((struct nlmsghdr *)(void *)(b->data + q->at))->nlmsg_flags &= (uint16_t)~NLM_F_ACK;
}

void nl_put_raw(struct nl_batch *b, const void *data, size_t len)
{
	char *to = last_request(b) ? extend(b, len) : NULL;

	if (to)
		memcpy(to, data, len);
}

void nl_put(struct nl_batch *b, uint16_t type, const void *data, size_t len)
{
	struct nlattr a = {.nla_type = type, .nla_len = (uint16_t)(NLA_HDRLEN + len)};
	char *to;

	if (!last_request(b))
		return;
	if (len > UINT16_MAX - NLA_HDRLEN) {
		b->fault = EMSGSIZE;
		return;
	}
	to = extend(b, NLA_HDRLEN + len);
	if (!to)
		return;
	memcpy(to, &a, sizeof(a));
	if (len > 0)
		memcpy(to + NLA_HDRLEN, data, len);
}

void nl_put_u8(struct nl_batch *b, uint16_t type, uint8_t v)
{
	nl_put(b, type, &v, sizeof(v));
}

void nl_put_u16(struct nl_batch *b, uint16_t type, uint16_t v)
{
	nl_put(b, type, &v, sizeof(v));
}

void nl_put_u32(struct nl_batch *b, uint16_t type, uint32_t v)
{
	nl_put(b, type, &v, sizeof(v));
}

void nl_put_u64(struct nl_batch *b, uint16_t type, uint64_t v)
{
	nl_put(b, type, &v, sizeof(v));
}

void nl_put_string(struct nl_batch *b, uint16_t type, const char *s)
{
	nl_put(b, type, s, strlen(s) + 1);
}

size_t nl_nest_start(struct nl_batch *b, uint16_t type)
{
	size_t at = b ? b->len : 0;

	nl_put(b, (uint16_t)(type | NLA_F_NESTED), NULL, 0);
	return at;
}

void nl_nest_end(struct nl_batch *b, size_t nest)
{
	struct nlattr *a;

	if (!last_request(b))
		return;
	if (b->len - nest > UINT16_MAX) {
		b->fault = EMSGSIZE;
		return;
	}
	a = (struct nlattr *)(void *)(b->data + nest);
	a->nla_len = (uint16_t)(b->len - nest);
}

size_t nl_batch_size(const struct nl_batch *b)
{
	return b ? b->n : 0;
}

const void *nl_batch_data(const struct nl_batch *b, size_t *ret_len)
{
	*ret_len = b ? b->len : 0;
	return b ? b->data : NULL;
}

/* --- answers --------------------------------------------------------------------------------- */

/* What an acknowledgement says in words; "" = nothing. With NETLINK_CAP_ACK the attributes follow
 * the header of the request; without that flag in the answer, all of it. */
static void kernel_text(const struct nlmsghdr *m, char *dst, size_t size)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(m);
	size_t skip = sizeof(*e);
	struct nlattr *a;

	*dst = '\0';
	if (!(m->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(m->nlmsg_flags & NLM_F_CAPPED))
		skip += mnl_nlmsg_get_payload_len(&e->msg);
	if (skip > mnl_nlmsg_get_payload_len(m))
		return;
	nl_attr_for_each (a, m, (unsigned)skip)
		if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG &&
		    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			str_escape(dst, size, mnl_attr_get_str(a));
}

static int say(struct err *err, int code, const char *what, const char *text)
{
	return *text ? err_set_errno(err, code, "cannot %s: %s", what, text)
		     : err_set_errno(err, code, "cannot %s", what);
}

/* A message of at least the size that its type needs. */
static bool is_answer(const struct nlmsghdr *m)
{
	return m->nlmsg_type == NLMSG_ERROR &&
	       mnl_nlmsg_get_payload_len(m) >= sizeof(struct nlmsgerr);
}

static bool is_tolerated(const struct nl_request *q, int code)
{
	bool is = false;

	for (size_t i = 0; i < TOLERATED_MAX; i++)
		is |= q->tolerated[i] == code;
	return is;
}

/* Takes note of one answer; the first failure stays. */
static int take_answer(struct nl_batch *b, const struct nlmsghdr *m, size_t *left, struct err *err)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(m);
	uint32_t k = m->nlmsg_seq - (b->n > 0 ? b->requests[0].seq : 0);
	char text[200];
	int code;

	if (!is_answer(m) || k >= b->n || b->requests[k].is_answered)
		return 0;
	b->requests[k].is_answered = true;
	*left -= !b->requests[k].is_silent;
	code = -e->error;
	if (code == 0 || is_tolerated(&b->requests[k], code))
		return 0;
	kernel_text(m, text, sizeof(text));
	return say(err, code, b->requests[k].what, text);
}

/* Reads one datagram: its length, 0 when it is not the kernel's, -EAGAIN when there is none. */
static ssize_t receive(const struct nl_sock *s, char *room, const char *what, struct err *err)
{
	struct sockaddr_nl from = {.nl_family = AF_NETLINK};
	struct iovec iov = {.iov_base = room, .iov_len = REPLY_ROOM};
	struct msghdr h = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	do {
		n = recvmsg(s->fd, &h, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "cannot %s: no answer", what);
	if (h.msg_flags & MSG_TRUNC)
		return err_set(err, EMSGSIZE, "cannot %s: the answer is too long", what);
	/* Anybody may send to a netlink socket that has a name. */
	return from.nl_pid == 0 ? n : 0;
}

/* Who gets what is no acknowledgement. */
struct taker {
	nl_visit *visit;
	void *arg;
};

static int take_message(struct nl_batch *b, const struct nlmsghdr *m, const struct taker *t,
			size_t *left, struct err *err)
{
	if (m->nlmsg_type == NLMSG_ERROR || !t->visit || b->n == 0 ||
	    m->nlmsg_seq - b->requests[0].seq >= b->n)
		return take_answer(b, m, left, err);
	return t->visit(t->arg, m, err);
}

static int read_answers(struct nl_sock *s, struct nl_batch *b, const struct taker *t,
			struct err *err)
{
	_cleanup_free_ char *room = malloc(REPLY_ROOM);
	struct err first = ERR_INIT;
	size_t left = 0;

	if (!room)
		return err_set(err, ENOMEM, "cannot read netlink: out of memory");
	for (size_t i = 0; i < b->n; i++)
		left += !b->requests[i].is_silent;
	while (left > 0) {
		ssize_t n = receive(s, room, b->requests[0].what, first.code ? NULL : &first);
		int len = (int)n;

		if (n < 0)
			break;
		for (const struct nlmsghdr *m = (const void *)room; mnl_nlmsg_ok(m, len);
		     m = mnl_nlmsg_next(m, &len))
			(void)take_message(b, m, t, &left, first.code ? NULL : &first);
	}
	if (first.code && err)
		*err = first;
	return -first.code;
}

static int send_all(const struct nl_sock *s, const void *data, size_t len, struct err *err)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	ssize_t n;

	do {
		n = sendto(s->fd, data, len, 0, (const struct sockaddr *)&kernel, sizeof(kernel));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "cannot send to the kernel");
	return (size_t)n == len ? 0 : err_set(err, EIO, "cannot send all of it to the kernel");
}

int nl_batch_ask(struct nl_sock *s, struct nl_batch *b, nl_visit *visit, void *arg, struct err *err)
{
	const struct taker taker = {.visit = visit, .arg = arg};
	int r;

	if (!b || b->fault == ENOMEM)
		return err_set(err, ENOMEM, "cannot ask the kernel: out of memory");
	if (b->fault)
		return err_set_errno(err, b->fault, "cannot ask the kernel");
	if (b->n == 0)
		return 0;
	close_request(b);
	for (size_t i = 0; i < b->n; i++) {
		struct nlmsghdr *m = (struct nlmsghdr *)(void *)(b->data + b->requests[i].at);

		m->nlmsg_seq = ++s->seq;
		b->requests[i].seq = s->seq;
		b->requests[i].is_answered = false;
	}
	r = send_all(s, b->data, b->len, err);
	if (r >= 0)
		return read_answers(s, b, &taker, err);
	(void)err_ctx(err, "cannot %s", b->requests[0].what);
	return r;
}

int nl_batch_run(struct nl_sock *s, struct nl_batch *b, struct err *err)
{
	return nl_batch_ask(s, b, NULL, NULL, err);
}

/* --- dumps ----------------------------------------------------------------------------------- */

struct dump {
	struct nl_sock *s;
	nl_visit *visit;
	void *arg;
	const char *what;
	bool is_interrupted;
};

/* 1 = it was the last one. */
static int take_part(struct dump *d, const struct nlmsghdr *m, struct err *err)
{
	char text[200];

	if (m->nlmsg_seq != d->s->seq)
		return 0; /* the rest of a dump that was given up */
	if (m->nlmsg_flags & NLM_F_DUMP_INTR)
		d->is_interrupted = true;
	if (m->nlmsg_type == NLMSG_DONE)
		return 1;
	if (is_answer(m)) {
		const struct nlmsgerr *e = mnl_nlmsg_get_payload(m);

		kernel_text(m, text, sizeof(text));
		return e->error == 0 ? 1 : say(err, -e->error, d->what, text);
	}
	return d->is_interrupted ? 0 : d->visit(d->arg, m, err);
}

static int read_dump(struct dump *d, struct err *err)
{
	_cleanup_free_ char *room = malloc(REPLY_ROOM);
	int r = 0;

	if (!room)
		return err_set(err, ENOMEM, "cannot %s: out of memory", d->what);
	while (r == 0) {
		ssize_t n = receive(d->s, room, d->what, err);
		int len = (int)n;

		if (n < 0)
			return (int)n;
		for (const struct nlmsghdr *m = (const void *)room; r == 0 && mnl_nlmsg_ok(m, len);
		     m = mnl_nlmsg_next(m, &len))
			r = take_part(d, m, err);
	}
	return r;
}

/* Asks and reads to the end of the answer: 1 = it was interrupted by a change. */
static int ask(struct dump *d, uint16_t type, uint16_t flags, const void *header, size_t len,
	       struct err *err)
{
	_cleanup_free_ struct nlmsghdr *m = calloc(1, NLMSG_SPACE(len));
	int r;

	if (!m)
		return err_set(err, ENOMEM, "cannot %s: out of memory", d->what);
	m->nlmsg_len = (uint32_t)NLMSG_LENGTH(len);
	m->nlmsg_type = type;
	m->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	m->nlmsg_seq = ++d->s->seq;
	memcpy(mnl_nlmsg_get_payload(m), header, len);
	r = send_all(d->s, m, m->nlmsg_len, err);
	if (r >= 0)
		r = read_dump(d, err);
	return r < 0 ? r : d->is_interrupted;
}

int nl_dump(struct nl_sock *s, uint16_t type, const void *header, size_t len, nl_visit *visit,
	    void (*restart)(void *arg), void *arg, const char *what, struct err *err)
{
	for (int try = 0; try < DUMP_TRIES; try++) {
		struct dump d = {.s = s, .visit = visit, .arg = arg, .what = what};
		int r;

		if (try > 0 && restart)
			restart(arg);
		r = ask(&d, type, NLM_F_DUMP, header, len, err);
		if (r <= 0)
			return r;
	}
	return err_set(err, EAGAIN, "cannot %s: it changes all the time", what);
}

int nl_get(struct nl_sock *s, uint16_t type, const void *header, size_t len, nl_visit *visit,
	   void *arg, const char *what, struct err *err)
{
	struct dump d = {.s = s, .visit = visit, .arg = arg, .what = what};

	/* Traffic control answers to an echo only. */
	return ask(&d, type, NLM_F_ACK | NLM_F_ECHO, header, len, err);
}
