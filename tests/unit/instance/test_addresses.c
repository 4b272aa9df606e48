/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of instances: given out once, written with the instance, gone with it. */
#include "netns/ipam.h"
#include "netns/own.h"
#include "runtime/instance/addresses_private.h"
#include "tests/unit/instance/rig.h"

#define NAT "{\"network\": \"nat0\", \"mode\": \"nat\", \"ipv4\": [\"10.77.0.0/28\"]"
#define NAT0 NAT ", \"ipv6\": [\"fd77::/64\"]}"
#define PUB                                                                                        \
	"{\"network\": \"pub\", \"mode\": \"routed\", \"uplink\": \"eth0\", \"ipv4\": "            \
	"[\"203.0.113.0/29\"], \"ipv6\": [\"2001:db8::/48\"], \"reserved\": [\"203.0.113.0\"]}"

/* What the host has; the real one's are nobody's business here. */
static const char *own;

int netns_own_addresses(struct addr **ret, size_t *ret_n, struct err *err)
{
	struct addr *a = calloc(1, sizeof(*a));

	(void)err;
	assert_non_null(a);
	*ret_n = own && addr_parse(own, a) == 0 ? 1 : 0;
	*ret = a;
	return 0;
}

/* The next life of vpsd has these networks. */
static void with_networks(const char *networks)
{
	_cleanup_problems_ struct problems *p = problems_new();
	const struct json_where w = {.file = "", .path = "", .problems = p};
	_cleanup_json_ json_t *doc = NULL;

	store_flush(rig->store);
	vpsd_down();
	doc = spec_host_to_json(&rig->host);
	assert_non_null(doc);
	(void)json_object_set_new(doc, "networks", json_loads(networks, 0, NULL));
	spec_host_done(&rig->host);
	if (spec_host_from_json(&rig->host, doc, &w) < 0)
		fail_msg("%s", p->items[0].text);
	vpsd_up();
}

static int setup(void **state)
{
	own = NULL;
	if (rig_setup(state) < 0)
		return -1;
	with_networks("[" NAT0 ", " PUB "]");
	return 0;
}

static void again(void)
{
	/* As vpsd does at its end: who waits for a commit is still there. */
	store_flush(rig->store);
	vpsd_down();
	vpsd_up();
}

/* NULL = refused, with *err. 'network': its list as JSON. */
static struct op *create_begin_with(const char *name, const char *network, struct err *err)
{
	_cleanup_spec_instance_ struct spec_instance spec = {0};
	_cleanup_problems_ struct problems *p = problems_new();
	const struct json_where w = {.file = "", .path = "", .problems = p};
	_cleanup_json_ json_t *doc =
		json_pack("{s:s, s:s, s:s, s:o}", "name", name, "plan", "tiny", "image", "img",
			  "network", json_loads(network, 0, NULL));
	const struct inst_create req = {.tenant = "t", .spec = &spec};
	struct op *op = NULL;

	if (spec_instance_from_json(&spec, doc, &w) < 0)
		fail_msg("%s", p->items[0].text);
	return inst_create(rig->m, &req, &op, err) < 0 ? NULL : op;
}

static struct inst *create_with(const char *name, const char *network)
{
	struct err err = ERR_INIT;
	struct op *op = create_begin_with(name, network, &err), end;

	if (!op)
		fail_msg("%s", err_text(&err));
	end = ended(op);
	if (end.status != OP_DONE)
		fail_msg("%s", err_text(&end.err));
	return find(name);
}

static void refused(const char *name, const char *network, int code, const char *part)
{
	struct err err = ERR_INIT;

	assert_null(create_begin_with(name, network, &err));
	if (err.code != code || !(strstr(err.msg, part) || strstr(err.hint, part)))
		fail_msg("%d: %s (%s)", err.code, err.msg, err.hint);
	assert_null(find(name));
}

