/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server: requests, bodies, answers that come later, clients that do not behave. */
#include <poll.h>
#include <sys/resource.h>

#include "base/json.h"
#include "runtime/daemon/wire.h"
#include "tests/unit/daemon/rig.h"

#define MIB (1u << 20)

/* --- handlers ------------------------------------------------------------------------------ */

static int on_hello(struct request *rq, struct err *err)
{
	(void)err;
	own(rq);
	request_json(rq, 200, json_pack("{s:s}", "hello", request_param(rq, 0)));
	return 0;
}

static int on_query(struct request *rq, struct err *err)
{
	const char *q = request_query(rq, "q");
	(void)err;
	request_json(rq, 200,
		     json_pack("{s:s?, s:b}", "q", q, "yes", request_query_bool(rq, "yes")));
	return 0;
}

static int on_body(struct request *rq, struct err *err)
{
	size_t len = 0;
	(void)err;
	(void)request_body(rq, &len);
	request_json(rq, 200, json_pack("{s:i}", "length", (int)len));
	return 0;
}

static int on_json(struct request *rq, struct err *err)
{
	json_t *o = NULL;
	int r = request_body_json(rq, &o, err);
	if (r < 0)
		return r;
	assert_int_equal(request_body_json(rq, &o, err), 0);
	request_json(rq, 200, json_incref(o));
	return 0;
}

static int on_fail(struct request *rq, struct err *err)
{
	own(rq);
	return err_set(err, rig_of(rq)->fail_in_handler, "it failed");
}

/* Two answers, and none at all. */
static int on_twice(struct request *rq, struct err *err)
{
	(void)err;
	request_json(rq, 200, json_pack("{s:i}", "first", 1));
	request_json(rq, 500, json_pack("{s:i}", "second", 2));
	return 0;
}

static int on_unprintable(struct request *rq, struct err *err)
{
	(void)err;
	request_json(rq, 200, json_pack("{s:s}", "text", "\xff"));
	return 0;
}

static int on_defer(struct request *rq, struct err *err)
{
	(void)err;
	own(rq);
	rig_of(rq)->waiting = rq;
	request_defer(rq);
	request_wake(rq); /* before it is parked: nothing to do, and nothing lost */
	return 0;
}

/* Answers the one that waits, from within another's handler. */
static int on_answer(struct request *rq, struct err *err)
{
	(void)err;
	assert_non_null(rig_of(rq)->waiting);
	request_json(rig_of(rq)->waiting, 200, json_pack("{s:i}", "other", 1));
	request_json(rq, 200, json_object());
	return 0;
}

/* What is deferred and answered at once. */
static int on_defer_now(struct request *rq, struct err *err)
{
	(void)err;
	request_defer(rq);
	request_json(rq, 200, json_pack("{s:b}", "now", 1));
	return 0;
}

static int on_defer_fail(struct request *rq, struct err *err)
{
	request_defer(rq);
	return err_set(err, EBUSY, "it is busy");
}

static ssize_t feed_read(void *data, char *buf, size_t max)
{
	struct rig *g = data;
	g->reads++;
	if (!g->feed)
		return g->feed_ends ? -1 : 0;
	size_t n = strlen(g->feed);
	assert_true(n <= max);
	memcpy(buf, g->feed, n);
	g->feed = NULL;
	return (ssize_t)n;
}

static int on_stream(struct request *rq, struct err *err)
{
	own(rq);
	rig_of(rq)->stream = rq;
	return request_stream(rq, "text/plain", feed_read, err);
}

static int on_upload_begin(struct request *rq, struct err *err)
{
	own(rq);
	if (request_query_bool(rq, "refuse"))
		return err_set(err, EBUSY, "another upload runs");
	rig_of(rq)->upload = rq;
	return 0;
}

static ssize_t on_upload_body(struct request *rq, const char *data, size_t len, struct err *err)
{
	struct rig *g = rig_of(rq);
	size_t n = g->step && g->step < len ? g->step : len;
	g->calls++;
	if (g->fail_at && g->taken + n >= g->fail_at)
		return err_set(err, ENOSPC, "the pool is full");
	if (n > g->quota)
		n = g->quota;
	for (size_t i = 0; i < n; i++) /* in order, none lost, none twice */
		assert_int_equal((unsigned char)data[i], (unsigned char)((g->taken + i) % 251));
	g->quota -= n;
	g->taken += n;
	return (ssize_t)n;
}

static int on_upload_end(struct request *rq, struct err *err)
{
	(void)err;
	request_json(rq, 201, json_pack("{s:I}", "taken", (json_int_t)rig_of(rq)->taken));
	return 0;
}

static void on_upgraded(void *data, int sock, const void *early, size_t len)
{
	struct rig *g = data;
	assert_true(len < sizeof(g->early));
	memcpy(g->early, early, len);
	g->early_len = len;
	g->upgraded = sock;
}

static int on_session(struct request *rq, struct err *err)
{
	own(rq);
	if (rig_of(rq)->fail_in_handler)
		return err_set(err, rig_of(rq)->fail_in_handler, "no session");
	return request_upgrade(rq, on_upgraded, err);
}

static const struct route routes[] = {
	{.method = "GET", .path = "/hello/{x}", .handle = on_hello},
	{.method = "DELETE", .path = "/hello/{x}", .handle = on_hello},
	{.method = "GET", .path = "/query", .handle = on_query},
	{.method = "POST", .path = "/body", .handle = on_body},
	{.method = "POST", .path = "/json", .handle = on_json},
	{.method = "GET", .path = "/fail", .handle = on_fail},
	{.method = "GET", .path = "/twice", .handle = on_twice},
	{.method = "GET", .path = "/unprintable", .handle = on_unprintable},
	{.method = "GET", .path = "/defer", .handle = on_defer},
	{.method = "GET", .path = "/answer", .handle = on_answer},
	{.method = "GET", .path = "/defer-now", .handle = on_defer_now},
	{.method = "GET", .path = "/defer-fail", .handle = on_defer_fail},
	{.method = "GET", .path = "/stream", .handle = on_stream},
	{.method = "POST",
	 .path = "/upload",
	 .flags = ROUTE_STREAM,
	 .begin = on_upload_begin,
	 .on_body = on_upload_body,
	 .handle = on_upload_end},
	{.method = "POST", .path = "/session", .flags = ROUTE_UPGRADE, .handle = on_session},
	{.method = NULL},
};

