/* SPDX-License-Identifier: BSD-2-Clause */
/* Files: GET and HEAD of what root or alias maps the uri to; directories redirect to "name/". */
#include "http/core.h"
#include "http/file.h"
#include "http/http.h"
#include "http/mod/mod.h"

#include <errno.h>

static struct http_verdict
redirect_to_directory(struct http_request *r)
{
    struct slice parts[] = { uri_escape(r->pool, r->uri, URI_ESCAPE_PATH), SLICE("/"), SLICE("?"),
                             r->args };

    r->out.location = pool_concat(r->pool, parts, r->args.n > 0 ? 4 : 2);
    return http_finish(301);
}

static struct http_verdict
static_handler(struct http_request *r)
{
    size_t root_n;
    struct stat st;

    if ((r->method & (HTTP_GET | HTTP_HEAD)) == 0) {
        bool known = r->uri.p[r->uri.n - 1] != '/';

        return known ? http_finish(405) : http_declined();
    }
    if (r->uri.p[r->uri.n - 1] == '/') {
        return http_declined();
    }
    struct slice path = http_map_path(r, 0, &root_n);
    int fd = http_open_file(r, path, &st);

    if (fd < 0) {
        return http_finish(http_open_failed(r, path, errno));
    }
    if (S_ISDIR(st.st_mode)) {
        return redirect_to_directory(r);
    }
    if (!S_ISREG(st.st_mode)) {
        log_error(&r->log, LOG_LVL_CRIT, 0, "\"%.*s\" is not a regular file", SLICE_ARG(path));
        return http_finish(404);
    }
    r->out.status = 200;
    r->out.content_length = st.st_size;
    r->out.last_modified = st.st_mtime;
    http_set_etag(r);
    http_set_content_type(r);
    return http_send_file(r, fd, st.st_size);
}

const struct http_module http_static_module = {
    .conf = { .name = "http_static", .id = CONF_MODULE_ID },
    .phase = HTTP_CONTENT_PHASE,
    .handler = static_handler,
};
