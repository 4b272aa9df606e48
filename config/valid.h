/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Validators of strings for the rows of config/: each takes text that is already known to be clean
 * UTF-8 without control characters, and says whether it has the form that the name says.
 */
#pragma once

#include <stdbool.h>

/* Absolute, at most 4095 bytes, no empty, "." or ".." component. */
bool spec_is_path(const char *s);
/* As above, and short enough for a unix socket (107 bytes). */
bool spec_is_socket_path(const char *s);
/* Below /dev: at most 68 bytes of [A-Za-z0-9/_.,:+@-]. */
#define SPEC_DEVICE_PATH_MAX 68
bool spec_is_device(const char *s);
/* "203.0.113.0/24": host bits are zero. */
bool spec_is_cidr4(const char *s);
bool spec_is_cidr6(const char *s);
/* Either family, or a single address. */
bool spec_is_source(const char *s);
/* "203.0.113.1", "203.0.113.1-203.0.113.9", "203.0.113.0/28"; either family. */
bool spec_is_range(const char *s);
/* What an interface asks for: an address, "auto" or "none". */
bool spec_is_wish4(const char *s);
/* The same; and a prefix, "auto/64" or "2001:db8:0:5::/64". */
#define SPEC_PREFIX6_MIN 48
#define SPEC_PREFIX6_MAX 127
bool spec_is_wish6(const char *s);
/* "127.0.0.1:9180", "[::]:8443", port 1..65535. */
bool spec_is_endpoint(const char *s);
/* "http://" or "https://" and a host, no blanks. */
bool spec_is_url(const char *s);
/* Network interface: 1..15 of [A-Za-z0-9_.-], not "." or "..". */
bool spec_is_interface(const char *s);
/* Unix group or event name: [a-z0-9_.-], 1..32, first a letter or '_'. */
bool spec_is_word(const char *s);
/* Dotted name of lower-case words in which '*' may stand for any text. */
bool spec_is_pattern(const char *s);
/* Key of a label: 1..63 of [A-Za-z0-9._/-], first a letter or a digit. */
bool spec_is_label_key(const char *s);
/* "NAME" or "NAME@VERSION". */
bool spec_is_plan_ref(const char *s);
/* A name, or "sha256:" and 64 lower-case hex digits. */
bool spec_is_image(const char *s);
/* One public key as in authorized_keys, without options in front. */
bool spec_is_ssh_key(const char *s);
/* crypt(5): "$id$...". */
bool spec_is_password_hash(const char *s);
/* "UTC", "Europe/Berlin". */
bool spec_is_timezone(const char *s);
/* "22,80,8000-8100". */
bool spec_is_port_list(const char *s);
/* "8080:80/tcp": port of the host, port of the guest, tcp or udp. */
bool spec_is_port_forward(const char *s);

/* Regular expression (ECMA-262, anchored) that matches all that a validator of this header or of
 * base/str.h takes, and as little else as an expression can; for schemas. NULL = none is known. */
const char *spec_pattern(bool (*is_valid)(const char *));
