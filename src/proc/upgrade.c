/* SPDX-License-Identifier: BSD-2-Clause */
#include "proc/upgrade.h"

#include "base/ident.h"
#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pid_t old_binary;

void
upgrade_init(pid_t parent)
{
    if (getenv(ident_is_nginx() ? "NGINX" : "FAIRLEAD") != NULL) {
        old_binary = parent;
    }
}

bool
upgrade_is_child(void)
{
    return old_binary != 0 && getppid() == old_binary;
}

/* "6;7;8;" of every listening descriptor. */
static char *
fd_list(const struct cycle *cycle)
{
    char *text = mem_alloc(65536);
    size_t n = 0;

    text[0] = '\0';
    for (const struct listener *l = cycle->listeners; l != NULL && n < 65000; l = l->next) {
        if (l->fd >= 0) {
            n += (size_t)snprintf(text + n, 65536 - n, "%d;", l->fd);
        }
    }
    return text;
}

NORETURN static void
exec_new(const struct cycle *cycle)
{
    char *list = fd_list(cycle);

    for (const struct listener *l = cycle->listeners; l != NULL; l = l->next) {
        if (l->fd >= 0) {
            fcntl(l->fd, F_SETFD, 0);
        }
    }
    setenv(ident_is_nginx() ? "NGINX" : "FAIRLEAD", list, 1);
    signals_unblock();
    execv(cycle->params->argv[0], cycle->params->argv);
    log_error(&cycle->log, LOG_LVL_ALERT, errno, "execve() failed while executing \"%s\"",
              cycle->params->argv[0]);
    _exit(2);
}

pid_t
upgrade_start(struct cycle *cycle)
{
    const struct core_conf *core = cycle->core;

    if (rename(core->pid.p, core->oldpid.p) != 0) {
        log_error(&cycle->log, LOG_LVL_ALERT, errno, "rename() %s to %s failed", core->pid.p,
                  core->oldpid.p);
        return 0;
    }
    pid_t pid = fork();

    if (pid == 0) {
        exec_new(cycle);
    }
    if (pid < 0) {
        log_error(&cycle->log, LOG_LVL_ALERT, errno, "fork() failed");
        upgrade_failed(cycle);
        return 0;
    }
    log_error(&cycle->log, LOG_LVL_NOTICE, 0, "start new binary process %d", pid);
    return pid;
}

void
upgrade_failed(const struct cycle *cycle)
{
    const struct core_conf *core = cycle->core;

    if (rename(core->oldpid.p, core->pid.p) != 0) {
        log_error(&cycle->log, LOG_LVL_ALERT, errno, "rename() %s back to %s failed",
                  core->oldpid.p, core->pid.p);
    }
}

void
upgrade_remove_pid(const struct cycle *cycle, bool new_binary_runs)
{
    unlink(new_binary_runs ? cycle->core->oldpid.p : cycle->core->pid.p);
}
