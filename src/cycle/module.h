/* SPDX-License-Identifier: BSD-2-Clause */
/* What a module hands in, and the context bits in which its directives may stand. */
#pragma once

#include "conf/bind.h"

struct cycle;
struct loop;

enum conf_context {
    CTX_MAIN = 1 << 0,
    CTX_EVENTS = 1 << 1,
    CTX_HTTP = 1 << 2,
    CTX_SRV = 1 << 3,
    CTX_LOC = 1 << 4,
    CTX_UPS = 1 << 5,
    CTX_SIF = 1 << 6, /* if in server */
    CTX_LIF = 1 << 7, /* if in location */
    CTX_LMT = 1 << 8, /* limit_except */
    CTX_MATCH = 1 << 9, /* match{} of health checks */
    CTX_STREAM = 1 << 10,
    CTX_STREAM_SRV = 1 << 11,
    CTX_STREAM_UPS = 1 << 12,
    CTX_TYPES = 1 << 13,
};

/* A module that is not of a protocol: core, events, and the protocol blocks themselves. */
struct module {
    struct conf_module conf;
    /* A protocol block adds the rows of its own modules; may be NULL. */
    void (*add_rows)(struct conf_registry *reg);
    /* After the whole configuration is bound; may add listeners, zones, dirs. */
    enum conf_result (*finish_cycle)(struct conf_ctx *cf, struct cycle *cycle);
    /* In the master (or the single process) once the cycle is in force; false fails the start. */
    bool (*start_master)(struct cycle *cycle);
    /* In each worker before it accepts, and when it ends. */
    bool (*start_worker)(struct cycle *cycle, struct loop *loop, uint32_t slot);
    void (*stop_worker)(struct cycle *cycle);
    /* The worker begins to drain: `quit` (close idle at once) or a reload. */
    void (*drain_worker)(struct cycle *cycle, bool quit);
};

/* modules.c: all of them in order, NULL at the end. */
extern const struct module *const modules[];
/* modules.c: "ngx_http_x_module" names that load_module accepts as built in; NULL at the end. */
extern const char *const builtin_dynamic_modules[];
/* modules.c: directives of nginx 1.31 that are not there yet; NULL at the end. */
extern const char *const missing_directives[];
