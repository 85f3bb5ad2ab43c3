/* SPDX-License-Identifier: BSD-2-Clause */
/* A new binary takes over the listening sockets (USR2); the pid file moves to ".oldbin" meanwhile. */
#pragma once

#include "cycle/cycle.h"

/* Start it; returns its pid, 0 on failure (logged, everything as before). */
pid_t upgrade_start(struct cycle *cycle);
/* It ended: the pid file gets its name back. */
void upgrade_failed(const struct cycle *cycle);
/* Remember who started us; with the environment variable set, the old binary. */
void upgrade_init(pid_t parent);
/* Is the old binary that started us still there? */
bool upgrade_is_child(void);
/* At the end: remove our pid file, or the ".oldbin" one when a new binary runs. */
void upgrade_remove_pid(const struct cycle *cycle, bool new_binary_runs);
