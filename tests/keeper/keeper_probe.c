/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small vpsd for the tests of vps-keeper: one request for each run of the program, and the
 * customer's side of exec and console sessions. See usage().
 */
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "base/str.h"
#include "runtime/keeper/client.h"
#include "runtime/keeper/frame.h"
#include "tests/sandbox/gate_side.h"

static void usage(void) __attribute__((noreturn));
static void usage(void)
{
	fputs("usage: keeper_probe [OPTIONS] SOCKET COMMAND ARGUMENT...\n"
	      "  launch ID BOOT ROOT INIT [ARGUMENT...]   prints 'launched PID START'\n"
	      "  parallel COUNT ROOT INIT [ARGUMENT...]   in DIR/1, DIR/2 ... of --cgroup DIR\n"
	      "  exec ID BOOT PROGRAM [ARGUMENT...]       ends with its code\n"
	      "  execs COUNT ID BOOT PROGRAM [ARGUMENT...]\n"
	      "  console ID BOOT                          input to the console, its output to us\n"
	      "  wait ID BOOT                             prints how it ended\n"
	      "  list | signal ID BOOT N | forget ID BOOT | adopt ID BOOT PID START\n"
	      "  hold KEY FILE | held KEY | unhold KEY | idle\n"
	      "  --cgroup DIR --base ID --log DIR --log-max BYTES --uid N\n"
	      "  --tty --framed --readonly --signal N (after --after MS) --hangup (after --after "
	      "MS)\n"
	      "  --early FILE    frames that come with the request\n" GATE_USAGE
	      "  --write PATH=TEXT  a file in the guest's root\n",
	      stderr);
	exit(125);
}

struct probe {
	struct keeper_client *client;
	const char *cgroup, *log, *early, *gate;
	char *write;
	int gate_fd;
	uint64_t base, log_max, uid, signo, after;
	bool is_tty, is_framed, is_readonly, hangs_up;
	/* of the last request */
	unsigned waiting;
	int result;
	/* what wait waits for */
	const char *id;
	uint64_t boot;
	bool is_ended;
};

static void die(const char *what, const struct err *e)
{
	fprintf(stderr, "keeper_probe: %s: %s (errno %d)\n", what, err_text(e), e->code);
	exit(125);
}

