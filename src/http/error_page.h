/* SPDX-License-Identifier: BSD-2-Clause */
/* What answers a status: an error_page of the configuration, or the built-in page. */
#pragma once

#include "http/http.h"

/* Nothing was sent yet. May redirect internally, so that the request goes on. */
void http_error_response(struct http_request *r, int status);
