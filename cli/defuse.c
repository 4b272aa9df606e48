/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter of console logs. Terminals act on C0 controls, on ESC sequences, and, many of them, on
 * the C1 controls U+0080..U+009F: U+009B is another way to write ESC [, as UTF-8 (c2 9b), as an
 * overlong form of it, or as the bare byte.
 */
#include "cli/defuse.h"

#include <stdbool.h>
#include <string.h>

/* Next state after one byte that belongs to a sequence. */
static void follow_escape(struct defuser *d, unsigned char c)
{
	switch (d->at) {
	case DEFUSE_ESC:
		d->at = c == '['		  ? DEFUSE_CSI
			: c && strchr("]PX^_", c) ? DEFUSE_STRING
			: c < 0x30		  ? DEFUSE_ESC
						  : DEFUSE_PLAIN;
		break;
	case DEFUSE_CSI:
		d->at = c == 0x1b ? DEFUSE_ESC : c >= 0x40 && c <= 0x7e ? DEFUSE_PLAIN : DEFUSE_CSI;
		break;
	case DEFUSE_STRING:
		d->at = c == 0x07 ? DEFUSE_PLAIN : c == 0x1b ? DEFUSE_STRING_ESC : DEFUSE_STRING;
		break;
	case DEFUSE_STRING_ESC:
	case DEFUSE_PLAIN:
		d->at = DEFUSE_PLAIN;
		break;
	}
}

/* True when the byte stays: it begins or goes on with a printable character (RFC 3629). The first
 * byte of one is out when the second turns out to be wrong; alone it does nothing. */
static bool is_printable(struct defuser *d, unsigned char c)
{
	if (d->more) {
		unsigned char lowest = d->lowest;
		d->lowest = 0x80;
		d->more--;
		if (c >= lowest && c <= 0xbf)
			return true;
		d->more = 0; /* it may begin another one */
	}
	if (c < 0x80)
		return (c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t';
	if (c < 0xc2 || c > 0xf4)
		return false;
	d->more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	/* Neither overlong forms nor U+0080..U+009F. */
	d->lowest = c == 0xc2 || c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	return true;
}

size_t defuse(struct defuser *d, char *text, size_t n)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c == '\n')
			d->at = DEFUSE_PLAIN; /* an unfinished sequence hides one line at the most
					       */
		if (d->at != DEFUSE_PLAIN)
			follow_escape(d, c);
		else if (c == 0x1b)
			d->at = DEFUSE_ESC;
		else if (c != '\r')
			text[kept++] = is_printable(d, c) ? (char)c : '?';
	}
	return kept;
}
