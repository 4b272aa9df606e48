/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ids of instances must be nobody else's: a user of the host whose uid lies in a range would
 * own a guest's files and could signal its processes, and so could another container system that
 * was given the same subordinate ids (subuid(5), subgid(5)).
 */
#pragma once

#include <stdint.h>

#include "base/err.h"

struct id_span {
	uint64_t first;
	uint64_t count;
};

enum id_file {
	ID_FILE_ACCOUNTS, /* passwd(5), group(5): the third field is an id */
	ID_FILE_RANGES,	  /* subuid(5), subgid(5): NAME:FIRST:COUNT */
};

/* Looks for an id of 'text' in the span. -EADDRINUSE names the line's account and its ids;
 * malformed lines are the host's business and skipped. 'name' is the file's, for the message. */
int idcheck_text(enum id_file kind, const char *name, const char *text, struct id_span span,
		 struct err *err);
/* The same for the files of this host; those that do not exist hold nothing. */
int idcheck_host(struct id_span span, struct err *err);
