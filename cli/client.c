/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client: requests, header and body parsing, errors as the API words them. */
#include "cli/client.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/num.h"
#include "base/str.h"

#define ANSWER_MAX (256u << 20)
#define HEADERS_MAX 200u

void client_done(struct client *c)
{
	cleanup_close(&c->fd);
	for (unsigned i = 0; i < CLIENT_FDS_MAX; i++)
		cleanup_close(&c->fds[i]);
	free(c->buf);
	c->buf = NULL;
}

char *url_escape(const char *s)
{
	struct sbuf b = SBUF_INIT;
	for (; *s; s++) {
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~",
			   *s))
			sbuf_addc(&b, *s);
		else
			sbuf_addf(&b, "%%%02X", (unsigned char)*s);
	}
	return sbuf_take(&b);
}

static int connect_to(const char *path, struct err *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (str_copy(a.sun_path, sizeof(a.sun_path), path) < 0)
		return err_set(err, ENAMETOOLONG, "the socket's path '%s' is too long", path);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, "cannot make a socket");
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		int r = err_sys(err, "cannot reach vpsd at '%s'", path);
		if (r == -ENOENT || r == -ECONNREFUSED)
			err_hint(err, "vpsd does not run: start it with 'systemctl start vpsd', or "
				      "'vpsd &'");
		else if (r == -EACCES)
			err_hint(err, "only root and the members of the group 'vps' may use it");
		return r;
	}
	return take_fd(&fd);
}

/* --- receiving ----------------------------------------------------------------------------- */

/* One recvmsg(2); descriptors that come along are kept, those beyond the third are closed. */
static ssize_t receive(struct client *c, void *buf, size_t size, struct err *err)
{
	union {
		char space[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = buf, .iov_len = size};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;
	do
		n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "the connection to vpsd broke");
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
			if (c->n_fds < CLIENT_FDS_MAX)
				c->fds[c->n_fds++] = fd;
			else
				(void)close(fd);
		}
	}
	return n;
}

/* Makes the buffer hold more; 0 = end of the stream. */
static ssize_t fill(struct client *c, struct err *err)
{
	if (!c->buf && !(c->buf = malloc(CLIENT_BUFFER)))
		return err_set(err, ENOMEM, "no memory");
	if (c->at) {
		memmove(c->buf, c->buf + c->at, c->len - c->at);
		c->len -= c->at;
		c->at = 0;
	}
	if (c->len == CLIENT_BUFFER)
		return err_set(err, EPROTO, "vpsd's answer has a line that is too long");
	ssize_t n = receive(c, c->buf + c->len, CLIENT_BUFFER - c->len, err);
	if (n > 0)
		c->len += (size_t)n;
	return n;
}

/* One line without CRLF, valid until the next read. */
static int read_line(struct client *c, char **ret, struct err *err)
{
	for (;;) {
		char *start = c->buf ? c->buf + c->at : NULL;
		char *end = start ? memchr(start, '\n', c->len - c->at) : NULL;
		if (end) {
			c->at = (size_t)(end + 1 - c->buf);
			*end = '\0';
			if (end > start && end[-1] == '\r')
				end[-1] = '\0';
			*ret = start;
			return 0;
		}
		ssize_t n = fill(c, err);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return err_set(err, EPIPE, "vpsd closed the connection without an answer");
	}
}

static int read_status(struct client *c, struct err *err)
{
	char *line = NULL;
	const char *end = NULL;
	uint64_t number = 0;
	int r = read_line(c, &line, err);
	if (r < 0)
		return r;
	if (!str_has_prefix(line, "HTTP/1.1 ") || num_scan_u64(line + 9, &end, &number) < 0 ||
	    number < 100 || number > 599)
		return err_set(err, EPROTO, "what answers is not vpsd");
	c->status = (unsigned)number;
	return 0;
}

static int take_header(struct client *c, char *line, struct err *err)
{
	char *value = strchr(line, ':');
	uint64_t number = 0;
	if (!value)
		return err_set(err, EPROTO, "vpsd's answer has a malformed header");
	*value++ = '\0';
	value += strspn(value, " \t");
	if (strcasecmp(line, "Content-Length") == 0) {
		if (num_parse_u64(value, 0, ANSWER_MAX, &number) < 0)
			return err_set(err, EPROTO,
				       "vpsd's answer is too long, or says nonsense of its length");
		c->has_length = true;
		c->length = (size_t)number;
	} else if (strcasecmp(line, "Transfer-Encoding") == 0) {
		c->chunked = strcasecmp(value, "chunked") == 0;
		if (!c->chunked)
			return err_set(err, EPROTO, "vpsd's answer is encoded as '%s'", value);
	}
	return 0;
}

