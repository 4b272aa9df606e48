/* SPDX-License-Identifier: Apache-2.0 */
/* Validators of strings. Everything is a positive list: what is not known to be fine is refused. */
#include "config/valid.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/addr.h"
#include "base/num.h"
#include "base/path.h"
#include "base/str.h"
#include "config/plan.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define ALNUM LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* Between 1 and max bytes, all of them in 'set'. */
static bool is_made_of(const char *s, const char *set, size_t max)
{
	size_t n = strlen(s);

	return n > 0 && n <= max && strspn(s, set) == n;
}

bool spec_is_path(const char *s)
{
	return s[0] == '/' && path_is_plain_relative(s + 1);
}

bool spec_is_socket_path(const char *s)
{
	return spec_is_path(s) && strlen(s) <= 107; /* sun_path of unix(7), with its NUL */
}

bool spec_is_device(const char *s)
{
	return spec_is_path(s) && str_has_prefix(s, "/dev/") &&
	       is_made_of(s, ALNUM "/_.,:+@-", SPEC_DEVICE_PATH_MAX);
}

static bool is_cidr(const char *s, int family)
{
	struct addr a;

	return strchr(s, '/') && addr_parse(s, &a) == 0 && a.family == family &&
	       addr_is_network(&a);
}

bool spec_is_cidr4(const char *s)
{
	return is_cidr(s, AF_INET);
}

bool spec_is_cidr6(const char *s)
{
	return is_cidr(s, AF_INET6);
}

bool spec_is_source(const char *s)
{
	struct addr a;

	return addr_parse(s, &a) == 0 && addr_is_network(&a);
}

bool spec_is_range(const char *s)
{
	struct addr first, last;

	return addr_parse_range(s, &first, &last) == 0;
}

static bool is_single(const char *s, int family)
{
	struct addr a;

	return !strchr(s, '/') && addr_parse(s, &a) == 0 && a.family == family;
}

bool spec_is_wish4(const char *s)
{
	return str_eq(s, "auto") || str_eq(s, "none") || is_single(s, AF_INET);
}

/* What a guest can make use of: it may cut a /64 out of it, or have it all on one link. */
static bool is_prefix6(const struct addr *a)
{
	return a->prefix >= SPEC_PREFIX6_MIN && a->prefix <= SPEC_PREFIX6_MAX;
}

bool spec_is_wish6(const char *s)
{
	struct addr a;
	char any[ADDR_TEXT];

	if (str_eq(s, "auto") || str_eq(s, "none") || is_single(s, AF_INET6))
		return true;
	if (!str_has_prefix(s, "auto/"))
		return spec_is_cidr6(s) && addr_parse(s, &a) == 0 && is_prefix6(&a);
	return str_fmt(any, sizeof(any), "::/%s", s + strlen("auto/")) == 0 &&
	       addr_parse(any, &a) == 0 && is_prefix6(&a);
}

bool spec_is_endpoint(const char *s)
{
	unsigned char address[sizeof(struct in6_addr)];
	const char *colon = strrchr(s, ':');
	bool is_v6 = s[0] == '[';
	char host[INET6_ADDRSTRLEN];
	uint64_t port;
	size_t n;

	if (!colon || num_parse_u64(colon + 1, 1, 65535, &port) < 0)
		return false;
	n = (size_t)(colon - s);
	if (is_v6 && (n < 2 || colon[-1] != ']'))
		return false;
	if (is_v6) {
		s++;
		n -= 2;
	}
	if (n >= sizeof(host))
		return false;
	memcpy(host, s, n);
	host[n] = '\0';
	return inet_pton(is_v6 ? AF_INET6 : AF_INET, host, address) == 1;
}

bool spec_is_url(const char *s)
{
	const char *host = str_has_prefix(s, "https://")  ? s + 8
			   : str_has_prefix(s, "http://") ? s + 7
							  : NULL;

	return host && is_made_of(host, ALNUM "-._~:/?#[]@!$&'()*+,;=%", 1024) && *host != '/';
}

bool spec_is_interface(const char *s)
{
	return is_made_of(s, ALNUM "_.-", 15) && !str_eq(s, ".") && !str_eq(s, "..");
}

bool spec_is_word(const char *s)
{
	return is_made_of(s, LOWER "0123456789_.-", 32) && (strchr(LOWER, s[0]) || s[0] == '_');
}

bool spec_is_pattern(const char *s)
{
	return is_made_of(s, LOWER "0123456789_.*", 47);
}

bool spec_is_label_key(const char *s)
{
	return is_made_of(s, ALNUM "._/-", 63) && strchr(ALNUM, s[0]);
}

bool spec_is_plan_ref(const char *s)
{
	char name[SPEC_NAME_TEXT];
	uint64_t version;

	return spec_plan_ref_parse(s, name, &version) == 0;
}

bool spec_is_image(const char *s)
{
	return str_has_prefix(s, "sha256:") ? str_is_digest(s + 7) : str_is_name(s);
}

/* One list for the check and for its regular expression. */
#define SSH_KEY_TYPES(first, next)                                                                 \
	first("ssh-ed25519") next("ssh-rsa") next("ecdsa-sha2-nistp256")                           \
		next("ecdsa-sha2-nistp384") next("ecdsa-sha2-nistp521")                            \
			next("sk-ssh-ed25519@openssh.com")                                         \
				next("sk-ecdsa-sha2-nistp256@openssh.com")
#define AS_ITEM(type) type,
#define AS_WORD(type) type
#define AS_NEXT_WORD(type) "|" type

bool spec_is_ssh_key(const char *s)
{
	static const char *const types[] = {SSH_KEY_TYPES(AS_ITEM, AS_ITEM)};

	/* Options in front ("command=...") would be a key's own policy: not accepted. */
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (str_has_prefix(s, types[i]) && s[strlen(types[i])] == ' ')
			return str_has_prefix(s + strlen(types[i]) + 1, "AAAA");
	return false;
}

