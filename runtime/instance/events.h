/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened, for people and programs that come later: a bounded list with a cursor, in the
 * database and in memory. An event is seen when it is durable, in the order of cursors, so whoever
 * goes on from the last one that was seen misses none as long as it is kept.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rand.h"

struct inst_manager;

#define EVENTS_MAX 4096u /* kept; the oldest go */

struct event {
	uint64_t cursor; /* 1 and up; numbers may be missing */
	uint64_t time;	 /* seconds since the epoch */
	char instance_id[ID_TEXT];
	char name[130];	 /* "acme/web1" as it was called then */
	char kind[24];	 /* "thrash", "started", ... */
	char *message;	 /* one line for people; "" = the kind says it all */
	json_t *details; /* object for programs; NULL = none */
};

/* The first that is seen with a cursor above 'since'; NULL = none. Valid until the loop goes on. */
const struct event *inst_event_next(const struct inst_manager *m, uint64_t since);
/* Cursors of the oldest and the newest one that are seen; 0 = none. */
uint64_t inst_event_oldest(const struct inst_manager *m);
uint64_t inst_event_newest(const struct inst_manager *m);
/* Another database has other events, whatever their cursors: store_id(). */
const char *inst_event_source(const struct inst_manager *m);
