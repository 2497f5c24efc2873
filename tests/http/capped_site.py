# SPDX-License-Identifier: BSD-2-Clause
"""Apps behind caps (capped_app.py) for the tests of balancing, a noah in front of them, and visitors in great number."""
import contextlib
import os
import selectors
import socket
import subprocess
import time

from support.noah import Noah, free_port, local_address, wait_for


class App:
    def __init__(self, directory, name):
        self.name, self.address = name, local_address()
        self.port = free_port(self.address)
        self.journal_file = os.path.join(str(directory), f"{name}.journal")
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(["/usr/bin/python3", os.path.join(os.path.dirname(__file__), "capped_app.py"),
                                         self.address, str(self.port), self.name, self.journal_file])
        wait_for(self._listens, 20, f"{self.name} to listen")

    def _listens(self):
        with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), 1):
            return True
        return False

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def release(self, name):
        """Requests with ?held=NAME are answered."""
        with open(f"{self.journal_file}.{name}", "w", encoding="ascii"):
            pass

    def journal(self):
        """(what, path) of each line."""
        if not os.path.exists(self.journal_file):
            return []
        with open(self.journal_file, encoding="ascii") as file:
            return [tuple(line.split()[::2]) for line in file]

    def began(self):
        return [path for what, path in self.journal() if what == "begin"]

    def most_at_once(self, since=0):
        """Requests under way at once, in the lines of the journal from `since` on."""
        most = now = 0
        for what, _ in self.journal()[since:]:
            now += {"begin": 1, "end": -1, "open": 0}[what]
            most = max(most, now)
        return most

    def most_open(self, since=0):
        """Connections open at once, as they were when one of them came."""
        return max((int(count) for what, count in self.journal()[since:] if what == "open"), default=0)


class CappedSite:
    """`apps` maps names to what stands behind "server:" in the file ("connections: 10"); `options` are lines of the site."""

    def __init__(self, directory, apps, options="", check=None, threads=2, more="", tls=False):
        self.directory = str(directory)
        self.apps = {name: App(directory, name) for name in apps}
        self.entries = dict(apps)
        self.address = local_address()
        self.port = free_port(self.address)
        self.options, self.more = options, more
        self.tls_port = free_port(self.address) if tls else None
        self.check = check or "{ get: /check, every: 500ms, timeout: 500ms, rise: 1, fall: 2 }"
        self.log_file = os.path.join(self.directory, "access.log")
        self.noah = Noah(directory, self.text(), arguments=["--threads", str(threads)])

    def text(self):
        servers = "\n".join(f"  {app.name}: {{ address: {app.address} }}" for app in self.apps.values())
        apps = ", ".join("{ " + ", ".join(filter(None, [f"server: {app.name}:{app.port}", self.entries[app.name]])) + " }"
                         for app in self.apps.values())
        listen = f'"http:{self.address}:{self.port}"'
        if self.tls_port:
            listen += f', "https:{self.address}:{self.tls_port}"'
        return f"""
cluster: example.com
servers:
  front: {{ address: {self.address} }}
{servers}
sites:
  example.com:
    on: [front]
    listen: [{listen}]
    apps: [{apps}]
    check: {self.check}
    timeouts: {{ connect: 1s, answer: 60s, request: 10s, idle: 60s }}
{self.options}
{self.more}
log: {{ access: {self.log_file} }}
"""

    def __enter__(self):
        return self

    def __exit__(self, kind, *ignored):
        try:
            self.noah.__exit__(kind, *ignored)
        finally:
            for app in self.apps.values():
                app.kill()

    def log(self):
        with open(self.log_file, encoding="utf-8") as file:
            return file.read()

    def socket(self):
        return socket.create_connection((self.address, self.port), 60)

    def send(self, path, method="GET", fields=""):
        """A request on a connection of its own, not waited for."""
        visitor = self.socket()
        visitor.sendall(f"{method} {path} HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n".encode())
        return visitor

    def get(self, path="/", fields=""):
        with contextlib.closing(self.send(path, fields=fields)) as visitor:
            return receive(visitor)

    def names(self, count, path="/", fields=""):
        """Which servers have answered; on one connection, so that one thread of noah has them all."""
        with contextlib.closing(self.socket()) as visitor:
            got = []
            for _ in range(count):
                visitor.sendall(f"GET {path} HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n".encode())
                got.append(receive(visitor)[2].decode())
            return got


def receive(visitor):
    """(status, head, body) of the next answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = visitor.recv(65536)
        if not piece:
            raise ConnectionError(f"no answer, only {data!r}")
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    head = head.decode("latin-1")
    length = int(next(line.split(":")[1] for line in head.split("\r\n") if line.lower().startswith("content-length:")))
    while len(body) < length:
        body += visitor.recv(65536)
    return int(head.split()[1]), head, body


def receive_all(visitors, seconds=60):
    """The answers of many visitors who wait, in the order of `visitors`."""
    answers, buffers = [None] * len(visitors), [b""] * len(visitors)
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for index, visitor in enumerate(visitors):
            selector.register(visitor, selectors.EVENT_READ, index)
        while selector.get_map():
            left = deadline - time.monotonic()
            assert left > 0, f"{len(selector.get_map())} visitors still wait"
            for key, _ in selector.select(left):
                index, piece = key.data, key.fileobj.recv(65536)
                buffers[index] += piece
                head, found, body = buffers[index].partition(b"\r\n\r\n")
                if not piece or (found and len(body) >= int(head.lower().split(b"content-length:")[1].split()[0])):
                    answers[index] = int(head.split()[1]) if found else None
                    selector.unregister(key.fileobj)
    return answers
