/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client against servers that answer whatever they like, in whatever pieces. */
#include "cli/client.h"
#include "tests/unit/cli/util.h"

/* What a server sends: so many bytes a message, 0 = all in one. */
struct script {
	const char *text;
	size_t len, piece;
	const char *wants; /* what the request must hold, or NULL */
};

static void play(int fd, const char *request, void *arg)
{
	const struct script *s = arg;
	size_t len = s->len ? s->len : strlen(s->text);
	if (s->wants && !strstr(request, s->wants)) {
		fprintf(stderr, "the request has no '%s': %s\n", s->wants, request);
		_exit(9);
	}
	for (size_t at = 0; at < len;) {
		size_t n = s->piece && s->piece < len - at ? s->piece : len - at;
		if (send(fd, s->text + at, n, MSG_NOSIGNAL) != (ssize_t)n)
			_exit(0); /* the client has had enough */
		at += n;
	}
}

static json_t *call_with(struct script s, int *ret, struct err *err)
{
	struct fake f;
	json_t *answer = NULL;
	int fds = count_fds();
	fake_start(&f, play, &s);
	*err = ERR_INIT;
	*ret = client_call(f.path, "GET", "/v1/host", NULL, &answer, err);
	assert_int_equal(*ret, *ret < 0 ? -err->code : 0);
	assert_int_equal(fake_stop(&f), 0);
	assert_int_equal(count_fds(), fds);
	return answer;
}

static void assert_json(struct script s, const char *want)
{
	struct err err;
	int r;
	json_t *answer = call_with(s, &r, &err);
	if (r < 0)
		fail_msg("%s\n%s", err_text(&err), s.text);
	char *text = json_dumps(answer, JSON_COMPACT | JSON_ENCODE_ANY);
	assert_string_equal(text, want);
	free(text);
	json_decref(answer);
}

static void assert_fails(const char *text, int code)
{
	for (size_t piece = 0; piece < 2; piece++) {
		struct err err;
		int r;
		json_t *answer = call_with((struct script){.text = text, .piece = piece}, &r, &err);
		if (r != -code)
			fail_msg("%d '%s', not %d: %.200s", r, err_text(&err), -code, text);
		json_decref(answer);
	}
}

#define OK "HTTP/1.1 200 OK\r\n"
#define LENGTH(n) "Content-Length: " #n "\r\n"
#define CHUNKED "transfer-encoding: Chunked\r\n"

