/* SPDX-License-Identifier: BSD-2-Clause */
/* The few macros everybody uses. Statement expressions are allowed in this file only. */
#pragma once

#include <stddef.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                                                                                  \
    ({                                                                                             \
        typeof(a) min_a_ = (a);                                                                    \
        typeof(b) min_b_ = (b);                                                                    \
        min_a_ < min_b_ ? min_a_ : min_b_;                                                         \
    })
#define MAX(a, b)                                                                                  \
    ({                                                                                             \
        typeof(a) max_a_ = (a);                                                                    \
        typeof(b) max_b_ = (b);                                                                    \
        max_a_ > max_b_ ? max_a_ : max_b_;                                                         \
    })
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
