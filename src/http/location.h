/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locations of one level (a server, or a location that has nested ones): exact names in a hash,
 * prefixes in a radix tree, regular expressions in order. Lookup cost does not grow with their
 * number.
 */
#pragma once

#include "http/http.h"

struct location_table;

struct location_table *location_table_new(struct pool *pool);
/* false: a location of that name is there already (duplicate). */
bool location_table_add(struct location_table *t, struct pool *pool, struct http_location *loc);
/* After all were added: the names "/x/" whose handler redirects "/x". */
void location_table_finish(struct location_table *t, struct pool *pool);

enum location_match {
    LOCATION_NONE,
    LOCATION_FOUND,
    LOCATION_REDIRECT, /* *found is "/x/" and uri is "/x": answer 301 */
    LOCATION_FAILED, /* a regex hit a limit: 500 */
};
/* The location for r->uri, nested ones included; captures go into r->vars. */
enum location_match location_find(const struct location_table *t, struct http_request *r,
                                  struct http_location **found);
struct http_location *location_find_named(const struct location_table *t, struct slice name);
/* Each location of this level, in order of the file. */
void location_each(const struct location_table *t,
                   enum conf_result (*fn)(void *arg, struct http_location *loc), void *arg);
