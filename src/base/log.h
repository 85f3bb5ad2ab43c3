/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Error log. A struct log belongs to a configuration scope and lists its targets (file, stderr,
 * syslog, memory), each with the least severe level it takes. A connection or request has its own
 * struct log_ctx, whose print functions add "*17", "while ..., client: ..., server: ..." in the
 * order nginx does. Line format: "2026/11/23 08:35:48 [error] 12#12: *7 text (2: No such file...), client: ..."
 */
#pragma once

#include "base/slice.h"
#include "config.h"

#include <stdint.h>

enum log_level {
    LOG_LVL_STDERR,
    LOG_LVL_EMERG,
    LOG_LVL_ALERT,
    LOG_LVL_CRIT,
    LOG_LVL_ERR,
    LOG_LVL_WARN,
    LOG_LVL_NOTICE,
    LOG_LVL_INFO,
    LOG_LVL_DEBUG,
};

struct pool;
struct log_file;
struct log_target; /* file + level, or syslog + level; opaque */

/* Text being built; a fixed bound (nginx's lines are cut at 2048 bytes as well). */
struct log_text {
    char *pos;
    char *end;
};
void log_text_printf(struct log_text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Peers' bytes, with control bytes, quotes and bytes over 0x7e as \xHH. */
void log_text_escaped(struct log_text *t, struct slice s);

/* Where a log line happens; the chain is printed from the given context outwards: own first, then outer. */
struct log_ctx {
    const struct log_ctx *outer;
    void (*print)(const struct log_ctx *ctx, struct log_text *t);
    const char *action; /* "reading client request headers", printed as " while ..."; NULL: none */
    uint64_t conn_id; /* "*N"; 0: none (the first non-zero of the chain is printed) */
};

struct log {
    enum log_level level; /* the most verbose of the targets; a cheap check before formatting */
    const struct log_target *targets; /* linked list, in configuration order */
    const struct log_ctx *ctx; /* NULL: none */
};

/*
 * Log one event, once. `err` is an errno (0: none), printed as " (2: No such file or directory)".
 * Costs nothing when no target takes the level.
 */
#define log_error(to, lvl, err, ...)                                                               \
    do {                                                                                           \
        const struct log *log_ = (to);                                                             \
        if ((lvl) <= log_->level) {                                                                \
            log_write(log_, (lvl), (err), __VA_ARGS__);                                            \
        }                                                                                          \
    } while (0)
COLD void log_write(const struct log *log, enum log_level lvl, int err, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Debug lines cost nothing unless configured --with-debug. */
#if WITH_DEBUG
#define log_debug(to, ...) log_error((to), LOG_LVL_DEBUG, 0, __VA_ARGS__)
#else
#define log_debug(to, ...) ((void)(to))
#endif

/* Text of a level ("emerg"), and back; false when unknown. */
struct slice log_level_name(enum log_level lvl);
MUST_USE bool log_level_parse(struct slice s, enum log_level *lvl);

/* --- targets ------------------------------------------------------------------------------- */

/* An open log file, shared by all that name the same path; log_files_reopen() reopens each by its
 * path (USR1). The fd is O_APPEND, so that several processes may write whole lines. */
struct log_file {
    struct log_file *next;
    struct slice path; /* NUL-terminated; "" for stderr */
    int fd;
    void *data; /* of the access log: its buffer */
    void (*flush)(struct log_file *f); /* called before a reopen and at exit; may be NULL */
};
/* A list of the files of one cycle. */
struct log_files {
    struct log_file *head;
    struct pool *pool;
};
/* Find or add; does not open yet. Owned by the files' pool. */
struct log_file *log_files_add(struct log_files *files, struct slice path);
/* Open each that is not open; false on the first failure, *failed says which and errno why. */
MUST_USE bool log_files_open(struct log_files *files, struct log_file **failed);
/* Open anew by path and dup over the old descriptor; failures are logged, the old one stays. */
void log_files_reopen(struct log_files *files, const struct log *log);
void log_files_close(struct log_files *files);

struct syslog_sink; /* base/syslog.h */
/* Add a target to a log (kept in order; log->level is raised). */
void log_add_file(struct pool *pool, struct log *log, struct log_file *file, enum log_level lvl);
void log_add_syslog(struct pool *pool, struct log *log, struct syslog_sink *sink, enum log_level lvl);
/* "memory:SIZE": a ring in memory, looked at with a debugger. */
void log_add_memory(struct pool *pool, struct log *log, size_t size, enum log_level lvl);

/* Before a configuration: "nginx: [emerg] text" on stderr, without date. The name is the identity's. */
void log_stderr(const char *ident, enum log_level lvl, int err, const char *fmt, ...) PRINTF_LIKE(4, 5);
