/* SPDX-License-Identifier: BSD-2-Clause */
/* THE lists: modules (their order is that within a phase, and of the header filters), and the names that
 * stand for what is built in or not there yet. */
#include "cycle/core.h"
#include "cycle/module.h"
#include "http/blocks.h"
#include "http/core.h"
#include "http/mod/mod.h"

const struct module *const modules[] = {
    &core_module,
    &http_block_module,
    NULL,
};

const struct http_module *const http_modules[] = {
    &http_core_module,
    &http_blocks_module,
    &http_rewrite_module,
    &http_access_module,
    &http_try_files_module,
    &http_upstream_module,
    &http_proxy_module,
    &http_map_module,
    &http_empty_gif_module,
    &http_stub_status_module,
    &http_index_module,
    &http_autoindex_module,
    &http_static_module,
    &http_charset_module,
    &http_headers_module,
    &http_not_modified_module,
    &http_range_module,
    &http_log_module,
    NULL,
};

/* Debian's modules-enabled files name these. */
const char *const builtin_dynamic_modules[] = { NULL };
