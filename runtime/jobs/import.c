/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent reads the archive, hashes each byte and hands it through a pipe to the jail, which
 * unpacks. The parent never looks into the bytes, the jail never sees anything else. The jail reads
 * to the end of input before it reports success, so the digest covers exactly what was checked.
 */
#include "runtime/jobs/import.h"

#include <fcntl.h>
#include <inttypes.h>
#include <nettle/sha2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/str.h"
#include "images/unpack.h"
#include "runtime/jobs/jail.h"
#include "runtime/jobs/job.h"

#define FEED_CHUNK (256u * 1024)
#define FEED_PIPE (1024 * 1024)
#define STALL_SECONDS 600 /* without a byte from the client or to the jail */
/* xz -9 takes 64 MiB, zstd --ultra -22 128 MiB; the libraries themselves 60 MiB of addresses. */
#define JAIL_MEMORY (384ull << 20)
#define JAIL_CPU_SECONDS 3600

enum import_msg {
	IMPORT_MSG_DONE = 0x5101, /* see send_done() */
	IMPORT_MSG_FAILED,	  /* {u32 code, string text} */
};

/* --- inside the jail ---------------------------------------------------------------------- */

static void put_done(struct msg *m, const struct img_unpacked *u)
{
	wire_put_str(m, u->format);
	wire_put_u64(m, u->usage.bytes);
	wire_put_u64(m, u->usage.entries);
	for (size_t i = 0; i < IMG_DROPPED_MAX; i++)
		wire_put_u64(m, u->dropped[i]);
	wire_put_str(m, u->os.id);
	wire_put_str(m, u->os.version);
	wire_put_str(m, u->os.name);
}

static void run_jailed(int input_fd, int sock, void *arg)
{
	const struct import *in = arg;
	const struct img_unpack job = {input_fd, in->limits, in->allow_no_init};
	_cleanup_msg_ struct msg *m = msg_new(IMPORT_MSG_DONE, 0);
	struct img_unpacked result = {0};
	struct err err = ERR_INIT;

	if (!m)
		return; /* the parent sees the end of file */
	if (img_unpack_run(&job, &result, &err) < 0) {
		msg_reset(m, IMPORT_MSG_FAILED, 0);
		wire_put_u32(m, (uint32_t)err.code);
		wire_put_str(m, err.msg);
	} else {
		put_done(m, &result);
	}
	(void)msg_send(sock, m, NULL);
}

/* --- outside ------------------------------------------------------------------------------ */

/* Of foreign origin: checked like everything that comes out of the jail. */
static int get_done(const struct msg *m, struct img_manifest *man, struct err *err)
{
	uint64_t dropped[IMG_DROPPED_MAX];
	struct wire w;
	int r;

	wire_init(&w, m);
	wire_get_str_to(&w, man->format, sizeof(man->format));
	man->size_bytes = wire_get_u64(&w);
	man->entries = wire_get_u64(&w);
	for (size_t i = 0; i < IMG_DROPPED_MAX; i++)
		dropped[i] = wire_get_u64(&w);
	wire_get_str_to(&w, man->os.id, sizeof(man->os.id));
	wire_get_str_to(&w, man->os.version, sizeof(man->os.version));
	wire_get_str_to(&w, man->os.name, sizeof(man->os.name));
	r = wire_done(&w, err);
	if (r < 0)
		return r;
	if (!str_is_clean_utf8(man->format) || !str_is_clean_utf8(man->os.id) ||
	    !str_is_clean_utf8(man->os.version) || !str_is_clean_utf8(man->os.name))
		return err_set(err, EPROTO, "the jail sent text that is not clean");
	for (size_t i = 0; i < IMG_DROPPED_MAX; i++)
		if (dropped[i] > 0)
			img_manifest_warn(man, "%" PRIu64 " %s", dropped[i],
					  img_dropped_text((enum img_dropped)i));
	return 0;
}

struct feed {
	const struct import *in;
	int out; /* pipe to the jail, non-blocking; -1 after the end of input */
	int sock;
	struct sha256_ctx hash;
	uint64_t bytes;
	size_t len, sent; /* of buf */
	bool ended;
	char buf[FEED_CHUNK];
};

