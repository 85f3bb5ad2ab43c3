/* SPDX-License-Identifier: BSD-2-Clause */
/* The variables of ngx_http_core_module. Each getter computes its value when it is first asked for. */
#include "base/encode.h"
#include "base/ident.h"
#include "base/num.h"
#include "base/time.h"
#include "http/body.h"
#include "http/core.h"
#include "http/h1/conn.h"
#include "http/server.h"
#include "http/transport.h"
#include "net/proxy_protocol.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

static struct http_request *
request(const struct var_scope *scope)
{
    return scope->subject;
}

static void
found(struct var_value *v, struct slice text)
{
    v->text = text;
    v->state = VAR_FOUND;
}

static void
found_or_not(struct var_value *v, struct slice text)
{
    v->text = text.p == NULL ? SLICE("") : text;
    v->state = text.p == NULL ? VAR_NOT_FOUND : VAR_FOUND;
}

static void
found_num(struct var_scope *scope, struct var_value *v, int64_t n)
{
    char *p = pool_bytes(scope->pool, NUM_MAX_LEN);

    found(v, slice_of(p, (size_t)(num_write(p, n) - p)));
}

#define GETTER(name)                                                                               \
    static void get_##name(struct var_scope *scope UNUSED, const struct var *var UNUSED,                \
                           struct var_value *v)

/* A struct slice of the request at offset var->data. */
GETTER(field)
{
    struct slice s = *(const struct slice *)(const void *)((const char *)request(scope) + var->data);

    found_or_not(v, s);
}

GETTER(host)
{
    const struct http_request *r = request(scope);

    found(v, r->in.host.n > 0 ? r->in.host : r->server->name);
}

GETTER(args)
{
    const struct http_request *r = request(scope);

    found(v, r->args.p == NULL ? SLICE("") : r->args);
}

static void
set_args(struct var_scope *scope, const struct var *var UNUSED, struct slice value)
{
    struct http_request *r = request(scope);

    r->args = value;
    r->has_args = value.n > 0;
    r->valid_unparsed_uri = false;
}

GETTER(is_args)
{
    found(v, request(scope)->args.n > 0 ? SLICE("?") : SLICE(""));
}

GETTER(binary_remote_addr)
{
    found(v, addr_binary(&request(scope)->c->peer));
}

GETTER(remote_addr)
{
    found(v, addr_text(scope->pool, &request(scope)->c->peer, false));
}

GETTER(remote_port)
{
    const struct addr *a = &request(scope)->c->peer;

    if (a->sa.sa_family == AF_UNIX) {
        found(v, SLICE(""));
    } else {
        found_num(scope, v, addr_port(a));
    }
}

GETTER(server_addr)
{
    struct addr local;

    if (conn_local_addr(request(scope)->c, &local)) {
        found(v, addr_text(scope->pool, &local, false));
    }
}

GETTER(server_port)
{
    struct addr local;

    if (conn_local_addr(request(scope)->c, &local) && local.sa.sa_family != AF_UNIX) {
        found_num(scope, v, addr_port(&local));
    } else {
        found(v, SLICE(""));
    }
}

GETTER(server_name)
{
    found(v, request(scope)->server->name);
}

GETTER(scheme)
{
    found(v, request(scope)->schema);
}

GETTER(https)
{
    found(v, request(scope)->c->tls ? SLICE("on") : SLICE(""));
}

GETTER(server_protocol)
{
    const struct http_request *r = request(scope)->main;

    found_or_not(v, r->protocol.p == NULL ? SLICE("") : r->protocol);
}

GETTER(request_method)
{
    const struct http_request *r = request(scope)->main;

    found_or_not(v, r->method_name);
}

GETTER(request_uri)
{
    found_or_not(v, request(scope)->main->unparsed_uri);
}

/* $request: what arrived, also when the request line was malformed. */
GETTER(request)
{
    found_or_not(v, request(scope)->main->request_line);
}

GETTER(document_root)
{
    struct http_request *r = request(scope);
    size_t root_n;
    struct slice path = http_map_path(r, 0, &root_n);

    found(v, slice_head(path, root_n));
}

GETTER(realpath_root)
{
    struct http_request *r = request(scope);
    size_t root_n;
    struct slice path = http_map_path(r, 0, &root_n);
    char *real = realpath(pool_str(scope->pool, slice_head(path, root_n)), NULL);

    if (real != NULL) {
        found(v, pool_copy(scope->pool, slice_str(real)));
        free(real);
    }
}

