/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A worker drops its privileges, opens its loop, starts the modules and the listeners, and runs.
 * Signals come through a signalfd. Those of the master (told by the sender) are acted on without a
 * log line; QUIT with a queued value of 1 means a reload: idle clients get a moment for one more
 * request.
 */
#include "proc/worker.h"

#include "base/ident.h"
#include "base/time.h"
#include "cycle/load.h"
#include "cycle/module.h"
#include "os/offload.h"
#include "os/process.h"
#include "proc/master.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

static struct {
    struct cycle *cycle;
    struct loop *loop;
    struct loop_fd signals;
    struct timer shutdown_timer;
    pid_t master; /* 0: single process */
    bool stopping;
} worker;

/* --- set-up ----------------------------------------------------------------------------------------- */

static void
set_limit(const struct log *log, int resource, const char *name, int64_t value)
{
    struct rlimit rl = { .rlim_cur = (rlim_t)value, .rlim_max = (rlim_t)value };

    if (value >= 0 && setrlimit((__rlimit_resource_t)resource, &rl) != 0) {
        log_error(log, LOG_LVL_ALERT, errno, "setrlimit(%s, %lld) failed", name, (long long)value);
    }
}

static void
drop_privileges(const struct cycle *cycle)
{
    const struct core_conf *core = cycle->core;

    if (geteuid() != 0) {
        return;
    }
    bool dropped = setgid(core->group) == 0;

    if (dropped && core->user != 0) {
        dropped = initgroups(core->user_name.p, core->group) == 0 && setuid(core->user) == 0;
    }
    if (!dropped) {
        log_error(&cycle->log, LOG_LVL_EMERG, errno, "dropping privileges failed");
        exit(2);
    }
}

static void
set_cpu(const struct cycle *cycle, uint32_t slot)
{
    const struct core_conf *core = cycle->core;
    char mask[1025];

    if (core->affinity.n > 0) {
        uint32_t at = MIN(slot, (uint32_t)core->affinity.n - 1);

        process_set_affinity(core->affinity.items[at]);
    } else if (core->affinity_auto) {
        int cpus = MIN(process_cpus(), 1024);
        int cpu = (int)(slot % (uint32_t)cpus);

        memset(mask, '0', (size_t)cpus);
        mask[cpus - 1 - cpu] = '1';
        process_set_affinity(slice_of(mask, (size_t)cpus));
    }
}

static void
set_up_process(const struct cycle *cycle, uint32_t slot)
{
    const struct core_conf *core = cycle->core;

    if (core->worker_priority != 0 &&
        setpriority(PRIO_PROCESS, 0, (int)core->worker_priority) != 0) {
        log_error(&cycle->log, LOG_LVL_ALERT, errno, "setpriority(%lld) failed",
                  (long long)core->worker_priority);
    }
    set_limit(&cycle->log, RLIMIT_NOFILE, "RLIMIT_NOFILE", core->worker_rlimit_nofile);
    set_limit(&cycle->log, RLIMIT_CORE, "RLIMIT_CORE", core->worker_rlimit_core);
    drop_privileges(cycle);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, core->worker_rlimit_core > 0, 0, 0, 0);
    set_cpu(cycle, slot);
    if (core->working_directory.n > 0 && chdir(core->working_directory.p) != 0) {
        log_error(&cycle->log, LOG_LVL_ALERT, errno, "chdir(\"%s\") failed",
                  core->working_directory.p);
        exit(2);
    }
}

/* --- the end ---------------------------------------------------------------------------------------- */

static void
finish(struct cycle *cycle)
{
    for (const struct module *const *m = modules; *m != NULL; m++) {
        if ((*m)->stop_worker != NULL) {
            (*m)->stop_worker(cycle);
        }
    }
}

NORETURN static void
worker_exit(void)
{
    finish(worker.cycle);
    log_error(&worker.cycle->log, LOG_LVL_NOTICE, 0, "exit");
    exit(0);
}

static void
on_shutdown_timeout(struct timer *t UNUSED)
{
    log_error(&worker.cycle->log, LOG_LVL_NOTICE, 0, "worker_shutdown_timeout: closing %u connections",
              net_worker->used);
    worker.stopping = true;
}

static void
ask_idle_to_go(void)
{
    struct list *at = net_worker->idle.next;

    while (at != &net_worker->idle) {
        struct conn *c = list_entry(at, struct conn, idle_link);

        at = at->next;
        c->on_idle_close(c);
    }
}

static void
drain(bool quick)
{
    const struct core_conf *core = worker.cycle->core;

    if (!net_worker->draining) {
        char title[64];

        log_error(&worker.cycle->log, LOG_LVL_NOTICE, 0, "gracefully shutting down");
        snprintf(title, sizeof(title), "%s: worker process is shutting down", ident_name());
        process_set_title(title);
        listeners_stop(worker.cycle->listeners, worker.loop);
        if (core->worker_shutdown_timeout > 0) {
            worker.shutdown_timer.fire = on_shutdown_timeout;
            timer_set(worker.loop, &worker.shutdown_timer, core->worker_shutdown_timeout);
        }
    }
    net_worker->draining = true;
    net_worker->quick |= quick;
    ask_idle_to_go();
}

static void
check_drained(void *arg UNUSED)
{
    if (worker.stopping || (net_worker->draining && net_worker->used == 0)) {
        loop_stop(worker.loop);
    }
}

/* --- signals ------------------------------------------------------------------------------------------ */

