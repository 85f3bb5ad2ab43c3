/* SPDX-License-Identifier: BSD-2-Clause */
/* index: a uri that ends in "/" becomes the first file of the list that is there. */
#include "http/file.h"
#include "http/http.h"
#include "http/mod/mod.h"

#include <errno.h>

struct index_loc {
    struct {
        struct template **items;
        size_t n;
        size_t cap;
    } names;
};

static enum conf_result
add_index(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct index_loc *ilcf = conf;

    for (uint32_t i = 1; i < node->n_words; i++) {
        const struct conf_word *w = &node->words[i];

        if (w->text.n == 0) {
            return conf_error_at(cf, w, "index \"\" in \"index\" directive is invalid");
        }
        if (w->text.p[0] == '/' && i != node->n_words - 1) {
            diag_warn(cf->diag, w->pos,
                      "only the last index in \"index\" directive should be absolute");
        }
        *VEC_PUSH(&ilcf->names, cf->pool) = template_from_word(cf, cf->vars, w);
        if (ilcf->names.items[ilcf->names.n - 1] == NULL) {
            return CONF_ERROR;
        }
    }
    return CONF_OK;
}

static void
init_loc(struct conf_ctx *cf, void *conf)
{
    struct index_loc *ilcf = conf;
    struct slice error;

    *VEC_PUSH(&ilcf->names, cf->pool) =
        template_compile(cf->pool, cf->vars, SLICE("index.html"), &error);
}

/* Does the directory itself exist? Only then is its index merely missing (403, not 404). */
static struct http_verdict
check_directory(struct http_request *r, struct slice dir)
{
    struct stat st;
    struct slice path = pool_copy(r->pool, slice_head(dir, MAX(dir.n, (size_t)2) - 1));

    if (http_stat_file(r, path, &st)) {
        return S_ISDIR(st.st_mode) ? http_declined()
                                   : http_finish(http_open_failed(r, dir, ENOTDIR));
    }
    return http_finish(http_open_failed(r, dir, errno));
}

static struct http_verdict
index_handler(struct http_request *r)
{
    const struct index_loc *ilcf = http_loc_conf(r, &http_index_module);
    struct slice dir = SLICE_NONE;
    bool dir_checked = false;
    struct stat st;
    size_t root_n;

    if (r->uri.p[r->uri.n - 1] != '/' ||
        (r->method & (HTTP_GET | HTTP_HEAD | HTTP_POST)) == 0) {
        return http_declined();
    }
    for (size_t i = 0; i < ilcf->names.n; i++) {
        struct slice name = template_eval(ilcf->names.items[i], &r->vars);

        if (name.n > 0 && name.p[0] == '/') { /* absolute: taken without a look */
            return http_internal_redirect(r, name, r->args);
        }
        if (dir.p == NULL) {
            dir = http_map_path(r, 0, &root_n);
        }
        struct slice parts[] = { dir, name };
        struct slice path = pool_concat(r->pool, parts, 2);

        if (http_stat_file(r, path, &st) && !S_ISDIR(st.st_mode)) {
            struct slice uri_parts[] = { r->uri, name };

            return http_internal_redirect(r, pool_concat(r->pool, uri_parts, 2), r->args);
        }
        if (errno == EACCES) {
            return http_finish(http_open_failed(r, path, EACCES));
        }
        if (!dir_checked) {
            struct http_verdict v = check_directory(r, dir);

            dir_checked = true;
            if (v.kind != HTTP_DECLINED) {
                return v;
            }
        }
    }
    return http_declined();
}

static const struct conf_directive rows[] = {
    CONF_LIST("index", IN_HTTP_ANY, ARGS_MORE(1), struct index_loc, names, add_index),
    CONF_END,
};

const struct http_module http_index_module = {
    .conf = { .name = "http_index",
              .directives = rows,
              .id = CONF_MODULE_ID,
              .size = { [CONF_LEVEL_LOC] = sizeof(struct index_loc) },
              .init = { [CONF_LEVEL_LOC] = init_loc } },
    .phase = HTTP_CONTENT_PHASE,
    .handler = index_handler,
};