GETTER(request_filename)
{
    size_t root_n;

    found(v, http_map_path(request(scope), 0, &root_n));
}

GETTER(status)
{
    const struct http_request *r = request(scope);
    int status = r->error_status > 0 ? r->error_status : r->out.status;

    if (r->version == HTTP_VERSION_9 && status == 0) {
        status = 9;
    }
    char *p = pool_bytes(scope->pool, 8);

    p[0] = (char)('0' + status / 100 % 10);
    p[1] = (char)('0' + status / 10 % 10);
    p[2] = (char)('0' + status % 10);
    found(v, slice_of(p, 3));
}

GETTER(bytes_sent)
{
    found_num(scope, v, (int64_t)request(scope)->main->sent);
}

GETTER(body_bytes_sent)
{
    const struct http_request *r = request(scope)->main;
    int64_t n = (int64_t)r->sent - (int64_t)r->header_size;

    found_num(scope, v, MAX(n, (int64_t)0));
}

GETTER(request_length)
{
    found_num(scope, v, (int64_t)request(scope)->main->request_length);
}

static void
found_seconds(struct var_scope *scope, struct var_value *v, int64_t ms)
{
    found(v, pool_printf(scope->pool, "%lld.%03lld", (long long)(ms / 1000),
                         (long long)(ms % 1000)));
}

GETTER(request_time)
{
    found_seconds(scope, v, MAX(clock_ms() - request(scope)->main->start_ms, (int64_t)0));
}

GETTER(connection_time)
{
    found_seconds(scope, v, MAX(clock_ms() - request(scope)->c->started_at, (int64_t)0));
}

GETTER(msec)
{
    found_seconds(scope, v, clock_wall_ms());
}

GETTER(time_local)
{
    found(v, clock_log_date());
}

GETTER(time_iso8601)
{
    found(v, clock_iso8601());
}

/* "2026-11-23T08:35:48.123+00:00" */
GETTER(time_iso8601_ms)
{
    struct slice iso = clock_iso8601();

    found(v, pool_printf(scope->pool, "%.*s.%03d%.*s", 19, iso.p, (int)(clock_wall_ms() % 1000),
                         (int)iso.n - 19, iso.p + 19));
}

GETTER(connection)
{
    found_num(scope, v, (int64_t)request(scope)->c->number);
}

GETTER(connection_requests)
{
    found_num(scope, v, (int64_t)h1_requests(request(scope)->main));
}

GETTER(pid)
{
    found_num(scope, v, getpid());
}

GETTER(hostname)
{
    char name[256] = "";

    (void)gethostname(name, sizeof(name) - 1);
    found(v, pool_lower(scope->pool, slice_str(name)));
}

GETTER(nginx_version)
{
    found(v, slice_str(ident_version()));
}

GETTER(pipe)
{
    found(v, request(scope)->main->pipelined ? SLICE("p") : SLICE("."));
}

GETTER(request_completion)
{
    found(v, request(scope)->main->sent_all ? SLICE("OK") : SLICE(""));
}

GETTER(request_id)
{
    struct http_request *r = request(scope)->main;

    if (r->id.p == NULL) {
        char raw[16];

        if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw)) {
            memcpy(raw, &r->start_wall_ms, 8);
            memcpy(raw + 8, &r->c->number, 8);
        }
        r->id = encode_hex(r->pool, slice_of(raw, sizeof(raw)));
    }
    found(v, r->id);
}

GETTER(limit_rate)
{
    found_num(scope, v, (int64_t)request(scope)->main->limit_rate);
}

static void
set_limit_rate(struct var_scope *scope, const struct var *var UNUSED, struct slice value)
{
    struct http_request *r = request(scope)->main;
    int64_t n;

    if (num_parse_size(value, &n)) {
        r->limit_rate = (uint64_t)n;
        r->limit_rate_set = true;
    }
}

GETTER(request_body)
{
    struct http_request *r = request(scope)->main;
    struct text_builder b;

    if (r->body == NULL || r->body->in_file || !r->body->complete) {
        return;
    }
    text_init(&b, scope->pool, (size_t)r->body->received + 1);
    for (const struct buf *buf = r->body->bufs.head; buf != NULL; buf = buf->next) {
        text_add(&b, slice_of(buf->start, (size_t)(buf->last - buf->start)));
    }
    found(v, text_done(&b));
}

