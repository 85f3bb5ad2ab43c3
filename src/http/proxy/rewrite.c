/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compiled header plans, and the rewriting of Location, Refresh and Set-Cookie.
 *
 * A plan is made once for each set of proxy_set_header lines. Headers that belong to one hop never
 * cross (RFC 9110 section 7.6.1); which ones these are follows nginx: Trailer and what Connection
 * lists besides do pass, since applications have come to rely on it.
 */
#include "http/proxy/rewrite.h"

#include "expr/regex.h"
#include "http/proxy/proxy.h"

/* --- request plan ------------------------------------------------------------------------------ */

static void
set_bit(uint64_t *bits, enum http_header_id id)
{
    bits[id / 64] |= UINT64_C(1) << (id % 64);
}

static void
clear_bit(uint64_t *bits, enum http_header_id id)
{
    bits[id / 64] &= ~(UINT64_C(1) << (id % 64));
}

static void
put_name(struct pool *pool, struct hash **h, struct slice name)
{
    static char present; /* any value that is not NULL */

    if (*h == NULL) {
        *h = hash_new(pool, true);
    }
    hash_put(*h, name, &present);
}

static void
plan_drop(struct proxy_header_plan *plan, struct pool *pool, const struct proxy_set_header *s)
{
    if (s->id != HTTP_H_OTHER) {
        set_bit(plan->drop, s->id);
        return;
    }
    put_name(pool, &plan->drop_other, s->name);
}

/* What stays out of the merged constant text because a request decides about it. */
static bool
is_decided_late(uint16_t id)
{
    return id == HTTP_H_UPGRADE || id == HTTP_H_CONNECTION;
}

static void
plan_add_line(struct proxy_header_plan *plan, struct pool *pool, const struct proxy_set_header *s)
{
    if (!template_is_constant(s->value) || is_decided_late(s->id)) {
        *VEC_PUSH(&plan->lines, pool) =
            (struct proxy_plan_line){ .name = s->name, .value = s->value, .id = s->id };
        plan->fixed_n += s->name.n + 32;
        return;
    }
    struct slice text = pool_printf(pool, "%.*s: %.*s\r\n", SLICE_ARG(s->name),
                                    SLICE_ARG(template_source(s->value)));
    struct proxy_plan_line *last =
        plan->lines.n > 0 ? &plan->lines.items[plan->lines.n - 1] : NULL;

    plan->fixed_n += text.n;
    if (last != NULL && last->fixed.n > 0) {
        struct slice parts[] = { last->fixed, text };

        last->fixed = pool_concat(pool, parts, 2);
        return;
    }
    *VEC_PUSH(&plan->lines, pool) = (struct proxy_plan_line){ .fixed = text };
}

static bool
is_empty(const struct template *t)
{
    return t == NULL || (template_is_constant(t) && template_source(t).n == 0);
}

struct proxy_header_plan *
proxy_plan_compile(struct pool *pool, const struct proxy_header_list *set)
{
    static const enum http_header_id never[] = {
        HTTP_H_HOST,    HTTP_H_CONNECTION, HTTP_H_CONTENT_LENGTH, HTTP_H_TRANSFER_ENCODING,
        HTTP_H_TE,      HTTP_H_KEEP_ALIVE, HTTP_H_EXPECT,         HTTP_H_UPGRADE,
        HTTP_H_PROXY_CONNECTION, HTTP_H_HTTP2_SETTINGS,
    };
    struct proxy_header_plan *plan = POOL_NEW(pool, struct proxy_header_plan);

    for (size_t i = 0; i < ARRAY_LEN(never); i++) {
        set_bit(plan->drop, never[i]);
    }
    VEC_EACH(const struct proxy_set_header, s, set)
    {
        plan_drop(plan, pool, s);
        plan->sets_content_length |= s->id == HTTP_H_CONTENT_LENGTH;
        plan->sets_transfer_encoding |= s->id == HTTP_H_TRANSFER_ENCODING;
        plan->sets_connection |= s->id == HTTP_H_CONNECTION;
        plan->sets_upgrade |= s->id == HTTP_H_UPGRADE || s->id == HTTP_H_CONNECTION;
        if (is_empty(s->value) || s->id == HTTP_H_HTTP2_SETTINGS) {
            continue;
        }
        if (s->id == HTTP_H_HOST) {
            plan->host = plan->host == NULL ? s->value : plan->host;
            continue;
        }
        plan_add_line(plan, pool, s);
    }
    return plan;
}

