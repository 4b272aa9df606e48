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

/* The first address of a family. */
static const struct addr *first_addr(const struct guest_net *net, uint8_t family)
{
	for (size_t i = 0; i < net->n_nics; i++)
		for (size_t k = 0; k < net->nics[i].n_addrs; k++)
			if (net->nics[i].addrs[k].family == family)
				return &net->nics[i].addrs[k];
	return NULL;
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

/* ifupdown: the links are complete; all it has to do is to say so. A static stanza would fail, as
 * the address is there already. */
static void interfaces(struct sbuf *out, const struct guest_net *net, unsigned number)
{
	(void)number;
	if (net->n_nics == 0)
		return;
	sbuf_adds(out, GUEST_FILE_MARK);
	for (unsigned n = 0; n < GUEST_NICS_MAX; n++)
		if (find_nic(net, n))
			sbuf_addf(
				out,
				"\nauto eth%u\niface eth%u inet manual\niface eth%u inet6 manual\n",
				n, n, n);
}

/*
 * systemd-networkd: takes the link as it is, and calls it configured. With the link unmanaged, or
 * not required, systemd-networkd-wait-online waits for two minutes and fails; without
 * LinkLocalAddressing=ipv6 it takes our fe80:: address away.
 */
static void networkd(struct sbuf *out, const struct guest_net *net, unsigned number)
{
	const struct guest_nic *nic = find_nic(net, number);

	if (!nic)
		return;
	sbuf_addf(out,
		  GUEST_FILE_MARK "\n[Match]\nName=eth%u\n\n[Network]\nKeepConfiguration=yes\n"
				  "LinkLocalAddressing=ipv6\nIPv6AcceptRA=no\n",
		  number);
	for (size_t i = 0; i < nic->n_addrs; i++) {
		sbuf_adds(out, "Address=");
		add_host(out, &nic->addrs[i]);
		sbuf_addf(out, "/%u\n", nic->addrs[i].prefix);
	}
	for (size_t i = 0; i < net->n_dns && (nic->route4 || nic->route6); i++) {
		sbuf_adds(out, "DNS=");
		add_host(out, &net->dns[i]);
		sbuf_addc(out, '\n');
	}
	if (nic->route4)
		sbuf_adds(out, "\n[Route]\nGateway=" GUEST_GATEWAY4 "\nGatewayOnLink=yes\n");
	if (nic->route6)
		sbuf_adds(out, "\n[Route]\nGateway=" GUEST_GATEWAY6 "\n");
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
