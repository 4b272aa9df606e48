/* SPDX-License-Identifier: Apache-2.0 */
/* Networks, and the addresses that were given out. */
#include "runtime/daemon/api.h"

#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "netns/ipam.h"
#include "runtime/instance/readdress.h"

/* What is too many to be counted is null. */
static json_t *count_json(uint64_t n)
{
	return n > INT64_MAX ? json_null() : json_integer((json_int_t)n);
}

static json_t *pools_json(const struct ipam *ipam)
{
	json_t *a = json_array();
	struct ipam_status s;
	char text[ADDR_TEXT];

	for (size_t i = 0; a && ipam_status(ipam, i, &s); i++) {
		addr_format(text, &s.pool);
		(void)json_array_append_new(
			a, json_pack("{s:s, s:o, s:o, s:o, s:o}", "pool", text, "size",
				     count_json(s.size), "used", count_json(s.used), "reserved",
				     count_json(s.reserved), "free", count_json(s.free)));
	}
	return a;
}

int api_networks_list(struct request *rq, struct err *err)
{
	const struct inst_manager *m = api_of(rq)->manager;
	const struct spec_host *h = inst_host(m);
	json_t *a = json_array();

	(void)err;
	for (size_t i = 0; a && i < h->networks.n; i++) {
		const struct spec_network *n = &h->networks.items[i];

		(void)json_array_append_new(
			a, json_pack("{s:s, s:s, s:s?, s:b, s:I, s:o}", "network", n->name, "mode",
				     n->mode == SPEC_NETWORK_NAT ? "nat" : "routed", "uplink",
				     n->uplink, "uplink_proxy", (int)n->uplink_proxy, "mtu",
				     (json_int_t)n->mtu, "pools", pools_json(inst_ipam(m, i))));
	}
	request_json(rq, 200, json_pack("{s:o}", "networks", a));
	return 0;
}

static json_t *address_json(const struct inst_address *a)
{
	char text[ADDR_TEXT];

	addr_format(text, &a->addr);
	return json_pack("{s:s, s:b, s:b}", "address", text, "auto", (int)a->is_auto, "outside",
			 (int)a->is_outside);
}

static json_t *forward_json(const struct spec_forward *f)
{
	char text[32];

	(void)str_fmt(text, sizeof(text), "%u:%u/%s", f->port, f->guest_port,
		      spec_forward_protocol(f));
	return json_string(text);
}

json_t *api_nics(const struct inst *i)
{
	json_t *nics = json_array();

	for (size_t k = 0; nics && k < i->net.n; k++) {
		const struct inst_nic *nic = &i->net.nics[k];
		json_t *addresses = json_array(), *ports = json_array();

		for (size_t n = 0; n < nic->n_addresses; n++)
			(void)json_array_append_new(addresses, address_json(&nic->addresses[n]));
		for (size_t n = 0; n < nic->n_forwards; n++)
			(void)json_array_append_new(ports, forward_json(&nic->forwards[n]));
		(void)json_array_append_new(
			nics, json_pack("{s:I, s:s, s:o, s:o}", "nic", (json_int_t)k, "network",
					nic->network, "addresses", addresses, "ports", ports));
	}
	return nics;
}

json_t *api_firewall(const struct inst *i)
{
	json_t *rules = json_array();

	for (size_t k = 0; rules && k < i->spec.firewall.n; k++)
		(void)json_array_append_new(
			rules, json_rows_encode(&spec_rule_table, &i->spec.firewall.items[k], 0));
	return rules;
}

/* Those of one instance, in a list of all. */
static void add_addresses(json_t *list, const struct inst *i)
{
	for (size_t k = 0; k < i->net.n; k++)
		for (size_t n = 0; n < i->net.nics[k].n_addresses; n++) {
			json_t *row = address_json(&i->net.nics[k].addresses[n]);

			(void)json_object_set_new(row, "network",
						  json_string(i->net.nics[k].network));
			(void)json_object_set_new(row, "instance", json_string(i->full_name));
			(void)json_object_set_new(row, "nic", json_integer((json_int_t)k));
			(void)json_array_append_new(list, row);
		}
}

static void add_ports(json_t *list, const struct inst *i)
{
	for (size_t k = 0; k < i->net.n; k++)
		for (size_t n = 0; n < i->net.nics[k].n_forwards; n++) {
			const struct spec_forward *f = &i->net.nics[k].forwards[n];

			(void)json_array_append_new(
				list,
				json_pack("{s:I, s:s, s:I, s:s, s:s, s:I}", "port",
					  (json_int_t)f->port, "protocol", spec_forward_protocol(f),
					  "guest_port", (json_int_t)f->guest_port, "network",
					  i->net.nics[k].network, "instance", i->full_name, "nic",
					  (json_int_t)k));
		}
}

/* What 'add' finds in all instances, or in those of the tenant that is asked for. */
static int list_all(struct request *rq, const char *key, void (*add)(json_t *, const struct inst *),
		    struct err *err)
{
	const struct inst_manager *m = api_of(rq)->manager;
	const char *tenant = request_query(rq, "tenant");
	const struct inst *i;
	json_t *a;

	if (tenant && !catalog_tenant(inst_catalog(m), tenant))
		return err_set(err, ENOENT, "there is no tenant '%s'", tenant);
	a = json_array();
	for (size_t n = 0; (i = inst_at(m, n)); n++)
		if (!tenant || str_eq(tenant, i->tenant->spec.name))
			add(a, i);
	request_json(rq, 200, json_pack("{s:o}", key, a));
	return 0;
}

int api_addresses_list(struct request *rq, struct err *err)
{
	return list_all(rq, "addresses", add_addresses, err);
}

int api_ports_list(struct request *rq, struct err *err)
{
	return list_all(rq, "ports", add_ports, err);
}

int api_instance_readdress(struct request *rq, struct err *err)
{
	_cleanup_problems_ struct problems *problems = problems_new();
	_cleanup_spec_reattach_ struct spec_reattach e = {.nic = 0};
	const struct json_where w = {.file = "", .path = "", .problems = problems};
	struct inst *i = NULL;
	struct op *op = NULL;
	json_t *body = NULL;
	int r = problems ? api_find_instance(rq, &i, err)
			 : err_set(err, ENOMEM, "no memory for the request");

	if (r >= 0)
		r = request_body_json(rq, &body, err);
	if (r < 0)
		return r;
	r = spec_reattach_from_json(&e, body, &w);
	if (r == -ENOMEM)
		return err_set(err, ENOMEM, "no memory for the request");
	if (r >= 0)
		r = inst_readdress(i, &e, problems, &op, err);
	if (r == -EINVAL && problems_count(problems))
		return api_answer_problems(rq, problems);
	return r < 0 ? r : api_answer_op(rq, op, err);
}
