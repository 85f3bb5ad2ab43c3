/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cached clock, refreshed once a loop turn, and the date texts made from it at most once a
 * second. Durations and deadlines use the monotonic clock in ms; dates use the wall clock.
 */
#pragma once

#include "base/slice.h"

#include <stdint.h>
#include <time.h>

/* Read both clocks anew. */
void clock_update(void);
int64_t clock_ms(void); /* monotonic, for deadlines and durations */
int64_t clock_wall_ms(void); /* since 1970 */
time_t clock_wall(void); /* seconds since 1970 */

#define HTTP_DATE_LEN 29
/* "Tue, 14 Nov 2023 22:13:20 GMT" of now; lives until the next second's call. */
struct slice clock_http_date(void);
/* "2026/11/23 08:35:48" local, error log. */
struct slice clock_error_date(void);
/* "23/Nov/2026:08:35:48 +0000" local, $time_local. */
struct slice clock_log_date(void);
/* "2026-11-23T08:35:48+00:00" local, $time_iso8601. */
struct slice clock_iso8601(void);
/* "Nov 23 08:35:48" local, syslog. */
struct slice clock_syslog_date(void);

/* IMF-fixdate of t at p (HTTP_DATE_LEN bytes, no NUL), RFC 9110 section 5.6.7; returns the end. */
char *time_write_http(char *p, time_t t);
/* "Tue, 14-Nov-2023 22:13:20 GMT" (cookies); 2-digit years are never written. */
char *time_write_cookie(char *p, time_t t);
/* All three forms of RFC 9110 section 5.6.7; false on anything else. */
MUST_USE bool time_parse_http(struct slice s, time_t *t);
