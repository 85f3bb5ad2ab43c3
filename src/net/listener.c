/* SPDX-License-Identifier: BSD-2-Clause */
/* Listening sockets and the accept loop. */
#include "net/listener.h"

#include "base/pool.h"
#include "base/time.h"
#include "os/sock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BIND_TRIES 5
#define BIND_WAIT_MS 500
#define BACKLOG_DEFAULT 511
#define ACCEPT_PAUSE_MS 500

/* --- opening ------------------------------------------------------------------------------------------- */

static void
report(const struct listen_job *job, enum log_level lvl, int err, const char *fmt, struct slice a)
{
    char text[512];

    snprintf(text, sizeof(text), fmt, SLICE_ARG(a));
    job->report(job->arg, lvl, err, text);
}

static bool
set_before_bind(const struct listener *l, int fd)
{
    const struct listen_opts *o = &l->opts;

    if (!sock_set(fd, SOL_SOCKET, SO_REUSEADDR, 1)) {
        return false;
    }
    if (o->reuseport && !sock_set(fd, SOL_SOCKET, SO_REUSEPORT, 1)) {
        return false;
    }
    if (l->addr.sa.sa_family == AF_INET6) {
        return sock_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, o->ipv6only != 0);
    }
    return true;
}

/* What may change on an open socket; failures here do not stop the server. */
static void
apply_options(const struct listener *l, int fd)
{
    const struct listen_opts *o = &l->opts;

    if (o->rcvbuf > 0) {
        sock_set(fd, SOL_SOCKET, SO_RCVBUF, (int)o->rcvbuf);
    }
    if (o->sndbuf > 0) {
        sock_set(fd, SOL_SOCKET, SO_SNDBUF, (int)o->sndbuf);
    }
    if (o->so_keepalive >= 0) {
        sock_set(fd, SOL_SOCKET, SO_KEEPALIVE, o->so_keepalive);
    }
    if (l->addr.sa.sa_family == AF_UNIX) {
        return;
    }
    if (o->keepidle > 0) {
        sock_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, o->keepidle);
    }
    if (o->keepintvl > 0) {
        sock_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, o->keepintvl);
    }
    if (o->keepcnt > 0) {
        sock_set(fd, IPPROTO_TCP, TCP_KEEPCNT, o->keepcnt);
    }
    if (o->fastopen > 0) {
        sock_set(fd, IPPROTO_TCP, TCP_FASTOPEN, o->fastopen);
    }
    sock_set(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* accepted sockets inherit it */
    sock_set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, o->deferred ? 1 : 0);
}

/* A socket file that nobody listens on any more may be replaced. */
static void
remove_stale_socket(const struct addr *a)
{
    struct stat st;
    int fd;

    if (a->sa.sa_family != AF_UNIX || stat(a->un.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        return;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, &a->sa, a->len) != 0 && errno == ECONNREFUSED) {
        unlink(a->un.sun_path);
    }
    if (fd >= 0) {
        close(fd);
    }
}

enum open_result { OPEN_FAILED, OPEN_DONE, OPEN_IN_USE };

static enum open_result
open_socket(const struct listen_job *job, const struct listener *l, int *out)
{
    int fd = socket(l->addr.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        report(job, LOG_LVL_EMERG, errno, "socket() %.*s failed", l->text);
        return OPEN_FAILED;
    }
    remove_stale_socket(&l->addr);
    if (!set_before_bind(l, fd)) {
        report(job, LOG_LVL_EMERG, errno, "setsockopt() %.*s failed", l->text);
        close(fd);
        return OPEN_FAILED;
    }
    if (bind(fd, &l->addr.sa, l->addr.len) != 0) {
        int err = errno;

        close(fd);
        if (err == EADDRINUSE && job->testing) {
            return OPEN_DONE;
        }
        report(job, LOG_LVL_EMERG, err, "bind() to %.*s failed", l->text);
        return err == EADDRINUSE ? OPEN_IN_USE : OPEN_FAILED;
    }
    if (l->addr.sa.sa_family == AF_UNIX) {
        chmod(l->addr.un.sun_path, 0666);
    }
    apply_options(l, fd);
    if (!job->testing && listen(fd, l->opts.backlog > 0 ? l->opts.backlog : BACKLOG_DEFAULT) != 0) {
        int err = errno;

        report(job, LOG_LVL_EMERG, err, "listen() to %.*s failed", l->text);
        close(fd);
        return err == EADDRINUSE ? OPEN_IN_USE : OPEN_FAILED;
    }
    *out = fd;
    return OPEN_DONE;
}

