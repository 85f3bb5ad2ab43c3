/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an HTTP module includes: request, headers, phases, verdicts, filters, configuration access.
 *
 * Life of a request: the transport (h1, h2) fills in the head and calls http_run(); the phases run
 * their handlers; a content handler answers with http_send_header() and http_output(); when the
 * last buf has left, the log phase runs and the transport takes the connection back. A request that
 * waits for something (timer, upstream, body, subrequest) is left by HTTP_WAIT and continued with
 * http_resume(); while it waits, `on_abort` is how it hears that the client has gone.
 */
#pragma once

#include "base/buf.h"
#include "base/check.h"
#include "base/pool.h"
#include "base/vec.h"
#include "cycle/cycle.h"
#include "cycle/module.h"
#include "expr/template.h"
#include "expr/var.h"
#include "http/uri.h"
#include "net/conn.h"

struct http_request;
struct http_server;
struct http_location;
struct http_main;
struct http_body_filter;

/* --- where directives may stand ------------------------------------------------------------ */

#define IN_HTTP CONF_IN(CTX_HTTP, CONF_LEVEL_MAIN)
#define IN_HTTP_SRV CONF_IN(CTX_HTTP | CTX_SRV, CONF_LEVEL_SRV)
#define IN_SRV CONF_IN(CTX_SRV, CONF_LEVEL_SRV)
#define IN_HTTP_ANY CONF_IN(CTX_HTTP | CTX_SRV | CTX_LOC, CONF_LEVEL_LOC)
#define IN_HTTP_ANY_LIF CONF_IN(CTX_HTTP | CTX_SRV | CTX_LOC | CTX_LIF, CONF_LEVEL_LOC)
#define IN_LOC CONF_IN(CTX_LOC, CONF_LEVEL_LOC)

/* --- methods, versions, phases, verdicts --------------------------------------------------- */

enum http_method { /* bits, for limit_except and proxy_cache_methods */
    HTTP_UNKNOWN = 1 << 0,
    HTTP_GET = 1 << 1,
    HTTP_HEAD = 1 << 2,
    HTTP_POST = 1 << 3,
    HTTP_PUT = 1 << 4,
    HTTP_DELETE = 1 << 5,
    HTTP_MKCOL = 1 << 6,
    HTTP_COPY = 1 << 7,
    HTTP_MOVE = 1 << 8,
    HTTP_OPTIONS = 1 << 9,
    HTTP_PROPFIND = 1 << 10,
    HTTP_PROPPATCH = 1 << 11,
    HTTP_LOCK = 1 << 12,
    HTTP_UNLOCK = 1 << 13,
    HTTP_PATCH = 1 << 14,
    HTTP_TRACE = 1 << 15,
    HTTP_CONNECT = 1 << 16,
};

enum http_version { HTTP_VERSION_9 = 9, HTTP_VERSION_10 = 1000, HTTP_VERSION_11 = 1001, HTTP_VERSION_20 = 2000 };

/* In running order; HTTP_PHASE_NONE is for modules without a handler. */
enum http_phase {
    HTTP_PHASE_NONE,
    HTTP_POST_READ_PHASE,
    HTTP_SERVER_REWRITE_PHASE,
    HTTP_FIND_CONFIG_PHASE, /* the core's */
    HTTP_REWRITE_PHASE,
    HTTP_POST_REWRITE_PHASE, /* the core's: uri changed -> find config again */
    HTTP_PREACCESS_PHASE,
    HTTP_ACCESS_PHASE, /* combined by `satisfy` */
    HTTP_POST_ACCESS_PHASE, /* the core's */
    HTTP_PRECONTENT_PHASE,
    HTTP_CONTENT_PHASE,
    HTTP_LOG_PHASE,
    HTTP_N_PHASES,
};

