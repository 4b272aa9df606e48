/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX ACLs as the kernel keeps them in system.posix_acl_access and _default. Some tools (tar
 * --xattrs, mmdebstrap) store these bytes in archives, and libarchive passes over them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define IMG_ACL_MAX 64 /* entries of one list */

enum img_acl_tag {
	IMG_ACL_USER_OBJ = 0x01,
	IMG_ACL_USER = 0x02,
	IMG_ACL_GROUP_OBJ = 0x04,
	IMG_ACL_GROUP = 0x08,
	IMG_ACL_MASK = 0x10,
	IMG_ACL_OTHER = 0x20,
};

struct img_acl_entry {
	enum img_acl_tag tag;
	unsigned perm; /* rwx as 0..7 */
	uint32_t id;   /* of IMG_ACL_USER and IMG_ACL_GROUP, 0..65535 */
};

/* Number of entries, or -EBADMSG: wrong size, version, tag, permission or id, or too many. */
int img_acl_parse(const void *data, size_t len, struct img_acl_entry ret[IMG_ACL_MAX],
		  struct err *err);
