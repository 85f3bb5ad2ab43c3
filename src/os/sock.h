/* SPDX-License-Identifier: BSD-2-Clause */
/* Socket calls with one kind of outcome (struct io), EINTR retried, and the options in use. */
#pragma once

#include "base/io.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

struct io sock_read(int fd, void *p, size_t n);
/* `more`: MSG_MORE, further bytes follow at once. Never raises SIGPIPE. */
struct io sock_writev(int fd, const struct iovec *iov, int n, bool more);
struct io sock_sendfile(int fd, int file, off_t *pos, size_t n);
/* From a socket into a pipe, or from a pipe into a socket. */
struct io sock_splice(int from, int to, size_t n, bool more);
/* False when the peer has closed or sent something: for pooled connections. */
bool sock_is_quiet(int fd);
/* SO_ERROR, 0 when none. */
int sock_error(int fd);
/* setsockopt with an int; false with errno. */
bool sock_set(int fd, int level, int option, int value);
/* close() sends RST. */
void sock_reset_on_close(int fd);
