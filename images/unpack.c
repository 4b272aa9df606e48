/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The archive is read in two layers: one libarchive reader undoes the compression and knows no
 * format, the other reads tar from the first and knows no compression. In between all unpacked
 * bytes are counted, and what follows the end of the tar can be looked at, which a single reader
 * does not offer. Only the wanted filters and the tar format are enabled.
 */
#include "images/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <iconv.h>
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/str.h"
#include "images/acl.h"
#include "images/archive_path.h"

#define READ_CHUNK (256u * 1024)
#define SHOWN 160 /* bytes of a foreign name in a message */
#define ID_MAX 65535
#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
#define XATTRS_KEPT_MAX 128 /* kinds of attributes of one entry */

/* Without SECURE_SYMLINKS on purpose: it turns the merged /usr (lib -> usr/lib, then lib/foo) into
 * real directories, and symlinks cannot leave the chroot. No standard lookup: ids are numeric. */
#define WRITE_FLAGS                                                                                \
	(ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |                     \
	 ARCHIVE_EXTRACT_ACL | ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_SPARSE |                    \
	 ARCHIVE_EXTRACT_UNLINK | ARCHIVE_EXTRACT_SECURE_NODOTDOT)

struct unpacker {
	const struct img_unpack *in;
	struct img_unpacked out;
	struct archive *raw;  /* compressed bytes -> stream */
	struct archive *tar;  /* stream -> entries */
	struct archive *disk; /* entries -> files */
	uint64_t archive_bytes;
	const char *block; /* the piece of the stream that the tar reader got last */
	size_t block_len;
	bool stream_ended;  /* raw has given everything */
	bool has_root_time; /* the archive has an entry for the root directory */
	struct timespec root_time;
	struct err stream_err; /* why a callback failed; libarchive keeps its own text only */
	char buf[READ_CHUNK];
};

static void unpacker_free(struct unpacker **up)
{
	struct unpacker *u = *up;

	if (!u)
		return;
	/* Order: each reads from the one before. Freeing closes. */
	(void)archive_write_free(u->disk);
	(void)archive_read_free(u->tar);
	(void)archive_read_free(u->raw);
	free(u);
}
#define _cleanup_unpacker_ _cleanup_(unpacker_free)

const char *img_dropped_text(enum img_dropped what)
{
	static const char *const texts[IMG_DROPPED_MAX] = {
		[IMG_DROPPED_DEVICES] = "device nodes were skipped",
		[IMG_DROPPED_XATTRS] = "unusual extended attributes were dropped",
		[IMG_DROPPED_DETAILS] = "entries had headers that were understood in part",
	};

	return texts[what];
}

void img_unpack_preload(void)
{
	iconv_t cd;

	/* Names in pax headers are UTF-8. In a UTF-8 locale libarchive would bring them into
	 * Unicode's form C, by which two names can become one; ASCII cannot hold them, so they stay
	 * as they are, with a warning (is_name_warning()). */
	(void)setlocale(LC_CTYPE, "C");
	cd = iconv_open(nl_langinfo(CODESET), "UTF-8");
	if (cd != (iconv_t)-1)
		(void)iconv_close(cd);
}

/* "Pathname can't be converted from UTF-8 to current locale." */
static bool is_name_warning(struct archive *a)
{
	const char *text = archive_error_string(a);

	return text && strstr(text, "can't be converted from UTF-8");
}

/* Turns the state of a failed libarchive object into our error. */
static int archive_failed(struct archive *a, const char *what, const char *name, struct err *err)
{
	const char *text = archive_error_string(a);
	int code = archive_errno(a);
	char shown[SHOWN];

	str_escape(shown, sizeof(shown), name ? name : "");
	/* What the host lacks keeps its own code; all else is the archive's doing: links that lead
	 * nowhere, files where directories should be, libarchive's own codes. */
	if (code == ENOMEM || code == EFBIG)
		code = EOVERFLOW;
	else if (code != ENOSPC && code != EDQUOT && code != EIO && code != EROFS)
		code = EBADMSG;
	return err_set(err, code, name ? "%s '%s': %s" : "%s%s: %s", what, shown,
		       text ? text : "no reason given");
}

static la_ssize_t read_archive(struct archive *a, void *ctx, const void **ret)
{
	struct unpacker *u = ctx;
	ssize_t n;

	do
		n = read(u->in->fd, u->buf, sizeof(u->buf));
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		archive_set_error(a, errno, "cannot read the archive");
		return ARCHIVE_FATAL;
	}
	u->archive_bytes += (uint64_t)n;
	*ret = u->buf;
	return n;
}

