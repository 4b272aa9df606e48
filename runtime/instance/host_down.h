/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All guests end because the host goes down. That is not a stop: what is wanted of each instance
 * stays as it is, and those that should run are started after the next boot. So it is done without
 * the daemon, which would record a guest's poweroff as its owner's wish: by another run of the
 * program, which holds the daemon's lock and speaks to the keeper.
 */
#pragma once

#include "base/err.h"
#include "config/host.h"

/* Signals each guest's init to shut down, waits for the host's stop_timeout, kills the rest.
 * Success when nothing lives, and when there is no keeper to ask. */
int inst_host_down(const struct spec_host *host, struct err *err);
