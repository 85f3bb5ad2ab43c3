/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Identity follows the name the program is run under: as `nginx` it says so in messages, titles,
 * the Server header and error pages, and reads nginx's paths.
 */
#pragma once

#include "base/slice.h"

void ident_init(const char *argv0);
bool ident_is_nginx(void);
const char *ident_name(void); /* "fairlead" | "nginx" */
struct slice ident_server(void); /* "fairlead/0.1.0" | "nginx/1.31.5" */
const char *ident_version(void); /* of ident_server() */

struct ident_paths {
    const char *prefix;
    const char *conf;
    const char *pid;
    const char *error_log;
    const char *http_log;
    const char *lock;
    const char *temp; /* directory of the temp paths */
};
const struct ident_paths *ident_paths(void);
