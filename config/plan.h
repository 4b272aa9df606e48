/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan document, vps-plan(5): what is sold. Immutable once used: PLAN@VERSION. The same rows
 * read the overrides of an instance (a partial plan applied on top).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"

struct cg_limits;

struct spec_cpu {
	struct json_seen seen;
	uint64_t cores;	    /* thousandths, hard ceiling */
	uint64_t guarantee; /* thousandths; for dedicated plans the same as cores */
	uint64_t burst;	    /* microseconds */
	bool dedicated;
};

struct spec_memory {
	struct json_seen seen;
	uint64_t limit;	    /* bytes */
	uint64_t high;	    /* bytes; JSON_UNLIMITED = none */
	uint64_t guarantee; /* bytes; for dedicated plans the same as limit */
	uint64_t swap;	    /* bytes; 0 = none */
};

/* Limits that are absent or null are JSON_UNLIMITED. */
struct spec_disk {
	struct json_seen seen;
	uint64_t size; /* bytes */
	uint64_t inodes;
	uint64_t read; /* bytes per second */
	uint64_t write;
	uint64_t read_iops;
	uint64_t write_iops;
	uint64_t weight;
};

enum spec_transfer_count {
	SPEC_TRANSFER_TOTAL,
	SPEC_TRANSFER_IN,
	SPEC_TRANSFER_OUT,
	SPEC_TRANSFER_LARGER, /* "max": the larger of in and out */
	SPEC_TRANSFER_COUNT_MAX,
};

enum spec_transfer_reset {
	SPEC_RESET_FIRST,
	SPEC_RESET_ANNIVERSARY,
	SPEC_RESET_NEVER,
	SPEC_RESET_MAX,
};

/* Exactly one of the three; throttle is JSON_UNLIMITED when it is another. */
struct spec_transfer_over {
	struct json_seen seen;
	uint64_t throttle; /* bits per second */
	bool suspend;
	bool bill;
};

struct spec_transfer {
	struct json_seen seen;
	uint64_t monthly; /* bytes */
	enum spec_transfer_count count;
	enum spec_transfer_reset reset;
	struct spec_transfer_over over;
};

struct spec_plan_network {
	struct json_seen seen;
	uint64_t in; /* bits per second */
	uint64_t out;
	uint64_t pps;
	uint64_t connections;
	uint64_t new_connections; /* per second */
	bool block_smtp;	  /* nothing goes out to TCP port 25 */
	struct spec_transfer transfer;
};

#define SPEC_DEVICES_MAX 16

struct spec_features {
	struct json_seen seen;
	bool nesting;
	bool tun;
	bool fuse;
};

struct spec_plan {
	struct json_seen seen;
	char *name;
	uint64_t version;
	struct spec_cpu cpu;
	struct spec_memory memory;
	uint64_t pids;
	struct spec_disk disk;
	struct spec_plan_network network;
	struct spec_features features;
	JSON_LIST(char *) devices; /* absolute paths below /dev, of character devices */
	uint64_t snapshots;
	uint64_t backups;
};

extern const struct json_table spec_plan_table;

/* Fills p from a parsed document and checks it; 0, -EINVAL with problems added, or -ENOMEM. On
 * failure p is empty (all zero). */
int spec_plan_from_json(struct spec_plan *p, const json_t *doc, const struct json_where *w);
void spec_plan_done(struct spec_plan *p);
#define _cleanup_spec_plan_ _cleanup_(spec_plan_done)
/* New reference with all defaults, normalised: equal plans give equal documents (json_equal). */
json_t *spec_plan_to_json(const struct spec_plan *p);
/* The same as a document that says nothing new: without what followed from other keys, so that it
 * follows again where the document is read. */
json_t *spec_plan_document(const struct spec_plan *p);
/* ret = plan with overrides (a partial plan, NULL = none) on top, the result checked by the same
 * rules. w->path is where the overrides stand. On failure ret is empty. */
int spec_plan_override(const struct spec_plan *plan, const json_t *overrides, struct spec_plan *ret,
		       const struct json_where *w);
/* Checks between fields (guarantee within limit ...); also done by the two above. */
int spec_plan_check(const struct spec_plan *p, const struct json_where *w);
/* Resource limits for the kernel, all but the disk that they are of, which is left as it is.
 * cpu.weight is 100 per guaranteed core, 1..10000. */
void spec_plan_to_limits(const struct spec_plan *p, struct cg_limits *ret);

/* "total", ... and "first", ... */
const char *spec_transfer_count_name(enum spec_transfer_count count);
const char *spec_transfer_reset_name(enum spec_transfer_reset reset);

/* "small" or "small@3": ret_version 0 = the newest. -EINVAL when malformed. */
#define SPEC_NAME_TEXT 64
int spec_plan_ref_parse(const char *ref, char ret_name[SPEC_NAME_TEXT], uint64_t *ret_version);
