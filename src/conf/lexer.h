/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes to tokens, nginx's lexer: words end at blanks, ";", "{" (not within "${"), quotes hold
 * anything, backslash escapes, "#" at the start of a word begins a comment.
 */
#pragma once

#include "conf/diag.h"

/* What nginx's buffer holds: a longer word is an error. */
#define CONF_WORD_MAX 4095

enum conf_token_kind {
    TOK_WORD,
    TOK_SEMICOLON,
    TOK_LBRACE,
    TOK_RBRACE,
    TOK_EOF,
    TOK_BAD, /* reported */
};

struct conf_token {
    enum conf_token_kind kind;
    struct conf_word word; /* pos is valid for every kind */
};

struct conf_lexer {
    const struct conf_file *file;
    size_t at;
    uint32_t line;
    size_t line_start;
    struct pool *pool;
    struct conf_diag *diag;
    uint32_t *seq;
    bool after_quote; /* a blank or terminator must follow a quoted word */
};

void conf_lexer_init(struct conf_lexer *lx, const struct conf_file *file, struct pool *pool,
                     struct conf_diag *diag, uint32_t *seq);
struct conf_token conf_lex(struct conf_lexer *lx);
