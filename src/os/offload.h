/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Work that blocks (name look-ups, large file writes), done by threads: the only threads in
 * fairlead. They are made when first needed and touch nothing but their job.
 */
#pragma once

#include <stdbool.h>

struct loop;

struct offload_job {
    void (*work)(struct offload_job *job); /* in a thread */
    void (*done)(struct offload_job *job); /* afterwards, in the loop */
    struct offload_job *next; /* private */
};

/* Jobs of this process come back on `loop`. */
void offload_init(struct loop *loop);
/* The job stays the caller's; it must live until done(). False: no thread could be made. */
bool offload_submit(struct offload_job *job);
