/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What vpsd does with documents without being a daemon: judge them, and print their schemas. Needs
 * neither root nor a host, and changes nothing.
 */
#pragma once

#include <stddef.h>

/* Judges files, and directories (their *.json files and those of their plans/ and tenants/), as one
 * set, with the code that judges what is applied. All problems go to stderr, one a line; a line on
 * what was found, and one on what only a host can say, to stdout. Returns 0 or -EINVAL, or another
 * error when the work could not be done, which is said as well. */
int documents_validate(size_t n, char *const *paths);
/* Prints the JSON Schema of a kind of document ("host", "plan", "tenant") to stdout. -EINVAL when
 * there is no such kind, -EIO when it cannot be written; both are said. */
int documents_print_schema(const char *kind);
