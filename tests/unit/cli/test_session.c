/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of the client: what it writes where, and with what code it ends. */
#include <signal.h>

#include "cli/cli.h"
#include "cli/frame.h"
#include "tests/unit/cli/util.h"

#define SWITCH "HTTP/1.1 101 Switching Protocols\r\nUpgrade: vps-session\r\n\r\n"

/* What a keeper does behind the 101. */
struct keeper {
	const char *out, *err;
	uint32_t code;
	unsigned fds;  /* beside the STARTED frame */
	bool together; /* the header, STARTED and its descriptors in one message */
	bool bytewise;
	bool endless;  /* somebody goes on writing behind the end */
	bool vanishes; /* no EXIT */
	bool fails;    /* ERROR instead of anything */
	bool malformed;
};

static size_t frame(char *dst, uint8_t type, const void *data, size_t len)
{
	frame_head(dst, type, len);
	memcpy(dst + FRAME_HEAD, data, len);
	return FRAME_HEAD + len;
}

static void put_slowly(int fd, const char *data, size_t len, bool bytewise)
{
	for (size_t i = 0; bytewise && i < len; i++)
		put(fd, data + i, 1);
	if (!bytewise)
		put(fd, data, len);
}

static void write_for_ever(int fd)
{
	char block[4096];
	memset(block, 'y', sizeof(block));
	(void)signal(SIGPIPE, SIG_DFL);
	(void)alarm(60);
	while (write(fd, block, sizeof(block)) > 0)
		;
	_exit(0);
}

static void keep(int fd, const char *request, void *arg)
{
	const struct keeper *k = arg;
	uint8_t number[4];
	char text[200];
	size_t n;
	int in[2], out[2], err[2];
	if (!strstr(request, "Vps-Session: fds\r\n"))
		_exit(8);
	if (!k->together)
		put(fd, SWITCH, strlen(SWITCH));
	if (k->fails) {
		frame_put_u32(number, k->code);
		n = frame(text, FRAME_ERROR, "\0\0\0\2no such \033[2Jprogram", 24);
		memcpy(text + FRAME_HEAD, number, 4);
		put_slowly(fd, text, n, k->bytewise);
		return;
	}
	if (k->malformed) {
		put(fd, "HTTP/1.1 200 OK\r\n", 17);
		return;
	}
	if (pipe2(in, 0) < 0 || pipe2(out, 0) < 0 || pipe2(err, 0) < 0)
		_exit(7);
	const int fds[3] = {in[1], out[0], err[0]};
	n = k->together ? strlen(SWITCH) : 0;
	memcpy(text, SWITCH, n);
	n += frame(text + n, FRAME_STARTED, "\0\0\1\2", 4);
	if (k->bytewise && k->fds) {
		put_fds(fd, text, 1, fds, k->fds);
		put_slowly(fd, text + 1, n - 1, true);
	} else if (k->fds) {
		put_fds(fd, text, n, fds, k->fds);
	} else {
		put(fd, text, n);
	}
	close(in[1]);
	close(out[0]);
	close(err[0]);
	if (k->fds == 3 && read(in[0], text, 1) != 0) /* not interactive: end of file at once */
		_exit(6);
	if (k->fds == 3 && (write(out[1], k->out, strlen(k->out)) < 0 ||
			    write(err[1], k->err, strlen(k->err)) < 0))
		_exit(5);
	if (k->endless && fork() == 0) {
		close(fd);
		write_for_ever(out[1]);
	}
	if (k->vanishes)
		return;
	frame_put_u32(number, k->code);
	n = frame(text, FRAME_EXIT, number, 4);
	put_slowly(fd, text, n, k->bytewise);
	/* The client may have left by now. */
	n = frame(text, FRAME_STDOUT, "behind the end", 14);
	(void)!send(fd, text, n, MSG_NOSIGNAL);
}

struct outcome {
	int code;
	char *out, *err;
};

static struct outcome run(fake_fn fn, void *arg, bool console, int want_server)
{
	struct fake f;
	struct outcome o;
	int fds = count_fds();
	fake_start(&f, fn, arg);
	const struct cli cli = {.program = "vps", .socket = f.path};
	json_t *body = json_object();
	const struct session_exec x = {.body = body};
	struct capture e = capture_begin(STDERR_FILENO), out = capture_begin(STDOUT_FILENO);
	o.code = console ? session_console(&cli, "/x", false) : session_exec(&cli, "/x", &x);
	o.out = capture_end(&out);
	o.err = capture_end(&e);
	json_decref(body);
	int server = fake_stop(&f);
	if (server != want_server)
		fail_msg("the server ended with %d; the client said '%s'", server, o.err);
	assert_int_equal(count_fds(), fds);
	return o;
}

