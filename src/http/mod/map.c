/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * map: a variable whose value depends on a text: exact values first, then (with `hostnames`) the
 * longest "*.name" and "name.*", then regular expressions in order, then the default.
 */
#include "base/hash.h"
#include "conf/value.h"
#include "expr/regex.h"
#include "http/http.h"
#include "http/mod/mod.h"

struct map_regex {
    struct regex *regex;
    struct template *value;
};

struct map {
    struct template *source;
    struct hash *exact; /* text, lower case -> struct template */
    struct hash *head; /* with hostnames: "*.a" by "a" */
    struct hash *tail;
    struct {
        struct map_regex *items;
        size_t n;
        size_t cap;
    } regexes;
    struct template *deflt;
    bool hostnames;
};

struct map_main {
    int64_t ignored;
};

/* --- lookup ------------------------------------------------------------------------------------------- */

static struct template *
find_host(const struct map *m, struct slice text)
{
    struct slice rest = text;
    ssize_t dot;

    if (hash_count(m->head) > 0) {
        while ((dot = slice_chr(rest, '.')) >= 0) {
            rest = slice_from(rest, (size_t)dot + 1);
            struct template *t = hash_get(m->head, rest);

            if (t != NULL) {
                return t;
            }
        }
    }
    rest = text;
    while (hash_count(m->tail) > 0 && (dot = slice_rchr(rest, '.')) >= 0) {
        rest = slice_head(rest, (size_t)dot);
        struct template *t = hash_get(m->tail, rest);

        if (t != NULL) {
            return t;
        }
    }
    return NULL;
}

static const struct template *
find(const struct map *m, struct var_scope *scope, struct slice text)
{
    struct slice key = text;

    if (m->hostnames && key.n > 0 && key.p[key.n - 1] == '.') {
        key.n--;
    }
    struct template *t = hash_get(m->exact, key);

    if (t == NULL && m->hostnames) {
        t = find_host(m, key);
    }
    for (size_t i = 0; t == NULL && i < m->regexes.n; i++) {
        if (regex_match(m->regexes.items[i].regex, text, scope) == REGEX_MATCH) {
            t = m->regexes.items[i].value;
        }
    }
    return t == NULL ? m->deflt : t;
}

static void
get_map(struct var_scope *scope, const struct var *var, struct var_value *v)
{
    const struct map *m = (const struct map *)var->data;
    const struct template *t = find(m, scope, template_eval(m->source, scope));

    v->text = template_eval(t, scope);
    v->state = VAR_FOUND;
}

/* --- configuration -------------------------------------------------------------------------------------- */

static enum conf_result
add_regex(struct conf_ctx *cf, struct map *m, const struct conf_word *w, struct template *value)
{
    bool caseless = slice_starts(w->text, SLICE("~*"));
    struct map_regex *mr = VEC_PUSH(&m->regexes, cf->pool);

    mr->value = value;
    mr->regex = regex_from_word(cf, cf->vars, w, slice_from(w->text, caseless ? 2 : 1), caseless);
    return mr->regex == NULL ? CONF_ERROR : CONF_OK;
}

static enum conf_result
add_exact(struct conf_ctx *cf, struct map *m, const struct conf_word *w, struct template *value)
{
    struct slice key = w->text;
    struct hash *table = m->exact;

    if (key.n > 1 && key.p[0] == '\\') { /* "\default" and the like are texts */
        key = slice_from(key, 1);
    } else if (m->hostnames && slice_starts(key, SLICE("*."))) {
        key = slice_from(key, 2);
        table = m->head;
    } else if (m->hostnames && slice_starts(key, SLICE("."))) {
        key = slice_from(key, 1);
        hash_put(m->head, key, value);
    } else if (m->hostnames && slice_ends(key, SLICE(".*"))) {
        key.n -= 2;
        table = m->tail;
    }
    if (hash_put(table, pool_lower(cf->pool, key), value) != NULL) {
        return conf_error_at(cf, w, "conflicting parameter \"%.*s\"", SLICE_ARG(w->text));
    }
    return CONF_OK;
}

static enum conf_result
add_line(struct conf_ctx *cf, struct map *m, const struct conf_node *n, bool *is_volatile)
{
    const struct conf_word *key = &n->words[0];

    diag_at_directive(cf->diag, n);
    if (n->n_words == 1 && slice_eq(key->text, SLICE("hostnames"))) {
        return CONF_OK;
    }
    if (n->n_words == 1 && slice_eq(key->text, SLICE("volatile"))) {
        *is_volatile = true;
        return CONF_OK;
    }
    if (n->n_words != 2) {
        return conf_error_at(cf, key, "invalid number of the map parameters");
    }
    struct template *value = template_from_word(cf, cf->vars, &n->words[1]);

    if (value == NULL) {
        return CONF_ERROR;
    }
    if (slice_eq(key->text, SLICE("default"))) {
        if (m->deflt != NULL) {
            return conf_error_at(cf, key, "duplicate default map parameter");
        }
        m->deflt = value;
        return CONF_OK;
    }
    if (key->text.n > 0 && key->text.p[0] == '~') {
        return add_regex(cf, m, key, value);
    }
    return add_exact(cf, m, key, value);
}

static enum conf_result
map_block(struct conf_ctx *cf, const struct conf_node *node, void *conf UNUSED)
{
    struct map *m = POOL_NEW(cf->pool, struct map);
    struct slice name = conf_arg(node, 2);
    bool is_volatile = false;

    m->source = template_from_word(cf, cf->vars, &node->words[1]);
    if (m->source == NULL) {
        return CONF_ERROR;
    }
    if (name.n < 2 || name.p[0] != '$') {
        return conf_error_at(cf, &node->words[2], "invalid variable name \"%.*s\"",
                             SLICE_ARG(name));
    }
    struct var *var = var_define(cf->vars, slice_from(name, 1), VAR_CHANGEABLE);

    if (var == NULL) {
        return conf_error_at(cf, &node->words[2], "the duplicate \"%.*s\" variable",
                             SLICE_ARG(slice_from(name, 1)));
    }
    m->exact = hash_new(cf->pool, true);
    m->head = hash_new(cf->pool, true);
    m->tail = hash_new(cf->pool, true);
    for (const struct conf_node *n = node->children; n != NULL; n = n->next) {
        m->hostnames |= n->n_words == 1 && slice_eq(conf_arg(n, 0), SLICE("hostnames"));
    }
    for (const struct conf_node *n = node->children; n != NULL; n = n->next) {
        TRY(add_line(cf, m, n, &is_volatile));
    }
    var->get = get_map;
    var->data = (uintptr_t)m;
    if (is_volatile) {
        var->flags |= VAR_NOCACHE;
    }
    return CONF_OK;
}

static const struct conf_directive rows[] = {
    CONF_BLOCK("map", IN_HTTP, ARGS(2, 2), map_block),
    CONF_NUM("map_hash_max_size", IN_HTTP, struct map_main, ignored, 1, INT32_MAX, "2048"),
    CONF_NUM("map_hash_bucket_size", IN_HTTP, struct map_main, ignored, 1, INT32_MAX, "64"),
    CONF_END,
};

const struct http_module http_map_module = {
    .conf = { .name = "http_map",
              .directives = rows,
              .id = CONF_MODULE_ID,
              .size = { [CONF_LEVEL_MAIN] = sizeof(struct map_main) } },
};
