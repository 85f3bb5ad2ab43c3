/* SPDX-License-Identifier: BSD-2-Clause */
/* error_page and the built-in pages, byte for byte nginx's. */
#include "http/error_page.h"

#include "base/encode.h"
#include "base/ident.h"
#include "http/body.h"
#include "http/core.h"
#include "http/transport.h"

#include <stdio.h>

#define CRLF "\r\n"

struct page {
    int status;
    const char *title; /* of the page */
    const char *line; /* of the status line; NULL: the title */
    const char *detail; /* the nginx-specific 400s: a second line */
};

static const struct page pages[] = {
    { 200, NULL, "200 OK", NULL },
    { 201, NULL, "201 Created", NULL },
    { 202, NULL, "202 Accepted", NULL },
    { 204, NULL, "204 No Content", NULL },
    { 206, NULL, "206 Partial Content", NULL },
    { 301, "301 Moved Permanently", NULL, NULL },
    { 302, "302 Found", "302 Moved Temporarily", NULL },
    { 303, "303 See Other", NULL, NULL },
    { 304, NULL, "304 Not Modified", NULL },
    { 307, "307 Temporary Redirect", NULL, NULL },
    { 308, "308 Permanent Redirect", NULL, NULL },
    { 400, "400 Bad Request", NULL, NULL },
    { 401, "401 Authorization Required", "401 Unauthorized", NULL },
    { 402, "402 Payment Required", NULL, NULL },
    { 403, "403 Forbidden", NULL, NULL },
    { 404, "404 Not Found", NULL, NULL },
    { 405, "405 Not Allowed", NULL, NULL },
    { 406, "406 Not Acceptable", NULL, NULL },
    { 407, "407 Proxy Authentication Required", NULL, NULL },
    { 408, "408 Request Time-out", NULL, NULL },
    { 409, "409 Conflict", NULL, NULL },
    { 410, "410 Gone", NULL, NULL },
    { 411, "411 Length Required", NULL, NULL },
    { 412, "412 Precondition Failed", NULL, NULL },
    { 413, "413 Request Entity Too Large", NULL, NULL },
    { 414, "414 Request-URI Too Large", NULL, NULL },
    { 415, "415 Unsupported Media Type", NULL, NULL },
    { 416, "416 Requested Range Not Satisfiable", NULL, NULL },
    { 421, "421 Misdirected Request", NULL, NULL },
    { 429, "429 Too Many Requests", NULL, NULL },
    { 494, "400 Request Header Or Cookie Too Large", "400 Bad Request",
      "Request Header Or Cookie Too Large" },
    { 495, "400 The SSL certificate error", "400 Bad Request", "The SSL certificate error" },
    { 496, "400 No required SSL certificate was sent", "400 Bad Request",
      "No required SSL certificate was sent" },
    { 497, "400 The plain HTTP request was sent to HTTPS port", "400 Bad Request",
      "The plain HTTP request was sent to HTTPS port" },
    { 500, "500 Internal Server Error", NULL, NULL },
    { 501, "501 Not Implemented", NULL, NULL },
    { 502, "502 Bad Gateway", NULL, NULL },
    { 503, "503 Service Temporarily Unavailable", NULL, NULL },
    { 504, "504 Gateway Time-out", NULL, NULL },
    { 505, "505 HTTP Version Not Supported", NULL, NULL },
    { 507, "507 Insufficient Storage", NULL, NULL },
};

static const struct page *
find_page(int status)
{
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        if (pages[i].status == status) {
            return &pages[i];
        }
    }
    return NULL;
}

struct slice
http_status_line(int status)
{
    static char unknown[16];
    const struct page *p = find_page(status);

    if (p != NULL) {
        return slice_str(p->line != NULL ? p->line : p->title);
    }
    return slice_of(unknown, (size_t)snprintf(unknown, sizeof(unknown), "%03d ", status));
}

struct slice
http_server_token(struct http_request *r)
{
    const struct http_core_loc *clcf = http_core_loc(r);

    if (clcf->server_tokens_text != NULL) {
        return template_eval(clcf->server_tokens_text, &r->vars);
    }
    return clcf->server_tokens == HTTP_TOKENS_OFF ? slice_str(ident_name()) : ident_server();
}

/* --- built-in pages ---------------------------------------------------------------------------------------- */

#define PADDING "<!-- a padding to disable MSIE and Chrome friendly error page -->" CRLF

static bool
agent_has(struct http_request *r, struct slice what)
{
    return slice_find(http_header_value(&r->in.all, HTTP_H_USER_AGENT), what) >= 0;
}

static bool
wants_padding(struct http_request *r, int status)
{
    return http_core_loc(r)->msie_padding && status >= 400 && r->version >= HTTP_VERSION_10 &&
           (agent_has(r, SLICE("MSIE ")) || agent_has(r, SLICE("Chrome/")));
}

