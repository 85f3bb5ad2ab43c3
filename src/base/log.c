/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Error log lines: formatted once into a bounded buffer on the stack, then written to every target
 * whose level admits them with one write each.
 */
#include "base/log.h"

#include "base/pool.h"
#include "base/syslog.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINE_MAX_LEN 2048

struct log_memory {
    char *p;
    size_t size;
    size_t at;
};

struct log_target {
    const struct log_target *next;
    enum log_level level;
    struct log_file *file;
    struct syslog_sink *syslog;
    struct log_memory *memory;
};

static const char *const level_names[] = { "stderr", "emerg",  "alert", "crit", "error",
                                           "warn",   "notice", "info",  "debug" };

struct slice
log_level_name(enum log_level lvl)
{
    return slice_str(level_names[lvl]);
}

bool
log_level_parse(struct slice s, enum log_level *lvl)
{
    for (size_t i = LOG_LVL_EMERG; i < ARRAY_LEN(level_names); i++) {
        if (slice_eq(s, slice_str(level_names[i]))) {
            *lvl = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void
log_text_printf(struct log_text *t, const char *fmt, ...)
{
    size_t room = (size_t)(t->end - t->pos);
    va_list ap;

    va_start(ap, fmt);
    int n = room == 0 ? 0 : vsnprintf(t->pos, room, fmt, ap);

    va_end(ap);
    if (n > 0) {
        t->pos += MIN((size_t)n, room - 1);
    }
}

void
log_text_escaped(struct log_text *t, struct slice s)
{
    for (size_t i = 0; i < s.n && t->end - t->pos > 5; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\') {
            log_text_printf(t, "\\x%02X", c);
        } else {
            *t->pos++ = (char)c;
        }
    }
}

static uint64_t
conn_id(const struct log_ctx *ctx)
{
    while (ctx != NULL && ctx->conn_id == 0) {
        ctx = ctx->outer;
    }
    return ctx == NULL ? 0 : ctx->conn_id;
}

static void
add_context(struct log_text *t, const struct log_ctx *ctx)
{
    const struct log_ctx *with_action = ctx;

    while (with_action != NULL && with_action->action == NULL) {
        with_action = with_action->outer;
    }
    if (with_action != NULL) {
        log_text_printf(t, " while %s", with_action->action);
    }
    for (; ctx != NULL; ctx = ctx->outer) {
        if (ctx->print != NULL) {
            ctx->print(ctx, t);
        }
    }
}

static void
to_memory(struct log_memory *m, struct slice line)
{
    for (size_t i = 0; i < line.n; i++) {
        m->p[m->at] = line.p[i];
        m->at = (m->at + 1) % m->size;
    }
}

static void
to_target(const struct log_target *target, enum log_level lvl, struct slice line, size_t head)
{
    if (target->memory != NULL) {
        to_memory(target->memory, line);
    } else if (target->syslog != NULL) {
        struct slice text = slice_from(slice_head(line, line.n - 1), head);

        syslog_send(target->syslog, MAX((int)lvl - 1, 0), text);
    } else if (target->file->fd >= 0) {
        ssize_t rc = write(target->file->fd, line.p, line.n);

        (void)rc; /* a full disk: there is nowhere to say so */
    }
}

void
log_write(const struct log *log, enum log_level lvl, int err, const char *fmt, ...)
{
    char buf[LINE_MAX_LEN + 1];
    struct log_text t = { .pos = buf, .end = buf + LINE_MAX_LEN };
    struct slice date;
    va_list ap;

    if (clock_wall_ms() == 0) {
        clock_update();
    }
    date = clock_error_date();
    log_text_printf(&t, "%.*s ", SLICE_ARG(date));
    size_t head = (size_t)(t.pos - buf); /* syslog has a date of its own */

    log_text_printf(&t, "[%s] %d#%d: ", level_names[lvl], getpid(), (int)syscall(SYS_gettid));
    uint64_t id = conn_id(log->ctx);

    if (id != 0) {
        log_text_printf(&t, "*%llu ", (unsigned long long)id);
    }
    va_start(ap, fmt);
    int n = vsnprintf(t.pos, (size_t)(t.end - t.pos), fmt, ap);

    va_end(ap);
    t.pos += MIN((size_t)MAX(n, 0), (size_t)(t.end - t.pos) - 1);
    if (err != 0) {
        log_text_printf(&t, " (%d: %s)", err, strerror(err));
    }
    add_context(&t, log->ctx);
    *t.pos++ = '\n';
    for (const struct log_target *target = log->targets; target != NULL; target = target->next) {
        if (lvl <= target->level) {
            to_target(target, lvl, slice_of(buf, (size_t)(t.pos - buf)), head);
        }
    }
}

void
log_stderr(const char *ident, enum log_level lvl, int err, const char *fmt, ...)
{
    char buf[LINE_MAX_LEN + 1];
    struct log_text t = { .pos = buf, .end = buf + LINE_MAX_LEN };
    va_list ap;

    log_text_printf(&t, "%s: ", ident);
    if (lvl != LOG_LVL_STDERR) {
        log_text_printf(&t, "[%s] ", level_names[lvl]);
    }
    va_start(ap, fmt);
    int n = vsnprintf(t.pos, (size_t)(t.end - t.pos), fmt, ap);

    va_end(ap);
    t.pos += MIN((size_t)MAX(n, 0), (size_t)(t.end - t.pos) - 1);
    if (err != 0) {
        log_text_printf(&t, " (%d: %s)", err, strerror(err));
    }
    *t.pos++ = '\n';
    ssize_t rc = write(STDERR_FILENO, buf, (size_t)(t.pos - buf));

    (void)rc;
}

/* --- targets ------------------------------------------------------------------------------------ */

static void
add_target(struct pool *pool, struct log *log, struct log_target target)
{
    struct log_target *made = pool_alloc(pool, sizeof(*made));
    const struct log_target **at = &log->targets;

    *made = target;
    while (*at != NULL) {
        at = (const struct log_target **)(size_t)&(*at)->next;
    }
    *at = made;
    log->level = MAX(log->level, target.level);
}

void
log_add_file(struct pool *pool, struct log *log, struct log_file *file, enum log_level lvl)
{
    add_target(pool, log, (struct log_target){ .file = file, .level = lvl });
}

void
log_add_syslog(struct pool *pool, struct log *log, struct syslog_sink *sink, enum log_level lvl)
{
    add_target(pool, log, (struct log_target){ .syslog = sink, .level = lvl });
}

void
log_add_memory(struct pool *pool, struct log *log, size_t size, enum log_level lvl)
{
    struct log_memory *m = POOL_NEW(pool, struct log_memory);

    m->p = pool_zalloc(pool, size);
    m->size = size;
    add_target(pool, log, (struct log_target){ .memory = m, .level = lvl });
}

struct log_file *
log_files_add(struct log_files *files, struct slice path)
{
    struct log_file **at = &files->head;

    for (; *at != NULL; at = &(*at)->next) {
        if (slice_eq((*at)->path, path)) {
            return *at;
        }
    }
    *at = POOL_NEW(files->pool, struct log_file);
    (*at)->path = pool_copy(files->pool, path);
    (*at)->fd = path.n == 0 ? STDERR_FILENO : -1;
    return *at;
}

static int
open_log(struct slice path)
{
    return open(path.p, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}

bool
log_files_open(struct log_files *files, struct log_file **failed)
{
    for (struct log_file *f = files->head; f != NULL; f = f->next) {
        if (f->fd < 0) {
            f->fd = open_log(f->path);
            if (f->fd < 0) {
                *failed = f;
                return false;
            }
        }
    }
    return true;
}

void
log_files_reopen(struct log_files *files, const struct log *log)
{
    for (struct log_file *f = files->head; f != NULL; f = f->next) {
        if (f->flush != NULL) {
            f->flush(f);
        }
        if (f->path.n == 0) {
            continue;
        }
        int fd = open_log(f->path);

        if (fd < 0) {
            log_error(log, LOG_LVL_EMERG, errno, "open() \"%s\" failed", f->path.p);
            continue;
        }
        if (dup3(fd, f->fd, O_CLOEXEC) < 0) {
            log_error(log, LOG_LVL_EMERG, errno, "dup3() for \"%s\" failed", f->path.p);
        }
        close(fd);
    }
}

void
log_files_close(struct log_files *files)
{
    for (struct log_file *f = files->head; f != NULL; f = f->next) {
        if (f->flush != NULL) {
            f->flush(f);
        }
        if (f->fd > STDERR_FILENO) {
            close(f->fd);
        }
        f->fd = -1;
    }
}