bool spec_is_password_hash(const char *s)
{
	/* No ':' and no newline: it goes into a line of shadow(5). */
	return s[0] == '$' && is_made_of(s, ALNUM "./$=,+-_", 255) && strchr(s + 1, '$');
}

bool spec_is_timezone(const char *s)
{
	return is_made_of(s, ALNUM "_+-/", 64) && path_is_plain_relative(s);
}

bool spec_is_port_list(const char *s)
{
	uint64_t from, to;

	for (;; s++) {
		if (num_scan_u64(s, &s, &from) < 0 || from < 1 || from > 65535)
			return false;
		to = from;
		if (*s == '-' && num_scan_u64(s + 1, &s, &to) < 0)
			return false;
		if (to < from || to > 65535)
			return false;
		if (*s != ',')
			return *s == '\0';
	}
}

bool spec_is_port_forward(const char *s)
{
	uint64_t outer, inner;

	if (num_scan_u64(s, &s, &outer) < 0 || *s != ':' || num_scan_u64(s + 1, &s, &inner) < 0)
		return false;
	return outer >= 1 && outer <= 65535 && inner >= 1 && inner <= 65535 &&
	       (str_eq(s, "/tcp") || str_eq(s, "/udp"));
}

/* --- the same as regular expressions -------------------------------------------------------- */

#define RE_NAME "(?!.*\\.\\.)[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?"
#define RE_LABEL "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define RE_CONTROLS "\\u0000-\\u001f\\u007f-\\u009f"
/* Components of a path: clean, neither "." nor "..". */
#define RE_PATH "(/(?!\\.{1,2}(/|$))[^/" RE_CONTROLS "]+)+"
#define RE_OCTET "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define RE_IPV4 "(" RE_OCTET "\\.){3}" RE_OCTET
/* What IPv6 is made of: how often "::" may stand in it is left to the code. */
#define RE_IPV6 "[0-9A-Fa-f:.]{2,45}"
#define RE_CIDR4 RE_IPV4 "/0*([12]?[0-9]|3[0-2])"
#define RE_CIDR6 RE_IPV6 "/0*([1-9]?[0-9]|1[01][0-9]|12[0-8])"
#define RE_PREFIX6 "(4[89]|[5-9][0-9]|1[01][0-9]|12[0-7])"
#define RE_PORT                                                                                    \
	"0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
#define RE_PORTS RE_PORT "(-" RE_PORT ")?"
#define RE_URL "A-Za-z0-9._~:?#@!$&'()*+,;=%\\[\\]-"
#define RE_HASH "[A-Za-z0-9./$=,+_-]*"

static const struct {
	bool (*is_valid)(const char *);
	const char *pattern;
} pattern_rows[] = {
	{str_is_name, "^" RE_NAME "$"},
	{str_is_hostname, "^(?=.{1,253}$)" RE_LABEL "(\\." RE_LABEL ")*$"},
	{spec_is_path, "^" RE_PATH "$"},
	{spec_is_socket_path, "^(?=.{1,107}$)" RE_PATH "$"},
	{spec_is_device, "^(?=.{6,68}$)/dev(/(?!\\.{1,2}(/|$))[A-Za-z0-9_.,:+@-]+)+$"},
	{spec_is_cidr4, "^" RE_CIDR4 "$"},
	{spec_is_cidr6, "^" RE_CIDR6 "$"},
	{spec_is_source, "^(" RE_IPV4 "|" RE_IPV6 "|" RE_CIDR4 "|" RE_CIDR6 ")$"},
	{spec_is_range, "^(" RE_IPV4 "|" RE_IPV6 ")([/-][0-9A-Fa-f:.]{1,45})?$"},
	{spec_is_wish4, "^(auto|none|" RE_IPV4 ")$"},
	{spec_is_wish6, "^(none|(auto|" RE_IPV6 ")(/" RE_PREFIX6 ")?)$"},
	{spec_is_endpoint, "^(" RE_IPV4 "|\\[" RE_IPV6 "\\]):" RE_PORT "$"},
	{spec_is_url, "^https?://[" RE_URL "][/" RE_URL "]{0,1023}$"},
	{spec_is_interface, "^(?!\\.{1,2}$)[A-Za-z0-9_.-]{1,15}$"},
	{spec_is_word, "^[a-z_][a-z0-9_.-]{0,31}$"},
	{spec_is_pattern, "^[a-z0-9_.*]{1,47}$"},
	{spec_is_label_key, "^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$"},
	{spec_is_plan_ref, "^" RE_NAME "(@0*[1-9][0-9]{0,9})?$"},
	{spec_is_image, "^(sha256:[0-9a-f]{64}|" RE_NAME ")$"},
	{spec_is_ssh_key, "^(" SSH_KEY_TYPES(AS_WORD, AS_NEXT_WORD) ") AAAA[^" RE_CONTROLS "]*$"},
	{spec_is_password_hash, "^(?=.{2,255}$)\\$" RE_HASH "\\$" RE_HASH "$"},
	{spec_is_timezone, "^(?=.{1,64}$)[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$"},
	{spec_is_port_list, "^" RE_PORTS "(," RE_PORTS ")*$"},
	{spec_is_port_forward, "^" RE_PORT ":" RE_PORT "/(tcp|udp)$"},
};

const char *spec_pattern(bool (*is_valid)(const char *))
{
	for (size_t i = 0; i < sizeof(pattern_rows) / sizeof(pattern_rows[0]); i++)
		if (pattern_rows[i].is_valid == is_valid)
			return pattern_rows[i].pattern;
	return NULL;
}
