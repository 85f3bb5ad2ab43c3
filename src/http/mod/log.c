/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * access_log and log_format. Lines are gathered for each file and written once a loop turn (a person
 * sees them at once all the same), or as buffer= and flush= say. gzip= writes whole gzip members.
 */
#include "base/encode.h"
#include "base/num.h"
#include "base/syslog.h"
#include "base/time.h"
#include "conf/value.h"
#include "http/http.h"
#include "http/mod/mod.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#define TURN_BUFFER (64 * 1024)

enum log_escape { ESCAPE_DEFAULT, ESCAPE_JSON, ESCAPE_NONE };

struct log_format {
    struct slice name;
    struct template *text;
    enum log_escape escape;
};

/* Of a struct log_file: lines not written yet. */
struct log_buffer {
    struct log_file *file;
    const struct log *log;
    char *p;
    size_t n;
    size_t size;
    int64_t flush_ms;
    int gzip; /* level; 0: no */
    bool every_turn; /* no buffer= : written at the end of the turn */
    bool listed; /* in the turn's list */
    struct log_buffer *next;
    struct timer timer;
    int64_t failed_at; /* said once a minute */
};

struct log_target_conf {
    const struct log_format *format;
    struct template *condition; /* if= */
    struct log_buffer *buffer;
    struct template *path; /* with variables */
    struct syslog_sink *syslog;
};

struct log_loc {
    struct {
        struct log_target_conf *items;
        size_t n;
        size_t cap;
    } targets;
    bool off;
    int64_t cache_max; /* open_log_file_cache */
    int64_t cache_inactive;
    int64_t cache_valid;
    int64_t cache_min_uses;
};

struct log_main {
    struct {
        struct log_format **items;
        size_t n;
        size_t cap;
    } formats;
};

static struct log_buffer *turn_list;

/* --- writing --------------------------------------------------------------------------------------------- */

static void
write_failed(struct log_buffer *b, int err)
{
    int64_t now = clock_ms();

    if (b->failed_at == 0 || now - b->failed_at > 60000) {
        b->failed_at = now;
        log_error(b->log, LOG_LVL_ALERT, err, "write() to \"%s\" failed", b->file->path.p);
    }
}

static void
write_plain(struct log_buffer *b, const char *p, size_t n)
{
    ssize_t rc = write(b->file->fd, p, n);

    if (rc < 0) {
        write_failed(b, errno);
    }
}