static la_ssize_t read_stream(struct archive *a, void *ctx, const void **ret)
{
	struct unpacker *u = ctx;
	la_int64_t offset;
	size_t n = 0;
	int r;

	do
		r = archive_read_data_block(u->raw, ret, &n, &offset);
	while (r == ARCHIVE_OK && n == 0);
	if (r == ARCHIVE_EOF) {
		u->stream_ended = true;
		return 0;
	}
	if (r != ARCHIVE_OK)
		(void)archive_failed(u->raw, "cannot unpack the archive", NULL, &u->stream_err);
	else
		(void)img_usage_stream(&u->out.usage, &u->in->limits, n, u->archive_bytes,
				       &u->stream_err);
	if (u->stream_err.code == 0) {
		u->block = *ret;
		u->block_len = n;
		return (la_ssize_t)n;
	}
	archive_set_error(a, u->stream_err.code, "%s", u->stream_err.msg);
	return ARCHIVE_FATAL;
}

/* The tar reader failed: the reason may lie below it. */
static int tar_failed(struct unpacker *u, const char *name, struct err *err)
{
	if (u->stream_err.code != 0)
		return err_set(err, u->stream_err.code, "%s", u->stream_err.msg);
	return archive_failed(u->tar, name ? "cannot read entry" : "cannot read the archive", name,
			      err);
}

static int open_raw(struct unpacker *u, struct err *err)
{
	static const struct {
		int filter;
		const char *format;
	} formats[] = {
		{ARCHIVE_FILTER_NONE, "tar"},	   {ARCHIVE_FILTER_GZIP, "tar.gz"},
		{ARCHIVE_FILTER_BZIP2, "tar.bz2"}, {ARCHIVE_FILTER_XZ, "tar.xz"},
		{ARCHIVE_FILTER_ZSTD, "tar.zst"},
	};
	struct archive_entry *entry;
	int r;

	if (archive_read_support_filter_gzip(u->raw) != ARCHIVE_OK ||
	    archive_read_support_filter_bzip2(u->raw) != ARCHIVE_OK ||
	    archive_read_support_filter_xz(u->raw) != ARCHIVE_OK ||
	    archive_read_support_filter_zstd(u->raw) != ARCHIVE_OK ||
	    archive_read_support_format_raw(u->raw) != ARCHIVE_OK ||
	    archive_read_support_format_empty(u->raw) != ARCHIVE_OK)
		return archive_failed(u->raw, "cannot set up libarchive", NULL, err);
	if (archive_read_open(u->raw, u, NULL, read_archive, NULL) != ARCHIVE_OK)
		return archive_failed(u->raw, "cannot read the archive", NULL, err);
	r = archive_read_next_header(u->raw, &entry);
	if (r == ARCHIVE_EOF)
		return err_set(err, EBADMSG, "the archive is empty");
	if (r != ARCHIVE_OK)
		return archive_failed(u->raw, "cannot read the archive", NULL, err);
	/* One filter and the end of the chain: no archive compressed many times over. */
	if (archive_filter_count(u->raw) > 2)
		return err_set(err, EBADMSG, "the archive is compressed more than once");
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (formats[i].filter == archive_filter_code(u->raw, 0))
			return str_copy(u->out.format, sizeof(u->out.format), formats[i].format);
	return err_set(err, EBADMSG, "the archive is compressed in an unknown way");
}

static int open_all(struct unpacker *u, struct err *err)
{
	int r;

	u->raw = archive_read_new();
	u->tar = archive_read_new();
	u->disk = archive_write_disk_new();
	if (!u->raw || !u->tar || !u->disk)
		return err_set(err, ENOMEM, "cannot unpack: out of memory");
	r = open_raw(u, err);
	if (r < 0)
		return r;
	if (archive_read_support_format_tar(u->tar) != ARCHIVE_OK ||
	    archive_write_disk_set_options(u->disk, WRITE_FLAGS) != ARCHIVE_OK)
		return err_set(err, EIO, "cannot set up libarchive");
	if (archive_read_open(u->tar, u, NULL, read_stream, NULL) != ARCHIVE_OK) {
		if (u->stream_err.code != 0)
			return tar_failed(u, NULL, err);
		return err_set(err, EBADMSG, "this is not a tar archive");
	}
	return 0;
}

