/* SPDX-License-Identifier: Apache-2.0 */
/* Private to cgroups/: one row for each limit. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/num.h"
#include "cgroups/limits.h"

struct limit_row {
	const char *name;
	const char *controller;
	const char *file; /* NULL = the one whose weights the disk heeds */
	int (*format)(uint64_t value, char dst[CG_LIMIT_TEXT]);
	int (*parse)(const char *text, uint64_t *ret);
	void (*show)(char dst[NUM_TEXT], uint64_t value);
	uint64_t initial; /* the kernel's own */
	bool ceiling;	  /* every ancestor bounds it too */
	const char *key;  /* the value stands so in the line of the disk; NULL = in the first */
};

/* Indexed by enum cg_limit. */
extern const struct limit_row cg_limit_rows[CG_LIMIT_MAX];

/* A value for people: "512MiB", "1.500 cores", "unlimited". */
void cg_limit_show(char dst[NUM_TEXT], const struct limit_row *row, uint64_t value);
