/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of documents, shipped defaults, and what a host cannot enforce. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "doc.h"

#define PLAN(name, version, mem)                                                                   \
	"{\"plan\": \"" name "\", \"version\": " version                                           \
	", \"cpu\": {\"cores\": 2}, \"memory\": {\"limit\": \"" mem "\"}}"
#define INST(name, plan, rest)                                                                     \
	"{\"name\": \"" name "\", \"plan\": \"" plan "\", \"image\": \"i\"" rest "}"

static void kinds(void **state)
{
	static const struct {
		const char *doc;
		enum spec_kind kind;
	} cases[] = {
		{"{\"plan\": \"x\"}", SPEC_KIND_PLAN},
		{"{\"tenant\": \"x\"}", SPEC_KIND_TENANT},
		{"{\"state\": \"/x\"}", SPEC_KIND_HOST},
		{"{}", SPEC_KIND_HOST},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_json_ json_t *doc = doc_json(cases[i].doc);

		assert_int_equal(spec_kind_of(doc), cases[i].kind);
	}
	assert_string_equal(spec_kind_name(SPEC_KIND_TENANT), "tenant");
	assert_null(spec_kind_name(SPEC_KIND_AUTO));
	assert_null(spec_kind_name(SPEC_KIND_MAX));
}

/* Up to four documents "0.json" ... as one set; the problems of the check. */
static void expect_set(const char *const docs[4], const char *problems)
{
	_cleanup_spec_set_ struct spec_set s = SPEC_SET_INIT;
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_sbuf_ struct sbuf out = SBUF_INIT;
	char name[16];

	for (size_t i = 0; i < 4 && docs[i]; i++) {
		(void)snprintf(name, sizeof(name), "%zu.json", i);
		(void)spec_set_add_text(&s, SPEC_KIND_AUTO, docs[i], strlen(docs[i]), name, p);
	}
	(void)spec_set_check(&s, p);
	problems_format(p, &out);
	assert_string_equal(sbuf_str(&out), problems);
}

