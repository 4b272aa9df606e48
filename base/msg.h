/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed records with fd passing over SOCK_SEQPACKET unix sockets, and the encoding of their
 * payload. A record is a header {magic, type, sequence, length} and at most MSG_PAYLOAD_MAX bytes,
 * with at most MSG_FDS_MAX fds beside it. Lengths and counts are checked on receipt; surplus fds
 * are closed. Payload fields are written and read in the same order by wire_put_*() and
 * wire_get_*(): little endian integers, u32-length-prefixed byte strings.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"

#define MSG_PAYLOAD_MAX 65536u
#define MSG_FDS_MAX 64u

struct msg {
	uint32_t type; /* never 0 */
	uint32_t seq;  /* an answer carries the sequence number of its request; 0 = event */
	size_t len;    /* bytes of payload */
	size_t n_fds;
	bool received;	      /* the fds came from msg_recv() and are owned by the record */
	int fds[MSG_FDS_MAX]; /* -1 = taken */
	uint8_t payload[MSG_PAYLOAD_MAX];
};

/* A new record without payload and fds. Heap (it is 64 KiB): msg_free(). */
struct msg *msg_new(uint32_t type, uint32_t seq);
/* Closes the fds that were received and not taken, frees. NULL is fine. */
void msg_free(struct msg *m);
void msg_freep(struct msg **m);
#define _cleanup_msg_ _cleanup_(msg_freep)
/* Forgets fds and payload so that the record can be used again; closes owned fds. */
void msg_reset(struct msg *m, uint32_t type, uint32_t seq);
/* Adds an fd to send; the record does not own it (sending does not close). -EBADF for a negative
 * fd, -E2BIG when the record is full, -EINVAL on a record that still holds received fds. */
int msg_add_fd(struct msg *m, int fd);
/* Takes received fd number i; -EBADF when there is none. */
int msg_take_fd(struct msg *m, size_t i);
/* A connected pair, both ends SOCK_SEQPACKET|SOCK_CLOEXEC. */
int msg_socketpair(int ret[2], struct err *err);
/* Sends one record (MSG_NOSIGNAL); -EAGAIN on a full non-blocking socket, with nothing sent. */
int msg_send(int sock, const struct msg *m, struct err *err);
/* Receives one record into m (reset first). 1 = got one, 0 = end of file, negative errno: -EAGAIN,
 * -EPROTO for a short, truncated, foreign or oversized record. Received fds are O_CLOEXEC. */
int msg_recv(int sock, struct msg *m, struct err *err);
/* Receives one record and requires its type; a record of type 'failed' {u32 code, string text}
 * becomes *err. End of file is -EPIPE. 'failed' 0 = no such type. */
int msg_expect(int sock, struct msg *m, uint32_t type, uint32_t failed, struct err *err);

/* Writers append to the payload; when it is full the record is marked by len > MSG_PAYLOAD_MAX and
 * msg_send() refuses it with -EMSGSIZE, so that callers need not check each. */
void wire_put_u8(struct msg *m, uint8_t v);
void wire_put_u32(struct msg *m, uint32_t v);
void wire_put_u64(struct msg *m, uint64_t v);
void wire_put_bytes(struct msg *m, const void *data, size_t len);
/* NULL is sent as "". */
void wire_put_str(struct msg *m, const char *s);

/* Readers walk a cursor over a received payload; the first malformed field sets bad, and all later
 * reads give 0 or "". Check wire_done() at the end: 0, or -EPROTO for malformed or surplus bytes.
 */
struct wire {
	const uint8_t *p;
	size_t left;
	bool bad;
};

void wire_init(struct wire *w, const struct msg *m);
uint8_t wire_get_u8(struct wire *w);
uint32_t wire_get_u32(struct wire *w);
uint64_t wire_get_u64(struct wire *w);
/* Points into the record. */
const uint8_t *wire_get_bytes(struct wire *w, size_t *ret_len);
/* Points into the record: strings are sent with their NUL and must hold no other. Never NULL. */
const char *wire_get_str(struct wire *w);
/* Copies into dst; bad when it does not fit. */
void wire_get_str_to(struct wire *w, char *dst, size_t size);
int wire_done(const struct wire *w, struct err *err);
