# SPDX-License-Identifier: BSD-2-Clause
"""An app server for tests of upgrades, in threads of the test itself, so that the test sees each byte that reaches it; and a site with
one. What it does depends on the path:

    /echo      101, then each WebSocket frame comes back; a close frame is answered with its own code
    /raw       101, then each byte comes back; after the visitor's end "bye"
    /late      as /raw, but the 101 waits for app.go
    /early     101 and the first bytes in one piece
    /refuse    426 and the connection goes on
    /mute      101, then nothing until the visitor ends
    /cut       101, then a reset
    /wrong-…   101 that does not fit the request
    others     200, with the request's head as the body
"""
import base64
import contextlib
import hashlib
import socket
import struct
import threading

from site_of_apps import Site
from support.noah import local_address

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
WRONG = {b"/wrong-protocol": b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
         b"/wrong-connection": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
         b"/wrong-nothing": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
         b"/wrong-twice": b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n"}


class Stream:
    """A socket with a buffer."""

    def __init__(self, connection):
        self.socket, self.buffer = connection, b""

    def more(self):
        piece = self.socket.recv(65536)
        self.buffer += piece
        return piece

    def until(self, mark):
        while mark not in self.buffer:
            if not self.more():
                raise EOFError
        taken, _, self.buffer = self.buffer.partition(mark)
        return taken + mark

    def exactly(self, size):
        while len(self.buffer) < size:
            if not self.more():
                raise EOFError
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def frame(self):
        """(the first byte: FIN, RSV and opcode; content without its mask; was it masked)"""
        first, second = self.exactly(2)
        size = second & 127
        if size >= 126:
            size = struct.unpack(">H", self.exactly(2))[0] if size == 126 else struct.unpack(">Q", self.exactly(8))[0]
        mask = self.exactly(4) if second & 128 else None
        content = self.exactly(size)
        if mask:
            whole = (mask * (size // 4 + 1))[:size]
            content = (int.from_bytes(content, "big") ^ int.from_bytes(whole, "big")).to_bytes(size, "big") if size else b""
        return first, content, mask is not None


def frame(first, content, mask=None):
    size = len(content)
    bit = 128 if mask else 0
    head = bytes([first, bit | size]) if size < 126 else bytes([first, bit | 126]) + struct.pack(">H", size) if size < 65536 \
        else bytes([first, bit | 127]) + struct.pack(">Q", size)
    if not mask:
        return head + content
    whole = (mask * (size // 4 + 1))[:size]
    return head + mask + ((int.from_bytes(content, "big") ^ int.from_bytes(whole, "big")).to_bytes(size, "big") if size else b"")


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class SocketApp:
    def __init__(self, name="web1"):
        self.name, self.process = name, None
        self.address = local_address()
        self.listener = socket.create_server((self.address, 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.go = threading.Event()  # lets /late answer
        self.more_fields = b""       # of plain answers
        self.heads = []              # of all requests but checks
        self.early = []              # bytes that were there before the 101
        self.connections = []
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def kill(self):
        self.go.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        stream = Stream(connection)
        try:
            while self._answer(stream):
                pass
        except (OSError, EOFError):
            pass
        finally:
            connection.close()

    def _answer(self, stream):
        """True: another request may follow."""
        connection = stream.socket
        head = stream.until(b"\r\n\r\n")
        path = head.split(b" ")[1]
        if path == b"/check":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup")
            return True
        self.heads.append(head)
        if b"Content-Length: " in head:
            stream.exactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
        if path == b"/late":
            self.go.wait(30)
        if path == b"/refuse" or b"\r\nUpgrade: websocket\r\n" not in head:
            status = b"426 Upgrade Required" if path == b"/refuse" else b"200 OK"
            body = b"" if head.startswith(b"HEAD ") else head
            connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n" % (status, len(head), self.more_fields) + body)
            return True
        if path in WRONG:
            connection.sendall(WRONG[path])
            stream.more()
            return False
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            stream.more()
        connection.setblocking(True)
        self.early.append(stream.buffer)
        key = head.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0] if b"Sec-WebSocket-Key: " in head else b""
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        first = b"first words" if path == b"/early" else b""
        connection.sendall(ACCEPTED + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + first)
        if path == b"/cut":
            reset(connection)
        elif path == b"/echo":
            self._echo_frames(stream)
        elif path == b"/mute":
            while stream.more():
                pass
        else:
            self._echo_bytes(stream)
        return False

    @staticmethod
    def _echo_frames(stream):
        while True:
            first, content, masked = stream.frame()
            assert masked
            opcode = first & 15
            if opcode == 9:
                first += 1  # a ping is answered with a pong
            stream.socket.sendall(frame(first, content))
            if opcode == 8:
                return

    @staticmethod
    def _echo_bytes(stream):
        while True:
            if stream.buffer:
                stream.socket.sendall(stream.buffer)
                stream.buffer = b""
            if not stream.more():
                break
        stream.socket.sendall(b"bye")


class SocketSite(Site):
    def __init__(self, directory, start=True, **rest):
        # The app's threads are the test's: a check may be late, and that is not the server's fault.
        rest.setdefault("check", "{ get: /check, every: 1s, timeout: 1s, rise: 1, fall: 20 }")
        super().__init__(directory, apps=(), start=False, **rest)
        self.app = SocketApp()
        self.apps, self.weights = [self.app], [1]
        self.noah.write(self.text())
        if start:
            self.noah.start()

    def upgrade(self, path="/raw", fields=b"", more=b""):
        """Asks for WebSocket; returns the stream."""
        stream = Stream(self.socket())
        stream.socket.sendall(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: example.com\r\nConnection: keep-alive, Upgrade\r\n"
                              b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                              + fields + b"\r\n" + more)
        return stream

    def tunnel(self, path="/raw", **rest):
        """The stream of a tunnel that stands."""
        stream = self.upgrade(path, **rest)
        head = stream.until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        return stream
