/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire between tests/vm/run and the command inside the virtual machine.
 *
 *	link host SECONDS [-t] CWD COUNT CMD... -- QEMU...	(qemu: fd 3)
 *	link guest PORT					runs what the host asks for
 *
 * One stream of typed records carries the command, its environment, its output and its exit status
 * over one virtio-serial port. A protocol rather than one port per stream, because a port tells
 * nobody when its last byte has been delivered: with records the status follows the output in the
 * same stream, so the host knows that it has everything, ends qemu at once, and keeps the order
 * of stdout and stderr.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define EXIT_TIMEOUT 124 /* the time limit was reached */
#define EXIT_VM 125	 /* the machine, not the command, failed */

enum record_type {
	REC_CWD = 1, /* host to guest: where to run */
	REC_ENV,     /* one NAME=VALUE */
	REC_ARG,     /* one word of the command */
	REC_WINSIZE, /* struct winsize; before REC_START it asks for a terminal */
	REC_START,
	REC_STDIN,
	REC_STDOUT, /* guest to host */
	REC_STDERR,
	REC_EXIT, /* int: the status */
};

enum { REC_PAYLOAD = 32768, QEMU_FD = 3, ARGS = 4096 };

struct record {
	uint32_t type;
	uint32_t len;
	char data[REC_PAYLOAD + 1]; /* always followed by a NUL */
};

/* What of the caller's environment the command sees; a trailing '*' stands for any rest. */
static const char *const passed_env[] = {"VPS_*", "TERM", "CI", "LANG", "V", "TESTS"};

static void die(const char *what)
{
	fprintf(stderr, "vm: %s: %s\n", what, strerror(errno));
	exit(EXIT_VM);
}

static int write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EAGAIN) {
			/* The caller's own stdout may be non-blocking. */
			(void)poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Returns 1, or 0 when the other end is gone. */
static int read_all(int fd, void *buf, size_t len)
{
	char *p = buf;

	while (len > 0) {
		ssize_t n = read(fd, p, len);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return 0;
		p += n;
		len -= (size_t)n;
	}
	return 1;
}

static int record_send(int fd, enum record_type type, const void *data, size_t len)
{
	struct record rec;

	if (len > REC_PAYLOAD)
		return -EMSGSIZE;
	rec.type = type;
	rec.len = (uint32_t)len;
	if (len > 0)
		memcpy(rec.data, data, len);
	return write_all(fd, &rec, offsetof(struct record, data) + len);
}

static int record_send_str(int fd, enum record_type type, const char *s)
{
	return record_send(fd, type, s, strlen(s));
}

static int record_receive(int fd, struct record *rec)
{
	if (!read_all(fd, rec, offsetof(struct record, data)) || rec->len > REC_PAYLOAD ||
	    !read_all(fd, rec->data, rec->len))
		return 0;
	rec->data[rec->len] = '\0';
	return 1;
}

/* Blocks the signals and returns a signalfd for them; the set they replace goes to *ret_old. */
static int signals_open(const int *signals, size_t n, sigset_t *ret_old)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (size_t i = 0; i < n; i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, ret_old);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		die("signalfd");
	return fd;
}

static int signals_read(int fd)
{
	struct signalfd_siginfo si;

	return read(fd, &si, sizeof(si)) == (ssize_t)sizeof(si) ? (int)si.ssi_signo : 0;
}

/* The guest's end. */

struct command {
	char *argv[ARGS + 1];
	size_t argc;
	char *cwd;
	bool tty;
	struct winsize size;
	pid_t pid;
	int in;	 /* the pty's master, or -1 */
	int out; /* the pty's master, or a pipe */
	int err; /* a pipe, or -1 */
};

static void command_receive(int port, struct command *cmd)
{
	struct record rec;

	while (record_receive(port, &rec)) {
		switch (rec.type) {
		case REC_CWD:
			cmd->cwd = strdup(rec.data);
			break;
		case REC_ENV:
			putenv(strdup(rec.data));
			break;
		case REC_ARG:
			if (cmd->argc == ARGS) {
				errno = E2BIG;
				die("command");
			}
			cmd->argv[cmd->argc++] = strdup(rec.data);
			break;
		case REC_WINSIZE:
			memcpy(&cmd->size, rec.data, sizeof(cmd->size));
			cmd->tty = true;
			break;
		case REC_START:
			return;
		default:
			break;
		}
	}
	die("the host is gone");
}

