/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Recursive descent over the lexer's tokens. An included file is parsed where it stands, into the
 * same list of nodes. Blocks and includes may nest MAX_DEPTH deep together: the recursion is bounded.
 */
#include "conf/parser.h"

#include "base/pool.h"
#include "base/vec.h"
#include "conf/lexer.h"
#include "os/file.h"

#include <errno.h>
#include <glob.h>

#define MAX_DEPTH 100
#define FILE_MAX ((size_t)1 << 30)

struct conf_parser {
    struct conf_lexer lx;
    struct conf_token tok;
    struct conf_tree *tree;
    struct conf_diag *diag;
    struct slice conf_dir;
    uint32_t *seq;
    unsigned depth;
    bool top_is_file; /* not -g */
};

typedef VEC(struct conf_word) word_vec;

static enum conf_result parse_nodes(struct conf_parser *p, struct conf_node *parent,
                                    struct conf_node ***tail, const struct conf_pos *open);

static struct conf_file *
add_file(struct conf_tree *tree, struct slice path, struct slice text, bool command_line)
{
    struct conf_file **at = &tree->files;
    struct conf_file *f = POOL_NEW(tree->pool, struct conf_file);

    while (*at != NULL) {
        at = &(*at)->next;
    }
    f->path = path;
    f->text = text;
    f->is_command_line = command_line;
    *at = f;
    return f;
}

static struct conf_file *
find_file(const struct conf_tree *tree, struct slice path)
{
    struct conf_file *f = tree->files;

    while (f != NULL && !slice_eq(f->path, path)) {
        f = f->next;
    }
    return f;
}

/* Parse `file` into the list at *tail, as if its text stood there. */
static enum conf_result
parse_file(struct conf_parser *outer, struct conf_file *file, struct conf_node *parent,
           struct conf_node ***tail)
{
    struct conf_parser p = { .tree = outer->tree,
                             .diag = outer->diag,
                             .conf_dir = outer->conf_dir,
                             .seq = outer->seq,
                             .depth = outer->depth + 1 };

    conf_lexer_init(&p.lx, file, p.tree->pool, p.diag, p.seq);
    return parse_nodes(&p, parent, tail, NULL);
}

static struct conf_file *
read_file(struct conf_parser *p, struct slice path, const struct conf_pos *pos)
{
    struct conf_file *known = find_file(p->tree, path);

    if (known != NULL) {
        return known;
    }
    struct slice text = file_read_all(p->tree->pool, path.p, FILE_MAX);

    if (text.p == NULL && errno == EISDIR) {
        diag_error_global(p->diag, LOG_LVL_CRIT, errno, "pread() \"%s\" failed", path.p);
        return NULL;
    }
    if (text.p == NULL && pos == NULL) {
        diag_error_global(p->diag, LOG_LVL_EMERG, errno, "open() \"%s\" failed", path.p);
        return NULL;
    }
    if (text.p == NULL) {
        diag_errno(p->diag, *pos, errno, "open() \"%s\" failed", path.p);
        return NULL;
    }
    return add_file(p->tree, path, text, false);
}

static enum conf_result
include_one(struct conf_parser *p, struct slice path, struct conf_pos pos,
            struct conf_node *parent, struct conf_node ***tail)
{
    struct conf_file *file = read_file(p, path, &pos);

    return file == NULL ? CONF_ERROR : parse_file(p, file, parent, tail);
}

static enum conf_result
parse_include(struct conf_parser *p, const word_vec *words, struct conf_node *parent,
              struct conf_node ***tail)
{
    struct conf_pos pos = p->tok.word.pos;
    struct slice name = words->items[1].text;
    struct pool *pool = p->tree->pool;

    if (p->depth >= MAX_DEPTH) {
        return diag_error(p->diag, pos, "too many levels of blocks and includes");
    }
    if (name.n == 0 || name.p[0] != '/') {
        struct slice parts[] = { p->conf_dir, name };

        name = pool_concat(pool, parts, 2);
    }
    if (strpbrk(name.p, "*?[") == NULL) {
        return include_one(p, name, pos, parent, tail);
    }
    glob_t g = { 0 };
    int rc = glob(name.p, 0, NULL, &g);
    enum conf_result result = CONF_OK;

    if (rc != 0 && rc != GLOB_NOMATCH) {
        result = diag_error(p->diag, pos, "glob() \"%s\" failed", name.p);
    }
    for (size_t i = 0; rc == 0 && i < g.gl_pathc; i++) {
        if (include_one(p, pool_copy(pool, slice_str(g.gl_pathv[i])), pos, parent, tail) ==
            CONF_ERROR) {
            result = CONF_ERROR;
        }
    }
    globfree(&g);
    return result;
}

static struct conf_node *
add_node(struct conf_parser *p, const word_vec *words, struct conf_node *parent,
         struct conf_node ***tail)
{
    struct conf_node *node = POOL_NEW(p->tree->pool, struct conf_node);