/* All that it has, in order: "nat0 10.77.0.2 ...; pub ..."; of automatic IPv6 only that. */
static void has(const char *name, const char *want)
{
	const struct inst *i = find(name);
	_cleanup_sbuf_ struct sbuf b = SBUF_INIT;
	char text[ADDR_TEXT];

	assert_non_null(i);
	for (size_t k = 0; k < i->net.n; k++) {
		const struct inst_nic *nic = &i->net.nics[k];

		sbuf_addf(&b, "%s%s", k ? "; " : "", nic->network);
		for (size_t n = 0; n < nic->n_addresses; n++) {
			const struct inst_address *a = &nic->addresses[n];

			addr_format(text, &a->addr);
			if (a->is_auto && a->addr.family == AF_INET6)
				(void)str_fmt(text, sizeof(text), "auto/%u", a->addr.prefix);
			sbuf_addf(&b, " %s%s", text, a->is_outside ? "!" : "");
		}
		for (size_t n = 0; n < nic->n_forwards; n++)
			sbuf_addf(&b, " %u:%u/%s", nic->forwards[n].port,
				  nic->forwards[n].guest_port,
				  spec_forward_protocol(&nic->forwards[n]));
	}
	assert_string_equal(sbuf_str(&b), want);
}

/* How many of a network's pools are given out. */
static void used(size_t network, uint64_t of_pool4, uint64_t of_pool6)
{
	struct ipam_status s;

	assert_true(ipam_status(inst_ipam(rig->m, network), 0, &s));
	assert_int_equal(s.used, of_pool4);
	assert_true(ipam_status(inst_ipam(rig->m, network), 1, &s));
	assert_int_equal(s.used, of_pool6);
}

static void rows(int64_t nics, int64_t addresses, int64_t forwards)
{
	store_flush(rig->store);
	assert_int_equal(rig_number("SELECT count(*) FROM nics"), nics);
	assert_int_equal(rig_number("SELECT count(*) FROM addresses"), addresses);
	assert_int_equal(rig_number("SELECT count(*) FROM forwards"), forwards);
}

static void is_deleted(const char *name)
{
	assert_int_equal(ended(delete_begin(find(name), true)).status, OP_DONE);
}

static struct op changed(const char *name, const char *network)
{
	return ended(field_begin(find(name), "network", json_loads(network, 0, NULL)));
}

/* --- given out ------------------------------------------------------------------------------- */

static void test_given_and_kept(void **state)
{
	struct addr first;

	(void)state;
	create_with("a", "[{\"network\": \"nat0\"}]");
	create_with("b", "[{\"network\": \"nat0\", \"ipv6\": \"none\"}]");
	has("a", "nat0 10.77.0.2 auto/128");
	has("b", "nat0 10.77.0.3");
	used(0, 2, 1);
	rows(2, 3, 0);
	first = find("a")->net.nics[0].addresses[1].addr;
	again();
	has("a", "nat0 10.77.0.2 auto/128");
	has("b", "nat0 10.77.0.3");
	assert_true(addr_equal(&first, &find("a")->net.nics[0].addresses[1].addr));
	assert_ptr_equal(inst_by_address(rig->m, &first), find("a"));
	used(0, 2, 1);
	create_with("c", "[{\"network\": \"nat0\", \"ipv6\": \"none\"}]");
	has("c", "nat0 10.77.0.4");
	is_deleted("a");
	used(0, 2, 0);
	rows(2, 2, 0);
	create_with("d", "[{\"network\": \"nat0\", \"ipv6\": \"none\"}]");
	has("d", "nat0 10.77.0.2");
}

static void test_many_of_each(void **state)
{
	(void)state;
	create_with("a", "[{\"network\": \"nat0\", \"ipv4\": [\"10.77.0.9\", \"auto\"], "
			 "\"ports\": [\"8080:80/tcp\", \"53:53/udp\"]}, {\"network\": \"pub\", "
			 "\"ipv4\": \"203.0.113.5\", \"ipv6\": [\"auto\", \"auto/64\", "
			 "\"2001:db8:0:7::/64\"]}]");
	has("a", "nat0 10.77.0.9 10.77.0.2 auto/128 8080:80/tcp 53:53/udp; pub 203.0.113.5 "
		 "auto/128 auto/64 2001:db8:0:7::/64");
	rows(2, 7, 2);
	again();
	has("a", "nat0 10.77.0.9 10.77.0.2 auto/128 8080:80/tcp 53:53/udp; pub 203.0.113.5 "
		 "auto/128 auto/64 2001:db8:0:7::/64");
	/* What the prefix has is nobody else's. */
	refused("b", "[{\"network\": \"pub\", \"ipv6\": \"2001:db8:0:7::9\"}]", EADDRINUSE,
		"'t/a' has it");
}

