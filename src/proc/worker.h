/* SPDX-License-Identifier: BSD-2-Clause */
/* A worker process: sets itself up, serves, drains, ends. */
#pragma once

#include "cycle/cycle.h"

/* Run as worker number `slot` until told to stop; never returns. */
NORETURN void worker_main(struct cycle *cycle, uint32_t slot);
/* master_process off: one process does it all; returns the exit status. */
int single_main(struct cycle *cycle);
