/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Netlink: batches of requests that go out in one sendto(2), and dumps. The kernel answers within
 * the sendto, so nothing here waits. Built on libmnl. (netlink(7), rtnetlink(7),
 * Documentation/userspace-api/netlink/intro.rst)
 */
#pragma once

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* One socket; not shared between threads. */
struct nl_sock {
	int fd;
	uint32_t seq; /* of the last request */
};

#define NL_SOCK_INIT ((struct nl_sock){.fd = -1})
#define _cleanup_nl_sock_ _cleanup_(nl_sock_done)

/* Opens a socket of a protocol (NETLINK_ROUTE, NETLINK_NETFILTER ...) in the caller's network
 * namespace. Errors come with the kernel's text; dumps are checked strictly. */
int nl_sock_open(int protocol, struct nl_sock *ret, struct err *err);
/* Runs a function in the network namespace behind the fd. The calling thread, which needs
 * CAP_SYS_ADMIN there, enters it and comes back: only for programs of one thread, or where all
 * threads may see that. When the way back fails the process ends, as it would work on somebody
 * else's network. */
int nl_run_in(int netns, int (*run)(void *arg, struct err *err), void *arg, struct err *err);
/* Opens a socket in the network namespace behind the fd, in that way. */
int nl_sock_open_in(int netns, int protocol, struct nl_sock *ret, struct err *err);
/* Takes over a socket that another process opened and used; what it did not read is thrown away.
 * The fd is owned on success. -EPROTOTYPE when it is no netlink socket of this protocol. */
int nl_sock_adopt(int fd, int protocol, struct nl_sock *ret, struct err *err);
void nl_sock_done(struct nl_sock *s);

/* --- batches --------------------------------------------------------------------------------- */

/* Requests under construction. Memory that is short, or an attribute that is too long, is kept and
 * comes out of nl_batch_run(): the functions that add need no check of each step. */
struct nl_batch;

/* NULL when there is no memory; nl_batch_run() knows. */
struct nl_batch *nl_batch_new(void);
void nl_batch_free(struct nl_batch *b);
static inline void cleanup_nl_batch(struct nl_batch **b)
{
	nl_batch_free(*b);
}
#define _cleanup_nl_batch_ __attribute__((cleanup(cleanup_nl_batch)))

/* Begins the next request: its type, flags beside NLM_F_REQUEST and NLM_F_ACK, and the fixed header
 * of its kind (struct ifinfomsg ...), which is copied. The rest names it in errors: "add the route
 * to '10.0.0.2'". */
void nl_batch_add(struct nl_batch *b, uint16_t type, uint16_t flags, const void *header, size_t len,
		  const char *what, ...) __attribute__((format(printf, 6, 7)));
/* An error that makes this request none: an answer with this errno (positive) counts as success.
 * Two for each request at most. */
void nl_batch_tolerate(struct nl_batch *b, int code);
/* The request that was begun last is answered only when it fails: no acknowledgement is asked for.
 * What marks the beginning and the end of a batch of netfilter is such. */
void nl_batch_silent(struct nl_batch *b);

/* Attributes of the request that was begun last. */
void nl_put(struct nl_batch *b, uint16_t type, const void *data, size_t len);
void nl_put_u8(struct nl_batch *b, uint16_t type, uint8_t v);
void nl_put_u16(struct nl_batch *b, uint16_t type, uint16_t v);
void nl_put_u32(struct nl_batch *b, uint16_t type, uint32_t v);
void nl_put_u64(struct nl_batch *b, uint16_t type, uint64_t v);
void nl_put_string(struct nl_batch *b, uint16_t type, const char *s);
/* A nest holds what is put until nl_nest_end(); nests close in reverse order. The value is valid
 * for that call only. */
size_t nl_nest_start(struct nl_batch *b, uint16_t type);
void nl_nest_end(struct nl_batch *b, size_t nest);
/* Bytes without a header, such as the ifinfomsg within VETH_INFO_PEER. */
void nl_put_raw(struct nl_batch *b, const void *data, size_t len);

/* How many requests it has. */
size_t nl_batch_size(const struct nl_batch *b);
/* Its bytes, for tests and for batches of netfilter. */
const void *nl_batch_data(const struct nl_batch *b, size_t *ret_len);

/* Sends all and reads all answers. rtnetlink does not undo: requests behind one that failed were
 * carried out all the same. The first failure is returned, with its name and the kernel's text.
 * -ENOMEM, -EMSGSIZE when the batch could not be built: nothing was sent then. */
int nl_batch_run(struct nl_sock *s, struct nl_batch *b, struct err *err);

/* For each message of an answer. A negative number ends a dump and is returned; of a batch it is
 * returned when all is read. */
typedef int nl_visit(void *arg, const struct nlmsghdr *m, struct err *err);

/* As nl_batch_run(), for requests that are answered by more than an acknowledgement. */
int nl_batch_ask(struct nl_sock *s, struct nl_batch *b, nl_visit *visit, void *arg,
		 struct err *err);

/* --- dumps ----------------------------------------------------------------------------------- */

/* Asks for all objects of a type. A dump that was interrupted by a change (NLM_F_DUMP_INTR) begins
 * again, a few times: 'restart', where given, is called before each new beginning, so that the
 * caller can drop what it has. */
int nl_dump(struct nl_sock *s, uint16_t type, const void *header, size_t len, nl_visit *visit,
	    void (*restart)(void *arg), void *arg, const char *what, struct err *err);

/* Asks for the one object that the fixed header names; its message goes to 'visit', and no message
 * does when there is an answer but nothing to tell. -ENOENT, -ENODEV ... as the kernel says. */
int nl_get(struct nl_sock *s, uint16_t type, const void *header, size_t len, nl_visit *visit,
	   void *arg, const char *what, struct err *err);

/* --- attributes ------------------------------------------------------------------------------ */

/* Those behind the fixed header of a message, and those within one: libmnl's, without the casts
 * that take the const away. */
#define nl_attr_for_each(a, m, header_len)                                                         \
	for ((a) = mnl_nlmsg_get_payload_offset((m), (header_len)); mnl_attr_ok(                   \
		     (a), (int)((const char *)mnl_nlmsg_get_payload_tail(m) - (const char *)(a))); \
	     (a) = mnl_attr_next(a))
#define nl_attr_for_each_nested(a, nest)                                                           \
	for ((a) = mnl_attr_get_payload(nest);                                                     \
	     mnl_attr_ok((a), (int)((const char *)mnl_attr_get_payload(nest) +                     \
				    mnl_attr_get_payload_len(nest) - (const char *)(a)));          \
	     (a) = mnl_attr_next(a))
