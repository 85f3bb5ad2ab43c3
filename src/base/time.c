/* SPDX-License-Identifier: BSD-2-Clause */
/* The cached clock and dates. */
#include "base/time.h"

#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>

static int64_t now_ms;
static int64_t wall_ms;

static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

/* Texts of one second; made when the first one is asked for. */
static struct {
    time_t http_at;
    time_t local_at;
    struct tm local;
    char http[HTTP_DATE_LEN + 1];
    char error[80];
    char log[96];
    char iso[96];
    char syslog[64];
} cached = { .http_at = -1, .local_at = -1 };

void
clock_update(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    now_ms = ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
    clock_gettime(CLOCK_REALTIME, &ts);
    wall_ms = ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t
clock_ms(void)
{
    return now_ms;
}

int64_t
clock_wall_ms(void)
{
    return wall_ms;
}

time_t
clock_wall(void)
{
    return (time_t)(wall_ms / 1000);
}

static char *
two_digits(char *p, int v)
{
    *p++ = (char)('0' + v / 10);
    *p++ = (char)('0' + v % 10);
    return p;
}

static char *
put(char *p, const char *s)
{
    while (*s != '\0') {
        *p++ = *s++;
    }
    return p;
}

static char *
write_date(char *p, time_t t, char sep)
{
    struct tm tm;

    gmtime_r(&t, &tm);
    p = put(p, days[tm.tm_wday]);
    p = put(p, ", ");
    p = two_digits(p, tm.tm_mday);
    *p++ = sep;
    p = put(p, months[tm.tm_mon]);
    *p++ = sep;
    p = two_digits(p, (tm.tm_year + 1900) / 100 % 100);
    p = two_digits(p, (tm.tm_year + 1900) % 100);
    *p++ = ' ';
    p = two_digits(p, tm.tm_hour);
    *p++ = ':';
    p = two_digits(p, tm.tm_min);
    *p++ = ':';
    p = two_digits(p, tm.tm_sec);
    return put(p, " GMT");
}

char *
time_write_http(char *p, time_t t)
{
    return write_date(p, t, ' ');
}

char *
time_write_cookie(char *p, time_t t)
{
    return write_date(p, t, '-');
}

struct slice
clock_http_date(void)
{
    time_t t = clock_wall();

    if (cached.http_at != t) {
        cached.http_at = t;
        *time_write_http(cached.http, t) = '\0';
    }
    return slice_of(cached.http, HTTP_DATE_LEN);
}

static void
refresh_local(void)
{
    time_t t = clock_wall();

    if (cached.local_at == t) {
        return;
    }
    cached.local_at = t;
    localtime_r(&t, &cached.local);
    const struct tm *tm = &cached.local;
    long off = tm->tm_gmtoff / 60;
    char sign = off < 0 ? '-' : '+';
    int oh = (int)(labs(off) / 60 % 100);
    int om = (int)(labs(off) % 60);

    snprintf(cached.error, sizeof(cached.error), "%04d/%02d/%02d %02d:%02d:%02d",
             tm->tm_year + 1900, tm->tm_mon + 1, tm->tm_mday, tm->tm_hour, tm->tm_min, tm->tm_sec);
    snprintf(cached.log, sizeof(cached.log), "%02d/%s/%04d:%02d:%02d:%02d %c%02d%02d", tm->tm_mday,
             months[tm->tm_mon], tm->tm_year + 1900, tm->tm_hour, tm->tm_min, tm->tm_sec, sign, oh,
             om);
    snprintf(cached.iso, sizeof(cached.iso), "%04d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d",
             tm->tm_year + 1900, tm->tm_mon + 1, tm->tm_mday, tm->tm_hour, tm->tm_min, tm->tm_sec,
             sign, oh, om);
    snprintf(cached.syslog, sizeof(cached.syslog), "%s %2d %02d:%02d:%02d", months[tm->tm_mon],
             tm->tm_mday, tm->tm_hour, tm->tm_min, tm->tm_sec);
}

struct slice
clock_error_date(void)
{
    refresh_local();
    return slice_str(cached.error);
}

struct slice
clock_log_date(void)
{
    refresh_local();
    return slice_str(cached.log);
}

struct slice
clock_iso8601(void)
{
    refresh_local();
    return slice_str(cached.iso);
}

struct slice
clock_syslog_date(void)
{
    refresh_local();
    return slice_str(cached.syslog);
}

/* --- parsing, RFC 9110 section 5.6.7 ---------------------------------------------------------- */

static bool
take_num(struct slice *s, size_t digits, int *out)
{
    int64_t v;

    if (s->n < digits || !num_parse(slice_head(*s, digits), &v)) {
        return false;
    }
    *out = (int)v;
    *s = slice_from(*s, digits);
    return true;
}

static bool
take_text(struct slice *s, const char *text)
{
    if (!slice_starts(*s, slice_str(text))) {
        return false;
    }
    *s = slice_from(*s, strlen(text));
    return true;
}

static bool
take_month(struct slice *s, int *month)
{
    for (int i = 0; i < 12; i++) {
        if (take_text(s, months[i])) {
            *month = i;
            return true;
        }
    }
    return false;
}

static bool
take_clock(struct slice *s, struct tm *tm)
{
    return take_num(s, 2, &tm->tm_hour) && take_text(s, ":") && take_num(s, 2, &tm->tm_min) &&
           take_text(s, ":") && take_num(s, 2, &tm->tm_sec);
}

static bool
in_range(const struct tm *tm)
{
    static const int month_days[12] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    return tm->tm_mday >= 1 && tm->tm_mday <= month_days[tm->tm_mon] && tm->tm_hour < 24 &&
           tm->tm_min < 60 && tm->tm_sec < 61;
}

bool
time_parse_http(struct slice s, time_t *t)
{
    struct tm tm = { 0 };
    ssize_t comma = slice_chr(s, ',');
    bool good;

    if (comma < 0) { /* asctime: "Sun Nov  6 08:49:37 1994" */
        if (s.n < 24) {
            return false;
        }
        s = slice_from(s, 4);
        good = take_month(&s, &tm.tm_mon) && take_text(&s, " ");
        if (good && s.p[0] == ' ') {
            s = slice_from(s, 1);
            good = take_num(&s, 1, &tm.tm_mday);
        } else {
            good = good && take_num(&s, 2, &tm.tm_mday);
        }
        good = good && take_text(&s, " ") && take_clock(&s, &tm) && take_text(&s, " ") &&
               take_num(&s, 4, &tm.tm_year);
    } else {
        s = slice_from(s, (size_t)comma + 1);
        good = take_text(&s, " ") && take_num(&s, 2, &tm.tm_mday) && s.n > 0;
        bool rfc850 = good && s.p[0] == '-';

        good = good && take_text(&s, rfc850 ? "-" : " ") && take_month(&s, &tm.tm_mon) &&
               take_text(&s, rfc850 ? "-" : " ") && take_num(&s, rfc850 ? 2 : 4, &tm.tm_year) &&
               take_text(&s, " ") && take_clock(&s, &tm);
        if (rfc850) {
            tm.tm_year += tm.tm_year < 70 ? 2000 : 1900;
        }
    }
    if (!good || tm.tm_year < 1970 || !in_range(&tm)) {
        return false;
    }
    tm.tm_year -= 1900;
    *t = timegm(&tm);
    return true;
}
