/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's state, and its parts' calls to each other. Plain structs in lists, no callbacks:
 * what an event is for is said by the kind of its source, so that all of it can be written down and
 * read back (an upgrade by exec). Everything runs in one thread, one turn of the loop after the
 * other. No call waits for a guest, a customer or vpsd. Those on the console logs' file system wait
 * for its disk.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/err.h"
#include "base/msg.h"
#include "runtime/keeper/budget.h"
#include "runtime/keeper/console_log.h"
#include "runtime/keeper/frame.h"
#include "runtime/keeper/outbox.h"
#include "runtime/keeper/proto.h"
#include "runtime/sandbox/sandbox.h"

#define LAUNCH_LIMIT_USEC (30u * 1000000u) /* for a launch or join to come up */
#define HANGUP_LIMIT_USEC (5u * 1000000u)  /* from SIGHUP to the kill of a session's leaf */
#define CONSOLE_RATE (1024u * 1024u)	   /* bytes per second and guest */
#define CONSOLE_BURST (256u * 1024u)
#define CONSOLE_TURN (16u * 1024u) /* bytes per guest in one turn of the loop */
#define NOTIFY_RATE 2u		   /* readers of the notify socket per second and guest */
#define NOTIFY_BURST 32u
#define OPS_MAX 1024u
#define SESSIONS_MAX 8192u
#define DATA_SIZE 65536u
#define BATCH 64
/* Of a pidfd. By edge: a dead child that one of the guest's own processes traces cannot be reaped
 * before the tracer lets go, which is an edge again; until then its pidfd stays readable. */
#define PID_EVENTS ((uint32_t)EPOLLIN | (uint32_t)EPOLLET)

/* --- events ---------------------------------------------------------------------------------- */

enum source_kind {
	SOURCE_SIGNALS,
	SOURCE_LISTEN,
	SOURCE_PEER,
	SOURCE_CHILD,
	SOURCE_OP,
	SOURCE_GUEST,
	SOURCE_CONSOLE,
	SOURCE_NOTIFY,
	SOURCE_READER,
	SOURCE_ATTACH,
	SOURCE_SESSION,
	SOURCE_SESSION_PID,
	SOURCE_RELAY,
};

/* An fd in the epoll set. fd -1 = not there. */
struct source {
	int fd;
	enum source_kind kind;
	uint32_t events;
};

#define SOURCE_INIT ((struct source){.fd = -1})

enum timer_kind {
	TIMER_OP,
	TIMER_CONSOLE,
	TIMER_NOTIFY,
	TIMER_SESSION,
	TIMER_DROP,
	TIMER_STRAYS,
};

struct timer {
	struct timer *next; /* sorted by time */
	uint64_t at;
	enum timer_kind kind;
	bool is_set;
};

#define containing(pointer, type, member)                                                          \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* --- objects --------------------------------------------------------------------------------- */

/* A customer attached to a console. */
struct attach {
	struct attach *next;
	struct guest *guest;
	struct source sock;
	bool is_readonly;
	bool is_blocked; /* its input waits for the console to take it */
	struct frame_parser parser;
	uint8_t *early; /* input that came with the request */
	size_t early_len, early_used;
	uint8_t *rest; /* rest of a frame that the socket did not take yet */
	size_t rest_len, rest_used;
	uint64_t lost; /* bytes of output since */
};

/* Where a guest says that it is ready. */
struct notify {
	struct source sock;   /* not polled while a reader is at work */
	struct source answer; /* of the reader: one byte, whether READY=1 was there */
	pid_t reader;	      /* 0 = none */
	struct timer timer;   /* the reader's limit, or when the next may be forked */
	struct budget budget;
};

struct guest {
	struct guest *next;
	struct keeper_guest info;
	bool is_exit_told, is_ready_told; /* to the present peer */
	bool is_listed;			  /* in the listing under way */
	struct source pid;
	struct source console;
	struct notify notify;
	struct timer console_timer;
	struct budget console_budget;
	int console_slave; /* held open, else the master hangs up whenever the guest closes all */
	bool is_throttled;
	bool is_input_blocked;
	struct console_log log;
	struct attach *attached;
};

