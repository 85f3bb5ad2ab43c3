/* SPDX-License-Identifier: BSD-2-Clause */
/* empty_gif: the one-pixel transparent image. */
#include "http/blocks.h"
#include "http/http.h"
#include "http/mod/mod.h"

/* GIF89a, 1x1, two colours, the first transparent. */
static const char pixel[43] = {
    'G',  'I',  'F',  '8',  '9',  'a', 1, 0, 1, 0, (char)0x80, 1, 0, 0,   0,    0, (char)0xff,
    (char)0xff, (char)0xff, 0x21, (char)0xf9, 4, 1, 0, 0, 1, 0, 0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2,
    2,    0x4c, 1,    0,    0x3b
};

static struct http_verdict
empty_gif_handler(struct http_request *r)
{
    if ((r->method & (HTTP_GET | HTTP_HEAD)) == 0) {
        return http_finish(405);
    }
    r->out.last_modified = 23349600; /* Mon, 28 Sep 1970 06:00:00 GMT */
    return http_send_text(r, 200, SLICE("image/gif"), slice_of(pixel, sizeof(pixel)));
}

static enum conf_result
set_empty_gif(struct conf_ctx *cf, const struct conf_node *node UNUSED, void *conf UNUSED)
{
    http_current_location(cf)->handler = empty_gif_handler;
    return CONF_OK;
}

static const struct conf_directive rows[] = {
    CONF_CALL_ONCE("empty_gif", CONF_IN(CTX_LOC, CONF_LEVEL_OWN), ARGS(0, 0), set_empty_gif),
    CONF_END,
};

const struct http_module http_empty_gif_module = {
    .conf = { .name = "http_empty_gif", .directives = rows, .id = CONF_MODULE_ID },
};
