/* SPDX-License-Identifier: BSD-2-Clause */
/* try_files: the first of the list that exists, else the last: a uri, a named location or =code. */
#include "base/num.h"
#include "http/core.h"
#include "http/file.h"
#include "http/http.h"
#include "http/mod/mod.h"

#include <errno.h>

struct try_file {
    struct template *name;
    bool directory; /* ends with "/" */
};

struct try_files_own {
    struct {
        struct try_file *items;
        size_t n;
        size_t cap;
    } files;
    struct template *fallback;
    int code; /* =code; 0: none */
};

static enum conf_result
set_try_files(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct try_files_own *own = conf;
    uint32_t last = node->n_words - 1;
    struct slice end = conf_arg(node, last);

    for (uint32_t i = 1; i < last; i++) {
        struct conf_word w = node->words[i];
        struct try_file *f = VEC_PUSH(&own->files, cf->pool);

        f->directory = slice_ends(w.text, SLICE("/"));
        w.text.n -= f->directory ? 1 : 0;
        f->name = template_from_word(cf, cf->vars, &w);
        if (f->name == NULL) {
            return CONF_ERROR;
        }
    }
    if (end.n > 0 && end.p[0] == '=') {
        int64_t code;

        if (!num_parse(slice_from(end, 1), &code) || code > 999) {
            return conf_error_at(cf, &node->words[last], "invalid code \"%.*s\"", SLICE_ARG(end));
        }
        own->code = (int)code;
        return CONF_OK;
    }
    own->fallback = template_from_word(cf, cf->vars, &node->words[last]);
    return own->fallback == NULL ? CONF_ERROR : CONF_OK;
}

static struct http_verdict
fall_back(struct http_request *r, const struct try_files_own *own)
{
    struct uri uri;

    if (own->code > 0) {
        return http_finish(own->code);
    }
    struct slice to = template_eval(own->fallback, &r->vars);

    if (to.n > 0 && to.p[0] == '@') {
        return http_named_location(r, to);
    }
    uri_plain(to, &uri);
    return http_internal_redirect(r, uri.path, uri.args);
}

static struct http_verdict
try_files_handler(struct http_request *r)
{
    const struct try_files_own *own = http_own_conf(r, &http_try_files_module);
    const struct http_core_loc *clcf = http_core_loc(r);
    struct stat st;

    if (own == NULL) {
        return http_declined();
    }
    struct slice root = template_eval(clcf->root, &r->vars);

    for (size_t i = 0; i < own->files.n; i++) {
        const struct try_file *f = &own->files.items[i];
        struct slice uri = template_eval(f->name, &r->vars);
        struct slice rest = uri;

        if (clcf->is_alias && clcf->alias_n > 0 && slice_starts(uri, slice_head(r->uri, clcf->alias_n))) {
            rest = slice_from(uri, clcf->alias_n);
        }
        struct slice parts[] = { root, rest };
        struct slice path = pool_concat(r->pool, parts, 2);

        if (!http_stat_file(r, path, &st) || S_ISDIR(st.st_mode) != f->directory) {
            continue;
        }
        r->uri = pool_copy(r->pool, uri); /* of a directory without the slash: it redirects */
        if (r->uri.n == 0 || r->uri.p[0] != '/') {
            struct slice slash[] = { SLICE("/"), r->uri };

            r->uri = pool_concat(r->pool, slash, 2);
        }
        r->exten = uri_extension(r->uri);
        r->valid_unparsed_uri = false;
        return http_declined();
    }
    return fall_back(r, own);
}

static const struct conf_directive rows[] = {
    CONF_CALL_ONCE("try_files", CONF_IN(CTX_SRV | CTX_LOC, CONF_LEVEL_OWN), ARGS_MORE(2),
                   set_try_files),
    CONF_END,
};

const struct http_module http_try_files_module = {
    .conf = { .name = "http_try_files",
              .directives = rows,
              .id = CONF_MODULE_ID,
              .size = { [CONF_LEVEL_OWN] = sizeof(struct try_files_own) } },
    .phase = HTTP_PRECONTENT_PHASE,
    .handler = try_files_handler,
};