static struct listener *
same_address(struct listener *list, const struct listener *l)
{
    while (list != NULL && !(addr_eq(&list->addr, &l->addr, true) && list->fd >= 0)) {
        list = list->next;
    }
    return list;
}

static bool
take_over(const struct listen_job *job, struct listener *l)
{
    struct listener *prev = same_address(job->prev, l);

    if (prev != NULL) {
        l->fd = prev->fd;
        l->worker_fds = prev->worker_fds;
        l->n_worker_fds = prev->n_worker_fds;
    }
    for (uint32_t i = 0; prev == NULL && job->inherited != NULL && i < job->inherited->n; i++) {
        if (addr_eq(&job->inherited->items[i].addr, &l->addr, true)) {
            l->fd = job->inherited->items[i].fd;
            l->inherited = true;
            break;
        }
    }
    if (l->fd < 0) {
        return false;
    }
    apply_options(l, l->fd);
    if (l->opts.backlog > 0) {
        listen(l->fd, l->opts.backlog);
    }
    return true;
}

/* One socket each worker, so that the kernel spreads the connections. */
static bool
open_worker_fds(const struct listen_job *job, struct listener *l)
{
    uint32_t have = l->worker_fds == NULL ? 1 : l->n_worker_fds;
    int *fds;

    if (!l->opts.reuseport || job->testing || job->n_workers <= have) {
        return true;
    }
    fds = mem_alloc(job->n_workers * sizeof(*fds));
    fds[0] = l->fd;
    for (uint32_t i = 1; i < job->n_workers; i++) {
        if (i < have) {
            fds[i] = l->worker_fds[i];
        } else if (open_socket(job, l, &fds[i]) != OPEN_DONE) {
            return false;
        }
    }
    l->worker_fds = fds;
    l->n_worker_fds = job->n_workers;
    return true;
}

bool
listeners_open(const struct listen_job *job)
{
    for (int attempt = 0; attempt < BIND_TRIES; attempt++) {
        bool in_use = false;

        for (struct listener *l = job->next; l != NULL; l = l->next) {
            if (l->fd >= 0 || take_over(job, l)) {
                continue;
            }
            switch (open_socket(job, l, &l->fd)) {
            case OPEN_FAILED:
                return false;
            case OPEN_IN_USE:
                in_use = true;
                break;
            case OPEN_DONE:
                break;
            }
        }
        if (!in_use) {
            for (struct listener *l = job->next; l != NULL; l = l->next) {
                if (l->fd >= 0 && !open_worker_fds(job, l)) {
                    return false;
                }
            }
            return true;
        }
        job->report(job->arg, LOG_LVL_NOTICE, 0, "try again to bind() after 500ms");
        usleep(BIND_WAIT_MS * 1000);
    }
    job->report(job->arg, LOG_LVL_EMERG, 0, "still could not bind()");
    return false;
}

static bool
fd_is_in(const struct listener *list, int fd)
{
    for (; list != NULL; list = list->next) {
        if (list->fd == fd) {
            return true;
        }
    }
    return false;
}

void
listeners_close(struct listener *list, const struct listener *kept)
{
    for (struct listener *l = list; l != NULL; l = l->next) {
        if (l->fd < 0 || fd_is_in(kept, l->fd)) {
            continue;
        }
        for (uint32_t i = 1; l->worker_fds != NULL && i < l->n_worker_fds; i++) {
            close(l->worker_fds[i]);
        }
        close(l->fd);
        l->fd = -1;
    }
}

