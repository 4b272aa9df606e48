/* SPDX-License-Identifier: Apache-2.0 */
/* The texts that tell a guest's programs of its network. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "images/guest_files.h"

static struct addr a(const char *text)
{
	struct addr ret;

	assert_int_equal(addr_parse(text, &ret), 0);
	return ret;
}

static struct guest_files make(const struct guest_net *net)
{
	struct guest_files f;
	struct err err = ERR_INIT;

	assert_int_equal(guest_files_make(net, &f, &err), 0);
	/* Whatever it is, it can be known again. */
	for (size_t i = 0; i < f.n; i++)
		assert_int_equal(strncmp(f.items[i].text, GUEST_FILE_MARK, strlen(GUEST_FILE_MARK)),
				 0);
	return f;
}

static const struct guest_file *find(const struct guest_files *f, const char *path)
{
	size_t i = 0;

	while (i < f->n && !str_eq(f->items[i].path, path))
		i++;
	if (i == f->n)
		fail_msg("no '%s'", path);
	return &f->items[i];
}

static void assert_file(const struct guest_files *f, const char *path, const char *want)
{
	const struct guest_file *g = find(f, path);

	assert_false(g->remove);
	assert_string_equal(g->text + strlen(GUEST_FILE_MARK), want);
}

static void assert_removed(const struct guest_files *f, const char *path)
{
	const struct guest_file *g = find(f, path);

	assert_true(g->remove);
	assert_string_equal(g->text, GUEST_FILE_MARK);
}

#define REST                                                                                       \
	"\n::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\n"                     \
	"ff02::2\tip6-allrouters\n"

static void both_families_one_interface(void **state)
{
	const struct addr addrs[] = {a("10.77.0.5"), a("10.77.0.6"), a("fd77::5/64"),
				     a("2001:db8:7::/64")};
	const struct addr dns[] = {a("9.9.9.9"), a("2620:fe::fe")};
	const struct guest_nic nic = {.number = 0, .addrs = addrs, .n_addrs = 4};
	const struct guest_net net = {
		.hostname = "web1.acme.example", .nics = &nic, .n_nics = 1, .dns = dns, .n_dns = 2};
	struct guest_files f = make(&net);

	(void)state;
	assert_int_equal(f.n, GUEST_FILES_MAX);
	assert_file(&f, "etc/hosts",
		    "127.0.0.1\tlocalhost\n10.77.0.5\tweb1.acme.example web1\n"
		    "fd77::5\tweb1.acme.example web1\n" REST);
	assert_file(&f, "etc/resolv.conf", "nameserver 9.9.9.9\nnameserver 2620:fe::fe\n");
	assert_file(&f, "etc/network/interfaces.d/vps",
		    "\nauto eth0\niface eth0 inet manual\n"
		    "\tup ip address replace 10.77.0.5/32 dev eth0\n"
		    "\tup ip address replace 10.77.0.6/32 dev eth0\n"
		    "\tup ip route replace default via 169.254.1.1 dev eth0 onlink proto static "
		    "src 10.77.0.5\n"
		    "iface eth0 inet6 manual\n"
		    "\tup ip address replace fd77::5/64 dev eth0 nodad\n"
		    "\tup ip route replace default via fe80::1 dev eth0 proto static src "
		    "fd77::5\n");
	assert_file(&f, "etc/systemd/network/10-vps-eth0.network",
		    "\n[Match]\nName=eth0\n\n[Network]\nKeepConfiguration=yes\n"
		    "LinkLocalAddressing=ipv6\nIPv6AcceptRA=no\n"
		    "Address=10.77.0.5/32\nAddress=10.77.0.6/32\nAddress=fd77::5/64\n"
		    "DNS=9.9.9.9\nDNS=2620:fe::fe\n"
		    "\n[Route]\nGateway=169.254.1.1\nGatewayOnLink=yes\n"
		    "PreferredSource=10.77.0.5\n"
		    "\n[Route]\nGateway=fe80::1\nPreferredSource=fd77::5\n");
	for (unsigned n = 1; n < GUEST_NICS_MAX; n++) {
		char path[64];

		(void)str_fmt(path, sizeof(path), "etc/systemd/network/10-vps-eth%u.network", n);
		assert_removed(&f, path);
	}
	guest_files_done(&f);
	assert_int_equal(f.n, 0);
}

