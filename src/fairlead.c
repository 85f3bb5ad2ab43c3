/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main(): the command line as nginx has it, then the test of a configuration, a signal to a running
 * server, or the server itself.
 */
#include "base/ident.h"
#include "base/time.h"
#include "conf/dump.h"
#include "cycle/load.h"
#include "cycle/module.h"
#include "os/process.h"
#include "proc/master.h"
#include "proc/worker.h"

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct options {
    bool help;
    bool version;
    bool version_all;
    unsigned test;
    bool dump;
    bool quiet;
    const char *signal;
    const char *prefix;
    const char *error_log;
    const char *conf;
    const char *directives;
};

/* --- the command line ------------------------------------------------------------------------------ */

__attribute__((format(printf, 1, 0))) static bool
refuse(const char *fmt, const char *what)
{
    log_stderr(ident_name(), LOG_LVL_STDERR, 0, fmt, what);
    return false;
}

static bool
flag_option(struct options *o, char c)
{
    switch (c) {
    case '?':
    case 'h':
        o->help = true;
        return true;
    case 'v':
        o->version = true;
        return true;
    case 'V':
        o->version_all = true;
        return true;
    case 't':
        o->test++;
        return true;
    case 'T':
        o->test++;
        o->dump = true;
        return true;
    case 'q':
        o->quiet = true;
        return true;
    default:
        return false;
    }
}

static const char **
value_option(struct options *o, char c, const char **missing)
{
    *missing = "option \"-%s\" requires parameter";
    switch (c) {
    case 'p':
        *missing = "option \"-%s\" requires directory name";
        return &o->prefix;
    case 'c':
        *missing = "option \"-%s\" requires file name";
        return &o->conf;
    case 'e':
        *missing = "option \"-%s\" requires file name";
        return &o->error_log;
    case 'g':
        return &o->directives;
    case 's':
        return &o->signal;
    default:
        return NULL;
    }
}

/* One word of options: flags may be followed by a value option, which takes the rest of the word or
 * the next one. */
static bool
parse_word(struct options *o, const char *word, const char *next, bool *took_next)
{
    *took_next = false;
    if (word[0] != '-') {
        return refuse("invalid option: \"%s\"", word);
    }
    for (const char *p = word + 1; *p != '\0'; p++) {
        char name[2] = { *p, '\0' };
        const char *missing;

        if (flag_option(o, *p)) {
            continue;
        }
        const char **value = value_option(o, *p, &missing);

        if (value == NULL) {
            return refuse("invalid option: \"%s\"", name);
        }
        *value = p[1] != '\0' ? p + 1 : next;
        *took_next = p[1] == '\0';
        if (*value == NULL) {
            return refuse(missing, name);
        }
        return true;
    }
    return true;
}

static bool
parse_options(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        bool took_next;

        if (!parse_word(o, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &took_next)) {
            return false;
        }
        i += took_next;
    }
    if (o->signal != NULL && master_signal_number(o->signal) == 0) {
        return refuse("invalid option: \"-s %s\"", o->signal);
    }
    return true;
}

/* --- -v, -V, -h --------------------------------------------------------------------------------------- */

static void
print_version(const struct options *o)
{
    const struct ident_paths *paths = ident_paths();

    fprintf(stderr, "nginx version: nginx/%s (fairlead %s)\n", NGINX_COMPAT_VERSION,
            FAIRLEAD_VERSION);
    if (o->help) {
        fprintf(stderr,
                "Usage: %s [-?hvVtTq] [-s signal] [-p prefix]\n"
                "             [-e filename] [-c filename] [-g directives]\n"
                "\n"
                "Options:\n"
                "  -?,-h         : this help\n"
                "  -v            : show version and exit\n"
                "  -V            : show version and configure options then exit\n"
                "  -t            : test configuration and exit (twice: explain)\n"
                "  -T            : test configuration, dump it and exit\n"
                "  -q            : suppress non-error messages during configuration testing\n"
                "  -s signal     : send signal to a master process: stop, quit, reopen, reload\n"
                "  -p prefix     : set prefix path (default: %s)\n"
                "  -e filename   : set error log file (default: %s)\n"
                "  -c filename   : set configuration file (default: %s)\n"
                "  -g directives : set global directives out of configuration file\n"
                "\n",
                ident_name(), paths->prefix, paths->error_log, paths->conf);
    } else if (o->version_all) {
        fprintf(stderr, "built by %s\nbuilt with %s\nTLS SNI support enabled\nconfigure arguments: %s\n",
                BUILT_BY, OpenSSL_version(OPENSSL_VERSION),
                ident_is_nginx() ? NGINX_CONFIGURE_ARGS : CONFIGURE_ARGS);
    }
}

/* --- paths --------------------------------------------------------------------------------------------- */

