/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting frames out of a stream. */
#include "cli/frame.h"

#include <stdlib.h>
#include <string.h>

void frame_reader_done(struct frame_reader *r)
{
	free(r->buf);
	*r = (struct frame_reader){0};
}

int frame_reader_add(struct frame_reader *r, const void *data, size_t len, struct err *err)
{
	if (len == 0)
		return 0;
	if (r->at) {
		memmove(r->buf, r->buf + r->at, r->len - r->at);
		r->len -= r->at;
		r->at = 0;
	}
	if (r->len + len > r->cap) {
		size_t cap = r->len + len + 4096;
		uint8_t *more = realloc(r->buf, cap);
		if (!more)
			return err_set(err, ENOMEM, "no memory for the session");
		r->buf = more;
		r->cap = cap;
	}
	memcpy(r->buf + r->len, data, len);
	r->len += len;
	return 0;
}

int frame_reader_next(struct frame_reader *r, struct frame *ret, struct err *err)
{
	size_t have = r->len - r->at;
	if (have < FRAME_HEAD)
		return 0;
	const uint8_t *p = r->buf + r->at;
	uint32_t len = frame_u32(p + 4);
	if (p[0] == 0 || p[1] || p[2] || p[3] || len > KEEPER_FRAME_MAX)
		return err_set(err, EPROTO, "the session's stream is malformed");
	if (have < FRAME_HEAD + len)
		return 0;
	*ret = (struct frame){.type = p[0], .payload = p + FRAME_HEAD, .len = len};
	r->at += FRAME_HEAD + len;
	return 1;
}

uint32_t frame_u32(const uint8_t p[4])
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

void frame_put_u32(uint8_t dst[4], uint32_t v)
{
	for (int i = 0; i < 4; i++)
		dst[i] = (uint8_t)(v >> (24 - 8 * i));
}

void frame_head(char dst[FRAME_HEAD], uint8_t type, size_t len)
{
	uint8_t head[FRAME_HEAD] = {type};
	frame_put_u32(head + 4, (uint32_t)len);
	memcpy(dst, head, sizeof(head));
}