static void without_a_network_only_the_name_is_left(void **state)
{
	const struct guest_net net = {.hostname = "web1"};
	struct sbuf b = SBUF_INIT;
	struct guest_files f = make(&net);

	(void)state;
	assert_file(&f, "etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\tweb1\n" REST);
	for (size_t i = 0; i < f.n; i++)
		assert_int_equal(f.items[i].remove, !str_eq(f.items[i].path, "etc/hosts"));
	guest_files_hosts(&b, &net);
	assert_string_equal(sbuf_str(&b), find(&f, "etc/hosts")->text);
	sbuf_done(&b);
	guest_files_done(&f);
}

/* The route and the resolver go with one of them; numbers may have gaps, and any order. */
static void several_interfaces(void **state)
{
	const struct addr public[] = {a("2001:db8::7/128")}, private[] = {a("10.0.0.9/24")};
	const struct addr dns[] = {a("10.0.0.53")};
	const struct guest_nic nics[] = {
		{.number = 9, .addrs = private, .n_addrs = 1, .table4 = 1009, .table6 = 1009},
		{.number = 2, .addrs = public, .n_addrs = 1, .table4 = 1002},
	};
	const struct guest_net net = {
		.hostname = "a.b", .nics = nics, .n_nics = 2, .dns = dns, .n_dns = 1};
	struct guest_files f = make(&net);

	(void)state;
	assert_file(&f, "etc/hosts",
		    "127.0.0.1\tlocalhost\n10.0.0.9\ta.b a\n2001:db8::7\ta.b a\n" REST);
	assert_file(&f, "etc/network/interfaces.d/vps",
		    "\nauto eth2\niface eth2 inet manual\niface eth2 inet6 manual\n"
		    "\tup ip address replace 2001:db8::7/128 dev eth2 nodad\n"
		    "\tup ip route replace default via fe80::1 dev eth2 proto static src "
		    "2001:db8::7\n"
		    "\nauto eth9\niface eth9 inet manual\n"
		    "\tup ip address replace 10.0.0.9/24 dev eth9\n"
		    "\tup ip route replace default via 169.254.1.1 dev eth9 onlink proto static "
		    "src 10.0.0.9 table 1009\n"
		    "iface eth9 inet6 manual\n");
	assert_file(&f, "etc/systemd/network/10-vps-eth2.network",
		    "\n[Match]\nName=eth2\n\n[Network]\nKeepConfiguration=yes\n"
		    "LinkLocalAddressing=ipv6\nIPv6AcceptRA=no\nAddress=2001:db8::7/128\n"
		    "DNS=10.0.0.53\n\n[Route]\nGateway=fe80::1\nPreferredSource=2001:db8::7\n");
	assert_file(&f, "etc/systemd/network/10-vps-eth9.network",
		    "\n[Match]\nName=eth9\n\n[Network]\nKeepConfiguration=yes\n"
		    "LinkLocalAddressing=ipv6\nIPv6AcceptRA=no\nAddress=10.0.0.9/24\n"
		    "\n[Route]\nGateway=169.254.1.1\nGatewayOnLink=yes\nPreferredSource=10.0.0.9\n"
		    "Table=1009\n");
	assert_removed(&f, "etc/systemd/network/10-vps-eth0.network");
	guest_files_done(&f);
}

static void only_ipv6(void **state)
{
	const struct addr addrs[] = {a("2001:db8::7/64")};
	const struct guest_nic nic = {.addrs = addrs, .n_addrs = 1};
	const struct guest_net net = {.hostname = "six", .nics = &nic, .n_nics = 1};
	struct guest_files f = make(&net);

	(void)state;
	assert_file(&f, "etc/hosts", "127.0.0.1\tlocalhost\n2001:db8::7\tsix\n" REST);
	assert_removed(&f, "etc/resolv.conf");
	guest_files_done(&f);
}

static void impossible_networks(void **state)
{
	const struct addr dns[4] = {{0}};
	const struct guest_nic twice[] = {{.number = 1}, {.number = 1}}, ten = {.number = 10};
	const struct guest_net rows[] = {
		{.hostname = NULL},
		{.hostname = ""},
		{.hostname = "a\nb"},
		{.hostname = "a b"},
		{.hostname = "a", .dns = dns, .n_dns = 4},
		{.hostname = "a", .nics = twice, .n_nics = 2},
		{.hostname = "a", .nics = &ten, .n_nics = 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct guest_files f = {.n = 77};
		struct err err = ERR_INIT;

		assert_int_equal(guest_files_make(&rows[i], &f, &err), -EINVAL);
		assert_int_equal(err.code, EINVAL);
		assert_int_equal(f.n, 77);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_families_one_interface),
		cmocka_unit_test(without_a_network_only_the_name_is_left),
		cmocka_unit_test(several_interfaces),
		cmocka_unit_test(only_ipv6),
		cmocka_unit_test(impossible_networks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
