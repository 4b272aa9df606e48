/* SPDX-License-Identifier: Apache-2.0 */
/* Accounting of what an archive costs; sums that would wrap count as too much. */
#include "images/limits.h"

#include <inttypes.h>
#include <stdbool.h>

#include "base/num.h"

/* True when used + n is more than limit. */
static bool exceeds(uint64_t used, uint64_t n, uint64_t limit)
{
	return used > limit || n > limit - used;
}

static int too_much(uint64_t limit, const char *what, struct err *err)
{
	char text[NUM_TEXT];

	num_format_size(text, limit);
	return err_set(err, EOVERFLOW, "the archive holds more than %s of %s", text, what);
}

int img_usage_entry(struct img_usage *u, const struct img_limits *l, struct err *err)
{
	if (exceeds(u->entries, 1, l->entries))
		return err_set(err, EOVERFLOW, "the archive holds more than %" PRIu64 " entries",
			       l->entries);
	u->entries++;
	return 0;
}

int img_usage_data(struct img_usage *u, const struct img_limits *l, uint64_t n, struct err *err)
{
	if (exceeds(u->bytes, n, l->bytes))
		return too_much(l->bytes, "file content", err);
	u->bytes += n;
	return 0;
}

int img_usage_xattrs(struct img_usage *u, const struct img_limits *l, uint64_t n, struct err *err)
{
	if (n > l->xattr_entry)
		return too_much(l->xattr_entry, "extended attributes for one entry", err);
	if (exceeds(u->xattr_bytes, n, l->xattr_total))
		return too_much(l->xattr_total, "extended attributes", err);
	u->xattr_bytes += n;
	return 0;
}

int img_usage_stream(struct img_usage *u, const struct img_limits *l, uint64_t n, uint64_t archive,
		     struct err *err)
{
	/* Headers and padding: 2 KiB an entry with a pax header, and some room for long names. */
	uint64_t room = l->entries > (UINT64_MAX - l->bytes) / 8192 ? UINT64_MAX
								    : l->bytes + l->entries * 8192;
	uint64_t sum;

	if (exceeds(u->stream, n, room))
		return too_much(l->bytes, "content", err);
	sum = u->stream + n;
	if (sum > IMG_RATIO_FREE && sum / l->ratio > archive)
		return err_set(err, EOVERFLOW,
			       "the archive unpacks to more than %" PRIu64 " times its size",
			       l->ratio);
	u->stream = sum;
	return 0;
}

int img_limits_file(const struct img_limits *l, int64_t size, struct err *err)
{
	char text[NUM_TEXT];

	if (size < 0)
		return err_set(err, EBADMSG, "the archive holds a file of negative size");
	if ((uint64_t)size <= l->file_bytes)
		return 0;
	num_format_size(text, l->file_bytes);
	return err_set(err, EOVERFLOW, "the archive holds a file of more than %s", text);
}
