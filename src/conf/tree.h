/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration as it was written: what the parser makes and the binder walks. Includes are
 * expanded in place. Everything lives in the tree's pool, as long as its cycle.
 */
#pragma once

#include "base/slice.h"

#include <stdint.h>

struct pool;

/* A file that was read, or the "command line" of -g. */
struct conf_file {
    struct conf_file *next; /* in order of first use, for -T */
    struct slice path; /* as nginx prints it; NUL-terminated */
    struct slice text;
    bool is_command_line; /* errors say "in command line" */
};

struct conf_pos {
    const struct conf_file *file;
    uint32_t line; /* from 1 */
    uint32_t column; /* from 1, in bytes */
    uint32_t seq; /* order of reading over all files: errors are reported in this order */
};

struct conf_word {
    struct slice text; /* unquoted, unescaped; NUL-terminated; interned in the tree */
    struct conf_pos pos;
    bool quoted;
};

/* name arg arg ... ;   or   name arg ... { children } */
struct conf_node {
    struct conf_node *next;
    struct conf_node *parent; /* NULL at the top */
    const struct conf_word *words; /* words[0] is the name */
    uint32_t n_words;
    bool is_block;
    struct conf_pos open; /* the "{" */
    struct conf_pos end; /* ";" or "}" */
    struct conf_node *children;
};

struct conf_tree {
    struct conf_node *nodes;
    struct conf_file *files;
    struct pool *pool;
};

static inline struct slice
conf_arg(const struct conf_node *node, uint32_t i)
{
    return i < node->n_words ? node->words[i].text : SLICE_NONE;
}
