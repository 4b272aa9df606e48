/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of a cgroup that is short of memory. */
#include "cgroups/strain.h"

#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/num.h"

#define PRESSURE_TEXT 512
#define EVENTS_TEXT 512
#define STAT_MAX 65536u

/* The line that starts with the key and a blank; NULL = there is none. */
static const char *find_line(const char *text, const char *key)
{
	size_t len = strlen(key);

	while (text && !(strncmp(text, key, len) == 0 && text[len] == ' ')) {
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return text ? text + len + 1 : NULL;
}

static int scan(const char *p, uint64_t *ret)
{
	const char *end;
	uint64_t v;

	if (!p || num_scan_u64(p, &end, &v) < 0 || (*end != '\n' && *end != '\0'))
		return -EBADMSG;
	*ret = v;
	return 0;
}

static int add(const char *text, const char *key, uint64_t *sum)
{
	uint64_t v;

	if (scan(find_line(text, key), &v) < 0 || __builtin_add_overflow(*sum, v, sum))
		return -EBADMSG;
	return 0;
}

/* "full avg10=0.00 avg60=0.00 avg300=0.00 total=0" */
int cg_stall_parse(const char *text, uint64_t *ret_usec)
{
	static const char key[] = " total=";
	const char *line = find_line(text, "full");
	const char *total = line ? strstr(line, key) : NULL;

	if (!total || memchr(line, '\n', (size_t)(total - line)))
		return -EBADMSG;
	return scan(total + sizeof(key) - 1, ret_usec);
}

static int stall_of(int dirfd, const char *name, uint64_t *ret, struct err *err)
{
	char text[PRESSURE_TEXT] = "";
	ssize_t n = file_read_short_at(dirfd, name, text, sizeof(text), err);

	if (n < 0)
		return (int)n;
	if (cg_stall_parse(text, ret) < 0)
		return err_set(err, EBADMSG, "cannot understand '%s'", name);
	return 0;
}

int cg_stall_get(int dirfd, struct cg_stall *ret, struct err *err)
{
	struct cg_stall s;
	int r = stall_of(dirfd, "memory.pressure", &s.memory, err);

	if (r >= 0)
		r = stall_of(dirfd, "io.pressure", &s.io, err);
	if (r < 0)
		return r;
	*ret = s;
	return 0;
}

int cg_refaults_parse(const char *stat, const char *events, struct cg_refaults *ret)
{
	struct cg_refaults r = {0};

	/* Split in two since 5.9; without swap the second stays 0. */
	if (add(stat, "workingset_refault_file", &r.pages) < 0 ||
	    add(stat, "workingset_refault_anon", &r.pages) < 0 ||
	    add(stat, "active_file", &r.cache) < 0 || add(stat, "inactive_file", &r.cache) < 0 ||
	    add(events, "max", &r.hits) < 0 || add(events, "high", &r.hits) < 0)
		return -EBADMSG;
	*ret = r;
	return 0;
}

int cg_refaults_get(int dirfd, struct cg_refaults *ret, struct err *err)
{
	_cleanup_free_ char *stat = NULL;
	char events[EVENTS_TEXT] = "";
	ssize_t n;
	int r = file_read_at(dirfd, "memory.stat", STAT_MAX, &stat, NULL, err);

	if (r < 0)
		return r;
	n = file_read_short_at(dirfd, "memory.events", events, sizeof(events), err);
	if (n < 0)
		return (int)n;
	if (cg_refaults_parse(stat, events, ret) < 0)
		return err_set(err, EBADMSG, "cannot understand 'memory.stat', 'memory.events'");
	return 0;
}

const char *cg_strain_why_not(int dirfd)
{
	struct cg_refaults refaults;
	struct cg_stall stall;
	int r = cg_refaults_get(dirfd, &refaults, NULL);

	if (r == -ENOENT)
		return "the host has no memory controller";
	if (r < 0)
		return "this kernel does not count refaults";
	r = cg_stall_get(dirfd, &stall, NULL);
	if (r == -ENOENT || r == -EOPNOTSUPP)
		return "this kernel has no pressure figures: boot it with psi=1";
	return r < 0 ? "the kernel's pressure figures cannot be read" : NULL;
}