static void
write_gzip(struct log_buffer *b)
{
    z_stream z = { 0 };
    size_t room = compressBound((uLong)b->n) + 64;
    char *out = mem_alloc(room);

    if (deflateInit2(&z, b->gzip, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK) {
        z.next_in = (Bytef *)b->p;
        z.avail_in = (uInt)b->n;
        z.next_out = (Bytef *)out;
        z.avail_out = (uInt)room;
        if (deflate(&z, Z_FINISH) == Z_STREAM_END) {
            write_plain(b, out, room - z.avail_out);
        }
        deflateEnd(&z);
    }
    mem_free(out);
}

static void
flush_buffer(struct log_buffer *b)
{
    if (b->n == 0) {
        return;
    }
    if (b->gzip > 0) {
        write_gzip(b);
    } else {
        write_plain(b, b->p, b->n);
    }
    b->n = 0;
}

static void
flush_file(struct log_file *f)
{
    flush_buffer(f->data);
}

static void
flush_turn(void *arg UNUSED)
{
    while (turn_list != NULL) {
        struct log_buffer *b = turn_list;

        turn_list = b->next;
        b->listed = false;
        flush_buffer(b);
    }
}

static void
on_flush_timer(struct timer *t)
{
    flush_buffer(container_of(t, struct log_buffer, timer));
}

static void
add_line(struct log_buffer *b, struct slice line)
{
    if (b->p == NULL) {
        b->p = mem_alloc(b->size);
    }
    if (b->n + line.n > b->size) {
        flush_buffer(b);
    }
    if (line.n > b->size) {
        write_plain(b, line.p, line.n);
        return;
    }
    memcpy(b->p + b->n, line.p, line.n);
    b->n += line.n;
    if (b->every_turn) {
        if (!b->listed) {
            b->listed = true;
            b->next = turn_list;
            turn_list = b;
        }
    } else if (b->flush_ms > 0 && !timer_pending(&b->timer)) {
        b->timer.fire = on_flush_timer;
        timer_set(net_worker->loop, &b->timer, b->flush_ms);
    }
}

/* A path with variables: opened for the line. The directory must exist, as in nginx the root is not
 * checked here. */
static void
write_to_path(struct http_request *r, const struct log_target_conf *t, struct slice line)
{
    struct slice path = template_eval(t->path, &r->vars);

    if (path.n == 0) {
        return;
    }
    if (path.p[0] != '/') {
        struct slice parts[] = { r->cycle->params->prefix, path };

        path = pool_concat(r->pool, parts, 2);
    }
    AUTO_CLOSE int fd = open(pool_str(r->pool, path), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
                             0644);

    if (fd < 0) {
        log_error(&r->log, LOG_LVL_CRIT, errno, "open() \"%.*s\" failed while logging request",
                  SLICE_ARG(path));
        return;
    }
    ssize_t rc = write(fd, line.p, line.n);

    if (rc < 0) {
        log_error(&r->log, LOG_LVL_ALERT, errno, "write() to \"%.*s\" failed", SLICE_ARG(path));
    }
}

/* --- lines ------------------------------------------------------------------------------------------------- */

static void
add_default(struct text_builder *b, struct slice s)
{
    text_add(b, s.n == 0 ? SLICE("-") : encode_log(b->pool, s));
}

static void
add_json(struct text_builder *b, struct slice s)
{
    text_add(b, encode_json(b->pool, s));
}

static struct slice
format_line(struct http_request *r, const struct log_format *f)
{
    struct text_builder b;

    text_init(&b, r->pool, 512);
    switch (f->escape) {
    case ESCAPE_DEFAULT:
        template_append_escaped(f->text, &r->vars, &b, add_default);
        break;
    case ESCAPE_JSON:
        template_append_escaped(f->text, &r->vars, &b, add_json);
        break;
    case ESCAPE_NONE:
        template_append(f->text, &r->vars, &b);
        break;
    }
    text_add_char(&b, '\n');
    return text_done(&b);
}

static bool
wanted(struct http_request *r, const struct log_target_conf *t)
{
    if (t->condition == NULL) {
        return true;
    }
    struct slice v = template_eval(t->condition, &r->vars);

    return v.n > 0 && !slice_eq(v, SLICE("0"));
}

static struct http_verdict
log_handler(struct http_request *r)
{
    const struct log_loc *llcf = http_loc_conf(r, &http_log_module);
    const struct log_format *last = NULL;
    struct slice line = SLICE_NONE;

    for (size_t i = 0; !llcf->off && i < llcf->targets.n; i++) {
        const struct log_target_conf *t = &llcf->targets.items[i];

        if (!wanted(r, t)) {
            continue;
        }
        if (t->format != last) {
            line = format_line(r, t->format);
            last = t->format;
        }
        if (t->syslog != NULL) {
            syslog_send(t->syslog, syslog_severity(t->syslog), slice_head(line, line.n - 1));
        } else if (t->path != NULL) {
            write_to_path(r, t, line);
        } else {
            add_line(t->buffer, line);
        }
    }
    return http_declined();
}

static bool
start_worker(struct http_main *hm UNUSED, struct loop *loop)
{
    loop_on_turn_end(loop, flush_turn, NULL);
    return true;
}

static void
stop_worker(struct http_main *hm)
{
    flush_turn(NULL);
    for (struct log_file *f = hm->cycle->logs.head; f != NULL; f = f->next) {
        if (f->flush == flush_file) {
            flush_buffer(f->data);
        }
    }
}

/* --- configuration -------------------------------------------------------------------------------------------- */

#define COMBINED                                                                                   \
    "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent "            \
    "\"$http_referer\" \"$http_user_agent\""

static const struct log_format *
find_format(struct conf_ctx *cf, struct slice name)
{
    struct log_main *lmcf = http_conf_main(cf, &http_log_module);

    for (size_t i = 0; i < lmcf->formats.n; i++) {
        if (slice_eq(lmcf->formats.items[i]->name, name)) {
            return lmcf->formats.items[i];
        }
    }
    return NULL;
}

static struct log_format *
new_format(struct conf_ctx *cf, struct log_main *lmcf, struct slice name)
{
    struct log_format *f = POOL_NEW(cf->pool, struct log_format);

    f->name = name;
    *VEC_PUSH(&lmcf->formats, cf->pool) = f;
    return f;
}

static void
init_main(struct conf_ctx *cf, void *conf)
{
    struct slice error;

    new_format(cf, conf, SLICE("combined"))->text =
        template_compile(cf->pool, cf->vars, SLICE(COMBINED), &error);
}

static enum conf_result
add_format(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct log_main *lmcf = conf;
    struct text_builder b;
    struct slice escape;
    uint32_t first = 2;

    for (size_t i = 0; i < lmcf->formats.n; i++) {
        if (slice_eq(lmcf->formats.items[i]->name, conf_arg(node, 1))) {
            return conf_error_at(cf, &node->words[1], "duplicate \"log_format\" name \"%.*s\"",
                                 SLICE_ARG(conf_arg(node, 1)));
        }
    }
    struct log_format *f = new_format(cf, lmcf, conf_arg(node, 1));

    if (conf_param(conf_arg(node, 2), "escape", &escape)) {
        if (slice_eq(escape, SLICE("json"))) {
            f->escape = ESCAPE_JSON;
        } else if (slice_eq(escape, SLICE("none"))) {
            f->escape = ESCAPE_NONE;
        } else if (!slice_eq(escape, SLICE("default"))) {
            return conf_error_at(cf, &node->words[2], "unknown log format escaping \"%.*s\"",
                                 SLICE_ARG(escape));
        }
        first = 3;
    }
    text_init(&b, cf->pool, 256);
    for (uint32_t i = first; i < node->n_words; i++) {
        text_add(&b, conf_arg(node, i));
    }
    struct conf_word whole = node->words[1];

    whole.text = text_done(&b);
    f->text = template_from_word(cf, cf->vars, &whole);
    return f->text == NULL ? CONF_ERROR : CONF_OK;
}

struct log_params {
    int64_t buffer;
    int64_t flush;
    int gzip;
};

static enum conf_result
log_param(struct conf_ctx *cf, const struct conf_node *node, uint32_t i, struct log_params *p,
          struct log_target_conf *t)
{
    const struct conf_word *w = &node->words[i];
    struct slice v;

    if (conf_param(w->text, "buffer", &v)) {
        if (!num_parse_size(v, &p->buffer) || p->buffer == 0) {
            return conf_error_at(cf, w, "invalid buffer size \"%.*s\"", SLICE_ARG(v));
        }
        return CONF_OK;
    }
    if (conf_param(w->text, "flush", &v)) {
        if (!num_parse_time(v, false, &p->flush) || p->flush == 0) {
            return conf_error_at(cf, w, "invalid flush time \"%.*s\"", SLICE_ARG(v));
        }
        return CONF_OK;
    }
    if (slice_eq(w->text, SLICE("gzip"))) {
        p->gzip = 1;
        return CONF_OK;
    }
    if (conf_param(w->text, "gzip", &v)) {
        int64_t level;

        if (!num_parse(v, &level) || level < 1 || level > 9) {
            return conf_error_at(cf, w, "invalid compression level \"%.*s\"", SLICE_ARG(v));
        }
        p->gzip = (int)level;
        return CONF_OK;
    }
    if (conf_param(w->text, "if", &v)) {
        struct conf_word cw = *w;

        cw.text = v;
        t->condition = template_from_word(cf, cf->vars, &cw);
        return t->condition == NULL ? CONF_ERROR : CONF_OK;
    }
    return conf_invalid_param(cf, node, i);
}

static enum conf_result
use_buffer(struct conf_ctx *cf, const struct conf_node *node, struct log_target_conf *t,
           const struct log_params *p)
{
    struct log_file *file = cycle_add_log_file(cf->cycle, conf_arg(node, 1));
    struct log_buffer *b = file->data;
    int64_t size = p->buffer > 0 ? p->buffer : p->gzip > 0 ? 64 * 1024 : 0;

    if (b == NULL) {
        b = POOL_NEW(cf->pool, struct log_buffer);
        b->file = file;
        b->log = &((struct cycle *)cf->cycle)->log;
        b->every_turn = size == 0;
        b->size = size == 0 ? TURN_BUFFER : (size_t)size;
        b->flush_ms = p->flush;
        b->gzip = p->gzip;
        b->timer.deadline = INT64_MAX;
        file->data = b;
        file->flush = flush_file;
    } else if (b->size != (size_t)(size == 0 ? TURN_BUFFER : size) || b->flush_ms != p->flush ||
               b->gzip != p->gzip) {
        return conf_error_at(cf, &node->words[1],
                             "access_log \"%.*s\" already defined with conflicting parameters",
                             SLICE_ARG(file->path));
    }
    t->buffer = b;
    return CONF_OK;
}

static enum conf_result
add_access_log(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct log_loc *llcf = conf;
    struct slice to = conf_arg(node, 1);
    struct log_params p = { 0 };

    if (slice_eq(to, SLICE("off"))) {
        if (node->n_words > 2) {
            return conf_invalid_param(cf, node, 2);
        }
        llcf->off = true;
        return CONF_OK;
    }
    if (!conf_given(cf, "access_log")) {
        llcf->off = false;
    }
    struct log_target_conf *t = VEC_PUSH(&llcf->targets, cf->pool);
    uint32_t first = 2;
    struct slice name = SLICE("combined");

    if (node->n_words > 2) {
        name = conf_arg(node, 2);
        first = 3;
        if (slice_starts(name, SLICE("buffer=")) || slice_starts(name, SLICE("if="))) {
            name = SLICE("combined");
            first = 2;
        }
    }
    t->format = find_format(cf, name);
    if (t->format == NULL) {
        return conf_error_at(cf, &node->words[2], "unknown log format \"%.*s\"", SLICE_ARG(name));
    }
    for (uint32_t i = first; i < node->n_words; i++) {
        TRY(log_param(cf, node, i, &p, t));
    }
    if (p.flush > 0 && p.buffer == 0 && p.gzip == 0) {
        return conf_error_at(cf, &node->words[1], "no buffer is defined for access_log \"%.*s\"",
                             SLICE_ARG(to));
    }
    if (slice_starts(to, SLICE("syslog:"))) {
        struct slice error = SLICE("");

        t->syslog = syslog_parse(cf->pool, slice_from(to, 7), &error);
        return t->syslog != NULL ? CONF_OK
                                 : conf_error_at(cf, &node->words[1], "%.*s", SLICE_ARG(error));
    }
    if (slice_chr(to, '$') >= 0) {
        if (p.buffer > 0 || p.gzip > 0) {
            return conf_error_at(cf, &node->words[1],
                                 "buffered logs cannot have variables in name");
        }
        t->path = template_from_word(cf, cf->vars, &node->words[1]);
        return t->path == NULL ? CONF_ERROR : CONF_OK;
    }
    return use_buffer(cf, node, t, &p);
}

static enum conf_result
set_cache(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct log_loc *llcf = conf;

    llcf->cache_max = 0;
    for (uint32_t i = 1; i < node->n_words; i++) {
        struct slice w = conf_arg(node, i);
        struct slice v;
        bool good = slice_eq(w, SLICE("off"));

        if (conf_param(w, "max", &v)) {
            good = num_parse(v, &llcf->cache_max) && llcf->cache_max > 0;
        } else if (conf_param(w, "inactive", &v)) {
            good = num_parse_time(v, true, &llcf->cache_inactive);
        } else if (conf_param(w, "valid", &v)) {
            good = num_parse_time(v, true, &llcf->cache_valid);
        } else if (conf_param(w, "min_uses", &v)) {
            good = num_parse(v, &llcf->cache_min_uses) && llcf->cache_min_uses > 0;
        }
        if (!good) {
            return conf_error_at(cf, &node->words[i],
                                 "invalid \"open_log_file_cache\" parameter \"%.*s\"",
                                 SLICE_ARG(w));
        }
    }
    if (llcf->cache_max == 0 && !slice_eq(conf_arg(node, 1), SLICE("off"))) {
        return conf_error_at(cf, &node->words[0],
                             "\"open_log_file_cache\" must have \"max\" parameter");
    }
    return CONF_OK;
}

/* Without any access_log there is one: the built-in path, format combined. */
static enum conf_result
finish_loc(struct conf_ctx *cf, void *conf)
{
    struct log_loc *llcf = conf;

    if (cf->scope->context != CTX_HTTP || conf_given(cf, "access_log")) {
        return CONF_OK;
    }
    static const struct conf_word word = { .text = SLICE_INIT("access_log") };
    struct conf_word words[2] = { word, word };
    struct conf_node node = { .words = words, .n_words = 2 };

    words[1].text = http_default_log_path(cf);
    memset(&llcf->targets, 0, sizeof(llcf->targets));
    return add_access_log(cf, &node, conf);
}

#define IN_LOG CONF_IN(CTX_HTTP | CTX_SRV | CTX_LOC | CTX_LIF | CTX_LMT, CONF_LEVEL_LOC)

static const struct conf_directive rows[] = {
    CONF_CALL("log_format", IN_HTTP, ARGS_MORE(2), add_format),
    CONF_LIST("access_log", IN_LOG, ARGS_MORE(1), struct log_loc, targets, add_access_log),
    CONF_CALL_ONCE("open_log_file_cache", IN_HTTP_ANY, ARGS(1, 4), set_cache),
    CONF_END,
};

const struct http_module http_log_module = {
    .conf = { .name = "http_log",
              .directives = rows,
              .id = CONF_MODULE_ID,
              .size = { [CONF_LEVEL_MAIN] = sizeof(struct log_main),
                        [CONF_LEVEL_LOC] = sizeof(struct log_loc) },
              .init = { [CONF_LEVEL_MAIN] = init_main },
              .finish = { [CONF_LEVEL_LOC] = finish_loc } },
    .phase = HTTP_LOG_PHASE,
    .handler = log_handler,
    .start_worker = start_worker,
    .stop_worker = stop_worker,
};
