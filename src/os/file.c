/* SPDX-License-Identifier: BSD-2-Clause */
#include "os/file.h"

#include "base/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#define TEMP_TRIES 1000

/* "/path" + "/" + last digits by level ... + "/" + number. */
static struct slice
temp_name(struct pool *pool, const struct temp_path *tp, uint64_t number)
{
    char digits[16];
    char dirs[16] = "";
    size_t at = 0;
    size_t end = (size_t)snprintf(digits, sizeof(digits), "%010llu",
                                  (unsigned long long)(number % 10000000000ULL));

    for (int i = 0; i < 3 && tp->levels[i] > 0; i++) {
        end -= tp->levels[i];
        memcpy(dirs + at, digits + end, tp->levels[i]);
        at += tp->levels[i];
        dirs[at++] = '/';
    }
    return pool_printf(pool, "%.*s/%.*s%s", SLICE_ARG(tp->path), (int)at, dirs, digits);
}

bool
file_make_parents(struct pool *pool, struct slice path, mode_t mode)
{
    char *p = pool_str(pool, path);

    for (size_t i = 1; i < path.n; i++) {
        if (p[i] != '/') {
            continue;
        }
        p[i] = '\0';
        bool made = mkdir(p, mode) == 0 || errno == EEXIST;

        p[i] = '/';
        if (!made) {
            return false;
        }
    }
    return true;
}

int
file_temp(struct pool *pool, const struct temp_path *tp, struct slice *name)
{
    static uint64_t counter;

    if (counter == 0 && getrandom(&counter, sizeof(counter), 0) < 0) {
        counter = (uint64_t)getpid() << 20;
    }
    for (int i = 0; i < TEMP_TRIES; i++) {
        *name = temp_name(pool, tp, ++counter);
        int fd = open(name->p, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        if (fd >= 0) {
            return fd;
        }
        if (errno == EEXIST) {
            continue;
        }
        if (errno != ENOENT || tp->levels[0] == 0 || !file_make_parents(pool, *name, 0700)) {
            return -1;
        }
    }
    errno = EEXIST;
    return -1;
}

bool
file_write_all(int fd, const void *p, size_t n, off_t pos)
{
    while (n > 0) {
        ssize_t rc = pwrite(fd, p, n, pos);

        if (rc < 0 && errno == EINTR) {
            continue;
        }
        if (rc <= 0) {
            errno = rc == 0 ? ENOSPC : errno;
            return false;
        }
        p = (const char *)p + rc;
        n -= (size_t)rc;
        pos += rc;
    }
    return true;
}

struct slice
file_read_all(struct pool *pool, const char *path, size_t max)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0) {
        return SLICE_NONE;
    }
    if (S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return SLICE_NONE;
    }
    size_t size = MIN((size_t)st.st_size, max);
    char *p = pool_bytes(pool, size + 1);
    size_t n = 0;

    while (n < size) {
        ssize_t rc = read(fd, p + n, size - n);

        if (rc < 0 && errno != EINTR) {
            return SLICE_NONE;
        }
        if (rc == 0) {
            break;
        }
        n += rc > 0 ? (size_t)rc : 0;
    }
    p[n] = '\0';
    return slice_of(p, n);
}

bool
file_make_dir(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
    struct stat st;

    if (mkdir(path, mode) != 0 && errno != EEXIST) {
        return false;
    }
    if (geteuid() != 0 || stat(path, &st) != 0 || st.st_uid == uid) {
        return true;
    }
    return chown(path, uid, gid) == 0;
}

static bool
copy_file(const char *from, const char *to, mode_t mode)
{
    AUTO_CLOSE int in = open(from, O_RDONLY | O_CLOEXEC);
    AUTO_CLOSE int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    char buf[65536];
    ssize_t n;
    off_t pos = 0;

    if (in < 0 || out < 0) {
        return false;
    }
    while ((n = read(in, buf, sizeof(buf))) > 0) {
        if (!file_write_all(out, buf, (size_t)n, pos)) {
            return false;
        }
        pos += n;
    }
    return n == 0;
}

bool
file_move(const char *from, const char *to, mode_t mode)
{
    if (chmod(from, mode) != 0) {
        return false;
    }
    if (rename(from, to) == 0) {
        return true;
    }
    if (errno != EXDEV) {
        return false;
    }
    char tmp[4096];

    snprintf(tmp, sizeof(tmp), "%s.%d", to, getpid());
    if (!copy_file(from, tmp, mode) || rename(tmp, to) != 0) {
        return false;
    }
    return unlink(from) == 0;
}

/* One component under `dir`; the link itself and what it points to must belong to one owner. */
static int
open_component(int dir, const char *name, int flags, enum file_symlinks rule)
{
    if (rule == FILE_SYMLINKS_REFUSE) {
        return openat(dir, name, flags | O_NOFOLLOW);
    }
    struct stat link;
    struct stat target;
    int fd = openat(dir, name, flags);

    if (fd >= 0 && (fstatat(dir, name, &link, AT_SYMLINK_NOFOLLOW) != 0 ||
                    fstat(fd, &target) != 0 ||
                    (S_ISLNK(link.st_mode) && link.st_uid != target.st_uid))) {
        close(fd);
        errno = ELOOP;
        return -1;
    }
    return fd;
}

int
file_open_read(struct slice path, enum file_symlinks rule, size_t from)
{
    int flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC;

    if (rule == FILE_SYMLINKS_ALLOW) {
        return open(path.p, flags);
    }
    char buf[4096];

    if (path.n >= sizeof(buf)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(buf, path.p, path.n + 1);
    char *at = buf + MIN(from, path.n);
    char saved = *at;

    *at = '\0';
    int dir = open(buf[0] == '\0' ? "/" : buf, O_PATH | O_DIRECTORY | O_CLOEXEC);

    *at = saved;
    while (dir >= 0) {
        while (*at == '/') {
            at++;
        }
        char *slash = strchr(at, '/');

        if (slash != NULL) {
            *slash = '\0';
        }
        bool last = slash == NULL || slash[1] == '\0';
        const char *name = *at == '\0' ? "." : at;
        int next = open_component(dir, name, last ? flags : O_PATH | O_DIRECTORY | O_CLOEXEC, rule);
        int err = errno;

        close(dir);
        errno = err;
        if (last) {
            return next;
        }
        dir = next;
        at = slash + 1;
    }
    return -1;
}
