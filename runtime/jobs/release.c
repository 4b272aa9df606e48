/* SPDX-License-Identifier: Apache-2.0 */
/* Releases and mirrors: tables and text, nothing is run here. */
#include "runtime/jobs/release.h"

#include <string.h>

#include "base/str.h"

#define URL_MAX 256
#define URL_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/@%+[]"

static const struct release releases[] = {
	{"debian-11", "bullseye", 1628899200},
	{"debian-12", "bookworm", 1686355200},
	{"debian-13", "trixie", 1754697600},
};

#define N_RELEASES (sizeof(releases) / sizeof(releases[0]))

const struct release *release_at(size_t i)
{
	return i < N_RELEASES ? &releases[i] : NULL;
}

int release_find(const char *name, const struct release **ret, struct err *err)
{
	_cleanup_sbuf_ struct sbuf known = SBUF_INIT;

	for (size_t i = 0; i < N_RELEASES; i++) {
		if (str_eq(releases[i].name, name)) {
			*ret = &releases[i];
			return 0;
		}
		sbuf_addf(&known, "%s%s", i > 0 ? ", " : "", releases[i].name);
	}
	return err_set(err, EINVAL, "unknown release '%s'; known are %s", name, sbuf_str(&known));
}

bool release_is_mirror(const char *url)
{
	return (str_has_prefix(url, "http://") || str_has_prefix(url, "https://")) &&
	       strlen(url) < URL_MAX && url[strspn(url, URL_CHARS)] == '\0';
}

/* One word of a source: an address that ends in "/<what>", with or without a slash behind. */
static bool take_word(const char *word, size_t len, const char *what, char *ret, size_t size)
{
	char url[URL_MAX];
	size_t n;

	if (len == 0 || str_fmt(url, sizeof(url), "%.*s", (int)len, word) < 0 ||
	    !release_is_mirror(url))
		return false;
	n = strlen(url);
	if (url[n - 1] == '/')
		url[--n] = '\0';
	return n > strlen(what) && str_has_suffix(url, what) && url[n - strlen(what) - 1] == '/' &&
	       str_copy(ret, size, url) == 0;
}

bool release_mirror_in(const char *text, const char *what, char *ret, size_t size)
{
	while (*text) {
		size_t line = strcspn(text, "\n");
		const char *p = text, *end = text + line;
		/* "deb [options] URL suite ..." or "URIs: URL ..."; comments are neither. */
		bool source = str_has_prefix(p, "deb ") || str_has_prefix(p, "URIs:");

		while (source && p < end) {
			size_t len = strcspn(p, " \t\n");

			if (take_word(p, len, what, ret, size))
				return true;
			p += len;
			p += strspn(p, " \t");
		}
		text = end + (*end == '\n');
	}
	return false;
}
