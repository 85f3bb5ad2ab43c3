/* SPDX-License-Identifier: BSD-2-Clause */
/* The directives of ngx_core_module: main level and events{}. */
#include "base/num.h"
#include "conf/value.h"
#include "cycle/cycle.h"
#include "cycle/core.h"
#include "expr/regex.h"
#include "os/process.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#define IN_MAIN CONF_IN(CTX_MAIN, CONF_LEVEL_MAIN)
#define IN_EVENTS CONF_IN(CTX_EVENTS, CONF_LEVEL_MAIN)

static struct cycle *
cycle_of(const struct conf_ctx *cf)
{
    return cf->cycle;
}

static enum conf_result
bad_value(struct conf_ctx *cf, const struct conf_node *node, const char *what)
{
    return conf_error_at(cf, &node->words[1], "\"%.*s\" directive invalid %s",
                         SLICE_ARG(conf_arg(node, 0)), what);
}

static enum conf_result
set_user(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct core_conf *core = conf;
    const char *user = conf_arg(node, 1).p;
    const char *group = node->n_words > 2 ? conf_arg(node, 2).p : user;

    if (geteuid() != 0) {
        diag_warn(cf->diag, node->words[0].pos,
                  "the \"user\" directive makes sense only if the master process runs with "
                  "super-user privileges, ignored");
        return CONF_OK;
    }
    const struct passwd *pw = getpwnam(user);

    if (pw == NULL) {
        return diag_error(cf->diag, node->words[1].pos, "getpwnam(\"%s\") failed", user);
    }
    core->user_name = conf_arg(node, 1);
    core->user = pw->pw_uid;
    const struct group *gr = getgrnam(group);

    if (gr == NULL) {
        return diag_error(cf->diag, node->words[1].pos, "getgrnam(\"%s\") failed", group);
    }
    core->group = gr->gr_gid;
    core->user_given = true;
    return CONF_OK;
}

static enum conf_result
set_processes(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct core_conf *core = conf;

    if (slice_eq(conf_arg(node, 1), SLICE("auto"))) {
        core->worker_processes = process_cpus();
        return CONF_OK;
    }
    return num_parse(conf_arg(node, 1), &core->worker_processes) ? CONF_OK
                                                                 : bad_value(cf, node, "value");
}

static enum conf_result
set_priority(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct core_conf *core = conf;
    struct slice v = conf_arg(node, 1);
    bool minus = slice_starts(v, SLICE("-"));

    if (!num_parse(minus ? slice_from(v, 1) : v, &core->worker_priority)) {
        return bad_value(cf, node, "number");
    }
    core->worker_priority = minus ? -core->worker_priority : core->worker_priority;
    return CONF_OK;
}

static enum conf_result
check_mask(struct conf_ctx *cf, const struct conf_word *w)
{
    for (size_t i = 0; i < w->text.n; i++) {
        if (w->text.p[i] != '0' && w->text.p[i] != '1') {
            return conf_error_at(cf, w, "invalid character \"%c\" in \"worker_cpu_affinity\"",
                                 w->text.p[i]);
        }
    }
    return CONF_OK;
}

static enum conf_result
set_affinity(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct core_conf *core = conf;
    bool is_auto = slice_eq(conf_arg(node, 1), SLICE("auto"));

    core->affinity_auto = is_auto;
    if (is_auto && node->n_words > 3) {
        return conf_error_at(cf, &node->words[3],
                             "invalid number of arguments in \"worker_cpu_affinity\" directive");
    }
    for (uint32_t i = is_auto ? 2 : 1; i < node->n_words; i++) {
        TRY(check_mask(cf, &node->words[i]));
        if (is_auto) {
            core->affinity_limit = conf_arg(node, i);
        } else {
            *VEC_PUSH(&core->affinity, cf->pool) = conf_arg(node, i);
        }
    }
    return CONF_OK;
}

static enum conf_result
add_env(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct core_conf *core = conf;

    *VEC_PUSH(&core->env, cf->pool) = conf_arg(node, 1);
    return CONF_OK;
}

static enum conf_result
set_error_log(struct conf_ctx *cf, const struct conf_node *node, void *conf UNUSED)
{
    cycle_of(cf)->error_log_given = true;
    return cycle_parse_error_log(cf, node, &cycle_of(cf)->log);
}

