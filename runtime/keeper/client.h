/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of vps-keeper, for vpsd: requests with completions over the keeper's socket. It never
 * blocks and knows no event loop: the owner polls keeper_client_fd() for
 * keeper_client_poll_events() and calls keeper_client_process() when something is there (POLL* and
 * EPOLL* values are the same).
 *
 * Every request that returned 0 gets its completion exactly once: with the answer, or with EPIPE
 * when the connection is lost or the client is freed. A request that returned a negative errno
 * gets none. Completions and events are called from keeper_client_process() and
 * keeper_client_free() only, never from within a request. They may make further requests; they must
 * not free the client.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "runtime/keeper/proto.h"
#include "runtime/sandbox/sandbox.h"

/* Requests under way at once; more are refused with -EBUSY. */
#define KEEPER_CLIENT_PENDING_MAX 4096u

struct keeper_client;

/* What the keeper tells unasked. Any may be NULL. Exits and readiness of guests that happened while
 * nobody was connected are found by keeper_client_list() and may be reported here as well: judge
 * them by id and boot. */
struct keeper_events {
	/* The keeper speaks our protocol. */
	void (*connected)(void *userdata, uint32_t pid, const char *version);
	/* The guest's init ended; 'status' as of wait(2) (0 when 'how' is KEEPER_EXIT_UNKNOWN). The
	 * keeper keeps this until keeper_client_forget(). */
	void (*exited)(void *userdata, const char *id, uint64_t boot, uint32_t status,
		       enum keeper_exit how);
	/* The guest's init said READY=1. At most once for each boot. */
	void (*ready)(void *userdata, const char *id, uint64_t boot);
};

/* A successful answer. The fds belong to the client, which closes what the completion left: keep
 * one by take_fd(&reply->pidfd). */
struct keeper_reply {
	uint32_t pid;	/* launch, exec (as the host sees it), adopt */
	uint64_t start; /* launch, adopt: start time, clock ticks since boot */
	int pidfd;	/* launch, adopt; else -1 */
	int console;	/* launch: pty master (adopt: when one was given); else -1 */
	int fd;		/* held: the fd; else -1 */
	uint32_t items; /* list: how many there were */
	/* launch: which file could not be written into the guest, and why; "" or NULL = none. Lives
	 * as long as the call. */
	const char *warning;
};

/* Exactly one of reply and err is NULL. err->code: errno of the failure; EPIPE = connection lost,
 * what became of the request is then not known: see keeper_client_list() of the next connection. */
typedef void (*keeper_done_fn)(void *userdata, struct keeper_reply *reply, const struct err *err);

/* One guest of a listing; fds as in keeper_reply. Both are -1 when the guest has ended. */
struct keeper_item {
	struct keeper_guest guest;
	int pidfd;
	int console;
};

typedef void (*keeper_item_fn)(void *userdata, struct keeper_item *item);

/* Who to call when a request is done. done may be NULL. */
struct keeper_call {
	keeper_done_fn done;
	void *userdata;
};

/* Connects and queues HELLO. 'events' is copied. -ECONNREFUSED or -ENOENT: no keeper there. */
int keeper_client_connect(const char *path, const struct keeper_events *events, void *userdata,
			  struct keeper_client **ret, struct err *err);
/* The same over a connected SOCK_SEQPACKET socket, which the client owns from a success on. */
int keeper_client_attach(int sock, const struct keeper_events *events, void *userdata,
			 struct keeper_client **ret, struct err *err);
/* Completes what is pending with EPIPE, closes, frees. NULL is fine. */
void keeper_client_free(struct keeper_client *c);

/* The socket to poll; constant over the client's life. */
int keeper_client_fd(const struct keeper_client *c);
/* POLLIN, and POLLOUT while records wait to be sent. Ask after each request and each process(). */
short keeper_client_poll_events(const struct keeper_client *c);
/* Sends what is queued and handles what has come, bounded per call. 0, or a negative errno when the
 * connection is lost (-EPIPE) or broken (-EPROTO): all pending completions have then been called
 * and nothing is left to do but keeper_client_free(). */
int keeper_client_process(struct keeper_client *c, struct err *err);

/* One start. 'log_max' 0 = keep no console log (the directory is passed all the same). The fds are
 * borrowed until the call returns. */
struct keeper_launch {
	const char *id;
	uint64_t boot;
	uint64_t log_max; /* bytes of console.log before it becomes console.log.1 */
	int log_dir;	  /* directory fd, not O_PATH */
	const struct sbx_launch *launch;
};

int keeper_client_launch(struct keeper_client *c, const struct keeper_launch *l,
			 struct keeper_call call, struct err *err);

/* A stream socket of a customer, on which "101 Switching Protocols" has been sent, and what was
 * already read from it behind the request. The caller closes its own copy after the completion (or
 * at once: the record carries a duplicate). On failure the keeper has not used the socket. */
struct keeper_stream {
	int sock;
	const void *early;
	size_t early_len; /* at most KEEPER_EARLY_MAX */
};

#define KEEPER_EARLY_MAX 16384u

/* Runs a command. join->pidfd and join->stdio are not used (the keeper has its own); pass -1. The
 * reply comes when the command runs; its end is told to the customer, not here. When the join
 * failed, the customer has got FRAME_ERROR and the completion the same error. */
int keeper_client_exec(struct keeper_client *c, const char *id, uint64_t boot,
		       enum keeper_session_mode mode, const struct keeper_stream *stream,
		       const struct sbx_join *join, struct keeper_call call, struct err *err);
/* Attaches a customer to the console. 'flags': KEEPER_CONSOLE_READONLY. */
int keeper_client_console(struct keeper_client *c, const char *id, uint64_t boot, uint32_t flags,
			  const struct keeper_stream *stream, struct keeper_call call,
			  struct err *err);

/* A guest that an earlier keeper started. ESRCH: it is gone. 'console' may be -1. */
struct keeper_adopt {
	const char *id;
	uint64_t boot;
	uint32_t pid;
	uint64_t start;
	uint64_t log_max;
	int log_dir;
	int console;
};

int keeper_client_adopt(struct keeper_client *c, const struct keeper_adopt *a,
			struct keeper_call call, struct err *err);

/* All guests the keeper knows, those that ended and were not forgotten included: item() for each,
 * then the completion. One listing at a time (EBUSY in the completion). */
int keeper_client_list(struct keeper_client *c, keeper_item_fn item, struct keeper_call call,
		       struct err *err);
/* Signals the guest's init. ESRCH in the completion: it has ended, or is of another boot. */
int keeper_client_signal(struct keeper_client *c, const char *id, uint64_t boot, int signo,
			 struct keeper_call call, struct err *err);
/* The exit is recorded. EBUSY in the completion: the guest still runs. */
int keeper_client_forget(struct keeper_client *c, const char *id, uint64_t boot,
			 struct keeper_call call, struct err *err);

#define KEEPER_KEY_MAX 63u     /* length of a key */
#define KEEPER_HELD_MAX 65536u /* one of each guest, and room */

/* Keeps a duplicate of fd alive under a key; the same key replaces. ENOSPC: KEEPER_HELD_MAX. */
int keeper_client_hold(struct keeper_client *c, const char *key, int fd, struct keeper_call call,
		       struct err *err);
/* ENOENT in the completion: no such key. */
int keeper_client_unhold(struct keeper_client *c, const char *key, struct keeper_call call,
			 struct err *err);
/* Gets a duplicate back as reply->fd. ENOENT in the completion: no such key. */
int keeper_client_held(struct keeper_client *c, const char *key, struct keeper_call call,
		       struct err *err);
