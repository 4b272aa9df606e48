/* SPDX-License-Identifier: Apache-2.0 */
/* Random identifiers, from the kernel's generator. */
#include "base/rand.h"

#include <stdint.h>
#include <sys/random.h>

#include "base/str.h"

int rand_bytes(void *dst, size_t n, struct err *err)
{
	uint8_t *p = dst;

	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);

		if (got < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(err, "cannot read random bytes");
		}
		p += got;
		n -= (size_t)got;
	}
	return 0;
}

int rand_id(char ret[ID_TEXT], struct err *err)
{
	uint8_t bytes[(ID_TEXT - 1) / 2];
	int r = rand_bytes(bytes, sizeof(bytes), err);

	if (r < 0)
		return r;
	str_hex(ret, bytes, sizeof(bytes));
	return 0;
}
