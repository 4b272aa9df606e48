/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single addresses and port forwards of an instance: wishes of the API, carried out as changes of
 * manager.h, live where it runs. What they write is the API's from then on: an apply shows it as
 * drift (apply_diff.h).
 */
#pragma once

#include "base/err.h"
#include "base/json.h"
#include "config/reattach.h"
#include "runtime/instance/manager.h"

/* -EINVAL with problems: what is added is there, or what is removed is not; -ENOENT: it has no such
 * interface, or the host no networks. Everything else is the operation's. */
int inst_readdress(struct inst *i, const struct spec_reattach *e, struct problems *problems,
		   struct op **ret, struct err *err);
