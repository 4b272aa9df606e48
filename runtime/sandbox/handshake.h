/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records between the caller, the helper and the new process, and their order.
 *
 *   launch: caller  H (host side)  G (init)        join: caller  H (middle)  G (joined process)
 *             |<----- BORN -|                                |<---- BORN -|
 *             |             |- GO -->|                       |            |
 *             |             |<- READY|                       |            |<- READY -|
 *             |             |<- end of file: it has executed |            |<- end of file
 *             |<-- STARTED -|                                |<- STARTED -|
 *
 * FAILED {u32 code, str text} may come instead of any record that flows to the left, and to H also
 * after READY, when the program cannot be executed.
 *
 * Of a launch with a gate, over the gate, before H's GO:
 *
 *            H  -- NETWORK -->  who launches  -- GO or FAILED -->  H
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/msg.h"

enum sbx_record {
	SBX_RECORD_BORN = 0x5301, /* u32 pid; pidfd */
	SBX_RECORD_GO,		  /* the tree is complete; over a gate: the network is */
	SBX_RECORD_READY,   /* about to execute the program; pty master when joined with one */
	SBX_RECORD_STARTED, /* launch: str warning; console, slave, notify; join: master when there
			       is one */
	SBX_RECORD_FAILED,  /* u32 code, str text */
	SBX_RECORD_NETWORK, /* the guest's network namespace */
};

/* Sends a record with n fds and no payload. */
int sbx_send(int sock, enum sbx_record type, const int *fds, size_t n, struct err *err);
int sbx_send_born(int sock, uint32_t pid, int pidfd, struct err *err);
/* STARTED of a launch. */
int sbx_send_started(int sock, const char *warning, const int fds[3], struct err *err);
/* Best effort: nobody may be listening. */
void sbx_send_failed(int sock, const struct err *why);
/* Waits for READY and then for the end of file that a successful execve(2) causes. m keeps the fds
 * that came with READY. Blocks: for helpers only. */
int sbx_await_exec(int sock, struct msg *m, struct err *err);