/* Interim answers (100) are skipped; all together may have so many lines. */
static int read_headers(struct client *c, struct err *err)
{
	unsigned lines = 0;
	do {
		char *line = NULL;
		int r = read_status(c, err);
		c->has_length = c->chunked = false;
		c->length = 0;
		while (r == 0 && (r = read_line(c, &line, err)) == 0 && *line) {
			if (++lines > HEADERS_MAX)
				return err_set(err, EPROTO, "vpsd's answer has too many headers");
			r = take_header(c, line, err);
		}
		if (r < 0)
			return r;
	} while (c->status < 200 && c->status != 101 && ++lines <= HEADERS_MAX);
	if (c->chunked) { /* whatever length was said besides */
		c->has_length = false;
		c->length = 0;
	}
	return 0;
}

/* --- sending ------------------------------------------------------------------------------- */

static int send_all(int fd, const void *data, size_t len, struct err *err)
{
	const char *p = data;
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot send to vpsd");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static bool is_hangup(int r)
{
	return r == -EPIPE || r == -ECONNRESET;
}

/* How many bytes of the file are to come from where it stands; -1 = until its end. */
static int file_rest(int fd, int64_t *ret, struct err *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "cannot look at the file");
	off_t at = S_ISREG(st.st_mode) ? lseek(fd, 0, SEEK_CUR) : -1;
	*ret = at < 0 || at > st.st_size ? -1 : st.st_size - at;
	return 0;
}

static int send_piece(struct client *c, const char *buf, size_t n, bool chunked, struct err *err)
{
	char head[32];
	int r = 0;
	(void)str_fmt(head, sizeof(head), "%zx\r\n", n);
	if (chunked)
		r = send_all(c->fd, head, strlen(head), err);
	if (r == 0 && n > 0)
		r = send_all(c->fd, buf, n, err);
	if (r == 0 && chunked)
		r = send_all(c->fd, "\r\n", 2, err);
	return r;
}

/* 'total' bytes of the file and no more, also when it grows meanwhile; or, total -1, all there is,
 * in chunks. */
static int send_file(struct client *c, const struct client_request *rq, int64_t total,
		     struct err *err)
{
	const bool chunked = total < 0;
	const size_t length = chunked ? 0 : (size_t)total;
	_cleanup_free_ char *buf = malloc(CLIENT_BUFFER);
	size_t done = 0;
	int r = buf ? 0 : err_set(err, ENOMEM, "no memory");
	while (r == 0 && (chunked || done < length)) {
		size_t want = CLIENT_BUFFER;
		if (!chunked && length - done < want)
			want = length - done;
		ssize_t n = read(rq->body_fd, buf, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot read the file");
		if (n == 0 && !chunked)
			return err_set(err, EIO, "the file became shorter while it was sent");
		r = send_piece(c, buf, (size_t)n, chunked, err);
		if (n == 0)
			break;
		done += (size_t)n;
		if (r == 0 && rq->progress)
			rq->progress(rq->arg, done, length);
	}
	return r;
}

int client_send(const char *socket_path, const struct client_request *rq, struct client *ret,
		struct err *err)
{
	_cleanup_sbuf_ struct sbuf head = SBUF_INIT;
	_cleanup_free_ char *text = NULL;
	int64_t total = 0;
	struct client c = CLIENT_INIT;