/* What a handler decided. */
enum http_verdict_kind {
    HTTP_DECLINED, /* not my business: the next handler */
    HTTP_OK, /* go on with the next phase (access: allowed) */
    HTTP_WAIT, /* http_resume() or http_finalize() will be called */
    HTTP_FINISH, /* answer with this status (error pages apply); 0: the response is produced already */
    HTTP_RESTART, /* the uri or location was changed: run the phases from r->phase */
};
struct http_verdict {
    enum http_verdict_kind kind;
    int status;
};
static inline struct http_verdict
http_declined(void)
{
    return (struct http_verdict){ .kind = HTTP_DECLINED };
}
static inline struct http_verdict
http_ok(void)
{
    return (struct http_verdict){ .kind = HTTP_OK };
}
static inline struct http_verdict
http_wait(void)
{
    return (struct http_verdict){ .kind = HTTP_WAIT };
}
static inline struct http_verdict
http_finish(int status)
{
    return (struct http_verdict){ .kind = HTTP_FINISH, .status = status };
}
/* The handler sent header and body itself (http_send_header, http_output with the last buf). */
static inline struct http_verdict
http_done(void)
{
    return (struct http_verdict){ .kind = HTTP_FINISH };
}
/* Go on with the next handler in delay_ms (limit_req, auth_delay). */
struct http_verdict http_wait_ms(struct http_request *r, int64_t delay_ms);

typedef struct http_verdict (*http_handler_fn)(struct http_request *r);

/* --- headers ------------------------------------------------------------------------------- */

/* Known names, from headers.def: HTTP_H_HOST, HTTP_H_CONTENT_LENGTH, ...; 0 is any other name. */
enum http_header_id {
    HTTP_H_OTHER,
#define H(id, name, flags) HTTP_H_##id,
#include "http/headers.def"
#undef H
    HTTP_H_COUNT,
};

struct http_header {
    struct slice name; /* as it came or will be sent */
    struct slice value;
    uint16_t id; /* enum http_header_id */
    bool hidden; /* not sent (responses); a removed one */
};
struct http_headers {
    struct http_header *items;
    size_t n;
    size_t cap;
};
/* First one with the id (not hidden); NULL. */
struct http_header *http_header_find(const struct http_headers *hs, enum http_header_id id);
struct http_header *http_header_find_name(const struct http_headers *hs, struct slice name);
/* Value of the first one, or SLICE_NONE. */
struct slice http_header_value(const struct http_headers *hs, enum http_header_id id);
/* Append; the slices must live as long as the pool. id is looked up when HTTP_H_OTHER. */
struct http_header *http_header_add(struct http_request *r, struct http_headers *hs,
                                    enum http_header_id id, struct slice name, struct slice value);
/* Replace the first and hide the rest, or append; an empty value only hides. */
void http_header_set(struct http_request *r, struct http_headers *hs, enum http_header_id id,
                     struct slice name, struct slice value);
enum http_header_id http_header_id_of(struct slice name);
struct slice http_header_name_of(enum http_header_id id);

struct http_headers_in {
    struct http_headers all; /* in order of arrival */
    struct slice host; /* lower case, without port and final dot; from the target if absolute */
    struct slice host_field; /* $http_host: as sent */
    int64_t content_length; /* -1: none */
    bool chunked;
    bool connection_close;
    bool connection_keep_alive;
    bool connection_upgrade;
    bool expect_continue;
    bool has_if_headers; /* any of If-* or Range: a quick check for the filters */
};

struct http_headers_out {
    struct http_headers all; /* what handlers and upstreams add; the standard ones below are apart */
    int status;
    struct slice status_line; /* "200 OK" as an upstream said it; empty: by status */
    int64_t content_length; /* -1: unknown */
    time_t last_modified; /* -1: none */
    struct slice last_modified_text; /* as an upstream sent it; wins over the time */
    struct slice content_type; /* without charset parameter when charset is set */
    struct slice charset;
    struct slice location; /* absolute-ised when it starts with "/" */
    struct slice server; /* upstream's with proxy_pass_header Server; empty: own */
    struct slice date; /* likewise */
    struct slice etag; /* with quotes */
    bool no_content_type; /* do not add default_type */
    bool chunked; /* set by the transport when the length is unknown */
    struct http_headers trailers; /* after the body */
    bool expect_trailers; /* add_trailer will add some: use chunked coding */
};

/* --- request -------------------------------------------------------------------------------- */

struct http_transport; /* http/transport.h: h1, h2 */
struct http_body; /* http/body.h */
struct http_exchange; /* http/proxy: the upstream side */

/* A try of an upstream, for $upstream_* (all tries are kept, joined by ", " and " : "). */
struct http_upstream_state {
    struct slice peer; /* "127.0.0.1:3000" */
    int status; /* 0: none */
    int64_t response_time_ms; /* -1: none */
    int64_t connect_time_ms;
    int64_t header_time_ms;
    int64_t queue_time_ms;
    uint64_t response_length;
    uint64_t bytes_received;
    uint64_t bytes_sent;
    bool new_group; /* " : " before it: a further upstream of this request */
};