static void test_answers(void **state)
{
	static const char *const texts[] = {
		OK LENGTH(7) "\r\n{\"a\":1}",
		OK "content-length:7\r\nX: y\r\n\r\n{\"a\":1}and more",
		OK "X: y\r\n\r\n{\"a\":1}",
		OK CHUNKED "\r\n7\r\n{\"a\":1}\r\n0\r\n\r\n",
		OK CHUNKED "\r\n1\r\n{\r\n1;x=y\r\n\"\r\n0005\r\na\":1}\r\n0\r\n",
		OK CHUNKED LENGTH(3) "\r\n7\r\n{\"a\":1}\r\n0\r\n\r\n",
		OK LENGTH(3) CHUNKED "\r\n7\r\n{\"a\":1}\r\n0\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n" OK LENGTH(7) "\r\n{\"a\":1}",
		"HTTP/1.1 100 Continue\r\nContent-Length: 9\r\n\r\nHTTP/1.1 103 Early\r\n\r\n" OK
		"\r\n{\"a\":1}",
		"HTTP/1.1 202 Accepted\nContent-Length: 7\n\n{\"a\":1}",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		for (size_t piece = 0; piece < 9; piece++)
			assert_json((struct script){.text = texts[i],
						    .piece = piece,
						    .wants = "GET /v1/host HTTP/1.1\r\nHost: "},
				    "{\"a\":1}");
}

static void test_large(void **state)
{
	struct sbuf b = SBUF_INIT, want = SBUF_INIT;
	(void)state;
	sbuf_adds(&b, OK CHUNKED "\r\n");
	sbuf_addc(&want, '"');
	for (int i = 0; i < 3000; i++) {
		char block[600];
		int n = 1 + i % 599;
		memset(block, 'a' + i % 26, sizeof(block));
		sbuf_addf(&b, "%x\r\n%s%.*s%s\r\n", n + (i == 0) + (i == 2999), i ? "" : "\"", n,
			  block, i == 2999 ? "\"" : "");
		sbuf_add(&want, block, (size_t)n);
	}
	sbuf_adds(&b, "0\r\n\r\n");
	sbuf_addc(&want, '"');
	for (size_t piece = 0; piece < 70001; piece += 35000)
		assert_json((struct script){.text = b.data, .len = b.len, .piece = piece},
			    sbuf_str(&want));
	sbuf_done(&b);
	sbuf_done(&want);
}

static void test_broken(void **state)
{
	(void)state;
	/* Cut off. */
	assert_fails("", EPIPE);
	assert_fails("HTTP/1.1 20", EPIPE);
	assert_fails(OK, EPIPE);
	assert_fails(OK "Content-Len", EPIPE);
	assert_fails(OK LENGTH(8) "\r\n{\"a\":1}", EPIPE);
	assert_fails(OK CHUNKED "\r\n", EPIPE);
	assert_fails(OK CHUNKED "\r\n7\r\n{\"a\"", EPIPE);
	assert_fails(OK CHUNKED "\r\n7\r\n{\"a\":1}", EPIPE);
	assert_fails(OK CHUNKED "\r\n7\r\n{\"a\":1}\r\n", EPIPE);
	assert_fails("HTTP/1.1 100 Continue\r\n\r\n", EPIPE);
	/* Not what it should be. */
	assert_fails("SSH-2.0-OpenSSH\r\n", EPROTO);
	assert_fails("HTTP/1.0 200 OK\r\n\r\n{}", EPROTO);
	assert_fails("HTTP/1.1 2000 OK\r\n\r\n{}", EPROTO);
	assert_fails("HTTP/1.1 99 OK\r\n\r\n{}", EPROTO);
	assert_fails("HTTP/1.1 -200 OK\r\n\r\n{}", EPROTO);
	assert_fails("HTTP/1.1 OK\r\n\r\n{}", EPROTO);
	assert_fails(OK "no colon\r\n\r\n{}", EPROTO);
	assert_fails(OK "Content-Length: -1\r\n\r\n{}", EPROTO);
	assert_fails(OK "Content-Length: 99999999999\r\n\r\n{}", EPROTO);
	assert_fails(OK "Content-Length: 2x\r\n\r\n{}", EPROTO);
	assert_fails(OK "Transfer-Encoding: gzip\r\n\r\n{}", EPROTO);
	assert_fails(OK CHUNKED "\r\nz\r\n{}\r\n", EPROTO);
	assert_fails(OK CHUNKED "\r\n\r\n{}\r\n", EPROTO);
	assert_fails(OK CHUNKED "\r\n;x\r\n", EPROTO);
	assert_fails(OK CHUNKED "\r\n-2\r\n{}\r\n0\r\n", EPROTO);
	assert_fails(OK CHUNKED "\r\n\x12\r\n{}\r\n0\r\n", EPROTO);
	assert_fails(OK CHUNKED "\r\n2x\r\n{}\r\n0\r\n", EPROTO);
	assert_fails(OK CHUNKED "\r\nffffffffffffffff1\r\n{}", EPROTO);
	assert_fails(OK CHUNKED "\r\n2\r\n{}x\r\n0\r\n", EPROTO);
	assert_fails(OK LENGTH(1) "\r\n{", EPROTO);
	assert_fails(OK LENGTH(0) "\r\n", EPROTO);
	assert_fails(OK LENGTH(3) "\r\n\"\xff\"", EPROTO);
}

static void test_without_end(void **state)
{
	struct sbuf b = SBUF_INIT;
	struct err err;
	int r;
	(void)state;
	/* One header that is too long, too many headers, too many interim answers. */
	for (int kind = 0; kind < 3; kind++) {
		static const char *const repeat[] = {"aaaaaaaaaa", "A: b\r\n",
						     "HTTP/1.1 100 Go\r\n\r\n"};
		sbuf_clear(&b);
		sbuf_adds(&b, kind == 2 ? "" : OK "X: ");
		for (int i = 0; i < 100000; i++)
			sbuf_adds(&b, repeat[kind]);
		assert_null(call_with((struct script){.text = b.data, .len = b.len}, &r, &err));
		assert_int_equal(r, -EPROTO);
	}
	sbuf_done(&b);
}

static void test_errors(void **state)
{
	struct err err;
	int r;
	(void)state;
	static const char answer_text[] =
		"HTTP/1.1 404 Not Found\r\n\r\n{\"error\":{\"code\":\"not-found\","
		"\"message\":\"no such \\u001b[2Jthing\",\"hint\":\"look\"}}";
	json_t *answer = call_with((struct script){.text = answer_text}, &r, &err);
	assert_int_equal(r, -EREMOTEIO);
	assert_string_equal(err_text(&err), "no such ?[2Jthing");
	assert_string_equal(err.hint, "look");
	assert_non_null(json_object_get(answer, "error"));
	json_decref(answer);
	static const char *const odd[] = {
		"HTTP/1.1 500 Oops\r\n\r\n<html>",
		"HTTP/1.1 500 Oops\r\n\r\n",
		"HTTP/1.1 500 Oops\r\n\r\n[]",
		"HTTP/1.1 500 Oops\r\n\r\n{\"error\":5}",
		"HTTP/1.1 500 Oops\r\n\r\n{\"error\":{\"message\":7}}",
	};
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		answer = call_with((struct script){.text = odd[i]}, &r, &err);
		assert_int_equal(r, -EREMOTEIO);
		assert_string_equal(err_text(&err), "vpsd answered with status 500");
		json_decref(answer);
	}
}

