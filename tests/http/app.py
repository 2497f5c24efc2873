#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""An app server for tests, a process of its own so that it can be killed and frozen: app.py ADDRESS PORT NAME COUNT_FILE [IDLE_S]

    GET /            its name                       GET /slow?S      the same after S seconds
    GET /big?N       N bytes                        POST /count      writes the field X-Id to the count file, then answers
    POST /sink       length and MD5 of the body     GET /check       200
    GET /status?N    an answer with status N
It closes connections that are idle for IDLE_S seconds (default 60).
"""
import hashlib
import http.server
import os
import sys
import time

BLOCK = bytes(range(256)) * 256


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536  # a small answer is one write: a server that is killed has given all of it or nothing

    def answer(self, body, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        chunked = self.headers["Transfer-Encoding"] == "chunked"
        left = int(self.rfile.readline(), 16) if chunked else int(self.headers["Content-Length"])
        while left > 0:
            piece = self.rfile.read(min(left, 65536))
            if not piece:
                raise ConnectionError("the body was cut")
            yield piece
            left -= len(piece)
            if left == 0 and chunked:
                assert self.rfile.readline() == b"\r\n"
                left = int(self.rfile.readline(), 16)
        if chunked:
            assert self.rfile.readline() == b"\r\n"

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path == "/big":
            left = int(query)
            self.send_response(200)
            self.send_header("Content-Length", query)
            self.end_headers()
            while left > 0:
                self.wfile.write(BLOCK[:left])
                left -= min(left, len(BLOCK))
            return
        if path == "/slow":
            time.sleep(float(query))
        self.answer(self.server.name, int(query) if path == "/status" else 200)

    def do_POST(self):
        digest, size = hashlib.md5(), 0
        for piece in self.body():
            digest.update(piece)
            size += len(piece)
        if self.path == "/count":
            os.write(self.server.counts, f"{self.headers['X-Id']}\n".encode())
        self.answer(f"{size} {digest.hexdigest()}".encode())

    def log_message(self, *ignored):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True

    def handle_error(self, *ignored):
        pass  # visitors who leave are part of the tests


def main(address, port, name, count_file, idle_s="60"):
    Handler.timeout = float(idle_s)
    server = Server((address, int(port)), Handler)
    server.name = name.encode()
    server.counts = os.open(count_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    server.serve_forever()


main(*sys.argv[1:])
