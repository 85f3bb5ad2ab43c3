/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening the file of a request under disable_symlinks, and what to answer when that fails. */
#pragma once

#include "http/http.h"

#include <sys/stat.h>

/* -1 with errno; else the descriptor, closed with the request, and *st. */
int http_open_file(struct http_request *r, struct slice path, struct stat *st);
/* stat() with the same rules; false with errno. */
bool http_stat_file(struct http_request *r, struct slice path, struct stat *st);
/* The status for errno of an open, logged as nginx does. */
int http_open_failed(struct http_request *r, struct slice path, int err);
