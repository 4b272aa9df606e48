/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vps-job: short-lived workers that vpsd starts for slow or dangerous work (fork + exec, root,
 * fixed environment, cwd "/", stdin/stdout/stderr given).
 *
 * Protocol. stdout carries one JSON object a line, at most JOB_LINE_MAX bytes with the newline:
 *
 *   {"progress": {"done": N, "total": N | null, "what": "unpack"}}       any number, at most 5 a
 * second
 *   {"result": {...}}                                                    last line, exit status 0
 *   {"error": {"code": "...", "message": "...", "hint": "..."}}          last line, exit status 1
 *
 * "hint" is left out when there is nothing to say. Exactly one of result and error ends the output;
 * when neither came, the job was killed. stderr is for people (the output of mmdebstrap, say), may
 * be long and is never parsed. A wrong command line is the error "invalid".
 * SIGTERM cancels: the job tidies up and ends with the error code "cancelled". SIGKILL is safe as
 * well: it leaves nothing but directories in the pool's tmp/, which "clean-tmp" removes, and in a
 * cache one that the next job removes; mmdebstrap's mounts are in a namespace that ends with its
 * last process. Descriptor 3, where it is given, is the lock that says to the next vpsd that this
 * job lives: it stays open to the end and is given to nobody.
 *
 * Verbs; DIR is the pool, ID an instance id (16 hex digits), HEX a digest (64 hex digits):
 *
 *   import --pool DIR --range-base N [--expect-digest HEX] [--max-bytes N] [--max-entries N]
 *          [--size N] [--allow-no-init]
 *       Archive on stdin: tar, plain or gzip, bzip2, xz, zstd. N of --range-base is the first of
 *       65536 host ids that nothing else uses while the job runs; --size is the number of bytes to
 *       come, for progress. With --expect-digest of an image that exists, stdin is not read.
 *       Result: every field of image.json (images/manifest.h) and "existed": bool.
 *       Progress: bytes of the archive; "unpack", then "sync".
 *   build --pool DIR --range-base N --release NAME [--mirror URL] [--cache DIR]
 *       Result: as import, and "release": NAME. stdin is not read. Progress "bootstrap" has no
 *       total. --cache DIR holds archives made before (NAME.tar) and gets new ones.
 *   archive --release NAME --cache DIR [--mirror URL]
 *       Only makes DIR/NAME.tar, unless it is there. Result: {"path": "..."}.
 *   releases
 *       Result: {"releases": ["debian-12", ...]}.
 *   prepare --pool DIR --id ID --digest HEX [--hostname H] [--project N]
 *       Makes instances/ID/fs/{upper,work} and the instance's identity. May be repeated: what
 *       is there is complete. --project: project id (quota) of fs and all below.
 *       Result: {"id": ID, "warnings": ["...", ...]}.
 *   set-hostname --pool DIR --id ID --hostname H
 *       For a stopped instance. Result: as prepare.
 *   remove-instance --pool DIR --id ID      Result: {"removed": bool}; false: it was not there.
 *   remove-image --pool DIR --digest HEX    Result: {"removed": bool}. The caller knows that
 * nothing uses the image. clean-tmp --pool DIR                    Result: {"removed": N}: what
 * killed jobs left. seccomp FILE                            see job_seccomp.c
 *   relieve --cgroup PATH --init PID --start N [--reclaim BYTES]
 *       PATH is an instance's cgroup, PID and N pid and start time of its init, which must live.
 *       Kills the process in it that holds most memory, never the init; with --reclaim nothing is
 *       killed and the kernel asked to reclaim. Result: {"killed": {"pid", "command", "memory"}} or
 *       {"reclaimed": BYTES}.
 *   write-limit --file PATH --value TEXT    Result: {}. One write to a file of a cgroup, which may
 * take long: job_limit.c.
 *   filter --file PATH --table NAME
 *       Loads the packet filter's rules (netns/filter.h) and sends the socket that owns the table
 *       over stdin, a SOCK_SEQPACKET. Result: {"table": NAME}.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define JOB_LINE_MAX 16384u

