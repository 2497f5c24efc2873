# SPDX-License-Identifier: BSD-2-Clause
"""An HTTP client that notices everything: whether an answer had begun, whether it was whole, and how long it took. It tries
nothing twice.

Used by wordpress.py, story.py and the cluster tests.
"""
import socket
import time
import urllib.parse


class Answer:
    def __init__(self):
        self.status = 0        # 0: no status line came
        self.headers = []      # (lower-case name, value)
        self.body = b""
        self.began = False     # at least one byte came
        self.whole = False
        self.problem = ""      # why it is not whole
        self.seconds = 0.0

    def all(self, name):
        return [value for key, value in self.headers if key == name]

    def header(self, name):
        values = self.all(name)
        return values[0] if values else ""

    def describe(self):
        text = f"{self.status}" if self.status else "no answer"
        if not self.whole:
            text += f" ({self.problem}; the answer had {'' if self.began else 'not '}begun)"
        elif self.status >= 400 and self.body:
            words = " ".join(self.body.decode("utf-8", "replace").split())
            text += f" {words[:300]}"
        return f"{text} after {self.seconds:.2f} s"


class Client:
    """One visitor: keeps its connection as long as both sides want. request() never raises; the Answer tells."""

    def __init__(self, machine, address, port=80, timeout=40, host=None):
        """`host`: the name of the site; without it the address."""
        self.machine = machine
        self.address = address
        self.port = port
        self.timeout = timeout
        self.host = host or (address if port == 80 else f"{address}:{port}")
        self._socket = None
        self._rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()

    def close(self):
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def get(self, path, headers=(), timeout=None):
        return self.request("GET", path, headers, b"", timeout)

    def post(self, path, form, headers=(), timeout=None):
        body = urllib.parse.urlencode(form).encode()
        return self.request("POST", path, [("Content-Type", "application/x-www-form-urlencoded"), *headers], body, timeout)

    def request(self, method, path, headers=(), body=b"", timeout=None):
        answer = Answer()
        started = time.monotonic()
        try:
            self._connect(timeout or self.timeout)
            lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}"]
            lines += [f"{name}: {value}" for name, value in headers]
            if body or method == "POST":
                lines.append(f"Content-Length: {len(body)}")
            self._socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            self._read_answer(answer, method)
            answer.whole = True
        except (OSError, ValueError) as problem:
            answer.problem = str(problem) or type(problem).__name__
        answer.seconds = time.monotonic() - started
        if not answer.whole or "close" in answer.header("connection").lower():
            self.close()
        return answer

    def _connect(self, timeout):
        if self._socket is None:
            self._rest = b""
            with self.machine.inside():
                self._socket = socket.create_connection((self.address, self.port), timeout=timeout)
        self._socket.settimeout(timeout)

    # ---- reading

    def _more(self, answer):
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the connection was closed")
        answer.began = True
        self._rest += data

    def _line(self, answer):
        while b"\r\n" not in self._rest:
            if len(self._rest) > 65536:
                raise ValueError("a line of more than 64 KB")
            self._more(answer)
        line, _, self._rest = self._rest.partition(b"\r\n")
        return line.decode("latin-1")

    def _bytes(self, answer, size):
        while len(self._rest) < size:
            self._more(answer)
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def _read_head(self, answer):
        words = self._line(answer).split(" ", 2)
        if not words[0].startswith("HTTP/1.") or len(words) < 2:
            raise ValueError(f"not a status line: {' '.join(words)[:80]}")
        answer.status = int(words[1])
        answer.headers = []
        while line := self._line(answer):
            name, _, value = line.partition(":")
            answer.headers.append((name.lower(), value.strip()))

    def _read_answer(self, answer, method):
        self._read_head(answer)
        while 100 <= answer.status < 200:
            self._read_head(answer)
        if method == "HEAD" or answer.status in (204, 304):
            return
        if "chunked" in answer.header("transfer-encoding").lower():
            while size := int(self._line(answer).split(";")[0], 16):
                answer.body += self._bytes(answer, size)
                self._bytes(answer, 2)
            while self._line(answer):
                pass  # trailers
        elif answer.header("content-length"):
            answer.body = self._bytes(answer, int(answer.header("content-length")))
        else:
            self._read_to_end(answer)

    def _read_to_end(self, answer):
        """An answer without a length ends with the connection."""
        while data := self._socket.recv(65536):
            self._rest += data
        answer.body, self._rest = self._rest, b""
        self.close()