static void test_refused(void **state)
{
	(void)state;
	own = "203.0.113.6";
	create_with("a", "[{\"network\": \"nat0\", \"ports\": [\"8080:80/tcp\"]}]");
	refused("b", "[{\"network\": \"lan\"}]", EINVAL,
		"network[0].network: this host has no network \"lan\"; it has \"nat0\", \"pub\"");
	refused("b", "[{\"network\": \"pub\", \"ports\": [\"80:80/tcp\"]}]", EINVAL,
		"network \"pub\" forwards no ports");
	refused("b", "[{\"network\": \"nat0\", \"ipv6\": \"auto/64\"}]", EINVAL,
		"network \"nat0\" has no prefixes to give out");
	refused("b", "[{\"network\": \"nat0\", \"ipv4\": \"10.77.0.2\"}]", EADDRINUSE,
		"'t/a' has it");
	refused("b", "[{\"network\": \"nat0\", \"ipv4\": \"10.78.0.2\"}]", ERANGE,
		"10.78.0.2 is not within network 'nat0', which has 10.77.0.0/28");
	refused("b", "[{\"network\": \"nat0\", \"ipv4\": \"10.77.0.15\"}]", EADDRNOTAVAIL,
		"broadcast");
	refused("b", "[{\"network\": \"pub\", \"ipv4\": \"203.0.113.0\"}]", EADDRNOTAVAIL,
		"reserved");
	refused("b", "[{\"network\": \"pub\", \"ipv4\": \"203.0.113.6\"}]", EADDRNOTAVAIL,
		"the host's own");
	refused("b", "[{\"network\": \"nat0\", \"ports\": [\"8080:81/tcp\"]}]", EADDRINUSE,
		"port 8080/tcp of the host is forwarded to 't/a' already");
	/* Nothing of all that is left. */
	used(0, 1, 1);
	used(1, 0, 0);
	rows(1, 2, 1);
	create_with("b", "[{\"network\": \"nat0\", \"ports\": [\"8080:80/udp\"]}]");
}

static void test_exhausted(void **state)
{
	char name[8];

	(void)state;
	for (unsigned n = 0; n < 6; n++) {
		(void)str_fmt(name, sizeof(name), "a%u", n);
		create_with(name, "[{\"network\": \"pub\", \"ipv6\": \"none\"}, {\"network\": "
				  "\"nat0\", \"ipv6\": \"none\"}]");
	}
	create_with("a6", "[{\"network\": \"pub\", \"ipv6\": \"none\"}]");
	refused("b", "[{\"network\": \"nat0\"}, {\"network\": \"pub\"}]", ENOSPC,
		"network 'pub' has no free IPv4 address: 203.0.113.0/29 has 7 taken of 7");
	used(0, 6, 0);
	/* Others are changed all the same. */
	assert_int_equal(ended(cores_begin(find("a3"), 0.5)).status, OP_DONE);
	has("a3", "pub 203.0.113.4; nat0 10.77.0.5");
}

