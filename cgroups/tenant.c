/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel holds of a tenant's ceilings. */
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cgroups/names.h"
#include "cgroups/tree.h"

#define TENANT_DEPTH 2 /* levels above a tenant's directory up to <root> */

void cg_tenant_absent(const struct cg_limits *l, struct cg_limit_status *status)
{
	for (int i = 0; i < CG_LIMIT_MAX; i++)
		status[i] = (struct cg_limit_status){.configured = l->value[i],
						     .actual = l->value[i],
						     .reason = "nothing of it runs"};
}

int cg_tenant_read(const struct cg_root *r, const char *tenant_id, const struct cg_limits *l,
		   struct cg_limit_status *status, struct err *err)
{
	_cleanup_close_ int fd = -1;

	if (!cg_is_id(tenant_id))
		return err_set(err, EINVAL, "'%s' is not a tenant id", tenant_id);
	fd = openat(r->shared, tenant_id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0)
		return cg_limits_read(fd, TENANT_DEPTH, l, status, err);
	if (errno != ENOENT)
		return err_sys(err, "cannot open the cgroup of tenant '%s'", tenant_id);
	cg_tenant_absent(l, status);
	return 0;
}
