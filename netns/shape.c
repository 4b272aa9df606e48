/* SPDX-License-Identifier: Apache-2.0 */
/* Shaping of NICs: what the operations are made of is in netns/tc.h. */
#include "netns/shape.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "netns/tc.h"

#define PREFIX "vi"
#define ID_DIGITS 12u
/* Links of ours are in a group of their own. */
#define GROUP 0x76707364u
/* Below the least that IPv6 takes: the link gets no address, no multicast groups and none of the
 * hundred settings below /proc. It only passes frames on, of any length. */
#define IFB_MTU 1279u

void net_shape_name(char dst[IFNAMSIZ], const char *id, unsigned n)
{
	(void)str_fmt(dst, IFNAMSIZ, PREFIX "%.*s%u", (int)ID_DIGITS, id, n % 10);
}

static bool is_our_name(const char *s)
{
	return str_has_prefix(s, PREFIX) && strlen(s) == strlen(PREFIX) + ID_DIGITS + 1 &&
	       strspn(s + strlen(PREFIX), "0123456789abcdef") == ID_DIGITS + 1 &&
	       s[strlen(s) - 1] <= '9';
}

bool net_shape_is_effective(const struct net_shape *want, const struct net_shape_status *has)
{
	if (want->rate == NET_RATE_NONE || has->rate == NET_RATE_NONE)
		return want->rate == has->rate && !has->is_broken;
	return want->rate / 8 == has->rate / 8 && !has->is_broken;
}

static int check(const struct net_shape *want, struct err *err)
{
	if (want->rate != NET_RATE_NONE && (want->rate < NET_RATE_MIN || want->rate > NET_RATE_MAX))
		return err_set(err, ERANGE, "cannot shape to %llu bit/s: it must be %llu to %llu",
			       (unsigned long long)want->rate, NET_RATE_MIN, NET_RATE_MAX);
	return 0;
}

/* What the kernel does not know is not found. */
static int unsupported(int r, const char *what, struct err *err)
{
	struct err why = err ? *err : ERR_INIT;

	if (r != -ENOENT && r != -EOPNOTSUPP)
		return r;
	return err_set(err, EOPNOTSUPP, "the kernel cannot %s (%s)", what, err_text(&why));
}

/* Gives a link a queue with that rate. */
static int make_queue(struct nl_sock *s, int link, const struct tc_sizes *sizes, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	int r;

	tc_del_shaper(b, link);
	tc_add_shaper(b, link);
	tc_add_rate(b, link, sizes);
	r = nl_batch_run(s, b, err);
	return r < 0 ? unsupported(r, "hold a link to a rate: it has no 'htb'", err) : 0;
}

