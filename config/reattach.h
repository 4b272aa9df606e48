/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single addresses and port forwards of an interface, added and taken away: from what its document
 * says and what it was given to the document that says so. Nothing else of the interface changes.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/json.h"
#include "config/tenant.h"

struct spec_words {
	struct json_seen seen;
	JSON_LIST(char *) ipv4;
	JSON_LIST(char *) ipv6;
	JSON_LIST(char *) ports;
};

struct spec_reattach {
	struct json_seen seen;
	uint64_t nic;		  /* which interface */
	struct spec_words add;	  /* as in a document, but for "none" */
	struct spec_words remove; /* addresses, prefixes, "8080/tcp" */
};

/* {"nic": 0, "add": {"ipv4": ["auto"]}, "remove": {"ports": ["8080/tcp"]}}. 0, -EINVAL with
 * problems added, or -ENOMEM. On failure e is empty (all zero). */
int spec_reattach_from_json(struct spec_reattach *e, const json_t *doc, const struct json_where *w);
void spec_reattach_done(struct spec_reattach *e);
#define _cleanup_spec_reattach_ _cleanup_(spec_reattach_done)

/* An address that the interface has. */
struct spec_given {
	struct addr addr;
	bool is_auto; /* it was chosen for "auto" */
};

/* New reference to the interface's new document. 'given' is all it has, in the order of its
 * document, IPv4 first. What was chosen for an "auto" that stays is written out when another
 * "auto" of its family goes: each keeps the address that it has. -EINVAL with problems at
 * w->path when something to be added is there, or something to be removed is not; -ENOMEM. */
int spec_reattach(const struct spec_attach *a, const struct spec_reattach *e,
		  const struct spec_given *given, size_t n_given, json_t **ret,
		  const struct json_where *w);
