/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading a response body and passing it on.
 *
 * One buffer holds what one or more reads brought; the decoder marks runs of body bytes in it, and
 * each run is a buf of the chain that goes to the client. A buffer is free again when its last run
 * was sent. So bytes are copied once from the peer and once to the client, whatever the framing.
 *
 * While the client keeps up nothing is held. When it does not, `client_blocked` is set until
 * on_writable: new runs wait in `backlog`, within memory_bufs; beyond that the backlog is moved to a
 * temporary file (proxy_max_temp_file_size), and when that may not grow the peer is not read.
 */
#include "http/proxy/relay.h"

#include "base/num.h"
#include "base/time.h"
#include "http/core.h"
#include "http/proxy/proto.h"

#include <errno.h>
#include <unistd.h>

/* Free buffers a worker keeps: 2 MiB. */
#define FREE_MAX 32
/* Reads for one exchange before others get their turn: 1 MiB. */
#define READS_A_TURN 16
/* A buffer with less room than this is not worth another read. */
#define ROOM_MIN 2048
/* Runs up to this size are moved together rather than sent as pieces of their own. */
#define RUN_MOVE_MAX 4096

static struct list free_bufs = LIST_INIT(free_bufs); /* the worker's */
static uint32_t n_free;

/* --- buffers ----------------------------------------------------------------------------------- */

static struct relay_buf *
buf_take(struct http_exchange *u)
{
    struct relay_buf *rb;

    if (n_free > 0) {
        rb = list_entry(free_bufs.next, struct relay_buf, link);
        list_remove(&rb->link);
        n_free--;
    } else {
        rb = mem_alloc(RELAY_BUF_ALLOC);
    }
    rb->u = u;
    rb->refs = 1;
    rb->n_runs = 0;
    rb->at = 0;
    rb->used = 0;
    list_add_tail(&u->bufs, &rb->link);
    u->n_bufs++;
    return rb;
}

static void
buf_give_back(struct relay_buf *rb)
{
    list_remove(&rb->link);
    rb->u->n_bufs--;
    if (n_free == FREE_MAX) {
        mem_free(rb);
        return;
    }
    list_add_head(&free_bufs, &rb->link);
    n_free++;
}

static void
buf_unref(struct relay_buf *rb)
{
    ASSERT(rb->refs > 0);
    if (--rb->refs == 0) {
        buf_give_back(rb);
    }
}

static void
run_sent(struct buf *b)
{
    buf_unref(b->owner);
}

void
relay_drop_cur(struct http_exchange *u)
{
    struct relay_buf *rb = u->cur;

    u->cur = NULL;
    if (rb != NULL) {
        buf_unref(rb);
    }
}

struct relay_buf *
relay_room(struct http_exchange *u)
{
    struct relay_buf *rb = u->cur;

    if (rb != NULL && rb->refs == 1 && rb->at == rb->used) { /* all of it is gone: from the front */
        rb->at = 0;
        rb->used = 0;
        rb->n_runs = 0;
        return rb;
    }
    if (rb != NULL && RELAY_BUF_SIZE - rb->used >= ROOM_MIN && rb->n_runs < RELAY_BUF_RUNS) {
        return rb;
    }
    if (rb != NULL && rb->at < rb->used) {
        return rb; /* an undecoded rest must stay in one piece */
    }
    relay_drop_cur(u);
    u->cur = buf_take(u);
    return u->cur;
}

/* --- proxy_store ------------------------------------------------------------------------------- */

static void
store_drop(struct http_exchange *u)
{
    if (u->store_fd >= 0) {
        close(u->store_fd);
        unlink(u->store_name.p);
        u->store_fd = -1;
    }
}

static void
store_failed(struct http_exchange *u, const char *what, struct slice name)
{
    log_error(&u->r->log, LOG_LVL_CRIT, errno, "%s \"%.*s\" failed", what, SLICE_ARG(name));
    store_drop(u);
}

