/* SPDX-License-Identifier: BSD-2-Clause */
/* The master: keeps workers running, switches cycles, changes the binary. */
#pragma once

#include "cycle/cycle.h"

/* Daemonize if configured, write the pid file, run; returns the exit status. */
int master_main(struct cycle *cycle);
/* The lines every start logs. */
void log_start(const struct cycle *cycle);
/* -s: send the signal named `stop|quit|reopen|reload` to the pid in the file; returns the exit status. */
int master_signal(const char *name, const char *pid_path);
/* The signal of a name; 0: none. */
int master_signal_number(const char *name);
