/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox: starts a guest's init in namespaces of its own, and joins processes to it.
 *
 * A launch is described by plain data and fds (struct sbx_launch); nothing here knows JSON, cgroup
 * paths or image stores. The caller is the keeper: a small single-threaded process, in a mount
 * namespace of its own, with a procfs at /proc. sbx_spawn_begin() forks the throwaway helper and
 * returns at once; the helper's reports come over a socket, which the caller polls, so that no
 * launch ever blocks another.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/msg.h"
#include "base/rand.h"

#define SBX_ARGS_MAX 256 /* words of argv, or of the environment */
#define SBX_LAYERS_MAX 32
#define SBX_ID_RANGE 65536u /* ids of one instance */
#define SBX_NODES_MAX 16
#define SBX_NODE_PATH 64
#define SBX_BASE_MIN 100000u /* a smaller base id is refused: never host ids, never 0 */
#define SBX_FILES_MAX 16
#define SBX_FILE_PATH 96     /* with its NUL */
#define SBX_FILE_TEXT 8192u  /* bytes of one file's content, at most */
#define SBX_WARNING_TEXT 256 /* with its NUL */

enum sbx_features {
	SBX_FEATURE_NESTING = 1u << 0, /* unmasked procfs and sysfs aside, mount API */
	SBX_FEATURE_TUN = 1u << 1,     /* /dev/net/tun */
	SBX_FEATURE_FUSE = 1u << 2,    /* /dev/fuse */
};

/* A character device in the guest's /dev, beside those that every guest has. */
struct sbx_node {
	char path[SBX_NODE_PATH]; /* below /dev, "dri/renderD128" */
	uint32_t major, minor;
	mode_t mode; /* permissions, 0666 at most; root of the guest owns it */
};

/*
 * A small text file in the guest's root, written before its init runs. The first line of 'text' is
 * the mark by which a file is known as ours: without it a file belongs to the guest and stays as it
 * is, and so does everything that is no regular file, or is behind a symbolic link. A file of the
 * image that the guest has never changed counts as ours, and an empty one. Nothing is made where
 * the directory is missing.
 */
enum sbx_file_rule {
	SBX_FILE_WRITE,	 /* written where there is none, or ours with another text */
	SBX_FILE_REMOVE, /* removed if it bears the mark */
	SBX_FILE_RULE_MAX,
};

struct sbx_file {
	const char *path; /* below the guest's root, "etc/hosts"; no links are followed */
	const char *text; /* ends its first line, the mark, with a newline */
	mode_t mode;	  /* permissions, 0777 at most; root of the guest owns it */
	enum sbx_file_rule rule;
};

/* One start of one instance. Strings and fds are borrowed for the duration of the call. */
struct sbx_launch {
	char id[ID_TEXT]; /* instance id, for names and messages */
	uint32_t base;	  /* first uid and gid on the host; ids 0..65535 inside */
	const char *hostname;
	char *const *argv;     /* NULL-terminated; argv[0] is a path inside the guest */
	char *const *envp;     /* NULL-terminated; complete */
	uint64_t capabilities; /* bounding set, bit N = capability N of <linux/capability.h> */
	unsigned features;     /* enum sbx_features */
	unsigned n_nodes;
	struct sbx_node nodes[SBX_NODES_MAX];
	uint64_t shm_size;  /* bytes of /dev/shm; 0 = 64 MiB */
	uint64_t run_size;  /* bytes of /run; 0 = 64 MiB */
	uint64_t mem_limit; /* bytes; informative (sizes of tmpfs), UINT64_MAX = none */
	int cgroup;	    /* dirfd of the "guest" cgroup: O_RDONLY|O_DIRECTORY, not O_PATH */
	int upper;	    /* detached mount (open_tree(2) OPEN_TREE_CLONE) that holds the
			       directories "upper" and "work" */
	int layers[SBX_LAYERS_MAX]; /* detached mounts of image trees, topmost first */
	unsigned n_layers;
	int views;   /* -1; or a detached mount of a tmpfs whose files are shown instead of the
			kernel's: see SBX_MOUNT_VIEW. It is kept writable, for who launches. */
	int gate;    /* -1; or 'theirs' of sbx_gate_pair(): init does not run before GO */
	int seccomp; /* memfd holding struct sock_filter[]; -1 = none (tests only) */
	unsigned n_files;
	struct sbx_file files[SBX_FILES_MAX];
	struct rlimit rlimits[RLIM_NLIMITS]; /* all are set, none is inherited */
	int rootfs_plain; /* -1; or a detached mount used as root as it is, without overlay */
};

/* Default bounding set, resource limits and environment of a guest: see security.md 2.2. */
void sbx_launch_init(struct sbx_launch *l);

/* What a successful launch gives. All fds owned by the receiver, O_CLOEXEC. */
struct sbx_started {
	pid_t pid;
	uint64_t start; /* start time, clock ticks since boot */
	int pidfd;
	int console;	   /* pty master of /dev/console, non-blocking */
	int console_slave; /* one slave kept open, else a poll of the master spins (EIO) */
	int notify;	   /* datagram socket bound at /run/host/notify inside (NOTIFY_SOCKET) */
	char warning[SBX_WARNING_TEXT]; /* which file could not be written, and why; "" = none */
};