static void test_quota(void **state)
{
	(void)state;
	apply_text(SPEC_KIND_TENANT, "{\"tenant\": \"t\", \"quota\": {\"ipv4\": 2}}");
	create_with("a", "[{\"network\": \"pub\", \"ipv4\": [\"auto\", \"auto\"]}]");
	/* Those of nat networks cost nothing. */
	create_with("b", "[{\"network\": \"nat0\"}]");
	refused("c", "[{\"network\": \"pub\"}]", ENOSPC,
		"not enough IPv4 addresses in the tenant's quota: 1 more, and 2 of 2 are in use");
	assert_int_equal(inst_tenant_ipv4(rig->m, find("a")->tenant), 2);
	used(1, 2, 1);
	/* Over the quota: no reason to refuse what takes no more. */
	apply_text(SPEC_KIND_TENANT, "{\"tenant\": \"t\", \"quota\": {\"ipv4\": 1}}");
	assert_int_equal(changed("a", "[{\"network\": \"pub\", \"ipv4\": [\"auto\", "
				      "\"203.0.113.1\"], \"ipv6\": \"none\"}]")
				 .status,
			 OP_DONE);
	has("a", "pub 203.0.113.2 203.0.113.1");
	create_with("c", "[{\"network\": \"pub\", \"ipv4\": \"none\"}]");
}

/* --- changes --------------------------------------------------------------------------------- */

static void test_change(void **state)
{
	struct addr v6;

	(void)state;
	create_with("a", "[{\"network\": \"nat0\"}]");
	create_with("b", "[{\"network\": \"nat0\", \"ipv6\": \"none\"}]");
	v6 = find("a")->net.nics[0].addresses[1].addr;
	/* What was chosen stays, in whatever place the interface is now. */
	assert_int_equal(changed("a", "[{\"network\": \"pub\", \"ipv6\": \"none\"}, "
				      "{\"network\": \"nat0\", \"ipv4\": [\"10.77.0.9\", "
				      "\"auto\"], \"ports\": [\"80:80/tcp\"]}]")
				 .status,
			 OP_DONE);
	has("a", "pub 203.0.113.1; nat0 10.77.0.9 10.77.0.2 auto/128 80:80/tcp");
	assert_true(addr_equal(&v6, &find("a")->net.nics[1].addresses[2].addr));
	rows(3, 5, 1);
	/* One that was chosen is asked for by name. */
	assert_int_equal(changed("a", "[{\"network\": \"nat0\", \"ipv4\": [\"10.77.0.2\", "
				      "\"auto\"], \"ipv6\": \"none\"}]")
				 .status,
			 OP_DONE);
	has("a", "nat0 10.77.0.2 10.77.0.4");
	used(0, 3, 0);
	used(1, 0, 0);
	again();
	has("a", "nat0 10.77.0.2 10.77.0.4");
	assert_int_equal(changed("a", "[]").status, OP_DONE);
	has("a", "");
	used(0, 1, 0);
	rows(1, 1, 0);
}

static void test_change_not_written(void **state)
{
	(void)state;
	create_with("a", "[{\"network\": \"nat0\", \"ipv6\": \"none\"}]");
	commits_fail("INSERT ON addresses", "NEW.address = '10.77.0.9'");
	assert_int_equal(changed("a", "[{\"network\": \"nat0\", \"ipv4\": \"10.77.0.9\", "
				      "\"ports\": [\"80:80/tcp\"]}]")
				 .status,
			 OP_FAILED);
	has("a", "nat0 10.77.0.2");
	used(0, 1, 0);
	rows(1, 1, 0);
	/* The same for one that comes to be. */
	{
		struct err err = ERR_INIT;
		struct op *op = create_begin_with(
			"b", "[{\"network\": \"nat0\", \"ipv4\": \"10.77.0.9\"}]", &err);

		assert_non_null(op);
		assert_int_equal(ended(op).status, OP_FAILED);
		assert_null(find("b"));
	}
	used(0, 1, 0);
	commits_work();
	create_with("b", "[{\"network\": \"nat0\", \"ipv4\": \"10.77.0.9\"}]");
	/* And the one that failed can still be written. */
	assert_int_equal(ended(cores_begin(find("a"), 0.5)).status, OP_DONE);
	again();
	has("a", "nat0 10.77.0.2");
}

