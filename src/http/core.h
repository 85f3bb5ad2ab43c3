/* SPDX-License-Identifier: BSD-2-Clause */
/* ngx_http_core_module's settings, as others read them: http_core_loc(r)->root. */
#pragma once

#include "http/http.h"
#include "os/file.h"

struct http_error_page {
    int status; /* which */
    int overwrite; /* -1: keep, 0: what the page answers ("="), else =code */
    struct template *uri; /* uri, @name or URL */
    struct slice args;
};

struct http_core_main {
    int64_t ignored_num; /* table sizes: checked, no meaning here */
};

/* One a server (level SRV). */
struct http_core_srv {
    int64_t client_header_timeout;
    int64_t client_header_buffer_size;
    struct conf_bufs large_client_header_buffers;
    int64_t connection_pool_size;
    int64_t request_pool_size;
    int64_t max_headers;
    bool ignore_invalid_headers;
    bool merge_slashes;
    bool underscores_in_headers;
};

enum http_satisfy { HTTP_SATISFY_ALL, HTTP_SATISFY_ANY };
enum http_ims { HTTP_IMS_OFF, HTTP_IMS_EXACT, HTTP_IMS_BEFORE };
enum http_lingering { HTTP_LINGERING_OFF, HTTP_LINGERING_ON, HTTP_LINGERING_ALWAYS };
enum http_server_tokens { HTTP_TOKENS_OFF, HTTP_TOKENS_ON, HTTP_TOKENS_BUILD };
enum http_disable_symlinks { HTTP_SYMLINKS_OFF, HTTP_SYMLINKS_ON, HTTP_SYMLINKS_IF_NOT_OWNER };
enum http_file_body { HTTP_FILE_BODY_OFF, HTTP_FILE_BODY_ON, HTTP_FILE_BODY_CLEAN };
enum http_aio { HTTP_AIO_OFF, HTTP_AIO_ON, HTTP_AIO_THREADS };
enum http_keepalive_disable { HTTP_KA_NONE = 1, HTTP_KA_MSIE6 = 2, HTTP_KA_SAFARI = 4 };

/* One a location (level LOC). */
struct http_core_loc {
    struct template *root; /* or alias; relative ones are made absolute at load */
    bool is_alias;
    size_t alias_n; /* length of the location's name that alias replaces; regex locations: 0 */

    struct hash *types; /* lower-case extension -> struct slice * */
    struct slice default_type;

    int64_t client_max_body_size;
    int64_t client_body_buffer_size;
    int64_t client_body_timeout;
    int client_body_in_file_only; /* enum http_file_body */
    bool client_body_in_single_buffer;
    struct temp_path client_body_temp_path;

    int64_t keepalive_timeout;
    int64_t keepalive_header; /* seconds for Keep-Alive: timeout=N; 0: not sent */
    int64_t keepalive_time;
    int64_t keepalive_min_timeout;
    int64_t keepalive_requests;
    uint32_t keepalive_disable;
    int64_t send_timeout;
    int64_t send_lowat;
    int64_t lingering_time;
    int64_t lingering_timeout;
    int lingering_close;
    bool reset_timedout_connection;
    bool tcp_nodelay;
    bool tcp_nopush;
    int64_t postpone_output;
    struct template *limit_rate;
    struct template *limit_rate_after;

    bool sendfile;
    int64_t sendfile_max_chunk;
    int64_t read_ahead;
    int64_t directio; /* -1: off */
    int64_t directio_alignment;
    int aio;
    struct slice aio_pool;
    bool aio_write;
    struct conf_bufs output_buffers;
    int64_t subrequest_output_buffer_size;

    int satisfy;
    int if_modified_since;
    bool etag;
    int64_t max_ranges; /* -1: no limit */
    bool chunked_transfer_encoding;
    bool absolute_redirect;
    bool server_name_in_redirect;
    bool port_in_redirect;
    bool msie_padding;
    bool msie_refresh;
    bool log_not_found;
    bool log_subrequest;
    bool recursive_error_pages;
    int server_tokens;
    struct template *server_tokens_text;
    struct {
        struct http_error_page *items;
        size_t n;
        size_t cap;
    } error_pages;

    int disable_symlinks;
    struct template *disable_symlinks_from;

    /* open_file_cache */
    int64_t open_file_cache_max; /* 0: off */
    int64_t open_file_cache_inactive;
    int64_t open_file_cache_valid;
    int64_t open_file_cache_min_uses;
    bool open_file_cache_errors;

    int64_t auth_delay;
    VEC(struct template *) early_hints; /* conditions; any true: 103 is passed on */
    int64_t ignored_num; /* table sizes: checked, no meaning here */
    struct log log; /* error_log in force */
};

extern const struct http_module http_core_module;
extern const struct http_module http_blocks_module;
extern const struct var_def http_core_vars[];

static inline const struct http_core_loc *
http_core_loc(const struct http_request *r)
{
    return http_loc_conf(r, &http_core_module);
}
static inline const struct http_core_srv *
http_core_srv(const struct http_request *r)
{
    return http_srv_conf(r, &http_core_module);
}
