/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scope-bound ownership: an owned local is declared with one of these attributes and initialised
 * at its declaration; take_ptr() and take_fd() hand the ownership over.
 */
#pragma once

#include <dirent.h>
#include <stdio.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

/* free(3) of a heap pointer, errno kept. */
void cleanup_free(void *pointer_to_pointer);
/* close(2) of an fd >= 0, never retried, errno kept; the variable is -1 afterwards, so that it can
 * be closed again. The "no fd" value is -1. */
void cleanup_close(int *fd);
void cleanup_fclose(FILE **f);
void cleanup_closedir(DIR **d);

#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)
#define _cleanup_closedir_ _cleanup_(cleanup_closedir)

/* Moves a pointer out of a cleaned-up variable. */
#define take_ptr(p)                                                                                \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

/* Moves an fd out of a cleaned-up variable. */
static inline int take_fd(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}