static struct slice
under(struct pool *pool, struct slice dir, struct slice name)
{
    struct slice parts[] = { dir, name };

    return name.n > 0 && name.p[0] == '/' ? name : pool_concat(pool, parts, 2);
}

static struct slice
with_slash(struct pool *pool, struct slice dir)
{
    struct slice parts[] = { dir, SLICE("/") };

    return slice_ends(dir, SLICE("/")) ? dir : pool_concat(pool, parts, 2);
}

static struct cycle_params *
make_params(struct pool *pool, const struct options *o, int argc, char **argv)
{
    struct cycle_params *p = POOL_NEW(pool, struct cycle_params);
    const struct ident_paths *paths = ident_paths();
    const char *log = o->error_log != NULL ? o->error_log : paths->error_log;
    const char *conf = o->conf != NULL ? o->conf : paths->conf;

    p->prefix = with_slash(pool, slice_str(o->prefix != NULL ? o->prefix : paths->prefix));
    if (o->conf == NULL && o->prefix != NULL) { /* -p alone moves the file as well, as nginx does */
        conf = ident_is_nginx() ? "conf/nginx.conf" : "conf/fairlead.conf";
        log = o->error_log != NULL ? o->error_log : "logs/error.log";
    }
    p->conf_file = under(pool, p->prefix, slice_str(conf));
    p->conf_dir = slice_head(p->conf_file, (size_t)slice_rchr(p->conf_file, '/') + 1);
    p->error_log = slice_eq(slice_str(log), SLICE("stderr"))
                       ? SLICE("stderr")
                       : under(pool, p->prefix, slice_str(log));
    p->directives = o->directives == NULL ? SLICE("") : slice_str(o->directives);
    p->testing = o->test > 0;
    p->dumping = o->dump;
    p->quiet = o->quiet;
    p->explain = o->test > 1 + (unsigned)o->dump || isatty(STDERR_FILENO) == 1;
    p->argc = argc;
    p->argv = argv;
    return p;
}

/* The log of -e is in use from the first message on; that it cannot be opened is only an alert, since
 * the configuration may name another one. */
static void
open_first_log(const struct cycle_params *p)
{
    if (slice_eq(p->error_log, SLICE("stderr"))) {
        return;
    }
    int fd = open(p->error_log.p, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0) {
        log_stderr(ident_name(), LOG_LVL_ALERT, 0,
                   "could not open error log file: open() \"%s\" failed (%d: %s)", p->error_log.p,
                   errno, strerror(errno));
        return;
    }
    close(fd);
}

/* --- what to do ------------------------------------------------------------------------------------------ */

static int
test_config(const struct cycle_params *params)
{
    struct cycle *cycle = cycle_load(params, NULL, NULL);

    if (cycle == NULL) {
        log_stderr(ident_name(), LOG_LVL_STDERR, 0, "configuration file %s test failed",
                   params->conf_file.p);
        return 1;
    }
    AUTO_CLOSE int fd = open(cycle->core->pid.p, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0) {
        log_stderr(ident_name(), LOG_LVL_EMERG, errno, "open() \"%s\" failed", cycle->core->pid.p);
        log_stderr(ident_name(), LOG_LVL_STDERR, 0, "configuration file %s test failed",
                   params->conf_file.p);
        return 1;
    }
    if (!params->quiet) {
        log_stderr(ident_name(), LOG_LVL_STDERR, 0, "configuration file %s test is successful",
                   params->conf_file.p);
    }
    if (params->dumping) {
        conf_dump(cycle->tree, stdout);
    }
    return 0;
}

static int
send_signal(const struct cycle_params *params, const char *name)
{
    struct slice pid_path;

    return cycle_load_pid_path(params, &pid_path) ? master_signal(name, pid_path.p) : 1;
}

int
main(int argc, char **argv)
{
    struct options o = { 0 };
    struct pool *pool = pool_new(0);
    char **args = mem_alloc(((size_t)argc + 1) * sizeof(*args));

    process_open_std_fds();
    for (int i = 0; i < argc; i++) { /* the title overwrites the original ones */
        args[i] = strdup(argv[i]);
    }
    args[argc] = NULL;
    ident_init(args[0]);
    process_init_title(argc, argv);
    clock_update();
    if (!parse_options(&o, argc, args)) {
        return 1;
    }
    if (o.help || o.version || o.version_all) {
        print_version(&o);
        if (o.help || o.test == 0) {
            return 0;
        }
    }
    struct cycle_params *params = make_params(pool, &o, argc, args);

    open_first_log(params);
    if (o.signal != NULL) {
        return send_signal(params, o.signal);
    }
    if (params->testing) {
        return test_config(params);
    }
    struct cycle *cycle = cycle_load(params, NULL, NULL);

    if (cycle == NULL) {
        return 1;
    }
    return cycle->core->master_process ? master_main(cycle) : single_main(cycle);
}