static void feed_free(struct feed **f)
{
	if (*f)
		cleanup_close(&(*f)->out);
	free(*f);
}
#define _cleanup_feed_ _cleanup_(feed_free)

static int feed_read(struct feed *f, struct err *err)
{
	ssize_t n = read(f->in->fd, f->buf, sizeof(f->buf));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0
							 : err_sys(err, "cannot read the archive");
	if (n == 0) {
		f->ended = true;
		cleanup_close(&f->out);
		f->out = -1;
		return 0;
	}
	sha256_update(&f->hash, (size_t)n, (const uint8_t *)f->buf);
	f->bytes += (uint64_t)n;
	f->len = (size_t)n;
	f->sent = 0;
	return 0;
}

static int feed_write(struct feed *f, struct err *err)
{
	ssize_t n = write(f->out, f->buf + f->sent, f->len - f->sent);

	if (n > 0)
		f->sent += (size_t)n;
	/* EPIPE: the jail has stopped reading, so its verdict is on its way. */
	if (n < 0 && errno == EPIPE) {
		f->ended = true;
		cleanup_close(&f->out);
		f->out = -1;
		f->len = f->sent = 0;
		return 0;
	}
	return n < 0 && errno != EINTR && errno != EAGAIN
		       ? err_sys(err, "cannot feed the archive to the jail")
		       : 0;
}

/* Moves bytes until the jail says something or is gone. */
static int feed_run(struct feed *f, struct err *err)
{
	time_t last_move = time(NULL);

	for (;;) {
		bool pending = f->sent < f->len;
		struct pollfd fds[] = {
			{f->sock, POLLIN, 0},
			{f->ended || pending ? -1 : f->in->fd, POLLIN, 0},
			{pending ? f->out : -1, POLLOUT, 0},
		};
		int r = poll(fds, sizeof(fds) / sizeof(fds[0]), 1000);

		if (r < 0 && errno != EINTR)
			return err_sys(err, "cannot wait for the archive");
		if (job_check(err) < 0)
			return -ECANCELED;
		if (r > 0 && fds[0].revents)
			return 0;
		if (r > 0)
			last_move = time(NULL);
		else if (!f->ended && time(NULL) - last_move > STALL_SECONDS)
			return err_set(err, ETIMEDOUT, "no byte of the archive moved for %d s",
				       STALL_SECONDS);
		r = 0;
		if (fds[1].fd >= 0 && fds[1].revents)
			r = feed_read(f, err);
		else if (fds[2].fd >= 0 && fds[2].revents)
			r = feed_write(f, err);
		if (r < 0)
			return r;
		job_progress(f->bytes, f->in->size, "unpack");
	}
}

/* Feeds and hears the verdict; fills format, sizes, os and warnings of the manifest, and digest. */
static int unpack_and_hash(const struct import *in, int rootfs, struct img_manifest *man,
			   struct err *err)
{
	_cleanup_feed_ struct feed *f = calloc(1, sizeof(*f));
	_cleanup_msg_ struct msg *m = msg_new(IMPORT_MSG_DONE, 0);
	_cleanup_jail_ struct jail jail = JAIL_INIT;
	_cleanup_close_ int pipe_read = -1;
	struct import copy = *in; /* the jail's argument is not const */
	struct jail_spec spec = {
		.root_fd = rootfs,
		.range_base = in->range_base,
		.max_file_bytes = in->limits.file_bytes,
		.max_memory = JAIL_MEMORY,
		.max_cpu_seconds = JAIL_CPU_SECONDS,
		.run = run_jailed,
		.arg = &copy,
	};
	uint8_t digest[SHA256_DIGEST_SIZE];
	int fds[2], r;