static void cross_checks(void **state)
{
	static const struct {
		const char *docs[4];
		const char *problems;
	} cases[] = {
		{{PLAN("a", "1", "1GiB"), PLAN("a", "2", "2GiB"),
		  "{\"tenant\": \"t\", \"instances\": [" INST("x", "a", "") "," INST("y", "a@1",
										     "") "]}"},
		 ""},
		{{PLAN("a", "1", "1GiB"), PLAN("a", "1", "1024MiB")}, ""},
		{{PLAN("a", "1", "1GiB"), PLAN("a", "1", "2GiB")},
		 "1.json: version: 1 of plan \"a\" has another content in 0.json; a changed plan "
		 "needs a new version\n"},
		{{PLAN("a", "3", "1GiB"), "{\"tenant\": \"t\", \"instances\": [" INST(
						  "x", "b", "") "," INST("y", "a@2", "") "]}"},
		 "1.json: instances[0].plan: plan \"b\" does not exist; there are a\n"
		 "1.json: instances[1].plan: plan \"a@2\" has no such version; the newest is 3\n"},
		/* Without any plan, plans are known elsewhere. */
		{{"{\"tenant\": \"t\", \"instances\": [" INST("x", "b", "") "]}"}, ""},
		{{"{\"tenant\": \"t\"}", "{\"tenant\": \"t\"}"},
		 "1.json: tenant: \"t\" has a document already, 0.json\n"},
		/* What this build does not do, as vpsd says it at its start. */
		{{"{\"sample\": \"10s\", \"sharing\": \"none\", \"webhooks\": [{\"url\": "
		  "\"http://x\"}], \"tolerate_unsupported\": [\"webhooks\"]}"},
		 "0.json: sharing: is not supported: image files are shared by all instances of "
		 "the "
		 "host; leave the key out, or tolerate it with \"tolerate_unsupported\": "
		 "[\"sharing\"]\n"},
		{{"{}", "{}"}, "1.json: is a second host document; 0.json is the first\n"},
		{{PLAN("a", "1", "1GiB"),
		  "{\"tenant\": \"t\", \"quota\": {\"cores\": 3, \"memory\": \"2GiB\", \"disk\": "
		  "\"10GiB\"}, \"instances\": [" INST("x", "a", "") "," INST(
			  "y", "a",
			  ", \"overrides\": {\"memory\": {\"limit\": \"1536MiB\"}}") "]}"},
		 "1.json: quota.cores: the instances have 4 cores; the quota is 3\n"
		 "1.json: quota.memory: the instances have 2560MiB; the quota is 2GiB\n"
		 "1.json: quota.disk: the instances have 20GiB; the quota is 10GiB\n"},
		{{PLAN("a", "1", "1GiB"),
		  "{\"tenant\": \"t\", \"quota\": {\"pids\": 1023}, \"instances\": [" INST(
			  "x", "a", "") "," INST("y", "a", "") "]}"},
		 "1.json: quota.pids: the instances have 1024 pids; the quota is 1023\n"},
		{{PLAN("a", "1", "1GiB"),
		  "{\"tenant\": \"t\", \"instances\": [" INST(
			  "x", "a", ", \"overrides\": {\"cpu\": {\"guarantee\": 3}}") "]}"},
		 "1.json: instances[0].overrides.cpu.guarantee: 3 cores are more than cpu.cores, "
		 "2\n"},
		/* Interfaces against the networks of the host, where it is among the documents. */
		{{"{\"networks\": [{\"network\": \"nat0\", \"mode\": \"nat\", \"ipv4\": "
		  "[\"10.77.0.0/16\"]}, {\"network\": \"pub\", \"mode\": \"routed\", \"uplink\": "
		  "\"eth0\", \"ipv6\": [\"2001:db8::/48\"]}], \"tolerate_unsupported\": "
		  "[\"networks\"]}",
		  "{\"tenant\": \"t\", \"instances\": [" INST(
			  "x", "a",
			  ", \"network\": [{\"network\": \"nat0\", \"ports\": [\"80:80/tcp\"]}, "
			  "{\"network\": \"pub\", \"ipv6\": \"auto/64\"}]") "," //
		  INST("y", "a",
		       ", \"network\": [{\"network\": \"lan\"}, {\"network\": \"pub\", "
		       "\"ipv4\": \"auto\", \"ports\": [\"81:80/tcp\"]}, {\"network\": "
		       "\"nat0\", \"ipv6\": \"auto/64\"}]") "]}"},
		 "1.json: instances[1].network[0].network: this host has no network \"lan\"; it "
		 "has \"nat0\", \"pub\"\n"
		 "1.json: instances[1].network[1].ports: network \"pub\" forwards no ports: its "
		 "mode is not \"nat\"\n"
		 "1.json: instances[1].network[1].ipv4: network \"pub\" has no IPv4 addresses; "
		 "leave the key out, or write \"none\"\n"
		 "1.json: instances[1].network[2].ipv6: network \"nat0\" has no IPv6 addresses; "
		 "leave the key out, or write \"none\"\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_set(cases[i].docs, cases[i].problems);
}

static void shipped_defaults(void **state)
{
	_cleanup_close_ int fd = open("config/defaults", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_spec_set_ struct spec_set s = SPEC_SET_INIT;
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_sbuf_ struct sbuf out = SBUF_INIT;
	_cleanup_spec_plan_ struct spec_plan effective = {0};
	static const struct spec_support support[] = {
		{"cpu.cores", NULL}, {"cpu.burst", NULL}, {"cpu.guarantee", NULL},
		{"memory.*", NULL},  {"pids", NULL},	  {"autostart", NULL},
		{"quota.*", NULL},   {NULL, NULL},
	};
	struct err err = ERR_INIT;

	(void)state;
	if (fd < 0) /* not run from the top of the tree */
		skip();
	assert_int_equal(spec_set_load_dir(&s, fd, "", p, &err), 0);
	assert_int_equal(spec_set_check(&s, p), 0);
	problems_format(p, &out);
	assert_string_equal(sbuf_str(&out), "");
	assert_non_null(s.host);
	assert_int_equal(s.plans.n, 3);
	assert_string_equal(s.plans.files[0], "plans/large.json");
	assert_string_equal(s.tenants.files[0], "tenants/acme.json");
	/* A host with cpu, memory and pids alone runs the example with the shipped tolerance. */
	for (size_t i = 0; i < s.tenants.items[0].instances.n; i++) {
		const struct spec_instance *inst = &s.tenants.items[0].instances.items[i];
		struct json_where w = {"", "", p};
		char name[SPEC_NAME_TEXT];
		struct spec_items items;
		uint64_t version;

		assert_int_equal(spec_plan_ref_parse(inst->plan, name, &version), 0);
		assert_int_equal(spec_plan_override(spec_set_find_plan(&s, name, version),
						    inst->overrides, &effective, &w),
				 0);
		spec_unsupported(&effective, inst, &s.tenants.items[0], s.host, support, &items);
		assert_int_equal(items.n_refused, 0);
		assert_true(items.n > 10);
		spec_plan_done(&effective);
	}
}

static void put(int dirfd, const char *name, const char *text)
{
	assert_int_equal(file_replace_at(dirfd, name, text, strlen(text), 0600, NULL), 0);
}

static void directories(void **state)
{
	char template[] = "/tmp/vps-test-XXXXXX";
	_cleanup_spec_set_ struct spec_set s = SPEC_SET_INIT;
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_sbuf_ struct sbuf out = SBUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	assert_non_null(mkdtemp(template));
	{
		_cleanup_close_ int fd = open(template, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		_cleanup_close_ int plans = -1;

		assert_int_equal(mkdirat(fd, "plans", 0700), 0);
		assert_int_equal(mkdirat(fd, "plans/dir.json", 0700), 0);
		plans = openat(fd, "plans", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		put(fd, "vpsd.json", "{\"sharing\": \"x\"}");
		put(fd, ".hidden.json", "{");
		put(fd, "note.txt", "{");
		put(plans, "b.json", PLAN("b", "1", "1 GB"));
		put(plans, "a.json", PLAN("a", "1", "1GiB"));
		assert_int_equal(spec_set_load_dir(&s, fd, "etc/", p, &err), -EINVAL);
	}
	problems_format(p, &out);
	assert_int_equal(p->n, 3);
	assert_string_equal(p->items[0].file, "etc/vpsd.json");
	assert_string_equal(p->items[1].file, "etc/plans/b.json");
	assert_string_equal(p->items[2].file, "etc/plans/dir.json");
	assert_int_equal(s.plans.n, 1);
	{
		_cleanup_close_ int tmp = path_open_dir("/tmp", NULL);

		assert_int_equal(path_remove_tree(tmp, template + strlen("/tmp/"), NULL), 0);
	}
}

static void items_are_known(void **state)
{
	/* As cgroups/limits.h names them; config does not link cgroups. */
	static const char *const limits[] = {"cpu.cores",      "cpu.guarantee",	   "memory.limit",
					     "memory.high",    "memory.guarantee", "memory.swap",
					     "pids",	       "disk.read",	   "disk.write",
					     "disk.read_iops", "disk.write_iops",  "disk.weight"};

	(void)state;
	assert_null(spec_item_name(SPEC_ITEMS_MAX));
	for (size_t i = 0; spec_item_name(i); i++) {
		assert_true(spec_name_is_known(spec_item_name(i)));
		assert_true(strlen(spec_item_name(i)) < sizeof(((struct spec_item *)0)->name));
	}
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		assert_true(spec_name_is_known(limits[i]));
}

/* Everything that a plan can have, switched on: every item of the table is found. */
static void everything_unsupported(void **state)
{
	static const char plan_text[] =
		"{\"plan\": \"p\", \"version\": 1, \"cpu\": {\"cores\": 1, \"guarantee\": 1, "
		"\"burst\": \"1ms\", \"dedicated\": true},"
		" \"memory\": {\"limit\": \"1GiB\", \"high\": \"1GiB\"}, \"disk\": {\"size\": "
		"\"1GiB\", \"inodes\": 1000, \"read\": \"1MiB/s\","
		" \"write\": \"1MiB/s\", \"read_iops\": 2, \"write_iops\": 2, \"weight\": 5}, "
		"\"network\": {\"in\": \"1Mbit\","
		" \"out\": \"1Mbit\", \"pps\": 1, \"connections\": 1, \"new_connections\": "
		"\"1/s\", \"block_smtp\": true, \"transfer\": {\"monthly\": \"1TiB\"}},"
		" \"features\": {\"nesting\": true, \"tun\": true, \"fuse\": true}, \"devices\": "
		"[\"/dev/fuse\"],"
		" \"snapshots\": 1, \"backups\": 1}";
	static const char tenant_text[] =
		"{\"tenant\": \"t\", \"ssh_keys\": [\"ssh-rsa AAAA\"], \"quota\": {\"instances\": "
		"1, \"cores\": 1, \"memory\": \"1GiB\", \"pids\": 0,"
		" \"disk\": \"1GiB\", \"ipv4\": 0, \"transfer\": \"1GiB\"}, \"instances\": "
		"[{\"name\": \"a\", \"plan\": \"p\","
		" \"image\": \"i\", \"network\": [{\"network\": \"n\"}], \"firewall\": "
		"[{\"allow\": \"tcp\"}], \"autostart\": {\"enabled\": true},"
		" \"user_data\": \"x\", \"password_hash\": \"$6$a\", \"timezone\": "
		"\"Europe/Berlin\"}]}";
	static const struct spec_support none[] = {{"memory.*", "no memory controller"},
						   {NULL, NULL}};
	_cleanup_json_ json_t *plan_doc = doc_json(plan_text);
	_cleanup_json_ json_t *tenant_doc = doc_json(tenant_text);
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_spec_plan_ struct spec_plan plan = {0};
	_cleanup_spec_tenant_ struct spec_tenant tenant = {0};
	_cleanup_spec_host_ struct spec_host host = {0};
	struct json_where w = {"", "", p};
	struct err err = ERR_INIT;
	struct spec_items items;
	size_t found = 0;

	(void)state;
	assert_int_equal(spec_host_default(&host), 0);
	assert_int_equal(spec_plan_from_json(&plan, plan_doc, &w), 0);
	assert_int_equal(spec_tenant_from_json(&tenant, tenant_doc, &w), 0);
	spec_unsupported(&plan, &tenant.instances.items[0], &tenant, &host, none, &items);
	for (size_t i = 0; spec_item_name(i); i++)
		for (size_t k = 0; k < items.n; k++)
			if (strcmp(items.items[k].name, spec_item_name(i)) == 0) {
				found++;
				break;
			}
	for (size_t i = found; spec_item_name(i); i++)
		if (i == found)
			assert_string_equal(spec_item_name(i),
					    "device_program"); /* and what the host has */
	assert_int_equal(items.n_refused, items.n);
	assert_int_equal(spec_items_to_err(&items, &err), -EOPNOTSUPP);
}

static void refusal(void **state)
{
	static const struct spec_support some[] = {{"cpu.*", NULL},
						   {"memory.swap", "no swap accounting"},
						   {"memory.*", NULL},
						   {NULL, NULL}};
	_cleanup_json_ json_t *doc =
		doc_json("{\"plan\": \"p\", \"version\": 1, \"cpu\": {\"cores\": 1},"
			 " \"memory\": {\"limit\": \"1GiB\"}, \"disk\": {\"size\": \"1GiB\", "
			 "\"read\": null},"
			 " \"snapshots\": 0, \"features\": {\"tun\": false}, \"network\": {\"in\": "
			 "\"1Mbit\"}}");
	_cleanup_json_ json_t *host_doc = doc_json("{\"tolerate_unsupported\": [\"network.*\"]}");
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_spec_plan_ struct spec_plan plan = {0};
	_cleanup_spec_host_ struct spec_host host = {0};
	struct json_where w = {"", "", p};
	struct err err = ERR_INIT;
	struct spec_items items;

	(void)state;
	assert_int_equal(spec_plan_from_json(&plan, doc, &w), 0);
	assert_int_equal(spec_host_from_json(&host, host_doc, &w), 0);
	spec_unsupported(&plan, NULL, NULL, &host, some, &items);
	assert_int_equal(items.n, 4);
	assert_string_equal(items.items[0].name, "memory.swap");
	assert_string_equal(items.items[1].name, "pids"); /* a default is a limit */
	assert_string_equal(items.items[2].name, "disk.size");
	assert_string_equal(items.items[3].name, "network.in");
	assert_true(items.items[3].is_tolerated);
	assert_int_equal(spec_items_to_err(&items, &err), -EOPNOTSUPP);
	assert_string_equal(
		err.msg,
		"this host cannot enforce memory.swap (no swap accounting), pids, disk.size "
		"(not supported by this build)");
	assert_string_equal(
		err.hint,
		"take them out, or put \"tolerate_unsupported\": [\"memory.*\", \"pids\", "
		"\"disk.*\"] into vpsd.json");
	items.n_refused = 0;
	assert_int_equal(spec_items_to_err(&items, &err), 0);
}

/* Refused items of a host document, with the tolerated ones in brackets. */
static void expect_host_items(const char *text, const char *expected)
{
	_cleanup_json_ json_t *doc = doc_json(text);
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_spec_host_ struct spec_host host = {0};
	_cleanup_sbuf_ struct sbuf b = SBUF_INIT;
	struct json_where w = {"", "", p};
	struct spec_items items;

	assert_int_equal(spec_host_from_json(&host, doc, &w), 0);
	spec_host_unsupported(&host, &items);
	for (size_t i = 0; i < items.n; i++)
		sbuf_addf(&b, items.items[i].is_tolerated ? "[%s] " : "%s ", items.items[i].name);
	assert_string_equal(sbuf_str(&b), expected);
}

static void host_items(void **state)
{
	(void)state;
	expect_host_items("{\"listen\": [{\"unix\": \"/a\"}, {\"tcp\": \"127.0.0.1:1\"}],"
			  " \"tolerate_unsupported\": [\"listen.tcp\", \"sharing\"],"
			  " \"webhooks\": [{\"url\": \"http://x\"}]}",
			  "[listen.tcp] [sharing] webhooks ");
	/* What a document asks for and this build does not do; the default of sharing is told. */
	expect_host_items("{}", "[sharing] ");
	expect_host_items("{\"sharing\": \"host\"}", "");
	expect_host_items("{\"sharing\": \"tenant\"}", "sharing ");
	expect_host_items("{\"sharing\": \"none\", \"tolerate_unsupported\": [\"sharing\"]}",
			  "[sharing] ");
	expect_host_items("{\"reserve\": {\"disk\": \"0\", \"memory\": \"1GiB\"}, \"overcommit\": "
			  "{\"cpu\": 2}, \"sharing\": \"host\"}",
			  "");
	expect_host_items("{\"reserve\": {\"disk\": \"20GiB\"}, \"overcommit\": {\"disk\": 1}, "
			  "\"sharing\": \"host\", \"sample\": \"10s\", \"networks\": "
			  "[{\"network\": \"a\", \"mode\": \"nat\", \"ipv4\": "
			  "[\"10.0.0.0/8\"]}], \"backup_targets\": [{\"target\": \"nas\", "
			  "\"path\": \"/mnt\"}]}",
			  "backup_targets ");
}

/* The shipped host document starts vpsd. */
static void shipped_host_is_accepted(void **state)
{
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_spec_host_ struct spec_host host = {0};
	const struct json_where w = {"", "", p};
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *doc = NULL;
	struct spec_items items;
	size_t len;

	(void)state;
	if (access("config/defaults", R_OK) < 0) /* not run from the top of the tree */
		skip();
	assert_int_equal(
		file_read_at(AT_FDCWD, "config/defaults/vpsd.json", 1 << 20, &text, &len, NULL), 0);
	doc = doc_json(text);
	assert_int_equal(spec_host_from_json(&host, doc, &w), 0);
	spec_host_unsupported(&host, &items);
	assert_int_equal(items.n_refused, 0);
	assert_int_equal(items.n, 1); /* nothing in it is without effect, but for */
	assert_string_equal(items.items[0].name, "sharing");
}

/* Every key stands in the man page of its document. */
static void expect_documented(const struct json_table *t, const char *page)
{
	for (size_t i = 0; i < t->n_rows; i++) {
		if (!strstr(page, t->rows[i].key))
			print_error("not documented: %s of %s\n", t->rows[i].key, t->what);
		assert_non_null(strstr(page, t->rows[i].key));
		if (t->rows[i].sub && t->rows[i].kind != JSON_KIND_PARTIAL)
			expect_documented(t->rows[i].sub, page);
	}
}

static void man_pages(void **state)
{
	static const struct {
		const char *file;
		const struct json_table *table;
	} pages[] = {
		{"docs/vpsd.json.5", &spec_host_table},
		{"docs/vps-plan.5", &spec_plan_table},
		{"docs/vps-tenant.5", &spec_tenant_table},
	};

	(void)state;
	if (access("docs", R_OK) < 0) /* not run from the top of the tree */
		skip();
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		_cleanup_free_ char *text = NULL;
		size_t len;

		assert_int_equal(file_read_at(AT_FDCWD, pages[i].file, 1 << 20, &text, &len, NULL),
				 0);
		expect_documented(pages[i].table, text);
		if (i == 0)
			for (size_t k = 0; spec_item_name(k); k++)
				assert_non_null(strstr(text, spec_item_name(k)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),
		cmocka_unit_test(cross_checks),
		cmocka_unit_test(shipped_defaults),
		cmocka_unit_test(directories),
		cmocka_unit_test(items_are_known),
		cmocka_unit_test(everything_unsupported),
		cmocka_unit_test(refusal),
		cmocka_unit_test(host_items),
		cmocka_unit_test(shipped_host_is_accepted),
		cmocka_unit_test(man_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