GETTER(request_body_file)
{
    const struct http_request *r = request(scope)->main;

    if (r->body != NULL) {
        found_or_not(v, r->body->file_name);
    }
}

GETTER(remote_user)
{
    struct http_request *r = request(scope)->main;
    struct slice auth = http_header_value(&r->in.all, HTTP_H_AUTHORIZATION);
    struct slice plain;

    if (r->remote_user.n > 0) {
        found(v, r->remote_user);
        return;
    }
    if (!slice_case_starts(auth, SLICE("Basic ")) ||
        !decode_base64(scope->pool, slice_trim(slice_from(auth, 6)), false, &plain)) {
        return;
    }
    ssize_t colon = slice_chr(plain, ':');

    if (colon > 0) {
        found(v, slice_head(plain, (size_t)colon));
    }
}

GETTER(content_length)
{
    const struct http_request *r = request(scope)->main;

    if (http_header_find(&r->in.all, HTTP_H_CONTENT_LENGTH) != NULL) {
        found(v, http_header_value(&r->in.all, HTTP_H_CONTENT_LENGTH));
    } else if (r->in.chunked && r->in.content_length >= 0) {
        found_num(scope, v, r->in.content_length);
    }
}

GETTER(content_type)
{
    found_or_not(v, http_header_value(&request(scope)->in.all, HTTP_H_CONTENT_TYPE));
}

GETTER(request_port)
{
    struct slice host = request(scope)->in.host_field;
    ssize_t colon = slice_rchr(host, ':');

    if (host.p != NULL && colon >= 0 && (host.p[0] != '[' || host.p[colon - 1] == ']')) {
        found(v, slice_from(host, (size_t)colon + 1));
    } else {
        found(v, SLICE(""));
    }
}

GETTER(is_request_port)
{
    struct slice host = request(scope)->in.host_field;
    ssize_t colon = slice_rchr(host, ':');
    bool has = host.p != NULL && colon >= 0 && colon + 1 < (ssize_t)host.n &&
               (host.p[0] != '[' || host.p[colon - 1] == ']');

    found(v, has ? SLICE(":") : SLICE(""));
}

GETTER(tcpinfo)
{
    struct tcp_info ti;
    socklen_t len = sizeof(ti);

    if (getsockopt(request(scope)->c->lf.fd, IPPROTO_TCP, TCP_INFO, &ti, &len) == 0) {
        uint32_t value;

        memcpy(&value, (const char *)&ti + var->data, sizeof(value));
        found_num(scope, v, value);
    }
}

GETTER(proxy_protocol)
{
    const struct proxy_protocol *pp = request(scope)->c->proxy_protocol;

    if (pp == NULL) {
        return;
    }
    const struct addr *a = var->data & 2 ? &pp->dst : &pp->src;

    if (!pp->known) {
        found(v, SLICE(""));
    } else if (var->data & 1) {
        found_num(scope, v, addr_port(a));
    } else {
        found(v, addr_text(scope->pool, a, false));
    }
}

/* --- families ------------------------------------------------------------------------------------------- */

/* "user_agent" names "User-Agent": "-" and "_" are the same. */
static bool
name_matches(struct slice header, struct slice var)
{
    if (header.n != var.n) {
        return false;
    }
    for (size_t i = 0; i < var.n; i++) {
        char c = ascii_lower(header.p[i]);

        if ((c == '-' ? '_' : c) != var.p[i]) {
            return false;
        }
    }
    return true;
}

/* Several of a name are joined, Cookie with "; ", others with ", " (RFC 9110 section 5.3). */
static void
join_headers(struct var_scope *scope, const struct http_headers *hs, struct slice name,
             struct slice sep, struct var_value *v)
{
    struct text_builder b;
    const struct http_header *first = NULL;
    bool joined = false;

    for (size_t i = 0; i < hs->n; i++) {
        const struct http_header *h = &hs->items[i];

        if (h->hidden || !name_matches(h->name, name)) {
            continue;
        }
        if (first == NULL) {
            first = h;
            continue;
        }
        if (!joined) {
            text_init(&b, scope->pool, first->value.n + h->value.n + 16);
            text_add(&b, first->value);
            joined = true;
        }
        text_add(&b, sep);
        text_add(&b, h->value);
    }
    if (joined) {
        found(v, text_done(&b));
    } else if (first != NULL) {
        found(v, first->value.p == NULL ? SLICE("") : first->value);
    }
}

