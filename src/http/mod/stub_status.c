/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stub_status, over all workers: each has a slot of counters in memory that the master mapped before
 * it forked; a reader sums them.
 */
#include "http/blocks.h"
#include "http/h1/conn.h"
#include "http/http.h"
#include "http/mod/mod.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOTS 1024

struct counters { /* written by one process, read by all */
    _Alignas(64) _Atomic uint64_t accepted;
    _Atomic uint64_t handled;
    _Atomic uint64_t requests;
    _Atomic uint64_t reading;
    _Atomic uint64_t writing;
    _Atomic uint64_t waiting;
    _Atomic int pid; /* whose gauges these are; counters of an ended worker stay */
};

static struct counters *shared;
static struct counters *mine;

static enum conf_result
map_counters(struct conf_ctx *cf UNUSED)
{
    if (shared == NULL) {
        void *p = mmap(NULL, SLOTS * sizeof(*shared), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        shared = p == MAP_FAILED ? NULL : p;
    }
    return CONF_OK;
}

static void
publish(void *arg UNUSED)
{
    if (mine->requests == h1_counts.requests && mine->waiting == h1_counts.waiting &&
        mine->accepted == net_worker->accepted && mine->reading == h1_counts.reading &&
        mine->writing == h1_counts.writing) {
        return;
    }
    atomic_store_explicit(&mine->accepted, net_worker->accepted, memory_order_relaxed);
    atomic_store_explicit(&mine->handled, net_worker->handled, memory_order_relaxed);
    atomic_store_explicit(&mine->requests, h1_counts.requests, memory_order_relaxed);
    atomic_store_explicit(&mine->reading, h1_counts.reading, memory_order_relaxed);
    atomic_store_explicit(&mine->writing, h1_counts.writing, memory_order_relaxed);
    atomic_store_explicit(&mine->waiting, h1_counts.waiting, memory_order_relaxed);
}

/* A free slot, or that of a process that is gone: its totals are carried on. */
static bool
start_worker(struct http_main *hm UNUSED, struct loop *loop)
{
    for (int i = 0; shared != NULL && mine == NULL && i < SLOTS; i++) {
        int owner = shared[i].pid;

        if ((owner == 0 || (owner != getpid() && getpgid(owner) < 0)) &&
            atomic_compare_exchange_strong(&shared[i].pid, &owner, getpid())) {
            mine = &shared[i];
            net_worker->accepted = mine->accepted;
            net_worker->handled = mine->handled;
            h1_counts.requests = mine->requests;
            loop_on_turn_end(loop, publish, NULL);
        }
    }
    return true;
}

static void
stop_worker(struct http_main *hm UNUSED)
{
    if (mine != NULL) {
        mine->reading = mine->writing = mine->waiting = 0;
    }
}

struct totals {
    uint64_t accepted, handled, requests, reading, writing, waiting;
};

static struct totals
sum(void)
{
    struct totals t = { 0 };

    if (mine != NULL) {
        publish(NULL);
    }
    for (int i = 0; shared != NULL && i < SLOTS && shared[i].pid != 0; i++) {
        t.accepted += shared[i].accepted;
        t.handled += shared[i].handled;
        t.requests += shared[i].requests;
        t.reading += shared[i].reading;
        t.writing += shared[i].writing;
        t.waiting += shared[i].waiting;
    }
    return t;
}

static struct http_verdict
stub_status_handler(struct http_request *r)
{
    struct totals t = sum();

    if ((r->method & (HTTP_GET | HTTP_HEAD)) == 0) {
        return http_finish(405);
    }
    struct slice text = pool_printf(
        r->pool,
        "Active connections: %llu \nserver accepts handled requests\n %llu %llu %llu \n"
        "Reading: %llu Writing: %llu Waiting: %llu \n",
        (unsigned long long)(t.reading + t.writing + t.waiting), (unsigned long long)t.accepted,
        (unsigned long long)t.handled, (unsigned long long)t.requests,
        (unsigned long long)t.reading, (unsigned long long)t.writing,
        (unsigned long long)t.waiting);

    return http_send_text(r, 200, SLICE("text/plain"), text);
}

static enum conf_result
set_stub_status(struct conf_ctx *cf, const struct conf_node *node UNUSED, void *conf UNUSED)
{
    http_current_location(cf)->handler = stub_status_handler;
    return CONF_OK;
}

static void
get_connections(struct var_scope *scope, const struct var *var, struct var_value *v)
{
    struct totals t = sum();
    uint64_t of[] = { t.reading + t.writing + t.waiting, t.reading, t.writing, t.waiting };

    v->text = pool_printf(scope->pool, "%llu", (unsigned long long)of[var->data]);
    v->state = VAR_FOUND;
}

static const struct var_def vars[] = {
    { "connections_active", get_connections, NULL, 0, VAR_NOCACHE },
    { "connections_reading", get_connections, NULL, 1, VAR_NOCACHE },
    { "connections_writing", get_connections, NULL, 2, VAR_NOCACHE },
    { "connections_waiting", get_connections, NULL, 3, VAR_NOCACHE },
    { NULL, NULL, NULL, 0, 0 },
};

static const struct conf_directive rows[] = {
    CONF_CALL_ONCE("stub_status", CONF_IN(CTX_SRV | CTX_LOC, CONF_LEVEL_OWN), ARGS(0, 1),
                   set_stub_status),
    CONF_END,
};

const struct http_module http_stub_status_module = {
    .conf = { .name = "http_stub_status", .directives = rows, .id = CONF_MODULE_ID },
    .vars = vars,
    .preconf = map_counters,
    .start_worker = start_worker,
    .stop_worker = stop_worker,
};
