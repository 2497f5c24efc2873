# SPDX-License-Identifier: BSD-2-Clause
"""A TCP service for tests: some servers, in threads of the test, behind one noah, and clients.

A server greets with "NAME ready\\r\\n", as SSH and SMTP servers do, sends back what it gets, and says "bye" when the client has ended.
"""
import contextlib
import os
import re
import socket
import struct
import threading

from support.noah import Noah, local_address, wait_for

SANITIZED = "san" in os.environ.get("NOAH", "")


class Server:
    def __init__(self, name, proxy_header=False, greets=True):
        self.name, self.proxy_header, self.greets = name, proxy_header, greets
        self.address = local_address()
        self.port = 0
        self.connections = []  # open ones
        self.headers = []      # of the PROXY protocol
        self.lock = threading.Lock()
        self.listener = None
        self.start()

    def start(self):
        self.listener = socket.create_server((self.address, self.port), backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def kill(self):
        """As when its process dies: nobody listens any more, connections are reset."""
        if self.listener is not None:
            with contextlib.suppress(OSError):
                self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        with self.lock:
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    connection.shutdown(socket.SHUT_RD)  # ends the wait of its thread, which closes it

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with self.lock:
                    self.connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError):
            self._talk(connection)
        with self.lock:
            self.connections.remove(connection)
            connection.close()

    def _talk(self, connection):
        if self.proxy_header:
            header = b""
            while not self._is_header(header):
                piece = connection.recv(1)
                if not piece:
                    return  # a check
                header += piece
            self.headers.append(header)
        if self.greets:
            connection.sendall(self.name.encode() + b" ready\r\n")
        while piece := connection.recv(65536):
            connection.sendall(piece)
        if self.listener is not None:
            connection.sendall(b"bye")

    @staticmethod
    def _is_header(header):
        if header.startswith(b"\r\n\r\n\0\r\nQUIT\n"):
            return len(header) >= 16 and len(header) == 16 + struct.unpack(">H", header[14:16])[0]
        return header.startswith(b"PROXY") and header.endswith(b"\r\n")


class Client:
    def __init__(self, site, source=None, timeout=30):
        self.socket = socket.create_connection((site.address, site.port), timeout, source_address=(source, 0) if source else None)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.socket.close()

    def exactly(self, size):
        while len(self.buffer) < size:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError
            self.buffer += piece
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def line(self):
        while b"\r\n" not in self.buffer:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError
            self.buffer += piece
        taken, _, self.buffer = self.buffer.partition(b"\r\n")
        return taken.decode()

    def server(self):
        """The name of the server that greets, None when the connection ends without."""
        try:
            return self.line().removesuffix(" ready")
        except (EOFError, ConnectionResetError):
            return None

    def echo(self, text):
        self.socket.sendall(text)
        return self.exactly(len(text))

    def is_over(self):
        """Waits for the end."""
        try:
            return self.buffer == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


class Service:
    """`servers` are names; `each` has more for single ones, `options` for the service, as text of the cluster file."""

    def __init__(self, directory, servers=("web1", "web2"), each=None, options="", every="200ms", listen=None, threads=1, start=True,
                 proxy_header=False, greets=True):
        self.directory = str(directory)
        self.servers = [Server(name, proxy_header, greets) for name in servers]
        self.each, self.options, self.every = each or {}, options, every
        self.address = listen or local_address()
        with socket.create_server((self.address, 0), family=socket.AF_INET6 if ":" in self.address else socket.AF_INET) as probe:
            self.port = probe.getsockname()[1]
        self.noah = Noah(directory, self.text(), arguments=["--threads", str(threads)], start=start)

    def text(self):
        machines = "\n".join(f"  {server.name}: {{ address: {server.address} }}" for server in self.servers)
        servers = ", ".join(f"{{ server: {server.name}:{server.port}{self.each.get(server.name, '')} }}" for server in self.servers)
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"""
cluster: example.com
servers:
  front: {{ address: "{self.address}" }}
{machines}
services:
  ssh:
    on: [front]
    listen: ["{address}:{self.port}"]
    servers: [{servers}]
    check: {{ every: {self.every}, timeout: 200ms, rise: 1, fall: 2 }}
{self.options}
"""

    def __enter__(self):
        return self

    def __exit__(self, kind, *ignored):
        try:
            self.noah.__exit__(kind, *ignored)
        finally:
            for server in self.servers:
                server.kill()

    def connect(self, **rest):
        return Client(self, **rest)

    def names(self, count):
        """Which servers greet `count` clients that come one after the other, and leave."""
        names = []
        for _ in range(count):
            with self.connect() as client:
                names.append(client.server())
        return names

    def active(self):
        return sum(target["active"] for target in self.noah.status()["targets"])

    def wait_for_open(self, count):
        wait_for(lambda: self.noah.counter("services_open") == count, 20, f"{count} open connections")

    def anonymous_bytes(self):
        """Of the traffic process: its own memory, without the pages it shares."""
        with open(f"/proc/{self.noah.child('traffic')}/smaps_rollup", encoding="ascii") as file:
            return 1024 * int(re.search(r"^Anonymous: +(\d+) kB", file.read(), re.M).group(1))