/* --- response plan ----------------------------------------------------------------------------- */

struct proxy_response_plan *
proxy_response_plan_compile(struct pool *pool, const struct slice_list *hide,
                            const struct slice_list *pass)
{
    static const enum http_header_id hidden[] = {
        HTTP_H_DATE,           HTTP_H_SERVER,           HTTP_H_X_ACCEL_EXPIRES,
        HTTP_H_X_ACCEL_REDIRECT, HTTP_H_X_ACCEL_LIMIT_RATE, HTTP_H_X_ACCEL_BUFFERING,
        HTTP_H_X_ACCEL_CHARSET,
    };
    struct proxy_response_plan *plan = POOL_NEW(pool, struct proxy_response_plan);

    for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
        set_bit(plan->hide, hidden[i]);
    }
    bool pads = true;

    VEC_EACH(const struct slice, name, pass)
    {
        enum http_header_id id = http_header_id_of(*name);

        pads = pads && !slice_case_eq(*name, SLICE("X-Pad"));
        if (id != HTTP_H_OTHER) {
            clear_bit(plan->hide, id);
        }
        plan->pass_server |= id == HTTP_H_SERVER;
        plan->pass_date |= id == HTTP_H_DATE;
    }
    if (pads) {
        put_name(pool, &plan->hide_other, SLICE("X-Pad"));
    }
    VEC_EACH(const struct slice, name, hide)
    {
        enum http_header_id id = http_header_id_of(*name);

        if (id != HTTP_H_OTHER) {
            set_bit(plan->hide, id);
        } else {
            put_name(pool, &plan->hide_other, *name);
        }
    }
    return plan;
}

/* --- matching with captures -------------------------------------------------------------------- */

/* The regular expression's captures serve the replacement only; those of the location come back
 * afterwards. */
static bool
match_and_eval(struct http_request *r, const struct regex *re, const struct template *to,
               struct slice value, struct slice *out)
{
    struct var_scope *scope = &r->vars;
    const uint32_t *captures = scope->captures;
    uint32_t n_captures = scope->n_captures;
    struct slice captures_of = scope->captures_of;
    bool matched = regex_match(re, value, scope) == REGEX_MATCH;

    if (matched) {
        *out = template_eval(to, scope);
    }
    scope->captures = captures;
    scope->n_captures = n_captures;
    scope->captures_of = captures_of;
    return matched;
}

static struct slice
replace_prefix(struct pool *pool, struct slice value, size_t n, struct slice with)
{
    struct slice parts[] = { with, slice_from(value, n) };

    return pool_concat(pool, parts, 2);
}

/* --- Location and Refresh ---------------------------------------------------------------------- */

static bool
apply_default(struct http_request *r, const struct proxy_target *target, struct slice value,
              struct slice *out)
{
    if (target->default_redirect.n == 0 || !slice_starts(value, target->default_redirect)) {
        return false;
    }
    *out = replace_prefix(r->pool, value, target->default_redirect.n, target->location);
    return true;
}

static bool
apply_redirect(struct http_request *r, const struct proxy_redirect *rule, struct slice value,
               struct slice *out)
{
    if (rule->regex != NULL) {
        return match_and_eval(r, rule->regex, rule->replacement, value, out);
    }
    struct slice prefix = template_eval(rule->prefix, &r->vars);

    if (!slice_starts(value, prefix)) {
        return false;
    }
    *out = replace_prefix(r->pool, value, prefix.n, template_eval(rule->replacement, &r->vars));
    return true;
}

bool
proxy_rewrite_redirect(struct http_request *r, const struct proxy_redirects *rd,
                       const struct proxy_target *target, struct slice value, struct slice *out)
{
    if (rd->off) {
        return false;
    }
    if (!rd->given) {
        return apply_default(r, target, value, out);
    }
    for (size_t i = 0; i <= rd->n; i++) {
        if (rd->with_default && rd->default_at == i && apply_default(r, target, value, out)) {
            return true;
        }
        if (i < rd->n && apply_redirect(r, &rd->items[i], value, out)) {
            return true;
        }
    }
    return false;
}

