/* SPDX-License-Identifier: BSD-2-Clause */
/* Pieces of directive arguments that calls parse themselves. */
#pragma once

#include "conf/bind.h"

/* "name=value": true when `word` starts with `name` and "="; *value is what follows. */
bool conf_param(struct slice word, const char *name, struct slice *value);
/* Find the parameter in args from `first` on; NULL when absent. */
const struct conf_word *conf_find_param(const struct conf_node *node, uint32_t first,
                                        const char *name, struct slice *value);
/* Full name: absolute as is, else under the prefix (conf_prefix: under the configuration's directory). NUL-terminated. */
struct slice conf_full_path(struct conf_ctx *cf, struct slice name, bool conf_prefix);