	if (!f || !m)
		return err_set(err, ENOMEM, "cannot import: out of memory");
	f->in = in;
	f->out = -1;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe");
	pipe_read = fds[0];
	f->out = fds[1];
	/* Best effort: more room means fewer switches between the two. */
	(void)fcntl(f->out, F_SETPIPE_SZ, FEED_PIPE);
	if (fcntl(f->out, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, "cannot make a pipe");
	spec.input_fd = pipe_read;
	img_unpack_preload();
	sha256_init(&f->hash);
	r = jail_start(&spec, &jail, err);
	if (r < 0)
		return r;
	cleanup_close(&pipe_read);
	pipe_read = -1;
	f->sock = jail.sock;
	r = feed_run(f, err);
	if (r < 0)
		return r;
	r = msg_expect(jail.sock, m, IMPORT_MSG_DONE, IMPORT_MSG_FAILED, err);
	/* No verdict: how it died says why. */
	if (r == -EPIPE) {
		int died = jail_wait(&jail, err);

		return died < 0 ? died : err_set(err, EIO, "the unpacking ended without a result");
	}
	if (r == 0)
		r = jail_wait(&jail, err);
	if (r == 0)
		r = get_done(m, man, err);
	if (r < 0)
		return r;
	if (!f->ended)
		return err_set(err, EPROTO, "the jail reported success before the end of input");
	sha256_digest(&f->hash, sizeof(digest), digest);
	str_hex(man->digest, digest, sizeof(digest));
	man->archive_bytes = f->bytes;
	return 0;
}

/* Everything on disk, then the one rename. 1 = somebody else was first. */
static int publish(const struct import *in, int work, const char *work_name,
		   const struct img_manifest *man, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	int tmp = img_store_tmp_fd(in->store), images = img_store_images_fd(in->store);
	int r;

	r = img_manifest_print(man, &text, err);
	if (r < 0)
		return r;
	r = file_replace_at(work, "image.json", text, strlen(text), 0600, err);
	if (r < 0)
		return r;
	job_progress(man->archive_bytes, in->size, "sync");
	if (syncfs(work) < 0)
		return err_sys(err, "cannot write the image to disk");
	r = job_check(err);
	if (r < 0)
		return r;
	if (renameat2(tmp, work_name, images, man->digest, RENAME_NOREPLACE) < 0)
		return errno == EEXIST ? 1 : err_sys(err, "cannot publish the image");
	if (fsync(images) < 0 || fsync(tmp) < 0)
		return err_sys(err, "cannot write the directory of images to disk");
	return 0;
}

static int import_into(const struct import *in, int work, const char *work_name,
		       struct img_manifest *man, bool *ret_existed, struct err *err)
{
	_cleanup_close_ int rootfs = -1;
	int r;

	/* What the root directory gets when the archive has no entry for it. */
	if (mkdirat(work, "rootfs", 0755) < 0)
		return err_sys(err, "cannot make the root directory of the image");
	rootfs = path_open_beneath(work, "rootfs", O_RDONLY | O_DIRECTORY, 0, err);
	if (rootfs < 0)
		return rootfs;
	if (fchmod(rootfs, 0755) < 0)
		return err_sys(err, "cannot make the root directory of the image");
	r = unpack_and_hash(in, rootfs, man, err);
	if (r < 0)
		return r;
	if (in->expect_digest && !str_eq(in->expect_digest, man->digest))
		return err_set(err, EKEYREJECTED, "the archive has the digest %s, not %s",
			       man->digest, in->expect_digest);
	man->created = (uint64_t)time(NULL);
	r = img_store_has(in->store, man->digest) ? 1 : publish(in, work, work_name, man, err);
	*ret_existed = r == 1;
	return r == 1 ? img_store_manifest(in->store, man->digest, man, err) : r;
}

int import_run(const struct import *in, struct img_manifest *ret, bool *ret_existed,
	       struct err *err)
{
	_cleanup_free_ struct img_manifest *man = calloc(1, sizeof(*man));
	_cleanup_close_ int work = -1;
	char work_name[64];
	bool existed = false;
	int r, cleaned;

	if (!man)
		return err_set(err, ENOMEM, "cannot import: out of memory");
	if (in->expect_digest && img_store_has(in->store, in->expect_digest)) {
		r = img_store_manifest(in->store, in->expect_digest, man, err);
		if (r < 0)
			return r;
		existed = true;
	} else {
		work = img_store_tmp_make(in->store, "import", work_name, err);
		if (work < 0)
			return work;
		r = import_into(in, work, work_name, man, &existed, err);
		/* Published: the name is gone, and this does nothing. */
		cleaned = path_remove_tree(img_store_tmp_fd(in->store), work_name,
					   r < 0 ? NULL : err);
		if (r < 0)
			return r;
		if (cleaned < 0)
			return cleaned;
	}
	*ret = *man;
	*ret_existed = existed;
	return 0;
}
