/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seccomp profiles: the JSON of the OCI and Docker world, compiled to a classic BPF program for
 * x86_64. Calls of every other ABI (i386, x32) get ENOSYS.
 *
 * The format leaves open what happens when rules for one system call overlap. Here:
 *   1. a rule with args whose action refuses (ERRNO, KILL, TRAP) goes first;
 *   2. then the rules that allow (ALLOW, LOG), with or without args;
 *   3. a rule without args that refuses says what becomes of the calls that nothing has allowed,
 *      and the defaultAction of calls that no rule names.
 * Within one stage the args of two rules for one system call must not overlap.
 */
#pragma once

#include <linux/filter.h>
#include <stddef.h>

#include "base/err.h"
#include "base/json.h"

struct seccomp_program {
	struct sock_filter *insns; /* heap */
	size_t n;		   /* instructions; n * sizeof(struct sock_filter) bytes */
	struct sbuf warnings;	   /* a line each: system calls that this build does not know */
};

#define SECCOMP_PROGRAM_INIT ((struct seccomp_program){.warnings = SBUF_INIT})
#define _cleanup_seccomp_program_ _cleanup_(seccomp_program_done)

void seccomp_program_done(struct seccomp_program *p);

/* Parses strictly and compiles. All problems of the document are collected in w->problems with
 * their JSON path, and *err is the first of them. */
int seccomp_profile_compile(const char *text, size_t len, const struct json_where *w,
			    struct seccomp_program *ret, struct err *err);
