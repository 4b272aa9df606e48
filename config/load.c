/* SPDX-License-Identifier: Apache-2.0 */
/* Reads documents from directories and fds that the caller opened. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/path.h"
#include "base/str.h"
#include "config/check.h"

static int is_document(const struct dirent *e)
{
	return e->d_name[0] != '.' && str_has_suffix(e->d_name, ".json");
}

/* By bytes, the same in every locale. */
static int compare(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int unreadable(const char *name, const struct err *err, struct problems *problems)
{
	struct json_where w = {name, "", problems};

	return problems_add(&w, NULL, NULL, "%s", err_text(err));
}

int spec_set_load_fd(struct spec_set *s, enum spec_kind kind, int fd, const char *name,
		     struct problems *problems)
{
	_cleanup_free_ char *text = NULL;
	struct err err = ERR_INIT;
	size_t len;
	int r = file_read_fd(fd, JSON_TEXT_MAX, &text, &len, &err);

	if (r < 0)
		return r == -ENOMEM ? r : unreadable(name, &err, problems);
	return spec_set_add_text(s, kind, text, len, name, problems);
}

static int load_one(struct spec_set *s, int dirfd, const char *prefix, const char *file,
		    struct problems *problems)
{
	_cleanup_sbuf_ struct sbuf name = SBUF_INIT;
	_cleanup_free_ char *text = NULL;
	struct err err = ERR_INIT;
	size_t len;
	int r;

	sbuf_addf(&name, "%s%s%s", prefix, prefix[0] && !str_has_suffix(prefix, "/") ? "/" : "",
		  file);
	if (!sbuf_ok(&name))
		return -ENOMEM;
	r = file_read_at(dirfd, file, JSON_TEXT_MAX, &text, &len, &err);
	if (r < 0)
		return r == -ENOMEM ? r : unreadable(sbuf_str(&name), &err, problems);
	return spec_set_add_text(s, SPEC_KIND_AUTO, text, len, sbuf_str(&name), problems);
}

/* All documents of one directory; problems of one do not keep the next from being read. */
static int load_files(struct spec_set *s, int dirfd, const char *prefix, struct problems *problems,
		      struct err *err)
{
	struct dirent **files = NULL;
	int n = scandirat(dirfd, ".", &files, is_document, compare);
	int bad = 0;

	if (n < 0)
		return err_sys(err, "cannot list '%s'", prefix[0] ? prefix : ".");
	for (int i = 0; i < n; i++) {
		int r = bad == -ENOMEM ? bad
				       : load_one(s, dirfd, prefix, files[i]->d_name, problems);

		bad = r < 0 ? r : bad;
		free(files[i]);
	}
	free(files);
	return bad < 0 ? err_set(err, -bad, "'%s' has documents that are not valid",
				 prefix[0] ? prefix : ".")
		       : 0;
}

/* A subdirectory, which may be missing. It has to be a real one, not a symlink elsewhere. */
static int load_below(struct spec_set *s, int dirfd, const char *prefix, const char *sub,
		      struct problems *problems, struct err *err)
{
	_cleanup_sbuf_ struct sbuf name = SBUF_INIT;
	struct err open_err = ERR_INIT;
	_cleanup_close_ int fd =
		path_open_beneath(dirfd, sub, O_RDONLY | O_DIRECTORY, 0, &open_err);

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return err_set(err, open_err.code, "%s", err_text(&open_err));
	sbuf_addf(&name, "%s%s%s", prefix, prefix[0] && !str_has_suffix(prefix, "/") ? "/" : "",
		  sub);
	if (!sbuf_ok(&name))
		return err_set(err, ENOMEM, "cannot list '%s'", sub);
	return load_files(s, fd, sbuf_str(&name), problems, err);
}

int spec_set_load_dir(struct spec_set *s, int dirfd, const char *prefix, struct problems *problems,
		      struct err *err)
{
	int bad = load_files(s, dirfd, prefix, problems, err);
	int r;

	if (bad < 0 && bad != -EINVAL)
		return bad;
	r = load_below(s, dirfd, prefix, "plans", problems, err);
	if (r < 0 && r != -EINVAL)
		return r;
	bad = r < 0 ? r : bad;
	r = load_below(s, dirfd, prefix, "tenants", problems, err);
	return r < 0 ? r : bad;
}
