/* SPDX-License-Identifier: BSD-2-Clause */
#include "os/process.h"

#include "base/num.h"
#include "base/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static char *title_start;
static char *title_end;

void
process_open_std_fds(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
            int opened = open("/dev/null", O_RDWR);

            if (opened >= 0 && opened != fd) {
                dup2(opened, fd);
                close(opened);
            }
        }
    }
}

/* argv and the environment stand one behind the other; all of it may become the title once the
 * environment has moved. */
void
process_init_title(int argc, char **argv)
{
    char *end = argv[0];
    size_t n = 0;

    for (int i = 0; i < argc; i++) {
        if (argv[i] == end) {
            end = argv[i] + strlen(argv[i]) + 1;
        }
    }
    for (; environ[n] != NULL; n++) {
        if (environ[n] == end) {
            end = environ[n] + strlen(environ[n]) + 1;
        }
    }
    char **copy = mem_alloc((n + 1) * sizeof(*copy));

    for (size_t i = 0; i < n; i++) {
        copy[i] = strdup(environ[i]);
    }
    copy[n] = NULL;
    environ = copy;
    title_start = argv[0];
    title_end = end;
}

void
process_set_title(const char *title)
{
    if (title_start == NULL) {
        return;
    }
    size_t room = (size_t)(title_end - title_start);
    size_t n = MIN(strlen(title), room - 1);

    memset(title_start, 0, room);
    memcpy(title_start, title, n);
}

bool
process_daemonize(void)
{
    pid_t pid = fork();

    if (pid < 0) {
        return false;
    }
    if (pid > 0) {
        _exit(0);
    }
    if (setsid() < 0) {
        return false;
    }
    int fd = open("/dev/null", O_RDWR);

    if (fd < 0 || dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0) {
        return false;
    }
    if (fd > STDERR_FILENO) {
        close(fd);
    }
    return true;
}

bool
pidfile_write(const char *path, pid_t pid)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    char text[NUM_MAX_LEN];
    char *end = num_write(text, pid);

    *end++ = '\n';
    return fd >= 0 && write(fd, text, (size_t)(end - text)) == end - text;
}

int
process_cpus(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n > 0 ? (int)n : 1;
}

bool
process_set_affinity(struct slice mask)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    for (size_t i = 0; i < mask.n; i++) {
        if (mask.p[mask.n - 1 - i] == '1') {
            CPU_SET(i, &set);
        }
    }
    return sched_setaffinity(0, sizeof(set), &set) == 0;
}

/* --- signals --------------------------------------------------------------------------------------- */

static const struct {
    int signo;
    const char *name;
} taken[] = {
    { SIGHUP, "SIGHUP" },     { SIGUSR1, "SIGUSR1" }, { SIGWINCH, "SIGWINCH" },
    { SIGTERM, "SIGTERM" },   { SIGQUIT, "SIGQUIT" }, { SIGUSR2, "SIGUSR2" },
    { SIGALRM, "SIGALRM" },   { SIGINT, "SIGINT" },   { SIGIO, "SIGIO" },
    { SIGCHLD, "SIGCHLD" },
};

static sigset_t
taken_set(void)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        sigaddset(&set, taken[i].signo);
    }
    return set;
}

void
signals_block(void)
{
    sigset_t set = taken_set();

    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGSYS, SIG_IGN);
}

void
signals_unblock(void)
{
    sigset_t set = taken_set();

    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int
signals_fd(void)
{
    sigset_t set = taken_set();

    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

bool
signal_wait(int timeout_ms, struct signal_event *ev)
{
    sigset_t set = taken_set();
    struct timespec ts = { .tv_sec = timeout_ms / 1000,
                           .tv_nsec = (long)(timeout_ms % 1000) * 1000000 };
    siginfo_t info = { 0 };
    int rc = timeout_ms < 0 ? sigwaitinfo(&set, &info) : sigtimedwait(&set, &info, &ts);

    if (rc <= 0) {
        return false;
    }
    *ev = (struct signal_event){ .signo = rc, .sender = info.si_pid };
    return true;
}

bool
signal_read(int fd, struct signal_event *ev)
{
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
        return false;
    }
    *ev = (struct signal_event){ .signo = (int)info.ssi_signo, .sender = (pid_t)info.ssi_pid };
    return true;
}

const char *
signal_name(int signo)
{
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        if (taken[i].signo == signo) {
            return taken[i].name;
        }
    }
    return "SIG?";
}
