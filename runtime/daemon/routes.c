/* SPDX-License-Identifier: Apache-2.0 */
/* The routes: one row each. Those with fixed words stand before those with parameters. */
#include "runtime/daemon/api.h"

#define ROUTE(method_, path_, handler_)                                                            \
	{                                                                                          \
		.method = (method_), .path = (path_), .handle = (handler_)                         \
	}
#define ROUTE_SESSION(path_, handler_)                                                             \
	{                                                                                          \
		.method = "POST", .path = (path_), .flags = ROUTE_UPGRADE, .handle = (handler_)    \
	}

const struct route api_routes[] = {
	ROUTE("GET", "/v1/host", api_host_get),
	ROUTE("POST", "/v1/host/lock", api_host_lock),
	ROUTE("POST", "/v1/host/unlock", api_host_unlock),
	ROUTE("GET", "/v1/operations", api_operations_list),
	ROUTE("GET", "/v1/operations/{id}", api_operation_get),
	ROUTE("GET", "/v1/events", api_events_list),

	ROUTE("GET", "/v1/instances", api_instances_list),
	ROUTE("POST", "/v1/instances", api_instance_create),
	ROUTE("GET", "/v1/instances/{tenant}/{name}", api_instance_get),
	ROUTE("DELETE", "/v1/instances/{tenant}/{name}", api_instance_delete),
	ROUTE("PATCH", "/v1/instances/{tenant}/{name}", api_instance_set),
	ROUTE("PATCH", "/v1/instances/{tenant}/{name}/network", api_instance_readdress),
	ROUTE("POST", "/v1/instances/{tenant}/{name}/resize", api_instance_resize),
	ROUTE("POST", "/v1/instances/{tenant}/{name}/start", api_instance_start),
	ROUTE("POST", "/v1/instances/{tenant}/{name}/stop", api_instance_stop),
	ROUTE("POST", "/v1/instances/{tenant}/{name}/restart", api_instance_restart),
	ROUTE("POST", "/v1/instances/{tenant}/{name}/suspend", api_instance_suspend),
	ROUTE("POST", "/v1/instances/{tenant}/{name}/resume", api_instance_resume),
	ROUTE("POST", "/v1/instances/{tenant}/{name}/protect", api_instance_protect),
	ROUTE("GET", "/v1/instances/{tenant}/{name}/wait", api_instance_wait),
	ROUTE("GET", "/v1/instances/{tenant}/{name}/log", api_instance_log),
	ROUTE_SESSION("/v1/instances/{tenant}/{name}/exec", api_instance_exec),
	ROUTE_SESSION("/v1/instances/{tenant}/{name}/console", api_instance_console),

	ROUTE("POST", "/v1/apply", api_apply),
	ROUTE("POST", "/v1/validate", api_validate),
	ROUTE("GET", "/v1/plans", api_plans_list),
	ROUTE("POST", "/v1/plans", api_plan_add),
	ROUTE("GET", "/v1/plans/{name}", api_plan_get),
	ROUTE("POST", "/v1/plans/{name}/resize", api_plan_resize),
	ROUTE("GET", "/v1/tenants", api_tenants_list),
	ROUTE("GET", "/v1/tenants/{name}", api_tenant_get),

	ROUTE("GET", "/v1/networks", api_networks_list),
	ROUTE("GET", "/v1/addresses", api_addresses_list),
	ROUTE("GET", "/v1/ports", api_ports_list),
	ROUTE("GET", "/v1/usage", api_usage_list),

	ROUTE("GET", "/v1/images", api_images_list),
	{
		.method = "POST",
		.path = "/v1/images",
		.flags = ROUTE_STREAM,
		.begin = api_image_begin,
		.on_body = api_image_body,
		.handle = api_image_end,
	},
	ROUTE("POST", "/v1/images/build", api_image_build),
	ROUTE("GET", "/v1/images/{name}", api_image_get),
	ROUTE("DELETE", "/v1/images/{name}", api_image_delete),
	{.method = NULL},
};
