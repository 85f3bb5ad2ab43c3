/* SPDX-License-Identifier: BSD-2-Clause */
/* The field types of rows, with nginx's messages for what they refuse. */
#include "conf/value.h"

#include "base/num.h"

/* Defaults have no node and no position; a wrong default is a mistake of ours, found by any test. */
static enum conf_result
refuse(struct conf_ctx *cf, const struct conf_directive *row, const struct conf_word *w,
       const char *what)
{
    return diag_error(cf->diag, w->pos, "\"%s\" directive %s", row->name, what);
}

static enum conf_result
parse_flag(struct conf_ctx *cf, const struct conf_directive *row,
           const struct conf_node *node UNUSED, const struct conf_word *args,
           uint32_t n_args UNUSED, void *field)
{
    bool on = slice_case_eq(args[0].text, SLICE("on"));

    if (!on && !slice_case_eq(args[0].text, SLICE("off"))) {
        return diag_error(cf->diag, args[0].pos,
                          "invalid value \"%.*s\" in \"%s\" directive, it must be \"on\" or "
                          "\"off\"",
                          SLICE_ARG(args[0].text), row->name);
    }
    *(bool *)field = on;
    return CONF_OK;
}

static enum conf_result
parse_num(struct conf_ctx *cf, const struct conf_directive *row,
          const struct conf_node *node UNUSED, const struct conf_word *args,
          uint32_t n_args UNUSED, void *field)
{
    int64_t v;

    if (!num_parse(args[0].text, &v)) {
        return refuse(cf, row, &args[0], "invalid number");
    }
    if (v < row->min) {
        return diag_error(cf->diag, args[0].pos, "value must be equal to or greater than %lld",
                          (long long)row->min);
    }
    if (v > row->max) {
        return diag_error(cf->diag, args[0].pos, "value must be equal to or less than %lld",
                          (long long)row->max);
    }
    *(int64_t *)field = v;
    return CONF_OK;
}

static enum conf_result
parse_size(struct conf_ctx *cf, const struct conf_directive *row,
           const struct conf_node *node UNUSED, const struct conf_word *args,
           uint32_t n_args UNUSED, void *field)
{
    return num_parse_size(args[0].text, field) ? CONF_OK
                                               : refuse(cf, row, &args[0], "invalid value");
}

static enum conf_result
parse_msec(struct conf_ctx *cf, const struct conf_directive *row,
           const struct conf_node *node UNUSED, const struct conf_word *args,
           uint32_t n_args UNUSED, void *field)
{
    return num_parse_time(args[0].text, false, field) ? CONF_OK
                                                      : refuse(cf, row, &args[0], "invalid value");
}

static enum conf_result
parse_sec(struct conf_ctx *cf, const struct conf_directive *row,
          const struct conf_node *node UNUSED, const struct conf_word *args,
          uint32_t n_args UNUSED, void *field)
{
    int64_t ms;

    if (!num_parse_time(args[0].text, true, &ms)) {
        return refuse(cf, row, &args[0], "invalid value");
    }
    *(int64_t *)field = ms / 1000;
    return CONF_OK;
}

static enum conf_result
parse_str(struct conf_ctx *cf UNUSED, const struct conf_directive *row UNUSED,
          const struct conf_node *node UNUSED, const struct conf_word *args,
          uint32_t n_args UNUSED, void *field)
{
    *(struct slice *)field = args[0].text;
    return CONF_OK;
}

static const struct conf_name *
find_name(const struct conf_name *names, struct slice s)
{
    while (names->name != NULL && !slice_case_eq(slice_str(names->name), s)) {
        names++;
    }
    return names->name == NULL ? NULL : names;
}

static enum conf_result
parse_enum(struct conf_ctx *cf, const struct conf_directive *row,
           const struct conf_node *node UNUSED, const struct conf_word *args,
           uint32_t n_args UNUSED, void *field)
{
    const struct conf_name *name = find_name(row->names, args[0].text);

    if (name == NULL) {
        return diag_error(cf->diag, args[0].pos, "invalid value \"%.*s\"",
                          SLICE_ARG(args[0].text));
    }
    *(int *)field = (int)name->value;
    return CONF_OK;
}

static enum conf_result
parse_bits(struct conf_ctx *cf, const struct conf_directive *row,
           const struct conf_node *node UNUSED, const struct conf_word *args, uint32_t n_args,
           void *field)
{
    uint32_t bits = 0;

    for (uint32_t i = 0; i < n_args; i++) {
        const struct conf_name *name = find_name(row->names, args[i].text);

        if (name == NULL) {
            return diag_error(cf->diag, args[i].pos, "invalid value \"%.*s\"",
                              SLICE_ARG(args[i].text));
        }
        if ((bits & (uint32_t)name->value) != 0) {
            diag_warn(cf->diag, args[i].pos, "duplicate value \"%.*s\"", SLICE_ARG(args[i].text));
        }
        bits |= (uint32_t)name->value;
    }
    *(uint32_t *)field = bits;
    return CONF_OK;
}

static enum conf_result
parse_bufs(struct conf_ctx *cf, const struct conf_directive *row,
           const struct conf_node *node UNUSED, const struct conf_word *args,
           uint32_t n_args UNUSED, void *field)
{
    struct conf_bufs *bufs = field;

    if (!num_parse(args[0].text, &bufs->n) || bufs->n == 0) {
        return refuse(cf, row, &args[0], "invalid value");
    }
    if (!num_parse_size(args[1].text, &bufs->size) || bufs->size == 0) {
        return refuse(cf, row, &args[1], "invalid value");
    }
    return CONF_OK;
}

const struct conf_type conf_type_flag = { "flag", parse_flag };
const struct conf_type conf_type_num = { "number", parse_num };
const struct conf_type conf_type_size = { "size", parse_size };
const struct conf_type conf_type_msec = { "time", parse_msec };
const struct conf_type conf_type_sec = { "time", parse_sec };
const struct conf_type conf_type_str = { "string", parse_str };
const struct conf_type conf_type_enum = { "word", parse_enum };
const struct conf_type conf_type_bits = { "words", parse_bits };
const struct conf_type conf_type_bufs = { "number size", parse_bufs };

/* --- pieces of arguments -------------------------------------------------------------------------- */

bool
conf_param(struct slice word, const char *name, struct slice *value)
{
    size_t n = strlen(name);

    if (word.n <= n || word.p[n] != '=' || memcmp(word.p, name, n) != 0) {
        return false;
    }
    *value = slice_from(word, n + 1);
    return true;
}

const struct conf_word *
conf_find_param(const struct conf_node *node, uint32_t first, const char *name,
                struct slice *value)
{
    for (uint32_t i = first; i < node->n_words; i++) {
        if (conf_param(node->words[i].text, name, value)) {
            return &node->words[i];
        }
    }
    return NULL;
}

struct slice
conf_full_path(struct conf_ctx *cf, struct slice name, bool conf_prefix)
{
    if (name.n > 0 && name.p[0] == '/') {
        return pool_copy(cf->pool, name);
    }
    struct slice parts[] = { conf_prefix ? cf->conf_dir : cf->prefix, name };

    return pool_concat(cf->pool, parts, 2);
}