	sbuf_addf(&head, "%s %s HTTP/1.1\r\nHost: vpsd\r\n", rq->method, rq->path);
	if (rq->upgrade)
		sbuf_addf(&head, "Connection: Upgrade\r\nUpgrade: %s\r\n", rq->upgrade);
	else
		sbuf_adds(&head, "Connection: close\r\n");
	if (rq->header)
		sbuf_addf(&head, "%s\r\n", rq->header);
	if (rq->body) {
		text = json_dumps(rq->body, JSON_COMPACT);
		if (!text)
			return err_set(err, EINVAL, "the request's text is not UTF-8");
		sbuf_addf(&head, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			  strlen(text));
	} else if (rq->has_fd) {
		int r = file_rest(rq->body_fd, &total, err);
		if (r < 0)
			return r;
		if (total < 0)
			sbuf_adds(&head, "Transfer-Encoding: chunked\r\n");
		else
			sbuf_addf(&head, "Content-Length: %lld\r\n", (long long)total);
	} else if (!str_eq(rq->method, "GET")) {
		sbuf_adds(&head, "Content-Length: 0\r\n");
	}
	sbuf_adds(&head, "\r\n");
	if (text)
		sbuf_adds(&head, text);
	if (!sbuf_ok(&head))
		return err_set(err, ENOMEM, "no memory");
	c.fd = connect_to(socket_path, err);
	int r = c.fd < 0 ? c.fd : send_all(c.fd, head.data, head.len, err);
	if (r == 0 && rq->has_fd)
		r = send_file(&c, rq, total, err);
	/* When vpsd has answered already and closed, its answer is what counts. */
	if (r == 0 || (c.fd >= 0 && is_hangup(r)))
		r = read_headers(&c, err);
	if (r == 0)
		*err = ERR_INIT;
	if (r < 0) {
		client_done(&c);
		return r;
	}
	*ret = c;
	return 0;
}

/* --- body ---------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* The size of the next chunk, behind the end of the one before. */
static int next_chunk(struct client *c, struct err *err)
{
	char *line = NULL;
	size_t size = 0;
	int d, r = 0;
	if (c->in_chunks)
		r = read_line(c, &line, err);
	if (r == 0 && line && *line)
		return err_set(err, EPROTO, "vpsd's answer is malformed");
	if (r == 0)
		r = read_line(c, &line, err);
	if (r < 0)
		return r;
	if (hex_digit(*line) < 0)
		return err_set(err, EPROTO, "vpsd's answer is malformed");
	for (; (d = hex_digit(*line)) >= 0; line++) {
		size = size * 16 + (size_t)d;
		if (size > ANSWER_MAX)
			return err_set(err, EPROTO, "vpsd's answer is malformed");
	}
	if (*line && !strchr("; \t", *line))
		return err_set(err, EPROTO, "vpsd's answer is malformed");
	c->in_chunks = true;
	c->length = size;
	c->ended = size == 0;
	return 0;
}

ssize_t client_read(struct client *c, char *buf, size_t size, struct err *err)
{
	if (c->ended || (c->has_length && c->length == 0))
		return 0;
	if (c->chunked && c->length == 0) {
		int r = next_chunk(c, err);
		if (r < 0 || c->ended)
			return r;
	}
	if (c->at == c->len) {
		ssize_t n = fill(c, err);
		/* How one ends that left a part of the request unread. */
		if (n == -ECONNRESET && !c->chunked && !c->has_length) {
			*err = ERR_INIT;
			n = 0;
		}
		if (n < 0)
			return n;
		if (n == 0) {
			c->ended = true;
			return c->chunked || c->has_length
				       ? err_set(err, EPIPE,
						 "vpsd ended in the middle of its answer")
				       : 0;
		}
	}
	size_t n = c->len - c->at;
	if ((c->chunked || c->has_length) && n > c->length)
		n = c->length;
	if (n > size)
		n = size;
	memcpy(buf, c->buf + c->at, n);
	c->at += n;
	if (c->chunked || c->has_length)
		c->length -= n;
	return (ssize_t)n;
}

static int error_of(const json_t *answer, unsigned status, struct err *err)
{
	const json_t *e = json_object_get(answer, "error");
	const char *message = json_string_value(json_object_get(e, "message"));
	const char *hint = json_string_value(json_object_get(e, "hint"));
	if (!message)
		return err_set(err, EREMOTEIO, "vpsd answered with status %u", status);
	int r = err_set(err, EREMOTEIO, "%s", message);
	if (hint)
		err_hint(err, "%s", hint);
	return r;
}

int client_json(struct client *c, json_t **ret, struct err *err)
{
	_cleanup_sbuf_ struct sbuf body = SBUF_INIT;
	_cleanup_free_ char *buf = malloc(CLIENT_BUFFER);
	ssize_t n = 0;
	if (!buf)
		return err_set(err, ENOMEM, "no memory");
	while ((n = client_read(c, buf, CLIENT_BUFFER, err)) > 0) {
		sbuf_add(&body, buf, (size_t)n);
		if (body.len > ANSWER_MAX)
			return err_set(err, EFBIG, "vpsd's answer is too long");
	}
	if (n < 0)
		return (int)n;
	json_error_t e;
	json_t *j = json_loadb(sbuf_str(&body), body.len, JSON_DECODE_ANY, &e);
	int r = 0;
	if (c->status >= 400)
		r = error_of(j, c->status, err);
	else if (!j)
		r = err_set(err, EPROTO, "vpsd's answer is not JSON: %s", e.text);
	if (ret)
		*ret = j;
	else
		json_decref(j);
	return r;
}

int client_call(const char *socket_path, const char *method, const char *path, json_t *body,
		json_t **ret, struct err *err)
{
	_cleanup_client_ struct client c = CLIENT_INIT;
	const struct client_request rq = {.method = method, .path = path, .body = body};
	int r = client_send(socket_path, &rq, &c, err);
	if (ret)
		*ret = NULL;
	return r < 0 ? r : client_json(&c, ret, err);
}

bool client_raw_pending(const struct client *c)
{
	return c->at < c->len;
}

ssize_t client_raw_read(struct client *c, void *buf, size_t size, struct err *err)
{
	if (!client_raw_pending(c))
		return receive(c, buf, size, err);
	size_t n = c->len - c->at;
	if (n > size)
		n = size;
	memcpy(buf, c->buf + c->at, n);
	c->at += n;
	return (ssize_t)n;
}