/* What a change gives up is free when that is written, not before. */
static void test_given_up_late(void **state)
{
	struct err err = ERR_INIT;
	struct op *op;

	(void)state;
	create_with("a", "[{\"network\": \"nat0\", \"ipv4\": \"10.77.0.9\", \"ipv6\": \"none\", "
			 "\"ports\": [\"80:80/tcp\"]}]");
	op = field_begin(find("a"), "network", json_loads("[{\"network\": \"nat0\"}]", 0, NULL));
	refused("b", "[{\"network\": \"nat0\", \"ipv4\": \"10.77.0.9\"}]", EADDRINUSE,
		"'t/a' has it");
	refused("b", "[{\"network\": \"nat0\", \"ports\": [\"80:80/tcp\"]}]", EADDRINUSE,
		"forwarded to 't/a'");
	assert_int_equal(ended(op).status, OP_DONE);
	op = create_begin_with("b", "[{\"network\": \"nat0\", \"ipv4\": \"10.77.0.9\"}]", &err);
	assert_non_null(op);
	assert_int_equal(ended(op).status, OP_DONE);
}

/* vpsd dies when a change is in the database and nobody was told. */
static void test_killed(void **state)
{
	struct err err = ERR_INIT;
	struct op *op;

	(void)state;
	create_with("a", "[{\"network\": \"nat0\", \"ipv6\": \"none\"}]");
	op = field_begin(find("a"), "network",
			 json_loads("[{\"network\": \"nat0\", \"ipv4\": \"10.77.0.9\", \"ipv6\": "
				    "\"none\"}]",
				    0, NULL));
	assert_non_null(op);
	rig->m->is_closing = true;
	store_flush(rig->store);
	again();
	has("a", "nat0 10.77.0.9");
	used(0, 1, 0);
	/* A creation that is undone by the next one gives its address back, with its rows. */
	rig_put("hold-prepare", "", 0600);
	op = create_begin_with("b",
			       "[{\"network\": \"nat0\", \"ipv4\": \"10.77.0.10\", \"ports\": "
			       "[\"80:80/tcp\"]}]",
			       &err);
	assert_non_null(op);
	store_flush(rig->store);
	rows(2, 3, 1);
	vpsd_down();
	vpsd_start();
	assert_ptr_equal(inst_by_address(rig->m, &find("b")->net.nics[0].addresses[0].addr),
			 find("b"));
	rig_unput("hold-prepare");
	AWAIT(rig->is_ready);
	AWAIT(!find("b"));
	used(0, 1, 0);
	rows(1, 1, 0);
}

/* --- other networks -------------------------------------------------------------------------- */

static void test_networks_change(void **state)
{
	(void)state;
	create_with("a", "[{\"network\": \"nat0\", \"ipv6\": \"none\"}]");
	create_with("b", "[{\"network\": \"pub\", \"ipv4\": \"203.0.113.4\", \"ipv6\": "
			 "\"none\"}]");
	/* Its range belongs to another network now, and that must not give it out again. */
	with_networks("[{\"network\": \"other\", \"mode\": \"nat\", \"ipv4\": "
		      "[\"10.77.0.0/28\"]}, {\"network\": \"nat0\", \"mode\": \"nat\", \"ipv4\": "
		      "[\"10.99.0.0/28\"]}]");
	has("a", "nat0 10.77.0.2!");
	has("b", "pub 203.0.113.4!");
	create_with("c", "[{\"network\": \"other\"}]");
	has("c", "other 10.77.0.3");
	refused("d", "[{\"network\": \"other\", \"ipv4\": \"10.77.0.2\"}]", EADDRINUSE,
		"'t/a' has it");
	/* They are changed as others are, and keep what they have as long as they ask for it. */
	assert_int_equal(ended(cores_begin(find("a"), 0.5)).status, OP_DONE);
	has("a", "nat0 10.77.0.2!");
	assert_int_equal(changed("a", "[{\"network\": \"nat0\", \"ipv4\": [\"auto\", "
				      "\"auto\"]}]")
				 .status,
			 OP_DONE);
	has("a", "nat0 10.77.0.2! 10.99.0.2");
	rows(3, 4, 0);
	/* And back. */
	with_networks("[" NAT0 ", " PUB "]");
	has("a", "nat0 10.77.0.2 10.99.0.2!");
	has("b", "pub 203.0.113.4");
	has("c", "other 10.77.0.3!");
	is_deleted("a");
	is_deleted("c");
	used(0, 0, 0);
	used(1, 1, 0);
	/* Without any network everything stays as it is. */
	with_networks("[]");
	has("b", "pub 203.0.113.4!");
	assert_int_equal(ended(cores_begin(find("b"), 0.5)).status, OP_DONE);
	is_deleted("b");
	rows(0, 0, 0);
}

