/* SPDX-License-Identifier: Apache-2.0 */
/* Words of an interface's document, edited by what they mean. */
#include "config/reattach.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "base/str.h"
#include "config/network.h"
#include "config/valid.h"

/* What may stand in a document, and as much to be added. */
#define WORDS_MAX 1000u
#define PORT_TEXT 16

/* --- the request ----------------------------------------------------------------------------- */

static bool is_wish4(const char *s)
{
	return !str_eq(s, "none") && spec_is_wish4(s);
}

static bool is_wish6(const char *s)
{
	return !str_eq(s, "none") && spec_is_wish6(s);
}

static bool is_address4(const char *s)
{
	return !str_has_prefix(s, "auto") && is_wish4(s);
}

static bool is_address6(const char *s)
{
	return !str_has_prefix(s, "auto") && is_wish6(s);
}

static bool port_parse(const char *s, struct spec_forward *ret)
{
	uint64_t port;

	if (num_scan_u64(s, &s, &port) < 0 || port < 1 || port > UINT16_MAX ||
	    (!str_eq(s, "/tcp") && !str_eq(s, "/udp")))
		return false;
	*ret = (struct spec_forward){.port = (uint16_t)port,
				     .protocol = str_eq(s, "/udp") ? IPPROTO_UDP : IPPROTO_TCP};
	return true;
}

static bool is_port(const char *s)
{
	struct spec_forward f;

	return port_parse(s, &f);
}

#define ROW(type, member, key_, kind_, ...)                                                        \
	{                                                                                          \
		.key = (key_), .kind = JSON_KIND_##kind_, .offset = offsetof(struct type, member), \
		__VA_ARGS__                                                                        \
	}

static const struct json_row add_rows[] = {
	ROW(spec_words, ipv4, "ipv4", STRINGS, .max = SPEC_WISHES_MAX, .is_valid = is_wish4,
	    .expect = "an IPv4 address or \"auto\"", .example = "auto"),
	ROW(spec_words, ipv6, "ipv6", STRINGS, .max = SPEC_WISHES_MAX, .is_valid = is_wish6,
	    .expect = "an IPv6 address or prefix, \"auto\" or \"auto/64\"", .example = "auto"),
	ROW(spec_words, ports, "ports", STRINGS, .max = WORDS_MAX, .is_valid = spec_is_port_forward,
	    .expect = "a port forward", .example = "8080:80/tcp"),
};
static const struct json_table add_table = JSON_TABLE("what is added", struct spec_words, add_rows);

static const struct json_row remove_rows[] = {
	ROW(spec_words, ipv4, "ipv4", STRINGS, .max = SPEC_WISHES_MAX, .is_valid = is_address4,
	    .expect = "an IPv4 address", .example = "203.0.113.7"),
	ROW(spec_words, ipv6, "ipv6", STRINGS, .max = SPEC_WISHES_MAX, .is_valid = is_address6,
	    .expect = "an IPv6 address or prefix", .example = "2001:db8::7"),
	ROW(spec_words, ports, "ports", STRINGS, .max = WORDS_MAX, .is_valid = is_port,
	    .expect = "a port of the host", .example = "8080/tcp"),
};
static const struct json_table remove_table =
	JSON_TABLE("what is removed", struct spec_words, remove_rows);

static const struct json_row reattach_rows[] = {
	ROW(spec_reattach, nic, "nic", U64, .max = SPEC_NICS_MAX - 1,
	    .expect = "the number of an interface", .example = "0"),
	ROW(spec_reattach, add, "add", OBJECT, .sub = &add_table, .expect = "what is added"),
	ROW(spec_reattach, remove, "remove", OBJECT, .sub = &remove_table,
	    .expect = "what is removed"),
};
static const struct json_table reattach_table =
	JSON_TABLE("a change of an interface", struct spec_reattach, reattach_rows);

static size_t words_count(const struct spec_words *w)
{
	return w->ipv4.n + w->ipv6.n + w->ports.n;
}

int spec_reattach_from_json(struct spec_reattach *e, const json_t *doc, const struct json_where *w)
{
	int r = json_rows_decode(&reattach_table, doc, 0, e, w);

	if (r == 0 && words_count(&e->add) + words_count(&e->remove) == 0)
		r = problems_add(w, NULL, NULL,
				 "changes nothing; name addresses or ports in \"add\" or "
				 "\"remove\"");
	if (r < 0)
		spec_reattach_done(e);
	return r < 0 && w->problems->oom ? -ENOMEM : r;
}