static int setup(void **state)
{
	struct rig *g = rig_new();
	g->quota = SIZE_MAX;
	*state = g;
	rig_start(g, routes);
	return 0;
}

/* For tests that choose limits: they start the server themselves. */
static int setup_unstarted(void **state)
{
	struct rig *g = rig_new();
	g->quota = SIZE_MAX;
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	rig_free(*state);
	return 0;
}

#define HELLO "GET /hello/you HTTP/1.1\r\nHost: x\r\n\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define CLOSED(method, path, more)                                                                 \
	method " " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" more "\r\n"

/* --- plain requests ------------------------------------------------------------------------ */

static void test_answers(void **state)
{
	struct rig *g = *state;
	g->fail_in_handler = EEXIST;
	assert_answer(g, CLOSED("GET", "/hello/you", ""), "{\"hello\":\"you\"}");
	assert_answer(g, CLOSED("GET", "/hello/you", ""), "Content-Type: application/json\r\n");
	assert_answer(g, CLOSED("GET", "/hello/a%2fb", ""), "{\"hello\":\"a/b\"}");
	assert_answer(g, CLOSED("GET", "/hello/you/", ""), "HTTP/1.1 404 ");
	assert_answer(g, CLOSED("GET", "/hello/", ""), "HTTP/1.1 404 ");
	assert_answer(g, CLOSED("GET", "/hello//", ""), "HTTP/1.1 404 ");
	assert_answer(g, CLOSED("GET", "/hello/a%00b", ""), "HTTP/1.1 400 ");
	assert_answer(g, CLOSED("GET", "/nothing", ""), "\"code\":\"not-found\"");
	assert_answer(g, CLOSED("PUT", "/hello/you", ""), "HTTP/1.1 405 ");
	assert_answer(g, CLOSED("PUT", "/hello/you", ""), "Allow: GET, DELETE\r\n");
	assert_answer(g, CLOSED("PUT", "/hello/you", ""), "\"code\":\"method-not-allowed\"");
	assert_answer(g, CLOSED("GET", "/fail", ""), "HTTP/1.1 409 Conflict\r\n");
	assert_answer(g, CLOSED("GET", "/fail", ""),
		      "{\"error\":{\"code\":\"conflict\",\"message\":\"it failed\"}}");
	assert_answer(g, CLOSED("GET", "/twice", ""), "{\"first\":1}");
	assert_answer(g, CLOSED("GET", "/unprintable", ""), "HTTP/1.1 500 ");
	assert_answer(g, CLOSED("GET", "/defer-now", ""), "{\"now\":true}");
	assert_answer(g, CLOSED("GET", "/defer-fail", ""), "HTTP/1.1 409 ");
	assert_answer(g, "GET /hello/old HTTP/1.0\r\n\r\n", "{\"hello\":\"old\"}");
}

static void test_query(void **state)
{
	struct rig *g = *state;
	assert_answer(g, CLOSED("GET", "/query?q=a%20b+c&yes=true", ""),
		      "{\"q\":\"a b c\",\"yes\":true}");
	assert_answer(g, CLOSED("GET", "/query?q=&yes", ""), "{\"q\":\"\",\"yes\":false}");
	assert_answer(g, CLOSED("GET", "/query", ""), "{\"q\":null,\"yes\":false}");
	assert_answer(g, CLOSED("GET", "/query?q=w%C3%A9b", ""),
		      "w\xc3\xa9"
		      "b");
	/* What is no text never reaches a handler. */
	assert_answer(g, CLOSED("GET", "/query?q=%ff", ""), "HTTP/1.1 400 ");
	assert_answer(g, CLOSED("GET", "/query?q=a%00b", ""), "HTTP/1.1 400 ");
	assert_answer(g, CLOSED("GET", "/query?q=%1b%5b2J", ""), "HTTP/1.1 400 ");
	assert_answer(g, CLOSED("GET", "/query?%fe=1", ""), "HTTP/1.1 400 ");
}

static void test_keep_alive(void **state)
{
	struct rig *g = *state;
	struct peer p = peer_new(g);
	for (unsigned i = 1; i <= 20; i++) {
		peer_send(g, &p, HELLO);
		expect_times(g, &p, "{\"hello\":\"you\"}", i);
	}
	assert_false(p.eof);
	peer_close(&p);
}

/* 30 requests in one write, and in writes of one byte; one of them deferred in the middle. */
static void test_pipeline(void **state)
{
	struct rig *g = *state;
	struct peer p = peer_new(g);
	struct sbuf b = SBUF_INIT;
	for (int i = 0; i < 15; i++)
		sbuf_adds(&b, HELLO);
	sbuf_adds(&b, GET("/defer"));
	for (int i = 0; i < 15; i++)
		sbuf_adds(&b, HELLO);
	assert_true(peer_send_bytes(g, &p, b.data, b.len));
	until(g, g->waiting);
	expect_times(g, &p, "hello", 15);
	turn_for(g, 30);
	expect_times(g, &p, "hello", 15); /* the order of answers is that of requests */
	request_json(g->waiting, 200, json_pack("{s:b}", "later", 1));
	expect_times(g, &p, "hello", 30);
	assert_true(strstr(sbuf_str(&p.in), "later") < strrchr(sbuf_str(&p.in), 'h'));
	sbuf_clear(&p.in);
	for (size_t i = 0; i < 2 * strlen(HELLO); i++) {
		assert_int_equal(send(p.fd, &(HELLO HELLO)[i], 1, MSG_NOSIGNAL), 1);
		turn(g);
	}
	expect_times(g, &p, "hello", 2);
	sbuf_done(&b);
	peer_close(&p);
}

