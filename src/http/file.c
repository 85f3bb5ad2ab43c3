/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/file.h"

#include "http/core.h"
#include "os/file.h"

#include <errno.h>
#include <unistd.h>

static void
close_fd(void *arg)
{
    close((int)(intptr_t)arg);
}

static enum file_symlinks
rule_of(const struct http_request *r)
{
    switch ((enum http_disable_symlinks)http_core_loc(r)->disable_symlinks) {
    case HTTP_SYMLINKS_OFF:
        return FILE_SYMLINKS_ALLOW;
    case HTTP_SYMLINKS_ON:
        return FILE_SYMLINKS_REFUSE;
    case HTTP_SYMLINKS_IF_NOT_OWNER:
        break;
    }
    return FILE_SYMLINKS_SAME_OWNER;
}

static int
open_path(struct http_request *r, struct slice path)
{
    enum file_symlinks rule = rule_of(r);
    size_t from = 0;

    if (rule != FILE_SYMLINKS_ALLOW && http_core_loc(r)->disable_symlinks_from != NULL) {
        struct slice part = template_eval(http_core_loc(r)->disable_symlinks_from, &r->vars);

        from = slice_starts(path, part) ? part.n : 0;
    }
    return file_open_read(path, rule, from);
}

int
http_open_file(struct http_request *r, struct slice path, struct stat *st)
{
    int fd = open_path(r, path);

    if (fd < 0) {
        return -1;
    }
    if (fstat(fd, st) != 0) {
        int err = errno;

        close(fd);
        errno = err;
        return -1;
    }
    pool_on_free(r->pool, close_fd, (void *)(intptr_t)fd);
    return fd;
}

bool
http_stat_file(struct http_request *r, struct slice path, struct stat *st)
{
    if (rule_of(r) == FILE_SYMLINKS_ALLOW) {
        return stat(path.p, st) == 0;
    }
    int fd = open_path(r, path);

    if (fd < 0) {
        return false;
    }
    bool good = fstat(fd, st) == 0;

    close(fd);
    return good;
}

int
http_open_failed(struct http_request *r, struct slice path, int err)
{
    int status;
    enum log_level lvl = LOG_LVL_ERR;

    switch (err) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
        status = 404;
        break;
    case EACCES:
    case ELOOP:
    case EMLINK:
        status = 403;
        break;
    default:
        lvl = LOG_LVL_CRIT;
        status = 500;
        break;
    }
    if (status != 404 || http_core_loc(r)->log_not_found) {
        log_error(&r->log, lvl, err, "open() \"%.*s\" failed", SLICE_ARG(path));
    }
    return status;
}
