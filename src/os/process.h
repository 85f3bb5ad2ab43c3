/* SPDX-License-Identifier: BSD-2-Clause */
/* What a process is: title, user, limits, signals, pid file, standard descriptors. */
#pragma once

#include "base/slice.h"

#include <stdint.h>
#include <sys/types.h>

struct log;

/* Descriptors 0, 1, 2 that the caller closed are opened on /dev/null. */
void process_open_std_fds(void);
/* Keep argv's memory for titles; the environment is copied away. Once, first thing. */
void process_init_title(int argc, char **argv);
void process_set_title(const char *title);
/* Leave the terminal: fork, setsid, stdin and stdout on /dev/null. The parent exits. false: errno. */
MUST_USE bool process_daemonize(void);

/* Write "PID\n"; false with errno. */
MUST_USE bool pidfile_write(const char *path, pid_t pid);

/* CPUs usable by this process. */
int process_cpus(void);
/* "0101": the CPU mask of a worker, lowest bit last. */
MUST_USE bool process_set_affinity(struct slice mask);

/* Signals of the master and the single process: blocked, taken by signal_wait() or from signal_fd(). */
void signals_block(void);
void signals_unblock(void); /* in children that exec */
int signals_fd(void); /* a signalfd of them, non-blocking; -1 with errno */
struct signal_event {
    int signo;
    pid_t sender;
};
/* Next pending signal; waits up to timeout_ms (-1: for ever). false: none. */
bool signal_wait(int timeout_ms, struct signal_event *ev);
/* From a signalfd. */
bool signal_read(int fd, struct signal_event *ev);
const char *signal_name(int signo); /* "SIGHUP" */