static void die_sys(const char *what)
{
	fprintf(stderr, "keeper_probe: %s: %s\n", what, strerror(errno));
	exit(125);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static uint64_t number(const char *s)
{
	uint64_t n;

	if (!s || num_parse_u64(s, 0, UINT64_MAX, &n) < 0)
		usage();
	return n;
}

static int open_path(const char *path, int flags)
{
	int fd = open(path ? path : "/", flags | O_CLOEXEC, 0600);

	if (fd < 0)
		die_sys(path);
	return fd;
}

/* --- requests -------------------------------------------------------------------------------- */

static void done(void *userdata, struct keeper_reply *reply, const struct err *e)
{
	struct probe *p = userdata;

	p->waiting--;
	if (e)
		p->result = -e->code;
	if (e)
		fprintf(stderr, "keeper_probe: %s (errno %d)\n", err_text(e), e->code);
	else if (reply->pidfd >= 0 && reply->warning && reply->warning[0])
		fprintf(stderr, "warning: %s\n", reply->warning);
	if (!e && reply->pidfd >= 0)
		printf("launched %u %llu\n", reply->pid, (unsigned long long)reply->start);
	if (reply && reply->fd >= 0) {
		char buf[256];
		ssize_t n = pread(reply->fd, buf, sizeof(buf), 0);

		if (n > 0)
			(void)fwrite(buf, 1, (size_t)n, stdout);
	}
}

static struct keeper_call call(struct probe *p)
{
	p->waiting++;
	return (struct keeper_call){done, p};
}

static void require(int r, const struct err *e)
{
	if (r < 0)
		die("request", e);
}

static void process(struct probe *p, int timeout)
{
	struct pollfd pfd = {.fd = keeper_client_fd(p->client),
			     .events = keeper_client_poll_events(p->client)};
	struct err e = ERR_INIT;

	if (poll(&pfd, 1, timeout) > 0 && keeper_client_process(p->client, &e) < 0)
		die("connection", &e);
}

static int finish(struct probe *p)
{
	while (p->waiting > 0)
		process(p, -1);
	return p->result < 0 ? 1 : 0;
}

static void exited(void *userdata, const char *id, uint64_t boot, uint32_t status,
		   enum keeper_exit how)
{
	struct probe *p = userdata;

	/* An end between the request for the list and its answer is told twice. */
	if (p->id && strcmp(p->id, id) == 0 && p->boot == boot && !p->is_ended) {
		printf("%d %u\n", how, status);
		p->is_ended = true;
	}
}

static void ready(void *userdata, const char *id, uint64_t boot)
{
	(void)userdata;
	fprintf(stderr, "ready %s %llu\n", id, (unsigned long long)boot);
}

static void list_item(void *userdata, struct keeper_item *i)
{
	struct probe *p = userdata;
	const struct keeper_guest *g = &i->guest;

	if (!p->id)
		printf("%s %llu %u %llu ready=%d how=%d status=%u pidfd=%d console=%d\n", g->id,
		       (unsigned long long)g->boot, g->pid, (unsigned long long)g->start, g->ready,
		       g->how, g->status, i->pidfd >= 0, i->console >= 0);
	else if (g->how != KEEPER_EXIT_NONE)
		exited(p, g->id, g->boot, g->status, (enum keeper_exit)g->how);
}

static int list(struct probe *p)
{
	struct err e = ERR_INIT;

	require(keeper_client_list(p->client, list_item, call(p), &e), &e);
	return finish(p);
}

static int wait_end(struct probe *p, char **argv)
{
	p->id = argv[0];
	p->boot = number(argv[1]);
	(void)list(p);
	while (!p->is_ended)
		process(p, -1);
	return 0;
}

static void launch_one(struct probe *p, const char *id, uint64_t boot, const char *cgroup,
		       uint32_t base, char **argv)
{
	static char *const envp[] = {(char *)(uintptr_t) "PATH=/bin",
				     (char *)(uintptr_t) "container=vpsd",
				     (char *)(uintptr_t) "NOTIFY_SOCKET=/run/host/notify", NULL};
	struct keeper_launch l = {.id = id, .boot = boot, .log_max = p->log_max};
	struct sbx_launch s;
	struct err e = ERR_INIT;

	sbx_launch_init(&s);
	(void)str_copy(s.id, sizeof(s.id), id);
	s.base = base;
	s.hostname = "guest";
	s.argv = argv + 1;
	s.envp = envp;
	s.cgroup = open_path(cgroup, O_RDONLY | O_DIRECTORY);
	s.rootfs_plain = open_tree(AT_FDCWD, argv[0], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (s.rootfs_plain < 0)
		die_sys(argv[0]);
	l.log_dir = open_path(p->log, O_RDONLY | O_DIRECTORY);
	l.launch = &s;
	s.gate = take_fd(&p->gate_fd);
	if (p->write) {
		char *value = strchr(p->write, '=');

		if (!value)
			usage();
		*value = '\0';
		s.files[s.n_files++] = (struct sbx_file){p->write, value + 1, 0644, SBX_FILE_WRITE};
	}
	require(keeper_client_launch(p->client, &l, call(p), &e), &e);
	(void)close(l.log_dir);
	sbx_launch_close(&s);
}

static int parallel(struct probe *p, char **argv)
{
	uint64_t n = number(argv[0]), begin = now_ms();
	char id[ID_TEXT], cgroup[512];

	for (uint64_t i = 1; i <= n; i++) {
		(void)str_fmt(id, sizeof(id), "%016llx", (unsigned long long)i);
		(void)str_fmt(cgroup, sizeof(cgroup), "%s/%llu", p->cgroup, (unsigned long long)i);
		launch_one(p, id, 1, cgroup, (uint32_t)(p->base + i * 65536), argv + 1);
	}
	int r = finish(p);
	fprintf(stderr, "%llu launches in %llu ms\n", (unsigned long long)n,
		(unsigned long long)(now_ms() - begin));
	return r;
}

/* --- the customer ---------------------------------------------------------------------------- */

static void write_all(int fd, const void *data, size_t len)
{
	const char *d = data;

	while (len > 0) {
		ssize_t n = write(fd, d, len);

		if (n <= 0)
			return;
		d += n;
		len -= (size_t)n;
	}
}

static void send_frame(int sock, enum keeper_frame type, const void *data, size_t len)
{
	uint8_t header[FRAME_HEADER];

	frame_put_header(header, type, (uint32_t)len);
	write_all(sock, header, sizeof(header));
	write_all(sock, data, len);
}

static bool read_all(int fd, void *data, size_t len, int fds[3])
{
	uint8_t *d = data;

	while (len > 0) {
		union {
			char buf[CMSG_SPACE(sizeof(int) * 3)];
			struct cmsghdr align;
		} control;
		struct iovec iov = {d, len};
		struct msghdr mh = {.msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = control.buf,
				    .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC);
		struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&mh) : NULL;

		if (n <= 0)
			return false;
		if (c)
			memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
		d += n;
		len -= (size_t)n;
	}
	return true;
}

struct session {
	int sock;
	int fds[3];
	bool has_fds; /* those of FRAME_STARTED have come */
	bool is_framed;
	bool input;
	int code;
};

/* One frame; false at the end of the session. */
static bool receive_frame(struct session *s)
{
	static uint8_t body[KEEPER_FRAME_MAX];
	uint8_t header[FRAME_HEADER];
	uint32_t len;

	if (!read_all(s->sock, header, sizeof(header), s->fds))
		return false;
	len = frame_get_u32(header + 4);
	if (len > sizeof(body) || !read_all(s->sock, body, len, s->fds))
		return false;
	if (header[0] == FRAME_STDOUT || header[0] == FRAME_STDERR)
		write_all(header[0] == FRAME_STDOUT ? 1 : 2, body, len);
	else if (header[0] == FRAME_EXIT)
		s->code = (int)frame_get_u32(body);
	else if (header[0] == FRAME_ERROR)
		fprintf(stderr, "error %u %.*s\n", frame_get_u32(body), (int)len - 4, body + 4);
	if (header[0] == FRAME_STARTED)
		s->has_fds = true;
	if (header[0] == FRAME_STARTED)
		fprintf(stderr, "started %u\n", frame_get_u32(body));
	return header[0] != FRAME_EXIT && header[0] != FRAME_ERROR;
}

static bool copy(int from, int to)
{
	char buf[16384];
	ssize_t n = read(from, buf, sizeof(buf));

	if (n < 0)
		return errno == EAGAIN;
	write_all(to, buf, n > 0 ? (size_t)n : 0);
	return n > 0;
}

static void move_input(struct session *s)
{
	uint8_t buf[4096];
	ssize_t n = read(0, buf, sizeof(buf));

	if (n > 0 && s->fds[0] >= 0)
		write_all(s->fds[0], buf, (size_t)n);
	else if (s->is_framed)
		send_frame(s->sock, FRAME_STDIN, buf, n > 0 ? (size_t)n : 0);
	if (n > 0)
		return;
	s->input = false;
	if (s->fds[0] >= 0 && s->fds[1] >= 0)
		cleanup_close(&s->fds[0]);
}

/* What is left in the fds after the end. */
static void drain(struct session *s)
{
	for (int i = s->fds[1] >= 0 ? 1 : 0; i < 3; i++) {
		struct pollfd p = {.fd = s->fds[i], .events = POLLIN};

		while (s->fds[i] >= 0 && poll(&p, 1, 0) > 0 && copy(s->fds[i], i == 2 ? 2 : 1))
			;
	}
}

static int customer(const struct probe *p, struct session *s)
{
	uint64_t act_at = p->signo || p->hangs_up ? now_ms() + p->after : UINT64_MAX;

	for (;;) {
		bool is_tty = s->fds[0] >= 0 && s->fds[1] < 0;
		struct pollfd fds[] = {
			{.fd = s->sock, .events = POLLIN},
			{.fd = s->input && (s->is_framed || s->has_fds) ? 0 : -1, .events = POLLIN},
			{.fd = is_tty ? s->fds[0] : s->fds[1], .events = POLLIN},
			{.fd = s->fds[2], .events = POLLIN},
		};

		(void)poll(fds, 4, act_at == UINT64_MAX ? -1 : 20);
		if (now_ms() >= act_at) {
			uint8_t signo[4];

			if (p->hangs_up)
				return 0;
			frame_put_u32(signo, (uint32_t)p->signo);
			send_frame(s->sock, FRAME_SIGNAL, signo, sizeof(signo));
			act_at = UINT64_MAX;
		}
		if (fds[2].revents && !copy(fds[2].fd, 1))
			cleanup_close(is_tty ? &s->fds[0] : &s->fds[1]);
		if (fds[3].revents && !copy(fds[3].fd, 2))
			cleanup_close(&s->fds[2]);
		if (fds[1].revents)
			move_input(s);
		if (fds[0].revents && !receive_frame(s)) {
			drain(s);
			return s->code;
		}
	}
}

/* Makes the pair; the keeper's end goes into *stream. */
static struct session session_begin(const struct probe *p, struct keeper_stream *stream)
{
	struct session s = {.fds = {-1, -1, -1}, .input = true, .code = 255};
	static char early[KEEPER_EARLY_MAX];
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die_sys("socketpair");
	s.sock = pair[0];
	s.is_framed = p->is_framed;
	*stream = (struct keeper_stream){.sock = pair[1]};
	if (p->early) {
		_cleanup_close_ int fd = open_path(p->early, O_RDONLY);
		ssize_t n = read(fd, early, sizeof(early));

		stream->early = early;
		stream->early_len = n > 0 ? (size_t)n : 0;
	}
	return s;
}

static int exec_one(struct probe *p, char **argv)
{
	static char *const envp[] = {(char *)(uintptr_t) "PATH=/bin", NULL};
	struct sbx_launch defaults;
	struct keeper_stream stream;
	struct session s = session_begin(p, &stream);
	struct err e = ERR_INIT;
	int code;

	sbx_launch_init(&defaults);
	struct sbx_join j = {
		.pidfd = -1,
		.base = (uint32_t)p->base,
		.cgroup = open_path(p->cgroup, O_RDONLY | O_DIRECTORY),
		.argv = argv + 2,
		.envp = envp,
		.uid = (uint32_t)p->uid,
		.gid = (uint32_t)p->uid,
		.capabilities = defaults.capabilities,
		.seccomp = -1,
		.tty = p->is_tty,
		.rows = 33,
		.cols = 77,
		.stdio = {-1, -1, -1},
	};
	memcpy(j.rlimits, defaults.rlimits, sizeof(j.rlimits));
	require(keeper_client_exec(p->client, argv[0], number(argv[1]),
				   p->is_framed ? KEEPER_MODE_FRAMED : KEEPER_MODE_PASS_FDS,
				   &stream, &j, call(p), &e),
		&e);
	(void)close(stream.sock);
	(void)close(j.cgroup);
	(void)finish(p);
	code = customer(p, &s);
	(void)close(s.sock);
	for (int i = 0; i < 3; i++)
		cleanup_close(&s.fds[i]);
	return code;
}

static int console(struct probe *p, char **argv)
{
	struct keeper_stream stream;
	struct session s = session_begin(p, &stream);
	struct err e = ERR_INIT;

	s.is_framed = true;
	require(keeper_client_console(p->client, argv[0], number(argv[1]),
				      p->is_readonly ? KEEPER_CONSOLE_READONLY : 0, &stream,
				      call(p), &e),
		&e);
	(void)close(stream.sock);
	(void)finish(p);
	return customer(p, &s);
}

/* --- commands -------------------------------------------------------------------------------- */

static int adopt(struct probe *p, char **argv)
{
	struct keeper_adopt a = {
		.id = argv[0],
		.boot = number(argv[1]),
		.pid = (uint32_t)number(argv[2]),
		.start = number(argv[3]),
		.log_max = p->log_max,
		.log_dir = open_path(p->log, O_RDONLY | O_DIRECTORY),
		.console = -1,
	};
	struct err e = ERR_INIT;

	require(keeper_client_adopt(p->client, &a, call(p), &e), &e);
	return finish(p);
}

static int run(struct probe *p, const char *command, int argc, char **argv)
{
	struct err e = ERR_INIT;

	if (str_eq(command, "list"))
		return list(p);
	if (str_eq(command, "idle"))
		for (;;)
			process(p, -1);
	if (str_eq(command, "launch") && argc >= 4) {
		launch_one(p, argv[0], number(argv[1]), p->cgroup, (uint32_t)p->base, argv + 2);
		return finish(p);
	}
	if (str_eq(command, "parallel") && argc >= 3)
		return parallel(p, argv);
	if (str_eq(command, "exec") && argc >= 3)
		return exec_one(p, argv);
	if (str_eq(command, "execs") && argc >= 4) {
		for (uint64_t i = number(argv[0]); i > 0; i--)
			if (exec_one(p, argv + 1) != 0)
				return 1;
		return 0;
	}
	if (str_eq(command, "console") && argc == 2)
		return console(p, argv);
	if (str_eq(command, "wait") && argc == 2)
		return wait_end(p, argv);
	if (str_eq(command, "adopt") && argc == 4)
		return adopt(p, argv);
	if (str_eq(command, "signal") && argc == 3)
		require(keeper_client_signal(p->client, argv[0], number(argv[1]),
					     (int)number(argv[2]), call(p), &e),
			&e);
	else if (str_eq(command, "forget") && argc == 2)
		require(keeper_client_forget(p->client, argv[0], number(argv[1]), call(p), &e), &e);
	else if (str_eq(command, "hold") && argc == 2)
		require(keeper_client_hold(p->client, argv[0], open_path(argv[1], O_RDONLY),
					   call(p), &e),
			&e);
	else if (str_eq(command, "held") && argc == 1)
		require(keeper_client_held(p->client, argv[0], call(p), &e), &e);
	else if (str_eq(command, "unhold") && argc == 1)
		require(keeper_client_unhold(p->client, argv[0], call(p), &e), &e);
	else
		usage();
	return finish(p);
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"cgroup", 1, NULL, 'c'},  {"base", 1, NULL, 'b'},     {"log", 1, NULL, 'l'},
		{"log-max", 1, NULL, 'm'}, {"uid", 1, NULL, 'u'},      {"tty", 0, NULL, 't'},
		{"framed", 0, NULL, 'f'},  {"readonly", 0, NULL, 'r'}, {"signal", 1, NULL, 's'},
		{"after", 1, NULL, 'a'},   {"hangup", 0, NULL, 'h'},   {"early", 1, NULL, 'e'},
		{"gate", 1, NULL, 'g'},	   {"write", 1, NULL, 'w'},    {NULL, 0, NULL, 0},
	};
	const struct keeper_events events = {.exited = exited, .ready = ready};
	struct probe p = {.base = 1900000, .log_max = 65536, .after = 300, .log = "/tmp"};
	struct err e = ERR_INIT;
	int c;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt_long(argc, argv, "+", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			p.cgroup = optarg;
			break;
		case 'b':
			p.base = number(optarg);
			break;
		case 'l':
			p.log = optarg;
			break;
		case 'm':
			p.log_max = number(optarg);
			break;
		case 'u':
			p.uid = number(optarg);
			break;
		case 't':
			p.is_tty = true;
			break;
		case 'f':
			p.is_framed = true;
			break;
		case 'r':
			p.is_readonly = true;
			break;
		case 's':
			p.signo = number(optarg);
			break;
		case 'a':
			p.after = number(optarg);
			break;
		case 'h':
			p.hangs_up = true;
			break;
		case 'e':
			p.early = optarg;
			break;
		case 'g':
			p.gate = optarg;
			break;
		case 'w':
			p.write = optarg;
			break;
		default:
			usage();
		}
	}
	argv += optind;
	argc -= optind;
	if (argc < 2)
		usage();
	p.gate_fd = -1;
	if (p.gate) /* before there is a connection that it would hold as well */
		gate_fork(p.gate, 1, &p.gate_fd);
	if (keeper_client_connect(argv[0], &events, &p, &p.client, &e) < 0)
		die("connect", &e);
	c = run(&p, argv[1], argc - 2, argv + 2);
	keeper_client_free(p.client);
	return c;
}
