/* SPDX-License-Identifier: BSD-2-Clause */
/* Encodings of text: HTML, JSON, log values, base64, UTF-8. Results live in the pool; a text that
 * needs no change is returned as it is. */
#pragma once

#include "base/pool.h"

struct slice encode_html(struct pool *pool, struct slice s); /* & < > " ' */
struct slice encode_json(struct pool *pool, struct slice s); /* without the quotes around */
struct slice encode_log(struct pool *pool, struct slice s); /* ", \, < 0x20, > 0x7e as \xHH */
struct slice encode_hex(struct pool *pool, struct slice s);
MUST_USE bool decode_base64(struct pool *pool, struct slice s, bool url, struct slice *out);
/* Characters of a UTF-8 text; malformed bytes count one each. */
size_t utf8_length(struct slice s);
