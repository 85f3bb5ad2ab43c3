/* SPDX-License-Identifier: BSD-2-Clause */
/* The socket is opened at the first message and again after an error; sending never blocks and
 * never logs: a lost line is lost. */
#include "base/syslog.h"

#include "base/ident.h"
#include "base/num.h"
#include "base/pool.h"
#include "base/time.h"

#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct syslog_sink {
    struct sockaddr_storage addr;
    socklen_t addr_len;
    int fd;
    int facility;
    int severity;
    bool no_host;
    struct slice tag;
    char host[256];
};

static const char *const facilities[] = { "kern",   "user",   "mail",   "daemon", "auth",  "intern",
                                          "lpr",    "news",   "uucp",   "clock",  "authpriv", "ftp",
                                          "ntp",    "audit",  "alert",  "cron",   "local0", "local1",
                                          "local2", "local3", "local4", "local5", "local6", "local7" };
static const char *const severities[] = { "emerg", "alert",  "crit", "error",
                                          "warn",  "notice", "info", "debug" };

static int
find_name(const char *const *names, size_t n, struct slice s)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_eq(slice_str(names[i]), s)) {
            return (int)i;
        }
    }
    return -1;
}

static bool
set_server(struct pool *pool, struct syslog_sink *sink, struct slice v)
{
    if (slice_starts(v, SLICE("unix:"))) {
        struct sockaddr_un *un = (void *)&sink->addr;
        struct slice path = slice_from(v, 5);

        if (path.n == 0 || path.n >= sizeof(un->sun_path)) {
            return false;
        }
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, path.p, path.n);
        sink->addr_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
        return true;
    }
    ssize_t colon = slice_rchr(v, ':');
    bool v6 = slice_starts(v, SLICE("["));
    ssize_t close = slice_chr(v, ']');
    struct slice host = v;
    struct slice port = SLICE("514");

    if (colon >= 0 && (!v6 || colon > close)) {
        host = slice_head(v, (size_t)colon);
        port = slice_from(v, (size_t)colon + 1);
    }
    if (v6) {
        host = slice_of(host.p + 1, (size_t)close - 1);
    }
    struct addrinfo hints = { .ai_socktype = SOCK_DGRAM };
    struct addrinfo *ai;

    if (host.n == 0 || getaddrinfo(pool_str(pool, host), pool_str(pool, port), &hints, &ai) != 0) {
        return false;
    }
    memcpy(&sink->addr, ai->ai_addr, ai->ai_addrlen);
    sink->addr_len = ai->ai_addrlen;
    freeaddrinfo(ai);
    return true;
}

static bool
tag_is_good(struct slice tag)
{
    for (size_t i = 0; i < tag.n; i++) {
        char c = ascii_lower(tag.p[i]);

        if (!ascii_is_digit(c) && (c < 'a' || c > 'z') && c != '_') {
            return false;
        }
    }
    return true;
}

static bool
take_param(struct pool *pool, struct syslog_sink *sink, struct slice p, struct slice *error)
{
    ssize_t eq = slice_chr(p, '=');
    struct slice name = eq < 0 ? p : slice_head(p, (size_t)eq);
    struct slice v = eq < 0 ? SLICE("") : slice_from(p, (size_t)eq + 1);

    if (slice_eq(name, SLICE("server"))) {
        if (sink->addr_len != 0) {
            *error = SLICE("duplicate syslog \"server\"");
            return false;
        }
        if (!set_server(pool, sink, v)) {
            *error = pool_printf(pool, "host not found in syslog server \"%.*s\"", SLICE_ARG(v));
            return false;
        }
        return true;
    }
    if (slice_eq(name, SLICE("facility"))) {
        sink->facility = find_name(facilities, ARRAY_LEN(facilities), v);
        *error = pool_printf(pool, "unknown syslog facility \"%.*s\"", SLICE_ARG(v));
        return sink->facility >= 0;
    }
    if (slice_eq(name, SLICE("severity"))) {
        sink->severity = find_name(severities, ARRAY_LEN(severities), v);
        *error = pool_printf(pool, "unknown syslog severity \"%.*s\"", SLICE_ARG(v));
        return sink->severity >= 0;
    }
    if (slice_eq(name, SLICE("tag"))) {
        if (v.n > 32) {
            *error = SLICE("syslog tag length exceeds 32");
            return false;
        }
        *error = SLICE("syslog \"tag\" only allows alphanumeric characters and underscore");
        sink->tag = v;
        return tag_is_good(v);
    }
    if (slice_eq(p, SLICE("nohostname"))) {
        sink->no_host = true;
        return true;
    }
    *error = pool_printf(pool, "unknown syslog parameter \"%.*s\"", SLICE_ARG(p));
    return false;
}

struct syslog_sink *
syslog_parse(struct pool *pool, struct slice params, struct slice *error)
{
    struct syslog_sink *sink = POOL_NEW(pool, struct syslog_sink);
    struct slice part;

    sink->fd = -1;
    sink->facility = 23; /* local7 */
    sink->severity = 6; /* info */
    sink->tag = slice_str(ident_name());
    while (slice_split(&params, ',', &part)) {
        if (!take_param(pool, sink, part, error)) {
            return NULL;
        }
    }
    if (sink->addr_len == 0) {
        *error = SLICE("no syslog server specified");
        return NULL;
    }
    if (gethostname(sink->host, sizeof(sink->host) - 1) != 0) {
        sink->host[0] = '\0';
    }
    for (char *p = sink->host; *p != '\0'; p++) {
        *p = ascii_lower(*p);
    }
    return sink;
}

int
syslog_severity(const struct syslog_sink *sink)
{
    return sink->severity;
}

static bool
open_socket(struct syslog_sink *sink)
{
    sink->fd = socket(sink->addr.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (sink->fd < 0) {
        return false;
    }
    if (connect(sink->fd, (struct sockaddr *)&sink->addr, sink->addr_len) != 0) {
        close(sink->fd);
        sink->fd = -1;
        return false;
    }
    return true;
}

void
syslog_send(struct syslog_sink *sink, int severity, struct slice text)
{
    char line[4096];
    struct slice date = clock_syslog_date();
    int n = snprintf(line, sizeof(line), "<%d>%.*s %s%s%.*s: %.*s", sink->facility * 8 + severity,
                     SLICE_ARG(date), sink->no_host ? "" : sink->host, sink->no_host ? "" : " ",
                     SLICE_ARG(sink->tag), SLICE_ARG(text));
    size_t len = MIN((size_t)MAX(n, 0), sizeof(line) - 1);

    if (sink->fd < 0 && !open_socket(sink)) {
        return;
    }
    if (send(sink->fd, line, len, MSG_NOSIGNAL) < 0 && sink->addr.ss_family == AF_UNIX) {
        close(sink->fd); /* the daemon was restarted: a new socket next time */
        sink->fd = -1;
    }
}
