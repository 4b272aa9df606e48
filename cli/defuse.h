/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest wrote must not act on the operator's terminal. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Where the filter stands, over reads; all zero at the beginning. */
struct defuser {
	enum {
		DEFUSE_PLAIN,
		DEFUSE_ESC,
		DEFUSE_CSI,
		DEFUSE_STRING,
		DEFUSE_STRING_ESC,
	} at;		/* in an escape sequence (ECMA-48) */
	uint8_t more;	/* bytes that the present UTF-8 character still wants */
	uint8_t lowest; /* the least that the next of them may be */
};

/* In place: escape sequences and carriage returns go, other control characters and what is no UTF-8
 * become '?'. Line feeds and tabs stay. Returns the bytes that are left. */
size_t defuse(struct defuser *d, char *text, size_t n);
