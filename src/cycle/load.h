/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Build a cycle from files: parse, bind, finish, open logs, make directories, create zones, open
 * listeners. Every step is tried completely before anything of `prev` is let go; when one fails,
 * what was made is undone, the reason was reported, and `prev` is untouched.
 */
#pragma once

#include "cycle/cycle.h"

/* NULL on failure. `log` is where diagnostics go besides stderr (the running error log at a reload). */
struct cycle *cycle_load(const struct cycle_params *params, struct cycle *prev,
                         const struct log *log);
/* Only what -s needs: the pid file's name; false when the configuration cannot be read. */
bool cycle_load_pid_path(const struct cycle_params *params, struct slice *pid_path);
