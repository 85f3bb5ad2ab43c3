/* SPDX-License-Identifier: BSD-2-Clause */
/* Server names; see server.h for the rules. */
#include "http/server.h"

#include "base/hash.h"
#include "expr/regex.h"

struct server_names {
    struct hash *exact;
    struct hash *head; /* "*.a.test" and ".a.test" by "a.test" */
    struct hash *tail; /* "mail.*" by "mail" */
    VEC(struct server_name) regexes;
};

struct server_names *
server_names_new(struct pool *pool)
{
    struct server_names *names = POOL_NEW(pool, struct server_names);

    names->exact = hash_new(pool, false);
    names->head = hash_new(pool, false);
    names->tail = hash_new(pool, false);
    return names;
}

static bool
add_unless_taken(struct hash *h, struct slice name, struct http_server *server)
{
    if (hash_get(h, name) != NULL) {
        return false;
    }
    hash_put(h, name, server);
    return true;
}

bool
server_names_add(struct server_names *names, struct pool *pool, const struct server_name *sn)
{
    if (sn->regex != NULL) {
        *VEC_PUSH(&names->regexes, pool) = *sn;
        return true;
    }
    if (slice_starts(sn->name, SLICE("*."))) {
        return add_unless_taken(names->head, slice_from(sn->name, 2), sn->server);
    }
    if (slice_starts(sn->name, SLICE("."))) { /* ".a" is "a" and "*.a" */
        struct slice name = slice_from(sn->name, 1);
        bool exact = add_unless_taken(names->exact, name, sn->server);

        return add_unless_taken(names->head, name, sn->server) && exact;
    }
    if (slice_ends(sn->name, SLICE(".*"))) {
        return add_unless_taken(names->tail, slice_head(sn->name, sn->name.n - 2), sn->server);
    }
    return add_unless_taken(names->exact, sn->name, sn->server);
}

/* Longest suffix behind a dot that is a wildcard's name. */
static struct http_server *
find_head(const struct hash *head, struct slice host)
{
    ssize_t dot;

    while ((dot = slice_chr(host, '.')) >= 0) {
        host = slice_from(host, (size_t)dot + 1);
        struct http_server *s = hash_get(head, host);

        if (s != NULL) {
            return s;
        }
    }
    return NULL;
}

static struct http_server *
find_tail(const struct hash *tail, struct slice host)
{
    ssize_t dot;

    while ((dot = slice_rchr(host, '.')) >= 0) {
        host = slice_head(host, (size_t)dot);
        struct http_server *s = hash_get(tail, host);

        if (s != NULL) {
            return s;
        }
    }
    return NULL;
}

struct http_server *
server_names_find(const struct server_names *names, struct slice host, struct var_scope *scope)
{
    struct http_server *s = hash_get(names->exact, host);

    if (s == NULL && hash_count(names->head) > 0) {
        s = find_head(names->head, host);
    }
    if (s == NULL && hash_count(names->tail) > 0) {
        s = find_tail(names->tail, host);
    }
    for (size_t i = 0; s == NULL && host.n > 0 && i < names->regexes.n; i++) {
        if (regex_match(names->regexes.items[i].regex, host, scope) == REGEX_MATCH) {
            s = names->regexes.items[i].server;
        }
    }
    return s;
}