GETTER(http_header)
{
    const struct http_request *r = request(scope);
    struct slice sep = slice_eq(var->rest, SLICE("cookie")) ? SLICE("; ") : SLICE(", ");

    if (slice_eq(var->rest, SLICE("host")) && r->in.host_field.p != NULL) {
        found(v, r->in.host_field);
        return;
    }
    join_headers(scope, &r->in.all, var->rest, sep, v);
}

GETTER(arg)
{
    struct slice value;

    if (uri_arg(request(scope)->args, var->rest, &value)) {
        found(v, value);
    }
}

GETTER(cookie)
{
    const struct http_headers *hs = &request(scope)->in.all;

    for (size_t i = 0; i < hs->n; i++) {
        struct slice rest = hs->items[i].value;
        struct slice part;

        if (hs->items[i].id != HTTP_H_COOKIE) {
            continue;
        }
        while (slice_split(&rest, ';', &part)) {
            part = slice_trim(part);
            ssize_t eq = slice_chr(part, '=');

            if (eq > 0 && slice_case_eq(slice_head(part, (size_t)eq), var->rest)) {
                found(v, slice_from(part, (size_t)eq + 1));
                return;
            }
        }
    }
}

GETTER(sent_http)
{
    struct http_request *r = request(scope)->main;
    struct http_headers_out *o = &r->out;
    struct slice n = var->rest;

    if (slice_eq(n, SLICE("content_type")) && o->content_type.n > 0) {
        struct slice parts[] = { o->content_type, SLICE("; charset="), o->charset };

        found(v, pool_concat(scope->pool, parts, o->charset.n > 0 ? 3 : 1));
    } else if (slice_eq(n, SLICE("content_length")) && o->content_length >= 0) {
        found_num(scope, v, o->content_length);
    } else if (slice_eq(n, SLICE("location")) && o->location.n > 0) {
        found(v, o->location);
    } else if (slice_eq(n, SLICE("last_modified")) && o->last_modified >= 0 &&
               http_header_find(&o->all, HTTP_H_LAST_MODIFIED) == NULL) {
        char *p = pool_bytes(scope->pool, HTTP_DATE_LEN);

        time_write_http(p, o->last_modified);
        found(v, slice_of(p, HTTP_DATE_LEN));
    } else if (slice_eq(n, SLICE("etag")) && o->etag.n > 0) {
        found(v, o->etag);
    } else if (slice_eq(n, SLICE("connection"))) {
        found(v, o->status == 101 ? SLICE("upgrade")
                                  : (r->keepalive ? SLICE("keep-alive") : SLICE("close")));
    } else if (slice_eq(n, SLICE("keep_alive"))) {
        if (r->keepalive && http_core_loc(r)->keepalive_header > 0) {
            found(v, pool_printf(scope->pool, "timeout=%lld",
                                 (long long)http_core_loc(r)->keepalive_header));
        }
    } else if (slice_eq(n, SLICE("transfer_encoding"))) {
        if (o->chunked) {
            found(v, SLICE("chunked"));
        }
    } else {
        join_headers(scope, &o->all, n, SLICE(", "), v);
    }
}

GETTER(sent_trailer)
{
    join_headers(scope, &request(scope)->main->out.trailers, var->rest, SLICE(", "), v);
}

#define TCPINFO(f) offsetof(struct tcp_info, f)