static bool keep_xattr(const char *name, mode_t type)
{
	/* trusted.* speaks to overlayfs, security.* to security modules of the host; ACLs come in
	 * their own headers. The kernel has user.* on files and directories only. */
	if (str_eq(name, "security.capability"))
		return type == AE_IFREG;
	return str_has_prefix(name, "user.") && (type == AE_IFREG || type == AE_IFDIR);
}

/* An ACL in the kernel's own form becomes one of libarchive's, which skips the former. */
static int adopt_acl(struct archive_entry *e, const char *name, const void *value, size_t size,
		     struct err *err)
{
	static const struct {
		enum img_acl_tag tag;
		int theirs;
	} tags[] = {
		{IMG_ACL_USER_OBJ, ARCHIVE_ENTRY_ACL_USER_OBJ},
		{IMG_ACL_USER, ARCHIVE_ENTRY_ACL_USER},
		{IMG_ACL_GROUP_OBJ, ARCHIVE_ENTRY_ACL_GROUP_OBJ},
		{IMG_ACL_GROUP, ARCHIVE_ENTRY_ACL_GROUP},
		{IMG_ACL_MASK, ARCHIVE_ENTRY_ACL_MASK},
		{IMG_ACL_OTHER, ARCHIVE_ENTRY_ACL_OTHER},
	};
	int type = str_eq(name, ACL_DEFAULT) ? ARCHIVE_ENTRY_ACL_TYPE_DEFAULT
					     : ARCHIVE_ENTRY_ACL_TYPE_ACCESS;
	struct img_acl_entry list[IMG_ACL_MAX];
	int n = img_acl_parse(value, size, list, err);

	for (int i = 0; i < n; i++)
		for (size_t t = 0; t < sizeof(tags) / sizeof(tags[0]); t++)
			if (tags[t].tag == list[i].tag &&
			    archive_entry_acl_add_entry(e, type, (int)list[i].perm, tags[t].theirs,
							(int)list[i].id, NULL) != ARCHIVE_OK)
				return err_set(err, EBADMSG,
					       "the archive holds an odd access control list");
	return n < 0 ? n : 0;
}

static bool is_acl(const char *name)
{
	return str_eq(name, ACL_ACCESS) || str_eq(name, ACL_DEFAULT);
}

struct xattr_copy {
	char *name;
	void *value;
	size_t size;
};

static void xattrs_done(struct xattr_copy *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(list[i].name);
		free(list[i].value);
	}
}

/* libarchive can clear all attributes of an entry, not one: keep, clear, put back. */
static int filter_xattrs(struct unpacker *u, struct archive_entry *e, struct err *err)
{
	struct xattr_copy kept[XATTRS_KEPT_MAX];
	uint64_t bytes = 0, dropped = 0;
	const char *name;
	const void *value;
	size_t size, n = 0;
	int r = 0;

	(void)archive_entry_xattr_reset(e);
	while (r == 0 && archive_entry_xattr_next(e, &name, &value, &size) == ARCHIVE_OK) {
		bytes += strlen(name) + size;
		if (is_acl(name)) {
			r = adopt_acl(e, name, value, size, err);
			continue; /* libarchive does not write the attribute itself */
		}
		if (!keep_xattr(name, archive_entry_filetype(e))) {
			dropped++;
			continue;
		}
		if (n == XATTRS_KEPT_MAX) {
			r = err_set(err, EOVERFLOW,
				    "the archive holds an entry with more than %d attributes",
				    XATTRS_KEPT_MAX);
			break;
		}
		kept[n] = (struct xattr_copy){strdup(name), malloc(size + 1), size};
		if (kept[n].value && size > 0)
			memcpy(kept[n].value, value, size);
		if (!kept[n].name || !kept[n].value)
			r = err_set(err, ENOMEM, "cannot unpack: out of memory");
		n++;
	}
	if (r == 0)
		r = img_usage_xattrs(&u->out.usage, &u->in->limits, bytes, err);
	if (r == 0 && dropped > 0) {
		archive_entry_xattr_clear(e);
		for (size_t i = 0; i < n; i++)
			archive_entry_xattr_add_entry(e, kept[i].name, kept[i].value, kept[i].size);
		u->out.dropped[IMG_DROPPED_XATTRS] += dropped;
	}
	xattrs_done(kept, n);
	return r;
}