bool
proxy_rewrite_refresh(struct http_request *r, const struct proxy_redirects *rd,
                      const struct proxy_target *target, struct slice value, struct slice *out)
{
    ssize_t at = slice_case_find(value, SLICE("url="));
    struct slice url;

    if (at < 0 ||
        !proxy_rewrite_redirect(r, rd, target, slice_from(value, (size_t)at + 4), &url)) {
        return false;
    }
    struct slice parts[] = { slice_head(value, (size_t)at + 4), url };

    *out = pool_concat(r->pool, parts, 2);
    return true;
}

/* --- Set-Cookie -------------------------------------------------------------------------------- */

/* Dots in front are ignored when domains are compared, and kept. */
static bool
rewrite_domain(struct http_request *r, const struct proxy_cookie_rule *rule, struct slice value,
               struct slice *out)
{
    if (rule->regex != NULL) {
        return match_and_eval(r, rule->regex, rule->to, value, out);
    }
    struct slice from = template_eval(rule->from, &r->vars);
    struct slice bare = slice_starts(value, SLICE(".")) ? slice_from(value, 1) : value;

    from = slice_starts(from, SLICE(".")) ? slice_from(from, 1) : from;
    if (!slice_case_eq(bare, from)) {
        return false;
    }
    struct slice to = template_eval(rule->to, &r->vars);

    to = slice_starts(to, SLICE(".")) ? slice_from(to, 1) : to;
    struct slice parts[] = { slice_head(value, value.n - bare.n), to };

    *out = pool_concat(r->pool, parts, 2);
    return true;
}

static bool
rewrite_path(struct http_request *r, const struct proxy_cookie_rule *rule, struct slice value,
             struct slice *out)
{
    if (rule->regex != NULL) {
        return match_and_eval(r, rule->regex, rule->to, value, out);
    }
    struct slice from = template_eval(rule->from, &r->vars);

    if (!slice_starts(value, from)) {
        return false;
    }
    *out = replace_prefix(r->pool, value, from.n, template_eval(rule->to, &r->vars));
    return true;
}

static bool
rewrite_value(struct http_request *r, const struct proxy_cookie_rules *rules, bool is_domain,
              struct slice value, struct slice *out)
{
    VEC_EACH(const struct proxy_cookie_rule, rule, rules)
    {
        if (is_domain ? rewrite_domain(r, rule, value, out) : rewrite_path(r, rule, value, out)) {
            return true;
        }
    }
    return false;
}

static uint32_t
flag_of(struct slice word)
{
    static const struct {
        const char *name;
        uint32_t flag;
    } names[] = {
        { "secure", COOKIE_SECURE },
        { "nosecure", COOKIE_NO_SECURE },
        { "httponly", COOKIE_HTTPONLY },
        { "nohttponly", COOKIE_NO_HTTPONLY },
        { "samesite=strict", COOKIE_SAMESITE_STRICT },
        { "samesite=lax", COOKIE_SAMESITE_LAX },
        { "samesite=none", COOKIE_SAMESITE_NONE },
        { "nosamesite", COOKIE_NO_SAMESITE },
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_case_eq(word, slice_str(names[i].name))) {
            return names[i].flag;
        }
    }
    return 0;
}

/* The first rule that matches the cookie's name decides. */
static uint32_t
flags_for(struct http_request *r, const struct proxy_cookie_flags_list *list, struct slice name)
{
    VEC_EACH(const struct proxy_cookie_flag_rule, rule, list)
    {
        bool matches = rule->regex != NULL
                           ? regex_match(rule->regex, name, NULL) == REGEX_MATCH
                           : slice_case_eq(template_eval(rule->cookie, &r->vars), name);

        if (!matches) {
            continue;
        }
        uint32_t flags = 0;

        VEC_EACH(struct template *, t, &rule->flags)
        {
            flags |= flag_of(template_eval(*t, &r->vars));
        }
        return flags;
    }
    return 0;
}

static struct slice
samesite_text(uint32_t flags)
{
    if ((flags & COOKIE_SAMESITE_STRICT) != 0) {
        return SLICE("SameSite=Strict");
    }
    return (flags & COOKIE_SAMESITE_LAX) != 0 ? SLICE("SameSite=Lax") : SLICE("SameSite=None");
}

