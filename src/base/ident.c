/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/ident.h"

#include "config.h"

static bool is_nginx;

static const struct ident_paths paths[2] = {
    { PREFIX, CONF_PATH, PID_PATH, ERROR_LOG_PATH, HTTP_LOG_PATH, LOCK_PATH, TEMP_PATH },
    { NGINX_PREFIX, NGINX_CONF_PATH, NGINX_PID_PATH, NGINX_ERROR_LOG_PATH, NGINX_HTTP_LOG_PATH,
      NGINX_LOCK_PATH, NGINX_TEMP_PATH },
};

void
ident_init(const char *argv0)
{
    const char *slash = strrchr(argv0, '/');

    is_nginx = strcmp(slash == NULL ? argv0 : slash + 1, "nginx") == 0;
}

bool
ident_is_nginx(void)
{
    return is_nginx;
}

const char *
ident_name(void)
{
    return is_nginx ? "nginx" : "fairlead";
}

struct slice
ident_server(void)
{
    return is_nginx ? SLICE("nginx/" NGINX_COMPAT_VERSION) : SLICE("fairlead/" FAIRLEAD_VERSION);
}

const char *
ident_version(void)
{
    return is_nginx ? NGINX_COMPAT_VERSION : FAIRLEAD_VERSION;
}

const struct ident_paths *
ident_paths(void)
{
    return &paths[is_nginx];
}