/* Checks an entry and brings it into the form in which it is written. 1 = skip it. */
static int vet_entry(struct unpacker *u, struct archive_entry *e, char name[IMG_PATH_MAX],
		     struct err *err)
{
	const struct img_limits *l = &u->in->limits;
	const char *raw_name = archive_entry_pathname(e);
	const char *link = archive_entry_hardlink(e);
	char target[IMG_PATH_MAX];
	int r;

	r = img_usage_entry(&u->out.usage, l, err);
	if (r < 0)
		return r;
	if (!raw_name)
		return err_set(err, EBADMSG, "the archive holds an entry without a readable name");
	r = img_archive_path(raw_name, l->depth, name, err);
	if (r < 0)
		return r;
	if (archive_entry_filetype(e) == AE_IFCHR || archive_entry_filetype(e) == AE_IFBLK) {
		u->out.dropped[IMG_DROPPED_DEVICES]++;
		return 1;
	}
	if (str_eq(name, ".") && (link || archive_entry_filetype(e) != AE_IFDIR))
		return err_set(err, EBADMSG, "the root entry of the archive is not a directory");
	if (str_eq(name, ".") && archive_entry_mtime_is_set(e)) {
		u->has_root_time = true;
		u->root_time.tv_sec = archive_entry_mtime(e);
		u->root_time.tv_nsec = archive_entry_mtime_nsec(e);
	}
	if (archive_entry_uid(e) < 0 || archive_entry_uid(e) > ID_MAX || archive_entry_gid(e) < 0 ||
	    archive_entry_gid(e) > ID_MAX)
		return err_set(err, EBADMSG,
			       "an entry of the archive belongs to %" PRId64 ":%" PRId64
			       "; images have ids 0 to 65535",
			       (int64_t)archive_entry_uid(e), (int64_t)archive_entry_gid(e));
	r = archive_entry_size_is_set(e) ? img_limits_file(l, archive_entry_size(e), err) : 0;
	if (r == 0 && link) {
		r = img_archive_path(link, l->depth, target, err);
		if (r == 0)
			archive_entry_copy_hardlink(e, target);
	}
	if (r < 0)
		return r;
	archive_entry_copy_pathname(e, name);
	return filter_xattrs(u, e, err);
}

static int copy_data(struct unpacker *u, const char *name, struct err *err)
{
	for (;;) {
		la_int64_t offset;
		const void *data;
		size_t n;
		int r = archive_read_data_block(u->tar, &data, &n, &offset);

		if (r == ARCHIVE_EOF)
			return 0;
		if (r != ARCHIVE_OK)
			return tar_failed(u, name, err);
		r = img_usage_data(&u->out.usage, &u->in->limits, n, err);
		if (r < 0)
			return r;
		if (archive_write_data_block(u->disk, data, n, offset) != ARCHIVE_OK)
			return archive_failed(u->disk, "cannot write", name, err);
	}
}

