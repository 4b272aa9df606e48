/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traffic control as netlink messages: a queue that sends at a rate, with a fair queue within, and
 * a redirection of what comes in. Built into batches and read back. (tc-htb(8), tc-fq_codel(8),
 * tc-u32(8), tc-mirred(8), linux/pkt_sched.h)
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "netns/netlink.h"

/* What a rate means in sizes. */
struct tc_sizes {
	uint64_t rate;		   /* bytes per second */
	uint32_t burst;		   /* bytes that may leave at once */
	uint32_t quantum;	   /* bytes, of no meaning with one class, but it has to be there */
	uint32_t packets;	   /* that wait in the fair queue */
	uint32_t memory;	   /* bytes, with what the kernel needs around a packet */
	uint32_t target, interval; /* of CoDel, us */
};

/* Of a rate in bits per second, and of a link with that MTU. */
struct tc_sizes tc_sizes(uint64_t bits, uint32_t mtu);

/* Gives the queue of what leaves by the link its rate, and loses nothing of what waits in it.
 * -ENOENT from the run: there is no such queue yet. */
void tc_add_rate(struct nl_batch *b, int link, const struct tc_sizes *t);
/* Makes that queue, without a rate, in the place of another. -ENOENT from the run: the kernel
 * cannot do it. */
void tc_add_shaper(struct nl_batch *b, int link);
/* Puts the fair queue into it, unless it is there, and gives it the sizes. -ENOENT from the run:
 * the kernel has none, and packets wait in a plain one. */
void tc_add_fair(struct nl_batch *b, int link, const struct tc_sizes *t);
/* Takes the queue away, with what waits in it. None is no error. */
void tc_del_shaper(struct nl_batch *b, int link);

/* What comes in by the link goes to the queue of another one first. -ENOENT from the run: the
 * kernel cannot do it. */
void tc_add_redirect(struct nl_batch *b, int link, int to);
/* None is no error. */
void tc_del_redirect(struct nl_batch *b, int link);

/* What the kernel has for a link; -ENODEV without such a link. */
struct tc_state {
	uint64_t rate; /* bytes per second; 0 = what leaves is not held back */
	bool is_fair;
	uint64_t drops; /* packets, since the queue was made */
};
#define TC_STATE_INIT ((struct tc_state){.rate = 0})
int tc_read_shaper(struct nl_sock *s, int link, struct tc_state *ret, struct err *err);
/* The link to which it is redirected, or one of these: it is not, or to a link that is gone. */
#define TC_REDIRECT_NONE (-1)
#define TC_REDIRECT_GONE 0
int tc_read_redirect(struct nl_sock *s, int link, int *ret_to, struct err *err);

/* What one message of the kernel says of it; others say nothing. (nl_visit) */
int tc_take_rate(void *state, const struct nlmsghdr *m, struct err *err);
int tc_take_fair(void *state, const struct nlmsghdr *m, struct err *err);
int tc_take_redirect(void *to, const struct nlmsghdr *m, struct err *err);
