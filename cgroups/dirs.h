/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories of the cgroup tree, and what their children can be given. Private to cgroups/. Each
 * function that gives an fd gives it to the caller.
 */
#pragma once

#include "base/err.h"
#include "cgroups/names.h"
#include "cgroups/tree.h"

/* How many of the controllers that we make use of go how far down. */
enum cg_controllers_for {
	CG_FOR_GUESTS = 5, /* those that a plan has limits for */
	CG_FOR_SHARED = 8,
};

int cg_dir_open(int dirfd, const char *name, struct err *err);
/* The same, made when absent. */
int cg_dir_make(int dirfd, const char *name, struct err *err);

/* The directory that holds the instances of a tenant, or with CG_DEDICATED those on CPUs of their
 * own. -ENOENT: there is none. */
int cg_place_open(const struct cg_root *r, const char *tenant_id, struct err *err);
int cg_place_make(const struct cg_root *r, const char *tenant_id, struct err *err);

/* The names in a file such as cgroup.controllers. */
int cg_dir_names(int dirfd, const char *file, char dst[CG_NAMES_MAX], struct err *err);

/* Enables for the children of a cgroup what it has itself. A refusal is no error here: whether all
 * that is required got there is checked at the end, where all the missing ones can be named. */
int cg_controllers_enable(int dirfd, enum cg_controllers_for n, struct err *err);