static void test_nobody(void **state)
{
	struct err err = ERR_INIT;
	char dir[256], path[300], longer[200];
	(void)state;
	close(scratch_dir(dir));
	assert_int_equal(str_fmt(path, sizeof(path), "%s/sock", dir), 0);
	assert_int_equal(client_call(path, "GET", "/", NULL, NULL, &err), -ENOENT);
	assert_non_null(strstr(err.hint, "vpsd does not run"));
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	assert_int_equal(str_copy(a.sun_path, sizeof(a.sun_path), path), 0);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(client_call(path, "GET", "/", NULL, NULL, &err), -ECONNREFUSED);
	assert_non_null(strstr(err.hint, "vpsd does not run"));
	close(fd);
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(client_call(longer, "GET", "/", NULL, NULL, &err), -ENAMETOOLONG);
	remove_scratch(dir);
}

/* --- bodies of requests -------------------------------------------------------------------- */

static void test_json_body(void **state)
{
	struct fake f;
	struct err err = ERR_INIT;
	struct script s = {
		.text = OK LENGTH(2) "\r\n{}",
		.wants = "Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}"};
	(void)state;
	fake_start(&f, play, &s);
	json_t *body = json_pack("{s:i}", "a", 1);
	assert_int_equal(client_call(f.path, "POST", "/x", body, NULL, &err), 0);
	json_decref(body);
	assert_int_equal(fake_stop(&f), 0);
	s.wants = "Content-Length: 0\r\n";
	fake_start(&f, play, &s);
	assert_int_equal(client_call(f.path, "DELETE", "/x", NULL, NULL, &err), 0);
	assert_int_equal(fake_stop(&f), 0);
}

struct upload {
	size_t expect; /* bytes of body */
	bool chunked;
	bool refuse;  /* answer before the body, and close */
	bool is_late; /* when the client has sent it all */
};

