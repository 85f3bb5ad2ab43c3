/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The master waits for signals and children. A worker entry lives until its process was reaped; what
 * happens then depends on whether it was asked to go. A reload is tried completely before anything
 * of the running cycle is touched.
 */
#include "proc/master.h"

#include "base/ident.h"
#include "base/num.h"
#include "base/time.h"
#include "cycle/load.h"
#include "os/file.h"
#include "os/process.h"
#include "proc/upgrade.h"
#include "proc/worker.h"

#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_WORKERS 4096
#define RESPAWN_PAUSE_MS 1000

struct child {
    pid_t pid; /* 0: free */
    uint32_t slot;
    uint32_t generation;
    int64_t started_at;
    bool going; /* was asked to end */
};

static struct {
    struct cycle *cycle;
    struct child children[MAX_WORKERS];
    pid_t new_binary;
    bool quitting;
    bool terminating;
    bool no_workers; /* after WINCH: an upgrade is under way */
    int64_t respawn_at; /* 0: nothing put off */
} master;

static const struct log *
mlog(void)
{
    return &master.cycle->log;
}

/* --- workers -------------------------------------------------------------------------------------------- */

static struct child *
free_child(void)
{
    for (size_t i = 0; i < MAX_WORKERS; i++) {
        if (master.children[i].pid == 0) {
            return &master.children[i];
        }
    }
    return NULL;
}

static void
spawn_worker(uint32_t slot)
{
    struct child *child = free_child();

    if (child == NULL) {
        log_error(mlog(), LOG_LVL_ALERT, 0, "no more than %d processes can be spawned", MAX_WORKERS);
        return;
    }
    pid_t pid = fork();

    if (pid < 0) {
        log_error(mlog(), LOG_LVL_ALERT, errno, "fork() failed while spawning \"worker process\"");
        master.respawn_at = clock_ms() + RESPAWN_PAUSE_MS;
        return;
    }
    if (pid == 0) {
        worker_main(master.cycle, slot);
    }
    *child = (struct child){ .pid = pid,
                             .slot = slot,
                             .generation = master.cycle->generation,
                             .started_at = clock_ms() };
    log_error(mlog(), LOG_LVL_NOTICE, 0, "start worker process %d", pid);
}

static bool
slot_is_served(uint32_t slot)
{
    for (size_t i = 0; i < MAX_WORKERS; i++) {
        const struct child *c = &master.children[i];

        if (c->pid != 0 && !c->going && c->slot == slot &&
            c->generation == master.cycle->generation) {
            return true;
        }
    }
    return false;
}

static void
start_workers(void)
{
    for (uint32_t slot = 0; slot < (uint32_t)master.cycle->core->worker_processes; slot++) {
        if (!slot_is_served(slot)) {
            spawn_worker(slot);
        }
    }
}

/* Ask the workers of generations up to `generation` to end. */
static void
stop_workers(uint32_t generation, int signo, int value)
{
    for (size_t i = 0; i < MAX_WORKERS; i++) {
        struct child *c = &master.children[i];

        if (c->pid == 0 || c->generation > generation) {
            continue;
        }
        c->going = true;
        if (sigqueue(c->pid, signo, (union sigval){ .sival_int = value }) != 0 && errno != ESRCH) {
            log_error(mlog(), LOG_LVL_ALERT, errno, "kill(%d, %d) failed", c->pid, signo);
        }
    }
}

static bool
any_worker(void)
{
    for (size_t i = 0; i < MAX_WORKERS; i++) {
        if (master.children[i].pid != 0) {
            return true;
        }
    }
    return false;
}

/* --- children that ended ---------------------------------------------------------------------------------- */

static void
log_end(const char *what, pid_t pid, int status)
{
    if (WIFSIGNALED(status)) {
        log_error(mlog(), LOG_LVL_ALERT, 0, "%s %d exited on signal %d%s", what, pid,
                  WTERMSIG(status), WCOREDUMP(status) ? " (core dumped)" : "");
    } else {
        log_error(mlog(), LOG_LVL_NOTICE, 0, "%s %d exited with code %d", what, pid,
                  WEXITSTATUS(status));
    }
}