/* An exec session. */
struct session {
	struct session *next;
	char id[ID_TEXT];
	uint32_t mode; /* enum keeper_session_mode */
	bool is_hung_up;
	struct source sock;  /* the customer; PASS_FDS */
	struct source relay; /* control socket of the relay; FRAMED */
	struct source pid;
	pid_t leader;
	struct timer limit;
	int leaf;     /* cgroup dirfd */
	int outer[3]; /* our ends of stdin, stdout, stderr until they are handed on */
	struct frame_parser parser;
	uint8_t *early;
	size_t early_len;
};

/* A launch or join under way. */
struct op {
	struct op *next;
	struct sbx_pending pending;
	struct source sock; /* does not own: pending.sock */
	struct timer limit;
	uint32_t seq;		 /* of the request */
	uint64_t peer;		 /* generation of who asked */
	int cgroup;		 /* of the launch, to kill what a failed one left */
	struct session *session; /* NULL = launch */
	char id[ID_TEXT];
	uint64_t boot;
	uint64_t log_max;
	int log_dir;
};

/* A child to be reaped and nothing else: helpers, relays. */
struct child {
	struct child *next;
	struct source pid;
	pid_t id;
};

/* An fd to be closed by another process than this. */
struct drop {
	struct drop *next;
	int fd;	      /* -1 = the holder's alone */
	pid_t holder; /* 0 = none could be forked yet */
	struct timer timer;
};

struct held {
	struct held *next;
	int fd;
	char key[64];
};

/* vpsd. */
struct peer {
	struct source sock;
	uint64_t generation; /* 0 = nobody yet; counts connections */
	bool is_greeted;
	bool is_broken; /* to be dropped at the end of this turn */
	struct outbox out;
	uint32_t list_seq; /* 0 = no listing under way */
	uint32_t list_items;
};

/* Mapped so that forked children find zeros: what passes through here of one guest is not in the
 * memory of another's processes-to-be. What waits for a customer is (attach.early, attach.rest), in
 * helpers and joiners until they execute, and in relays, none of which can be traced. */
struct buffers {
	struct msg in;
	struct msg out;
	uint8_t data[DATA_SIZE];
};

struct keeper {
	int epoll;
	int reserve; /* given up when fds have run out, to be able to refuse a connection */
	bool is_stopping;
	uint64_t now; /* monotonic microseconds, of this turn */
	struct buffers *buffers;
	struct timer *timers;
	struct epoll_event batch[BATCH];
	int n_batch;
	struct source signals;
	struct source listen;
	struct peer peer;
	struct guest *guests;
	struct session *sessions;
	struct op *ops;
	struct child *children;
	struct drop *drops;
	struct held *held;
	size_t n_sessions, n_ops, n_held;
	struct timer strays;
	uint64_t strays_pause;
};

/* --- loop.c ---------------------------------------------------------------------------------- */

int keeper_init(struct keeper *k, struct err *err);
/* Runs until k->is_stopping. */
int keeper_run(struct keeper *k, struct err *err);
/* Watches fd, which the source owns from a success on. */
int source_add(struct keeper *k, struct source *s, enum source_kind kind, int fd, uint32_t events,
	       struct err *err);
void source_want(struct keeper *k, struct source *s, uint32_t events);
/* No longer watched, and not closed; the fd. */
int source_drop(struct keeper *k, struct source *s);
void source_close(struct keeper *k, struct source *s);
void timer_set(struct keeper *k, struct timer *t, enum timer_kind kind, uint64_t at);
void timer_clear(struct keeper *k, struct timer *t);

/* --- child.c --------------------------------------------------------------------------------- */

/* Reaps the child when it ends; it must not have been reaped. */
void child_watch(struct keeper *k, pid_t pid);
void child_event(struct keeper *k, struct child *c);
/* The wait(2) status of our child if it has ended: 1, 0 = not yet, -ECHILD = not our child. */
int child_reap(pid_t pid, uint32_t *ret_status);
/* Looks for children that nobody watches, now and then from here on: fds or memory had run out, or
 * a helper died before it told of a child. */
void strays_look(struct keeper *k);
void strays_reap(struct keeper *k);

/* --- op.c: launches and joins under way ------------------------------------------------------ */

/* Takes ownership of op and pending. */
void op_begin(struct keeper *k, struct op *op, struct sbx_pending *pending);
void op_event(struct keeper *k, struct op *op);
void op_expired(struct keeper *k, struct op *op);
bool op_find(const struct keeper *k, const char *id);