    node->words = words->items;
    node->n_words = (uint32_t)words->n;
    node->parent = parent;
    **tail = node;
    *tail = &node->next;
    return node;
}

static enum conf_result
parse_block(struct conf_parser *p, struct conf_node *node)
{
    struct conf_node **tail = &node->children;

    node->is_block = true;
    node->open = p->tok.word.pos;
    if (++p->depth > MAX_DEPTH) {
        return diag_error(p->diag, node->open, "too many levels of blocks and includes");
    }
    enum conf_result rc = parse_nodes(p, node, &tail, &node->open);

    p->depth--;
    node->end = p->tok.word.pos;
    return rc;
}

/* directive = word *word ( ";" / block ); the first word is the current token. */
static enum conf_result
parse_directive(struct conf_parser *p, struct conf_node *parent, struct conf_node ***tail)
{
    word_vec words = { 0 };

    while (p->tok.kind == TOK_WORD) {
        *VEC_PUSH(&words, p->tree->pool) = p->tok.word;
        p->tok = conf_lex(&p->lx);
    }
    bool include = slice_eq(words.items[0].text, SLICE("include")) && words.n == 2;

    switch (p->tok.kind) {
    case TOK_SEMICOLON:
        if (include) {
            return parse_include(p, &words, parent, tail);
        }
        struct conf_node *node = add_node(p, &words, parent, tail);

        node->end = p->tok.word.pos;
        node->open = node->end;
        return CONF_OK;
    case TOK_LBRACE:
        return parse_block(p, add_node(p, &words, parent, tail));
    case TOK_RBRACE:
        return diag_error(p->diag, p->tok.word.pos, "unexpected \"}\"");
    case TOK_EOF:
        if (p->lx.file->is_command_line) {
            return diag_error(p->diag, p->tok.word.pos,
                              "unexpected end of parameter, expecting \";\"");
        }
        return diag_error(p->diag, p->tok.word.pos,
                          "unexpected end of file, expecting \";\" or \"}\"");
    case TOK_WORD:
    case TOK_BAD:
        break;
    }
    return CONF_ERROR;
}

/* *( directive ) up to the "}" of the block opened at `open`, or the end of the file. A missing "}" is
 * found far from its cause, so the error also points back at the open brace. */
static enum conf_result
parse_nodes(struct conf_parser *p, struct conf_node *parent, struct conf_node ***tail,
            const struct conf_pos *open)
{
    for (;;) {
        p->tok = conf_lex(&p->lx);
        switch (p->tok.kind) {
        case TOK_WORD:
            TRY(parse_directive(p, parent, tail));
            break;
        case TOK_EOF:
            if (open == NULL) {
                return CONF_OK;
            }
            diag_error(p->diag, p->tok.word.pos, "unexpected end of file, expecting \"}\"");
            diag_note(p->diag, *open, "the block opened here is not closed");
            return CONF_ERROR;
        case TOK_RBRACE:
            if (open != NULL) {
                return CONF_OK;
            }
            return diag_error(p->diag, p->tok.word.pos, "unexpected \"}\"");
        case TOK_SEMICOLON:
            return diag_error(p->diag, p->tok.word.pos, "unexpected \";\"");
        case TOK_LBRACE:
            return diag_error(p->diag, p->tok.word.pos, "unexpected \"{\"");
        case TOK_BAD:
            return CONF_ERROR;
        }
    }
}

struct conf_tree *
conf_parse(struct pool *pool, struct conf_diag *diag, const struct conf_source *source)
{
    struct conf_tree *tree = POOL_NEW(pool, struct conf_tree);
    struct conf_node **tail = &tree->nodes;
    uint32_t seq = 1;
    struct conf_parser p = { .tree = tree,
                             .diag = diag,
                             .conf_dir = source->conf_dir,
                             .seq = &seq };

    tree->pool = pool;
    if (source->command_line.n > 0) {
        struct conf_file *g = add_file(tree, SLICE(""), source->command_line, true);

        if (parse_file(&p, g, NULL, &tail) == CONF_ERROR) {
            return tree;
        }
    }
    struct conf_file *file = read_file(&p, source->conf_file, NULL);

    if (file != NULL) {
        (void)parse_file(&p, file, NULL, &tail);
    }
    return tree;
}

struct conf_tree *
conf_parse_text(struct pool *pool, struct conf_diag *diag, struct slice name, struct slice text,
                struct slice conf_dir)
{
    struct conf_tree *tree = POOL_NEW(pool, struct conf_tree);
    struct conf_node **tail = &tree->nodes;
    uint32_t seq = 1;
    struct conf_parser p = { .tree = tree, .diag = diag, .conf_dir = conf_dir, .seq = &seq };

    tree->pool = pool;
    if (conf_dir.n == 0) {
        p.depth = MAX_DEPTH - 20; /* no includes worth the name without a directory */
    }
    (void)parse_file(&p, add_file(tree, name, text, false), NULL, &tail);
    return tree;
}
