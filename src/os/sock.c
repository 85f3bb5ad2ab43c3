/* SPDX-License-Identifier: BSD-2-Clause */
#include "os/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <unistd.h>

static struct io
outcome(ssize_t rc, bool zero_is_eof)
{
    if (rc > 0) {
        return (struct io){ .state = IO_DONE, .n = (size_t)rc };
    }
    if (rc == 0) {
        return (struct io){ .state = zero_is_eof ? IO_EOF : IO_DONE };
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return (struct io){ .state = IO_AGAIN };
    }
    return (struct io){ .state = IO_ERROR, .err = errno };
}

struct io
sock_read(int fd, void *p, size_t n)
{
    ssize_t rc;

    do {
        rc = recv(fd, p, n, 0);
    } while (rc < 0 && errno == EINTR);
    return outcome(rc, true);
}

struct io
sock_writev(int fd, const struct iovec *iov, int n, bool more)
{
    struct msghdr msg = { .msg_iov = (struct iovec *)(size_t)iov, .msg_iovlen = (size_t)n };
    ssize_t rc;

    do {
        rc = sendmsg(fd, &msg, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    } while (rc < 0 && errno == EINTR);
    return outcome(rc, false);
}

struct io
sock_sendfile(int fd, int file, off_t *pos, size_t n)
{
    ssize_t rc;

    do {
        rc = sendfile(fd, file, pos, n);
    } while (rc < 0 && errno == EINTR);
    return outcome(rc, true); /* 0: the file became shorter */
}

struct io
sock_splice(int from, int to, size_t n, bool more)
{
    ssize_t rc;

    do {
        rc = splice(from, NULL, to, NULL, n,
                    SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0));
    } while (rc < 0 && errno == EINTR);
    return outcome(rc, true);
}

bool
sock_is_quiet(int fd)
{
    char c;

    return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

int
sock_error(int fd)
{
    int err = 0;
    socklen_t len = sizeof(err);

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 ? err : errno;
}

bool
sock_set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

void
sock_reset_on_close(int fd)
{
    struct linger linger = { .l_onoff = 1, .l_linger = 0 };

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}
