/* SPDX-License-Identifier: Apache-2.0 */
/* vpsd --validate and vpsd --schema. */
#include "runtime/daemon/documents.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "config/check.h"
#include "config/schema.h"

static void say(const char *text)
{
	char clean[1024];

	str_escape(clean, sizeof(clean), text);
	fprintf(stderr, "vpsd: %s\n", clean);
}

/* Adds a file, or a directory's. What cannot be read is one problem more, so that the others are
 * told as well; only -ENOMEM is no fault of theirs. */
static int add_path(struct spec_set *set, const char *path, struct problems *problems)
{
	const struct json_where where = {path, "", problems};
	_cleanup_free_ char *text = NULL, *real = NULL;
	_cleanup_close_ int fd = -1;
	struct err err = ERR_INIT;
	struct stat st;
	size_t len = 0, before = problems_count(problems);
	int r = stat(path, &st) < 0 ? err_sys(&err, "cannot open '%s'", path) : 0;
	if (r == 0 && S_ISDIR(st.st_mode)) {
		real = realpath(path, NULL);
		fd = real ? path_open_dir(real, &err)
			  : err_sys(&err, "cannot open directory '%s'", path);
		r = fd < 0 ? fd : spec_set_load_dir(set, fd, path, problems, &err);
	} else if (r == 0) {
		r = file_read_at(AT_FDCWD, path, JSON_TEXT_MAX, &text, &len, &err);
		if (r == 0)
			r = spec_set_add_text(set, SPEC_KIND_AUTO, text, len, path, problems);
	}
	if (r < 0 && r != -ENOMEM && problems_count(problems) == before)
		(void)problems_add(&where, NULL, NULL, "%s", err_text(&err));
	return r == -ENOMEM ? r : 0;
}

static int load(struct spec_set *set, size_t n, char *const *paths, struct problems *problems,
		struct err *err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_path(set, paths[i], problems);
	if (r == 0 && problems_count(problems) == 0) {
		if (!set->host && set->plans.n == 0 && set->tenants.n == 0)
			return err_set(err, ENOENT,
				       "there are no documents; a directory stands for its *.json "
				       "files and those of its plans/ and tenants/");
		r = spec_set_check(set, problems);
	}
	return r == -ENOMEM ? err_set(err, ENOMEM, "no memory") : 0;
}

static void report(const struct spec_set *set)
{
	size_t count = set->plans.n + set->tenants.n + (set->host ? 1 : 0);
	printf("%zu %s valid\n", count, count == 1 ? "document is" : "documents are");
	printf("not checked, because only a host can say: %simages, capacity, what its kernel can "
	       "enforce\n",
	       set->tenants.n && set->plans.n == 0 ? "plans (none is here), " : "");
}

int documents_validate(size_t n, char *const *paths)
{
	_cleanup_problems_ struct problems *problems = problems_new();
	_cleanup_spec_set_ struct spec_set set = SPEC_SET_INIT;
	_cleanup_sbuf_ struct sbuf lines = SBUF_INIT;
	struct err err = ERR_INIT;
	int r = problems ? load(&set, n, paths, problems, &err)
			 : err_set(&err, ENOMEM, "no memory");
	if (problems)
		problems_format(problems, &lines);
	fputs(sbuf_str(&lines), stderr);
	if (r < 0)
		say(err_text(&err));
	else if (problems_count(problems))
		r = -EINVAL;
	else
		report(&set);
	return r;
}

int documents_print_schema(const char *kind)
{
	enum spec_kind k = spec_kind_by_name(kind);
	if (k == SPEC_KIND_AUTO) {
		fprintf(stderr,
			"vpsd: '%s' is not a kind of document; there are host, plan and "
			"tenant\n",
			kind);
		return -EINVAL;
	}
	_cleanup_json_ json_t *schema = spec_schema(k);
	if (schema && json_dumpf(schema, stdout, JSON_INDENT(2) | JSON_DUMP_FLAGS) == 0 &&
	    putchar('\n') != EOF && fflush(stdout) == 0)
		return 0;
	fprintf(stderr, "vpsd: cannot write the schema\n");
	return -EIO;
}
