/* SPDX-License-Identifier: Apache-2.0 */
/* Names of archive entries. The chroot is what holds; this makes honest errors of dishonest names.
 */
#include "images/archive_path.h"

#include <limits.h>
#include <string.h>

#include "base/str.h"

#define SHOWN 120 /* bytes of a foreign name in a message */

static int refuse(const char *name, int code, const char *why, struct err *err)
{
	char shown[SHOWN];

	str_escape(shown, sizeof(shown), name);
	return err_set(err, code, "archive entry '%s': %s", shown, why);
}

int img_archive_path(const char *name, unsigned max_depth, char ret[IMG_PATH_MAX], struct err *err)
{
	const char *p = name;
	unsigned depth = 0;
	size_t used = 0;
	char out[IMG_PATH_MAX];

	if (*p == '\0')
		return refuse(name, EBADMSG, "it has no name", err);
	while (*p) {
		size_t len = strcspn(p, "/");
		const char *part = p;

		p += len + (p[len] == '/');
		if (len == 0 || (len == 1 && part[0] == '.'))
			continue;
		if (len == 2 && part[0] == '.' && part[1] == '.')
			return refuse(name, EXDEV, "its name leads out of the image by '..'", err);
		if (len > NAME_MAX || used + len + 2 > sizeof(out))
			return refuse(name, EOVERFLOW, "its name is too long", err);
		if (++depth > max_depth)
			return refuse(name, EOVERFLOW, "its directories are nested too deep", err);
		if (used > 0)
			out[used++] = '/';
		memcpy(out + used, part, len);
		used += len;
	}
	if (used == 0)
		out[used++] = '.';
	out[used] = '\0';
	memcpy(ret, out, used + 1);
	return 0;
}
