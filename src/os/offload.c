/* SPDX-License-Identifier: BSD-2-Clause */
/* A queue under a mutex, a few threads that wait for it, and an eventfd that brings results back. */
#include "os/offload.h"

#include "base/macros.h"
#include "os/loop.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MAX_THREADS 8

struct queue {
    struct offload_job *head;
    struct offload_job **tail;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct queue todo;
    struct queue done;
    unsigned threads;
    unsigned idle;
    struct loop *loop;
    struct loop_fd event;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER,
           .more = PTHREAD_COND_INITIALIZER,
           .event = { .fd = -1 } };

static void
push(struct queue *q, struct offload_job *job)
{
    job->next = NULL;
    if (q->head == NULL) {
        q->tail = &q->head;
    }
    *q->tail = job;
    q->tail = &job->next;
}

static struct offload_job *
pop(struct queue *q)
{
    struct offload_job *job = q->head;

    if (job != NULL) {
        q->head = job->next;
    }
    return job;
}

NORETURN static void *
thread_main(void *arg UNUSED)
{
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        struct offload_job *job;
        uint64_t one = 1;

        pool.idle++;
        while ((job = pop(&pool.todo)) == NULL) {
            pthread_cond_wait(&pool.more, &pool.lock);
        }
        pool.idle--;
        pthread_mutex_unlock(&pool.lock);
        job->work(job);
        pthread_mutex_lock(&pool.lock);
        push(&pool.done, job);
        ssize_t rc = write(pool.event.fd, &one, sizeof(one));

        (void)rc; /* the counter cannot overflow: it is read each time */
    }
}

static void
on_event(struct loop_fd *lf, uint32_t events UNUSED)
{
    uint64_t n;
    struct offload_job *job;

    while (read(lf->fd, &n, sizeof(n)) == (ssize_t)sizeof(n)) {
    }
    for (;;) {
        pthread_mutex_lock(&pool.lock);
        job = pop(&pool.done);
        pthread_mutex_unlock(&pool.lock);
        if (job == NULL) {
            return;
        }
        job->done(job);
    }
}

void
offload_init(struct loop *loop)
{
    pool.loop = loop;
}

static bool
open_event(void)
{
    if (pool.event.fd >= 0) {
        return true;
    }
    pool.event.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pool.event.on_event = on_event;
    return pool.event.fd >= 0 && loop_add(pool.loop, &pool.event, false, false);
}

/* Threads take no signals: those are the loop's. */
static bool
make_thread(void)
{
    pthread_t thread;
    sigset_t all;
    sigset_t old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    bool made = pthread_create(&thread, NULL, thread_main, NULL) == 0;

    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (made) {
        pthread_detach(thread);
        pool.threads++;
    }
    return made;
}

bool
offload_submit(struct offload_job *job)
{
    if (!open_event()) {
        return false;
    }
    pthread_mutex_lock(&pool.lock);
    bool need_thread = pool.idle == 0 && pool.threads < MAX_THREADS;

    pthread_mutex_unlock(&pool.lock);
    if (need_thread && !make_thread() && pool.threads == 0) {
        return false;
    }
    pthread_mutex_lock(&pool.lock);
    push(&pool.todo, job);
    pthread_cond_signal(&pool.more);
    pthread_mutex_unlock(&pool.lock);
    return true;
}
