/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts by which a guest's own programs learn of its network: /etc/hosts, the resolver, and
 * files for the network managers that would otherwise undo what was set from outside. Pure: who
 * writes them is runtime/sandbox, at each start, by the rules of struct sbx_file.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/str.h"

/* The first line of all of them. A file that has lost it is the guest's own. */
#define GUEST_FILE_MARK                                                                            \
	"# Written by the host at each start; without this line the file is yours.\n"

#define GUEST_NICS_MAX 10u
#define GUEST_DNS_MAX 3u /* resolv.conf(5): more are not asked */
#define GUEST_FILES_MAX (3u + GUEST_NICS_MAX)

/* Where every host end answers. */
#define GUEST_GATEWAY4 "169.254.1.1"
#define GUEST_GATEWAY6 "fe80::1"

struct guest_nic {
	unsigned number; /* N of "ethN", below GUEST_NICS_MAX */
	/* As they are set on the link, with their prefixes; networks that the guest gets as a whole
	 * are set nowhere. */
	const struct addr *addrs;
	size_t n_addrs;
	uint32_t table4, table6; /* that its default route of the family is in; 0 = main */
};

/* All is borrowed. */
struct guest_net {
	const char *hostname; /* "web1.acme.example" */
	const struct guest_nic *nics;
	size_t n_nics;
	const struct addr *dns; /* name servers, at most GUEST_DNS_MAX */
	size_t n_dns;
};

struct guest_file {
	char path[64]; /* below the guest's root */
	char *text;    /* with the mark; heap. To be removed: the mark alone */
	bool remove;   /* one of an earlier start, with the mark, has to go */
};

struct guest_files {
	struct guest_file items[GUEST_FILES_MAX];
	size_t n;
};

/* All files of a network, also those that go because nothing is in them any more. -EINVAL for an
 * impossible network, -ENOMEM. */
int guest_files_make(const struct guest_net *net, struct guest_files *ret, struct err *err);
void guest_files_done(struct guest_files *f);
/* The text of /etc/hosts alone; the buffer tells of a failure. */
void guest_files_hosts(struct sbuf *out, const struct guest_net *net);
