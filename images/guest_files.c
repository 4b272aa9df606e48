/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest's own programs are told of its network: see guest_files.h. */
#include "images/guest_files.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static const struct guest_nic *find_nic(const struct guest_net *net, unsigned number)
{
	for (size_t i = 0; i < net->n_nics; i++)
		if (net->nics[i].number == number)
			return &net->nics[i];
	return NULL;
}

/* Whether it is set on the link. */
static bool is_set(const struct addr *a)
{
	return addr_is_single(a) || !addr_is_network(a);
}

static const struct addr *first_of(const struct guest_nic *nic, uint8_t family)
{
	for (size_t k = 0; k < nic->n_addrs; k++)
		if (nic->addrs[k].family == family && is_set(&nic->addrs[k]))
			return &nic->addrs[k];
	return NULL;
}

static bool has_family(const struct guest_nic *nic, uint8_t family)
{
	bool has = false;

	for (size_t k = 0; k < nic->n_addrs; k++)
		has |= nic->addrs[k].family == family;
	return has;
}

/* The first address of a family. */
static const struct addr *first_addr(const struct guest_net *net, uint8_t family)
{
	const struct addr *a = NULL;

	for (size_t i = 0; i < net->n_nics && !a; i++)
		a = first_of(&net->nics[i], family);
	return a;
}

/* The address alone, whatever network it is in. */
static void add_host(struct sbuf *out, const struct addr *a)
{
	struct addr single = *a;
	char text[ADDR_TEXT];

	single.prefix = (uint8_t)addr_bits(a);
	addr_format(text, &single);
	sbuf_adds(out, text);
}

/* "10.77.0.5\tweb1.acme.example web1" */
static void add_names(struct sbuf *out, const char *hostname)
{
	size_t label = strcspn(hostname, ".");

	sbuf_addf(out, "\t%s", hostname);
	if (hostname[label] == '.')
		sbuf_addf(out, " %.*s", (int)label, hostname);
	sbuf_addc(out, '\n');
}

/* The name of a host with an address of its own stands for that, of any other for 127.0.1.1: Debian
 * reference, 5.1.1. */
void guest_files_hosts(struct sbuf *out, const struct guest_net *net)
{
	const struct addr *v4 = first_addr(net, AF_INET), *v6 = first_addr(net, AF_INET6);

	sbuf_adds(out, GUEST_FILE_MARK "127.0.0.1\tlocalhost\n");
	if (v4)
		add_host(out, v4);
	else if (!v6)
		sbuf_adds(out, "127.0.1.1");
	if (v4 || !v6)
		add_names(out, net->hostname);
	if (v6) {
		add_host(out, v6);
		add_names(out, net->hostname);
	}
	sbuf_adds(out, "\n::1\tlocalhost ip6-localhost ip6-loopback\n"
		       "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n");
}

static void hosts(struct sbuf *out, const struct guest_net *net, unsigned number)
{
	(void)number;
	guest_files_hosts(out, net);
}

static void resolv_conf(struct sbuf *out, const struct guest_net *net, unsigned number)
{
	(void)number;
	if (net->n_dns == 0)
		return;
	sbuf_adds(out, GUEST_FILE_MARK);
	for (size_t i = 0; i < net->n_dns; i++) {
		sbuf_adds(out, "nameserver ");
		add_host(out, &net->dns[i]);
		sbuf_addc(out, '\n');
	}
}

static void add_prefixed(struct sbuf *out, const struct addr *a)
{
	add_host(out, a);
	sbuf_addf(out, "/%u", a->prefix);
}

/* One family of an interface. Each command may be repeated: at the boot all is there already, and
 * ifdown takes it away. */
static void stanza(struct sbuf *out, const struct guest_nic *nic, uint8_t family)
{
	bool is_4 = family == AF_INET;
	uint32_t table = is_4 ? nic->table4 : nic->table6;
	const struct addr *from = first_of(nic, family);

	sbuf_addf(out, "iface eth%u %s manual\n", nic->number, is_4 ? "inet" : "inet6");
	for (size_t i = 0; i < nic->n_addrs; i++) {
		if (nic->addrs[i].family != family || !is_set(&nic->addrs[i]))
			continue;
		sbuf_adds(out, "\tup ip address replace ");
		add_prefixed(out, &nic->addrs[i]);
		sbuf_addf(out, " dev eth%u%s\n", nic->number, is_4 ? "" : " nodad");
	}
	if (!has_family(nic, family))
		return;
	sbuf_addf(out, "\tup ip route replace default via %s dev eth%u %sproto static",
		  is_4 ? GUEST_GATEWAY4 : GUEST_GATEWAY6, nic->number, is_4 ? "onlink " : "");
	if (from) {
		sbuf_adds(out, " src ");
		add_host(out, from);
	}
	if (table)
		sbuf_addf(out, " table %u", table);
	sbuf_addc(out, '\n');
}

/* ifupdown: the links are complete, and what "static" does would fail, as the address is there
 * already. */
