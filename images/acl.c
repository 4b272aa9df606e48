/* SPDX-License-Identifier: Apache-2.0 */
/* linux/posix_acl_xattr.h: a version word, then {tag, permissions, id}, all little endian. */
#include "images/acl.h"

#define VERSION 2u
#define HEADER_BYTES 4u
#define ENTRY_BYTES 8u
#define ID_MAX 65535u

static uint32_t get_le(const unsigned char *p, size_t n)
{
	uint32_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return v;
}

static int parse_entry(const unsigned char *p, struct img_acl_entry *ret)
{
	uint32_t tag = get_le(p, 2), perm = get_le(p + 2, 2), id = get_le(p + 4, 4);

	switch (tag) {
	case IMG_ACL_USER:
	case IMG_ACL_GROUP:
		if (id > ID_MAX)
			return -EBADMSG;
		break;
	case IMG_ACL_USER_OBJ:
	case IMG_ACL_GROUP_OBJ:
	case IMG_ACL_MASK:
	case IMG_ACL_OTHER:
		id = 0; /* -1 on disk, without meaning */
		break;
	default:
		return -EBADMSG;
	}
	if (perm > 7)
		return -EBADMSG;
	*ret = (struct img_acl_entry){(enum img_acl_tag)tag, perm, id};
	return 0;
}

int img_acl_parse(const void *data, size_t len, struct img_acl_entry ret[IMG_ACL_MAX],
		  struct err *err)
{
	const unsigned char *p = data;
	size_t n = len < HEADER_BYTES ? 0 : (len - HEADER_BYTES) / ENTRY_BYTES;

	if (len < HEADER_BYTES || (len - HEADER_BYTES) % ENTRY_BYTES != 0 || n > IMG_ACL_MAX ||
	    get_le(p, 4) != VERSION)
		return err_set(err, EBADMSG, "the archive holds a malformed access control list");
	for (size_t i = 0; i < n; i++)
		if (parse_entry(p + HEADER_BYTES + i * ENTRY_BYTES, &ret[i]) < 0)
			return err_set(err, EBADMSG,
				       "the archive holds a malformed access control list");
	return (int)n;
}
