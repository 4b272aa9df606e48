/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API's routes and what they share. Each api_*.c serves one group of routes; routes.c is the
 * table. docs/api.md describes requests and answers.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/err.h"
#include "base/json.h"
#include "runtime/daemon/server.h"
#include "runtime/instance/manager.h"
#include "runtime/instance/op.h"

/* Context of every request. */
struct api {
	sd_event *event;
	struct inst_manager *manager;
	uint64_t started; /* seconds since the epoch */
};

extern const struct route api_routes[];

/* --- rendering (api_json.c); NULL when memory is short -----------------------------------------
 */

json_t *api_time(uint64_t seconds); /* RFC 3339 in UTC; 0 = null */
json_t *api_op(const struct op *op);
json_t *api_instance(struct inst *i, bool whole); /* whole: with limits read anew, and usage */
/* Its interfaces, with what was given out for them. */
json_t *api_nics(const struct inst *i);
/* The rules of its firewall, as in its document. */
json_t *api_firewall(const struct inst *i);
/* Its billing period, and the transfer that it is configured for. */
json_t *api_transfer(const struct inst *i);
json_t *api_plan(const struct inst_plan *p);
json_t *api_tenant(const struct inst_tenant *t);
/* What its instances have of its quota together, and what the kernel holds of it. */
json_t *api_tenant_limits(const struct inst_manager *m, const struct inst_tenant *t);
json_t *api_image(const struct inst_image *i);

/* --- helpers of handlers (api_common.c) --------------------------------------------------------
 */

struct api *api_of(const struct request *rq);
/* The instance that {tenant}/{name} name; -ENOENT. */
int api_find_instance(struct request *rq, struct inst **ret, struct err *err);
/* Answers 202 with the operation once it is in the database, or its error. */
int api_answer_op(struct request *rq, struct op *op, struct err *err);
/* Answers with the error object and all problems of a document. Returns 0. */
int api_answer_problems(struct request *rq, const struct problems *p);
/* Reads "timeout" like query and body arguments: "90s" or a number of seconds; absent = def. */
int api_duration(const char *text, uint64_t def_usec, uint64_t max_usec, uint64_t *ret_usec,
		 struct err *err);

/* One key that a request's body may have. */
struct api_arg {
	const char *key;
	char type; /* 's' const char *, 'b' bool, 'j' json_t * (any), 'i' int64_t, 'o' json_t *
		      object */
	bool required;
	void *ret; /* left as it is when absent or null */
};

/* Reads a body of known keys only; the values point into the request. */
int api_args(struct request *rq, const struct api_arg *args, size_t n, struct err *err);
#define API_ARGS(rq, args, err) api_args(rq, args, sizeof(args) / sizeof((args)[0]), err)

/* --- handlers ----------------------------------------------------------------------------------
 */

int api_host_get(struct request *rq, struct err *err);
int api_host_lock(struct request *rq, struct err *err);
int api_host_unlock(struct request *rq, struct err *err);
int api_operations_list(struct request *rq, struct err *err);
int api_operation_get(struct request *rq, struct err *err);

int api_events_list(struct request *rq, struct err *err);

int api_instances_list(struct request *rq, struct err *err);
int api_instance_create(struct request *rq, struct err *err);
int api_instance_get(struct request *rq, struct err *err);
int api_instance_delete(struct request *rq, struct err *err);
int api_instance_set(struct request *rq, struct err *err);
int api_instance_resize(struct request *rq, struct err *err);
int api_instance_start(struct request *rq, struct err *err);
int api_instance_stop(struct request *rq, struct err *err);
int api_instance_restart(struct request *rq, struct err *err);
int api_instance_suspend(struct request *rq, struct err *err);
int api_instance_resume(struct request *rq, struct err *err);
int api_instance_protect(struct request *rq, struct err *err);
int api_instance_wait(struct request *rq, struct err *err);
int api_instance_log(struct request *rq, struct err *err);
int api_instance_exec(struct request *rq, struct err *err);
int api_instance_console(struct request *rq, struct err *err);

int api_apply(struct request *rq, struct err *err);
int api_validate(struct request *rq, struct err *err);
int api_plans_list(struct request *rq, struct err *err);
int api_plan_get(struct request *rq, struct err *err);
int api_plan_add(struct request *rq, struct err *err);
int api_plan_resize(struct request *rq, struct err *err);
int api_tenants_list(struct request *rq, struct err *err);
int api_tenant_get(struct request *rq, struct err *err);

int api_networks_list(struct request *rq, struct err *err);
int api_addresses_list(struct request *rq, struct err *err);
int api_ports_list(struct request *rq, struct err *err);
int api_instance_readdress(struct request *rq, struct err *err);
int api_usage_list(struct request *rq, struct err *err);

int api_images_list(struct request *rq, struct err *err);
int api_image_get(struct request *rq, struct err *err);
int api_image_begin(struct request *rq, struct err *err);
ssize_t api_image_body(struct request *rq, const char *data, size_t len, struct err *err);
int api_image_end(struct request *rq, struct err *err);
int api_image_build(struct request *rq, struct err *err);
int api_image_delete(struct request *rq, struct err *err);
