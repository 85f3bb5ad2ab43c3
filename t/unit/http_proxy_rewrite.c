/* SPDX-License-Identifier: BSD-2-Clause */
/* proxy_redirect, proxy_cookie_*, and what the plans drop and hide. */
#include "base/pool.h"
#include "expr/regex.h"
#include "http/proxy/proxy.h"
#include "http/proxy/rewrite.h"

#include <stdio.h>
#include <stdlib.h>

static int n_tests;
static int n_failed;
static struct pool *pool;
static struct var_table *vars;
static struct http_request r;

static void
ok(bool passed, const char *name)
{
    n_tests++;
    n_failed += !passed;
    printf("%s %d - %s\n", passed ? "ok" : "not ok", n_tests, name);
}

static void
is(struct slice got, const char *want, const char *name)
{
    bool same = slice_eq(got, slice_str(want));

    ok(same, name);
    if (!same) {
        printf("#  got \"%.*s\"\n# want \"%s\"\n", SLICE_ARG(got), want);
    }
}

static struct template *
text(const char *s)
{
    struct slice error;
    struct template *t = template_compile(pool, vars, slice_str(s), &error);

    if (t == NULL) {
        printf("Bail out! template %s\n", s);
        exit(1);
    }
    return t;
}

static struct regex *
regex(const char *s, bool caseless)
{
    struct slice error;
    struct regex *re = regex_compile(pool, vars, slice_str(s), caseless, &error);

    if (re == NULL) {
        printf("Bail out! regex %s\n", s);
        exit(1);
    }
    return re;
}

/* --- proxy_redirect ---------------------------------------------------------------------------- */

static const struct proxy_target with_uri = {
    .default_redirect = SLICE_INIT("http://127.0.0.1:8080/x/"),
    .location = SLICE_INIT("/loc/"),
};
static const struct proxy_target without_uri = {
    .default_redirect = SLICE_INIT("http://127.0.0.1:8080/"),
    .location = SLICE_INIT("/"),
};
static const struct proxy_target with_variables = { .url = SLICE_INIT("http://$host") };

/* want NULL: unchanged */
static void
redirect_is(const struct proxy_redirects *rd, const struct proxy_target *t, const char *value,
            const char *want)
{
    struct slice out = SLICE_NONE;
    bool changed = proxy_rewrite_redirect(&r, rd, t, slice_str(value), &out);

    if (want == NULL) {
        ok(!changed, value);
        return;
    }
    is(out, want, value);
}

static void
test_default_redirect(void)
{
    static const struct proxy_redirects none;
    static const struct proxy_redirects off = { .given = true, .off = true };

    redirect_is(&none, &with_uri, "http://127.0.0.1:8080/x/p", "/loc/p");
    redirect_is(&none, &with_uri, "http://127.0.0.1:8080/x", NULL);
    redirect_is(&none, &with_uri, "http://127.0.0.1/x/p", NULL);
    redirect_is(&none, &with_uri, "https://127.0.0.1:8080/x/p", NULL);
    redirect_is(&none, &with_uri, "/x/p", NULL);
    redirect_is(&none, &with_uri, "HTTP://127.0.0.1:8080/x/p", NULL);
    redirect_is(&none, &without_uri, "http://127.0.0.1:8080/x/p", "/x/p");
    redirect_is(&none, &without_uri, "http://127.0.0.1:8080/", "/");
    redirect_is(&none, &with_variables, "http://127.0.0.1:8080/x/p", NULL);
    redirect_is(&off, &with_uri, "http://127.0.0.1:8080/x/p", NULL);
}

static void
test_redirect_rules(void)
{
    struct proxy_redirect plain[] = {
        { .prefix = text("http://127.0.0.1:8080/"), .replacement = text("/r/") },
        { .prefix = text("/"), .replacement = text("/pre/") },
    };
    struct proxy_redirect re[] = {
        { .regex = regex("^(https?)://[^/]+(/.*)$", false), .replacement = text("$1://new$2") },
    };
    struct proxy_redirect caseless[] = {
        { .regex = regex("^HTTP://127", true), .replacement = text("zzz") },
    };
    struct proxy_redirects rd = { .items = plain, .n = 2, .given = true };

    redirect_is(&rd, &with_uri, "http://127.0.0.1:8080/x/p", "/r/x/p");
    redirect_is(&rd, &with_uri, "/x/p", "/pre/x/p");
    redirect_is(&rd, &with_uri, "x/p", NULL);
    rd.items = re;
    rd.n = 1;
    redirect_is(&rd, &with_uri, "https://127.0.0.1:8080/x/p", "https://new/x/p");
    redirect_is(&rd, &with_uri, "/x/p", NULL);
    rd.items = caseless;
    redirect_is(&rd, &with_uri, "http://127.0.0.1:8080/x", "zzz");
    rd.with_default = true;
    rd.default_at = 0;
    redirect_is(&rd, &with_uri, "http://127.0.0.1:8080/x/p", "/loc/p");
    ok(r.vars.n_captures == 0, "captures of the rules do not stay");
    struct slice out = SLICE_NONE;
    static const struct proxy_redirects none;

    ok(proxy_rewrite_refresh(&r, &none, &without_uri, SLICE("0;url=http://127.0.0.1:8080/z"), &out),
       "Refresh is rewritten");
    is(out, "0;url=/z", "Refresh: 0;url=");
}

