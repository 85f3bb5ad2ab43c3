/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Diagnostics of one configuration run. The first line of each is nginx's text, byte for byte:
 * "text in FILE:LINE" (or "in command line"). Errors are collected (at most 20), put in reading
 * order, and printed by diag_report(): without `explain` only the first; with it all of them, each
 * followed by the source line, a caret and the notes (did-you-mean, allowed blocks, the open brace).
 */
#pragma once

#include "base/log.h"
#include "conf/tree.h"

#define DIAG_MAX_ERRORS 20

/* CONF_ERROR is 0, so that TRY() passes it on. */
enum conf_result {
    CONF_ERROR,
    CONF_OK,
};

struct conf_diag;

struct conf_diag *diag_new(struct pool *pool);

/* An error at a word or brace; returns CONF_ERROR so that `return diag_error(...)` reads well. */
enum conf_result diag_error(struct conf_diag *d, struct conf_pos pos, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* Same with errno: "open() "x" failed (2: No such file or directory) in FILE:LINE". */
enum conf_result diag_errno(struct conf_diag *d, struct conf_pos pos, int err, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* An error of the whole, without " in FILE:LINE" (still ordered by pos if given one). Level other than emerg allowed. */
enum conf_result diag_error_global(struct conf_diag *d, enum log_level lvl, int err, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* A warning: printed at once in nginx's form ("[warn] text in FILE:LINE"), never fails the run. */
void diag_warn(struct conf_diag *d, struct conf_pos pos, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* A line under the last error, shown only when explaining; `span` bytes are underlined from the
 * error's column (0: the word). */
void diag_note(struct conf_diag *d, struct conf_pos pos, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Text beside the caret of the last error: did you mean "proxy_pass"? */
void diag_hint(struct conf_diag *d, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* From now on errors name the line where this directive ends (";" or "{"), as nginx does. NULL: the
 * line of the error's own position. */
void diag_at_directive(struct conf_diag *d, const struct conf_node *node);

unsigned diag_errors(const struct conf_diag *d);
bool diag_full(const struct conf_diag *d); /* 20 errors: stop looking */

/* How diagnostics leave: fn gets each finished line with its level, in order. The master sends them
 * to the error log and/or stderr ("nginx: [emerg] ..."). `explain` lines come with is_extra. */
typedef void (*diag_print_fn)(void *arg, enum log_level lvl, struct slice line, bool is_extra);
void diag_set_printer(struct conf_diag *d, diag_print_fn fn, void *arg, bool explain);
void diag_report(struct conf_diag *d);
