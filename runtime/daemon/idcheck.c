/* SPDX-License-Identifier: Apache-2.0 */
/* Compares the ranges of instances with the accounts and subordinate ids of the host. */
#include "runtime/daemon/idcheck.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/num.h"
#include "base/str.h"

#define FILE_MAX (16u << 20)

/* Field n (from 0) of a colon-separated line as a number. */
static bool field_number(const char *line, const char *end, unsigned n, uint64_t *ret)
{
	const char *p = line, *stop = NULL;

	for (; n; n--) {
		p = memchr(p, ':', (size_t)(end - p));
		if (!p)
			return false;
		p++;
	}
	return p < end && num_scan_u64(p, &stop, ret) == 0 && (stop == end || *stop == ':');
}

static int refuse(const char *name, const char *line, struct id_span theirs, struct id_span ours,
		  struct err *err)
{
	char account[64], clean[80];

	(void)str_fmt(account, sizeof(account), "%.*s",
		      (int)(strcspn(line, ":\n") < 60 ? strcspn(line, ":\n") : 60), line);
	str_escape(clean, sizeof(clean), account);
	(void)err_set(
		err, EADDRINUSE,
		"the ids of instances (%llu to %llu) overlap those of '%s' in %s (%llu to %llu)",
		(unsigned long long)ours.first, (unsigned long long)(ours.first + ours.count - 1),
		clean, name, (unsigned long long)theirs.first,
		(unsigned long long)(theirs.first + theirs.count - 1));
	return err_hint(err,
			"set idmap.base and idmap.count of the host document to ids that are free");
}

int idcheck_text(enum id_file kind, const char *name, const char *text, struct id_span span,
		 struct err *err)
{
	for (const char *line = text; *line;) {
		const char *end = line + strcspn(line, "\n");
		struct id_span theirs = {.first = 0, .count = 1};
		bool known = kind == ID_FILE_ACCOUNTS
				     ? field_number(line, end, 2, &theirs.first)
				     : field_number(line, end, 1, &theirs.first) &&
					       field_number(line, end, 2, &theirs.count);

		if (known && *line != '#' && theirs.count &&
		    theirs.first < span.first + span.count &&
		    (theirs.count > UINT64_MAX - theirs.first ||
		     theirs.first + theirs.count > span.first))
			return refuse(name, line, theirs, span, err);
		line = *end ? end + 1 : end;
	}
	return 0;
}

int idcheck_host(struct id_span span, struct err *err)
{
	static const struct {
		const char *path;
		enum id_file kind;
	} files[] = {
		{"/etc/passwd", ID_FILE_ACCOUNTS},
		{"/etc/group", ID_FILE_ACCOUNTS},
		{"/etc/subuid", ID_FILE_RANGES},
		{"/etc/subgid", ID_FILE_RANGES},
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		_cleanup_free_ char *text = NULL;
		struct err reading = ERR_INIT;
		size_t len = 0;
		int r = file_read_at(AT_FDCWD, files[i].path, FILE_MAX, &text, &len, &reading);

		if (r == -ENOENT)
			continue;
		if (r < 0) {
			if (err)
				*err = reading;
			return r;
		}
		r = idcheck_text(files[i].kind, files[i].path, text, span, err);
		if (r < 0)
			return r;
	}
	return 0;
}
