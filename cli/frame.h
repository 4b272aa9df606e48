/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of a session as the client sees them: whole, cut out of a byte stream. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "runtime/keeper/proto.h"

#define FRAME_HEAD 8u

struct frame {
	uint8_t type;
	const uint8_t *payload; /* valid until the next call */
	size_t len;
};

/* All zero at the beginning. */
struct frame_reader {
	uint8_t *buf;
	size_t at, len, cap;
};

void frame_reader_done(struct frame_reader *r);
/* Adds received bytes. */
int frame_reader_add(struct frame_reader *r, const void *data, size_t len, struct err *err);
/* 1 = a frame, 0 = not all of it is there yet, -EPROTO = malformed. */
int frame_reader_next(struct frame_reader *r, struct frame *ret, struct err *err);

void frame_head(char dst[FRAME_HEAD], uint8_t type, size_t len);
void frame_put_u32(uint8_t dst[4], uint32_t v);
uint32_t frame_u32(const uint8_t p[4]);
