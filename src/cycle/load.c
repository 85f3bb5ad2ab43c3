/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From files to a cycle. Diagnostics go to stderr in nginx's short form ("nginx: [emerg] ...") and,
 * when a server is running, to its error log.
 */
#include "cycle/load.h"

#include "base/ident.h"
#include "base/time.h"
#include "conf/parser.h"
#include "conf/value.h"
#include "cycle/core.h"
#include "cycle/module.h"
#include "expr/regex.h"
#include "net/listener.h"
#include "os/file.h"

#include "config.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct conf_context_name context_names[] = {
    { CTX_MAIN, "main" },
    { CTX_EVENTS, "events" },
    { CTX_HTTP, "http" },
    { CTX_SRV, "server" },
    { CTX_LOC, "location" },
    { CTX_UPS, "upstream" },
    { CTX_SIF, "if in server" },
    { CTX_LIF, "if in location" },
    { CTX_LMT, "limit_except" },
    { 0, NULL },
};

struct load {
    struct cycle *cycle;
    const struct log *log; /* the running one; NULL at the first start */
};

static void
print_diag(void *arg, enum log_level lvl, struct slice line, bool is_extra)
{
    const struct load *load = arg;

    if (is_extra) {
        ssize_t rc = write(STDERR_FILENO, line.p, line.n);

        rc = rc < 0 ? rc : write(STDERR_FILENO, "\n", 1);
        (void)rc;
        return;
    }
    if (load->log != NULL) {
        log_error(load->log, lvl, 0, "%.*s", SLICE_ARG(line));
    }
    if (load->log == NULL || load->cycle->params->testing) {
        log_stderr(ident_name(), lvl, 0, "%.*s", SLICE_ARG(line));
    }
}

static void
report(void *arg, enum log_level lvl, int err, const char *text)
{
    const struct load *load = arg;

    if (load->log != NULL) {
        log_error(load->log, lvl, err, "%s", text);
    } else if (lvl <= LOG_LVL_WARN) {
        log_stderr(ident_name(), lvl, err, "%s", text);
    }
    /* A failed start leaves its reason in the log as well. */
    if (load->log == NULL && load->cycle->log.targets != NULL && !load->cycle->params->testing) {
        log_error(&load->cycle->log, lvl, err, "%s", text);
    }
}

static struct conf_registry *
make_registry(struct pool *pool)
{
    struct conf_registry *reg = conf_registry_new(pool, context_names);

    for (const struct module *const *m = modules; *m != NULL; m++) {
        conf_registry_add(reg, &(*m)->conf, 0);
        if ((*m)->add_rows != NULL) {
            (*m)->add_rows(reg);
        }
    }
    conf_registry_add_missing(reg, missing_directives);
    return reg;
}

static struct cycle *
new_cycle(const struct cycle_params *params, struct cycle *prev)
{
    struct pool *pool = pool_new(64 * 1024);
    struct cycle *cycle = POOL_NEW(pool, struct cycle);

    cycle->magic = MAGIC_CYCLE;
    cycle->refs = 1;
    cycle->pool = pool;
    cycle->params = params;
    cycle->prev = prev;
    cycle->generation = prev == NULL ? 1 : prev->generation + 1;
    cycle->logs.pool = pool;
    return cycle;
}

/* What main-level directives left open: user, pid, error log. */
static void
core_defaults(struct cycle *cycle, struct core_conf *core)
{
    const struct ident_paths *paths = ident_paths();
    struct conf_ctx cf = { .pool = cycle->pool, .prefix = cycle->params->prefix };

    if (core->pid.n == 0) {
        core->pid = conf_full_path(&cf, slice_str(paths->pid), false);
    }
    core->oldpid = pool_printf(cycle->pool, "%.*s.oldbin", SLICE_ARG(core->pid));
    if (!core->user_given && geteuid() == 0) {
        const struct passwd *pw = getpwnam(DEFAULT_USER);
        const struct group *gr = getgrnam(DEFAULT_GROUP);

        core->user_name = SLICE(DEFAULT_USER);
        core->user = pw == NULL ? 65534 : pw->pw_uid;
        core->group = gr == NULL ? 65534 : gr->gr_gid;
    }
    if (core->worker_processes == 0) {
        core->worker_processes = 1;
    }
    if (!cycle->error_log_given) {
        log_add_file(cycle->pool, &cycle->log,
                     cycle_add_log_file(cycle, cycle->params->error_log), LOG_LVL_ERR);
    }
}

static bool
bind_config(struct load *load, struct conf_ctx *cf)
{
    struct cycle *cycle = load->cycle;

    cf->registry = make_registry(cf->scratch);
    enum conf_result rc = conf_bind_tree(cf, cycle->tree, CTX_MAIN, &cycle->root);

    if (rc == CONF_ERROR || diag_errors(cf->diag) > 0) {
        return false;
    }
    return true;
}

static bool
has_events(const struct conf_tree *tree)
{
    for (const struct conf_node *n = tree->nodes; n != NULL; n = n->next) {
        if (slice_eq(conf_arg(n, 0), SLICE("events"))) {
            return true;
        }
    }
    return false;
}

/* Is a regex to be compiled with JIT? Needed before the first one is bound. */
static bool
refuse_g_blocks(struct conf_ctx *cf, const struct conf_tree *tree)
{
    for (const struct conf_node *n = tree->nodes; n != NULL; n = n->next) {
        if (n->words[0].pos.file->is_command_line && n->is_block) {
            diag_error(cf->diag, n->words[0].pos,
                       "block directives are not supported in -g option");
            return false;
        }
    }
    return true;
}