static _Noreturn void command_exec(const struct command *cmd, const sigset_t *mask)
{
	sigprocmask(SIG_SETMASK, mask, NULL);
	if (!cmd->cwd || chdir(cmd->cwd) < 0)
		fprintf(stderr, "vm: cannot enter '%s': %s\n", cmd->cwd, strerror(errno));
	else if (execvp(cmd->argv[0], cmd->argv) < 0)
		fprintf(stderr, "vm: cannot run '%s': %s\n", cmd->argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void command_start_tty(struct command *cmd, const sigset_t *mask)
{
	int master;

	cmd->pid = forkpty(&master, NULL, NULL, &cmd->size);
	if (cmd->pid < 0)
		die("forkpty");
	if (cmd->pid == 0)
		command_exec(cmd, mask);
	cmd->in = cmd->out = master;
	cmd->err = -1;
}

static void command_start_pipes(struct command *cmd, const sigset_t *mask)
{
	int out[2], err[2];

	/* Pipes, not ports of their own: only pipes can be opened again as /dev/stdout. */
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		die("pipe");
	cmd->pid = fork();
	if (cmd->pid < 0)
		die("fork");
	if (cmd->pid == 0) {
		int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

		setsid();
		dup2(null, STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		command_exec(cmd, mask);
	}
	close(out[1]);
	close(err[1]);
	cmd->in = -1;
	cmd->out = out[0];
	cmd->err = err[0];
}

/* Passes on one piece of output. Returns false when there is none; an ended stream becomes -1. */
static bool output_forward(int port, enum record_type type, int *fd)
{
	char buf[REC_PAYLOAD];
	ssize_t n = *fd < 0 ? -1 : read(*fd, buf, sizeof(buf));

	if (n > 0) {
		(void)record_send(port, type, buf, (size_t)n);
		return true;
	}
	if (*fd >= 0 && (n == 0 || (errno != EAGAIN && errno != EINTR)))
		*fd = -1;
	return false;
}

static void input_receive(int port, const struct command *cmd)
{
	struct record rec;

	if (!record_receive(port, &rec))
		exit(EXIT_VM);
	if (cmd->in < 0)
		return;
	if (rec.type == REC_STDIN)
		(void)write_all(cmd->in, rec.data, rec.len);
	else if (rec.type == REC_WINSIZE)
		(void)ioctl(cmd->in, TIOCSWINSZ, rec.data);
}

/* Forwards until the command has ended; children it leaves behind do not hold up the end. */
static int command_serve(int port, int sig, struct command *cmd)
{
	int status, code;

	(void)fcntl(cmd->out, F_SETFL, O_NONBLOCK);
	if (cmd->err >= 0)
		(void)fcntl(cmd->err, F_SETFL, O_NONBLOCK);
	for (;;) {
		struct pollfd p[] = {{.fd = sig, .events = POLLIN},
				     {.fd = cmd->out, .events = POLLIN},
				     {.fd = cmd->err, .events = POLLIN},
				     {.fd = port, .events = POLLIN}};

		if (poll(p, 4, -1) < 0)
			continue;
		if (p[1].revents)
			(void)output_forward(port, REC_STDOUT, &cmd->out);
		if (p[2].revents)
			(void)output_forward(port, REC_STDERR, &cmd->err);
		if (p[3].revents)
			input_receive(port, cmd);
		if (p[0].revents) {
			(void)signals_read(sig);
			if (waitpid(cmd->pid, &status, WNOHANG) == cmd->pid)
				break;
		}
	}
	/* What was written before the end is all in the pipes now: a pipe's worth, then stop. */
	for (size_t left = 1u << 20; left > 0 && output_forward(port, REC_STDOUT, &cmd->out);)
		left -= REC_PAYLOAD;
	for (size_t left = 1u << 20; left > 0 && output_forward(port, REC_STDERR, &cmd->err);)
		left -= REC_PAYLOAD;
	code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	return record_send(port, REC_EXIT, &code, sizeof(code));
}

static int guest_main(const char *path)
{
	struct command cmd = {0};
	int port, sig;
	sigset_t mask;

	port = open(path, O_RDWR | O_CLOEXEC);
	if (port < 0)
		die(path);
	command_receive(port, &cmd);
	sig = signals_open((const int[]){SIGCHLD}, 1, &mask);
	if (cmd.tty)
		command_start_tty(&cmd, &mask);
	else
		command_start_pipes(&cmd, &mask);
	return command_serve(port, sig, &cmd) < 0 ? EXIT_VM : 0;
}

/* The host's end. */

static struct termios saved_termios; /* of the caller's terminal */
static bool termios_is_saved;

static void terminal_restore(void)
{
	if (termios_is_saved)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_termios);
}

static void terminal_raw(void)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &saved_termios) < 0)
		die("--tty: standard input");
	termios_is_saved = true;
	atexit(terminal_restore);
	raw = saved_termios;
	cfmakeraw(&raw);
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

static void send_winsize(int wire)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};

	(void)ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
	(void)record_send(wire, REC_WINSIZE, &size, sizeof(size));
}

static bool env_is_passed(const char *var)
{
	size_t name = strcspn(var, "=");

	for (size_t i = 0; i < sizeof(passed_env) / sizeof(passed_env[0]); i++) {
		size_t len = strcspn(passed_env[i], "*");
		bool any_rest = passed_env[i][len] == '*';

		if ((any_rest || name == len) && strncmp(var, passed_env[i], len) == 0)
			return true;
	}
	return false;
}