/* --- bodies -------------------------------------------------------------------------------- */

/* Sends a head and 'len' bytes of body; the server may close before all is sent. */
static struct peer post(struct rig *g, const char *path, const char *more, size_t len, bool chunked)
{
	struct peer p = peer_new(g);
	struct sbuf b = SBUF_INIT;
	unsigned char block[5000];
	size_t done = 0;
	sbuf_addf(&b, "POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s", path, more);
	if (chunked)
		sbuf_adds(&b, "Transfer-Encoding: chunked\r\n\r\n");
	else
		sbuf_addf(&b, "Content-Length: %zu\r\n\r\n", len);
	bool open = peer_send_bytes(g, &p, b.data, b.len);
	while (open && done < len) {
		size_t n = len - done < sizeof(block) ? len - done : sizeof(block);
		for (size_t i = 0; i < n; i++)
			block[i] = (unsigned char)((done + i) % 251);
		sbuf_clear(&b);
		if (chunked)
			sbuf_addf(&b, "%zx;x=y\r\n", n);
		sbuf_add(&b, block, n);
		if (chunked)
			sbuf_adds(&b, "\r\n");
		open = peer_send_bytes(g, &p, b.data, b.len);
		done += n;
	}
	if (open && chunked)
		(void)peer_send_bytes(g, &p, "0\r\n\r\n", 5);
	sbuf_done(&b);
	return p;
}

static void assert_post(struct rig *g, const char *path, size_t len, bool chunked, const char *want)
{
	struct peer p = post(g, path, "", len, chunked);
	expect(g, &p, want);
	peer_close(&p);
}

static void test_body_sizes(void **state)
{
	struct rig *g = *state;
	const size_t sizes[] = {0, 1, 16383, 40000, VPS_BODY_MAX - 1, VPS_BODY_MAX};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		char want[40];
		(void)str_fmt(want, sizeof(want), "{\"length\":%zu}", sizes[i]);
		assert_post(g, "/body", sizes[i], false, want);
		assert_post(g, "/body", sizes[i], true, want);
	}
	assert_post(g, "/body", VPS_BODY_MAX + 1, true, "HTTP/1.1 413 ");
	assert_post(g, "/body", 2 * VPS_BODY_MAX, true, "\"code\":\"too-large\"");
}

/* The refusal comes before the body, and the connection is not used for what follows. */
static void test_length_over_limit(void **state)
{
	static const char *const lengths[] = {"4194305", "99999999999", "18446744073709551615"};
	struct rig *g = *state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		struct peer p = peer_new(g);
		char head[200];
		(void)str_fmt(head, sizeof(head),
			      "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: %s\r\n\r\n" HELLO,
			      lengths[i]);
		peer_send(g, &p, head);
		expect(g, &p, "HTTP/1.1 413 ");
		expect_eof(g, &p);
		assert_null(strstr(sbuf_str(&p.in), "hello"));
		peer_close(&p);
	}
}

static void test_continue(void **state)
{
	struct rig *g = *state;
	struct peer p = peer_new(g);
	peer_send(g, &p,
		  "POST /body HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
		  "Content-Length: 3\r\n\r\n");
	expect(g, &p, "HTTP/1.1 100 ");
	peer_send(g, &p, "abc");
	expect(g, &p, "{\"length\":3}");
	peer_close(&p);
	/* No "go on" for what is refused. */
	p = peer_new(g);
	peer_send(g, &p,
		  "POST /body HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
		  "Content-Length: 5000000\r\n\r\n");
	expect(g, &p, "HTTP/1.1 413 ");
	assert_null(strstr(sbuf_str(&p.in), "HTTP/1.1 100 "));
	expect_eof(g, &p);
	peer_close(&p);
}

/* Nothing that two readers could read differently gets to a handler. */
static void test_ambiguous_lengths(void **state)
{
	static const char *const heads[] = {
		"Content-Length: abc\r\n",
		"Content-Length: -1\r\n",
		"Content-Length: +3\r\n",
		"Content-Length: 3, 3\r\n",
		"Content-Length: 0x3\r\n",
		"Content-Length:\r\n",
		"Content-Length: 3\r\nContent-Length: 3\r\n",
		"Content-Length: 3\r\nContent-Length: 4\r\n",
		"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: gzip\r\n",
		"Transfer-Encoding: gzip, chunked\r\n",
		"Transfer-Encoding: identity\r\n",
	};
	struct rig *g = *state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		struct peer p = peer_new(g);
		char text[300];
		(void)str_fmt(text, sizeof(text), "POST /body HTTP/1.1\r\nHost: x\r\n%s\r\nabc%s",
			      heads[i], HELLO);
		peer_send(g, &p, text);
		expect_eof(g, &p);
		if (!strstr(sbuf_str(&p.in), "HTTP/1.1 400 ") || strstr(sbuf_str(&p.in), "hello"))
			fail_msg("%s: %s", heads[i], sbuf_str(&p.in));
		peer_close(&p);
	}
	assert_answer(g, CLOSED("POST", "/body", "Content-Length: 99999999999999999999999\r\n"),
		      "HTTP/1.1 413 ");
}