static void
store_begin(struct http_exchange *u)
{
    if (u->conf->store == STORE_OFF || u->status != 200 || u->framing == FRAMING_NONE) {
        return;
    }
    u->store_fd = file_temp(u->r->pool, &u->conf->temp_path, &u->store_name);
    if (u->store_fd < 0) {
        log_error(&u->r->log, LOG_LVL_CRIT, errno, "open() \"%.*s\" failed",
                  SLICE_ARG(u->conf->temp_path.path));
    }
}

static void
store_add(struct http_exchange *u, struct slice run)
{
    if (u->store_fd < 0) {
        return;
    }
    if (!file_write_all(u->store_fd, run.p, run.n, (off_t)u->store_at)) {
        store_failed(u, "pwrite()", u->store_name);
        return;
    }
    u->store_at += run.n;
}

static struct slice
store_path(struct http_exchange *u)
{
    struct slice path;
    size_t root_n;

    if (u->conf->store == STORE_ON) {
        return http_map_path(u->r, 0, &root_n);
    }
    path = template_eval(u->conf->store_path, &u->r->vars);
    return slice_of(pool_str(u->r->pool, path), path.n);
}

/* The file appears under its name only when it is whole, with the time the server gave it. */
static void
store_end(struct http_exchange *u)
{
    struct slice path;

    if (u->store_fd < 0) {
        return;
    }
    path = store_path(u);
    if (path.p == NULL || path.n == 0) {
        store_drop(u);
        return;
    }
    if (u->r->out.last_modified != -1) {
        struct timespec ts[2] = { { .tv_sec = u->r->out.last_modified },
                                  { .tv_sec = u->r->out.last_modified } };

        (void)futimens(u->store_fd, ts);
    }
    if (!file_make_parents(u->r->pool, path, 0700) ||
        !file_move(u->store_name.p, path.p, (mode_t)u->conf->store_access)) {
        store_failed(u, "rename()", path);
        return;
    }
    close(u->store_fd);
    u->store_fd = -1;
}

void
relay_free(struct http_exchange *u)
{
    u->cur = NULL;
    while (!list_empty(&u->bufs)) {
        buf_give_back(list_entry(u->bufs.next, struct relay_buf, link));
    }
    if (u->temp_fd >= 0) {
        close(u->temp_fd);
        u->temp_fd = -1;
    }
    store_drop(u);
}

/* --- decoding ---------------------------------------------------------------------------------- */

static struct buf *
backlog_tail(struct http_exchange *u)
{
    return chain_empty(&u->backlog) ? NULL : container_of(u->backlog.tail, struct buf, next);
}

/* Body bytes in u->cur: extend the last run, move a small one up to it, or begin a new one. */
static void
add_run(struct http_exchange *u, struct slice run)
{
    struct relay_buf *rb = u->cur;
    struct buf *tail = backlog_tail(u);
    bool same = tail != NULL && tail->owner == rb && tail->release == run_sent;
    char *at = rb->data + (run.p - rb->data);

    store_add(u, run);
    exchange_state_of(u)->response_length += run.n;
    if (u->discard || run.n == 0) {
        return;
    }
    if (same && (tail->last == at || run.n <= RUN_MOVE_MAX || rb->n_runs == RELAY_BUF_RUNS)) {
        if (tail->last != at) {
            memmove(tail->last, at, run.n);
        }
        tail->last += run.n;
        return;
    }
    DASSERT(rb->n_runs < RELAY_BUF_RUNS);
    struct buf *b = &rb->runs[rb->n_runs++];

    *b = (struct buf){
        .start = at, .pos = at, .last = at + run.n, .end = at + run.n, .release = run_sent, .owner = rb,
    };
    rb->refs++;
    chain_push(&u->backlog, b);
}

static enum decode_state
decode_cur(struct http_exchange *u)
{
    struct relay_buf *rb = u->cur;
    struct slice in = slice_of(rb->data + rb->at, rb->used - rb->at);
    enum decode_state state = u->proto->decode_body(u, &in, add_run);

    rb->at = (uint32_t)(in.p - rb->data);
    return state;
}

/* --- temporary file ---------------------------------------------------------------------------- */

static void
file_sent(struct buf *b)
{
    struct http_exchange *u = b->owner;

    if (--u->temp_bufs == 0) {
        u->temp_at = 0; /* all of it was sent: from the front again */
        u->temp_used = true;
    }
}

