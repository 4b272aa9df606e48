/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frames of exec and console sessions (runtime/keeper/proto.h), cut out of a byte stream piece
 * by piece: the body of FRAME_STDIN is handed on as it comes, so that no session needs a buffer of
 * the size of a frame. What a client sends is foreign: the first malformed header ends it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "runtime/keeper/proto.h"

#define FRAME_HEADER 8u
#define FRAME_BIT(type) (1u << (unsigned)(type))

void frame_put_header(uint8_t dst[FRAME_HEADER], enum keeper_frame type, uint32_t length);
uint32_t frame_get_u32(const uint8_t p[4]);
void frame_put_u32(uint8_t p[4], uint32_t v);

/* Parser state; all zero at the beginning of a stream. Plain data: copy it to look ahead. */
struct frame_parser {
	uint8_t header[FRAME_HEADER];
	uint8_t n_header;
	uint8_t body[4]; /* of WINSIZE and SIGNAL */
	uint8_t n_body;
	uint8_t type;  /* of the frame whose body comes now; 0 = a header comes */
	uint32_t left; /* bytes of body to come */
};

/* What came. FRAME_STDIN: a piece of its body, or len 0 for end of file. */
struct frame_piece {
	enum keeper_frame type;
	const uint8_t *data; /* FRAME_STDIN; points into the input */
	size_t len;
	uint32_t signo;	     /* FRAME_SIGNAL: 1..64 */
	uint16_t rows, cols; /* FRAME_WINSIZE */
};

/* Takes bytes from *p / *n, which move on. 1 = a piece came, 0 = all bytes are used up, -EPROTO =
 * not a frame, or not of a type in 'allowed' (FRAME_BIT), the only possible failure. */
int frame_next(struct frame_parser *f, unsigned allowed, const uint8_t **p, size_t *n,
	       struct frame_piece *ret, struct err *err);

/* FRAME_EXIT and FRAME_ERROR, whole. Return bytes written to dst. */
#define FRAME_ERROR_TEXT 512u
#define FRAME_LAST_MAX (FRAME_HEADER + 4u + FRAME_ERROR_TEXT)
size_t frame_make_u32(uint8_t dst[FRAME_HEADER + 4], enum keeper_frame type, uint32_t v);
size_t frame_make_error(uint8_t dst[FRAME_LAST_MAX], const struct err *e);