static void test_malformed_chunks(void **state)
{
	static const char *const bodies[] = {
		"zz\r\nabc\r\n0\r\n\r\n",      "-3\r\nabc\r\n0\r\n\r\n",
		"3\r\nabcdef\r\n0\r\n\r\n",    "\r\nabc\r\n",
		"ffffffffffffffffffff\r\nabc",
	};
	struct rig *g = *state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
		struct peer p = peer_new(g);
		peer_send(g, &p,
			  "POST /body HTTP/1.1\r\nHost: x\r\n"
			  "Transfer-Encoding: chunked\r\n\r\n");
		(void)peer_send_bytes(g, &p, bodies[i], strlen(bodies[i]));
		(void)shutdown(p.fd, SHUT_WR);
		expect_eof(g, &p);
		assert_null(strstr(sbuf_str(&p.in), "HTTP/1.1 200 "));
		peer_close(&p);
	}
	assert_answer(
		g,
		CLOSED("POST", "/body", "Transfer-Encoding: chunked\r\n") "3\r\nabc\r\n0\r\n\r\n",
		"{\"length\":3}");
}

static void test_garbage(void **state)
{
	struct rig *g = *state;
	char big[70000];
	unsigned seed = 1;
	g->limits.request_usec = 300000;
	g->limits.interval_usec = 20000;
	rig_start(g, routes);
	memset(big, 'a', sizeof(big));
	/* A header, a path, a query and a count of headers that are too large. */
	static const char *const starts[] = {
		"GET /hello/you HTTP/1.1\r\nHost: x\r\nX: ",
		"GET /hello/",
		"GET /query?q=",
		"GET ",
	};
	for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++) {
		struct peer p = peer_new(g);
		(void)peer_send_bytes(g, &p, starts[i], strlen(starts[i]));
		(void)peer_send_bytes(g, &p, big, sizeof(big));
		expect_eof(g, &p);
		assert_null(strstr(sbuf_str(&p.in), "HTTP/1.1 200 "));
		peer_close(&p);
	}
	/* A request that ends in its first line is noticed by the deadline only: the library's
	 * epoll is edge-triggered, and the end came with the last bytes. */
	static struct peer many[100];
	for (size_t n = 0; n < sizeof(many) / sizeof(*many); n++) {
		char noise[400];
		many[n] = peer_new(g);
		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (char)(rand_r(&seed) >> 4);
		if (n % 2)
			memcpy(noise, "POST /body HTTP/1.1\r\nHost: x\r\n", 30);
		(void)peer_send_bytes(g, &many[n], noise, sizeof(noise));
		(void)shutdown(many[n].fd, SHUT_WR);
	}
	for (size_t n = 0; n < sizeof(many) / sizeof(*many); n++) {
		expect_eof(g, &many[n]);
		peer_close(&many[n]);
	}
	assert_answer(g, CLOSED("GET", "/hello/you", ""), "hello");
}

static void test_json_body(void **state)
{
	struct rig *g = *state;
	static const struct {
		const char *body, *want;
	} rows[] = {
		{"", "\r\n\r\n{}"},
		{"{\"a\": 0.1, \"b\": 3}", "{\"a\":0.1,\"b\":3}"},
		{"[]", "must be a JSON object"},
		{"{", "HTTP/1.1 400 "},
		{"{} x", "HTTP/1.1 400 "},
		{"{\"a\":1,\"a\":2}", "HTTP/1.1 400 "},
		{"{\"a\":\"\xff\"}", "HTTP/1.1 400 "},
		{"{\"a\":\"\\u0000\"}", "HTTP/1.1 400 "},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char text[300];
		(void)str_fmt(text, sizeof(text),
			      CLOSED("POST", "/json", "Content-Length: %zu\r\n") "%s",
			      strlen(rows[i].body), rows[i].body);
		assert_answer(g, text, rows[i].want);
	}
	/* Depth that would exhaust a stack. */
	struct sbuf b = SBUF_INIT;
	sbuf_adds(&b, CLOSED("POST", "/json", "Content-Length: 1000000\r\n"));
	for (int i = 0; i < 1000000; i++)
		sbuf_addc(&b, '[');
	struct peer p = peer_new(g);
	assert_true(peer_send_bytes(g, &p, b.data, b.len));
	expect(g, &p, "HTTP/1.1 400 ");
	sbuf_done(&b);
	peer_close(&p);
}

/* --- later answers ------------------------------------------------------------------------- */

static void test_deferred(void **state)
{
	struct rig *g = *state;
	struct peer p = peer_new(g);
	for (unsigned i = 1; i <= 3; i++) {
		peer_send(g, &p, GET("/defer"));
		until(g, g->waiting);
		request_wake(g->waiting); /* without an answer: it is parked again */
		turn_for(g, 20);
		assert_int_equal(p.in.len, 0);
		request_json(g->waiting, 200, json_pack("{s:i}", "later", 7));
		request_json(g->waiting, 500, json_object()); /* the first stands */
		request_wake(g->waiting);
		expect(g, &p, "{\"later\":7}");
		until(g, g->released == i);
		sbuf_clear(&p.in);
	}
	peer_close(&p);
}

/* Resumed while the library runs: the loop must not sleep over it. */
static void test_deferred_answered_by_another(void **state)
{
	struct rig *g = *state;
	struct peer a = peer_new(g), b = peer_new(g);
	for (unsigned i = 1; i <= 3; i++) {
		peer_send(g, &a, GET("/defer"));
		until(g, g->waiting);
		turn_for(g, 10);
		peer_send(g, &b, GET("/answer"));
		expect_times(g, &a, "{\"other\":1}", i);
		until(g, g->released == i);
	}
	peer_close(&a);
	peer_close(&b);
}

