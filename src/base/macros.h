/* SPDX-License-Identifier: BSD-2-Clause */
/* The few macros everybody uses. Statement expressions are allowed in this file only. */
#pragma once

#include <stddef.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
/* Both arguments are evaluated once; the names are unique, so that one may stand within another. */
#define MACRO_NAME__(name, n) name##n
#define MACRO_NAME_(name, n) MACRO_NAME__(name, n)
#define PICK_(a, b, op, x, y)                                                                      \
    ({                                                                                             \
        typeof(a) x = (a);                                                                         \
        typeof(b) y = (b);                                                                         \
        x op y ? x : y;                                                                            \
    })
#define MIN(a, b) PICK_(a, b, <, MACRO_NAME_(min_a_, __COUNTER__), MACRO_NAME_(min_b_, __COUNTER__))
#define MAX(a, b) PICK_(a, b, >, MACRO_NAME_(max_a_, __COUNTER__), MACRO_NAME_(max_b_, __COUNTER__))
#define ALIGN_UP(n, to) (((n) + ((to) - 1)) & ~((typeof(n))(to) - 1))

#define container_of(ptr, type, member)                                                            \
    ({                                                                                             \
        const typeof(((type *)0)->member) *member_ptr_ = (ptr);                                    \
        (type *)(void *)((char *)(void *)(typeof(((type *)0)->member) *)(size_t)member_ptr_ -      \
                         offsetof(type, member));                                                  \
    })

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN __attribute__((noreturn))
#define COLD __attribute__((cold))
#define UNUSED __attribute__((unused))
#define FALLTHROUGH __attribute__((fallthrough))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Close or free a local when its scope ends; for configuration and start-up code. */
void auto_close_fd(int *fd);
void auto_free_ptr(void *ptr);
#define AUTO_CLOSE __attribute__((cleanup(auto_close_fd)))
#define AUTO_FREE __attribute__((cleanup(auto_free_ptr)))

/* Pass a failure (zero value) on to the caller: for functions whose outcome is a bool or an enum
 * in which the first value, 0, means failure. */
#define TRY(expr)                                                                                  \
    do {                                                                                           \
        typeof(expr) try_rc_ = (expr);                                                             \
        if (!try_rc_) {                                                                            \
            return try_rc_;                                                                        \
        }                                                                                          \
    } while (0)
