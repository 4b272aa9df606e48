/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that a plan may not name, by the names that they have on every host: what can be said
 * before a host is asked. What a node is in truth only its host knows.
 */
#pragma once

/* Why a path below /dev may not be among the devices of a plan; NULL = it may. */
const char *spec_device_why_not(const char *path);