static bool
spill_allowed(const struct http_exchange *u)
{
    return u->buffering && !u->no_spill && u->temp_at < u->conf->max_temp_file_size;
}

/*
 * Going back to the front of the file needs new pages: sendfile() lends those that were written to
 * the socket, and what is not acknowledged yet would change under it. Truncating takes them out of
 * the file.
 */
static bool
open_temp(struct http_exchange *u)
{
    struct slice name;

    if (u->temp_fd >= 0) {
        if (u->temp_used && ftruncate(u->temp_fd, 0) != 0) {
            u->no_spill = true;
            return false;
        }
        u->temp_used = false;
        return true;
    }
    u->temp_fd = file_temp(u->r->pool, &u->conf->temp_path, &name);
    if (u->temp_fd < 0) {
        log_error(&u->r->log, LOG_LVL_CRIT, errno, "open() of a file in \"%.*s\" failed",
                  SLICE_ARG(u->conf->temp_path.path));
        u->no_spill = true;
        return false;
    }
    unlink(name.p);
    log_error(&u->r->log, LOG_LVL_WARN, 0,
              "an upstream response is buffered to a temporary file %.*s", SLICE_ARG(name));
    return true;
}

static bool
write_bufs(struct http_exchange *u, const struct buf *from, off_t *at)
{
    for (const struct buf *b = from; b != NULL; b = b->next) {
        if (!file_write_all(u->temp_fd, b->pos, buf_len(b), *at)) {
            log_error(&u->r->log, LOG_LVL_CRIT, errno, "pwrite() of a temporary file failed");
            u->no_spill = true;
            return false;
        }
        *at += (off_t)buf_len(b);
    }
    return true;
}

/*
 * Move the memory bufs at the end of the backlog to the file; on a full disk nothing is lost, they
 * stay in memory and the peer waits.
 */
static void
spill(struct http_exchange *u)
{
    struct buf **first = &u->backlog.head;
    struct buf *file = NULL;
    off_t end = u->temp_at;

    while (*first != NULL && (*first)->in_file) {
        file = *first;
        first = &(*first)->next;
    }
    struct chain memory = { .head = *first, .tail = u->backlog.tail };

    if (memory.head == NULL || !open_temp(u) || !write_bufs(u, memory.head, &end)) {
        return;
    }
    *first = NULL;
    u->backlog.tail = first;
    chain_drop(&memory);
    if (file != NULL && file->file_last == u->temp_at) {
        file->file_last = end;
    } else {
        file = buf_file(u->r->pool, u->temp_fd, u->temp_at, end);
        file->release = file_sent;
        file->owner = u;
        u->temp_bufs++;
        chain_push(&u->backlog, file);
    }
    u->temp_at = end;
}

/* --- to the client ----------------------------------------------------------------------------- */

enum push {
    PUSH_OK,
    PUSH_GONE, /* the exchange is over, r may be freed */
};

/* Hand the backlog on. */
static enum push
push(struct http_exchange *u, bool last)
{
    struct http_request *r = u->r;

    if (u->discard || r->out_last) { /* out_last: an answer without a body is complete already */
        chain_drop(&u->backlog);
        return PUSH_OK;
    }
    if (last) {
        struct buf *tail = backlog_tail(u);

        if (tail == NULL) {
            tail = buf_wrap(r->pool, slice_of("", 0));
            chain_push(&u->backlog, tail);
        }
        tail->last_buf = true;
    } else if (chain_empty(&u->backlog)) {
        return PUSH_OK;
    } else if (!u->buffering) {
        backlog_tail(u)->flush = true;
    }
    switch (http_output(r, &u->backlog)) {
    case HTTP_OUT_DONE:
        u->client_blocked = false;
        return PUSH_OK;
    case HTTP_OUT_AGAIN:
        u->client_blocked = true;
        return PUSH_OK;
    case HTTP_OUT_ERROR:
        break;
    }
    return exchange_client_gone(u) ? PUSH_OK : PUSH_GONE;
}

