/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters that are there before an interface's facts and after them: who counts money reads them
 * when the guest is gone, or is another.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "netns/filter.h"
#include "netns/filter_plan.h"

static int run(struct net_filter *f, bool is_new, const char (*names)[IFNAMSIZ], size_t n,
	       struct err *err)
{
	_cleanup_filter_plan_ struct filter_plan p = FILTER_PLAN_INIT;
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	int r;

	if (n == 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		struct net_filter_nic nic = {.start = NULL};

		if (!memchr(names[i], '\0', IFNAMSIZ) || !names[i][0])
			return err_set(err, EINVAL, "a counter has no name of an interface");
		memcpy(nic.name, names[i], sizeof(nic.name));
		filter_plan_counters(&p, &nic);
	}
	r = filter_plan_finish(&p, err);
	if (r < 0)
		return r;
	filter_mark(b, NFNL_MSG_BATCH_BEGIN);
	filter_requests(b, f->table, is_new, &p);
	filter_mark(b, NFNL_MSG_BATCH_END);
	return nl_batch_run(&f->sock, b, err);
}

int net_filter_count(struct net_filter *f, const char (*names)[IFNAMSIZ], size_t n, struct err *err)
{
	return run(f, true, names, n, err);
}

int net_filter_uncount(struct net_filter *f, const char (*names)[IFNAMSIZ], size_t n,
		       struct err *err)
{
	return run(f, false, names, n, err);
}

int net_filter_cookie(const struct net_filter *f, uint64_t *ret, struct err *err)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	if (getsockopt(f->sock.fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0)
		return err_sys(err, "cannot tell the packet filter's tables apart");
	*ret = cookie;
	return 0;
}