struct http_request {
    uint32_t magic; /* MAGIC_REQUEST */
    struct conn *c; /* the client's connection */
    const struct http_transport *transport;
    void *stream; /* of the transport: struct h1_conn, h2 stream */
    struct pool *pool;
    struct cycle *cycle;
    struct http_request *main; /* itself for a main request */
    struct http_request *parent;

    /* request line */
    enum http_method method;
    enum http_version version;
    struct slice method_name;
    struct slice request_line; /* "$request" */
    struct slice protocol; /* $server_protocol, as sent */
    struct slice unparsed_uri; /* $request_uri */
    struct slice schema; /* "http" | "https" */
    struct slice uri; /* $uri: decoded, normalised */
    struct slice args; /* $args */
    struct slice exten; /* extension of uri, for types */
    bool has_args; /* $is_args */
    bool plain_http; /* plain HTTP on a TLS port (497) */
    bool valid_unparsed_uri; /* uri not changed by rewrite: proxy_pass without URI sends unparsed_uri */
    bool uri_replaced; /* by a rewrite within this location (`break`): proxy_pass with a URI sends it
                          whole; cleared by find-config */
    bool internal; /* internal redirect or subrequest: `internal` locations allowed */
    bool header_only; /* HEAD, or no body for this status */

    struct http_headers_in in;
    struct http_headers_out out;
    struct http_body *body; /* NULL: none or not looked at yet */

    /* configuration in force: the scope structs of server, location, if block */
    void **structs;
    struct http_server *server;
    struct http_location *loc; /* NULL before find-config */
    void **ctx; /* by module index; http_ctx() */
    struct var_scope vars;

    /* phase engine */
    enum http_phase phase;
    uint32_t handler_at; /* within the phase */
    uint8_t uri_changes; /* left: 10, then a cycle (500) */
    uint8_t subrequests; /* left: 50 */
    bool uri_changed;
    bool access_denied; /* satisfy any: somebody refused */
    int access_status;
    http_handler_fn content_handler; /* of the location; NULL: the phase's handlers */
    bool skip_rewrite; /* `break`, named locations */

    /* response */
    struct http_body_filter *filters; /* those with work, in order; NULL: straight to the transport */
    struct chain out_pending; /* accepted by http_output, not sent yet */
    uint64_t limit_rate; /* bytes a second; 0: none ($limit_rate) */
    uint64_t limit_rate_after;
    bool limit_rate_set;
    bool limit_rate_after_set;
    bool header_sent;
    bool out_last; /* the last buf was given to http_output */
    bool finalized;
    bool keepalive; /* as far as the response is concerned */
    bool lingering_close;
    bool discard_body;
    bool error_page_taken; /* no second error_page (unless recursive_error_pages) */
    bool expect_tested; /* 100 Continue was sent or is not wanted */
    bool ranges_allowed; /* the content handler can serve ranges: static, cache */
    bool single_range;
    int replace_status; /* a header filter wants this status instead (412, 416) */
    bool upgraded; /* 101: the connection is a tunnel now */
    bool sent_all; /* finalized, and everything left */
    bool redirect_kept; /* the log keeps the original request line; uri changed */
    bool logged;
    bool aborted; /* the client has gone */
    int error_status; /* $status inside an error page: 0 or the status kept over a redirect */

    /* waiting */
    void (*on_abort)(struct http_request *r); /* the client went away; NULL: finalize with 499 */
    void (*on_writable)(struct http_request *r); /* all of out_pending was sent: produce more */
    struct timer timer; /* http_wait_ms */
    struct timer rate_timer; /* limit_rate */
    uint64_t framing_bytes; /* of chunked coding, not counted in $body_bytes_sent's like */
    bool interim_pending; /* only a 1xx waits in out_pending */
    bool reset; /* close with RST */
    bool pipelined; /* came together with the one before */
    struct slice id; /* $request_id, once asked for */
    struct log_ctx log_ctx; /* log_ctx.action: what is going on, " while ..." */
    struct slice log_upstream; /* "http://127.0.0.1:3000/x", for log lines; empty: no upstream now */
    struct log log;

    /* subrequests */
    void (*on_sub_done)(struct http_request *sub); /* in a subrequest: it is complete */
    void *sub_data;
    bool sub_capture; /* body is collected in sub_body instead of being sent */
    bool background;
    struct chain sub_body;
    uint32_t refs; /* in a main request: itself and its living subrequests */

