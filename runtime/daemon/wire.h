/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon and its HTTP clients must agree on. docs/api.md describes the rest. */
#pragma once

#define VPS_SOCKET_DEFAULT "/run/vpsd/vpsd.sock"
#define VPS_API_PREFIX "/v1"
#define VPS_UPGRADE_PROTOCOL "vps-session"
/* Request header of exec: "fds" = pass descriptors, "frames" = relay data as frames. */
#define VPS_SESSION_HEADER "Vps-Session"
/* Request bodies other than archives. */
#define VPS_BODY_MAX (4u << 20)