static bool
open_logs(struct load *load)
{
    struct log_file *failed;

    if (log_files_open(&load->cycle->logs, &failed)) {
        return true;
    }
    char text[1024];

    snprintf(text, sizeof(text), "open() \"%s\" failed", failed->path.p);
    int err = errno;

    load->cycle->log.targets = NULL;
    report(load, LOG_LVL_EMERG, err, text);
    return false;
}

static bool
make_dirs(struct load *load)
{
    struct cycle *cycle = load->cycle;

    VEC_EACH (struct slice, path, &cycle->create_dirs) {
        if (!file_make_dir(path->p, 0700, cycle->core->user, cycle->core->group)) {
            char text[1024];

            snprintf(text, sizeof(text), "mkdir() \"%s\" failed", path->p);
            report(load, LOG_LVL_EMERG, errno, text);
            return false;
        }
    }
    return true;
}

static bool
open_listeners(struct load *load)
{
    static struct inherited_fds inherited;
    struct cycle *cycle = load->cycle;
    const char *value = cycle->prev == NULL ? getenv(ident_is_nginx() ? "NGINX" : "FAIRLEAD") : NULL;
    struct listen_job job = { .next = cycle->listeners,
                              .prev = cycle->prev == NULL ? NULL : cycle->prev->listeners,
                              .inherited = inherited_fds_read(value, &inherited) ? &inherited
                                                                                 : NULL,
                              .n_workers = (uint32_t)cycle->core->worker_processes,
                              .testing = cycle->params->testing,
                              .report = report,
                              .arg = load };

    return listeners_open(&job);
}

static bool
say_syntax_ok(const struct load *load)
{
    const struct cycle_params *params = load->cycle->params;

    if (params->testing && !params->quiet) {
        log_stderr(ident_name(), LOG_LVL_STDERR, 0, "the configuration file %s syntax is ok",
                   params->conf_file.p);
    }
    return true;
}

static bool
build(struct load *load, struct pool *scratch)
{
    struct cycle *cycle = load->cycle;
    struct conf_ctx cf = { .pool = cycle->pool,
                           .scratch = scratch,
                           .diag = diag_new(scratch),
                           .cycle = cycle,
                           .prefix = cycle->params->prefix,
                           .conf_dir = cycle->params->conf_dir };
    struct conf_source source = { .conf_file = cycle->params->conf_file,
                                  .conf_dir = cycle->params->conf_dir,
                                  .command_line = cycle->params->directives };

    diag_set_printer(cf.diag, print_diag, load, cycle->params->explain && load->log == NULL);
    cycle->tree = conf_parse(cycle->pool, cf.diag, &source);
    bool good = refuse_g_blocks(&cf, cycle->tree) && bind_config(load, &cf);

    if (!good || diag_errors(cf.diag) > 0) {
        diag_report(cf.diag);
        return false;
    }
    struct core_conf *core = conf_struct(cycle->root, &core_module.conf, CONF_LEVEL_MAIN);

    cycle->core = core;
    core_defaults(cycle, core);
    say_syntax_ok(load);
    if (!has_events(cycle->tree)) {
        report(load, LOG_LVL_EMERG, 0, "no \"events\" section in configuration");
        return false;
    }
    for (const struct module *const *m = modules; *m != NULL; m++) {
        if ((*m)->finish_cycle != NULL && (*m)->finish_cycle(&cf, cycle) == CONF_ERROR) {
            diag_report(cf.diag);
            return false;
        }
    }
    return make_dirs(load) && open_logs(load) && open_listeners(load);
}

struct cycle *
cycle_load(const struct cycle_params *params, struct cycle *prev, const struct log *log)
{
    struct load load = { .cycle = new_cycle(params, prev), .log = log };
    struct pool *scratch = pool_new(0);

    clock_update();
    net_cycle_hooks.hold = cycle_hold;
    net_cycle_hooks.release = cycle_release;
    bool good = build(&load, scratch);

    pool_free(scratch);
    if (!good) {
        listeners_close(load.cycle->listeners, prev == NULL ? NULL : prev->listeners);
        cycle_release(load.cycle);
        return NULL;
    }
    load.cycle->prev = NULL;
    return load.cycle;
}

bool
cycle_load_pid_path(const struct cycle_params *params, struct slice *pid_path)
{
    struct load load = { .cycle = new_cycle(params, NULL) };
    struct pool *scratch = pool_new(0);
    struct conf_ctx cf = { .pool = load.cycle->pool,
                           .scratch = scratch,
                           .diag = diag_new(scratch),
                           .cycle = load.cycle,
                           .prefix = params->prefix,
                           .conf_dir = params->conf_dir };
    struct conf_source source = { .conf_file = params->conf_file,
                                  .conf_dir = params->conf_dir,
                                  .command_line = params->directives };

    net_cycle_hooks.hold = cycle_hold;
    net_cycle_hooks.release = cycle_release;
    diag_set_printer(cf.diag, print_diag, &load, params->explain);
    load.cycle->tree = conf_parse(load.cycle->pool, cf.diag, &source);
    bool good = bind_config(&load, &cf) && diag_errors(cf.diag) == 0;

    if (!good) {
        diag_report(cf.diag);
    } else {
        struct core_conf *core =
            conf_struct(load.cycle->root, &core_module.conf, CONF_LEVEL_MAIN);

        core_defaults(load.cycle, core);
        *pid_path = core->pid;
    }
    pool_free(scratch);
    return good; /* the cycle stays: the process is about to end */
}