/* Makes or changes it. */
static int set_queue(struct nl_sock *s, int link, const struct net_shape *want, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *rate = nl_batch_new(), *fair = nl_batch_new();
	const struct tc_sizes sizes = tc_sizes(want->rate, want->mtu);
	struct err why = ERR_INIT;
	int r;

	tc_add_rate(rate, link, &sizes);
	r = nl_batch_run(s, rate, &why);
	if (r == -ENOENT) {
		why = ERR_INIT;
		r = make_queue(s, link, &sizes, &why);
	}
	if (r >= 0) {
		tc_add_fair(fair, link, &sizes);
		r = nl_batch_run(s, fair, &why);
		/* Its absence is a matter of the status. */
		if (r == -ENOENT)
			return 0;
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

static void take_state(const struct tc_state *state, struct net_shape_status *status)
{
	status->rate = state->rate > 0 ? state->rate * 8 : NET_RATE_NONE;
	status->is_fair = state->is_fair;
	status->drops = state->drops;
}

static int read_queue(struct nl_sock *s, int link, struct net_shape_status *ret, struct err *err)
{
	struct tc_state state;
	int r = tc_read_shaper(s, link, &state, err);

	if (r < 0)
		return r;
	*ret = (struct net_shape_status){.rate = 0};
	take_state(&state, ret);
	return 0;
}

int net_shape_in(struct nl_sock *s, int link, const struct net_shape *want,
		 struct net_shape_status *ret, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	int r = check(want, err);

	if (r < 0)
		return r;
	if (want->rate == NET_RATE_NONE) {
		tc_del_shaper(b, link);
		r = nl_batch_run(s, b, err);
	} else {
		r = set_queue(s, link, want, err);
	}
	return r < 0 ? r : read_queue(s, link, ret, err);
}

/* --- the ifb --------------------------------------------------------------------------------- */

struct found {
	int index;
	bool is_ours; /* an ifb in our group */
	bool is_up;
};

static const struct nlattr *link_attr(const struct nlmsghdr *m, uint16_t type)
{
	const struct nlattr *a;

	nl_attr_for_each (a, m, sizeof(struct ifinfomsg))
		if (mnl_attr_get_type(a) == type)
			return a;
	return NULL;
}

static bool is_ours(const struct nlmsghdr *m)
{
	const struct nlattr *a, *info = link_attr(m, IFLA_LINKINFO),
				*group = link_attr(m, IFLA_GROUP);

	if (!info || !group || mnl_attr_validate(group, MNL_TYPE_U32) < 0 ||
	    mnl_attr_get_u32(group) != GROUP)
		return false;
	nl_attr_for_each_nested (a, info)
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND &&
		    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			return str_eq(mnl_attr_get_str(a), "ifb");
	return false;
}

static int take_link(void *arg, const struct nlmsghdr *m, struct err *err)
{
	const struct ifinfomsg *h = mnl_nlmsg_get_payload(m);
	struct found *f = arg;

	(void)err;
	if (m->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(m) < sizeof(*h))
		return 0;
	f->index = h->ifi_index;
	f->is_ours = is_ours(m);
	f->is_up = h->ifi_flags & IFF_UP;
	return 0;
}

/* A link by its index, or else by its name. None: index 0. */
static int find(struct nl_sock *s, int index, const char *name, struct found *ret, struct err *err)
{
	struct {
		struct ifinfomsg h;
		struct nlattr a;
		char name[IFNAMSIZ];
	} q = {
		.h = {.ifi_family = AF_UNSPEC, .ifi_index = index},
		.a = {.nla_type = IFLA_IFNAME, .nla_len = sizeof(q.a) + sizeof(q.name)},
	};
	struct err why = ERR_INIT;
	struct found f = {.index = 0};
	int r;

	if (name)
		(void)str_copy(q.name, sizeof(q.name), name);
	r = nl_get(s, RTM_GETLINK, &q, name ? sizeof(q) : sizeof(q.h), take_link, &f,
		   "look for a link", &why);
	if (r < 0 && r != -ENODEV) {
		if (err)
			*err = why;
		return r;
	}
	*ret = f;
	return 0;
}

static int make_ifb(struct nl_sock *s, const char *name, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct ifinfomsg h = {.ifi_family = AF_UNSPEC};
	size_t info;
	int r;

	nl_batch_add(b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &h, sizeof(h), "make link '%s'",
		     name);
	nl_put_string(b, IFLA_IFNAME, name);
	nl_put_u32(b, IFLA_MTU, IFB_MTU);
	nl_put_u32(b, IFLA_GROUP, GROUP);
	info = nl_nest_start(b, IFLA_LINKINFO);
	nl_put_string(b, IFLA_INFO_KIND, "ifb");
	nl_nest_end(b, info);
	r = nl_batch_run(s, b, err);
	return r < 0 ? unsupported(r, "shape what comes from a guest: it has no 'ifb'", err) : 0;
}

static int set_up(struct nl_sock *s, int ifb, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct ifinfomsg h = {.ifi_family = AF_UNSPEC,
				    .ifi_index = ifb,
				    .ifi_flags = IFF_UP,
				    .ifi_change = IFF_UP};

	nl_batch_add(b, RTM_NEWLINK, 0, &h, sizeof(h), "set link %d up", ifb);
	return nl_batch_run(s, b, err);
}

int net_shape_remove(struct nl_sock *s, const char *ifb, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	struct ifinfomsg h = {.ifi_family = AF_UNSPEC};
	struct found f;
	int r = find(s, 0, ifb, &f, err);

	if (r < 0 || f.index == 0 || !f.is_ours)
		return r;
	h.ifi_index = f.index;
	nl_batch_add(b, RTM_DELLINK, 0, &h, sizeof(h), "delete link '%s'", ifb);
	nl_batch_tolerate(b, ENODEV);
	return nl_batch_run(s, b, err);
}

/* Leads what comes in by the link to the ifb. Where it goes to another one, that one is stale. */
static int redirect(struct nl_sock *s, int link, int ifb, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	int to, r = tc_read_redirect(s, link, &to, err);

	if (r < 0 || to == ifb)
		return r;
	tc_del_redirect(b, link);
	tc_add_redirect(b, link, ifb);
	r = nl_batch_run(s, b, err);
	return r < 0 ? unsupported(r,
				   "redirect what comes from a guest: it lacks 'ingress', 'u32' or "
				   "'mirred'",
				   err)
		     : 0;
}

/* The redirection goes first: with it, and without the ifb, nothing would get through. */
static int undo_out(struct nl_sock *s, int link, const char *ifb, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	struct err why = ERR_INIT;
	int r;

	tc_del_redirect(b, link);
	r = nl_batch_run(s, b, &why);
	/* A link that is gone leads nowhere. */
	if (r == 0 || r == -ENODEV)
		return net_shape_remove(s, ifb, err);
	if (err)
		*err = why;
	return r;
}

static int set_out(struct nl_sock *s, int link, const char *name, const struct net_shape *want,
		   struct err *err)
{
	struct found ifb;
	int r = find(s, 0, name, &ifb, err);
	bool is_new = r == 0 && ifb.index == 0;

	if (is_new) {
		r = make_ifb(s, name, err);
		if (r >= 0)
			r = find(s, 0, name, &ifb, err);
	}
	if (r < 0)
		return r;
	if (!ifb.is_ours)
		return err_set(err, EEXIST, "cannot make link '%s': there is another one", name);
	r = set_queue(s, ifb.index, want, err);
	if (r >= 0)
		r = set_up(s, ifb.index, err);
	if (r >= 0)
		r = redirect(s, link, ifb.index, err);
	/* What held before a change goes on to hold. */
	if (r < 0 && is_new)
		(void)undo_out(s, link, name, NULL);
	return r;
}

static int read_out(struct nl_sock *s, int link, struct net_shape_status *ret, struct err *err)
{
	struct net_shape_status has = {.rate = NET_RATE_NONE};
	struct found ifb = {.index = 0};
	struct err why = ERR_INIT;
	int to, r = tc_read_redirect(s, link, &to, err);

	if (r < 0)
		return r;
	if (to > 0)
		r = find(s, to, NULL, &ifb, &why);
	if (r >= 0 && ifb.is_ours)
		r = read_queue(s, to, &has, &why);
	/* Gone meanwhile is gone. */
	if (r < 0 && r != -ENODEV) {
		if (err)
			*err = why;
		return r;
	}
	has.is_broken = to != TC_REDIRECT_NONE && (r < 0 || !ifb.is_ours || !ifb.is_up);
	*ret = has;
	return 0;
}

int net_shape_out(struct nl_sock *s, int link, const char *ifb, const struct net_shape *want,
		  struct net_shape_status *ret, struct err *err)
{
	int r = check(want, err);

	if (r < 0)
		return r;
	r = want->rate == NET_RATE_NONE ? undo_out(s, link, ifb, err)
					: set_out(s, link, ifb, want, err);
	return r < 0 ? r : read_out(s, link, ret, err);
}

int net_shape_read(struct nl_sock *s, int link, struct net_shape_status *ret_in,
		   struct net_shape_status *ret_out, struct err *err)
{
	struct net_shape_status in;
	int r = read_queue(s, link, &in, err);

	if (r >= 0)
		r = read_out(s, link, ret_out, err);
	if (r >= 0)
		*ret_in = in;
	return r;
}

/* --- what was left behind ----------------------------------------------------------------------
 */

void net_shape_list_done(struct net_shape_list *l)
{
	free(l->names);
	*l = (struct net_shape_list){.n = 0};
}

static void forget(void *arg)
{
	net_shape_list_done(arg);
}

static int take_name(void *arg, const struct nlmsghdr *m, struct err *err)
{
	const struct nlattr *name = link_attr(m, IFLA_IFNAME);
	struct net_shape_list *l = arg;
	void *grown;

	if (m->nlmsg_type != RTM_NEWLINK || !name ||
	    mnl_attr_validate(name, MNL_TYPE_NUL_STRING) < 0 ||
	    !is_our_name(mnl_attr_get_str(name)) || !is_ours(m))
		return 0;
	grown = reallocarray(l->names, l->n + 1, sizeof(*l->names));
	if (!grown)
		return err_set(err, ENOMEM, "cannot list links: out of memory");
	l->names = grown;
	return str_copy(l->names[l->n++], IFNAMSIZ, mnl_attr_get_str(name));
}

int net_shape_list(struct nl_sock *s, struct net_shape_list *ret, struct err *err)
{
	_cleanup_net_shape_list_ struct net_shape_list l = {.n = 0};
	const struct ifinfomsg all = {.ifi_family = AF_UNSPEC};
	int r = nl_dump(s, RTM_GETLINK, &all, sizeof(all), take_name, forget, &l, "list links",
			err);

	if (r < 0)
		return r;
	*ret = l;
	l = (struct net_shape_list){.n = 0};
	return 0;
}
