/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matching of paths. The library decodes a path before its user sees it, so that "web1%00/start"
 * would be "web1" and "a%2fb" two names; here segments are cut first and decoded afterwards
 * (RFC 3986, 2.4).
 */
#include "runtime/daemon/route.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

int route_decode(const char *s, size_t len, char **ret)
{
	_cleanup_free_ char *text = malloc(len + 1);
	size_t n = 0;
	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < len; i++) {
		if (s[i] != '%') {
			text[n++] = s[i];
			continue;
		}
		int high = len - i > 2 ? hex_digit(s[i + 1]) : -1;
		int low = len - i > 2 ? hex_digit(s[i + 2]) : -1;
		if (high < 0 || low < 0)
			return -EINVAL;
		text[n++] = (char)(high << 4 | low);
		i += 2;
	}
	text[n] = '\0';
	if (strlen(text) != n || !str_is_clean_utf8(text))
		return -EINVAL;
	*ret = take_ptr(text);
	return 0;
}

/* One segment, or as many fixed characters, of the row at a time. */
static bool matches(const char *want, const char *path)
{
	while (*want && *path) {
		if (*want == '{') {
			size_t len = strcspn(path, "/");
			if (!len)
				return false;
			path += len;
			want += strcspn(want, "}") + 1;
		} else if (*want++ != *path++) {
			return false;
		}
	}
	return !*want && !*path;
}

static int take_params(const struct route *route, const char *path, struct route_match *ret,
		       struct err *err)
{
	unsigned n = 0;
	for (const char *want = route->path; *want;) {
		if (*want != '{') {
			want++;
			path++;
			continue;
		}
		size_t len = strcspn(path, "/");
		int r = n < ROUTE_PARAMS_MAX ? route_decode(path, len, &ret->params[n++]) : -EINVAL;
		if (r == -ENOMEM)
			return err_set(err, ENOMEM, "no memory for the request");
		if (r < 0)
			return err_set(err, EINVAL,
				       "a name in the path is no UTF-8 text, or badly escaped");
		path += len;
		want += strcspn(want, "}") + 1;
	}
	return 0;
}

int route_find(const struct route *routes, const char *method, const char *path,
	       struct route_match *ret, struct err *err)
{
	*ret = (struct route_match){.route = NULL};
	for (const struct route *r = routes; r->method; r++) {
		if (!matches(r->path, path))
			continue;
		if (strcmp(r->method, method) == 0) {
			int rc = take_params(r, path, ret, err);
			if (rc == 0)
				ret->route = r;
			return rc;
		}
		size_t used = strlen(ret->allow);
		(void)str_fmt(ret->allow + used, sizeof(ret->allow) - used, "%s%s",
			      used ? ", " : "", r->method);
	}
	char shown[200];
	str_escape(shown, sizeof(shown), path);
	if (ret->allow[0])
		return err_set(err, EPROTONOSUPPORT, "'%s' offers %s only", shown, ret->allow);
	return err_set(err, ENOENT, "there is no '%s' in this API", shown);
}

void route_match_done(struct route_match *m)
{
	for (unsigned i = 0; i < ROUTE_PARAMS_MAX; i++)
		free(m->params[i]);
	*m = (struct route_match){.route = NULL};
}
