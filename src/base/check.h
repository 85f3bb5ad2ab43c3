/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks of what cannot happen if fairlead is right. A failed ASSERT prints the place and a
 * backtrace and aborts the process; the master replaces a worker that died so. Never ASSERT what a
 * client, an upstream, a file or a configuration can do.
 */
#pragma once

#include "base/macros.h"

#include <stdint.h>

NORETURN COLD void check_failed(const char *file, int line, const char *func, const char *what);
NORETURN COLD void check_no_memory(size_t size);

#define ASSERT(cond)                                                                               \
    do {                                                                                           \
        if (UNLIKELY(!(cond))) {                                                                   \
            check_failed(__FILE__, __LINE__, __func__, #cond);                                     \
        }                                                                                          \
    } while (0)
#ifdef DEBUG_CHECKS
#define DASSERT(cond) ASSERT(cond)
#else
#define DASSERT(cond) ((void)0)
#endif
#define UNREACHABLE() check_failed(__FILE__, __LINE__, __func__, "unreachable")

/* Objects that come back through `void *` open with `uint32_t magic`, checked by the callback's
 * first line. */
#define MAGIC_CONN 0xc0ffee01u
#define MAGIC_REQUEST 0xc0ffee02u
#define MAGIC_EXCHANGE 0xc0ffee03u
#define MAGIC_PEER 0xc0ffee04u
#define MAGIC_ZONE 0xc0ffee05u
#define MAGIC_CYCLE 0xc0ffee06u
#define MAGIC_DEAD 0xdeadbeefu
#define CHECK_MAGIC(obj, want) ASSERT((obj) != NULL && (obj)->magic == (want))