void spec_reattach_done(struct spec_reattach *e)
{
	json_rows_done(&reattach_table, e);
}

/* --- addresses ------------------------------------------------------------------------------- */

/* A word of the document, and the address that was given for it where that is known. */
struct word {
	const char *text;
	struct addr addr; /* ADDR_NONE = not known */
};

/* One family of the interface. */
struct family {
	const char *key;
	char *const *said; /* by the document */
	char *const *add, *const *remove;
	size_t n_said, n_add, n_remove;
	const struct spec_given *given;
	size_t n_given;
	struct word words[2 * SPEC_WISHES_MAX];
	size_t n;
	size_t n_old;  /* those at the front that were there before */
	bool is_fixed; /* an "auto" went: those that were there before are written out */
};

static bool is_auto(const char *word)
{
	return str_has_prefix(word, "auto");
}

/* The words as if they had all been written; "none" is no word. */
static void lay_out(struct family *f, bool is_default)
{
	if (is_default)
		while (f->n < f->n_given && f->n < SPEC_WISHES_MAX)
			f->words[f->n++].text = "auto";
	for (size_t i = 0; !is_default && i < f->n_said; i++)
		if (!str_eq(f->said[i], "none"))
			f->words[f->n++].text = f->said[i];
	for (size_t i = 0; i < f->n; i++) {
		f->words[i].addr = ADDR_NONE;
		if (!is_auto(f->words[i].text))
			(void)addr_parse(f->words[i].text, &f->words[i].addr);
		else if (f->n == f->n_given)
			f->words[i].addr = f->given[i].addr;
	}
	f->n_old = f->n;
}

static struct word *find_word(struct family *f, const char *text)
{
	struct addr a;

	for (size_t i = 0; i < f->n && addr_parse(text, &a) == 0; i++)
		if (addr_equal(&f->words[i].addr, &a))
			return &f->words[i];
	return NULL;
}

static int cut(struct family *f, const struct json_where *w)
{
	char path[64];
	int bad = 0;

	for (size_t i = 0; i < f->n_remove; i++) {
		struct word *word = find_word(f, f->remove[i]);
		size_t at = word ? (size_t)(word - f->words) : 0;

		(void)snprintf(path, sizeof(path), "remove.%s[%zu]", f->key, i);
		if (!word) {
			bad = problems_add(w, path, NULL, "\"%s\" is no address of this interface",
					   f->remove[i]);
			continue;
		}
		f->is_fixed |= is_auto(word->text);
		memmove(word, word + 1, (f->n - at - 1) * sizeof(*word));
		f->n--;
		f->n_old--;
	}
	return bad;
}

static int grow(struct family *f, const struct json_where *w)
{
	char path[64];
	int bad = 0;

	for (size_t i = 0; i < f->n_add; i++) {
		struct word word = {.text = f->add[i], .addr = ADDR_NONE};

		(void)snprintf(path, sizeof(path), "add.%s[%zu]", f->key, i);
		if (!is_auto(word.text) && find_word(f, word.text)) {
			bad = problems_add(w, path, NULL,
					   "\"%s\" is an address of this interface already",
					   word.text);
			continue;
		}
		if (!is_auto(word.text))
			(void)addr_parse(word.text, &word.addr);
		f->words[f->n++] = word;
	}
	return bad;
}

static json_t *words_json(const struct family *f)
{
	_cleanup_json_ json_t *words = json_array();
	char text[ADDR_TEXT];
	int r = 0;

	for (size_t i = 0; i < f->n; i++) {
		const struct word *word = &f->words[i];
		bool is_named = f->is_fixed && i < f->n_old && word->addr.family;

		addr_format(text, &word->addr);
		r |= json_array_append_new(words, json_string(is_named ? text : word->text));
	}
	if (f->n == 0)
		r |= json_array_append_new(words, json_string("none"));
	return r == 0 ? take_ptr(words) : NULL;
}