/* A tolerated "network" of a host without networks is only a word; once there are some it counts.
 */
static void test_networks_come(void **state)
{
	(void)state;
	with_networks("[]");
	create_with("a", "[{\"network\": \"nat0\", \"ipv6\": \"none\"}]");
	create_with("b", "[{\"network\": \"lan\"}]");
	has("a", "");
	rows(0, 0, 0);
	with_networks("[" NAT0 "]");
	has("a", "nat0 10.77.0.2");
	has("b", "");
	rows(1, 1, 0);
	/* The other one is not in the way of its own changes. */
	assert_int_equal(ended(cores_begin(find("b"), 0.5)).status, OP_DONE);
	/* What cannot be written is tried again by the next vpsd. */
	assert_int_equal(changed("b", "[{\"network\": \"nat0\", \"ipv6\": \"none\"}]").status,
			 OP_DONE);
	has("b", "nat0 10.77.0.3");
	rig_sql("PRAGMA foreign_keys = ON; DELETE FROM nics");
	commits_fail("INSERT ON addresses", "NEW.address = '10.77.0.2'");
	again();
	AWAIT(find("a")->net.n == 0);
	used(0, 1, 0);
	commits_work();
	again();
	has("b", "nat0 10.77.0.3");
	has("a", "nat0 10.77.0.2");
}

static void test_migration(void **state)
{
	(void)state;
	vpsd_down();
	rig_sql("DROP TABLE forwards; DROP TABLE addresses; DROP TABLE nics; DROP TABLE usage; "
		"DROP TABLE usage_marks; ALTER TABLE instances DROP COLUMN suspend_by; PRAGMA "
		"user_version = 5");
	vpsd_up();
	assert_int_equal(rig_number("PRAGMA user_version"), 7);
	create_with("a", "[{\"network\": \"nat0\", \"ipv6\": \"none\"}]");
	rows(1, 1, 0);
	/* The database by itself keeps an address and a port to one instance. */
	rig_sql("INSERT INTO forwards VALUES (6, 80, (SELECT id FROM instances), 0, 80)");
	assert_int_equal(rig_number("SELECT count(*) FROM pragma_index_list('addresses') WHERE "
				    "\"unique\" = 1"),
			 1);
	assert_int_equal(rig_number("SELECT count(*) FROM pragma_index_list('forwards') WHERE "
				    "\"unique\" = 1"),
			 1);
}

/* --- documents ------------------------------------------------------------------------------- */

#define TENANT(instances) "{\"tenant\": \"t\", \"instances\": [" instances "]}"
#define INST(name, network)                                                                        \
	"{\"name\": \"" name "\", \"plan\": \"tiny\", \"image\": \"img\", \"autostart\": "         \
	"{\"enabled\": false}, \"network\": [" network "]}"

/* What a dry run says of a target: "create", "refused: ..." */
static void would(const char *text, const char *target, const char *action, const char *part)
{
	_cleanup_spec_set_ struct spec_set set = SPEC_SET_INIT;
	_cleanup_problems_ struct problems *p = problems_new();
	const struct inst_apply req = {.set = &set, .prune = true};
	_cleanup_json_ json_t *answer = NULL;
	struct err err = ERR_INIT;
	json_t *row;
	size_t n;

	assert_int_equal(spec_set_add_text(&set, SPEC_KIND_TENANT, text, strlen(text), "d", p), 0);
	assert_int_equal(inst_apply_preview(rig->m, &req, &answer, &err), 0);
	json_array_foreach (json_object_get(answer, "changes"), n, row) {
		if (!str_eq(json_string_value(json_object_get(row, "target")), target))
			continue;
		assert_string_equal(json_string_value(json_object_get(row, "action")), action);
		if (!strstr(json_string_value(json_object_get(row, "reason")), part))
			fail_msg("%s", json_string_value(json_object_get(row, "reason")));
		return;
	}
	fail_msg("nothing about %s", target);
}

