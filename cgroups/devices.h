/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device fence of an instance: a BPF program of the cgroup, attached above the delegated
 * directory, that allows a fixed table of character devices, those that the plan names besides, and
 * refuses all others, mknod included. Instances of the same set can share a program: load once,
 * attach to each.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "cgroups/device_find.h"

struct bpf_insn;

enum cg_device_features {
	CG_DEVICE_FUSE = 1u << 0, /* c 10:229 */
	CG_DEVICE_TUN = 1u << 1,  /* c 10:200 */
};

/* As BPF_DEVCG_ACC_* of <linux/bpf.h>. */
enum cg_device_access {
	CG_DEVICE_MKNOD = 1u << 0,
	CG_DEVICE_READ = 1u << 1,
	CG_DEVICE_WRITE = 1u << 2,
};

#define CG_DEVICE_ANY UINT32_MAX

struct cg_device_rule {
	char type; /* 'c' or 'b' */
	uint32_t major;
	uint32_t minor;	  /* CG_DEVICE_ANY = all */
	unsigned access;  /* enum cg_device_access: what is allowed */
	unsigned feature; /* enum cg_device_features that it needs; 0 = always */
};

/* The table of allowed devices; *ret_n rows. */
const struct cg_device_rule *cg_device_rules(size_t *ret_n);

/* What one program allows. */
#define CG_DEVICES_MAX 16
struct cg_device_set {
	unsigned features; /* enum cg_device_features */
	size_t n;	   /* at most CG_DEVICES_MAX */
	struct cg_device
		more[CG_DEVICES_MAX]; /* to be read and written; the mode is not looked at */
};

/* Compiles the rules for a set. Returns the number of instructions; -E2BIG when they do not fit in
 * max, or the set has too many devices. */
#define CG_DEVICE_INSNS_MAX 256
int cg_devices_compile(const struct cg_device_set *set, struct bpf_insn *ret, size_t max,
		       struct err *err);
/* Loads the program; returns its fd. -EOPNOTSUPP when the kernel has no such programs, -EPERM when
 * this process may not load any: the caller decides whether to go on without the fence. */
int cg_devices_load(const struct cg_device_set *set, struct err *err);
/* Attaches the program to the cgroup of dirfd. One of ours that is there already is replaced
 * without a gap; the same one is left as it is. It stays until the cgroup is removed. */
int cg_devices_attach(int dirfd, int prog_fd, struct err *err);
/* True (1) when a program of ours is attached to this very cgroup, 0 when not. */
int cg_devices_is_attached(int dirfd, struct err *err);