static void assert_exec(struct keeper k, int code, const char *out, const char *err)
{
	struct outcome o = run(keep, &k, false, 0);
	if (o.code != code || !str_has_prefix(o.out, out) || !strstr(o.err, err))
		fail_msg("code %d, out '%.100s', err '%.300s'", o.code, o.out, o.err);
	free(o.out);
	free(o.err);
}

static void test_exec(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct keeper k = {.out = "to stdout\n", .err = "to stderr\n", .code = 7, .fds = 3};
		k.together = i & 1;
		k.bytewise = i & 2;
		assert_exec(k, 7, "to stdout\n", "to stderr\n");
	}
	assert_exec((struct keeper){.out = "", .err = "", .fds = 3, .code = 0}, 0, "", "");
	assert_exec((struct keeper){.out = "", .err = "", .fds = 3, .code = 255}, 255, "", "");
	/* Never success that was none. */
	assert_exec((struct keeper){.out = "", .err = "", .fds = 3, .code = 256}, 1, "", "");
	assert_exec((struct keeper){.out = "", .err = "", .fds = 3, .code = 0xffffff00}, 1, "", "");
}

static void test_exec_fails(void **state)
{
	(void)state;
	assert_exec((struct keeper){.fails = true, .code = ENOENT}, 127, "",
		    "vps: no such \\x1b[2Jprogram\n");
	assert_exec((struct keeper){.fails = true, .code = EACCES, .bytewise = true}, 126, "", "");
	assert_exec((struct keeper){.fails = true, .code = EIO}, 1, "", "");
	assert_exec((struct keeper){.malformed = true}, 1, "", "malformed");
	assert_exec((struct keeper){.out = "half", .err = "", .fds = 3, .vanishes = true}, 1, "",
		    "ended unexpectedly");
	/* Without its descriptors it would wait for ever. */
	assert_exec((struct keeper){.fds = 0, .vanishes = true}, 1, "", "no descriptors");
	assert_exec((struct keeper){.fds = 2, .vanishes = true}, 1, "", "no descriptors");
}

/* "sh -c 'yes & exit 3'": the command has ended, whoever else still writes. */
static void test_exec_endless(void **state)
{
	(void)state;
	assert_exec(
		(struct keeper){.out = "first", .err = "", .fds = 3, .code = 3, .endless = true}, 3,
		"first", "");
}

static void refuse(int fd, const char *request, void *arg)
{
	(void)request;
	put(fd, arg, strlen(arg));
}

static void test_refused(void **state)
{
	char no[] = "HTTP/1.1 409 Conflict\r\n\r\n"
		    "{\"error\":{\"message\":\"it does not run\",\"hint\":\"start it\"}}",
	     odd[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
	(void)state;
	struct outcome o = run(refuse, no, false, 0);
	assert_int_equal(o.code, CLI_FAILED);
	assert_string_equal(o.err, "vps: it does not run\n     start it\n");
	free(o.out);
	free(o.err);
	o = run(refuse, odd, true, 0);
	assert_int_equal(o.code, CLI_FAILED);
	assert_non_null(strstr(o.err, "did not open the session"));
	free(o.out);
	free(o.err);
}

static void play_console(int fd, const char *request, void *arg)
{
	char text[200];
	size_t n = strlen(SWITCH);
	(void)request;
	memcpy(text, SWITCH, n);
	n += frame(text + n, FRAME_STDOUT, "login: ", 7);
	n += frame(text + n, 99, "unknown", 7);
	n += frame(text + n, FRAME_STDOUT, "\033[1mbold", 8);
	if (*(bool *)arg)
		n += frame(text + n, FRAME_ERROR, "\0\0\0\5it broke", 12);
	else
		n += frame(text + n, FRAME_EXIT, "\0\0\0\5", 4);
	put(fd, text, n);
}

static void test_console(void **state)
{
	bool fails = false;
	(void)state;
	struct outcome o = run(play_console, &fails, true, 0);
	assert_int_equal(o.code, CLI_OK);
	assert_string_equal(o.out, "login: \033[1mbold"); /* a console is raw */
	free(o.out);
	free(o.err);
	fails = true;
	o = run(play_console, &fails, true, 0);
	assert_int_equal(o.code, CLI_FAILED);
	assert_string_equal(o.err, "vps: it broke\n");
	free(o.out);
	free(o.err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exec),	     cmocka_unit_test(test_exec_fails),
		cmocka_unit_test(test_exec_endless), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_console),
	};
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	(void)sigaction(SIGPIPE, &ignore, NULL);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	(void)dup2(null, STDIN_FILENO);
	close(null);
	(void)alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