/* --- guest.c --------------------------------------------------------------------------------- */

struct guest *guest_find(const struct keeper *k, const char *id);
/* The running guest of this boot, or -ESRCH. */
int guest_get(const struct keeper *k, const char *id, uint64_t boot, struct guest **ret,
	      struct err *err);
int guest_launch(struct keeper *k, struct msg *m, struct wire *w, struct err *err);
int guest_adopt(struct keeper *k, struct msg *m, struct wire *w, struct err *err);
int guest_signal(struct keeper *k, struct msg *m, struct wire *w, struct err *err);
int guest_forget(struct keeper *k, struct msg *m, struct wire *w, struct err *err);
/* A launch came up; takes what it wants of 'started'. */
int guest_started(struct keeper *k, struct op *op, struct sbx_started *started, struct err *err);
void guest_event(struct keeper *k, struct guest *g);
void guest_notify_answer(struct keeper *k, struct guest *g);
void guest_notify_expired(struct keeper *k, struct guest *g);

/* --- notify.c -------------------------------------------------------------------------------- */

void notify_init(struct keeper *k, struct notify *n);
/* Watches *fd, which is taken then. */
int notify_watch(struct keeper *k, struct notify *n, int *fd, struct err *err);
void notify_event(struct keeper *k, struct notify *n);
/* The reader said something or died. True: the guest is ready, and the socket has been given up. */
bool notify_answer(struct keeper *k, struct notify *n);
/* False: the reader has not come back, and the socket has been given up. */
bool notify_expired(struct keeper *k, struct notify *n);
/* Gives up the socket, with whatever is in it. */
void notify_end(struct keeper *k, struct notify *n);

/* --- drop.c ---------------------------------------------------------------------------------- */

/* Closes fd (-1 = none), in which a guest may have queued something, without ever having to wait
 * for what that does. */
void drop_fd(struct keeper *k, int fd);
void drop_expired(struct keeper *k, struct drop *d);
/* Has it reaped, and frees. */
void drop_holder_ended(struct keeper *k, struct drop *d);

/* --- console.c ------------------------------------------------------------------------------- */

void console_event(struct keeper *k, struct guest *g, uint32_t events);
void console_resume(struct keeper *k, struct guest *g);
/* The guest has ended: reads what is left, tells and drops who is attached, closes. */
void console_end(struct keeper *k, struct guest *g);
int console_attach(struct keeper *k, struct msg *m, struct wire *w, struct err *err);
void attach_event(struct keeper *k, struct attach *a, uint32_t events);
/* Sends a last frame to a customer whose socket has never been written to, and closes. */
void customer_refuse(int sock, const struct err *why);
void customer_send(int sock, const void *data, size_t len);
/* Takes the customer's socket and early bytes out of a request. */
int customer_take(struct msg *m, struct wire *w, int *ret_sock, uint8_t **ret_early,
		  size_t *ret_len, struct err *err);

/* --- session.c ------------------------------------------------------------------------------- */

int session_exec(struct keeper *k, struct msg *m, struct wire *w, struct err *err);
void session_started(struct keeper *k, struct op *op, struct sbx_joined *joined);
void session_failed(struct keeper *k, struct session *s, const struct err *why);
void session_event(struct keeper *k, struct session *s);
void session_pid_event(struct keeper *k, struct session *s);
void session_relay_event(struct keeper *k, struct session *s);
void session_expired(struct keeper *k, struct session *s);

/* --- held.c ---------------------------------------------------------------------------------- */

int held_hold(struct keeper *k, struct msg *m, struct wire *w, struct err *err);
int held_unhold(struct keeper *k, struct msg *m, struct wire *w, struct err *err);
int held_get(struct keeper *k, struct msg *m, struct wire *w, struct err *err);

/* --- server.c -------------------------------------------------------------------------------- */

void server_accept(struct keeper *k);
void server_event(struct keeper *k, uint32_t events);
/* Once a turn: tells what is not told yet, goes on with a listing, drops a broken peer. */
void server_pump(struct keeper *k);
/* A record to vpsd, if it is still the one who asked; 'generation' 0 = whoever is there. */
struct msg *server_begin(struct keeper *k, uint32_t type, uint32_t seq);
void server_send(struct keeper *k, uint64_t generation);
void server_fail(struct keeper *k, uint64_t generation, uint32_t seq, const struct err *why);
