/* SPDX-License-Identifier: Apache-2.0 */
/* os-release(5) of an image: foreign bytes, of which three values are taken. */
#pragma once

#include <stddef.h>

#define IMG_OS_RELEASE_MAX (64u * 1024) /* bytes looked at */

struct img_os {
	char id[32];	  /* ID: lower-case letters, digits, ".", "_", "-"; "" when absent or odd */
	char version[32]; /* VERSION_ID, same alphabet */
	char name[96];	  /* PRETTY_NAME: clean UTF-8 */
};

/* Never fails: what cannot be understood is left empty. The text need not end in a NUL. */
void img_os_release_parse(const char *text, size_t len, struct img_os *ret);
