/* SPDX-License-Identifier: BSD-2-Clause */
/* The modules of http/mod/ and http/proxy/, for the list in modules.c. */
#pragma once

#include "http/http.h"

extern const struct http_module http_access_module;
extern const struct http_module http_autoindex_module;
extern const struct http_module http_charset_module;
extern const struct http_module http_empty_gif_module;
extern const struct http_module http_headers_module;
extern const struct http_module http_index_module;
extern const struct http_module http_log_module;
extern const struct http_module http_map_module;
extern const struct http_module http_not_modified_module;
extern const struct http_module http_proxy_module;
extern const struct http_module http_range_module;
extern const struct http_module http_rewrite_module;
extern const struct http_module http_static_module;
extern const struct http_module http_stub_status_module;
extern const struct http_module http_try_files_module;
extern const struct http_module http_upstream_module;