static pid_t qemu_start(char **argv, int end, const sigset_t *mask)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		die("fork");
	if (pid > 0)
		return pid;
	/* A group of its own: ctrl-C is for us, not for qemu. And it never survives us. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_VM);
	sigprocmask(SIG_SETMASK, mask, NULL);
	if (end == QEMU_FD ? fcntl(end, F_SETFD, 0) < 0 : dup2(end, QEMU_FD) < 0)
		die("dup2");
	dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	execvp(argv[0], argv);
	die(argv[0]);
	_exit(EXIT_VM);
}

/* The command waits in the wire until the guest is up: a few KiB, which its buffers hold. */
static void command_send(int wire, bool tty, const char *cwd, char **argv)
{
	int r = record_send_str(wire, REC_CWD, cwd);

	for (char **e = environ; *e && r >= 0; e++)
		if (env_is_passed(*e))
			r = record_send_str(wire, REC_ENV, *e);
	for (char **a = argv; *a && r >= 0; a++)
		r = record_send_str(wire, REC_ARG, *a);
	if (tty && r >= 0)
		send_winsize(wire);
	if (r >= 0)
		r = record_send(wire, REC_START, NULL, 0);
	if (r < 0) {
		errno = -r;
		die("cannot send the command to the virtual machine");
	}
}

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* Returns the status when it is final, else -1. */
static int host_receive(int wire)
{
	struct record rec;
	int status;

	if (!record_receive(wire, &rec)) {
		fprintf(stderr, "vm: the virtual machine stopped before the command had ended\r\n");
		return EXIT_VM;
	}
	switch (rec.type) {
	case REC_STDOUT:
		/* A reader that went away (`| head`) ends us as it would have ended the command. */
		return write_all(STDOUT_FILENO, rec.data, rec.len) < 0 ? 128 + SIGPIPE : -1;
	case REC_STDERR:
		(void)write_all(STDERR_FILENO, rec.data, rec.len);
		return -1;
	case REC_EXIT:
		memcpy(&status, rec.data, sizeof(status));
		return status & 0xff;
	default:
		return EXIT_VM;
	}
}

static int host_serve(int wire, int sig, bool tty, long seconds)
{
	time_t deadline = now() + seconds;
	int status = -1;

	while (status < 0) {
		struct pollfd p[] = {{.fd = wire, .events = POLLIN},
				     {.fd = sig, .events = POLLIN},
				     {.fd = tty ? STDIN_FILENO : -1, .events = POLLIN}};
		long left = deadline - now();

		if (left <= 0) {
			fprintf(stderr, "vm: time limit of %ld s reached\r\n", seconds);
			return EXIT_TIMEOUT;
		}
		if (poll(p, 3, left < 3600 ? (int)left * 1000 : 3600000) <= 0)
			continue;
		if (p[0].revents)
			status = host_receive(wire);
		if (p[1].revents) {
			int signo = signals_read(sig);

			if (signo == SIGWINCH && tty)
				send_winsize(wire);
			else if (signo != SIGWINCH)
				return 128 + signo;
		}
		if (p[2].revents) {
			char buf[1024];
			ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

			if (n <= 0)
				return 128 + SIGHUP;
			(void)record_send(wire, REC_STDIN, buf, (size_t)n);
		}
	}
	return status;
}

static int host_main(long seconds, bool tty, const char *cwd, char **argv, char **qemu)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};
	int wire[2], sig, status;
	sigset_t mask;
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGTERM); /* tests/vm/run may be killed */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_DFL); /* a shell's background job has them ignored */
	signal(SIGQUIT, SIG_DFL);
	sig = signals_open(signals, sizeof(signals) / sizeof(signals[0]), &mask);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire) < 0)
		die("socketpair");
	pid = qemu_start(qemu, wire[1], &mask);
	close(wire[1]);
	if (tty)
		terminal_raw();
	command_send(wire[0], tty, cwd, argv);
	status = host_serve(wire[0], sig, tty, seconds);
	/* Its disk is thrown away, the host's tree is read-only: no clean power-off is needed. */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return status;
}

int main(int argc, char **argv)
{
	bool tty = argc > 3 && strcmp(argv[3], "-t") == 0;
	int at = tty ? 4 : 3, end = at + 1;

	if (argc == 3 && strcmp(argv[1], "guest") == 0)
		return guest_main(argv[2]);
	/* The words of the command are counted, for it may contain any word itself. */
	if (argc > at + 2 && strcmp(argv[1], "host") == 0) {
		long n = strtol(argv[end], NULL, 10);

		if (n > 0 && end + 1 + n < argc - 1) {
			char **qemu = argv + end + 1 + n + 1;

			argv[end + 1 + n] = NULL;
			return host_main(strtol(argv[2], NULL, 10), tty, argv[at], argv + end + 1,
					 qemu);
		}
	}
	fprintf(stderr,
		"usage: link guest PORT | link host SECONDS [-t] CWD COUNT CMD... -- QEMU...\n");
	return EXIT_VM;
}
