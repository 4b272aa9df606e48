/* SPDX-License-Identifier: Apache-2.0 */
/* cpuset.cpus: lists, and one write that is checked. */
#include "cgroups/cpuset.h"

#include <string.h>

#include "base/file.h"
#include "base/num.h"
#include "base/str.h"

#define CPUS_FILE "cpuset.cpus"
#define EFFECTIVE_FILE "cpuset.cpus.effective"

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

static int read_cpus(int dirfd, const char *file, cpu_set_t *ret, struct err *err)
{
	char text[CG_CPUS_TEXT];
	ssize_t n = file_read_short_at(dirfd, file, text, sizeof(text), err);
	int r;

	if (n < 0)
		return (int)n;
	r = cg_cpus_parse(text, ret);
	return r < 0 ? err_set(err, -r, "cannot understand '%s' in '%s'", text, file) : 0;
}

int cg_cpus_effective(int dirfd, cpu_set_t *ret, struct err *err)
{
	return read_cpus(dirfd, EFFECTIVE_FILE, ret, err);
}

int cg_cpus_get(int dirfd, cpu_set_t *ret, struct err *err)
{
	return read_cpus(dirfd, CPUS_FILE, ret, err);
}

static int check_held(int dirfd, const char *file, const cpu_set_t *want, struct err *err)
{
	char held[CG_CPUS_TEXT], asked[CG_CPUS_TEXT];
	cpu_set_t got;
	int r = read_cpus(dirfd, file, &got, err);

	if (r < 0 || CPU_EQUAL(&got, want))
		return r;
	(void)cg_cpus_format(want, asked, sizeof(asked));
	(void)cg_cpus_format(&got, held, sizeof(held));
	return err_set(err, EIO, "cannot give it the CPUs %s: the kernel holds '%s' in '%s'", asked,
		       held, file);
}

int cg_cpus_set(int dirfd, const cpu_set_t *cpus, struct err *err)
{
	char text[CG_CPUS_TEXT + 1];
	int r = cg_cpus_format(cpus, text, CG_CPUS_TEXT);

	if (r < 0)
		return err_set(err, ERANGE, "cannot write so many CPUs to '%s'", CPUS_FILE);
	/* Of nothing the kernel hears nothing: an empty line takes the CPUs back. */
	r = file_write_at(dirfd, CPUS_FILE, *text ? text : "\n", err);
	if (r >= 0)
		r = check_held(dirfd, CPUS_FILE, cpus, err);
	if (r >= 0 && CPU_COUNT(cpus) > 0)
		r = check_held(dirfd, EFFECTIVE_FILE, cpus, err);
	return r;
}