void sbx_started_done(struct sbx_started *s);

/* A launch or join under way. */
struct sbx_pending {
	int sock;	      /* becomes readable when there is a report; owned */
	pid_t helper;	      /* to be reaped (waitpid with __WALL) by the caller */
	int helper_pidfd;     /* owned; to be killed when the launch takes too long */
	pid_t child;	      /* init or joined process once it is born, 0 = not yet; a child of the
				 caller, to be reaped (__WALL) when the launch fails */
	int child_pidfd;      /* owned until sbx_*_finish() succeeds; -1 = not yet */
	uint64_t child_start; /* start time of the child */
};

#define SBX_PENDING_INIT ((struct sbx_pending){.sock = -1, .helper_pidfd = -1, .child_pidfd = -1})

/* Gives up what is under way (helper and unfinished child are killed, not reaped) and closes. After
 * a success it only closes: the helper ends by itself. */
void sbx_pending_done(struct sbx_pending *p);

/* Starts a launch. The guest's init becomes a child of the caller (exit signal 0: wait with
 * __WALL). Errors here are the caller's (bad description, no memory); all later ones come through
 * sbx_spawn_finish(). */
int sbx_spawn_begin(const struct sbx_launch *l, struct sbx_pending *ret, struct err *err);
/* Reads the report of a pending launch. 0 = started, -EAGAIN = not yet, other negative = failed,
 * nothing of the guest is left (the init, if it was born, has been killed; the caller reaps it). */
int sbx_spawn_finish(struct sbx_pending *p, struct sbx_started *ret, struct err *err);

/*
 * The gate: whoever launches gets the guest's network namespace while the guest is being built,
 * sets its network up in there, and says GO; only then init is executed. New links of that
 * namespace begin without router advertisements, autoconfiguration and duplicate address detection.
 * The launch fails when a failure is said instead, or when all of 'ours' are closed: so it does
 * when the process that holds it dies. Whoever launches sets the time limit.
 */
/* 'ours' is non-blocking and stays, 'theirs' goes into a launch and is closed when that is sent. */
int sbx_gate_pair(int *ret_ours, int *ret_theirs, struct err *err);
/* The network namespace, as an fd that the caller owns. -EAGAIN = not yet (poll for POLLIN), -EPIPE
 * = the launch has failed, or its record was dropped. */
int sbx_gate_receive(int ours, struct err *err);
/* The network is complete. -EPIPE: the launch has failed meanwhile. */
int sbx_gate_go(int ours, struct err *err);
/* It is not; the launch fails with this code and text. Best effort: nobody may be listening. */
void sbx_gate_fail(int ours, const struct err *why);

/* One process joined to a running guest ("exec"). */
struct sbx_join {
	int pidfd; /* of the guest's init */
	uint32_t base;
	int cgroup;	   /* dirfd of a fresh leaf of this session */
	char *const *argv; /* argv[0] is looked up in the guest's PATH when it has no slash */
	char *const *envp;
	const char *cwd;       /* inside; NULL or "" = "/" */
	uint32_t uid, gid;     /* inside */
	uint64_t capabilities; /* bounding set */
	int seccomp;	       /* memfd as above */
	bool tty;	       /* a fresh pty of the guest's own devpts, controlling terminal */
	uint16_t rows, cols;   /* window size at start, when tty */
	int stdio[3];	       /* without tty: the child's 0, 1, 2 */
	struct rlimit rlimits[RLIM_NLIMITS];
};

struct sbx_joined {
	pid_t pid; /* child of the caller (exit signal 0: wait with __WALL) */
	uint64_t start;
	int pidfd;
	int master; /* pty master when tty, else -1 */
};

void sbx_joined_done(struct sbx_joined *j);

/* As the spawn pair. A program that cannot be executed is a failure with code ENOENT or EACCES. */
int sbx_join_begin(const struct sbx_join *j, struct sbx_pending *ret, struct err *err);
int sbx_join_finish(struct sbx_pending *p, struct sbx_joined *ret, struct err *err);

/* The launch and join descriptions as payload and fds of a record, and back; used between vpsd and
 * the keeper. unpack owns nothing but the heap block *ret_mem (free(3)) that strings point into;
 * fds are taken out of the record into 'ret_fds_owner' semantic: sbx_launch_close() closes them. */
int sbx_launch_pack(const struct sbx_launch *l, struct msg *m, struct err *err);
int sbx_launch_unpack(struct wire *w, struct msg *m, struct sbx_launch *ret, void **ret_mem,
		      struct err *err);
void sbx_launch_close(struct sbx_launch *l);
int sbx_join_pack(const struct sbx_join *j, struct msg *m, struct err *err);
int sbx_join_unpack(struct wire *w, struct msg *m, struct sbx_join *ret, void **ret_mem,
		    struct err *err);
void sbx_join_close(struct sbx_join *j);

/* Puts the calling process into a mount namespace of its own with almost no mounts: a read-only
 * tmpfs root with a procfs. For the keeper, once, before it launches anything. */
int sbx_enter_small_root(struct err *err);
