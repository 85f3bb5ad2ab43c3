/* SPDX-License-Identifier: BSD-2-Clause */
/* allow, deny: the first rule that matches the client's address decides. */
#include "http/core.h"
#include "http/http.h"
#include "http/mod/mod.h"

struct access_rule {
    struct cidr cidr;
    bool all;
    bool deny;
};

struct access_loc {
    struct {
        struct access_rule *items;
        size_t n;
        size_t cap;
    } rules;
};

static enum conf_result
add_rule(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct access_loc *alcf = conf;
    struct slice s = conf_arg(node, 1);
    struct access_rule rule = { .deny = slice_eq(conf_arg(node, 0), SLICE("deny")) };

    if (!conf_given(cf, "allow") && !conf_given(cf, "deny")) {
        memset(&alcf->rules, 0, sizeof(alcf->rules));
    }
    if (slice_eq(s, SLICE("all"))) {
        rule.all = true;
    } else {
        switch (cidr_parse(s, &rule.cidr)) {
        case CIDR_BAD:
            return conf_invalid_param(cf, node, 1);
        case CIDR_LOW_BITS:
            diag_warn(cf->diag, node->words[1].pos, "low address bits of %.*s are meaningless",
                      SLICE_ARG(s));
            break;
        case CIDR_OK:
            break;
        }
    }
    *VEC_PUSH(&alcf->rules, cf->pool) = rule;
    return CONF_OK;
}

static struct http_verdict
access_handler(struct http_request *r)
{
    const struct access_loc *alcf = http_loc_conf(r, &http_access_module);

    if (r != r->main) {
        return http_declined();
    }
    for (size_t i = 0; i < alcf->rules.n; i++) {
        const struct access_rule *rule = &alcf->rules.items[i];

        if (!rule->all && !cidr_match(&rule->cidr, &r->c->peer)) {
            continue;
        }
        if (!rule->deny) {
            return http_ok();
        }
        if (http_core_loc(r)->satisfy == HTTP_SATISFY_ALL) {
            log_error(&r->log, LOG_LVL_ERR, 0, "access forbidden by rule");
        }
        return http_finish(403);
    }
    return http_declined();
}

#define IN_ACCESS CONF_IN(CTX_HTTP | CTX_SRV | CTX_LOC | CTX_LMT, CONF_LEVEL_LOC)

static const struct conf_directive rows[] = {
    CONF_CALL("allow", IN_ACCESS, ARGS(1, 1), add_rule),
    CONF_CALL("deny", IN_ACCESS, ARGS(1, 1), add_rule),
    CONF_END,
};

const struct http_module http_access_module = {
    .conf = { .name = "http_access",
              .directives = rows,
              .id = CONF_MODULE_ID,
              .size = { [CONF_LEVEL_LOC] = sizeof(struct access_loc) } },
    .phase = HTTP_ACCESS_PHASE,
    .handler = access_handler,
};