static struct slice
page_text(struct http_request *r, const struct page *p)
{
    struct text_builder b;
    struct slice title = slice_str(p->title);

    text_init(&b, r->pool, 256);
    text_add(&b, SLICE("<html>" CRLF "<head><title>"));
    text_add(&b, title);
    text_add(&b, SLICE("</title></head>" CRLF "<body>" CRLF "<center><h1>"));
    text_add(&b, p->detail == NULL ? title : SLICE("400 Bad Request"));
    text_add(&b, SLICE("</h1></center>" CRLF));
    if (p->detail != NULL) {
        text_add(&b, SLICE("<center>"));
        text_add(&b, slice_str(p->detail));
        text_add(&b, SLICE("</center>" CRLF));
    }
    text_add(&b, SLICE("<hr><center>"));
    text_add(&b, http_server_token(r));
    text_add(&b, SLICE("</center>" CRLF "</body>" CRLF "</html>" CRLF));
    for (int i = 0; i < 6 && wants_padding(r, p->status); i++) {
        text_add(&b, SLICE(PADDING));
    }
    return text_done(&b);
}

static bool
needs_refresh(struct http_request *r, int status)
{
    return http_core_loc(r)->msie_refresh && agent_has(r, SLICE("MSIE ")) &&
           (status == 301 || status == 302);
}

static struct slice
refresh_text(struct http_request *r)
{
    struct slice parts[] = { SLICE("<html><head><meta http-equiv=\"Refresh\" content=\"0; URL="),
                             encode_html(r->pool, r->out.location),
                             SLICE("\"></head><body></body></html>" CRLF) };

    return pool_concat(r->pool, parts, 3);
}

static void
forget_response(struct http_request *r)
{
    struct http_headers_out *o = &r->out;

    o->content_length = -1;
    o->last_modified = -1;
    o->last_modified_text = SLICE_NONE;
    o->etag = SLICE_NONE;
    o->content_type = SLICE_NONE;
    o->charset = SLICE_NONE;
    o->status_line = SLICE_NONE;
    r->ranges_allowed = false;
    http_header_set(r, &o->all, HTTP_H_CONTENT_ENCODING, SLICE("Content-Encoding"), SLICE(""));
    http_header_set(r, &o->all, HTTP_H_ACCEPT_RANGES, SLICE("Accept-Ranges"), SLICE(""));
}

static void
send_page(struct http_request *r, int status)
{
    const struct page *p = find_page(status);
    struct slice body = SLICE("");
    struct slice type = SLICE_NONE;

    r->out.status = status;
    if (status != 304) {
        forget_response(r);
    }
    if (p != NULL && p->title != NULL) {
        body = page_text(r, p);
        type = SLICE("text/html");
        if (needs_refresh(r, status)) {
            body = refresh_text(r);
            r->out.status = 200;
            r->out.location = SLICE_NONE;
            r->keepalive = false;
        }
    }
    switch (status) {
    case 400:
    case 413:
    case 414:
    case 494:
    case 495:
    case 496:
    case 497:
    case 500:
    case 501:
        r->keepalive = false;
        break;
    default:
        break;
    }
    if (status >= 494 && status <= 497) {
        r->out.status = 400;
        r->error_status = status;
    }
    r->out.no_content_type = body.n == 0 && status >= 400;
    if (status == 204 || status == 304) {
        r->header_only = true;
        r->out.no_content_type = true;
        (void)http_send_header(r);
        http_finalize(r, 0);
        return;
    }
    (void)http_send_text(r, 0, type, body);
    http_finalize(r, 0);
}

/* --- error_page ---------------------------------------------------------------------------------------------- */

static const struct http_error_page *
configured_page(struct http_request *r, int status)
{
    const struct http_core_loc *clcf = http_core_loc(r);

    if (r->error_page_taken && !clcf->recursive_error_pages) {
        return NULL;
    }
    for (size_t i = 0; i < clcf->error_pages.n; i++) {
        if (clcf->error_pages.items[i].status == status) {
            return &clcf->error_pages.items[i];
        }
    }
    return NULL;
}

static void
to_page(struct http_request *r, int status, const struct http_error_page *page)
{
    struct slice uri = template_eval(page->uri, &r->vars);
    struct uri parts;

    r->error_page_taken = true;
    r->error_status = page->overwrite >= 0 ? page->overwrite : status;
    if (status >= 494 && status <= 497 && page->overwrite < 0) {
        r->error_status = 400;
    }
    if (uri.n > 0 && uri.p[0] == '/') {
        uri_plain(uri, &parts);
        if (r->method != HTTP_HEAD) {
            r->method = HTTP_GET;
            r->method_name = SLICE("GET");
        }
        http_resume(r, http_internal_redirect(r, parts.path, parts.args));
        return;
    }
    if (uri.n > 0 && uri.p[0] == '@') {
        http_resume(r, http_named_location(r, uri));
        return;
    }
    int code = page->overwrite;

    if (code != 301 && code != 303 && code != 307 && code != 308) {
        code = 302;
    }
    r->out.location = uri;
    r->error_status = 0;
    send_page(r, code);
}

void
http_error_response(struct http_request *r, int status)
{
    const struct http_error_page *page = configured_page(r, status);

    http_body_discard(r);
    if (page != NULL) {
        to_page(r, status, page);
        return;
    }
    if (r->error_status > 0) { /* the page itself failed: the first status counts */
        status = r->error_status;
    }
    send_page(r, status);
}