static void
child_ended(pid_t pid, int status)
{
    if (pid == master.new_binary) {
        log_end("new binary process", pid, status);
        master.new_binary = 0;
        upgrade_failed(master.cycle);
        if (master.no_workers) { /* the new one is gone: serve again */
            master.no_workers = false;
            start_workers();
        }
        return;
    }
    for (size_t i = 0; i < MAX_WORKERS; i++) {
        struct child *c = &master.children[i];

        if (c->pid != pid) {
            continue;
        }
        log_end("worker process", pid, status);
        c->pid = 0;
        bool wanted = !master.quitting && !master.terminating && !master.no_workers &&
                      c->generation == master.cycle->generation && !c->going;

        if (!wanted) {
            return;
        }
        if (WIFEXITED(status) && WEXITSTATUS(status) == 2) {
            log_error(mlog(), LOG_LVL_ALERT, 0,
                      "worker process %d exited with fatal code 2 and cannot be respawned", pid);
        } else if (clock_ms() - c->started_at < RESPAWN_PAUSE_MS) { /* do not spin */
            master.respawn_at = clock_ms() + RESPAWN_PAUSE_MS;
        } else {
            spawn_worker(c->slot);
        }
        return;
    }
}

static void
reap(void)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        child_ended(pid, status);
    }
}

/* --- signals ------------------------------------------------------------------------------------------------- */

static void
reload(void)
{
    struct cycle *old = master.cycle;

    if (master.no_workers) { /* an upgrade was begun: the old configuration serves again */
        master.no_workers = false;
        log_error(mlog(), LOG_LVL_NOTICE, 0, "start worker processes");
        start_workers();
        return;
    }
    log_error(mlog(), LOG_LVL_NOTICE, 0, "reconfiguring");
    struct cycle *next = cycle_load(old->params, old, &old->log);

    if (next == NULL) {
        return;
    }
    master.cycle = next;
    log_error(mlog(), LOG_LVL_NOTICE, 0, "using the \"epoll\" event method");
    log_error(mlog(), LOG_LVL_NOTICE, 0, "start worker processes");
    if (!slice_eq(old->core->pid, next->core->pid)) {
        (void)pidfile_write(next->core->pid.p, getpid());
        unlink(old->core->pid.p);
    }
    start_workers();
    stop_workers(old->generation, SIGQUIT, 1);
    listeners_close(old->listeners, next->listeners);
    cycle_release(old);
}

static void
reopen(void)
{
    log_files_reopen(&master.cycle->logs, mlog());
    for (struct log_file *f = master.cycle->logs.head; f != NULL; f = f->next) {
        if (f->path.n > 0 && geteuid() == 0 &&
            fchown(f->fd, master.cycle->core->user, (gid_t)-1) != 0) {
            log_error(mlog(), LOG_LVL_EMERG, errno, "chown() \"%s\" failed", f->path.p);
        }
    }
    for (size_t i = 0; i < MAX_WORKERS; i++) {
        if (master.children[i].pid != 0) {
            kill(master.children[i].pid, SIGUSR1);
        }
    }
}

static const char *
signal_text(int signo)
{
    switch (signo) {
    case SIGTERM:
    case SIGINT:
        return ", exiting";
    case SIGQUIT:
        return ", shutting down";
    case SIGHUP:
        return ", reconfiguring";
    case SIGUSR1:
        return ", reopening logs";
    case SIGUSR2:
        return ", changing binary";
    case SIGWINCH:
        return ", stop accepting connections";
    default:
        return "";
    }
}

static void
handle(const struct signal_event *ev)
{
    log_error(mlog(), LOG_LVL_NOTICE, 0, "signal %d (%s) received from %d%s", ev->signo,
              signal_name(ev->signo), ev->sender, signal_text(ev->signo));
    switch (ev->signo) {
    case SIGTERM:
    case SIGINT:
        master.terminating = true;
        stop_workers(UINT32_MAX, SIGTERM, 0);
        break;
    case SIGQUIT:
        master.quitting = true;
        stop_workers(UINT32_MAX, SIGQUIT, 0);
        listeners_close(master.cycle->listeners, NULL);
        break;
    case SIGHUP:
        reload();
        break;
    case SIGUSR1:
        reopen();
        break;
    case SIGUSR2:
        if (master.new_binary == 0) {
            log_error(mlog(), LOG_LVL_NOTICE, 0, "changing binary");
            master.new_binary = upgrade_start(master.cycle);
        }
        break;
    case SIGWINCH:
        if (master.cycle->core->daemon || master.new_binary != 0) {
            master.no_workers = true;
            stop_workers(UINT32_MAX, SIGQUIT, 0);
        }
        break;
    default:
        break;
    }
}

/* --- life ---------------------------------------------------------------------------------------------------- */

