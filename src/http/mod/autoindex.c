/* SPDX-License-Identifier: BSD-2-Clause */
/* autoindex: a listing of a directory as HTML, XML, JSON or JSONP. */
#include "base/encode.h"
#include "base/time.h"
#include "base/vec.h"
#include "http/core.h"
#include "http/file.h"
#include "http/http.h"
#include "http/mod/mod.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NAME_WIDTH 50

enum autoindex_format { AUTOINDEX_HTML, AUTOINDEX_XML, AUTOINDEX_JSON, AUTOINDEX_JSONP };

struct autoindex_loc {
    bool enabled;
    bool exact_size;
    bool localtime;
    int format;
};

struct dir_entry {
    struct slice name;
    bool is_dir;
    bool is_file;
    int64_t size;
    time_t mtime;
};

typedef VEC(struct dir_entry) entry_vec;

static int
compare(const void *a, const void *b)
{
    const struct dir_entry *x = a;
    const struct dir_entry *y = b;

    if (x->is_dir != y->is_dir) {
        return x->is_dir ? -1 : 1;
    }
    return slice_cmp(x->name, y->name);
}

/* -1: errno. Hidden names and those that vanish meanwhile are left out. */
static int
read_dir(struct http_request *r, struct slice path, entry_vec *entries)
{
    DIR *dir = opendir(path.p);
    struct dirent *de;

    if (dir == NULL) {
        return -1;
    }
    while ((de = readdir(dir)) != NULL) {
        struct stat st;

        if (de->d_name[0] == '.' || (fstatat(dirfd(dir), de->d_name, &st, 0) != 0 &&
                                     fstatat(dirfd(dir), de->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)) {
            continue;
        }
        *VEC_PUSH(entries, r->pool) =
            (struct dir_entry){ .name = pool_copy(r->pool, slice_str(de->d_name)),
                                .is_dir = S_ISDIR(st.st_mode),
                                .is_file = S_ISREG(st.st_mode),
                                .size = st.st_size,
                                .mtime = st.st_mtime };
    }
    closedir(dir);
    if (entries->n > 0) {
        qsort(entries->items, entries->n, sizeof(struct dir_entry), compare);
    }
    return 0;
}

/* --- HTML ------------------------------------------------------------------------------------------------ */

static void
add_size(struct text_builder *b, const struct dir_entry *e, bool exact)
{
    char text[32];
    int64_t size = e->size;
    char unit = '\0';

    if (e->is_dir) {
        text_add(b, exact ? SLICE("                  -") : SLICE("      -"));
        return;
    }
    if (exact) {
        text_add(b, slice_of(text, (size_t)snprintf(text, sizeof(text), "%19lld",
                                                    (long long)size)));
        return;
    }
    if (size > 1024 * 1024 * 1024 - 1) {
        size = (size + (1 << 29)) >> 30;
        unit = 'G';
    } else if (size > 1024 * 1024 - 1) {
        size = (size + (1 << 19)) >> 20;
        unit = 'M';
    } else if (size > 9999) {
        size = (size + (1 << 9)) >> 10;
        unit = 'K';
    }
    int n = unit == '\0' ? snprintf(text, sizeof(text), "%7lld", (long long)size)
                         : snprintf(text, sizeof(text), "%6lld%c", (long long)size, unit);

    text_add(b, slice_of(text, (size_t)n));
}

/* As many characters (not bytes) as the column is wide; longer names end in "..>". */
static void
add_name(struct text_builder *b, struct slice name, bool is_dir)
{
    size_t chars = utf8_length(name);
    size_t width = chars + (is_dir ? 1 : 0);

    if (chars > NAME_WIDTH) {
        size_t n = 0;
        size_t seen = 0;

        while (n < name.n && seen < NAME_WIDTH - 3) {
            n++;
            while (n < name.n && ((unsigned char)name.p[n] & 0xc0) == 0x80) {
                n++;
            }
            seen++;
        }
        text_add(b, encode_html(b->pool, slice_head(name, n)));
        text_add(b, SLICE("..&gt;</a>"));
        return;
    }
    text_add(b, encode_html(b->pool, name));
    if (is_dir && chars < NAME_WIDTH) {
        text_add_char(b, '/');
    }
    text_add(b, SLICE("</a>"));
    for (size_t i = width; i < NAME_WIDTH; i++) {
        text_add_char(b, ' ');
    }
}

static void
add_html_entry(struct text_builder *b, const struct dir_entry *e, const struct autoindex_loc *alcf)
{
    char date[32];
    struct tm tm;

    text_add(b, SLICE("<a href=\""));
    text_add(b, uri_escape(b->pool, e->name, URI_ESCAPE_COMPONENT));
    if (e->is_dir) {
        text_add_char(b, '/');
    }
    text_add(b, SLICE("\">"));
    add_name(b, e->name, e->is_dir);
    text_add_char(b, ' ');
    if (alcf->localtime) {
        localtime_r(&e->mtime, &tm);
    } else {
        gmtime_r(&e->mtime, &tm);
    }
    text_add(b, slice_of(date, strftime(date, sizeof(date), "%d-%b-%Y %H:%M ", &tm)));
    add_size(b, e, alcf->exact_size);
    text_add(b, SLICE("\r\n"));
}

static void
as_html(struct http_request *r, const entry_vec *entries, struct text_builder *b)
{
    struct slice uri = encode_html(r->pool, r->uri);

    text_add(b, SLICE("<html>\r\n<head><title>Index of "));
    text_add(b, uri);
    text_add(b, SLICE("</title></head>\r\n<body>\r\n<h1>Index of "));
    text_add(b, uri);
    text_add(b, SLICE("</h1><hr><pre><a href=\"../\">../</a>\r\n"));
    VEC_EACH (struct dir_entry, e, entries) {
        add_html_entry(b, e, http_loc_conf(r, &http_autoindex_module));
    }
    text_add(b, SLICE("</pre><hr></body>\r\n</html>\r\n"));
}

/* --- XML, JSON -------------------------------------------------------------------------------------------- */

static const char *
kind_of(const struct dir_entry *e)
{
    return e->is_dir ? "directory" : e->is_file ? "file" : "other";
}

static void
as_xml(const entry_vec *entries, struct text_builder *b)
{
    text_add(b, SLICE("<?xml version=\"1.0\"?>\r\n<list>\r\n"));
    VEC_EACH (struct dir_entry, e, entries) {
        char date[32];
        struct tm tm;
        const char *kind = kind_of(e);

        gmtime_r(&e->mtime, &tm);
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
        text_add(b, pool_printf(b->pool, "<%s mtime=\"%s\"", kind, date));
        if (e->is_file) {
            text_add(b, pool_printf(b->pool, " size=\"%lld\"", (long long)e->size));
        }
        text_add_char(b, '>');
        text_add(b, encode_html(b->pool, e->name));
        text_add(b, pool_printf(b->pool, "</%s>\r\n", kind));
    }
    text_add(b, SLICE("</list>\r\n"));
}

static void
as_json(const entry_vec *entries, struct text_builder *b, struct slice callback)
{
    if (callback.n > 0) {
        text_add(b, SLICE("/* callback */\r\n"));
        text_add(b, callback);
        text_add_char(b, '(');
    }
    text_add(b, SLICE("["));
    for (size_t i = 0; i < entries->n; i++) {
        const struct dir_entry *e = &entries->items[i];
        char date[HTTP_DATE_LEN + 1];

        *time_write_http(date, e->mtime) = '\0';
        struct slice name = encode_json(b->pool, e->name);

        text_add(b, pool_printf(b->pool, "%s\r\n{ \"name\":\"%.*s\", \"type\":\"%s\", "
                                         "\"mtime\":\"%s\"",
                                i > 0 ? "," : "", SLICE_ARG(name), kind_of(e), date));
        if (e->is_file) {
            text_add(b, pool_printf(b->pool, ", \"size\":%lld", (long long)e->size));
        }
        text_add(b, SLICE(" }"));
    }
    text_add(b, SLICE("\r\n]"));
    if (callback.n > 0) {
        text_add(b, SLICE(");"));
    }
}

/* A function name, so that nothing else can be injected. */
static struct slice
callback_of(struct http_request *r)
{
    struct slice name;

    if (!uri_arg(r->args, SLICE("callback"), &name)) {
        return SLICE("");
    }
    for (size_t i = 0; i < name.n; i++) {
        char c = ascii_lower(name.p[i]);

        if (!((c >= 'a' && c <= 'z') || ascii_is_digit(c) || c == '_' || c == '.' || c == '$')) {
            return SLICE("");
        }
    }
    return name;
}

static struct http_verdict
autoindex_handler(struct http_request *r)
{
    static const struct slice types[] = { SLICE_INIT("text/html"), SLICE_INIT("text/xml"),
                                          SLICE_INIT("application/json"),
                                          SLICE_INIT("application/javascript") };
    const struct autoindex_loc *alcf = http_loc_conf(r, &http_autoindex_module);
    entry_vec entries = { 0 };
    struct text_builder b;
    size_t root_n;
    int format = alcf->format;

    if (!alcf->enabled || r->uri.p[r->uri.n - 1] != '/' ||
        (r->method & (HTTP_GET | HTTP_HEAD)) == 0) {
        return http_declined();
    }
    struct slice path = http_map_path(r, 0, &root_n);
    struct slice callback = format == AUTOINDEX_JSONP ? callback_of(r) : SLICE("");

    if (read_dir(r, path, &entries) != 0) {
        return http_finish(http_open_failed(r, path, errno));
    }
    if (format == AUTOINDEX_JSONP && callback.n == 0) {
        format = AUTOINDEX_JSON;
    }
    text_init(&b, r->pool, 1024);
    switch ((enum autoindex_format)format) {
    case AUTOINDEX_HTML:
        as_html(r, &entries, &b);
        break;
    case AUTOINDEX_XML:
        as_xml(&entries, &b);
        break;
    case AUTOINDEX_JSON:
    case AUTOINDEX_JSONP:
        as_json(&entries, &b, callback);
        break;
    }
    r->out.content_type = types[format];
    if (format != AUTOINDEX_HTML) {
        r->out.charset = SLICE("utf-8");
    }

    return http_send_text(r, 200, types[format], text_done(&b));
}

static const struct conf_name format_names[] = { { "html", AUTOINDEX_HTML },
                                                 { "xml", AUTOINDEX_XML },
                                                 { "json", AUTOINDEX_JSON },
                                                 { "jsonp", AUTOINDEX_JSONP },
                                                 { NULL, 0 } };

static const struct conf_directive rows[] = {
    CONF_FLAG("autoindex", IN_HTTP_ANY, struct autoindex_loc, enabled, "off"),
    CONF_FLAG("autoindex_exact_size", IN_HTTP_ANY, struct autoindex_loc, exact_size, "on"),
    CONF_FLAG("autoindex_localtime", IN_HTTP_ANY, struct autoindex_loc, localtime, "off"),
    CONF_ENUM("autoindex_format", IN_HTTP_ANY, struct autoindex_loc, format, format_names, "html"),
    CONF_END,
};

const struct http_module http_autoindex_module = {
    .conf = { .name = "http_autoindex",
              .directives = rows,
              .id = CONF_MODULE_ID,
              .size = { [CONF_LEVEL_LOC] = sizeof(struct autoindex_loc) } },
    .phase = HTTP_CONTENT_PHASE,
    .handler = autoindex_handler,
};