static void take_upload(int fd, const char *request, void *arg)
{
	const struct upload *u = arg;
	static char buf[1 << 20];
	const char *body = strstr(request, "\r\n\r\n") + 4;
	size_t have = strlen(body), want = u->expect;
	char head[60];
	(void)str_fmt(head, sizeof(head), "Content-Length: %zu\r\n", u->expect);
	if (!strstr(request, u->chunked ? "Transfer-Encoding: chunked\r\n" : head))
		_exit(8);
	if (u->refuse) {
		static const char no[] =
			"HTTP/1.1 413 Too Large\r\n\r\n{\"error\":{\"message\":\"it is too "
			"large\"}}";
		if (u->is_late)
			(void)usleep(100000);
		put(fd, no, sizeof(no) - 1);
		return; /* with bytes unread: the client meets ECONNRESET or EPIPE */
	}
	memcpy(buf, body, have);
	while (u->chunked ? have < 5 || memcmp(buf + have - 5, "0\r\n\r\n", 5) != 0 : have < want) {
		ssize_t n = recv(fd, buf + have, sizeof(buf) - have, 0);
		if (n <= 0)
			_exit(7);
		have += (size_t)n;
	}
	if (!u->chunked && have != want)
		_exit(6);
	put(fd, OK "\r\n{}", strlen(OK "\r\n{}"));
}

static size_t progressed;

static void on_progress(void *arg, size_t sent, size_t total)
{
	(void)arg;
	(void)total;
	assert_true(sent > progressed);
	progressed = sent;
}

static int send_fd(struct upload u, int fd, int want_server, struct err *err)
{
	struct fake f;
	struct client c = CLIENT_INIT;
	const struct client_request rq = {.method = "POST",
					  .path = "/v1/images",
					  .body_fd = fd,
					  .has_fd = true,
					  .progress = on_progress};
	*err = ERR_INIT;
	progressed = 0;
	fake_start(&f, take_upload, &u);
	int r = client_send(f.path, &rq, &c, err);
	if (r == 0)
		r = client_json(&c, NULL, err);
	client_done(&c);
	assert_int_equal(fake_stop(&f), want_server);
	return r;
}

static void test_file_body(void **state)
{
	struct err err;
	char block[1000];
	int fd = memfd_create("body", MFD_CLOEXEC);
	(void)state;
	memset(block, 'x', sizeof(block));
	assert_int_equal(send_fd((struct upload){.expect = 0}, fd, 0, &err), 0);
	for (int i = 0; i < 200; i++)
		assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(send_fd((struct upload){.expect = 200000}, fd, 0, &err), 0);
	assert_int_equal(progressed, 200000);
	/* From where it stands, as "vps image import x - < file" behind another reader. */
	assert_int_equal(lseek(fd, 150000, SEEK_SET), 150000);
	assert_int_equal(send_fd((struct upload){.expect = 50000}, fd, 0, &err), 0);
	close(fd);
	/* What has no length. */
	int p[2];
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(write(p[1], block, sizeof(block)), sizeof(block));
	close(p[1]);
	assert_int_equal(send_fd((struct upload){.chunked = true}, p[0], 0, &err), 0);
	close(p[0]);
}

