/* SPDX-License-Identifier: BSD-2-Clause */
/* Errors are kept until the run is over, then printed in the order of the files. */
#include "conf/diag.h"

#include "base/pool.h"

#include <stdarg.h>
#include <stdio.h>

struct diag_note {
    struct diag_note *next;
    struct conf_pos pos;
    struct slice text;
};

struct diag_entry {
    struct diag_entry *next;
    enum log_level level;
    int err;
    struct conf_pos pos; /* file NULL: of the whole */
    uint32_t line; /* printed; nginx says the line where the directive ends */
    struct slice text;
    struct slice hint;
    struct diag_note *notes;
};

struct conf_diag {
    struct pool *pool;
    struct diag_entry *entries; /* in order of pos.seq */
    struct diag_entry *last;
    unsigned n;
    uint32_t line;
    const struct conf_file *line_file;
    diag_print_fn print;
    void *print_arg;
    bool explain;
};

struct conf_diag *
diag_new(struct pool *pool)
{
    struct conf_diag *d = POOL_NEW(pool, struct conf_diag);

    d->pool = pool;
    return d;
}

void
diag_set_printer(struct conf_diag *d, diag_print_fn fn, void *arg, bool explain)
{
    d->print = fn;
    d->print_arg = arg;
    d->explain = explain;
}

void
diag_at_directive(struct conf_diag *d, const struct conf_node *node)
{
    d->line = node == NULL ? 0 : node->is_block ? node->open.line : node->end.line;
    d->line_file = node == NULL ? NULL : node->words[0].pos.file;
}

unsigned
diag_errors(const struct conf_diag *d)
{
    return d->n;
}

bool
diag_full(const struct conf_diag *d)
{
    return d->n >= DIAG_MAX_ERRORS;
}

static struct slice
where(struct conf_diag *d, struct conf_pos pos, uint32_t line)
{
    if (pos.file == NULL) {
        return SLICE("");
    }
    if (pos.file->is_command_line) {
        return SLICE(" in command line");
    }
    return pool_printf(d->pool, " in %.*s:%u", SLICE_ARG(pos.file->path), line);
}

static uint32_t
line_of(const struct conf_diag *d, struct conf_pos pos)
{
    return d->line != 0 && d->line_file == pos.file ? MAX(d->line, pos.line) : pos.line;
}

static struct slice
entry_text(struct conf_diag *d, const struct diag_entry *e)
{
    struct slice at = where(d, e->pos, e->line);

    if (e->err == 0) {
        return pool_printf(d->pool, "%.*s%.*s", SLICE_ARG(e->text), SLICE_ARG(at));
    }
    return pool_printf(d->pool, "%.*s (%d: %s)%.*s", SLICE_ARG(e->text), e->err, strerror(e->err),
                       SLICE_ARG(at));
}

static void
add(struct conf_diag *d, enum log_level level, int err, struct conf_pos pos, const char *fmt,
    va_list ap)
{
    struct diag_entry *e = POOL_NEW(d->pool, struct diag_entry);
    struct diag_entry **at = &d->entries;

    e->level = level;
    e->err = err;
    e->pos = pos;
    e->line = line_of(d, pos);
    e->text = pool_vprintf(d->pool, fmt, ap);
    if (level >= LOG_LVL_WARN) { /* warnings go out at once */
        if (d->print != NULL) {
            d->print(d->print_arg, level, entry_text(d, e), false);
        }
        return;
    }
    d->last = e;
    d->n++;
    if (d->n > DIAG_MAX_ERRORS) {
        return;
    }
    if (pos.file == NULL) {
        e->pos.seq = UINT32_MAX;
    }
    while (*at != NULL && (*at)->pos.seq <= e->pos.seq) {
        at = &(*at)->next;
    }
    e->next = *at;
    *at = e;
}

enum conf_result
diag_error(struct conf_diag *d, struct conf_pos pos, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(d, LOG_LVL_EMERG, 0, pos, fmt, ap);
    va_end(ap);
    return CONF_ERROR;
}

enum conf_result
diag_errno(struct conf_diag *d, struct conf_pos pos, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(d, LOG_LVL_EMERG, err, pos, fmt, ap);
    va_end(ap);
    return CONF_ERROR;
}

enum conf_result
diag_error_global(struct conf_diag *d, enum log_level lvl, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(d, lvl, err, (struct conf_pos){ 0 }, fmt, ap);
    va_end(ap);
    return CONF_ERROR;
}

void
diag_warn(struct conf_diag *d, struct conf_pos pos, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(d, LOG_LVL_WARN, 0, pos, fmt, ap);
    va_end(ap);
}

void
diag_note(struct conf_diag *d, struct conf_pos pos, const char *fmt, ...)
{
    va_list ap;

    if (d->last == NULL) {
        return;
    }
    struct diag_note *note = POOL_NEW(d->pool, struct diag_note);

    va_start(ap, fmt);
    note->text = pool_vprintf(d->pool, fmt, ap);
    va_end(ap);
    note->pos = pos;
    note->next = d->last->notes;
    d->last->notes = note;
}

void
diag_hint(struct conf_diag *d, const char *fmt, ...)
{
    va_list ap;

    if (d->last == NULL) {
        return;
    }
    va_start(ap, fmt);
    d->last->hint = pool_vprintf(d->pool, fmt, ap);
    va_end(ap);
}

/* --- explaining ------------------------------------------------------------------------------------- */

static struct slice
source_line(struct conf_pos pos)
{
    struct slice rest = pos.file->text;
    struct slice line = SLICE("");

    for (uint32_t i = 0; i < pos.line; i++) {
        if (!slice_split(&rest, '\n', &line)) {
            return SLICE("");
        }
    }
    return slice_ends(line, SLICE("\r")) ? slice_head(line, line.n - 1) : line;
}

/* How far the word at the column reaches. */
static size_t
word_span(struct slice line, uint32_t column)
{
    size_t n = 0;

    while (column - 1 + n < line.n && strchr(" \t;{}", line.p[column - 1 + n]) == NULL) {
        n++;
    }
    return MAX(n, (size_t)1);
}

static void
explain(struct conf_diag *d, struct conf_pos pos, struct slice hint)
{
    struct slice line = source_line(pos);

    if (pos.file == NULL || line.n > 200) {
        return;
    }
    d->print(d->print_arg, LOG_LVL_STDERR,
             pool_printf(d->pool, "%5u | %.*s", pos.line, SLICE_ARG(line)), true);
    size_t span = MIN(word_span(line, pos.column), (size_t)60);
    char tildes[64] = "^";

    memset(tildes + 1, '~', span - 1);
    tildes[span] = '\0';
    d->print(d->print_arg, LOG_LVL_STDERR,
             pool_printf(d->pool, "      | %*s%s %.*s", (int)pos.column - 1, "", tildes,
                         SLICE_ARG(hint)),
             true);
}

void
diag_report(struct conf_diag *d)
{
    for (const struct diag_entry *e = d->entries; e != NULL; e = e->next) {
        d->print(d->print_arg, e->level, entry_text(d, e), false);
        if (!d->explain) {
            break;
        }
        if (e->pos.file != NULL) {
            explain(d, e->pos, e->hint);
        }
        for (const struct diag_note *n = e->notes; n != NULL; n = n->next) {
            struct slice at = where(d, n->pos, n->pos.line);

            d->print(d->print_arg, LOG_LVL_STDERR,
                     pool_printf(d->pool, "      = %.*s%.*s", SLICE_ARG(n->text), SLICE_ARG(at)),
                     true);
        }
    }
    d->entries = NULL;
}