    struct http_exchange *upstream;
    VEC(struct http_upstream_state) upstream_states;

    int64_t start_ms; /* clock_ms() */
    int64_t start_wall_ms;
    uint64_t header_size; /* of the response head */
    uint64_t sent; /* bytes to the client for this request, $bytes_sent */
    uint64_t body_sent; /* $body_bytes_sent */
    uint64_t request_length;
    struct slice remote_user; /* set by auth_basic ... */
};

/* Module context of a request; allocated by the module, in r->pool. */
#define http_ctx(r, m) ((r)->ctx[(m)->conf.id->index])
#define http_set_ctx(r, m, p) ((r)->ctx[(m)->conf.id->index] = (p))
/* Structs in force for a request. own: NULL when no directive of that level stands in the block. */
#define http_loc_conf(r, m) ((r)->structs[(m)->conf.id->slot[CONF_LEVEL_LOC]])
#define http_srv_conf(r, m) ((r)->structs[(m)->conf.id->slot[CONF_LEVEL_SRV]])
#define http_main_conf(r, m) ((r)->structs[(m)->conf.id->slot[CONF_LEVEL_MAIN]])
#define http_own_conf(r, m) ((r)->structs[(m)->conf.id->slot[CONF_LEVEL_OWN]])
/* The same while the configuration is read. */
#define http_conf_main(cf, m) conf_struct((cf)->scope, &(m)->conf, CONF_LEVEL_MAIN)

/* Run the phases from r->phase on. */
void http_run(struct http_request *r);
/* After HTTP_WAIT: the waiting handler's verdict is now this. */
void http_resume(struct http_request *r, struct http_verdict v);
/* End the request from outside a handler: status >= 300 or 2xx special responses make their page
 * (error_page applies), 0: the response is out or being sent; 444/499: close without a word. */
void http_finalize(struct http_request *r, int status);
/* Go to another uri (args may be empty), or a named location. */
struct http_verdict http_internal_redirect(struct http_request *r, struct slice uri,
                                           struct slice args);
struct http_verdict http_named_location(struct http_request *r, struct slice name);
/* `capture`: collect the body in sub->sub_body; `background`: the parent does not wait; with
 * `head_only` no body is made. done() gets the finished subrequest (sub->sub_data is `data`). */
struct http_subrequest_opts {
    bool capture;
    bool background;
    bool head_only;
    struct slice method; /* empty: GET (HEAD for head_only) */
    void (*done)(struct http_request *sub);
    void *data;
};
struct http_request *http_subrequest(struct http_request *r, struct slice uri, struct slice args,
                                     const struct http_subrequest_opts *opts);

/* --- response -------------------------------------------------------------------------------- */

enum http_out {
    HTTP_OUT_ERROR, /* the client is gone; finalize */
    HTTP_OUT_DONE, /* all sent */
    HTTP_OUT_AGAIN, /* kept in out_pending; on_writable comes */
};
/* Header filters run, the head is written (sent with the first body bytes). */
enum http_out http_send_header(struct http_request *r);
/* Body through the filters to the transport; takes the bufs. The last buf has last_buf set. */
enum http_out http_output(struct http_request *r, struct chain *body);
/* A whole answer from memory: status, type (empty: default_type), body. */
struct http_verdict http_send_text(struct http_request *r, int status, struct slice type,
                                   struct slice body);
/* [from, to) of a file, closed (through `cleanup` of the pool) by whoever opened it. */
struct http_verdict http_send_file(struct http_request *r, int fd, off_t size);
/* Interim response: 103 with the headers given (1xx, h1 only >= 1.1). */
void http_send_interim(struct http_request *r, int status, const struct http_headers *hs);
/* "404 Not Found" for a status line, nginx's words; "404 " for an unknown one. */
struct slice http_status_line(int status);
/* Content-Type by extension of r->uri (types, default_type) into r->out. */
void http_set_content_type(struct http_request *r);
/* ETag from mtime and size when `etag on`. */
void http_set_etag(struct http_request *r);
/* Path of the file for r->uri by root/alias; `reserve` bytes stay free behind it. NUL-terminated.
 * SLICE_NONE after an error was logged. *root_n: length of the root part. */
struct slice http_map_path(struct http_request *r, size_t reserve, size_t *root_n);

