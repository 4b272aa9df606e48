/* SPDX-License-Identifier: Apache-2.0 */
/* Capabilities of a guest: see caps.h. */
#include "runtime/sandbox/caps.h"

#include <linux/capability.h>
#include <sys/prctl.h>

#define BIT(cap) (UINT64_C(1) << (cap))

/* What a guest's root never has, even over its own namespaces: kernel-wide powers that are useless
 * inside, or whose code is large for what a guest could gain. A nested user namespace has a full
 * set again, so this is defence in depth; ownership of namespaces is the fence. */
#define DROPPED                                                                                    \
	(BIT(CAP_SYS_MODULE) | BIT(CAP_SYS_RAWIO) | BIT(CAP_SYS_TIME) | BIT(CAP_MAC_ADMIN) |       \
	 BIT(CAP_MAC_OVERRIDE) | BIT(CAP_SYS_PACCT) | BIT(CAP_SYSLOG) | BIT(CAP_WAKE_ALARM) |      \
	 BIT(CAP_BLOCK_SUSPEND) | BIT(CAP_AUDIT_READ) | BIT(CAP_BPF) | BIT(CAP_PERFMON) |          \
	 BIT(CAP_CHECKPOINT_RESTORE))

uint64_t sbx_caps_default(void)
{
	/* Only capabilities that were looked at: what a later kernel adds starts out dropped. */
	return (BIT(CAP_CHECKPOINT_RESTORE + 1) - 1) & ~DROPPED;
}

int sbx_caps_bound(uint64_t keep, struct err *err)
{
	for (unsigned long cap = 0; cap < 64; cap++) {
		if (keep & BIT(cap))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL && cap > CAP_CHECKPOINT_RESTORE)
			return 0; /* past the kernel's last */
		return err_sys(err, "cannot drop capability %lu", cap);
	}
	return 0;
}
