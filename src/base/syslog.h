/* SPDX-License-Identifier: BSD-2-Clause */
/* Syslog over UDP or a unix datagram socket, RFC 3164's form as nginx sends it. */
#pragma once

#include "base/slice.h"

struct pool;
struct syslog_sink;

/* Parameters after "syslog:". NULL and nginx's words in *error (pool text) when they are wrong. */
struct syslog_sink *syslog_parse(struct pool *pool, struct slice params, struct slice *error);
/* Set what facility the "severity=" default is: error logs use the line's level (0..7). */
void syslog_send(struct syslog_sink *sink, int severity, struct slice text);
/* The severity= parameter (access logs). */
int syslog_severity(const struct syslog_sink *sink);