struct cookie_edit {
    struct http_request *r;
    const struct proxy_cookie_rules *domains;
    const struct proxy_cookie_rules *paths;
    uint32_t flags;
    bool changed;
    struct text_builder out;
};

static void
edit_add(struct cookie_edit *e, struct slice s)
{
    text_add(&e->out, SLICE("; "));
    text_add(&e->out, s);
}

/* name=value of an attribute whose value the rules may change. */
static bool
edit_value(struct cookie_edit *e, struct slice attr, struct slice prefix,
           const struct proxy_cookie_rules *rules, bool is_domain)
{
    struct slice value;

    if (!slice_case_starts(attr, prefix) ||
        !rewrite_value(e->r, rules, is_domain, slice_from(attr, prefix.n), &value)) {
        return false;
    }
    text_add(&e->out, SLICE("; "));
    text_add(&e->out, slice_head(attr, prefix.n));
    text_add(&e->out, value);
    e->changed = true;
    return true;
}

#define SAMESITE_SET (COOKIE_SAMESITE_STRICT | COOKIE_SAMESITE_LAX | COOKIE_SAMESITE_NONE)

/* A flag that is there: drop it, replace it, or note that it need not be added. */
static bool
edit_flag(struct cookie_edit *e, struct slice attr)
{
    if (slice_case_eq(attr, SLICE("secure"))) {
        e->changed |= (e->flags & COOKIE_NO_SECURE) != 0;
        e->flags &= ~(uint32_t)COOKIE_SECURE;
        return (e->flags & COOKIE_NO_SECURE) != 0;
    }
    if (slice_case_eq(attr, SLICE("httponly"))) {
        e->changed |= (e->flags & COOKIE_NO_HTTPONLY) != 0;
        e->flags &= ~(uint32_t)COOKIE_HTTPONLY;
        return (e->flags & COOKIE_NO_HTTPONLY) != 0;
    }
    if (!slice_case_starts(attr, SLICE("samesite"))) {
        return false;
    }
    if ((e->flags & COOKIE_NO_SAMESITE) != 0) {
        e->changed = true;
        return true;
    }
    if ((e->flags & SAMESITE_SET) == 0) {
        return false;
    }
    edit_add(e, samesite_text(e->flags));
    e->flags &= ~(uint32_t)SAMESITE_SET;
    e->changed = true;
    return true;
}

static void
edit_attr(struct cookie_edit *e, struct slice attr)
{
    if (edit_value(e, attr, SLICE("domain="), e->domains, true) ||
        edit_value(e, attr, SLICE("path="), e->paths, false) || edit_flag(e, attr)) {
        return;
    }
    edit_add(e, attr);
}

static void
edit_missing_flags(struct cookie_edit *e)
{
    e->changed |= (e->flags & (COOKIE_SECURE | COOKIE_HTTPONLY | SAMESITE_SET)) != 0;
    if ((e->flags & COOKIE_SECURE) != 0) {
        edit_add(e, SLICE("Secure"));
    }
    if ((e->flags & COOKIE_HTTPONLY) != 0) {
        edit_add(e, SLICE("HttpOnly"));
    }
    if ((e->flags & SAMESITE_SET) != 0) {
        edit_add(e, samesite_text(e->flags));
    }
}

bool
proxy_rewrite_cookie(struct http_request *r, const struct proxy_cookie_rules *domains,
                     const struct proxy_cookie_rules *paths,
                     const struct proxy_cookie_flags_list *flags, struct slice value,
                     struct slice *out)
{
    if (domains->n == 0 && paths->n == 0 && flags->n == 0) {
        return false;
    }
    struct cookie_edit e = { .r = r, .domains = domains, .paths = paths };
    struct slice rest = value;
    struct slice part;

    text_init(&e.out, r->pool, value.n + 64);
    if (!slice_split(&rest, ';', &part)) {
        return false;
    }
    part = slice_trim(part);
    text_add(&e.out, part);
    ssize_t eq = slice_chr(part, '=');

    e.flags = flags_for(r, flags, slice_head(part, eq < 0 ? part.n : (size_t)eq));
    while (slice_split(&rest, ';', &part)) {
        part = slice_trim(part);
        if (part.n > 0) {
            edit_attr(&e, part);
        }
    }
    edit_missing_flags(&e);
    *out = text_done(&e.out);
    return e.changed;
}