/* --- cookies ----------------------------------------------------------------------------------- */

static struct proxy_cookie_rules domains;
static struct proxy_cookie_rules paths;
static struct proxy_cookie_flags_list flags;

static void
cookie_is(const char *value, const char *want)
{
    struct slice out = SLICE_NONE;
    bool changed = proxy_rewrite_cookie(&r, &domains, &paths, &flags, slice_str(value), &out);

    if (want == NULL) {
        ok(!changed, value);
    } else {
        is(changed ? out : SLICE("(unchanged)"), want, value);
    }
}

#define FULL "a=b; Path=/up/; Domain=up.test; Secure; HttpOnly"

static void
test_cookie_path(void)
{
    struct proxy_cookie_rule plain = { .from = text("/up/"), .to = text("/down/") };
    struct proxy_cookie_rule more = { .from = text("/up/"), .to = text("/d/; Secure") };
    struct proxy_cookie_rule re = { .regex = regex("^/(.*)$", false), .to = text("/r/$1") };
    struct proxy_cookie_rule ci = { .regex = regex("^/UP/", true), .to = text("/ci/") };

    paths = (struct proxy_cookie_rules){ .items = &plain, .n = 1 };
    cookie_is(FULL, "a=b; Path=/down/; Domain=up.test; Secure; HttpOnly");
    cookie_is("a=b; path=/up/x; domain=.up.test", "a=b; path=/down/x; domain=.up.test");
    cookie_is("a=b", NULL);
    cookie_is("a=b; Path=/other", NULL);
    cookie_is("a=b; Path=/UP/; Domain=UP.test", NULL);
    cookie_is("__Host-x=1; path=/up/", "__Host-x=1; path=/down/");
    paths.items = &more;
    cookie_is(FULL, "a=b; Path=/d/; Secure; Domain=up.test; Secure; HttpOnly");
    cookie_is("a=b; path=/up/x; domain=.up.test", "a=b; path=/d/; Securex; domain=.up.test");
    paths.items = &re;
    cookie_is(FULL, "a=b; Path=/r/up/; Domain=up.test; Secure; HttpOnly");
    cookie_is("a=b; Path=/other", "a=b; Path=/r/other");
    paths.items = &ci;
    cookie_is("a=b; path=/up/x; domain=.up.test", "a=b; path=/ci/; domain=.up.test");
    paths.n = 0;
}

static void
test_cookie_domain(void)
{
    struct proxy_cookie_rule plain = { .from = text("up.test"), .to = text("new.test") };
    struct proxy_cookie_rule re = { .regex = regex("\\.up\\.test$", false), .to = text("r.test") };

    domains = (struct proxy_cookie_rules){ .items = &plain, .n = 1 };
    cookie_is(FULL, "a=b; Path=/up/; Domain=new.test; Secure; HttpOnly");
    cookie_is("a=b; path=/up/x; domain=.up.test", "a=b; path=/up/x; domain=.new.test");
    cookie_is("a=b; Path=/UP/; Domain=UP.test", "a=b; Path=/UP/; Domain=new.test");
    cookie_is("a=b; Path=/other", NULL);
    domains.items = &re;
    cookie_is(FULL, NULL);
    cookie_is("a=b; path=/up/x; domain=.up.test", "a=b; path=/up/x; domain=r.test");
    domains.n = 0;
}