static enum conf_result
set_path(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct core_conf *core = conf;
    struct slice path = conf_full_path(cf, conf_arg(node, 1), false);

    if (slice_eq(conf_arg(node, 0), SLICE("pid"))) {
        core->pid = path;
    } else {
        core->lock_file = path;
    }
    return CONF_OK;
}

static enum conf_result
set_connections(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct core_conf *core = conf;

    if (!num_parse(conf_arg(node, 1), &core->worker_connections)) {
        return conf_error_at(cf, &node->words[1], "invalid number \"%.*s\"",
                             SLICE_ARG(conf_arg(node, 1)));
    }
    core->worker_connections = MIN(core->worker_connections, (int64_t)UINT32_MAX);
    return CONF_OK;
}

static enum conf_result
set_use(struct conf_ctx *cf, const struct conf_node *node, void *conf UNUSED)
{
    static const char *const methods[] = { "epoll", "poll", "select" };

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (slice_eq(conf_arg(node, 1), slice_str(methods[i]))) {
            return CONF_OK; /* epoll it is, whichever is asked for */
        }
    }
    return conf_error_at(cf, &node->words[1], "invalid event type \"%.*s\"",
                         SLICE_ARG(conf_arg(node, 1)));
}

static enum conf_result
add_debug_connection(struct conf_ctx *cf, const struct conf_node *node, void *conf UNUSED)
{
    struct slice s = conf_arg(node, 1);
    struct addr_spec spec;
    struct cidr cidr;
    const char *error;
    size_t n;

    switch (cidr_parse(s, &cidr)) {
    case CIDR_OK:
        return CONF_OK;
    case CIDR_LOW_BITS:
        diag_warn(cf->diag, node->words[1].pos, "low address bits of %.*s are meaningless",
                  SLICE_ARG(s));
        return CONF_OK;
    case CIDR_BAD:
        break;
    }
    if (!addr_spec_parse(s, 80, false, &spec, &error) ||
        addr_resolve(cf->scratch, &spec, false, &n, &error) == NULL) {
        return conf_error_at(cf, &node->words[1], "host not found in debug_connection \"%.*s\"",
                             SLICE_ARG(s));
    }
    return CONF_OK;
}

static enum conf_result
add_thread_pool(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct core_conf *core = conf;
    struct slice v;
    int64_t n = 0;
    bool threads = false;

    for (uint32_t i = 2; i < node->n_words; i++) {
        struct slice w = conf_arg(node, i);

        if (conf_param(w, "threads", &v)) {
            if (!num_parse(v, &n) || n == 0) {
                return conf_error_at(cf, &node->words[i], "invalid threads value \"%.*s\"",
                                     SLICE_ARG(w));
            }
            threads = true;
        } else if (conf_param(w, "max_queue", &v) && !num_parse(v, &n)) {
            return conf_error_at(cf, &node->words[i], "invalid max_queue value \"%.*s\"",
                                 SLICE_ARG(w));
        }
    }
    if (!threads) {
        return conf_error_at(cf, &node->words[0],
                             "\"thread_pool\" must have \"threads\" parameter");
    }
    VEC_EACH (struct slice, name, &core->thread_pools) {
        if (slice_eq(*name, conf_arg(node, 1))) {
            return conf_error_at(cf, &node->words[1], "duplicate thread pool \"%.*s\"",
                                 SLICE_ARG(*name));
        }
    }
    *VEC_PUSH(&core->thread_pools, cf->pool) = conf_arg(node, 1);
    return CONF_OK;
}

static enum conf_result
load_module(struct conf_ctx *cf, const struct conf_node *node, void *conf UNUSED)
{
    struct slice path = conf_arg(node, 1);
    ssize_t slash = slice_rchr(path, '/');
    struct slice base = slice_from(path, (size_t)(slash + 1));

    if (conf_given(cf, "events") || conf_given(cf, "http")) {
        return diag_error(cf->diag, node->words[0].pos,
                          "\"load_module\" directive is specified too late");
    }
    for (const char *const *name = builtin_dynamic_modules; *name != NULL; name++) {
        struct slice built_in = slice_str(*name);

        if (slice_starts(base, built_in) && slice_eq(slice_from(base, built_in.n), SLICE(".so"))) {
            return CONF_OK;
        }
    }
    struct slice full = conf_full_path(cf, path, false);

    diag_error(cf->diag, node->words[1].pos,
               "dlopen() \"%.*s\" failed (%.*s: this server loads no shared objects, and no module "
               "of that name is built in)",
               SLICE_ARG(full), SLICE_ARG(full));
    return CONF_ERROR;
}

