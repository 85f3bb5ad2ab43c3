/* SPDX-License-Identifier: BSD-2-Clause */
/* What happens when something that cannot happen did: say where, with a backtrace, and abort. */
#include "base/check.h"

#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void
print_backtrace(void)
{
    void *frames[32];
    int n = backtrace(frames, (int)ARRAY_LEN(frames));

    backtrace_symbols_fd(frames, n, STDERR_FILENO);
}

void
check_failed(const char *file, int line, const char *func, const char *what)
{
    fprintf(stderr, "assertion failed at %s:%d in %s(): %s\n", file, line, func, what);
    print_backtrace();
    abort();
}

void
check_no_memory(size_t size)
{
    fprintf(stderr, "out of memory allocating %zu bytes\n", size);
    abort();
}

void
auto_close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

void
auto_free_ptr(void *ptr)
{
    free(*(void **)ptr);
}
