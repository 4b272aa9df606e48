/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay of one framed exec session: a fork of the keeper without exec that does nothing but
 * move bytes between the customer's socket and the command's terminal or pipes, and that can do
 * nothing else (no other fds, no capabilities, a dozen system calls). Back-pressure is the
 * kernel's: what one side does not take is not read from the other.
 *
 * Over the control socket (records of one u32, host order) the keeper says the exit code, and the
 * relay asks for signals. End of file on it: the keeper has gone.
 *
 * The relay ends when the customer has gone, and soon after the command's end: it moves what the
 * command had written by then, and waits no longer than the customer takes of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RELAY_LAST_MSEC 30000u

struct relay_start {
	int sock;
	int control;
	int stdio[3]; /* our ends; with a terminal the master twice, and -1 */
	bool is_tty;
	const uint8_t *early;
	size_t early_len;
	unsigned last_msec; /* after the command's end: for a customer who takes nothing */
};

/* The fds of 'start' are used up with the process. */
void relay_main(const struct relay_start *start) __attribute__((noreturn));