/* A body filter that has work for this response. filter() takes bufs from `in`, and hands on with
 * http_next_filter(r, f, chain). Added by header filters; they run in the order of
 * `enum http_filter_order`, whoever adds first. */
enum http_filter_order {
    HTTP_FILTER_COPY,
    HTTP_FILTER_SLICE,
    HTTP_FILTER_SUB,
    HTTP_FILTER_ADDITION,
    HTTP_FILTER_GUNZIP,
    HTTP_FILTER_CHARSET,
    HTTP_FILTER_COMPRESS,
    HTTP_FILTER_RANGE,
    HTTP_FILTER_TRAILERS,
};
struct http_body_filter {
    struct http_body_filter *next;
    enum http_filter_order order;
    enum http_out (*filter)(struct http_request *r, struct http_body_filter *f, struct chain *in);
    void *data;
};
void http_add_filter(struct http_request *r, enum http_filter_order order,
                     enum http_out (*filter)(struct http_request *, struct http_body_filter *,
                                             struct chain *),
                     void *data);
enum http_out http_next_filter(struct http_request *r, struct http_body_filter *f,
                               struct chain *in);

/* --- modules ---------------------------------------------------------------------------------- */

/* Looks at the response before its head is written: false: 500 instead. Cheap when there is no work. */
typedef bool (*http_header_filter_fn)(struct http_request *r);

struct http_module {
    struct conf_module conf; /* name, directives, id, sizes, init, finish */
    const struct var_def *vars; /* static variables */
    enum http_phase phase;
    http_handler_fn handler;
    enum http_phase phase2;
    http_handler_fn handler2;
    http_header_filter_fn header_filter; /* in the order of modules.c */
    enum conf_result (*preconf)(struct conf_ctx *cf); /* at the start of http{} */
    enum conf_result (*postconf)(struct conf_ctx *cf); /* at its end; cf->scope is http's */
    bool (*start_worker)(struct http_main *hm, struct loop *loop);
    void (*stop_worker)(struct http_main *hm);
};
/* modules.c: all HTTP modules; their order is that within a phase and of the header filters. */
extern const struct http_module *const http_modules[];

/* The http{} block. */
struct http_main {
    struct cycle *cycle;
    struct pool *pool;
    struct conf_scope *scope;
    struct var_table *vars;
    VEC(struct http_server *) servers;
    VEC(struct http_handler_ref { http_handler_fn handler; const struct http_module *m; }) phases[HTTP_N_PHASES];
    VEC(http_header_filter_fn) header_filters;
    uint32_t n_modules;
    struct http_addr *addrs; /* all `listen` addresses, http/listen.h */
    void *upstreams; /* http/mod/upstream.c's list of groups by name */
};
/* The access log's path when nothing names one. */
struct slice http_default_log_path(const struct conf_ctx *cf);
/* While http{} is being read. */
static inline struct http_main *
http_main_of(const struct conf_ctx *cf)
{
    return cf->protocol;
}

enum http_loc_kind {
    HTTP_LOC_PREFIX,
    HTTP_LOC_EXACT, /* = */
    HTTP_LOC_NO_REGEX, /* ^~ */
    HTTP_LOC_REGEX, /* ~ and ~* */
    HTTP_LOC_NAMED, /* @ */
    HTTP_LOC_UNNAMED, /* if blocks, limit_except */
};

struct http_location {
    enum http_loc_kind kind;
    struct slice name;
    struct regex *regex;
    struct http_server *server;
    struct http_location *outer; /* the location it is nested in; NULL at server level */
    struct conf_scope *scope; /* scope->structs are what requests use */
    const struct conf_node *node;
    http_handler_fn handler; /* content handler (proxy_pass, stub_status ...); NULL: the phase */
    void *handler_data; /* proxy_pass: its compiled target */
    bool auto_redirect; /* "/x/" with a proxy handler: /x answers 301 */
    bool noname; /* an unnamed block */
    bool is_internal;
    struct location_table *inner; /* nested locations */
    struct http_location *limit_except; /* its block; methods below */
    uint32_t limit_except_methods;
};

struct http_server {
    struct conf_scope *scope;
    struct http_main *main;
    const struct conf_node *node;
    struct slice name; /* first server_name, $server_name */
    struct location_table *locations;
    struct http_location *loc; /* the server's own settings as a location, before find-config */
};
