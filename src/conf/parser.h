/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * configuration = *( directive / block ), by recursive descent over the lexer's words; `include` is
 * expanded while reading, with globs in sorted order, relative names under conf_dir. Depth of blocks
 * and includes is bounded. Goes on after an error where a next directive can be found.
 */
#pragma once

#include "conf/diag.h"

struct conf_source {
    struct slice conf_file; /* full path of the main file, NUL-terminated */
    struct slice conf_dir; /* its directory with the trailing slash */
    struct slice command_line; /* -g text, may be empty */
};

/* NULL only when nothing could be read at all; the errors are in `diag`. */
struct conf_tree *conf_parse(struct pool *pool, struct conf_diag *diag,
                             const struct conf_source *source);
/* From memory, for tests, fuzzing and generated blocks; include is refused when conf_dir is empty. */
struct conf_tree *conf_parse_text(struct pool *pool, struct conf_diag *diag, struct slice name,
                                  struct slice text, struct slice conf_dir);
