/* SPDX-License-Identifier: Apache-2.0 */
/* The new process on its way to the guest's init. */
#pragma once

#include "runtime/sandbox/sandbox.h"

/* Runs as a fresh clone of the helper: waits for GO on 'sock', then becomes the guest's init. Never
 * returns. */
void sbx_child_main(const struct sbx_launch *l, int sock) __attribute__((noreturn));
