/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool: images by digest, instance directories, work in progress. Everything is reached below
 * one directory fd and never through a symlink. The store keeps no memory of what is on disk: each
 * call looks.
 *
 *   images/<sha256>/rootfs        the unpacked tree, ids 0..65535, never changed afterwards
 *   images/<sha256>/image.json    its manifest
 *   instances/<id>/fs/upper,work  what the overlay of an instance writes
 *   tmp/<verb>-<random>           work in progress: flock(2)ed by the job that owns it
 *
 * An image or an instance directory appears and disappears by one rename from or to tmp/, so a
 * crash leaves nothing but directories in tmp/.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/rand.h"
#include "images/manifest.h"

struct img_store;

struct img_space {
	uint64_t total_bytes;
	uint64_t free_bytes; /* what an ordinary user could still write (f_bavail) */
	uint64_t total_inodes;
	uint64_t free_inodes;
	uint64_t used_bytes; /* of all that lies there, not only of the pool */
};

/* Opens the pool at an absolute path of ours and makes missing directories, all 0700. Images that
 * are being built live below it, so one file system holds all of it. */
int img_store_open(const char *path, struct img_store **ret, struct err *err);
void img_store_free(struct img_store *s);
void img_store_freep(struct img_store **s);
#define _cleanup_img_store_ _cleanup_(img_store_freep)

/* fd of the pool directory, of images/, instances/ and tmp/; owned by the store. */
int img_store_fd(const struct img_store *s);
int img_store_images_fd(const struct img_store *s);
int img_store_instances_fd(const struct img_store *s);
int img_store_tmp_fd(const struct img_store *s);

/* All images with a readable manifest, ordered by digest: heap array, free(3). A directory whose
 * name is no digest or whose manifest does not parse is left out and counted in *ret_bad
 * (NULL: not wanted). */
int img_store_list(const struct img_store *s, struct img_manifest **ret, size_t *ret_n,
		   size_t *ret_bad, struct err *err);
/* Manifest of one image; -ENOENT when there is none, -EINVAL when 'digest' is no digest. */
int img_store_manifest(const struct img_store *s, const char *digest, struct img_manifest *ret,
		       struct err *err);
/* True when the image is there (the directory; its manifest is not read). */
bool img_store_has(const struct img_store *s, const char *digest);
/* Root directory of an image: an O_PATH|O_DIRECTORY fd for open_tree(2). -ENOENT: no such image. */
int img_store_tree(const struct img_store *s, const char *digest, struct err *err);

/* instances/<id>/fs, which holds upper/ and work/: an O_PATH|O_DIRECTORY fd. -ENOENT: none. 'id'
 * is 16 lower-case hex digits. */
int img_instance_open(const struct img_store *s, const char *id, struct err *err);
bool img_instance_has(const struct img_store *s, const char *id);
/* Ids of all instance directories, for reconciliation: heap array, free(3). Other names are left
 * out. */
int img_instance_list(const struct img_store *s, char (**ret)[ID_TEXT], size_t *ret_n,
		      struct err *err);

/* Removes from tmp/ what no living job holds. Deleting an unpacked tree takes seconds: the daemon
 * runs it as the job "clean-tmp". */
int img_store_clean_tmp(const struct img_store *s, unsigned *ret_removed, struct err *err);
/* A new directory in tmp/, locked for as long as the returned fd (O_RDONLY|O_DIRECTORY) is open;
 * its name (at most 63 bytes) goes to ret_name. */
int img_store_tmp_make(const struct img_store *s, const char *verb, char ret_name[64],
		       struct err *err);
int img_store_space(const struct img_store *s, struct img_space *ret, struct err *err);
/* True for 16 lower-case hex digits. */
bool img_is_instance_id(const char *s);