/* The error that counts is what the server said, not that it did not read on. */
static void test_refused_body(void **state)
{
	struct err err;
	int fd = memfd_create("body", MFD_CLOEXEC);
	(void)state;
	assert_int_equal(ftruncate(fd, 50 << 20), 0);
	assert_int_equal(send_fd((struct upload){.expect = 50 << 20, .refuse = true}, fd, 0, &err),
			 -EREMOTEIO);
	assert_string_equal(err_text(&err), "it is too large");
	/* One that fits in the socket is sent whole, and refused all the same. */
	assert_int_equal(ftruncate(fd, 150000), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(send_fd((struct upload){.expect = 150000, .refuse = true, .is_late = true},
				 fd, 0, &err),
			 -EREMOTEIO);
	assert_string_equal(err_text(&err), "it is too large");
	close(fd);
	/* The same for a JSON body that fills the socket. */
	struct fake f;
	struct upload u = {.refuse = true};
	char *text = malloc(8 << 20);
	memset(text, 'x', 8 << 20);
	json_t *body = json_pack("{s:s%}", "text", text, (size_t)(8 << 20));
	free(text);
	u.expect = (8 << 20) + 11;
	fake_start(&f, take_upload, &u);
	assert_int_equal(client_call(f.path, "POST", "/x", body, NULL, &err), -EREMOTEIO);
	assert_string_equal(err_text(&err), "it is too large");
	assert_int_equal(fake_stop(&f), 0);
	json_decref(body);
}

static void cut_file(void *arg, size_t sent, size_t total)
{
	(void)total;
	if (sent < 100000)
		assert_int_equal(ftruncate(*(int *)arg, 70000), 0);
}

/* A file that changes while it is sent: never less than was said without an end, never more. */
static void test_changing_file(void **state)
{
	struct fake f;
	struct err err = ERR_INIT;
	struct client c = CLIENT_INIT;
	struct upload u = {.expect = 1000000};
	int fd = memfd_create("body", MFD_CLOEXEC);
	(void)state;
	assert_int_equal(ftruncate(fd, 1000000), 0);
	const struct client_request rq = {.method = "POST",
					  .path = "/x",
					  .body_fd = fd,
					  .has_fd = true,
					  .progress = cut_file,
					  .arg = &fd};
	fake_start(&f, take_upload, &u);
	assert_int_equal(client_send(f.path, &rq, &c, &err), -EIO);
	assert_non_null(strstr(err_text(&err), "became shorter"));
	assert_int_equal(c.fd, -1);
	assert_int_equal(fake_stop(&f), 7);
	close(fd);
}

/* --- sessions ------------------------------------------------------------------------------ */

#define SWITCH "HTTP/1.1 101 Switching Protocols\r\nUpgrade: vps-session\r\n\r\n"

static void send_session(int fd, const char *request, void *arg)
{
	static const char text[] = SWITCH "early";
	const size_t n = *(const size_t *)arg;
	int fds[8];
	if (!strstr(request, "Upgrade: vps-session\r\n") || !strstr(request, "X-Test: yes\r\n"))
		_exit(8);
	for (size_t i = 0; i < n; i++)
		if ((fds[i] = memfd_create("passed", 0)) < 0 ||
		    write(fds[i], &"abcdefgh"[i], 1) != 1)
			_exit(5);
	put_fds(fd, text, sizeof(text) - 1, fds, n);
	put(fd, " later", 6);
}

/* Descriptors that come beside the header's bytes are the session's; surplus ones are closed. */
static void test_session(void **state)
{
	(void)state;
	for (size_t n = 1; n <= 8; n++) {
		struct fake f;
		struct err err = ERR_INIT;
		struct client c = CLIENT_INIT;
		char buf[64] = "", one = 0;
		size_t have = 0;
		int fds = count_fds();
		const struct client_request rq = {.method = "POST",
						  .path = "/x",
						  .upgrade = "vps-session",
						  .header = "X-Test: yes"};
		fake_start(&f, send_session, &n);
		assert_int_equal(client_send(f.path, &rq, &c, &err), 0);
		assert_int_equal(c.status, 101);
		assert_true(client_raw_pending(&c));
		while (have < 11) {
			ssize_t r = client_raw_read(&c, buf + have, have < 5 ? 2 : 20, &err);
			assert_true(r > 0);
			have += (size_t)r;
		}
		assert_string_equal(buf, "early later");
		assert_false(client_raw_pending(&c));
		assert_int_equal(c.n_fds, n < 3 ? n : 3);
		for (unsigned i = 0; i < c.n_fds; i++) {
			assert_int_equal(pread(c.fds[i], &one, 1, 0), 1);
			assert_int_equal(one, 'a' + (int)i);
			assert_true(fcntl(c.fds[i], F_GETFD) & FD_CLOEXEC);
		}
		/* the listener, the connection, and those */
		assert_int_equal(count_fds(), fds + 2 + (int)c.n_fds);
		assert_int_equal(client_raw_read(&c, buf, sizeof(buf), &err), 0);
		client_done(&c);
		assert_int_equal(fake_stop(&f), 0);
		assert_int_equal(count_fds(), fds);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),	     cmocka_unit_test(test_large),
		cmocka_unit_test(test_broken),	     cmocka_unit_test(test_without_end),
		cmocka_unit_test(test_errors),	     cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_json_body),    cmocka_unit_test(test_file_body),
		cmocka_unit_test(test_refused_body), cmocka_unit_test(test_changing_file),
		cmocka_unit_test(test_session),
	};
	(void)alarm(120); /* a client that waits for ever is a failure, too */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