const struct var_def http_core_vars[] = {
    { "host", get_host, NULL, 0, VAR_NOCACHE },
    { "uri", get_field, NULL, offsetof(struct http_request, uri), VAR_NOCACHE },
    { "document_uri", get_field, NULL, offsetof(struct http_request, uri), VAR_NOCACHE },
    { "args", get_args, set_args, 0, VAR_CHANGEABLE | VAR_NOCACHE },
    { "query_string", get_args, NULL, 0, VAR_NOCACHE },
    { "is_args", get_is_args, NULL, 0, VAR_NOCACHE },
    { "request", get_request, NULL, 0, 0 },
    { "request_uri", get_request_uri, NULL, 0, 0 },
    { "request_method", get_request_method, NULL, 0, VAR_NOCACHE },
    { "request_filename", get_request_filename, NULL, 0, VAR_NOCACHE },
    { "request_length", get_request_length, NULL, 0, VAR_NOCACHE },
    { "request_time", get_request_time, NULL, 0, VAR_NOCACHE },
    { "request_completion", get_request_completion, NULL, 0, VAR_NOCACHE },
    { "request_id", get_request_id, NULL, 0, 0 },
    { "request_body", get_request_body, NULL, 0, VAR_NOCACHE },
    { "request_body_file", get_request_body_file, NULL, 0, VAR_NOCACHE },
    { "request_port", get_request_port, NULL, 0, 0 },
    { "is_request_port", get_is_request_port, NULL, 0, 0 },
    { "document_root", get_document_root, NULL, 0, VAR_NOCACHE },
    { "realpath_root", get_realpath_root, NULL, 0, VAR_NOCACHE },
    { "remote_addr", get_remote_addr, NULL, 0, 0 },
    { "remote_port", get_remote_port, NULL, 0, 0 },
    { "remote_user", get_remote_user, NULL, 0, 0 },
    { "binary_remote_addr", get_binary_remote_addr, NULL, 0, 0 },
    { "server_addr", get_server_addr, NULL, 0, 0 },
    { "server_port", get_server_port, NULL, 0, 0 },
    { "server_name", get_server_name, NULL, 0, VAR_NOCACHE },
    { "server_protocol", get_server_protocol, NULL, 0, 0 },
    { "scheme", get_scheme, NULL, 0, 0 },
    { "https", get_https, NULL, 0, 0 },
    { "status", get_status, NULL, 0, VAR_NOCACHE },
    { "bytes_sent", get_bytes_sent, NULL, 0, VAR_NOCACHE },
    { "body_bytes_sent", get_body_bytes_sent, NULL, 0, VAR_NOCACHE },
    { "connection", get_connection, NULL, 0, 0 },
    { "connection_requests", get_connection_requests, NULL, 0, 0 },
    { "connection_time", get_connection_time, NULL, 0, VAR_NOCACHE },
    { "content_length", get_content_length, NULL, 0, 0 },
    { "content_type", get_content_type, NULL, 0, 0 },
    { "msec", get_msec, NULL, 0, VAR_NOCACHE },
    { "time_local", get_time_local, NULL, 0, VAR_NOCACHE },
    { "time_iso8601", get_time_iso8601, NULL, 0, VAR_NOCACHE },
    { "time_iso8601_ms", get_time_iso8601_ms, NULL, 0, VAR_NOCACHE },
    { "pid", get_pid, NULL, 0, 0 },
    { "hostname", get_hostname, NULL, 0, 0 },
    { "nginx_version", get_nginx_version, NULL, 0, 0 },
    { "pipe", get_pipe, NULL, 0, 0 },
    { "limit_rate", get_limit_rate, set_limit_rate, 0, VAR_CHANGEABLE | VAR_NOCACHE },
    { "tcpinfo_rtt", get_tcpinfo, NULL, TCPINFO(tcpi_rtt), VAR_NOCACHE },
    { "tcpinfo_rttvar", get_tcpinfo, NULL, TCPINFO(tcpi_rttvar), VAR_NOCACHE },
    { "tcpinfo_snd_cwnd", get_tcpinfo, NULL, TCPINFO(tcpi_snd_cwnd), VAR_NOCACHE },
    { "tcpinfo_rcv_space", get_tcpinfo, NULL, TCPINFO(tcpi_rcv_space), VAR_NOCACHE },
    { "proxy_protocol_addr", get_proxy_protocol, NULL, 0, 0 },
    { "proxy_protocol_port", get_proxy_protocol, NULL, 1, 0 },
    { "proxy_protocol_server_addr", get_proxy_protocol, NULL, 2, 0 },
    { "proxy_protocol_server_port", get_proxy_protocol, NULL, 3, 0 },
    { "http_", get_http_header, NULL, 0, VAR_PREFIX },
    { "arg_", get_arg, NULL, 0, VAR_PREFIX | VAR_NOCACHE },
    { "cookie_", get_cookie, NULL, 0, VAR_PREFIX },
    { "sent_http_", get_sent_http, NULL, 0, VAR_PREFIX | VAR_NOCACHE },
    { "sent_trailer_", get_sent_trailer, NULL, 0, VAR_PREFIX | VAR_NOCACHE },
    { NULL, NULL, NULL, 0, 0 },
};
