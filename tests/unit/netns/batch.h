/* SPDX-License-Identifier: Apache-2.0 */
/* Batches are taken apart again. After cmocka.h. */
#pragma once

#include "netns/netlink.h"

/* Request k of a batch; all but the last have their length. */
static inline const struct nlmsghdr *message(const struct nl_batch *b, size_t k)
{
	size_t len;
	const struct nlmsghdr *m = nl_batch_data(b, &len);
	int left = (int)len;

	for (; k > 0 && mnl_nlmsg_ok(m, left); k--)
		m = mnl_nlmsg_next(m, &left);
	assert_true(mnl_nlmsg_ok(m, left));
	return m;
}