/* Its release comes at once, not when somebody tries to write. */
static void test_deferred_client_gone(void **state)
{
	struct rig *g = *state;
	for (unsigned i = 1; i <= 50; i++) {
		struct peer p = peer_new(g);
		peer_send(g, &p, GET("/defer"));
		until(g, g->waiting);
		peer_close(&p);
		until(g, g->released == i);
		assert_null(g->waiting);
	}
	/* A kept connection whose second request is left. */
	struct peer p = peer_new(g);
	peer_send(g, &p, HELLO);
	expect(g, &p, "hello");
	peer_send(g, &p, GET("/defer"));
	until(g, g->waiting);
	peer_close(&p);
	until(g, !g->waiting);
}

/* The answer and the end of the client in one turn of the loop, in both orders. */
static void test_deferred_races(void **state)
{
	struct rig *g = *state;
	for (unsigned i = 0; i < 20; i++) {
		struct peer p = peer_new(g);
		peer_send(g, &p, GET("/defer"));
		until(g, g->waiting);
		if (i % 2)
			peer_close(&p);
		request_json(g->waiting, 200, json_object());
		peer_close(&p);
		until(g, g->released == i + 1);
	}
}

/* One that has only shut its sending side down still wants the answer. */
static void test_deferred_half_closed(void **state)
{
	struct rig *g = *state;
	struct peer p = peer_new(g);
	peer_send(g, &p, GET("/defer"));
	until(g, g->waiting);
	(void)shutdown(p.fd, SHUT_WR);
	turn_for(g, 50);
	assert_non_null(g->waiting);
	request_json(g->waiting, 200, json_pack("{s:i}", "later", 7));
	expect(g, &p, "{\"later\":7}");
	peer_close(&p);
}

/* --- streams ------------------------------------------------------------------------------- */

static void test_stream(void **state)
{
	struct rig *g = *state;
	struct peer p = peer_new(g);
	peer_send(g, &p, GET("/stream"));
	until(g, g->stream && g->reads);
	expect(g, &p, "Transfer-Encoding: chunked\r\n");
	unsigned reads = g->reads;
	turn_for(g, 50); /* a reader that has nothing is not asked again and again */
	assert_int_equal(g->reads, reads);
	request_wake(g->stream);
	turn_for(g, 20); /* woken for nothing */
	g->feed = "one";
	request_wake(g->stream);
	expect(g, &p, "\r\n3\r\none\r\n");
	g->feed = "second";
	request_wake(g->stream);
	request_wake(g->stream);
	expect(g, &p, "6\r\nsecond\r\n");
	g->feed_ends = true;
	request_wake(g->stream);
	expect(g, &p, "\r\n0\r\n\r\n");
	until(g, !g->stream);
	peer_send(g, &p, HELLO); /* the connection is good for more */
	expect(g, &p, "hello");
	peer_close(&p);
}

static void test_stream_old_client(void **state)
{
	struct rig *g = *state;
	struct peer p = peer_new(g);
	peer_send(g, &p, "GET /stream HTTP/1.0\r\n\r\n");
	until(g, g->stream);
	g->feed = "plain text";
	request_wake(g->stream);
	expect(g, &p, "\r\n\r\nplain text");
	g->feed_ends = true;
	request_wake(g->stream);
	expect_eof(g, &p);
	assert_null(strstr(sbuf_str(&p.in), "chunked"));
	peer_close(&p);
}

/* Nothing is written, so nothing fails: the end of the client must be seen all the same. */
static void test_stream_client_gone(void **state)
{
	struct rig *g = *state;
	for (unsigned i = 1; i <= 20; i++) {
		struct peer p = peer_new(g);
		peer_send(g, &p, GET("/stream"));
		until(g, g->stream && g->reads >= i);
		turn(g);
		if (i % 2) { /* in the middle of the data */
			g->feed = "some";
			request_wake(g->stream);
		}
		peer_close(&p);
		until(g, g->released == i);
	}
}

/* --- uploads ------------------------------------------------------------------------------- */

static void test_upload(void **state)
{
	struct rig *g = *state;
	const size_t sizes[] = {0, 1, 100000, 6 * MIB};
	for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(*sizes); i++) {
		char want[40];
		size_t size = sizes[i / 2];
		g->taken = 0;
		(void)str_fmt(want, sizeof(want), "{\"taken\":%zu}", size);
		assert_post(g, "/upload", size, i % 2, want);
	}
}

/* Short writes: what is left must not wait for a packet that never comes. */
static void test_upload_in_small_bites(void **state)
{
	struct rig *g = *state;
	g->step = 7;
	assert_post(g, "/upload", 100, false, "{\"taken\":100}");
	g->taken = 0;
	assert_post(g, "/upload", 20000, true, "{\"taken\":20000}");
}

static void test_upload_back_pressure(void **state)
{
	struct rig *g = *state;
	for (int chunked = 0; chunked < 2; chunked++) {
		const size_t size = 3 * MIB;
		g->quota = g->taken = 0;
		g->upload = NULL;
		struct peer p = peer_new(g);
		struct sbuf b = SBUF_INIT;
		if (chunked)
			sbuf_addf(&b,
				  "POST /upload HTTP/1.1\r\nHost: x\r\n"
				  "Transfer-Encoding: chunked\r\n\r\n%zx\r\n",
				  size);
		else
			sbuf_addf(&b,
				  "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
				  size);
		for (size_t i = 0; i < size; i++)
			sbuf_addc(&b, (char)(i % 251));
		if (chunked)
			sbuf_adds(&b, "\r\n0\r\n\r\n");
		size_t sent = 0;
		unsigned stalls = 0;
		while (sent < b.len) {
			ssize_t n = send(p.fd, b.data + sent, b.len - sent,
					 MSG_DONTWAIT | MSG_NOSIGNAL);
			if (n > 0) {
				sent += (size_t)n;
				continue;
			}
			turn(g);
			assert_true(g->taken <= sent);
			if (g->upload && g->quota == 0 && ++stalls % 3 == 0) {
				unsigned calls = g->calls;
				turn_for(g, 1);
				assert_true(g->calls <= calls + 1); /* parked, not polled */
				g->quota = 50000 + stalls * 1001;
				request_wake(g->upload);
			}
		}
		g->quota = SIZE_MAX;
		request_wake(g->upload);
		expect(g, &p, "{\"taken\":3145728}");
		assert_true(stalls > 5);
		sbuf_done(&b);
		peer_close(&p);
		until(g, !g->upload);
	}
}