bool
inherited_fds_read(const char *value, struct inherited_fds *out)
{
    out->n = 0;
    if (value == NULL) {
        return false;
    }
    while (*value != '\0' && out->n < ARRAY_LEN(out->items)) {
        char *end;
        long fd = strtol(value, &end, 10);

        if (end == value || (*end != ';' && *end != ':')) {
            break;
        }
        value = end + 1;
        struct addr *a = &out->items[out->n].addr;

        memset(a, 0, sizeof(*a));
        a->len = sizeof(a->ss);
        if (fd > 2 && getsockname((int)fd, &a->sa, &a->len) == 0) {
            out->items[out->n++].fd = (int)fd;
        }
    }
    return true;
}

/* --- accepting ------------------------------------------------------------------------------------------- */

static bool multi;
static struct listener *paused_list;
static struct timer resume_timer;
static struct loop *accept_loop;

static void
resume(struct timer *t UNUSED)
{
    for (struct listener *l = paused_list; l != NULL; l = l->next) {
        if (l->lf.fd >= 0) {
            loop_add(accept_loop, &l->lf, false, l->worker_fds == NULL);
        }
    }
    paused_list = NULL;
}

/* Out of descriptors or connections: look away for a while instead of spinning. */
static void
pause_accepting(struct listener *l)
{
    if (paused_list != NULL) {
        return;
    }
    struct listener *first = l->first;

    for (struct listener *each = first; each != NULL; each = each->next) {
        if (each->lf.fd >= 0) {
            loop_remove(accept_loop, &each->lf);
        }
    }
    paused_list = first;
    resume_timer.fire = resume;
    timer_set(accept_loop, &resume_timer, ACCEPT_PAUSE_MS);
}

/* False: nothing more to accept now. */
static bool
accept_one(struct listener *l)
{
    struct addr peer = { .len = sizeof(peer.ss) };
    int fd = accept4(l->lf.fd, &peer.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            log_error(l->log, errno == EMFILE || errno == ENFILE ? LOG_LVL_CRIT : LOG_LVL_ALERT,
                      errno, "accept4() failed");
            pause_accepting(l);
        } else if (errno == ECONNABORTED || errno == EINTR) {
            return true;
        } else if (errno != EAGAIN) {
            log_error(l->log, LOG_LVL_ALERT, errno, "accept4() failed");
        }
        return false;
    }
    net_worker->accepted++;
    struct conn *c = conn_new(fd, &peer, l->cycle, l->log);

    if (c == NULL) {
        close(fd);
        pause_accepting(l);
        return false;
    }
    net_worker->handled++;
    c->listener = l;
    c->can_write = true;
    l->on_accept(c);
    return true;
}

#define ACCEPTS_A_TURN 64

static void
on_listen_event(struct loop_fd *lf, uint32_t events UNUSED)
{
    struct listener *l = container_of(lf, struct listener, lf);

    for (int i = 0; i < (multi ? ACCEPTS_A_TURN : 1) && accept_one(l); i++) {
    }
}

bool
listeners_start(struct listener *list, struct loop *loop, uint32_t slot, bool multi_accept)
{
    multi = multi_accept;
    accept_loop = loop;
    for (struct listener *l = list; l != NULL; l = l->next) {
        bool own = l->worker_fds != NULL && slot < l->n_worker_fds;

        l->first = list;
        l->lf = (struct loop_fd){ .fd = own ? l->worker_fds[slot] : l->fd,
                                  .on_event = on_listen_event };
        if (!loop_add(loop, &l->lf, false, !own)) {
            return false;
        }
    }
    return true;
}

void
listeners_stop(struct listener *list, struct loop *loop)
{
    for (struct listener *l = list; l != NULL; l = l->next) {
        if (l->lf.fd < 0) {
            continue;
        }
        if (paused_list == NULL) {
            loop_remove(loop, &l->lf);
        }
        l->lf.fd = -1;
        for (uint32_t i = 1; l->worker_fds != NULL && i < l->n_worker_fds; i++) {
            close(l->worker_fds[i]);
        }
        close(l->fd);
        l->fd = -1;
    }
    paused_list = NULL;
    timer_remove(loop, &resume_timer);
}