static void test_dry_run(void **state)
{
	static const char two[] = TENANT(INST("a", "{\"network\": \"nat0\"}") ", " INST(
		"b", "{\"network\": \"nat0\", \"ipv4\": \"10.77.0.2\", \"ports\": "
		     "[\"80:80/tcp\"]}"));

	(void)state;
	would(TENANT(INST("a", "{\"network\": \"lan\"}")), "t/a", "refused",
	      "this host has no network \"lan\"");
	would(TENANT(INST("a", "{\"network\": \"nat0\", \"ipv4\": \"10.77.0.1\"}")), "t/a",
	      "refused", "kept for the host");
	/* One after the other. */
	would(two, "t/a", "create", "");
	would(two, "t/b", "refused", "10.77.0.2 of network 'nat0' is taken");
	used(0, 0, 0);
	apply_text(SPEC_KIND_TENANT, TENANT(INST("a", "{\"network\": \"nat0\"}")));
	would(two, "t/b", "refused", "taken");
	/* It may be free by then. */
	would(TENANT(INST("b", "{\"network\": \"nat0\", \"ipv4\": \"10.77.0.2\"}")), "t/b",
	      "create", "");
	would(TENANT(INST("a", "{\"network\": \"pub\", \"ipv4\": \"203.0.113.0\"}")), "t/a",
	      "refused", "reserved");
	would(TENANT(INST("a", "{\"network\": \"pub\"}")), "t/a", "change", "");
	used(0, 1, 1);
	used(1, 0, 0);
	has("a", "nat0 10.77.0.2 auto/128");
}

/* An address changes hands within one set of documents, whatever their order. */
static void test_apply_moves(void **state)
{
	(void)state;
	apply_text(SPEC_KIND_TENANT,
		   TENANT(INST("b", "{\"network\": \"nat0\", \"ipv4\": \"10.77.0.9\", \"ipv6\": "
				    "\"none\", \"ports\": [\"80:80/tcp\"]}")));
	apply_text(SPEC_KIND_TENANT,
		   TENANT(INST("a", "{\"network\": \"nat0\", \"ipv4\": \"10.77.0.9\", \"ipv6\": "
				    "\"none\", \"ports\": [\"80:80/tcp\"]}") ", " //
			  INST("b", "{\"network\": \"nat0\", \"ipv6\": \"none\"}")));
	has("a", "nat0 10.77.0.9 80:80/tcp");
	has("b", "nat0 10.77.0.2");
	used(0, 2, 0);
	rows(2, 2, 1);
}

/* Without networks an interface is refused, or shown as what it is: nothing. */
static void test_is_told(void **state)
{
	struct spec_items items;
	const char *reason = "";

	(void)state;
	create_with("a", "[{\"network\": \"nat0\"}]");
	inst_unsupported(find("a"), &items);
	for (size_t i = 0; i < items.n; i++)
		assert_string_not_equal(items.items[i].name, "network");
	with_networks("[]");
	inst_unsupported(find("a"), &items);
	for (size_t i = 0; i < items.n; i++)
		if (str_eq(items.items[i].name, "network"))
			reason = items.items[i].reason;
	assert_string_equal(reason, "the host document has no networks");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_given_and_kept), TEST(test_many_of_each),
		TEST(test_refused),	   TEST(test_exhausted),
		TEST(test_quota),	   TEST(test_change),
		TEST(test_given_up_late),  TEST(test_change_not_written),
		TEST(test_killed),	   TEST(test_networks_change),
		TEST(test_networks_come),  TEST(test_migration),
		TEST(test_dry_run),	   TEST(test_apply_moves),
		TEST(test_is_told),
	};

	return cmocka_run_group_tests_name("addresses", tests, NULL, NULL);
}
