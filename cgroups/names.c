/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of names, and ids. */
#include "cgroups/names.h"

#include <string.h>

#include "base/rand.h"

bool cg_names_has(const char *list, const char *name)
{
	size_t len = strlen(name);

	while (*list) {
		size_t n = strcspn(list, " ,\n");

		if (n == len && n > 0 && strncmp(list, name, n) == 0)
			return true;
		list += n;
		list += *list != '\0';
	}
	return false;
}

bool cg_is_id(const char *s)
{
	return s && strlen(s) == ID_TEXT - 1 && strspn(s, "0123456789abcdef") == ID_TEXT - 1;
}

void cg_err_clear(struct err *err)
{
	if (err)
		*err = ERR_INIT;
}