/* Error codes and the errno values of struct err that become them; anything else is "internal".
 * Daemon and tests use the same list. */
#define JOB_ERRORS(X)                                                                              \
	X(EINVAL, "invalid")	       /* wrong argument */                                        \
	X(EBADMSG, "archive-invalid")  /* not a tar, truncated, trailing bytes, damaged */         \
	X(EXDEV, "archive-unsafe")     /* an entry that wants out: "..", foreign hard link */      \
	X(EOVERFLOW, "limit-exceeded") /* entries, bytes, depth, ratio ... */                      \
	X(ENOEXEC, "no-init")	       /* neither /sbin/init nor /bin/sh inside */                 \
	X(EKEYREJECTED, "digest-mismatch")                                                         \
	X(EOPNOTSUPP, "unsupported") /* file system or kernel cannot, tool missing */              \
	X(ENOSPC, "no-space")                                                                      \
	X(EDQUOT, "no-space")                                                                      \
	X(ENOENT, "not-found")                                                                     \
	X(EBUSY, "busy")                                                                           \
	X(ETIMEDOUT, "timeout")                                                                    \
	X(ECANCELED, "cancelled")                                                                  \
	X(ECHILD, "tool-failed") /* a program that was run failed */

/* Code of an errno-style value; "internal" when it is in no row. */
const char *job_error_code(int code);

/* Writes a progress line unless one was written less than 200 ms ago; total 0 = not known. */
void job_progress(uint64_t done, uint64_t total, const char *what);
/* Writes the result line; 'result' is consumed (NULL: out of memory). Returns the exit status. */
int job_result(json_t *result);
/* Writes the error line; returns the exit status 1. */
int job_error(const struct err *err);

/* True once SIGTERM or SIGINT came; job_check() is -ECANCELED then. job_signals() installs that. */
int job_signals(struct err *err);
int job_check(struct err *err);

/* First id of a range of 65536 that is not the host's own users (0..65535) and ends below 2^32. */
#define JOB_RANGE_MIN 65536u
#define JOB_RANGE_MAX (UINT32_MAX - 65536u)

/* Result of import and build; NULL when memory is short. */
struct img_manifest;
json_t *job_image_json(const struct img_manifest *m, bool existed);

/* One row per option of a verb. Options are long, values follow as the next argument; every option
 * may be given once. */
enum job_opt_type {
	JOB_OPT_FLAG,	  /* bool */
	JOB_OPT_STRING,	  /* const char *, not empty, clean UTF-8 */
	JOB_OPT_PATH,	  /* const char *, absolute */
	JOB_OPT_DIGEST,	  /* const char * */
	JOB_OPT_ID,	  /* const char * */
	JOB_OPT_HOSTNAME, /* const char * */
	JOB_OPT_U64,	  /* uint64_t within min..max */
	JOB_OPT_TYPE_MAX,
};

struct job_opt {
	const char *name; /* "--pool" */
	enum job_opt_type type;
	bool required;
	size_t offset; /* of the value in the verb's option struct */
	uint64_t min, max;
};

/* Fills 'opts' from argv[1..]; rows end with a NULL name. -EINVAL names the option. */
int job_args(int argc, char **argv, const struct job_opt *rows, void *opts, struct err *err);

/* Verbs: the return value is the exit status; the last line of output has been written. argv[0] is
 * the verb. */
int job_import(int argc, char **argv);
int job_build(int argc, char **argv);
int job_archive(int argc, char **argv);
int job_releases(int argc, char **argv);
int job_prepare(int argc, char **argv);
int job_set_hostname(int argc, char **argv);
int job_remove_instance(int argc, char **argv);
int job_remove_image(int argc, char **argv);
int job_clean_tmp(int argc, char **argv);
int job_seccomp(int argc, char **argv);
int job_relieve(int argc, char **argv);
int job_write_limit(int argc, char **argv);
int job_filter(int argc, char **argv);
