/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors as the API words them: a code's name from op.h's table, so that a request that fails at
 * once and an operation that fails later say the same, and the status from the name.
 */
#include <string.h>

#include "base/str.h"
#include "runtime/daemon/server.h"
#include "runtime/instance/op.h"

/* What only an answer can say: the request itself is at fault, no operation came to be. */
static const struct {
	int code;
	const char *name;
} request_names[] = {
	{EINVAL, "bad-request"}, {EACCES, "forbidden"},
	{E2BIG, "too-large"},	 {EFBIG, "too-large"},
	{EMSGSIZE, "too-large"}, {EPROTONOSUPPORT, "method-not-allowed"},
	{EALREADY, "conflict"},	 {ENOTEMPTY, "conflict"},
	{EDOM, "invalid"},	 {ESHUTDOWN, "unavailable"},
};

static const struct {
	const char *name;
	unsigned status;
} statuses[] = {
	{"bad-request", 400}, {"forbidden", 403},
	{"not-found", 404},   {"method-not-allowed", 405},
	{"timeout", 408},     {"conflict", 409},
	{"no-capacity", 409}, {"cancelled", 409},
	{"too-large", 413},   {"invalid", 422},
	{"unsupported", 422}, {"internal", 500},
	{"unavailable", 503}, {"interrupted", 503},
};

const char *error_name(const struct err *err)
{
	for (size_t i = 0; i < sizeof(request_names) / sizeof(*request_names); i++)
		if (request_names[i].code == err->code)
			return request_names[i].name;
	return op_error_code(err->code);
}

unsigned error_status(const struct err *err)
{
	const char *name = error_name(err);
	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++)
		if (strcmp(statuses[i].name, name) == 0)
			return statuses[i].status;
	return 500;
}

/* Texts of errors are clean UTF-8 whatever was quoted in them (base/err). */
json_t *error_to_json(const struct err *err)
{
	json_t *o = json_pack("{s:s, s:s}", "code", error_name(err), "message", err_text(err));
	if (o && err->hint[0])
		(void)json_object_set_new(o, "hint", json_string(err->hint));
	return o;
}
