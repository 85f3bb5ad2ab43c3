#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A WebSocket echo (RFC 6455) for the demo: text, binary, ping and close; no extensions."""
import base64
import hashlib
import socketserver
import struct
import sys

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        headers = {}
        self.rfile.readline()
        while True:
            line = self.rfile.readline().strip()
            if not line:
                break
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
        key = headers.get(b"sec-websocket-key")
        if key is None:
            self.wfile.write(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                         b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        while self.frame():
            pass

    def frame(self):
        head = self.rfile.read(2)
        if len(head) < 2:
            return False
        opcode, size = head[0] & 15, head[1] & 127
        if size == 126:
            size, = struct.unpack(">H", self.rfile.read(2))
        elif size == 127:
            size, = struct.unpack(">Q", self.rfile.read(8))
        if size > 1 << 20:
            return False
        mask = self.rfile.read(4)
        data = bytes(b ^ mask[i & 3] for i, b in enumerate(self.rfile.read(size)))
        reply = {8: 0x88, 9: 0x8A}.get(opcode, 0x80 | opcode)
        length = bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size) if size < 65536 \
            else b"\x7f" + struct.pack(">Q", size)
        self.wfile.write(bytes([reply]) + length + data)
        return opcode != 8


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
