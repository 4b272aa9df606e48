/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of CPUs as text. */
#include <string.h>

#include "base/num.h"
#include "base/str.h"
#include "cgroups/cpuset.h"

int cg_cpus_format(const cpu_set_t *cpus, char *dst, size_t size)
{
	size_t len = 0;

	dst[0] = '\0';
	for (int first = 0; first < CPU_SETSIZE; first++) {
		int last = first, r;

		if (!CPU_ISSET((size_t)first, cpus))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET((size_t)last + 1, cpus))
			last++;
		r = first == last ? str_fmt(dst + len, size - len, "%s%d", len ? "," : "", first)
				  : str_fmt(dst + len, size - len, "%s%d-%d", len ? "," : "", first,
					    last);
		if (r < 0)
			return -ERANGE;
		len += strlen(dst + len);
		first = last;
	}
	return 0;
}

int cg_cpus_parse(const char *text, cpu_set_t *ret)
{
	CPU_ZERO(ret);
	while (*text != '\0' && *text != '\n') {
		uint64_t first, last;

		if (num_scan_u64(text, &text, &first) < 0)
			return -EBADMSG;
		last = first;
		if (*text == '-' && num_scan_u64(text + 1, &text, &last) < 0)
			return -EBADMSG;
		if (last < first || (*text != ',' && *text != '\0' && *text != '\n'))
			return -EBADMSG;
		if (last >= CPU_SETSIZE)
			return -ERANGE;
		for (; first <= last; first++)
			CPU_SET((size_t)first, ret);
		if (*text == ',' && text[1] != '\0' && text[1] != '\n')
			text++;
		else if (*text == ',')
			return -EBADMSG;
	}
	return 0;
}