static void test_upload_refused(void **state)
{
	struct rig *g = *state;
	struct peer p = post(g, "/upload?refuse=1", "", 6 * MIB, false);
	expect_eof(g, &p);
	/* The answer was there before the connection broke. */
	assert_non_null(strstr(sbuf_str(&p.in), "HTTP/1.1 409 "));
	assert_non_null(strstr(sbuf_str(&p.in), "another upload runs"));
	peer_close(&p);
	assert_int_equal(g->calls, 0);
}

static void test_upload_fails_in_the_middle(void **state)
{
	struct rig *g = *state;
	for (int chunked = 0; chunked < 2; chunked++) {
		g->taken = g->calls = 0;
		g->fail_at = MIB;
		struct peer p = post(g, "/upload", "", 3 * MIB, chunked);
		expect(g, &p, "HTTP/1.1 409 ");
		expect(g, &p, "\"code\":\"no-capacity\"");
		expect_eof(g, &p);
		assert_true(g->taken < MIB);
		peer_close(&p);
	}
}

static void test_upload_client_gone(void **state)
{
	struct rig *g = *state;
	for (unsigned i = 1; i <= 10; i++) {
		struct peer p = peer_new(g);
		g->taken = 0;
		g->quota = i % 2 ? SIZE_MAX : 2; /* while it is parked, and while it is not */
		peer_send(g, &p, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n");
		peer_send_bytes(g, &p, "\0\1\2\3\4", 5);
		until(g, g->upload && g->taken >= 2);
		peer_close(&p);
		until(g, g->released == i);
	}
}

/* The operation behind it ends while the body is parked: the rest goes in vain, the answer comes.
 */
static void test_upload_answered_while_parked(void **state)
{
	struct rig *g = *state;
	struct err err = ERR_INIT;
	struct peer p = peer_new(g);
	g->quota = 2;
	peer_send(g, &p, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
	peer_send_bytes(g, &p, "\0\1\2\3\4", 5);
	until(g, g->upload && g->taken == 2);
	turn_for(g, 10);
	(void)err_set(&err, EIO, "the job died");
	request_error(g->upload, &err);
	char rest[99995] = "";
	assert_true(peer_send_bytes(g, &p, rest, sizeof(rest)));
	expect(g, &p, "the job died");
	peer_close(&p);
}

/* --- sessions ------------------------------------------------------------------------------ */

#define SESSION(more)                                                                              \
	"POST /session HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: "                    \
	"vps-session\r\n" more

static void test_upgrade(void **state)
{
	struct rig *g = *state;
	char buf[32] = "";
	struct peer p = peer_new(g);
	peer_send(g, &p, SESSION("Content-Length: 2\r\n\r\n{}early bytes"));
	expect(g, &p, "\r\n\r\n");
	assert_true(str_has_prefix(sbuf_str(&p.in), "HTTP/1.1 101 "));
	assert_non_null(strstr(sbuf_str(&p.in), "Upgrade: vps-session\r\n"));
	until(g, g->upgraded >= 0);
	assert_int_equal(g->early_len, 11);
	assert_memory_equal(g->early, "early bytes", 11);
	until(g, g->released == 1); /* nothing of the request is left, the socket lives */
	assert_int_equal(send(p.fd, "more", 4, MSG_NOSIGNAL), 4);
	assert_int_equal(recv(g->upgraded, buf, sizeof(buf), 0), 4);
	assert_int_equal(send(g->upgraded, "back", 4, MSG_NOSIGNAL), 4);
	sbuf_clear(&p.in);
	expect(g, &p, "back");
	assert_false(p.eof);
	server_free(g->server); /* a session outlives the server */
	g->server = NULL;
	assert_int_equal(send(g->upgraded, "again", 5, MSG_NOSIGNAL), 5);
	sbuf_clear(&p.in);
	peer_read(&p);
	assert_string_equal(sbuf_str(&p.in), "again");
	peer_close(&p);
}

static void test_upgrade_refused(void **state)
{
	struct rig *g = *state;
	assert_answer(g, CLOSED("POST", "/session", "Content-Length: 0\r\n"), "HTTP/1.1 400 ");
	assert_answer(g,
		      "POST /session HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
		      "Upgrade: websocket\r\nContent-Length: 0\r\n\r\n",
		      "HTTP/1.1 400 ");
	assert_answer(g,
		      "POST /session HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: vps-session\r\n"
		      "Content-Length: 0\r\n\r\n",
		      " 400 ");
	g->fail_in_handler = EBUSY;
	struct peer p = peer_new(g);
	peer_send(g, &p, SESSION("Content-Length: 0\r\n\r\n"));
	expect(g, &p, "HTTP/1.1 409 ");
	expect(g, &p, "no session");
	peer_close(&p);
	assert_int_equal(g->upgraded, -1);
}

/* The client closes behind its request: the session must not be handed on twice or leak. */
static void test_upgrade_client_gone(void **state)
{
	struct rig *g = *state;
	for (unsigned i = 1; i <= 20; i++) {
		struct peer p = peer_new(g);
		peer_send(g, &p, SESSION("Content-Length: 0\r\n\r\n"));
		if (i % 2)
			turn(g);
		peer_close(&p);
		turn_for(g, 10); /* it may be seen before the request is, or after */
		until(g, g->released == g->begun);
		if (g->upgraded >= 0)
			close(g->upgraded);
		g->upgraded = -1;
	}
}

/* --- limits -------------------------------------------------------------------------------- */

/* One byte each few milliseconds never meets an idle timeout. */
static unsigned dribble(struct rig *g, struct peer *p, const char *text)
{
	uint64_t start = now_ms();
	while (!p->eof && now_ms() < start + 10000) {
		(void)!send(p->fd, *text ? text++ : "a", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		turn_for(g, 10);
		peer_read(p);
	}
	assert_true(p->eof);
	return (unsigned)(now_ms() - start);
}

static void test_deadline(void **state)
{
	struct rig *g = *state;
	g->limits.request_usec = 200000;
	g->limits.kept_usec = 300000;
	g->limits.interval_usec = 20000;
	rig_start(g, routes);
	struct peer silent = peer_new(g), p = peer_new(g);
	unsigned took = dribble(g, &p, "GET /hello/");
	assert_in_range(took, 150, 2000);
	expect_eof(g, &silent);
	peer_close(&silent);
	peer_close(&p);
	/* A body. */
	p = peer_new(g);
	peer_send(g, &p, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n");
	assert_in_range(dribble(g, &p, ""), 150, 2000);
	peer_close(&p);
	/* The second header of a kept connection. */
	p = peer_new(g);
	peer_send(g, &p, HELLO);
	expect(g, &p, "hello");
	assert_in_range(dribble(g, &p, "GET /hello/"), 200, 2000);
	peer_close(&p);
	/* A body that nobody wants any more. */
	p = peer_new(g);
	g->fail_at = 1;
	peer_send(g, &p, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n");
	assert_in_range(dribble(g, &p, ""), 150, 2000);
	peer_close(&p);
}

/* What may take its time: handlers, streams, uploads that go on. */
static void test_no_deadline(void **state)
{
	struct rig *g = *state;
	g->limits.request_usec = g->limits.kept_usec = 50000;
	g->limits.interval_usec = 10000;
	rig_start(g, routes);
	struct peer later = peer_new(g), stream = peer_new(g), upload = peer_new(g);
	peer_send(g, &later, GET("/defer"));
	peer_send(g, &stream, GET("/stream"));
	peer_send(g, &upload, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n");
	for (unsigned char i = 0; i < 40; i++) {
		assert_true(peer_send_bytes(g, &upload, &i, 1));
		turn_for(g, 10);
	}
	expect(g, &upload, "{\"taken\":40}");
	request_json(g->waiting, 200, json_pack("{s:b}", "later", 1));
	expect(g, &later, "{\"later\":true}");
	g->feed = "still here";
	request_wake(g->stream);
	expect(g, &stream, "still here");
	peer_close(&later);
	peer_close(&stream);
	peer_close(&upload);
}

/* A child that is no root where the test is root, and a member of the socket's group. Returns how
 * many of its connections were served. */
static int served_users(struct rig *g, int n)
{
	int status = -1, code;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fds[64], ok = 0;
		if (geteuid() == 0 &&
		    (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0))
			_exit(255);
		for (int i = 0; i < n; i++)
			if ((fds[i] = try_connect(g->path)) < 0)
				_exit(254);
		for (int i = 0; i < n; i++) {
			char buf[400];
			struct pollfd f = {.fd = fds[i], .events = POLLIN};
			(void)!send(fds[i], HELLO, strlen(HELLO), MSG_NOSIGNAL);
			if (poll(&f, 1, 5000) == 1 && recv(fds[i], buf, sizeof(buf), 0) > 12 &&
			    memcmp(buf, "HTTP/1.1 200", 12) == 0)
				ok++;
		}
		_exit(ok);
	}
	until(g, waitpid(pid, &status, WNOHANG) == pid);
	assert_true(WIFEXITED(status));
	code = WEXITSTATUS(status);
	if (code >= 254)
		fail_msg("the child cannot connect as another user");
	return code;
}

static void test_users(void **state)
{
	struct rig *g = *state;
	g->limits.users = 8;
	rig_start(g, routes);
	assert_int_equal(served_users(g, 20), 8);
	turn_for(g, 30);
	assert_int_equal(served_users(g, 20), 8); /* all were given back */
	assert_int_equal(served_users(g, 8), 8);
	if (geteuid() == 0) { /* root is not among them */
		struct peer p[PEERS_MAX + 4];
		for (size_t i = 0; i < PEERS_MAX + 4; i++)
			p[i] = peer_new(g);
		assert_int_equal(served_users(g, 8), 8);
		for (size_t i = 0; i < PEERS_MAX + 4; i++) {
			peer_send(g, &p[i], HELLO);
			expect(g, &p[i], "hello");
			peer_close(&p[i]);
		}
	}
}

/* Whoever reached the socket without being root or in its group. */
static void test_strangers(void **state)
{
	struct rig *g = *state;
	struct err err = ERR_INIT;
	const struct server_options o = {
		.event = g->event,
		.socket_path = g->path,
		.routes = routes,
		.context = g,
		.limits = &g->limits,
	};
	assert_int_equal(server_start(&o, &g->server, &err), 0);
	assert_int_equal(chmod(g->path, 0666), 0);
	assert_int_equal(served_users(g, 3), 0);
	assert_int_equal(g->begun, 0);
}

/* More than the server takes at once: none is refused, none lost, all are served in the end. */
static void test_many_connections(void **state)
{
	struct rig *g = *state;
	enum { N = 600 };
	static struct peer p[N];
	struct rlimit l;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &l), 0);
	l.rlim_cur = l.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &l), 0);
	if (l.rlim_max < 2 * N + 50) {
		print_message("skipped: only %llu descriptors\n", (unsigned long long)l.rlim_max);
		skip();
	}
	g->limits.users = 512;
	rig_start(g, routes);
	for (int i = 0; i < N; i++) {
		p[i] = peer_new(g);
		turn(g);
	}
	unsigned served = 0;
	for (int i = 0; i < N; i++)
		peer_send(g, &p[i], HELLO);
	turn_for(g, 100);
	for (int i = 0; i < N; i++) {
		peer_read(&p[i]);
		served += strstr(sbuf_str(&p[i].in), "{\"hello\":\"you\"}") != NULL;
	}
	assert_int_equal(served, 512);
	for (int i = 0; i < N; i++) {
		if (!p[i].eof)
			expect(g, &p[i], "{\"hello\":\"you\"}");
		peer_close(&p[i]);
	}
	turn_for(g, 50);
	assert_answer(g, CLOSED("GET", "/hello/you", ""), "hello");
}

/* --- the end ------------------------------------------------------------------------------- */

/* Suspended connections of all kinds; those that can be told something are. */
static void test_stop(void **state)
{
	struct rig *g = *state;
	struct peer later = peer_new(g), stream = peer_new(g), upload = peer_new(g),
		    idle = peer_new(g), half = peer_new(g);
	g->quota = 0;
	peer_send(g, &later, GET("/defer"));
	peer_send(g, &stream, GET("/stream"));
	peer_send(g, &upload, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n123");
	peer_send(g, &idle, HELLO);
	peer_send(g, &half, "GET /hel");
	until(g, g->waiting && g->stream && g->upload && g->calls);
	expect(g, &idle, "hello");
	turn_for(g, 20);
	server_free(g->server);
	g->server = NULL;
	assert_int_equal(g->released, g->begun);
	expect(g, &later, "HTTP/1.1 503 ");
	expect(g, &stream, "\r\n0\r\n\r\n");
	struct peer *all[] = {&later, &stream, &upload, &idle, &half};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		expect_eof(g, all[i]);
		peer_close(all[i]);
	}
	assert_int_equal(try_connect(g->path), -1);
}

/* Answers that became ready just before go out: the daemon commits, answers and stops. */
static void test_stop_sends_what_is_ready(void **state)
{
	struct rig *g = *state;
	struct peer p = peer_new(g);
	/* A pipelined request is not begun any more. */
	peer_send(g, &p, GET("/defer") GET("/defer"));
	until(g, g->waiting);
	request_json(g->waiting, 202, json_pack("{s:b}", "later", 1));
	server_free(g->server);
	g->server = NULL;
	expect(g, &p, "{\"later\":true}");
	expect_eof(g, &p);
	assert_int_equal(g->begun, 1);
	peer_close(&p);
}

static void test_stop_in_the_middle(void **state)
{
	struct rig *g = *state;
	for (int turns = 0; turns < 12; turns++) {
		struct peer p[6];
		static const char *const texts[] = {
			GET("/defer"),
			GET("/stream"),
			HELLO,
			"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1",
			SESSION("Content-Length: 0\r\n\r\n"),
			"POST /body HTTP/1.1\r\nHost",
		};
		g->quota = 0;
		for (size_t i = 0; i < 6; i++) {
			p[i] = peer_new(g);
			peer_send(g, &p[i], texts[i]);
		}
		for (int i = 0; i < turns; i++)
			turn(g);
		if (turns % 3 == 0)
			peer_close(&p[turns % 6]);
		server_free(g->server);
		assert_int_equal(g->released, g->begun);
		for (size_t i = 0; i < 6; i++)
			peer_close(&p[i]);
		if (g->upgraded >= 0)
			close(g->upgraded);
		g->upgraded = -1;
		rig_start(g, routes);
	}
}

static void test_start_fails(void **state)
{
	struct rig *g = *state;
	struct err err = ERR_INIT;
	struct server *s = NULL;
	char path[200];
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(server_new(g->event, path, NULL, routes, g, &s, &err), -ENAMETOOLONG);
	assert_int_equal(server_new(g->event, "/nowhere/x", NULL, routes, g, &s, &err), -ENOENT);
	assert_null(s);
	server_free(NULL);
	/* The file of a dead one is in the way; a group that does not exist is none. */
	put_file(AT_FDCWD, g->path, "");
	assert_int_equal(
		server_new(g->event, g->path, "no-such-group", routes, g, &g->server, &err), 0);
	struct stat st;
	assert_int_equal(stat(g->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

int main(void)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	(void)sigaction(SIGPIPE, &ignore, NULL);
	if (geteuid() != 0 && !getgrgid(getegid())) {
		puts("skipped: this user's group has no name, so the server would let nobody in");
		return 0;
	}
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define U(name) cmocka_unit_test_setup_teardown(name, setup_unstarted, teardown)
	const struct CMUnitTest tests[] = {
		T(test_answers),
		T(test_query),
		T(test_keep_alive),
		T(test_pipeline),
		T(test_body_sizes),
		T(test_length_over_limit),
		T(test_continue),
		T(test_ambiguous_lengths),
		T(test_malformed_chunks),
		U(test_garbage),
		T(test_json_body),
		T(test_deferred),
		T(test_deferred_answered_by_another),
		T(test_deferred_client_gone),
		T(test_deferred_races),
		T(test_deferred_half_closed),
		T(test_stream),
		T(test_stream_old_client),
		T(test_stream_client_gone),
		T(test_upload),
		T(test_upload_in_small_bites),
		T(test_upload_back_pressure),
		T(test_upload_refused),
		T(test_upload_fails_in_the_middle),
		T(test_upload_client_gone),
		T(test_upload_answered_while_parked),
		T(test_upgrade),
		T(test_upgrade_refused),
		T(test_upgrade_client_gone),
		U(test_deadline),
		U(test_no_deadline),
		U(test_users),
		U(test_strangers),
		U(test_many_connections),
		T(test_stop),
		T(test_stop_sends_what_is_ready),
		T(test_stop_in_the_middle),
		U(test_start_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
