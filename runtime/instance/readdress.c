/* SPDX-License-Identifier: Apache-2.0 */
/* From the wish to the whole document of the instance, as an apply would bring it. */
#include "runtime/instance/readdress.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "runtime/instance/private.h"

static int no_memory(const struct inst *i, struct err *err)
{
	return err_set(err, ENOMEM, "cannot change '%s': out of memory", i->full_name);
}

static int check(const struct inst *i, uint64_t nic, struct err *err)
{
	if (!inst_has_networks(i->manager))
		return err_set(err, ENOENT, "the host document has no networks");
	if (nic < i->net.n && nic < i->spec.network.n)
		return 0;
	(void)err_set(err, ENOENT, "'%s' has no interface eth%llu", i->full_name,
		      (unsigned long long)nic);
	return err_hint(err, "its interfaces are the list \"network\" of its document");
}

/* The document of one interface as it is to be. */
static int edit(const struct inst *i, const struct spec_reattach *e, json_t **ret,
		struct problems *problems, struct err *err)
{
	const struct json_where w = {.file = "", .path = "", .problems = problems};
	const struct inst_nic *nic = &i->net.nics[e->nic];
	_cleanup_free_ struct spec_given *given = calloc(nic->n_addresses + 1, sizeof(*given));
	int r = -ENOMEM;

	for (size_t k = 0; given && k < nic->n_addresses; k++)
		given[k] = (struct spec_given){.addr = nic->addresses[k].addr,
					       .is_auto = nic->addresses[k].is_auto};
	if (given)
		r = spec_reattach(&i->spec.network.items[e->nic], e, given, nic->n_addresses, ret,
				  &w);
	return r == -EINVAL ? problems_to_err(problems, err) : r < 0 ? no_memory(i, err) : 0;
}

int inst_readdress(struct inst *i, const struct spec_reattach *e, struct problems *problems,
		   struct op **ret, struct err *err)
{
	const struct json_where w = {.file = "", .path = "", .problems = problems};
	_cleanup_spec_instance_ struct spec_instance spec = {0};
	_cleanup_json_ json_t *doc = NULL;
	struct inst_wish wish = {.spec = &spec,
				 .file_fields = i->file_fields & ~(1u << INST_FIELD_NETWORK),
				 .problems = problems};
	json_t *attach = NULL;
	int r = check(i, e->nic, err);

	if (r >= 0)
		r = edit(i, e, &attach, problems, err);
	if (r < 0)
		return r;
	/* Without defaults: one that is written out would be taken for a wish. */
	doc = json_rows_encode(&spec_instance_table, &i->spec, 0);
	if (json_array_set_new(json_object_get(doc, "network"), e->nic, attach) < 0)
		return no_memory(i, err);
	r = spec_instance_from_json(&spec, doc, &w);
	if (r == -EINVAL)
		return problems_to_err(problems, err);
	return r < 0 ? no_memory(i, err) : inst_change_to(i, &wish, ret, err);
}