static void
test_cookie_flags(void)
{
    struct template *set[] = { text("secure"), text("httponly"), text("samesite=strict") };
    struct template *unset[] = { text("nosecure"), text("nohttponly"), text("nosamesite") };
    struct proxy_cookie_flag_rule add = { .cookie = text("a"), .flags = { set, 3, 3 } };
    struct proxy_cookie_flag_rule drop = { .regex = regex("^a", true), .flags = { unset, 3, 3 } };
    struct proxy_cookie_rule slash = { .from = text("/"), .to = text("/p") };

    flags = (struct proxy_cookie_flags_list){ .items = &add, .n = 1 };
    cookie_is(FULL, FULL "; SameSite=Strict");
    cookie_is("a=b", "a=b; Secure; HttpOnly; SameSite=Strict");
    cookie_is("A=b; SameSite=Lax", "A=b; SameSite=Strict; Secure; HttpOnly");
    cookie_is("__Host-x=1; path=/up/", NULL);
    flags.items = &drop;
    cookie_is(FULL, "a=b; Path=/up/; Domain=up.test");
    cookie_is("A=b; SameSite=Lax", "A=b");
    add.flags.n = 2;
    set[0] = set[1];
    flags.items = &add;
    paths = (struct proxy_cookie_rules){ .items = &slash, .n = 1 };
    cookie_is("a=b; Path=/other", "a=b; Path=/pother; HttpOnly");
    cookie_is("__Host-x=1; path=/up/", "__Host-x=1; path=/pup/");
    paths.n = 0;
    flags.n = 0;
}

/* --- plans ------------------------------------------------------------------------------------- */

static bool
drops(const struct proxy_header_plan *plan, const char *name)
{
    struct http_header h = { .name = slice_str(name) };

    h.id = (uint16_t)http_header_id_of(h.name);
    return proxy_plan_drops(plan, &h);
}

static void
test_plans(void)
{
    struct proxy_set_header sets[] = {
        { SLICE("X-A"), text("1"), HTTP_H_OTHER },
        { SLICE("X-Gone"), text(""), HTTP_H_OTHER },
        { SLICE("Cookie"), text(""), HTTP_H_COOKIE },
        { SLICE("X-B"), text("2"), HTTP_H_OTHER },
    };
    struct proxy_header_list none = { 0 };
    struct proxy_header_list some = { .items = sets, .n = ARRAY_LEN(sets) };
    struct proxy_header_plan *plan = proxy_plan_compile(pool, &none);

    ok(drops(plan, "Connection") && drops(plan, "upgrade") && drops(plan, "HTTP2-Settings") &&
           drops(plan, "TE") && drops(plan, "Proxy-Connection") && drops(plan, "Host"),
       "headers of one hop are dropped");
    ok(!drops(plan, "Cookie") && !drops(plan, "X-A") && !drops(plan, "Trailer") &&
           !drops(plan, "Proxy-Authorization"),
       "others pass");
    ok(plan->host == NULL && plan->lines.n == 0, "nothing is set");
    plan = proxy_plan_compile(pool, &some);
    ok(drops(plan, "x-a") && drops(plan, "X-GONE") && drops(plan, "cookie") && !drops(plan, "X-C"),
       "set names are dropped in any case");
    ok(plan->lines.n == 1, "constant lines are one piece");
    is(plan->lines.items[0].fixed, "X-A: 1\r\nX-B: 2\r\n", "of text");

    struct slice hide_items[] = { SLICE("X-Foo"), SLICE("Set-Cookie") };
    struct slice pass_items[] = { SLICE("Server"), SLICE("X-Accel-Expires") };
    struct slice_list hide = { .items = hide_items, .n = 2 };
    struct slice_list pass = { .items = pass_items, .n = 2 };
    struct proxy_response_plan *rp = proxy_response_plan_compile(pool, &hide, &pass);
    struct http_header foo = { .name = SLICE("x-foo") };
    struct http_header cookie = { .name = SLICE("set-cookie"), .id = HTTP_H_SET_COOKIE };
    struct http_header server = { .name = SLICE("Server"), .id = HTTP_H_SERVER };
    struct http_header date = { .name = SLICE("Date"), .id = HTTP_H_DATE };
    struct http_header pad = { .name = SLICE("X-Pad") };

    ok(proxy_response_hides(rp, &foo) && proxy_response_hides(rp, &cookie) &&
           proxy_response_hides(rp, &date) && proxy_response_hides(rp, &pad),
       "hidden response headers");
    ok(!proxy_response_hides(rp, &server), "proxy_pass_header shows one");
}

int
main(void)
{
    pool = pool_new(0);
    vars = var_table_new(pool);
    r.pool = pool;
    r.vars = (struct var_scope){ .table = vars, .pool = pool, .subject = &r };
    test_default_redirect();
    test_redirect_rules();
    test_cookie_path();
    test_cookie_domain();
    test_cookie_flags();
    test_plans();
    pool_free(pool);
    printf("1..%d\n", n_tests);
    return n_failed == 0 ? 0 : 1;
}
