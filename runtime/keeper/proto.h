/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records between vpsd and vps-keeper, over a SOCK_SEQPACKET unix socket (base/msg.h). vpsd is
 * the only client; a newer connection replaces the older one. Requests carry a sequence number that
 * the answer repeats; events have sequence 0. One instance has at most one guest at a time, named
 * by instance id; each start has a boot number, counted by vpsd, so that a late report of an
 * earlier boot is never taken for the present one.
 *
 * record          payload                                            fds
 * HELLO           u32 protocol                                       -
 * HELLO_ACK       u32 protocol, u32 pid, str version                 -
 * LAUNCH          str id, u64 boot, u64 log_max, sbx_launch          log dir, then launch fds
 * LAUNCHED        str id, u64 boot, u32 pid, u64 start, str warning  pidfd, console master
 * EXEC            str id, u64 boot, u32 mode, bytes early, sbx_join  client socket, join fds
 * EXEC_STARTED    str id, u32 pid                                    -
 * CONSOLE         str id, u64 boot, u32 flags, bytes early           client socket
 * ADOPT           str id, u64 boot, u32 pid, u64 start, u64 log_max  log dir[, console master]
 *                                                                    -> LAUNCHED
 * LIST            -                                                  -
 * LIST_ITEM       str id, u64 boot, u32 pid, u64 start, u8 ready,    pidfd while it runs,
 *                 u8 how, u32 wait status                            then console master if any
 * LIST_END        u32 items                                          -
 * SIGNAL          str id, u64 boot, u32 signo (to init)              -
 * FORGET          str id, u64 boot (exit is recorded; drop it)       -
 * HOLD            str key (keep fd alive; same key replaces)         fd
 * UNHOLD          str key                                            -
 * HELD            str key (asks for a duplicate)                     -> HELD_ACK, fd
 * OK              -                                                  -
 * FAILED          u32 code, str text                                 -
 * EV_EXITED       str id, u64 boot, u32 wait status, u8 how          -
 * EV_READY        str id, u64 boot                                   -
 *
 * CONSOLE, SIGNAL, FORGET, HOLD and UNHOLD are answered by OK; any request by FAILED. 'early' is
 * what vpsd had already read from the customer's socket behind the HTTP request.
 *
 * A HELLO of another protocol is answered by FAILED, which names both, and so is all that follows.
 * Protocol 2: sbx_launch has views, a gate and files, and its nodes are always there; LAUNCHED has
 * a warning.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/msg.h"
#include "base/rand.h"

#define KEEPER_PROTOCOL 2u

enum keeper_record {
	KEEPER_HELLO = 0x4b01,
	KEEPER_HELLO_ACK,
	KEEPER_LAUNCH,
	KEEPER_LAUNCHED,
	KEEPER_EXEC,
	KEEPER_EXEC_STARTED,
	KEEPER_CONSOLE,
	KEEPER_ADOPT,
	KEEPER_LIST,
	KEEPER_LIST_ITEM,
	KEEPER_LIST_END,
	KEEPER_SIGNAL,
	KEEPER_FORGET,
	KEEPER_HOLD,
	KEEPER_UNHOLD,
	KEEPER_HELD,
	KEEPER_HELD_ACK,
	KEEPER_OK,
	KEEPER_FAILED,
	KEEPER_EV_EXITED,
	KEEPER_EV_READY,
};

/* How a guest ended, from its init's wait status (reboot(2) in a pid namespace: pid_namespaces(7)).
 */
enum keeper_exit {
	KEEPER_EXIT_NONE,     /* still running */
	KEEPER_EXIT_REBOOT,   /* reboot(2) RESTART: killed by SIGHUP */
	KEEPER_EXIT_POWEROFF, /* reboot(2) POWER_OFF or HALT: killed by SIGINT */
	KEEPER_EXIT_KILLED,   /* any other signal, cgroup.kill included */
	KEEPER_EXIT_CODE,     /* init returned */
	KEEPER_EXIT_UNKNOWN,  /* adopted guest, its status went to pid 1 */
	KEEPER_EXIT_MAX,
};

struct keeper_guest {
	char id[ID_TEXT];
	uint64_t boot;
	uint32_t pid;
	uint64_t start;
	bool ready;
	uint8_t how;	 /* enum keeper_exit */
	uint32_t status; /* wait(2) status when it ended */
};

void keeper_guest_put(struct msg *m, const struct keeper_guest *g);
void keeper_guest_get(struct wire *w, struct keeper_guest *ret);
/* From the wait(2) status of a guest's init. */
enum keeper_exit keeper_classify(uint32_t status);
/* What a shell would say: the exit code, or 128 + the signal. */
uint32_t keeper_exit_code(uint32_t status);
/* ID_TEXT - 1 lower-case hex digits. */
bool keeper_is_id(const char *s);

/*
 * Exec and console sessions. The client's socket is a stream socket on which the HTTP answer
 * "101 Switching Protocols" has already been sent; from then on it carries frames in both
 * directions: { u8 type, u8 zero[3], u32 length, big endian } and at most KEEPER_FRAME_MAX bytes.
 *
 * mode PASS_FDS (unix sockets only): the keeper answers with one FRAME_STARTED frame that carries
 * fds (SCM_RIGHTS): the pty master (tty), or the outer ends of stdin, stdout, stderr. Data flows
 * through those; SIGNAL comes as a frame, EXIT ends the session. Window size: TIOCSWINSZ on the
 * master.
 * mode FRAMED: data flows as frames too, relayed by a helper process of this session.
 */
enum keeper_session_mode {
	KEEPER_MODE_PASS_FDS,
	KEEPER_MODE_FRAMED,
};

#define KEEPER_CONSOLE_READONLY 1u
#define KEEPER_FRAME_MAX 65536u

enum keeper_frame {
	FRAME_STDIN = 1, /* client -> guest; zero length = end of file */
	FRAME_STDOUT,	 /* guest -> client; console output too */
	FRAME_STDERR,
	FRAME_WINSIZE, /* u16 rows, u16 columns, big endian */
	FRAME_SIGNAL,  /* u32 signal number, big endian: to the session's process group */
	FRAME_STARTED, /* u32 pid as the host sees it */
	FRAME_EXIT,    /* u32 exit code (128 + n when killed by signal n); last frame */
	FRAME_ERROR,   /* u32 errno, then text; last frame (126 and 127 are the client's) */
};
