/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCRE2 with JIT and match limits. Named groups become variables of the same name. A match leaves its
 * captures in the var_scope, for $1..$9 and the named ones.
 */
#pragma once

#include "conf/bind.h"
#include "expr/var.h"

struct regex;

/* Compile; on an error NULL, and *error is nginx's text: `pcre2_compile() failed: TEXT in "PATTERN" at "REST"`.
 * `vars` NULL: named groups define nothing. Freed with the pool. */
struct regex *regex_compile(struct pool *pool, struct var_table *vars, struct slice pattern,
                            bool caseless, struct slice *error);
/* The same for a directive's word, reports the error itself. */
struct regex *regex_from_word(struct conf_ctx *cf, struct var_table *vars,
                              const struct conf_word *word, struct slice pattern, bool caseless);

enum regex_result {
    REGEX_NO_MATCH,
    REGEX_MATCH,
    REGEX_FAILED, /* a limit was hit; logged by the caller as nginx does */
};
/* Match; on success the scope's captures and named variables are set (scope may be NULL). */
enum regex_result regex_match(const struct regex *re, struct slice subject,
                              struct var_scope *scope);
/* Number of capture groups. */
uint32_t regex_groups(const struct regex *re);
struct slice regex_pattern(const struct regex *re);
/* pcre_jit on|off, process-wide, set before compiling. */
void regex_use_jit(bool on);
