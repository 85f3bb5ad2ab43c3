/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCRE2. One match data block serves all patterns of a process; captures that outlive the match are
 * copied to the scope. Match limits keep a hostile subject from stalling a worker.
 */
#include "expr/regex.h"

#include "base/check.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define MATCH_LIMIT 1000000
#define MAX_GROUPS 64

struct named_group {
    uint32_t group;
    uint32_t var;
};

struct regex {
    pcre2_code *code;
    struct slice pattern;
    uint32_t groups;
    VEC(struct named_group) names;
};

static bool use_jit = true;
static pcre2_match_data *match_data;
static pcre2_match_context *match_context;

void
regex_use_jit(bool on)
{
    use_jit = on;
}

static void
free_code(void *code)
{
    pcre2_code_free(code);
}

static void
name_groups(struct regex *re, struct pool *pool, struct var_table *vars)
{
    uint32_t count = 0;
    uint32_t size = 0;
    PCRE2_SPTR table = NULL;

    pcre2_pattern_info(re->code, PCRE2_INFO_NAMECOUNT, &count);
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMETABLE, &table);
    for (uint32_t i = 0; vars != NULL && i < count; i++, table += size) {
        struct slice name = pool_copy(pool, slice_str((const char *)table + 2));
        struct var *var = var_define(vars, name, VAR_CHANGEABLE);

        if (var != NULL) {
            *VEC_PUSH(&re->names, pool) = (struct named_group){
                .group = (uint32_t)(table[0] << 8 | table[1]), .var = var->index
            };
        }
    }
}

struct regex *
regex_compile(struct pool *pool, struct var_table *vars, struct slice pattern, bool caseless,
              struct slice *error)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    struct regex *re = POOL_NEW(pool, struct regex);

    re->pattern = pool_copy(pool, pattern);
    re->code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, caseless ? PCRE2_CASELESS : 0, &code,
                             &at, NULL);
    if (re->code == NULL) {
        PCRE2_UCHAR text[256];

        pcre2_get_error_message(code, text, sizeof(text));
        struct slice rest = slice_from(pattern, at);

        *error = rest.n == 0 ? pool_printf(pool, "pcre2_compile() failed: %s in \"%.*s\"",
                                           (char *)text, SLICE_ARG(pattern))
                             : pool_printf(pool,
                                           "pcre2_compile() failed: %s in \"%.*s\" at \"%.*s\"",
                                           (char *)text, SLICE_ARG(pattern), SLICE_ARG(rest));
        return NULL;
    }
    pool_on_free(pool, free_code, re->code);
    pcre2_pattern_info(re->code, PCRE2_INFO_CAPTURECOUNT, &re->groups);
    if (use_jit) {
        pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE); /* works without it as well */
    }
    name_groups(re, pool, vars);
    return re;
}

struct regex *
regex_from_word(struct conf_ctx *cf, struct var_table *vars, const struct conf_word *word,
                struct slice pattern, bool caseless)
{
    struct slice error;
    struct regex *re = regex_compile(cf->pool, vars, pattern, caseless, &error);

    if (re == NULL) {
        diag_error(cf->diag, word->pos, "%.*s", SLICE_ARG(error));
    }
    return re;
}

static void
keep_captures(const struct regex *re, struct slice subject, uint32_t n, struct var_scope *scope)
{
    const PCRE2_SIZE *ov = pcre2_get_ovector_pointer(match_data);
    uint32_t pairs = re->groups + 1;
    uint32_t *kept = pool_alloc(scope->pool, pairs * 2 * sizeof(*kept));

    for (uint32_t i = 0; i < pairs; i++) {
        bool set = i < n && ov[2 * i] != PCRE2_UNSET && ov[2 * i] <= ov[2 * i + 1];

        kept[2 * i] = set ? (uint32_t)ov[2 * i] : 0;
        kept[2 * i + 1] = set ? (uint32_t)ov[2 * i + 1] : 0;
    }
    scope->captures = kept;
    scope->n_captures = pairs;
    scope->captures_of = subject;
    VEC_EACH (struct named_group, g, &re->names) {
        struct slice v = slice_of(subject.p + kept[2 * g->group],
                                  kept[2 * g->group + 1] - kept[2 * g->group]);

        scope->values[g->var] = (struct var_value){ .text = v, .state = VAR_FOUND };
    }
}

enum regex_result
regex_match(const struct regex *re, struct slice subject, struct var_scope *scope)
{
    if (match_data == NULL) {
        match_data = pcre2_match_data_create(MAX_GROUPS, NULL);
        match_context = pcre2_match_context_create(NULL);
        if (match_data == NULL || match_context == NULL) {
            check_no_memory(0);
        }
        pcre2_set_match_limit(match_context, MATCH_LIMIT);
    }
    int rc = pcre2_match(re->code, (PCRE2_SPTR)(subject.p == NULL ? "" : subject.p), subject.n, 0, 0,
                         match_data, match_context);

    if (rc == PCRE2_ERROR_NOMATCH) {
        return REGEX_NO_MATCH;
    }
    if (rc < 0) {
        return REGEX_FAILED;
    }
    if (scope != NULL) {
        keep_captures(re, subject, rc == 0 ? MAX_GROUPS : (uint32_t)rc, scope);
    }
    return REGEX_MATCH;
}

uint32_t
regex_groups(const struct regex *re)
{
    return re->groups;
}

struct slice
regex_pattern(const struct regex *re)
{
    return re->pattern;
}
