/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text to numbers and back, overflow checked. Sizes and times are nginx's configuration forms:
 * "10m" (k, m, g; offsets also g), "1h30m" (ms s m h d w M y, in falling order, blanks allowed).
 */
#pragma once

#include "base/slice.h"

#include <stdint.h>

/* All of `s` must be digits; false on anything else, on "" and on overflow of int64. */
MUST_USE bool num_parse(struct slice s, int64_t *out);
MUST_USE bool num_parse_hex(struct slice s, uint64_t *out);
/* "512", "4k", "10m", "1g" to bytes. */
MUST_USE bool num_parse_size(struct slice s, int64_t *bytes);
/* "30s", "1h30m", "100ms", "5" (seconds) to milliseconds; `seconds_only` refuses "ms" and gives whole seconds in ms. */
MUST_USE bool num_parse_time(struct slice s, bool seconds_only, int64_t *ms);
/* "1.5" with up to `digits` decimals, as an integer scaled by 10^digits ("1.5", 3 -> 1500). */
MUST_USE bool num_parse_fixed(struct slice s, unsigned digits, int64_t *out);

#define NUM_MAX_LEN 24
/* Write decimal (or lower-case hex) digits at p, without NUL; returns the end. */
char *num_write(char *p, int64_t v);
char *num_write_u(char *p, uint64_t v);
char *num_write_hex(char *p, uint64_t v);
