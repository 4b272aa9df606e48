/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts frames out of a client's bytes, and makes those that go back. */
#include "runtime/keeper/frame.h"

#include <string.h>

#define SIGNO_MAX 64u

uint32_t frame_get_u32(const uint8_t p[4])
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

void frame_put_u32(uint8_t p[4], uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

void frame_put_header(uint8_t dst[FRAME_HEADER], enum keeper_frame type, uint32_t length)
{
	memset(dst, 0, FRAME_HEADER);
	dst[0] = (uint8_t)type;
	frame_put_u32(dst + 4, length);
}

size_t frame_make_u32(uint8_t dst[FRAME_HEADER + 4], enum keeper_frame type, uint32_t v)
{
	frame_put_header(dst, type, 4);
	frame_put_u32(dst + FRAME_HEADER, v);
	return FRAME_HEADER + 4;
}

size_t frame_make_error(uint8_t dst[FRAME_LAST_MAX], const struct err *e)
{
	const char *text = err_text(e);
	size_t len = strnlen(text, FRAME_ERROR_TEXT);

	frame_put_header(dst, FRAME_ERROR, (uint32_t)(4 + len));
	frame_put_u32(dst + FRAME_HEADER, (uint32_t)e->code);
	memcpy(dst + FRAME_HEADER + 4, text, len);
	return FRAME_HEADER + 4 + len;
}

/* Takes up to size - *have bytes into dst; true when it is full. */
static bool gather(uint8_t *dst, uint8_t *have, size_t size, const uint8_t **p, size_t *n)
{
	size_t take = size - *have;

	if (take > *n)
		take = *n;
	memcpy(dst + *have, *p, take);
	*have = (uint8_t)(*have + take);
	*p += take;
	*n -= take;
	return *have == size;
}

/* A whole header: checks it and turns to its body. */
static int begin_body(struct frame_parser *f, unsigned allowed, struct err *err)
{
	unsigned type = f->header[0];
	uint32_t length = frame_get_u32(f->header + 4);

	if (type == 0 || type >= 32 || !(allowed & FRAME_BIT(type)))
		return err_set(err, EPROTO, "received a frame of unexpected type %u", type);
	if (f->header[1] || f->header[2] || f->header[3])
		return err_set(err, EPROTO, "received a malformed frame of type %u", type);
	if (type == FRAME_STDIN ? length > KEEPER_FRAME_MAX : length != sizeof(f->body))
		return err_set(err, EPROTO, "received a frame of type %u with %u bytes", type,
			       length);
	f->type = (uint8_t)type;
	f->left = length;
	f->n_header = 0;
	f->n_body = 0;
	return 0;
}

static int end_fixed(struct frame_parser *f, struct frame_piece *ret, struct err *err)
{
	uint32_t v = frame_get_u32(f->body);

	*ret = (struct frame_piece){.type = (enum keeper_frame)f->type};
	f->type = 0;
	if (ret->type == FRAME_SIGNAL) {
		if (v < 1 || v > SIGNO_MAX)
			return err_set(err, EPROTO, "received a frame with signal number %u", v);
		ret->signo = v;
	} else {
		ret->rows = (uint16_t)(v >> 16);
		ret->cols = (uint16_t)v;
	}
	return 1;
}

int frame_next(struct frame_parser *f, unsigned allowed, const uint8_t **p, size_t *n,
	       struct frame_piece *ret, struct err *err)
{
	/* Only what a client may send has a body that is understood here. */
	allowed &= FRAME_BIT(FRAME_STDIN) | FRAME_BIT(FRAME_WINSIZE) | FRAME_BIT(FRAME_SIGNAL);
	if (f->type == 0) {
		int r;

		if (!gather(f->header, &f->n_header, FRAME_HEADER, p, n))
			return 0;
		r = begin_body(f, allowed, err);
		if (r < 0)
			return r;
		if (f->left == 0) {
			*ret = (struct frame_piece){.type = FRAME_STDIN, .data = *p};
			f->type = 0;
			return 1;
		}
	}
	if (f->type != FRAME_STDIN)
		return gather(f->body, &f->n_body, sizeof(f->body), p, n) ? end_fixed(f, ret, err)
									  : 0;
	if (*n == 0)
		return 0;
	*ret = (struct frame_piece){.type = FRAME_STDIN, .data = *p};
	ret->len = *n < f->left ? *n : f->left;
	*p += ret->len;
	*n -= ret->len;
	f->left -= (uint32_t)ret->len;
	if (f->left == 0)
		f->type = 0;
	return 1;
}
