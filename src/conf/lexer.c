/* SPDX-License-Identifier: BSD-2-Clause */
#include "conf/lexer.h"

#include "base/pool.h"

void
conf_lexer_init(struct conf_lexer *lx, const struct conf_file *file, struct pool *pool,
                struct conf_diag *diag, uint32_t *seq)
{
    *lx = (struct conf_lexer){ .file = file, .line = 1, .pool = pool, .diag = diag, .seq = seq };
    if (slice_starts(file->text, SLICE("\xef\xbb\xbf"))) {
        lx->at = 3;
    }
}

static struct conf_pos
here(struct conf_lexer *lx)
{
    return (struct conf_pos){ .file = lx->file,
                              .line = lx->line,
                              .column = (uint32_t)(lx->at - lx->line_start + 1),
                              .seq = (*lx->seq)++ };
}

static int
peek(const struct conf_lexer *lx)
{
    return lx->at < lx->file->text.n ? (unsigned char)lx->file->text.p[lx->at] : -1;
}

static int
step(struct conf_lexer *lx)
{
    int c = peek(lx);

    lx->at++;
    if (c == '\n') {
        lx->line++;
        lx->line_start = lx->at;
    }
    return c;
}

static bool
is_space(int c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void
skip_blank(struct conf_lexer *lx)
{
    for (;;) {
        while (is_space(peek(lx))) {
            step(lx);
        }
        if (peek(lx) != '#') {
            return;
        }
        while (peek(lx) >= 0 && peek(lx) != '\n') {
            step(lx);
        }
    }
}

/* \" \' \\ lose the backslash, \t \r \n become the byte; any other pair stays as it is. */
static size_t
unescape(char *p, const char *raw, size_t n)
{
    size_t out = 0;

    for (size_t i = 0; i < n; i++) {
        if (raw[i] != '\\' || i + 1 >= n) {
            p[out++] = raw[i];
            continue;
        }
        switch (raw[i + 1]) {
        case '"':
        case '\'':
        case '\\':
            p[out++] = raw[++i];
            break;
        case 't':
            p[out++] = '\t';
            i++;
            break;
        case 'r':
            p[out++] = '\r';
            i++;
            break;
        case 'n':
            p[out++] = '\n';
            i++;
            break;
        default:
            p[out++] = raw[i];
        }
    }
    return out;
}

static struct conf_token
bad(void)
{
    return (struct conf_token){ .kind = TOK_BAD };
}

static struct conf_token
finish_word(struct conf_lexer *lx, struct conf_pos pos, size_t from, size_t to, bool quoted)
{
    const char *raw = lx->file->text.p + from;
    char *p = pool_bytes(lx->pool, to - from + 1);
    size_t n = unescape(p, raw, to - from);

    p[n] = '\0';
    return (struct conf_token){ .kind = TOK_WORD,
                                .word = { .text = slice_of(p, n), .pos = pos, .quoted = quoted } };
}

static struct conf_token
quoted_word(struct conf_lexer *lx, struct conf_pos pos)
{
    int quote = step(lx);
    size_t from = lx->at;

    for (;;) {
        int c = step(lx);

        if (lx->at - from > CONF_WORD_MAX) {
            diag_error(lx->diag, pos,
                       "too long parameter, probably missing terminating \"%c\" character", quote);
            return bad();
        }
        if (c < 0) {
            lx->at = lx->file->text.n;
            diag_error(lx->diag, here(lx), "unexpected end of file, expecting \";\" or \"}\"");
            return bad();
        }
        if (c == '\\') {
            step(lx);
        } else if (c == quote) {
            lx->after_quote = true;
            return finish_word(lx, pos, from, lx->at - 1, true);
        }
    }
}

static struct conf_token
plain_word(struct conf_lexer *lx, struct conf_pos pos)
{
    size_t from = lx->at;
    bool variable = false; /* behind "$": a "{" belongs to the word */

    for (;;) {
        int c = peek(lx);
        bool brace = c == '{' && variable;

        if (c < 0 || is_space(c) || c == ';' || (c == '{' && !brace)) {
            return finish_word(lx, pos, from, lx->at, false);
        }
        variable = c == '$';
        step(lx);
        if (c == '\\' && peek(lx) >= 0) {
            step(lx);
        }
        if (lx->at - from > CONF_WORD_MAX) {
            diag_error(lx->diag, pos, "too long parameter \"%.10s...\" started",
                       lx->file->text.p + from);
            return bad();
        }
    }
}

struct conf_token
conf_lex(struct conf_lexer *lx)
{
    if (lx->after_quote) {
        int c = peek(lx);

        lx->after_quote = false;
        if (c >= 0 && !is_space(c) && c != ';' && c != '{' && c != ')') {
            diag_error(lx->diag, here(lx), "unexpected \"%c\"", c);
            return bad();
        }
        if (c == ')') { /* if ($a = "b") */
            struct conf_pos pos = here(lx);
            size_t from = lx->at;

            step(lx);
            return finish_word(lx, pos, from, lx->at, false);
        }
    }
    skip_blank(lx);
    struct conf_token t = { .word = { .pos = here(lx) } };

    switch (peek(lx)) {
    case -1:
        t.kind = TOK_EOF;
        return t;
    case ';':
        step(lx);
        t.kind = TOK_SEMICOLON;
        return t;
    case '{':
        step(lx);
        t.kind = TOK_LBRACE;
        return t;
    case '}':
        step(lx);
        t.kind = TOK_RBRACE;
        return t;
    case '"':
    case '\'':
        return quoted_word(lx, t.word.pos);
    default:
        return plain_word(lx, t.word.pos);
    }
}
