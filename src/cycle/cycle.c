/* SPDX-License-Identifier: BSD-2-Clause */
/* A configuration as a counted value, and what modules add to it while it is read. */
#include "cycle/cycle.h"

#include "base/check.h"
#include "base/num.h"
#include "base/syslog.h"
#include "conf/value.h"

void
cycle_hold(struct cycle *cycle)
{
    CHECK_MAGIC(cycle, MAGIC_CYCLE);
    cycle->refs++;
}

void
cycle_release(struct cycle *cycle)
{
    CHECK_MAGIC(cycle, MAGIC_CYCLE);
    if (--cycle->refs > 0) {
        return;
    }
    log_files_close(&cycle->logs);
    cycle->magic = MAGIC_DEAD;
    pool_free(cycle->pool);
}

struct listener *
cycle_add_listener(struct cycle *cycle, const struct addr *addr)
{
    struct listener **at = &cycle->listeners;

    for (; *at != NULL; at = &(*at)->next) {
        if (addr_eq(&(*at)->addr, addr, true)) {
            return *at;
        }
    }
    struct listener *l = POOL_NEW(cycle->pool, struct listener);

    l->addr = *addr;
    l->text = addr_text(cycle->pool, addr, true);
    l->fd = -1;
    l->lf.fd = -1;
    l->log = &cycle->log;
    l->cycle = cycle;
    *at = l;
    return l;
}

struct log_file *
cycle_add_log_file(struct cycle *cycle, struct slice name)
{
    if (slice_eq(name, SLICE("stderr"))) {
        return log_files_add(&cycle->logs, SLICE(""));
    }
    if (name.n > 0 && name.p[0] != '/') {
        struct slice parts[] = { cycle->params->prefix, name };

        name = pool_concat(cycle->pool, parts, 2);
    }
    return log_files_add(&cycle->logs, name);
}

void
cycle_add_dir(struct cycle *cycle, struct slice path)
{
    VEC_EACH (struct slice, p, &cycle->create_dirs) {
        if (slice_eq(*p, path)) {
            return;
        }
    }
    *VEC_PUSH(&cycle->create_dirs, cycle->pool) = path;
}

/* Levels may be several words ("debug" and "debug_http" style masks are refused, as nginx does
 * without debugging). */
static enum conf_result
parse_level(struct conf_ctx *cf, const struct conf_node *node, enum log_level *lvl)
{
    *lvl = LOG_LVL_ERR;
    for (uint32_t i = 2; i < node->n_words; i++) {
        if (slice_eq(conf_arg(node, i), SLICE("json"))) {
            return conf_error_at(cf, &node->words[i], "invalid log level \"json\"");
        }
        if (!log_level_parse(conf_arg(node, i), lvl)) {
            return conf_error_at(cf, &node->words[i], "invalid log level \"%.*s\"",
                                 SLICE_ARG(conf_arg(node, i)));
        }
    }
    return CONF_OK;
}

enum conf_result
cycle_parse_error_log(struct conf_ctx *cf, const struct conf_node *node, struct log *log)
{
    struct cycle *cycle = cf->cycle;
    struct slice target = conf_arg(node, 1);
    enum log_level lvl;

    if (slice_starts(target, SLICE("memory:"))) {
        int64_t size;

        if (!num_parse_size(slice_from(target, 7), &size) || size < 8192 || size > 1 << 30) {
            return conf_error_at(cf, &node->words[1], "invalid buffer size \"%.*s\"",
                                 SLICE_ARG(slice_from(target, 7)));
        }
        TRY(parse_level(cf, node, &lvl));
        log_add_memory(cf->pool, log, (size_t)size, lvl);
        return CONF_OK;
    }
    if (slice_starts(target, SLICE("syslog:"))) {
        struct slice error = SLICE("");
        struct syslog_sink *sink = syslog_parse(cf->pool, slice_from(target, 7), &error);

        if (sink == NULL) {
            return conf_error_at(cf, &node->words[1], "%.*s", SLICE_ARG(error));
        }
        TRY(parse_level(cf, node, &lvl));
        log_add_syslog(cf->pool, log, sink, lvl);
        return CONF_OK;
    }
    TRY(parse_level(cf, node, &lvl));
    log_add_file(cf->pool, log, cycle_add_log_file(cycle, target), lvl);
    return CONF_OK;
}
