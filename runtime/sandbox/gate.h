/* SPDX-License-Identifier: Apache-2.0 */
/* The helper's side of a launch's gate: see sandbox.h. */
#pragma once

#include "base/err.h"

/* Joins the network namespace of the process 'pidfd', prepares it for its links, and sends it over
 * the gate. */
int sbx_gate_offer(int gate, int pidfd, struct err *err);
/* Waits for GO over the gate; 'child' is the socket of the new process, whose end ends the wait.
 * Blocks: for helpers only. */
int sbx_gate_await(int gate, int child, struct err *err);
