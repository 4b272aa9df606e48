/* SPDX-License-Identifier: Apache-2.0 */
/* Validators of strings. Everything is a positive list: what is not known to be fine is refused. */
#include "config/valid.h"

#include <arpa/inet.h>
#include <string.h>

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
	return spec_is_path(s) && str_has_prefix(s, "/dev/");
}

/* True when all bits of the address behind the prefix are zero. */
static bool has_no_host_bits(const unsigned char *address, size_t size, uint64_t prefix)
{
	for (size_t bit = prefix; bit < size * 8; bit++)
		if (address[bit / 8] & (0x80u >> bit % 8))
			return false;
	return true;
}

static bool is_cidr(const char *s, int family, size_t size)
{
	unsigned char address[sizeof(struct in6_addr)];
	const char *slash = strchr(s, '/');
	char text[INET6_ADDRSTRLEN];
	uint64_t prefix;

	if (!slash || (size_t)(slash - s) >= sizeof(text))
		return false;
	memcpy(text, s, (size_t)(slash - s));
	text[slash - s] = '\0';
	return inet_pton(family, text, address) == 1 &&
	       num_parse_u64(slash + 1, 0, size * 8, &prefix) == 0 &&
	       has_no_host_bits(address, size, prefix);
}

bool spec_is_cidr4(const char *s)
{
	return is_cidr(s, AF_INET, sizeof(struct in_addr));
}

bool spec_is_cidr6(const char *s)
{
	return is_cidr(s, AF_INET6, sizeof(struct in6_addr));
}

bool spec_is_cidr(const char *s)
{
	return spec_is_cidr4(s) || spec_is_cidr6(s);
}

static bool is_address(const char *s, int family)
{
	unsigned char address[sizeof(struct in6_addr)];

	return str_eq(s, "auto") || str_eq(s, "none") || inet_pton(family, s, address) == 1;
}

bool spec_is_address4(const char *s)
{
	return is_address(s, AF_INET);
}

bool spec_is_address6(const char *s)
{
	return is_address(s, AF_INET6);
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

bool spec_is_ssh_key(const char *s)
{
	static const char *const types[] = {
		"ssh-ed25519 ",
		"ssh-rsa ",
		"ecdsa-sha2-nistp256 ",
		"ecdsa-sha2-nistp384 ",
		"ecdsa-sha2-nistp521 ",
		"sk-ssh-ed25519@openssh.com ",
		"sk-ecdsa-sha2-nistp256@openssh.com ",
	};

	/* Options in front ("command=...") would be a key's own policy: not accepted. */
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (str_has_prefix(s, types[i]))
			return str_has_prefix(s + strlen(types[i]), "AAAA");
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
