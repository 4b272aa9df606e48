/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the rig know of each other (rig.h). */
#pragma once

#include "tests/unit/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "base/path.h"
#include "base/pidref.h"
#include "base/str.h"
#include "cgroups/cpuset.h"
#include "cgroups/devices.h"
#include "cgroups/events.h"
#include "cgroups/strain.h"
#include "config/host.h"
#include "images/store.h"
#include "runtime/instance/apply.h"
#include "runtime/instance/manager.h"
#include "runtime/instance/store.h"
#include "runtime/instance/usage_private.h"
#include "runtime/keeper/proto.h"
#include "runtime/sandbox/mounts.h"
#include "runtime/sandbox/sandbox.h"

#define GUESTS_MAX 16
#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define PATIENCE_USEC (10 * UINT64_C(1000000))

/* A guest as the keeper knows it. Its init is a child of the test that does nothing. */
struct rig_guest {
	char id[ID_TEXT];
	uint64_t boot;
	pid_t pid;
	uint64_t start;
	int pidfd;
	bool ready;
	enum keeper_exit how;
	uint32_t status;
};

struct rig_cgroup {
	char id[ID_TEXT], tenant[ID_TEXT];
	int fd;
	bool is_fenced;
	bool is_empty; /* no process lives there */
	cpu_set_t cpus;
	bool is_frozen;		 /* it was told to be */
	struct cg_limits limits; /* as they were written last */
	struct cg_stall stall;
	struct cg_refaults refaults;
};

/* What the keeper holds for the next vpsd. */
struct rig_held {
	char key[64];
	int fd;
};

/* A table of the packet filter, known by the fd of its socket. */
struct rig_table {
	int fd;
	struct usage_nic nics[8];
	size_t n;
};

struct rig {
	char dir[64], path[256];
	struct rig_table tables[3]; /* the first is that of this vpsd */
	unsigned hasty_reads;	    /* reads after which each counter goes on */
	bool deaf_tables, deaf_shaper;
	int deaf_table;		  /* fd of the one that cannot be read; 0 = none */
	char forgotten[IFNAMSIZ]; /* whose counters were removed last */
	bool is_cut, deaf_filter; /* the last guest that was looked at; nobody is cut off */
	sd_event *event;
	struct spec_host host;
	struct store *store;
	sd_event_source *on_store;
	struct inst_manager *m;
	bool is_ready;
	struct err not_ready;

	/* The keeper. */
	int listener, peer;
	sd_event_source *on_listener, *on_peer;
	struct msg *in, *out;
	struct rig_guest guests[GUESTS_MAX];
	size_t n_guests;
	unsigned launches, signals, forgets, lists, adopts;
	int last_signal;
	bool holds_launches; /* launches are done, and not answered */
	bool refuses_adoption;
	uint32_t protocol; /* that it speaks; 0 = ours */
	struct rig_held held[GUESTS_MAX];
	size_t n_held;
	unsigned n_views; /* directories that stand for mounts */
	bool has_no_views;
	/* A guest that ends while it is being listed, behind its own item. */
	bool ends_while_listed;

	/* Cgroups. */
	struct rig_cgroup cgroups[GUESTS_MAX];
	size_t n_cgroups;
	bool has_fences;	    /* device programs can be loaded */
	struct cg_device_set fence; /* loaded last */
	const char *devices[4];	    /* that the host has */
	struct sbx_launch launch;   /* the last one; its strings and fds are gone */
	unsigned cpus;		    /* of the machine; 0 = cannot be read */
	bool has_no_partitions, refuses_partitions;
	bool is_half_dedicated; /* as a vpsd that was killed leaves it, until it is told again */
	cpu_set_t dedicated, partition; /* of the root, as it was told last */
	bool never_freezes;		/* processes that do not stand still */
	unsigned freezes, thaws;	/* writes */
	unsigned limits_fail;		/* so many writings of limits fail */
	struct cg_limits tenant_limits; /* as they were written last, of whatever tenant */
	uint64_t tenant_memory_used;	/* no quota goes below unforced */
	uint64_t memory_used;		/* of each instance: no limit goes below unforced */
	unsigned busy;			/* so many removals find processes */
	const char *strain_why_not;	/* no figures of pressure */
	int timeout_ms;			/* the longest wait that was asked for */
};

/* What the functions below work on. */
static struct rig *rig;