/* The whole body is here: the peer's connection goes first, so that the next request finds it. */
static void
complete(struct http_exchange *u)
{
    bool extra = u->cur != NULL && u->cur->at < u->cur->used;

    if (extra && u->framing != FRAMING_CLOSE) {
        log_error(&u->r->log, LOG_LVL_WARN, 0,
                  "upstream sent more data than specified in \"Content-Length\" header");
    }
    u->body_complete = true;
    store_end(u);
    relay_drop_cur(u);
    exchange_release(u, !extra && u->proto->can_reuse(u),
                     u->peer_failed ? UP_OUTCOME_FAILED : UP_OUTCOME_OK);
    if (u->discard) {
        exchange_finish(u, 499);
        return;
    }
    if (push(u, true) == PUSH_OK) {
        exchange_finish(u, 0);
    }
}

/* The body cannot be completed: what came is still sent, then the client's connection closes, which
 * is how it learns that something is missing (RFC 9112 section 8). */
static void
broken(struct http_exchange *u, enum up_outcome outcome)
{
    u->broken = true;
    relay_drop_cur(u);
    exchange_release(u, false, outcome);
    if (!u->client_blocked && push(u, false) == PUSH_GONE) {
        return;
    }
    if (!u->client_blocked || u->discard) {
        exchange_finish(u, 444);
    }
}

/* --- from the peer ----------------------------------------------------------------------------- */

/* Bytes that proxy_limit_rate leaves for now; a timer is set when there are none. */
static uint64_t
rate_allowance(struct http_exchange *u)
{
    if (u->limit_rate == 0) {
        return UINT64_MAX;
    }
    uint64_t passed_ms = (uint64_t)MAX(clock_ms() - u->try_ms, (int64_t)0);
    uint64_t may = u->limit_rate * (passed_ms / 1000 + 1);

    if (u->body_read < may) {
        return may - u->body_read;
    }
    timer_set(net_worker->loop, &u->timer,
              (int64_t)((u->body_read - may) * 1000 / u->limit_rate) + 1000 -
                  (int64_t)(passed_ms % 1000));
    return 0;
}

static bool
has_memory(const struct http_exchange *u)
{
    return u->n_bufs < u->memory_bufs ||
           (u->cur != NULL && RELAY_BUF_SIZE - u->cur->used >= ROOM_MIN &&
            u->cur->n_runs < RELAY_BUF_RUNS);
}

static bool
may_read(const struct http_exchange *u)
{
    return !u->client_blocked || has_memory(u) || spill_allowed(u);
}

static void
read_failed(struct http_exchange *u, const struct io *io)
{
    if (io->state == IO_ERROR) {
        log_error(&u->r->log, LOG_LVL_ERR, io->err, "recv() failed");
    } else {
        log_error(&u->r->log, LOG_LVL_ERR, 0, "upstream prematurely closed connection");
    }
    broken(u, UP_OUTCOME_FAILED);
}

enum step {
    STEP_MORE,
    STEP_WAIT, /* for the peer, or the client */
    STEP_OVER, /* the relay has ended; u may be gone */
};

/* Decode what is in cur and pass it on. */
static enum step
pass_on(struct http_exchange *u)
{
    switch (decode_cur(u)) {
    case DECODE_DONE:
        complete(u);
        return STEP_OVER;
    case DECODE_BAD:
        broken(u, UP_OUTCOME_FAILED);
        return STEP_OVER;
    case DECODE_MORE:
        break;
    }
    if (u->client_blocked) {
        if (!has_memory(u) && spill_allowed(u)) {
            spill(u);
        }
        return STEP_MORE;
    }
    return push(u, false) == PUSH_OK ? STEP_MORE : STEP_OVER;
}

static enum step
read_once(struct http_exchange *u)
{
    struct conn *c = u->uc->c;
    uint64_t allowance = rate_allowance(u);

    if (allowance == 0 || !may_read(u)) {
        return STEP_WAIT;
    }
    struct relay_buf *rb = relay_room(u);
    size_t room = (size_t)MIN((uint64_t)(RELAY_BUF_SIZE - rb->used), allowance);
    struct io io = conn_read(c, rb->data + rb->used, room);

    switch (io.state) {
    case IO_DONE:
        rb->used += (uint32_t)io.n;
        u->body_read += io.n;
        exchange_state_of(u)->bytes_received += io.n;
        return pass_on(u);
    case IO_AGAIN:
        return STEP_WAIT;
    case IO_EOF:
        if (u->proto->eof_completes(u)) {
            complete(u);
            return STEP_OVER;
        }
        FALLTHROUGH;
    case IO_ERROR:
        read_failed(u, &io);
        return STEP_OVER;
    }
    UNREACHABLE();
}

