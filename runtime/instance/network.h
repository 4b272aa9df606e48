/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks of the host document in the kernel: the packet filter and the host's settings
 * (network.c), what others do to the host's network (network_watch.c), and the links of one guest
 * (links.c). What an instance is to have is in addresses.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "config/support.h"
#include "images/guest_files.h"
#include "netns/filter.h"
#include "netns/netlink.h"
#include "netns/nic.h"
#include "runtime/sandbox/sandbox.h"

struct inst;
struct inst_manager;
struct spec_network;
struct network_watch;

#define NETWORK_RETRY 10 /* s, until what could not be set up is tried again */

enum network_state {
	NETWORK_NONE,	 /* the host document has none */
	NETWORK_IDLE,	 /* nothing was done yet */
	NETWORK_ASKING,	 /* the keeper is asked for what an earlier vpsd has left */
	NETWORK_LOADING, /* a job loads the packet filter's rules */
	NETWORK_READY,
	NETWORK_FAILED, /* 'why' says it; it is tried again */
};

/* Tables of the packet filter have one of so many names: a new vpsd fills one of its own while
 * those of earlier ones hold, then removes them. */
#define NETWORK_TABLES 3u

struct network {
	enum network_state state;
	struct err why;
	struct nl_sock host; /* NETLINK_ROUTE of the host's namespace */
	struct net_filter filter;
	struct net_filter old[NETWORK_TABLES]; /* of earlier vpsds; fd -1 = none */
	unsigned table;			       /* whose name 'filter' has */
	unsigned asked;			       /* how many of the names the keeper was asked for */
	struct job *job;		       /* loads */
	int job_sock;			       /* over which it hands the table over; -1 = none */
	bool is_held;			       /* the keeper has a copy of it */
	bool is_armed;			       /* all guests that run are in it */
	bool is_alone;			       /* earlier ones are counted, and go */
	uint32_t last_tenant;		       /* numbers that the filter knows tenants by */
	sd_event_source *again;
	struct net_seen seen; /* while guests that were found are looked at */
	bool has_seen;
	struct network_watch *watch;
};

/* Links of one guest: as they were told to the kernel. */
struct inst_links {
	size_t n;
	const struct spec_network *networks[NET_NICS]; /* of the host document */
	struct net_nic nics[NET_NICS];
	struct net_filter_nic facts[NET_NICS];
	/* What those point to. */
	struct addr *addresses; /* of all NICs, one after the other */
	struct addr *sources;	/* the same and the addresses of the links */
	struct net_forward *forwards;
	struct net_filter_rule *rules;
	int gate; /* of a launch under way; -1 = none */
	sd_event_source *on_gate;
	bool has_facts; /* the filter has them */
	char why[200];	/* what of it does not hold; "" = all does */
};

/* --- network.c ------------------------------------------------------------------------------- */

/* NETWORK_NONE or NETWORK_IDLE; to be closed in every case. Closing leaves everything in force. */
int network_open(struct inst_manager *m, struct err *err);
void network_close(struct inst_manager *m);
/* The keeper speaks: loads what is missing, and calls manager_start_step() when that is done or has
 * failed. True = it is. */
bool network_start(struct inst_manager *m);
/* The keeper is another one: it gets what it must keep alive. */
void network_hold(struct inst_manager *m);
/* All guests that run are known: from now on an interface that is not listed is mute. Removes
 * tables of earlier vpsds and links of nobody. */
void network_recovered(struct inst_manager *m);
/* Why guests get no links now; NULL = they do. */
const char *network_why_not(const struct inst_manager *m);
/* Sets the host up for the guests of one network, and logs what that changed. */
int network_prepare(const struct spec_network *n, struct err *err);

/* --- network_watch.c ------------------------------------------------------------------------- */

/* From now on what guests' links lose on the host's side, by what others do to uplinks, addresses
 * and routes, is put back. Nothing is done twice. */
int network_watch_open(struct inst_manager *m, struct err *err);
void network_watch_close(struct inst_manager *m);

/* --- links.c --------------------------------------------------------------------------------- */

/* The host's own addresses from which it speaks to guests: the lowest of each family, or ADDR_NONE.
 */
int links_sources(struct addr *ret4, struct addr *ret6, struct err *err);
/* Before a launch: tells the filter of the guest's interfaces and makes the gate, whose other end
 * is *ret_theirs (-1 = no interfaces, no gate; else the caller's to close after the launch was
 * sent). The links are made when the guest's namespace comes through it. */
int links_prepare(struct inst *i, int *ret_theirs, struct err *err);
/* The files that tell its programs of them; to be freed by guest_files_done(). */
int links_files(const struct inst *i, struct guest_files *ret, struct err *err);
/* A guest that was found running: tells the filter, and puts back what is missing. */
void links_found(struct inst *i);
/* What it is to have has changed, and is durable: brings a guest that runs into line with it. NULL,
 * or why not all of it holds: what was added does not, then; what was taken away does. */
const char *links_change(struct inst *i);
/* Gives the links of a guest that runs the rates that it is to have now. -ENODEV: it has none. */
int links_shape(struct inst *i, struct err *err);
/* Cuts a guest that is suspended so off, and connects it again when it is not: no more than the
 * packet filter's facts go, so its links stay as they are. Nothing to do is success. */
int links_cut_as_wanted(struct inst *i, struct err *err);
/* The guest is gone, or its launch has failed. */
void links_gone(struct inst *i);
/* The instance is deleted: what is kept for its next start goes as well. */
void links_drop(struct inst *i);
/* Only the memory: vpsd ends, and the guest does not. */
void links_forget(struct inst *i);
/* Whether a link of the host is one of a guest that runs, or what holds the upload of an instance.
 */
bool links_has(const struct inst_manager *m, const char *name);
/* Whether the host answers on that uplink for a guest that runs and has the address. */
bool links_answer(const struct inst_manager *m, int uplink, const struct addr *a);
/* Adds "network" to what is unsupported when something of it does not hold. */
void links_item(const struct inst *i, struct spec_items *ret);