static void interfaces(struct sbuf *out, const struct guest_net *net, unsigned number)
{
	(void)number;
	if (net->n_nics == 0)
		return;
	sbuf_adds(out, GUEST_FILE_MARK);
	for (unsigned n = 0; n < GUEST_NICS_MAX; n++) {
		const struct guest_nic *nic = find_nic(net, n);

		if (!nic)
			continue;
		sbuf_addf(out, "\nauto eth%u\n", n);
		stanza(out, nic, AF_INET);
		stanza(out, nic, AF_INET6);
	}
}

static void networkd_route(struct sbuf *out, const struct guest_nic *nic, uint8_t family)
{
	bool is_4 = family == AF_INET;
	uint32_t table = is_4 ? nic->table4 : nic->table6;
	const struct addr *from = first_of(nic, family);

	if (!has_family(nic, family))
		return;
	sbuf_addf(out, "\n[Route]\nGateway=%s\n",
		  is_4 ? GUEST_GATEWAY4 "\nGatewayOnLink=yes" : GUEST_GATEWAY6);
	if (from) {
		sbuf_adds(out, "PreferredSource=");
		add_host(out, from);
		sbuf_addc(out, '\n');
	}
	if (table)
		sbuf_addf(out, "Table=%u\n", table);
}

/*
 * systemd-networkd: takes the link as it is, and calls it configured. With the link unmanaged, or
 * not required, systemd-networkd-wait-online waits for two minutes and fails; without
 * LinkLocalAddressing=ipv6 it takes our fe80:: address away.
 */
static void networkd(struct sbuf *out, const struct guest_net *net, unsigned number)
{
	const struct guest_nic *nic = find_nic(net, number);
	bool is_main;

	if (!nic)
		return;
	is_main = (!nic->table4 && has_family(nic, AF_INET)) ||
		  (!nic->table6 && has_family(nic, AF_INET6));
	sbuf_addf(out,
		  GUEST_FILE_MARK "\n[Match]\nName=eth%u\n\n[Network]\nKeepConfiguration=yes\n"
				  "LinkLocalAddressing=ipv6\nIPv6AcceptRA=no\n",
		  number);
	for (size_t i = 0; i < nic->n_addrs; i++) {
		if (!is_set(&nic->addrs[i]))
			continue;
		sbuf_adds(out, "Address=");
		add_prefixed(out, &nic->addrs[i]);
		sbuf_addc(out, '\n');
	}
	for (size_t i = 0; i < net->n_dns && is_main; i++) {
		sbuf_adds(out, "DNS=");
		add_host(out, &net->dns[i]);
		sbuf_addc(out, '\n');
	}
	networkd_route(out, nic, AF_INET);
	networkd_route(out, nic, AF_INET6);
}

/* A builder that adds nothing says that there is to be no such file. */
static const struct {
	const char *path, *suffix; /* with a suffix: the number of the interface between them */
	void (*build)(struct sbuf *out, const struct guest_net *net, unsigned number);
} rows[] = {
	{"etc/hosts", NULL, hosts},
	{"etc/resolv.conf", NULL, resolv_conf},
	{"etc/network/interfaces.d/vps", NULL, interfaces},
	/* 10: before what images bring along for eth*. */
	{"etc/systemd/network/10-vps-eth", ".network", networkd},
};

static int check(const struct guest_net *net, struct err *err)
{
	if (!net->hostname || !str_is_hostname(net->hostname))
		return err_set(err, EINVAL, "'%s' is not a host name",
			       net->hostname ? net->hostname : "");
	if (net->n_dns > GUEST_DNS_MAX)
		return err_set(err, EINVAL, "%zu name servers, not at most %u", net->n_dns,
			       GUEST_DNS_MAX);
	for (size_t i = 0; i < net->n_nics; i++)
		if (net->nics[i].number >= GUEST_NICS_MAX ||
		    find_nic(net, net->nics[i].number) != &net->nics[i])
			return err_set(err, EINVAL, "interface %u is above %u, or there twice",
				       net->nics[i].number, GUEST_NICS_MAX - 1);
	return 0;
}

static int make_one(const struct guest_net *net, size_t row, unsigned number,
		    struct guest_file *ret, struct err *err)
{
	_cleanup_sbuf_ struct sbuf text = SBUF_INIT;

	if (rows[row].suffix)
		(void)str_fmt(ret->path, sizeof(ret->path), "%s%u%s", rows[row].path, number,
			      rows[row].suffix);
	else
		(void)str_copy(ret->path, sizeof(ret->path), rows[row].path);
	rows[row].build(&text, net, number);
	ret->remove = sbuf_ok(&text) && text.len == 0;
	if (ret->remove)
		sbuf_adds(&text, GUEST_FILE_MARK);
	ret->text = sbuf_take(&text);
	return ret->text ? 0
			 : err_set(err, ENOMEM, "cannot write the guest's files: out of memory");
}

int guest_files_make(const struct guest_net *net, struct guest_files *ret, struct err *err)
{
	struct guest_files files = {.n = 0};
	int r = check(net, err);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (unsigned n = 0; n < (rows[i].suffix ? GUEST_NICS_MAX : 1) && r == 0; n++)
			r = make_one(net, i, n, &files.items[files.n++], err);
	if (r < 0) {
		guest_files_done(&files);
		return r;
	}
	*ret = files;
	return 0;
}

void guest_files_done(struct guest_files *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->items[i].text);
	f->n = 0;
}