/* Directories that an archive only implies cost as much as those that it names. */
static int count_implied(struct unpacker *u, const char *name, struct err *err)
{
	char path[IMG_PATH_MAX];
	struct stat st;
	char *slash;
	int r;

	(void)str_copy(path, sizeof(path), name);
	while ((slash = strrchr(path, '/'))) {
		*slash = '\0';
		if (lstat(path, &st) == 0)
			return 0;
		r = img_usage_entry(&u->out.usage, &u->in->limits, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Warnings of the writer (an owner, a mode, an attribute could not be set) are failures: an image
 * is right or is not there. */
static int unpack_entry(struct unpacker *u, struct archive_entry *e, struct err *err)
{
	char name[IMG_PATH_MAX];
	int r;

	r = vet_entry(u, e, name, err);
	if (r != 0)
		return r < 0 ? r : 0;
	r = count_implied(u, name, err);
	if (r < 0)
		return r;
	if (archive_write_header(u->disk, e) != ARCHIVE_OK)
		return archive_failed(u->disk, "cannot create", name, err);
	r = copy_data(u, name, err);
	if (r < 0)
		return r;
	if (archive_write_finish_entry(u->disk) != ARCHIVE_OK)
		return archive_failed(u->disk, "cannot finish", name, err);
	return 0;
}

static int unpack_entries(struct unpacker *u, struct err *err)
{
	for (;;) {
		struct archive_entry *e;
		int r = archive_read_next_header(u->tar, &e);

		if (r == ARCHIVE_EOF)
			return 0;
		if (r == ARCHIVE_WARN && is_name_warning(u->tar))
			r = ARCHIVE_OK;
		else if (r == ARCHIVE_WARN)
			u->out.dropped[IMG_DROPPED_DETAILS]++;
		else if (r != ARCHIVE_OK && u->out.usage.entries == 0 && u->stream_err.code == 0)
			return err_set(err, EBADMSG, "this is not a tar archive");
		else if (r != ARCHIVE_OK)
			return tar_failed(u, NULL, err);
		r = unpack_entry(u, e, err);
		if (r < 0)
			return r;
	}
}

static bool is_padding(const char *p, size_t n)
{
	return n == 0 || (p[0] == '\0' && memcmp(p, p + 1, n - 1) == 0);
}

/* What follows the end mark of the tar must be padding, to the end of the archive file. */
static int check_end(struct unpacker *u, struct err *err)
{
	/* Bytes that the tar reader has and did not consume: the end of the last block. More than
	 * that is a piece that it looked at, across two blocks, and did not find to be padding. */
	uint64_t rest = u->out.usage.stream - (uint64_t)archive_filter_bytes(u->tar, -1);
	la_ssize_t n;

	if (u->stream_ended)
		return err_set(err, EBADMSG, "the archive is truncated: its end mark is missing");
	if (rest > u->block_len || !is_padding(u->block + u->block_len - rest, rest))
		return err_set(err, EBADMSG, "the archive is followed by other data");
	for (;;) {
		const void *data;

		n = read_stream(u->tar, u, &data);
		if (n <= 0)
			break;
		if (!is_padding(data, (size_t)n))
			return err_set(err, EBADMSG, "the archive is followed by other data");
	}
	if (n < 0)
		return tar_failed(u, NULL, err);
	/* A decompressor stops at the end of its own format and leaves the rest unread. */
	do {
		const void *data;

		if (archive_filter_bytes(u->raw, -1) < (la_int64_t)u->archive_bytes)
			return err_set(err, EBADMSG, "the archive is followed by other data");
		n = read_archive(u->raw, u, &data);
	} while (n > 0);
	return n < 0 ? archive_failed(u->raw, "cannot read the archive", NULL, err) : 0;
}

/* Closing sets modes and times of directories; libarchive leaves the time of "." out. */
static int finish(struct unpacker *u, struct err *err)
{
	const struct timespec times[2] = {u->root_time, u->root_time};

	if (archive_write_close(u->disk) != ARCHIVE_OK)
		return archive_failed(u->disk, "cannot finish the directories", NULL, err);
	if (u->has_root_time && utimensat(AT_FDCWD, "/", times, 0) < 0)
		return err_sys(err, "cannot set the time of the root directory");
	return 0;
}

/* Looks from inside, so that links resolve as they will for the guest. */
static bool is_program(int root, const char *path)
{
	_cleanup_close_ int fd = path_open_in_root(root, path, O_PATH, 0, NULL);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

static void read_os_release(int root, struct img_os *ret)
{
	static const char *const paths[] = {"etc/os-release", "usr/lib/os-release"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		_cleanup_close_ int fd = path_open_in_root(root, paths[i], O_RDONLY, 0, NULL);
		_cleanup_free_ char *text = NULL;
		size_t len;

		if (fd < 0 || file_read_fd(fd, IMG_OS_RELEASE_MAX, &text, &len, NULL) < 0)
			continue;
		img_os_release_parse(text, len, ret);
		return;
	}
}

static int look_inside(struct unpacker *u, struct err *err)
{
	_cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return err_sys(err, "cannot open the unpacked root directory");
	read_os_release(root, &u->out.os);
	if (!u->in->allow_no_init && !is_program(root, "sbin/init") && !is_program(root, "bin/sh"))
		return err_set(err, ENOEXEC,
			       "the image has neither an executable /sbin/init nor /bin/sh");
	return 0;
}

int img_unpack_run(const struct img_unpack *in, struct img_unpacked *ret, struct err *err)
{
	_cleanup_unpacker_ struct unpacker *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return err_set(err, ENOMEM, "cannot unpack: out of memory");
	u->in = in;
	r = open_all(u, err);
	if (r == 0)
		r = unpack_entries(u, err);
	if (r == 0)
		r = check_end(u, err);
	if (r == 0)
		r = finish(u, err);
	if (r == 0)
		r = look_inside(u, err);
	if (r < 0)
		return r;
	*ret = u->out;
	return 0;
}
