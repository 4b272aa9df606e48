/* SPDX-License-Identifier: Apache-2.0 */
/* The text of /proc/cpuinfo, line by line: see cpuinfo.h. */
#include "runtime/instance/cpuinfo.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/num.h"

#define BLANKS " \t"

/* What a line is. Most architectures have stanzas only; s390 has lines for the CPUs, their number,
 * and stanzas under another key. */
enum line_kind {
	LINE_OTHER,  /* of the stanza that it is in, or of none */
	LINE_EMPTY,  /* ends a stanza */
	LINE_STANZA, /* begins one: "processor<tab>: 3", "cpu number : 3" */
	LINE_RECORD, /* all that is said of a CPU: "processor 3: version = FF, ..." */
	LINE_COUNT,  /* "# processors    : 4" */
};

struct line {
	const char *text;
	size_t len; /* with its newline, if there is one */
	enum line_kind kind;
	uint64_t cpu;	 /* of LINE_STANZA, LINE_RECORD */
	size_t value_at; /* of LINE_COUNT: where the number begins */
};

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, BLANKS);
}

/* A number that ends where 'end' (a set of characters, or the end of the text) is. */
static bool scan(const char *p, const char *end, uint64_t *ret)
{
	const char *behind;

	if (num_scan_u64(p, &behind, ret) < 0)
		return false;
	return *behind == '\0' || strchr(end, *behind);
}

static enum line_kind kind_of(struct line *l)
{
	static const char *const stanzas[] = {"processor", "cpu number"};
	static const char count[] = "# processors", record[] = "processor ";
	const char *p;

	if (l->text[0] == '\n' || l->text[0] == '\0')
		return LINE_EMPTY;
	for (size_t i = 0; i < sizeof(stanzas) / sizeof(stanzas[0]); i++) {
		if (!str_has_prefix(l->text, stanzas[i]))
			continue;
		p = skip_blanks(l->text + strlen(stanzas[i]));
		if (*p == ':' && scan(skip_blanks(p + 1), BLANKS "\n", &l->cpu))
			return LINE_STANZA;
	}
	if (str_has_prefix(l->text, record) &&
	    scan(skip_blanks(l->text + strlen(record)), ":", &l->cpu))
		return LINE_RECORD;
	p = skip_blanks(l->text + (str_has_prefix(l->text, count) ? strlen(count) : 0));
	if (p != l->text && *p == ':') {
		l->value_at = (size_t)(skip_blanks(p + 1) - l->text);
		return LINE_COUNT;
	}
	return LINE_OTHER;
}

static bool next_line(const char **at, struct line *ret)
{
	const char *newline;

	if (**at == '\0')
		return false;
	newline = strchr(*at, '\n');
	*ret = (struct line){.text = *at,
			     .len = newline ? (size_t)(newline - *at) + 1 : strlen(*at)};
	ret->kind = kind_of(ret);
	*at += ret->len;
	return true;
}

static bool has(const cpu_set_t *cpus, uint64_t cpu)
{
	return cpu < CPU_SETSIZE && CPU_ISSET((size_t)cpu, cpus);
}

int cpuinfo_make(const char *machine, const cpu_set_t *cpus, struct sbuf *ret)
{
	cpu_set_t seen, both;
	bool is_wanted = true, is_known = false;
	struct line l;

	CPU_ZERO(&seen);
	while (next_line(&machine, &l)) {
		bool is_of_cpu = l.kind == LINE_STANZA || l.kind == LINE_RECORD;

		if (is_of_cpu) {
			is_known = true;
			is_wanted = has(cpus, l.cpu);
			if (is_wanted)
				CPU_SET((size_t)l.cpu, &seen);
		}
		if (l.kind == LINE_COUNT)
			sbuf_addf(ret, "%.*s%d\n", (int)l.value_at, l.text, CPU_COUNT(cpus));
		else if (is_wanted)
			sbuf_add(ret, l.text, l.len);
		if (l.kind == LINE_EMPTY || l.kind == LINE_RECORD)
			is_wanted = true;
	}
	CPU_AND(&both, &seen, cpus);
	if (!is_known)
		return -EBADMSG;
	if (!CPU_EQUAL(&both, cpus))
		return -ENOENT;
	return sbuf_ok(ret) ? 0 : -ENOMEM;
}
