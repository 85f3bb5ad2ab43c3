#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A small application server for the demo: says who answered and what it saw."""
import http.server
import json
import sys

NAME, PORT = sys.argv[1], int(sys.argv[2])


class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        seen = {
            "application": NAME,
            "method": self.command,
            "path": self.path,
            "host": self.headers.get("Host"),
            "client": self.headers.get("X-Real-IP"),
            "body_bytes": len(body),
        }
        text = (json.dumps(seen) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), App).serve_forever()