static void
log_signal(const struct signal_event *ev, const char *what)
{
    log_error(&worker.cycle->log, LOG_LVL_NOTICE, 0, "signal %d (%s) received from %d%s", ev->signo,
              signal_name(ev->signo), ev->sender, what);
}

static void
worker_signal(const struct signal_event *ev, bool reloading)
{
    bool ours = worker.master != 0 && ev->sender == worker.master;

    switch (ev->signo) {
    case SIGTERM:
    case SIGINT:
        if (!ours) {
            log_signal(ev, ", exiting");
        }
        worker.stopping = true;
        break;
    case SIGQUIT:
    case SIGWINCH:
        if (!ours && ev->sender != 0) {
            log_signal(ev, ", shutting down");
        }
        drain(!reloading);
        break;
    case SIGUSR1:
        if (!ours) {
            log_signal(ev, ", reopening logs");
        }
        log_files_reopen(&worker.cycle->logs, &worker.cycle->log);
        break;
    case SIGHUP:
    case SIGUSR2:
        log_signal(ev, ", ignoring");
        break;
    default:
        break;
    }
}

static void
on_signals(struct loop_fd *lf, uint32_t events UNUSED)
{
    struct signalfd_siginfo info;

    while (read(lf->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        struct signal_event ev = { .signo = (int)info.ssi_signo, .sender = (pid_t)info.ssi_pid };

        worker_signal(&ev, info.ssi_code == SI_QUEUE && info.ssi_int == 1);
    }
}

/* --- running -------------------------------------------------------------------------------------------- */

static bool
start_cycle(struct cycle *cycle, uint32_t slot)
{
    for (const struct module *const *m = modules; *m != NULL; m++) {
        if ((*m)->start_worker != NULL && !(*m)->start_worker(cycle, worker.loop, slot)) {
            return false;
        }
    }
    return listeners_start(cycle->listeners, worker.loop, slot, cycle->core->multi_accept);
}

static bool
start(struct cycle *cycle, uint32_t slot, void (*signals)(struct loop_fd *, uint32_t))
{
    worker.cycle = cycle;
    worker.loop = loop_new();
    if (worker.loop == NULL) {
        log_error(&cycle->log, LOG_LVL_EMERG, errno, "epoll_create1() failed");
        return false;
    }
    net_worker_init(worker.loop, (uint32_t)cycle->core->worker_connections, &cycle->log);
    worker.signals = (struct loop_fd){ .fd = signals_fd(), .on_event = signals };
    if (worker.signals.fd < 0 || !loop_add(worker.loop, &worker.signals, false, false)) {
        log_error(&cycle->log, LOG_LVL_EMERG, errno, "signalfd() failed");
        return false;
    }
    offload_init(worker.loop);
    loop_on_turn_end(worker.loop, check_drained, NULL);
    if (!start_cycle(cycle, slot)) {
        log_error(&cycle->log, LOG_LVL_EMERG, errno, "starting the worker failed");
        return false;
    }
    return true;
}

void
worker_main(struct cycle *cycle, uint32_t slot)
{
    char title[64];

    worker.master = getppid();
    prctl(PR_SET_PDEATHSIG, SIGQUIT, 0, 0, 0); /* without a master: finish by ourselves */
    snprintf(title, sizeof(title), "%s: worker process", ident_name());
    process_set_title(title);
    set_up_process(cycle, slot);
    prctl(PR_SET_PDEATHSIG, SIGQUIT, 0, 0, 0); /* setuid() has cleared it */
    if (!start(cycle, slot, on_signals)) {
        exit(2);
    }
    loop_run(worker.loop);
    log_error(&cycle->log, LOG_LVL_NOTICE, 0, "exiting");
    worker_exit();
}

/* --- single process ----------------------------------------------------------------------------------------- */

static void
single_reload(void)
{
    struct cycle *old = worker.cycle;
    struct cycle *next;

    log_error(&old->log, LOG_LVL_NOTICE, 0, "reconfiguring");
    next = cycle_load(old->params, old, &old->log);
    if (next == NULL) {
        return;
    }
    for (struct listener *l = old->listeners; l != NULL; l = l->next) {
        if (l->lf.fd >= 0) {
            loop_remove(worker.loop, &l->lf);
            l->lf.fd = -1;
        }
    }
    finish(old);
    listeners_close(old->listeners, next->listeners);
    worker.cycle = next;
    if (!start_cycle(next, 0)) {
        log_error(&next->log, LOG_LVL_EMERG, errno, "starting the new configuration failed");
    }
    cycle_release(old);
}

static void
on_single_signals(struct loop_fd *lf, uint32_t events UNUSED)
{
    struct signal_event ev;

    while (signal_read(lf->fd, &ev)) {
        if (ev.signo == SIGHUP) {
            log_signal(&ev, ", reconfiguring");
            single_reload();
        } else if (ev.signo != SIGUSR2) {
            worker_signal(&ev, false);
        }
    }
}

int
single_main(struct cycle *cycle)
{
    signals_block();
    if (!pidfile_write(cycle->core->pid.p, getpid())) {
        log_stderr(ident_name(), LOG_LVL_EMERG, errno, "open() \"%s\" failed", cycle->core->pid.p);
        return 1;
    }
    log_start(cycle);
    if (!start(cycle, 0, on_single_signals)) {
        return 1;
    }
    loop_run(worker.loop);
    log_error(&worker.cycle->log, LOG_LVL_NOTICE, 0, "exit");
    finish(worker.cycle);
    unlink(worker.cycle->core->pid.p);
    return 0;
}