static int edit_addresses(struct family *f, bool is_default, json_t *doc,
			  const struct json_where *w)
{
	int r[2];

	if (f->n_add + f->n_remove == 0)
		return 0;
	lay_out(f, is_default);
	r[0] = cut(f, w);
	r[1] = grow(f, w);
	if (json_object_set_new(doc, f->key, words_json(f)) < 0)
		return -ENOMEM;
	return r[0] < 0 ? r[0] : r[1];
}

/* --- ports ----------------------------------------------------------------------------------- */

static size_t find_port(const json_t *ports, const struct spec_forward *f)
{
	for (size_t i = 0; i < json_array_size(ports); i++) {
		const struct spec_forward there =
			spec_forward_parse(json_string_value(json_array_get(ports, i)));

		if (there.port == f->port && there.protocol == f->protocol)
			return i;
	}
	return SIZE_MAX;
}

static int edit_ports(const struct spec_attach *a, const struct spec_reattach *e, json_t *doc,
		      const struct json_where *w)
{
	_cleanup_json_ json_t *ports = json_array();
	char path[64];
	int bad = 0, full = 0;

	for (size_t i = 0; i < a->ports.n; i++)
		full |= json_array_append_new(ports, json_string(a->ports.items[i]));
	for (size_t i = 0; i < e->remove.ports.n; i++) {
		struct spec_forward f = {0};
		size_t at;

		(void)snprintf(path, sizeof(path), "remove.ports[%zu]", i);
		(void)port_parse(e->remove.ports.items[i], &f);
		at = find_port(ports, &f);
		if (at == SIZE_MAX)
			bad = problems_add(w, path, NULL,
					   "port \"%s\" of the host is not forwarded to this "
					   "interface",
					   e->remove.ports.items[i]);
		else
			(void)json_array_remove(ports, at);
	}
	for (size_t i = 0; i < e->add.ports.n; i++) {
		const struct spec_forward f = spec_forward_parse(e->add.ports.items[i]);

		(void)snprintf(path, sizeof(path), "add.ports[%zu]", i);
		if (find_port(ports, &f) != SIZE_MAX)
			bad = problems_add(w, path, NULL,
					   "port %u/%s of the host is forwarded to this interface "
					   "already",
					   f.port, spec_forward_protocol(&f));
		else
			full |= json_array_append_new(ports, json_string(e->add.ports.items[i]));
	}
	if (!ports || full)
		return -ENOMEM;
	if (json_array_size(ports) == 0) {
		(void)json_object_del(doc, "ports");
		return bad;
	}
	return json_object_set(doc, "ports", ports) < 0 ? -ENOMEM : bad;
}

int spec_reattach(const struct spec_attach *a, const struct spec_reattach *e,
		  const struct spec_given *given, size_t n_given, json_t **ret,
		  const struct json_where *w)
{
	_cleanup_json_ json_t *doc = json_rows_encode(&spec_attach_table, a, 0);
	struct family v4 = {.key = "ipv4",
			    .said = a->ipv4.items,
			    .n_said = a->ipv4.n,
			    .add = e->add.ipv4.items,
			    .n_add = e->add.ipv4.n,
			    .remove = e->remove.ipv4.items,
			    .n_remove = e->remove.ipv4.n,
			    .given = given};
	struct family v6 = {.key = "ipv6",
			    .said = a->ipv6.items,
			    .n_said = a->ipv6.n,
			    .add = e->add.ipv6.items,
			    .n_add = e->add.ipv6.n,
			    .remove = e->remove.ipv6.items,
			    .n_remove = e->remove.ipv6.n};
	int r[3];

	if (!doc)
		return -ENOMEM;
	while (v4.n_given < n_given && given[v4.n_given].addr.family == AF_INET)
		v4.n_given++;
	v6.given = given + v4.n_given;
	v6.n_given = n_given - v4.n_given;
	r[0] = edit_addresses(&v4, spec_attach_is_default(a, AF_INET), doc, w);
	r[1] = edit_addresses(&v6, spec_attach_is_default(a, AF_INET6), doc, w);
	r[2] = edit_ports(a, e, doc, w);
	for (size_t i = 0; i < 3; i++)
		if (r[i] == -ENOMEM || (r[i] < 0 && w->problems->oom))
			return -ENOMEM;
	for (size_t i = 0; i < 3; i++)
		if (r[i] < 0)
			return r[i];
	*ret = take_ptr(doc);
	return 0;
}
