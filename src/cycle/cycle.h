/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A configuration as an immutable, counted value: tree, module structs, listeners, zones, logs.
 * Everything in it hangs off its pool. A connection and a request hold their cycle; no global
 * points into a configuration but proc's "current cycle".
 */
#pragma once

#include "base/log.h"
#include "conf/bind.h"
#include "base/vec.h"
#include "net/listener.h"

#include <sys/types.h>

#include <stdbool.h>

struct module;

/* What the command line and the environment said; the same for each cycle of a process. */
struct cycle_params {
    struct slice prefix; /* with trailing slash */
    struct slice conf_file;
    struct slice conf_dir; /* with trailing slash; relative includes, certificates */
    struct slice error_log; /* -e or the built-in; "stderr" */
    struct slice directives; /* -g */
    bool testing; /* -t */
    bool dumping; /* -T */
    bool quiet; /* -q */
    bool explain; /* a terminal on stderr, or -t twice */
    int argc;
    char **argv;
};

/* ngx_core_module's main-level settings. */
struct core_conf {
    bool daemon;
    bool master_process;
    struct slice pid; /* full path */
    struct slice oldpid; /* pid + ".oldbin" */
    struct slice lock_file; /* accepted, no meaning here: there is no accept lock */
    int64_t worker_processes;
    int64_t worker_priority;
    int64_t worker_rlimit_nofile; /* -1: leave */
    int64_t worker_rlimit_core;
    struct slice working_directory;
    int64_t worker_shutdown_timeout; /* ms; 0: none */
    int64_t timer_resolution; /* accepted, no meaning here */
    VEC(struct slice) thread_pools;
    struct slice user_name;
    uid_t user;
    gid_t group;
    bool user_given;
    bool affinity_auto;
    struct slice affinity_limit; /* the mask behind auto */
    VEC(struct slice) affinity; /* masks as written */
    VEC(struct slice) env; /* NAME or NAME=VALUE */
    bool pcre_jit;
    int debug_points; /* 0 off, 1 stop, 2 abort */
    /* events{} */
    int64_t worker_connections;
    bool multi_accept;
    bool accept_mutex;
    int64_t accept_mutex_delay;
    bool ignored_flag; /* checked, no meaning here */
    int64_t ignored_num;
};

struct cycle {
    uint32_t magic; /* MAGIC_CYCLE */
    uint32_t refs;
    uint32_t generation; /* 1, 2, ... each reload */
    struct pool *pool;
    const struct cycle_params *params;
    struct conf_tree *tree;
    struct conf_scope *root; /* main-level structs */
    const struct core_conf *core;
    struct log log; /* error_log of the main level */
    struct log_files logs; /* every file that a log names */
    struct listener *listeners;
    VEC(struct slice) create_dirs; /* paths to make at start (temp paths, caches), owned by user */
    struct log_file *default_log; /* of -e: what error_log says nothing about goes there */
    bool error_log_given;
    void *http; /* struct http_main, NULL without http{} */
    struct cycle *prev; /* during a load only: what is being replaced */
};

void cycle_hold(struct cycle *cycle);
void cycle_release(struct cycle *cycle); /* frees it with its last reference */

/* Add a listener for an address, or find the one that is there. */
struct listener *cycle_add_listener(struct cycle *cycle, const struct addr *addr);
/* Find or add a log file by path as directives write it ("stderr", relative to the prefix). */
struct log_file *cycle_add_log_file(struct cycle *cycle, struct slice name);
/* A directory to make at start, owned by `user`, mode 0700. */
void cycle_add_dir(struct cycle *cycle, struct slice path);
/* error_log arguments (node's words 1..) into a log; for main, http, server and location. */
enum conf_result cycle_parse_error_log(struct conf_ctx *cf, const struct conf_node *node,
                                       struct log *log);
