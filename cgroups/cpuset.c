/* SPDX-License-Identifier: Apache-2.0 */
/* cpuset.cpus: lists, and one write that is checked. */
#include "cgroups/cpuset.h"

#include <string.h>

#include "base/file.h"
#include "base/str.h"

#define CPUS_FILE "cpuset.cpus"
#define EFFECTIVE_FILE "cpuset.cpus.effective"
#define PARTITION_FILE "cpuset.cpus.partition"
#define PARTITION_TEXT 256

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

/* Of nothing the kernel hears nothing: an empty line takes the CPUs back. */
static int write_cpus(int dirfd, const cpu_set_t *cpus, struct err *err)
{
	char text[CG_CPUS_TEXT];
	int r = cg_cpus_format(cpus, text, sizeof(text));

	if (r < 0)
		return err_set(err, ERANGE, "cannot write so many CPUs to '%s'", CPUS_FILE);
	r = file_write_at(dirfd, CPUS_FILE, *text ? text : "\n", err);
	return r < 0 ? r : check_held(dirfd, CPUS_FILE, cpus, err);
}

int cg_cpus_set(int dirfd, const cpu_set_t *cpus, struct err *err)
{
	int r = write_cpus(dirfd, cpus, err);

	return r < 0 || CPU_COUNT(cpus) == 0 ? r : check_held(dirfd, EFFECTIVE_FILE, cpus, err);
}

/* The kernel takes any word and says in the file whether it holds. */
static int check_partition(int dirfd, struct err *err)
{
	char text[PARTITION_TEXT];
	ssize_t n = file_read_short_at(dirfd, PARTITION_FILE, text, sizeof(text), err);

	if (n < 0)
		return (int)n;
	return str_eq(text, "root")
		       ? 0
		       : err_set(err, EIO, "cannot give it CPUs of its own: the kernel says '%s'",
				 text);
}

bool cg_partition_is(int dirfd)
{
	return check_partition(dirfd, NULL) == 0;
}

int cg_partition_set(int dirfd, const cpu_set_t *cpus, struct err *err)
{
	bool was_root;
	cpu_set_t old;
	int r = read_cpus(dirfd, CPUS_FILE, &old, err);

	if (r < 0)
		return r;
	was_root = check_partition(dirfd, NULL) == 0;
	if (was_root && CPU_EQUAL(&old, cpus))
		return 0;
	r = write_cpus(dirfd, cpus, err);
	if (r >= 0 && !was_root)
		r = file_write_at(dirfd, PARTITION_FILE, "root", err);
	if (r >= 0)
		r = check_partition(dirfd, err);
	if (r >= 0)
		return 0;
	if (!was_root)
		(void)file_write_at(dirfd, PARTITION_FILE, "member", NULL);
	(void)write_cpus(dirfd, &old, NULL);
	return r;
}

int cg_partition_clear(int dirfd, const cpu_set_t *cpus, struct err *err)
{
	int r = file_write_at(dirfd, PARTITION_FILE, "member", err);

	return r < 0 ? r : write_cpus(dirfd, cpus, err);
}
