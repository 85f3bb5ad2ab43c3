/* SPDX-License-Identifier: BSD-2-Clause */
/* Files: temp files, whole reads, directories, opening under disable_symlinks. */
#pragma once

#include "base/slice.h"

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct pool;

struct temp_path {
    struct slice path;
    uint8_t levels[3]; /* characters of each directory level; 0: no more */
};

/* A new file under `tp` (levels by the last digits of a counter), mode 0600, open for reading and
 * writing; -1 with errno. *name is its path, in the pool. */
int file_temp(struct pool *pool, const struct temp_path *tp, struct slice *name);
/* All of it at `pos`; false with errno. */
MUST_USE bool file_write_all(int fd, const void *p, size_t n, off_t pos);
/* All bytes of a file, NUL-terminated behind; p == NULL with errno. */
struct slice file_read_all(struct pool *pool, const char *path, size_t max);
/* mkdir -p of the last component only, owned by uid:gid when root; false with errno. */
MUST_USE bool file_make_dir(const char *path, mode_t mode, uid_t uid, gid_t gid);
/* Directories of `path` below its first `keep` bytes; for proxy_store. */
MUST_USE bool file_make_parents(struct pool *pool, struct slice path, mode_t mode);
/* rename, or copy and remove over file systems. */
MUST_USE bool file_move(const char *from, const char *to, mode_t mode);

enum file_symlinks { FILE_SYMLINKS_ALLOW, FILE_SYMLINKS_REFUSE, FILE_SYMLINKS_SAME_OWNER };
/* Open for reading, non-blocking. `rule` holds for the components behind the first `from` bytes. -1 with errno
 * (ELOOP: a symbolic link in the way). */
int file_open_read(struct slice path, enum file_symlinks rule, size_t from);