static enum conf_result
events_block(struct conf_ctx *cf, const struct conf_node *node, void *conf UNUSED)
{
    if (conf_given(cf, "events")) {
        return conf_duplicate(cf, node);
    }
    return conf_bind_inline(cf, node, CTX_EVENTS);
}

static const struct conf_name debug_points_names[] = { { "stop", 1 }, { "abort", 2 }, { NULL, 0 } };

static const struct conf_directive core_rows[] = {
    CONF_FLAG("daemon", IN_MAIN, struct core_conf, daemon, "on"),
    CONF_FLAG("master_process", IN_MAIN, struct core_conf, master_process, "on"),
    CONF_FLAG("pcre_jit", IN_MAIN, struct core_conf, pcre_jit, "off"),
    CONF_FLAG("ssl_object_cache_inheritable", IN_MAIN, struct core_conf, ignored_flag, "on"),
    CONF_CALL_ONCE("user", IN_MAIN, ARGS(1, 2), set_user),
    CONF_CALL_ONCE("pid", IN_MAIN, ARGS(1, 1), set_path),
    CONF_CALL_ONCE("lock_file", IN_MAIN, ARGS(1, 1), set_path),
    CONF_CALL_ONCE("worker_processes", IN_MAIN, ARGS(1, 1), set_processes),
    CONF_CALL_ONCE("worker_priority", IN_MAIN, ARGS(1, 1), set_priority),
    CONF_CALL_ONCE("worker_cpu_affinity", IN_MAIN, ARGS_MORE(1), set_affinity),
    CONF_NUM("worker_rlimit_nofile", IN_MAIN, struct core_conf, worker_rlimit_nofile, 0, INT64_MAX,
             NULL),
    CONF_SIZE("worker_rlimit_core", IN_MAIN, struct core_conf, worker_rlimit_core, NULL),
    CONF_MSEC("worker_shutdown_timeout", IN_MAIN, struct core_conf, worker_shutdown_timeout, NULL),
    CONF_MSEC("timer_resolution", IN_MAIN, struct core_conf, timer_resolution, NULL),
    CONF_STR("working_directory", IN_MAIN, struct core_conf, working_directory, NULL),
    CONF_ENUM("debug_points", IN_MAIN, struct core_conf, debug_points, debug_points_names, NULL),
    CONF_CALL("env", IN_MAIN, ARGS(1, 1), add_env),
    CONF_CALL("error_log", IN_MAIN, ARGS_MORE(1), set_error_log),
    CONF_CALL("thread_pool", IN_MAIN, ARGS(2, 3), add_thread_pool),
    CONF_CALL("load_module", IN_MAIN, ARGS(1, 1), load_module),
    CONF_BLOCK("events", IN_MAIN, ARGS(0, 0), events_block),

    CONF_CALL_ONCE("worker_connections", IN_EVENTS, ARGS(1, 1), set_connections),
    CONF_CALL_ONCE("use", IN_EVENTS, ARGS(1, 1), set_use),
    CONF_FLAG("multi_accept", IN_EVENTS, struct core_conf, multi_accept, "off"),
    CONF_FLAG("accept_mutex", IN_EVENTS, struct core_conf, accept_mutex, "off"),
    CONF_MSEC("accept_mutex_delay", IN_EVENTS, struct core_conf, accept_mutex_delay, "500ms"),
    CONF_NUM("worker_aio_requests", IN_EVENTS, struct core_conf, ignored_num, 0, INT64_MAX, "32"),
    CONF_CALL("debug_connection", IN_EVENTS, ARGS(1, 1), add_debug_connection),
    CONF_END,
};

static void
init_core(struct conf_ctx *cf UNUSED, void *conf)
{
    struct core_conf *core = conf;

    core->worker_processes = 1;
    core->worker_connections = 512;
    core->worker_rlimit_nofile = -1;
    core->worker_rlimit_core = -1;
}

const struct module core_module = {
    .conf = { .name = "core",
              .directives = core_rows,
              .id = CONF_MODULE_ID,
              .size = { [CONF_LEVEL_MAIN] = sizeof(struct core_conf) },
              .init = { [CONF_LEVEL_MAIN] = init_core } },
};
