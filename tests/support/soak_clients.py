# SPDX-License-Identifier: BSD-2-Clause
"""The visitors and applications of tests/soak/run, each a thread that knows what it must get."""
import contextlib
import gzip
import http.client
import random
import re
import socket
import subprocess
import threading
import time

import pymysql

SITE, TUNNELS = "soak.example", "tunnels.example"
H2_REQUESTS = 60
# The address of the one who asks too often, and of nobody else.
RUDE = "127.0.0.77"
# Of the route that he asks.
RATE, BAN_S = "5/1s", 1
FILE_SIZES = (1000, 100_000)
PAGE_BYTES = 5000  # from an app, large enough to be compressed


def file_bytes(size):
    """The same for both sides; text, so that it can be compressed."""
    return (b"the file of %d bytes: " % size + b"what stands in it is of no interest; " * (size // 30))[:size]


class Client(threading.Thread):
    """Works in rounds until told to end; stands still, without a connection, while paused."""

    def __init__(self, soak, number):
        super().__init__(daemon=True)
        self.soak, self.number, self.random = soak, number, random.Random(number)
        self.still = threading.Event()

    def run(self):
        while not self.soak.ending.is_set():
            if self.soak.paused.is_set():
                self.leave()
                self.still.set()
                time.sleep(0.02)
                continue
            self.still.clear()
            began = time.monotonic()
            try:
                self.round()
                self.soak.done[type(self).__name__] += 1
            except Exception as problem:  # pylint: disable=broad-except
                self.leave()
                if not self.soak.trouble.excuses(began):
                    self.soak.problem(f"{type(self).__name__} {self.number}: {type(problem).__name__}: {problem}")
            time.sleep(self.random.uniform(0, 0.004))
        self.leave()

    def round(self):
        raise NotImplementedError

    def leave(self):
        raise NotImplementedError


class HttpClient(Client):
    connection = None

    def connect(self):
        return http.client.HTTPConnection(*self.soak.http, timeout=20)

    def round(self):
        if self.connection is None:
            self.connection = self.connect()
        self.connection.request("GET", f"/{self.random.randrange(1000)}", headers={"Host": SITE})
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != 200 or len(body) != self.soak.body_bytes:
            raise RuntimeError(f"status {answer.status}, {len(body)} bytes")
        if self.connection.sock is None or self.random.random() < 0.05:  # noah has said that it closes this one, or chance has
            self.leave()

    def leave(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class TlsClient(HttpClient):
    def connect(self):
        connection = http.client.HTTPConnection(*self.soak.https, timeout=20)
        connection.connect()
        # The certificate is checked too: it must be the one of this name.
        connection.sock = self.soak.trust.wrap_socket(connection.sock, server_hostname=SITE)
        return connection


class H2Client(Client):
    def round(self):
        began = time.monotonic()
        result = subprocess.run(["h2load", f"-n{H2_REQUESTS}", "-c1", f"-m{H2_REQUESTS // 2}", "-t1", "-T20", "-N20",
                                 f"--connect-to={self.soak.https[0]}:{self.soak.https[1]}", f"https://{SITE}/h2"],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        good = f"{H2_REQUESTS} succeeded, 0 failed" in result.stdout
        # An upgrade says GOAWAY. A browser would ask for the rest on another connection; h2load gives up what it has under way, too.
        if self.soak.upgrades.excuses(began):
            good = " 0 3xx, 0 4xx, 0 5xx" in result.stdout and " 0 timeout" in result.stdout
        if not good or "Application protocol: h2" not in result.stdout:
            raise RuntimeError(" ".join(re.findall(r"^(?:requests|status codes|Application protocol): .*", result.stdout, re.M)))

    def leave(self):
        pass


class TunnelClient(Client):
    """Half of them over TLS. A tunnel lives through reloads and upgrades, until its client has had enough of it."""
    connection = None

    def connect(self):
        secure = self.number % 2 == 1
        connection = socket.create_connection(self.soak.https if secure else self.soak.http, 20)
        if secure:
            connection = self.soak.trust.wrap_socket(connection, server_hostname=TUNNELS)
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {TUNNELS}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = connection.recv(1)
            if not byte:
                raise RuntimeError(f"no tunnel: {head!r}")
            head += byte
        if not head.startswith(b"HTTP/1.1 101 "):
            raise RuntimeError(f"no tunnel: {head!r}")
        return connection

    def round(self):
        if self.connection is None:
            self.connection = self.connect()
        sent = self.random.randbytes(self.random.choice((1, 100, 30000)))
        self.connection.sendall(sent)
        got = b""
        while len(got) < len(sent):
            piece = self.connection.recv(65536)
            if not piece:
                raise RuntimeError("the tunnel ended")
            got += piece
        if got != sent:
            raise RuntimeError("the tunnel changed what went through it")
        if self.random.random() < 0.01:
            self.leave()

    def leave(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class SqlClient(Client):
    """Adds one to its own row, then reads it, half of the time on a new connection: the read must see the write."""
    connection = None
    expected = None

    def connect(self):
        return pymysql.connect(host=self.soak.sql[0], port=self.soak.sql[1], user="app", password="app-secret", database="soak",
                               autocommit=True, connect_timeout=20, read_timeout=20, write_timeout=20)

    def round(self):
        if self.connection is None:
            self.connection = self.connect()
        if self.expected is None: # what became of a write that was cut off is not known
            self.expected = self.ask(self.connection, "SELECT value FROM counters WHERE id = %s FOR UPDATE", self.number)[0][0]
        wanted, self.expected = self.expected + 1, None
        self.ask(self.connection, "UPDATE counters SET value = %s WHERE id = %s", wanted, self.number)
        if self.random.random() < 0.5:
            self.leave()
            self.connection = self.connect()
        seen = self.ask(self.connection, "SELECT value FROM counters WHERE id = %s", self.number)[0][0]
        if seen != wanted:
            self.soak.stale.append(f"client {self.number} wrote {wanted} and read {seen}")
        self.expected = wanted

    @staticmethod
    def ask(connection, text, *parameters):
        with connection.cursor() as cursor:
            cursor.execute(text, parameters)
            return cursor.fetchall()

    def leave(self):
        if self.connection is not None:
            with contextlib.suppress(pymysql.Error, OSError):
                self.connection.close()
            self.connection = None


class FileClient(HttpClient):
    """Files, whole and in parts, as they are or compressed; now and then one that it has already."""

    def round(self):
        size, way = self.random.choice(FILE_SIZES), self.random.choice(("whole", "part", "gzip", "known"))
        whole, path = file_bytes(size), f"/files/{size}.css"
        if way == "part":
            first = self.random.randrange(size)
            last = self.random.randrange(first, size)
            status, body, _ = self.ask(path, Range=f"bytes={first}-{last}")
            good = status == 206 and body == whole[first:last + 1]
        elif way == "gzip":
            status, body, fields = self.ask(path, **{"Accept-Encoding": "gzip"})
            # While all compressors are in use, an answer goes as it is.
            body = gzip.decompress(body) if fields.get("Content-Encoding") == "gzip" else body
            good = status == 200 and body == whole
        elif way == "known":
            _, _, fields = self.ask(path)
            status, body, _ = self.ask(path, **{"If-None-Match": fields["ETag"] or "none was given"})
            good = status == 304 and body == b""
        else:
            status, body, _ = self.ask(path)
            good = status == 200 and body == whole
        if not good:
            raise RuntimeError(f"{way} of {path}: status {status}, {len(body)} bytes: {body[:300]!r}")

    def ask(self, path, **fields):
        if self.connection is None:
            self.connection = self.connect()
        self.connection.request("GET", path, headers={"Host": SITE, **fields})
        answer = self.connection.getresponse()
        body = answer.read()
        if self.connection.sock is None or self.random.random() < 0.05:
            self.leave()
        return answer.status, body, answer.headers


class SecureFileClient(FileClient, TlsClient):
    """The same over TLS, where no file goes from the kernel to the wire by itself."""


class PageClient(FileClient):
    """Pages of an app, compressed on their way."""

    def round(self):
        status, body, fields = self.ask("/pages/", **{"Accept-Encoding": self.random.choice(("gzip", "identity"))})
        body = gzip.decompress(body) if fields.get("Content-Encoding") == "gzip" else body
        if status != 200 or body != b"x" * PAGE_BYTES:
            raise RuntimeError(f"status {status}, {len(body)} bytes")


class RudeClient(Client):
    """Asks too often, is told so, is banned, and is free again: nobody else is disturbed by it."""
    seen = None  # what came last; None: that is not known
    allowed = {None: (200, 429, 403), 200: (200, 429), 429: (403, 200), 403: (403, 200)}

    def round(self):
        with socket.create_connection(self.soak.http, 20, (RUDE, 0)) as connection:
            connection.sendall(f"GET /limited/ HTTP/1.1\r\nHost: {SITE}\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        status = int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0
        if status not in self.allowed[self.seen]:
            raise RuntimeError(f"{status} after {self.seen}")
        self.seen = status
        self.soak.rude[status] += 1

    def leave(self):
        self.seen = None


class SlowClient(Client):
    """Sends its request, or takes its answer, in small pieces, though never as slowly as is cut off."""

    def round(self):
        work = self.random.choice((self.slow_head, self.slow_body, self.slow_reader))
        with socket.create_connection(self.soak.http, 20) as connection:
            work(connection)

    def send_slowly(self, connection, data, pieces):
        size = len(data) // pieces + 1
        for at in range(0, len(data), size):
            connection.sendall(data[at:at + size])
            time.sleep(0.05)

    def expect(self, connection, wanted, pause=0.0):
        answer = b""
        while b"\r\n\r\n" not in answer or len(answer.split(b"\r\n\r\n", 1)[1]) < len(wanted):
            piece = connection.recv(8192)
            if not piece:
                break
            answer += piece
            time.sleep(pause)
        if not answer.startswith(b"HTTP/1.1 200 ") or answer.split(b"\r\n\r\n", 1)[1] != wanted:
            raise RuntimeError(f"{len(answer)} bytes: {answer[:60]!r}")

    def slow_head(self, connection):
        self.send_slowly(connection, f"GET / HTTP/1.1\r\nHost: {SITE}\r\n\r\n".encode(), 10)
        self.expect(connection, b"x" * self.soak.body_bytes)

    def slow_body(self, connection):
        body = b"a" * 20_000
        connection.sendall(f"POST / HTTP/1.1\r\nHost: {SITE}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        self.send_slowly(connection, body, 10)
        self.expect(connection, b"x" * self.soak.body_bytes)

    def slow_reader(self, connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(f"GET /files/{FILE_SIZES[-1]}.css HTTP/1.1\r\nHost: {SITE}\r\n\r\n".encode())
        self.expect(connection, file_bytes(FILE_SIZES[-1]), 0.02)

    def leave(self):
        pass
