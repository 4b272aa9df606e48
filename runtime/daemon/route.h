/* SPDX-License-Identifier: Apache-2.0 */
/* Which row of a route table a request means, by its method and its path as it was sent. */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "runtime/daemon/server.h"

#define ROUTE_ALLOW_TEXT 64u

struct route_match {
	const struct route *route;	/* NULL = none */
	char *params[ROUTE_PARAMS_MAX]; /* heap, decoded */
	char allow[ROUTE_ALLOW_TEXT];	/* "GET, DELETE": what the path offers instead; or "" */
};

/* 'path' is the request target without its query, not decoded: an escaped slash is part of a name
 * and never ends one. -ENOENT: no such path; -EPROTONOSUPPORT: another method (ret->allow says
 * which); -EINVAL: a name with a broken escape, a control character or bytes that are no UTF-8;
 * -ENOMEM. route_match_done() in every case. */
int route_find(const struct route *routes, const char *method, const char *path,
	       struct route_match *ret, struct err *err);
void route_match_done(struct route_match *m);

/* Undoes %XX in len bytes of s: heap text. -EINVAL when it is malformed or not clean UTF-8. */
int route_decode(const char *s, size_t len, char **ret);