void
log_start(const struct cycle *cycle)
{
    struct utsname u;
    struct rlimit rl;

    log_error(&cycle->log, LOG_LVL_NOTICE, 0, "using the \"epoll\" event method");
    log_error(&cycle->log, LOG_LVL_NOTICE, 0, "%s", ident_server().p);
    log_error(&cycle->log, LOG_LVL_NOTICE, 0, "built by %s", BUILT_BY);
    if (uname(&u) == 0) {
        log_error(&cycle->log, LOG_LVL_NOTICE, 0, "OS: %s %s", u.sysname, u.release);
    }
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        log_error(&cycle->log, LOG_LVL_NOTICE, 0, "getrlimit(RLIMIT_NOFILE): %llu:%llu",
                  (unsigned long long)rl.rlim_cur, (unsigned long long)rl.rlim_max);
    }
}

static void
set_master_title(const struct cycle *cycle)
{
    char title[2048];
    int n = snprintf(title, sizeof(title), "%s: master process", ident_name());

    for (int i = 0; i < cycle->params->argc && n < (int)sizeof(title) - 1; i++) {
        n += snprintf(title + n, sizeof(title) - (size_t)n, " %s", cycle->params->argv[i]);
    }
    process_set_title(title);
}

static void
wait_and_handle(void)
{
    struct signal_event ev;
    int timeout = -1;

    if (master.respawn_at != 0) {
        timeout = (int)MAX(master.respawn_at - clock_ms(), (int64_t)0);
    }
    bool got = signal_wait(timeout, &ev);

    clock_update();
    if (got) {
        handle(&ev);
    }
    reap();
    if (master.respawn_at != 0 && clock_ms() >= master.respawn_at) {
        master.respawn_at = 0;
        if (!master.quitting && !master.terminating && !master.no_workers) {
            start_workers();
        }
    }
}

static void
remove_sockets(const struct cycle *cycle)
{
    for (const struct listener *l = cycle->listeners; l != NULL; l = l->next) {
        if (l->addr.sa.sa_family == AF_UNIX && master.new_binary == 0 && !upgrade_is_child()) {
            unlink(l->addr.un.sun_path);
        }
    }
}

int
master_main(struct cycle *cycle)
{
    bool upgraded = getenv(ident_is_nginx() ? "NGINX" : "FAIRLEAD") != NULL;

    master.cycle = cycle;
    if (cycle->core->daemon && !upgraded && !process_daemonize()) {
        log_stderr(ident_name(), LOG_LVL_EMERG, errno, "daemonizing failed");
        return 1;
    }
    signals_block();
    if (!pidfile_write(cycle->core->pid.p, getpid())) {
        log_stderr(ident_name(), LOG_LVL_EMERG, errno, "open() \"%s\" failed", cycle->core->pid.p);
        log_error(&cycle->log, LOG_LVL_EMERG, errno, "open() \"%s\" failed", cycle->core->pid.p);
        return 1;
    }
    upgrade_init(getppid());
    log_start(cycle);
    set_master_title(cycle);
    log_error(mlog(), LOG_LVL_NOTICE, 0, "start worker processes");
    start_workers();
    while (!((master.quitting || master.terminating) && !any_worker())) {
        wait_and_handle();
    }
    remove_sockets(master.cycle);
    upgrade_remove_pid(master.cycle, master.new_binary != 0);
    log_error(mlog(), LOG_LVL_NOTICE, 0, "exit");
    return 0;
}

/* --- -s ------------------------------------------------------------------------------------------------------- */

int
master_signal_number(const char *name)
{
    static const struct {
        const char *name;
        int signo;
    } names[] = { { "stop", SIGTERM }, { "quit", SIGQUIT }, { "reopen", SIGUSR1 }, { "reload", SIGHUP } };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i].name, name) == 0) {
            return names[i].signo;
        }
    }
    return 0;
}

int
master_signal(const char *name, const char *pid_path)
{
    struct pool *pool = pool_new(0);
    struct slice text = file_read_all(pool, pid_path, 64);
    int64_t pid;

    if (text.p == NULL) {
        log_stderr(ident_name(), LOG_LVL_ERR, errno, "open() \"%s\" failed", pid_path);
        return 1;
    }
    while (text.n > 0 && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r')) {
        text.n--;
    }
    if (!num_parse(text, &pid) || pid <= 0) {
        log_stderr(ident_name(), LOG_LVL_ERR, 0, "invalid PID number \"%.*s\" in \"%s\"",
                   SLICE_ARG(text), pid_path);
        return 1;
    }
    int signo = master_signal_number(name);

    if (kill((pid_t)pid, signo) != 0) {
        log_stderr(ident_name(), LOG_LVL_ALERT, errno, "kill(%lld, %d) failed", (long long)pid,
                   signo);
        return 1;
    }
    return 0;
}
