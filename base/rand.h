/* SPDX-License-Identifier: Apache-2.0 */
/* Random identifiers from getrandom(2). */
#pragma once

#include <stddef.h>

#include "base/err.h"

#define ID_TEXT 17 /* 16 lower-case hex digits and a NUL: instance, tenant and operation ids */

int rand_bytes(void *dst, size_t n, struct err *err);
/* 64 random bits as 16 hex digits. */
int rand_id(char ret[ID_TEXT], struct err *err);