void
relay_on_read(struct http_exchange *u)
{
    struct conn *c = u->uc->c;

    for (unsigned reads = 0; c->can_read; reads++) {
        if (reads == READS_A_TURN) {
            conn_post_read(c);
            break;
        }
        enum step step = read_once(u);

        if (step == STEP_OVER) {
            return;
        }
        if (step == STEP_WAIT) {
            break;
        }
    }
    if (u->cur != NULL && u->cur->refs == 1) { /* nothing of it waits: idle exchanges hold nothing */
        relay_drop_cur(u);
    }
    /* A peer that waits for the client or for the rate limit is not late. */
    conn_set_timeout(c, c->can_read ? 0 : u->conf->read_timeout);
}

void
relay_on_timeout(struct http_exchange *u)
{
    log_error(&u->r->log, LOG_LVL_ERR, ETIMEDOUT, "upstream timed out");
    broken(u, UP_OUTCOME_FAILED);
}

static void
on_writable(struct http_request *r)
{
    struct http_exchange *u = r->upstream;

    CHECK_MAGIC(u, MAGIC_EXCHANGE);
    u->client_blocked = false;
    if (push(u, false) == PUSH_GONE) {
        return;
    }
    if (u->broken) {
        if (!u->client_blocked) {
            exchange_finish(u, 444);
        }
        return;
    }
    if (u->state == EX_BODY && u->uc != NULL) {
        relay_on_read(u);
    }
}

static void
on_rate_timer(struct timer *t)
{
    struct http_exchange *u = container_of(t, struct http_exchange, timer);

    CHECK_MAGIC(u, MAGIC_EXCHANGE);
    if (u->state == EX_BODY && u->uc != NULL) {
        relay_on_read(u);
    }
}

static uint64_t
eval_rate(struct http_exchange *u)
{
    int64_t rate = 0;

    if (u->conf->limit_rate == NULL ||
        !num_parse_size(template_eval(u->conf->limit_rate, &u->r->vars), &rate)) {
        return 0;
    }
    return (uint64_t)rate;
}

/* The head alone: the body may be long in coming. false: everything is over. */
static bool
flush_head(struct http_exchange *u)
{
    struct buf *b = buf_wrap(u->r->pool, slice_of("", 0));
    struct chain head;

    chain_init(&head);
    b->flush = true;
    chain_push(&head, b);
    switch (http_output(u->r, &head)) {
    case HTTP_OUT_AGAIN:
        u->client_blocked = true;
        return true;
    case HTTP_OUT_DONE:
        return true;
    case HTTP_OUT_ERROR:
        return exchange_client_gone(u);
    }
    UNREACHABLE();
}

void
relay_start(struct http_exchange *u)
{
    const struct exchange_conf *conf = u->conf;
    int64_t memory = u->buffering ? conf->buffers.n * conf->buffers.size : conf->buffer_size;

    u->state = EX_BODY;
    u->r->on_writable = on_writable;
    u->r->log_ctx.action = "reading upstream";
    u->timer.fire = on_rate_timer;
    u->memory_bufs = (uint32_t)MAX(memory / RELAY_BUF_ALLOC, (int64_t)1);
    u->limit_rate = eval_rate(u);
    u->body_read = u->cur != NULL ? u->cur->used - u->cur->at : 0;
    store_begin(u);
    if (u->framing == FRAMING_NONE || (u->framing == FRAMING_LENGTH && u->body_left == 0)) {
        complete(u);
        return;
    }
    if (u->cur != NULL && u->cur->at < u->cur->used) {
        if (pass_on(u) == STEP_OVER) {
            return;
        }
    } else if (!u->discard && !flush_head(u)) {
        return;
    }
    relay_on_read(u);
}
