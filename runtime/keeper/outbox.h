/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue of records for a peer that does not read fast enough. A record that cannot be
 * sent at once is kept in its own length, with duplicates of its fds.
 */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "base/msg.h"

struct outbox_item;

struct outbox {
	struct outbox_item *head, *tail;
	size_t n;
	size_t max; /* records */
};

#define OUTBOX_INIT(max_) ((struct outbox){.max = (max_)})

void outbox_done(struct outbox *o);
/* Sends m, or queues it behind what waits. -ENOBUFS: the queue is full. Other failures are those
 * of msg_send(): the connection is then of no more use. */
int outbox_send(struct outbox *o, int sock, const struct msg *m, struct err *err);
/* Sends what it can; 'scratch' is overwritten. 0, also when something is left. */
int outbox_flush(struct outbox *o, int sock, struct msg *scratch, struct err *err);
