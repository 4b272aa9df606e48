/* SPDX-License-Identifier: Apache-2.0 */
/* Cleanup functions behind the ownership attributes; all keep errno and accept "nothing held". */
#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void cleanup_free(void *pointer_to_pointer)
{
	int saved = errno;

	free(*(void **)pointer_to_pointer);
	errno = saved;
}

void cleanup_close(int *fd)
{
	int saved = errno;

	/* Linux frees the number even when close(2) fails with EINTR: a retry could close an fd
	 * that somebody else has opened meanwhile. */
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	errno = saved;
}

void cleanup_fclose(FILE **f)
{
	int saved = errno;

	if (*f)
		(void)fclose(*f);
	errno = saved;
}

void cleanup_closedir(DIR **d)
{
	int saved = errno;

	if (*d)
		(void)closedir(*d);
	errno = saved;
}
