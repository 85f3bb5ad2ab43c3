/* SPDX-License-Identifier: BSD-2-Clause */
/* The outcome of one read or write, from the socket calls up through the transports. */
#pragma once

#include <stddef.h>

enum io_state {
    IO_DONE, /* `n` bytes moved; more may be possible at once */
    IO_AGAIN, /* nothing moved; wait for readiness */
    IO_EOF, /* the peer ended its side */
    IO_ERROR, /* `err` says why */
};

struct io {
    enum io_state state;
    int err; /* errno when IO_ERROR */
    size_t n;
};
